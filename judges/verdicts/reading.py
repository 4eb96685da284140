"""Verdicts to rows of files and back, in our format and from other tools' annotations."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

from judges.judge import REASONS, WINNERS, Comparison, Verdict, Winner
from judges.usage import Usage
from judges.verdicts.formats import FORMATS, Format
from rewards.errors import DataError
from rewards.files import Row, read_rows
from rewards.records import Prompt

COLUMNS = frozenset({
    "id", "prompt", "first", "second", "judge", "axis", "repeat", "swapped", "winner", "preference", "reason",
    "detail", "reply", "tokens_in", "tokens_cached", "tokens_out", "cost", "latency",
})  # fmt: skip
"""Columns of a verdict's row beside `first_system`, `second_system` and whatever else travels along."""

_TRUTH = {True: True, False: False, "true": True, "false": False, "True": True, "False": False}


def verdict_row(verdict: Verdict) -> dict[str, object]:
    """Return a verdict as one row.

    What the comparison's `extra` holds stands behind, a name that is a column here as `data_NAME`. Half of
    a surrogate pair, which some models send and no file of UTF-8 can hold, is written as its number.
    """
    comparison, usage = verdict.comparison, verdict.usage
    extra = dict(comparison.extra)
    row: dict[str, object] = {
        "id": comparison.id,
        "prompt": _plain_prompt(comparison.prompt),
        "first": comparison.first,
        "second": comparison.second,
        "first_system": extra.pop("first_system", ""),
        "second_system": extra.pop("second_system", ""),
        "judge": verdict.judge,
        "axis": verdict.axis,
        "repeat": verdict.repeat,
        "swapped": verdict.swapped,
        "winner": verdict.winner,
        "preference": verdict.preference,
        "reason": verdict.reason,
        "detail": _writable(verdict.detail),
        "reply": _writable(verdict.reply),
        "tokens_in": usage.tokens_in,
        "tokens_cached": usage.tokens_cached,
        "tokens_out": usage.tokens_out,
        "cost": usage.cost,
        "latency": usage.latency,
    }
    return row | {f"data_{name}" if name in row else name: value for name, value in extra.items()}


def read_verdicts(source: str | Path, rename: Mapping[str, str] | None = None) -> Iterator[Verdict]:
    """Stream the verdicts of a file: ours, or another tool's annotations (see `judges.verdicts.formats`).

    Args:
        source: As for `rewards.files.read_rows`: JSON lines, an array, csv, Parquet, a folder or the Hub.
        rename: The file's column names and ours.

    Raises:
        MissingFileError: There is no such file.
        DataError: Its columns are of no known format, or a row is broken: file, line and field.
    """
    rows = read_rows(source, rename=rename)
    first = next(rows)
    return recognise(first).read(itertools.chain([first], rows))


def recognise(row: Row) -> Format:
    """Return the format that a file's first row has.

    Raises:
        DataError: It has the columns of none; the message lists the known ones.
    """
    for form in (OURS, *FORMATS):
        if form.columns <= row.values.keys():
            return form
    known = "; ".join(f"{form.name}: {', '.join(sorted(form.columns))}" for form in (OURS, *FORMATS))
    there = ", ".join(row.values)
    raise DataError(f"{row.where}: not a file of verdicts: its columns are {there}; known are {known}")


def verdict_of(row: Row) -> Verdict:
    """Return the verdict of a row of ours; columns that are not there, and empty csv fields, say nothing.

    Raises:
        DataError: A field is not what a verdict's has; it names file, line and field.
    """
    extra = {name: value for name, value in row.values.items() if name not in COLUMNS and value is not None}
    for name in ("first_system", "second_system"):
        if extra.get(name) == "":
            del extra[name]
    preference = _number(row, "preference")
    winner = _winner(row, preference)
    swapped = _given(row, "swapped", False)
    if not isinstance(swapped, bool | str) or swapped not in _TRUTH:
        raise row.expected("swapped", "true or false", swapped)
    reason = _text(row, "reason")
    if winner is None and reason not in REASONS:
        raise row.expected("reason", f"one of {', '.join(REASONS)}, where there is no winner", reason)
    try:
        return Verdict(
            Comparison(row.prompt(), _text(row, "first"), _text(row, "second"), row.id(), extra),
            winner,
            preference,
            reason,
            _text(row, "judge"),
            _text(row, "axis"),
            _count(row, "repeat"),
            _TRUTH[swapped],
            _text(row, "detail"),
            _text(row, "reply"),
            _usage(row),
        )
    except DataError as error:
        message = str(error)
        raise DataError(message if message.startswith(row.where) else f"{row.where}: {message}") from None


OURS = Format(
    "verdicts of evalkit judge",
    frozenset({"prompt", "first", "second", "winner"}),
    lambda rows: map(verdict_of, rows),
)


def _winner(row: Row, preference: float | None) -> Winner | None:
    value = _given(row, "winner", None)
    if value is None:
        return None
    if value not in WINNERS:
        raise row.expected("winner", "first, second, tie or null", value)
    if preference is not None and not 0 <= preference <= 1:
        raise row.expected("preference", "a number in [0, 1]", preference)
    return value  # type: ignore[return-value]  # one of WINNERS


def _given(row: Row, name: str, default: object) -> object:
    value = row.values.get(name)
    return default if value is None or value == "" else value


def _text(row: Row, name: str) -> str:
    value = row.values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise row.expected(name, "a text", value)
    return value


def _number(row: Row, name: str) -> float | None:
    return None if _given(row, name, None) is None else row.number_in(name)


def _count(row: Row, name: str) -> int:
    value = row.values.get(name)
    if type(value) is int and value >= 0:
        return value
    number = _number(row, name) or 0.0
    if number < 0 or number != number // 1:
        raise row.expected(name, "a whole number from 0", value)
    return int(number)


def _usage(row: Row) -> Usage:
    sent, cached, received = (_count(row, name) for name in ("tokens_in", "tokens_cached", "tokens_out"))
    return Usage(sent, cached, received, _number(row, "cost"), _number(row, "latency"))


def _plain_prompt(prompt: Prompt) -> object:
    if isinstance(prompt, str):
        return prompt
    return [{"role": message.role, "content": message.content} for message in prompt]


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
