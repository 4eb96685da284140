"""Rows to records and back, by the usual column names; unknown columns are kept in `extra`."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from rewards.errors import DataError
from rewards.files.rows import Row
from rewards.records import Generation, Preference, Ranking, Record, Span, SpanLabels, StepLabels

P = ParamSpec("P")
R = TypeVar("R")

COLUMNS: dict[type[Record], frozenset[str]] = {
    Generation: frozenset({"prompt", "response", "steps", "id"}),
    Preference: frozenset({"prompt", "chosen", "rejected", "margin", "id"}),
    Ranking: frozenset({"prompt", "responses", "ranks", "id"}),
    StepLabels: frozenset({"prompt", "completions", "labels", "id"}),
    SpanLabels: frozenset({"prompt", "response", "spans", "id"}),
}
"""The columns of each record's own fields; all others go into `extra`."""

_GENERATION = COLUMNS[Generation]


def generations(row: Row) -> list[Generation]:
    """Return the generations of a row.

    `{prompt, response[, steps]}` and `{prompt, completions}` (steps, which join to the response) give one;
    `{prompt, responses: [...]}` gives one for each response. Of the other columns of such a row, a list as
    long as `responses` gives each generation its own element, in `steps`, `id` or `extra`; anything else is
    shared by all.

    Raises:
        DataError: A column is missing or not of its type.
    """
    values = row.values
    response = values.get("response")
    if type(response) is str and "steps" not in values:  # the common row, which must be quick
        prompt = values.get("prompt")
        prompt = prompt if type(prompt) is str else row.prompt()
        extra = {name: value for name, value in values.items() if name not in _GENERATION}
        return [Generation(prompt, response, (), row.id(), extra)]
    if response is None and values.get("responses") is not None:
        return _each_response(row)
    if response is None and values.get("completions") is not None:
        steps = row.texts_in("completions")
        extra = {name: value for name, value in _extra(row, Generation).items() if name != "completions"}
        return [Generation(row.prompt(), "".join(steps), steps, row.id(), extra)]
    steps = () if values.get("steps") is None else row.texts_in("steps")
    prompt, response = row.answer("response")
    return [_build(row, Generation, prompt, response, steps, row.id(), _extra(row, Generation))]


def preference(row: Row) -> Preference:
    """Return the preference of a row `{prompt, chosen, rejected[, margin]}`.

    `chosen` and `rejected` may be lists of messages: the assistant's answer alone, or whole conversations
    that share all but their last message, which is then the prompt where the row has none.

    Raises:
        DataError: A column is missing or not of its type.
    """
    prompt, chosen = row.answer("chosen")
    other, rejected = row.answer("rejected")
    if prompt != other:
        raise DataError(f"{row.where}: fields 'chosen' and 'rejected' do not answer the same prompt")
    margin = 0.0 if row.values.get("margin") is None else row.number_in("margin")
    return _build(row, Preference, prompt, chosen, rejected, margin, row.id(), _extra(row, Preference))


def ranking(row: Row) -> Ranking:
    """Return the ranking of a row `{prompt, responses, ranks}`, or of K = 2 where it has chosen and rejected.

    Raises:
        DataError: A column is missing or not of its type.
    """
    values = row.values
    if "responses" not in values and "chosen" in values:
        pair = preference(row)
        margin = {"margin": values["margin"]} if "margin" in values else {}
        return Ranking(pair.prompt, (pair.chosen, pair.rejected), (1, 2), pair.id, {**pair.extra, **margin})
    responses = tuple(row.response("responses", item) for item in row.list_in("responses"))
    ranks = tuple(_rank(row, rank) for rank in row.list_in("ranks"))
    return _build(row, Ranking, row.prompt(), responses, ranks, row.id(), _extra(row, Ranking))


def step_labels(row: Row) -> StepLabels:
    """Return the labelled steps of a row `{prompt, completions, labels}`; a bool label becomes 1 or 0.

    Raises:
        DataError: A column is missing or not of its type.
    """
    steps = row.texts_in("completions")
    labels = tuple(_step_label(row, label) for label in row.list_in("labels"))
    return _build(row, StepLabels, row.prompt(), steps, labels, row.id(), _extra(row, StepLabels))


