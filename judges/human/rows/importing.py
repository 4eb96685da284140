"""Rows -> labels: exported ones as they were, verdicts of people from elsewhere, and records to train on."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

from judges.human.answers import AnswerError, PairwiseAnswer, SpansAnswer
from judges.human.labels import Label
from judges.human.rows.export import PERSON
from judges.human.rows.gold import EXPECTED, gold_answer
from judges.human.rows.label_rows import COLUMNS, label_of
from judges.human.rows.reading import Reading, row_task
from judges.human.tasks import Screen, comparison_task
from judges.judge import Verdict
from judges.verdicts.annotation import ORDER
from judges.verdicts.formats import Format
from judges.verdicts.members import member_verdicts
from judges.verdicts.reading import recognise
from rewards.errors import DataError
from rewards.files import Row, read_rows

RECORDS: Mapping[Screen, tuple[str, str]] = {
    "ranking": ("responses", "ranks"),
    "steps": ("completions", "labels"),
    "spans": ("response", "spans"),
}
"""Columns of the records to train on that people's labels come as, the second of them being the label."""

_TOLD = ("annotator", "aspects", "missing", "systems", "system", "labels", "axis", "repeat")
"""What `labels export` says beside a record's own columns."""


def read_labels(source: str | Path, annotator: str, now: float, passed: Counter[str]) -> Iterator[Label]:
    """Stream the labels of rows.

    Read are rows of `judges.human.rows.label_rows`, all files of verdicts that
    `judges.verdicts.reading` reads, and {prompt, responses, ranks}, {prompt, completions, labels} or
    {prompt, response, spans}. Verdicts of judges that are no people, and of majorities beside which stand
    the people's own, are passed over. What has no nonce keeps none: a store then makes one of the content,
    so that importing it twice adds nothing.

    Args:
        source: As for `rewards.files.reading.read_rows`.
        annotator: Whose labels they are, where the rows do not say.
        now: Seconds since 1970, which labels get that do not say when they were given.
        passed: Counts what is passed over, by reason.

    Raises:
        MissingFileError: There is no such file.
        DataError: While iterating: a row is no label, or does not say whose; it names file and line.
    """
    rows = read_rows(source)
    first = next(rows)
    every = chain([first], rows)
    columns = first.values.keys()
    if set(COLUMNS) <= columns:
        return map(label_of, every)
    for screen, needed in RECORDS.items():
        if {"prompt", *needed} <= columns:
            return (_record_label(row, screen, annotator, now) for row in every)
    return _verdict_labels(_verdict_format(first), first, every, annotator, now, passed)


def _verdict_format(first: Row) -> Format:
    """Return the format of a file of verdicts.

    Raises:
        DataError: It is none; the message lists all kinds of files that labels come in.
    """
    try:
        return recognise(first)
    except DataError as error:
        kinds: dict[str, tuple[str, ...]] = {"evalkit labels export": COLUMNS}
        kinds |= {screen: ("prompt", *own) for screen, own in RECORDS.items()}
        known = "; ".join(f"{kind}: {', '.join(columns)}" for kind, columns in kinds.items())
        raise DataError(f"{error}; other labels known are {known}") from None


def _verdict_labels(
    form: Format, first: Row, rows: Iterable[Row], annotator: str, now: float, passed: Counter[str]
) -> Iterator[Label]:
    last = [first]  # for the place that an error names; a format may read ahead, never behind
    for verdict in form.read(_noted(rows, last)):
        name = verdict.judge.removeprefix(PERSON)
        if _holds_members(verdict):
            passed["verdicts of a majority or a jury, whose members' own count"] += 1
        elif name == verdict.judge and name and not annotator:
            passed[f"verdicts of {name}, which is no person: people are {PERSON}NAME, or --annotator"] += 1
        elif verdict.reason not in ("", "skipped"):
            passed[f"verdicts without a winner: {verdict.reason}"] += 1
        else:
            person = annotator if name == verdict.judge else name
            if not person:
                raise DataError(f"{last[0].where}: whose verdict is it? --annotator says so")
            yield _verdict_label(verdict, person, now, last[0])


def _noted(rows: Iterable[Row], last: list[Row]) -> Iterator[Row]:
    for row in rows:
        last[0] = row
        yield row


def _holds_members(verdict: Verdict) -> bool:
    try:
        member_verdicts(verdict)
    except DataError:
        return False
    return True


def _verdict_label(verdict: Verdict, annotator: str, now: float, row: Row) -> Label:
    comparison = verdict.comparison
    extra = {name: value for name, value in comparison.extra.items() if name != ORDER}
    if not comparison.first.strip() or not comparison.second.strip():
        raise DataError(f"{row.where}: the verdict comes without the answers that it is about")
    axis = "" if verdict.axis == "overall" else verdict.axis
    task = comparison_task(replace(comparison, extra=extra), axis, verdict.repeat)
    known = comparison.extra.get(ORDER) != "unknown"
    shown = ((1, 0) if verdict.swapped else (0, 1)) if known else ()
    answer = PairwiseAnswer(verdict.winner) if verdict.winner else None
    seconds = verdict.usage.latency or 0.0
    return Label(0, task, annotator, answer, shown, verdict.detail, seconds, now, "", imported=True)


def _record_label(row: Row, screen: Screen, annotator: str, now: float) -> Label:
    answers, told = RECORDS[screen]
    values = row.values
    person = values.get("annotator") or annotator
    if not isinstance(person, str) or not person:
        raise row.expected("annotator", "whose label it is, or --annotator", values.get("annotator"))
    task_columns = {name: value for name, value in values.items() if name not in (*_TOLD, told, "gold")}
    kept = {name: values[name] for name in ("systems", "system", "axis") if values.get(name)}
    aspects = _aspects(row) if screen == "spans" else ()
    asked = task_columns | kept | {answers: values[answers]}
    task = row_task(Row(asked, row.source, row.number), screen, Reading(screen, aspects=aspects))
    try:
        answer = gold_answer(screen, values[told], task.responses, task.steps, task.aspects)
    except AnswerError as error:
        raise row.expected(told, f"{EXPECTED[screen]} ({error})", values[told]) from None
    if isinstance(answer, SpansAnswer) and values.get("missing"):
        answer = replace(answer, missing=row.texts_in("missing"))
    repeat = values.get("repeat", 0)
    if type(repeat) is not int:
        raise row.expected("repeat", "a whole number from 0", repeat)
    return Label(0, replace(task, repeat=repeat), person, answer, (), "", 0.0, now, "", imported=True)


def _aspects(row: Row) -> tuple[str, ...]:
    """Return what could be marked: as the row says, or at least what is."""
    if row.values.get("aspects"):
        return row.texts_in("aspects")
    spans = [span for span in row.list_in("spans") if isinstance(span, Mapping)]
    marked = tuple(sorted({str(span.get("aspect")) for span in spans}))
    if not marked:
        raise row.expected("aspects", "what could be marked, as no span is", row.values.get("aspects"))
    return marked