def span_labels(row: Row) -> SpanLabels:
    """Return the labelled spans of a row `{prompt, response, spans: [{start, end, aspect, label}]}`.

    Raises:
        DataError: A column is missing or not of its type.
    """
    prompt, response = row.answer("response")
    spans = tuple(_span(row, span) for span in row.list_in("spans"))
    return _build(row, SpanLabels, prompt, response, spans, row.id(), _extra(row, SpanLabels))


def to_row(record: Record) -> dict[str, object]:
    """Return the row that the matching conversion reads back as the same record.

    Fields that hold their default (an empty `id`, no steps, margin 0) are left out.

    Raises:
        DataError: `extra` holds a column by the name of one of the record's own fields.
    """
    prompt = record.prompt
    plain = prompt if isinstance(prompt, str) else [{"role": m.role, "content": m.content} for m in prompt]
    row = {"prompt": plain, **_own_columns(record)}
    if record.id:
        row["id"] = record.id
    for name in record.extra:
        if name in COLUMNS[type(record)]:
            raise DataError(f"id {record.id!r}: extra column {name!r} has the name of a field of its record")
    return {**row, **record.extra}


def _own_columns(record: Record) -> dict[str, object]:
    match record:
        case Generation():
            steps = {"steps": list(record.steps)} if record.steps else {}
            return {"response": record.response, **steps}
        case Preference():
            margin = {"margin": record.margin} if record.margin else {}
            return {"chosen": record.chosen, "rejected": record.rejected, **margin}
        case Ranking():
            return {"responses": list(record.responses), "ranks": list(record.ranks)}
        case StepLabels():
            return {"completions": list(record.steps), "labels": list(record.labels)}
        case SpanLabels():
            spans = [
                {"start": span.start, "end": span.end, "aspect": span.aspect, "label": span.label}
                for span in record.spans
            ]
            return {"response": record.response, "spans": spans}


def _each_response(row: Row) -> list[Generation]:
    responses = [row.response("responses", item) for item in row.list_in("responses")]
    if not responses:
        raise row.expected("responses", "one response or more", [])
    prompt = row.prompt()
    others = {
        name: value for name, value in row.values.items() if name not in ("prompt", "response", "responses")
    }
    own = {
        name: value
        for name, value in others.items()
        if isinstance(value, list) and len(value) == len(responses)
    }
    made = []
    for index, response in enumerate(responses):
        extra = {name: own[name][index] if name in own else value for name, value in others.items()}
        steps = extra.pop("steps", None)
        parts = () if steps is None else row.texts("steps", steps)
        identity = row.identity(extra.pop("id", None))
        made.append(_build(row, Generation, prompt, response, parts, identity, extra))
    return made


def _build(row: Row, record: Callable[P, R], *fields: P.args, **named: P.kwargs) -> R:
    try:
        return record(*fields, **named)
    except DataError as error:
        raise DataError(f"{row.where}: {error}") from None


def _extra(row: Row, record: type[Record]) -> dict[str, object]:
    own = COLUMNS[record]
    return {name: value for name, value in row.values.items() if name not in own}


def _rank(row: Row, value: object) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer():
        return int(value)
    raise row.expected("ranks", "whole numbers from 1", value)


def _step_label(row: Row, value: object) -> float | None:
    if value is None or isinstance(value, int | float):
        return None if value is None else float(value)
    raise row.expected("labels", "true, false, null or a number in [0, 1]", value)


def _span(row: Row, value: object) -> Span:
    if not isinstance(value, dict) or set(value) != {"start", "end", "aspect", "label"}:
        raise row.expected("spans", "spans of the form {start, end, aspect, label}", value)
    start, end = value["start"], value["end"]
    if type(start) is not int or type(end) is not int:
        raise row.expected("spans", "whole numbers in start and end", value)
    return _build(row, Span, start, end, value["aspect"], value["label"])
