"""Labels of spans and of aspects, in any known format, recognised by the columns of the first row."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from rewards.data.qa_feedback import qa_feedback_spans
from rewards.data.streams import screened
from rewards.errors import ConfigError, DataError
from rewards.files import Row, Screen, read_rows, span_labels
from rewards.records import Span, SpanLabels

SpanFormat = Literal["auto", "spans", "columns", "qa-feedback"]
"""How labels of aspects are written; auto recognises them by the first row's columns."""


HELPSTEER = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
"""The columns of HelpSteer2 (`nvidia/HelpSteer2`, 2406.08673), each a number from 0 to 4."""

Convert: TypeAlias = Callable[[Row], SpanLabels]

log = logging.getLogger(__name__)


def load_span_labels(
    source: str | Path,
    format: SpanFormat = "auto",
    rename: Mapping[str, str] | None = None,
    screen: Screen | None = None,
    columns: Sequence[str] = (),
) -> Iterator[SpanLabels]:
    """Stream the labelled spans of a source; a label of a whole response is a span over all of it.

    Args:
        source: A file, a folder or `hub:OWNER/NAME?...`, as `rewards.files.reading.read_rows` takes it.
        format: `spans` (columns prompt, response, spans), `columns` (prompt, response, and a number in a
            column for each aspect, or all in a column `aspects: {name: number}`), `qa-feedback`, or `auto`:
            recognised by the first row's columns, and logged.
        rename: The user's column names and ours.
        screen: Rules for doubtful rows, and their counts at the end. Without it, rows that are no valid
            record are errors and all others are kept.
        columns: The aspects. Where labels stand in columns, these are read, HelpSteer2's where none are
            named and all of its are there; elsewhere no span may be of another aspect. Empty takes any.

    Raises:
        ConfigError: There is no such format, or an aspect is named twice.
        MissingFileError: There is no such source.
        DataError: While iterating: no format has these columns; a row is broken; a span is empty, out of
            range or of an aspect that is not known; spans of one aspect overlap with different labels; or,
            at the end, one of the columns held no number in any row.
    """
    if format not in get_args(SpanFormat):
        raise ConfigError(f"format is one of {', '.join(get_args(SpanFormat))}; got {format!r}")
    if len(set(columns)) < len(columns):
        raise ConfigError(f"columns differ from each other, got {', '.join(columns)}")
    return _records(read_rows(source, rename=rename), format, screen or Screen(), tuple(columns))


def recognize_span_format(row: Row, columns: Sequence[str] = ()) -> SpanFormat:
    """Return the name of the format whose columns a row has; `columns` are aspects that may be columns.

    Raises:
        DataError: No format has these columns.
    """
    there = set(row.values)
    if {"response", "spans"} <= there:
        return "spans"
    if {"feedback", "passages", "prediction 1"} <= there:
        return "qa-feedback"
    if "response" in there and _label_columns(row, columns):
        return "columns"
    raise DataError(
        f"{row.where}: no labels of spans or aspects: expected the columns prompt, response, spans, or "
        "prompt, response and aspects or a column for each aspect, named by columns, or QA-Feedback's; got "
        f"{', '.join(row.values)} (--rename maps a name to ours)"
    )


def column_labels(row: Row, columns: Sequence[str] = ()) -> SpanLabels:
    """Return the labels of a row's whole response, from the columns named or the column `aspects`.

    A column that is missing, null or (in csv) empty gives no span.

    Raises:
        DataError: A column is not of its type, or an aspect stands in two places.
    """
    own = [name for name in _label_columns(row, columns) if name != "aspects"]
    within = row.values.get("aspects")
    if not isinstance(within, dict):
        if within is not None and not own:
            raise row.expected("aspects", "an object of the form {aspect: number}", within)
        within = {}
    twice = [name for name in own if name in within]
    if twice:
        raise DataError(f"{row.where}: aspect {twice[0]!r} stands in a column and in 'aspects'")
    labels = {name: row.number_in(name) for name in own if not _is_missing(row.values[name])}
    inner = Row(within, row.source, row.number)
    labels |= {name: inner.number_in(name) for name, value in within.items() if not _is_missing(value)}
    # Read as spans, so that prompt, conversation and id are taken as everywhere.
    read = {*own, "aspects"} if within else set(own)
    values = {name: value for name, value in row.values.items() if name not in read}
    base = span_labels(Row({**values, "spans": []}, row.source, row.number))
    spans = tuple(Span(0, len(base.response), aspect, label) for aspect, label in labels.items())
    return SpanLabels(base.prompt, base.response, spans, base.id, base.extra)


def _records(
    rows: Iterator[Row], format: SpanFormat, screen: Screen, columns: tuple[str, ...]
) -> Iterator[SpanLabels]:
    first = next(rows)
    name = recognize_span_format(first, columns) if format == "auto" else format
    if format == "auto":
        log.info("%s: recognised as %s by its columns %s", first.source, name, ", ".join(first.values))
    if name == "columns" and not _label_columns(first, columns) and not columns:
        raise DataError(f"{first.where}: which columns are labels of aspects? Name them by columns")
    formats: dict[str, Convert] = {
        "spans": span_labels,
        "qa-feedback": qa_feedback_spans,
        # Fixed by the first row, so that all rows have the same labels.
        "columns": lambda row: column_labels(row, columns or _label_columns(first, ())),
    }
    met: set[str] = set()

    def checked(row: Row) -> Iterable[SpanLabels]:
        record = formats[name](row)
        _check(row, record, columns)
        met.update(span.aspect for span in record.spans)
        return (record,)

    yield from screened(chain([first], rows), checked, screen)
    empty = [column for column in columns if column not in met]
    if name == "columns" and empty:
        raise DataError(f"{first.source}: no row has a number in column {empty[0]!r}")


def _label_columns(row: Row, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a row that hold labels."""
    named = columns or (HELPSTEER if set(HELPSTEER) <= set(row.values) else ())
    inner = ("aspects",) if isinstance(row.values.get("aspects"), dict) and "aspects" not in named else ()
    return (*(name for name in named if name in row.values), *inner)


def _is_missing(value: object) -> bool:
    return value is None or value == ""


def _check(row: Row, record: SpanLabels, known: Sequence[str]) -> None:
    """Raise where a record's spans contradict each other, are empty, or are of an unknown aspect."""
    place = f"{row.where}: " + (f"id {record.id!r}: " if record.id else "")
    latest: dict[str, dict[float, Span]] = {}
    for span in sorted(record.spans, key=lambda span: (span.start, span.end)):
        if known and span.aspect not in known:
            raise DataError(f"{place}aspect {span.aspect!r} is none of {', '.join(known)}")
        if span.start == span.end and record.response:
            raise DataError(f"{place}span {span.start}-{span.end} of {span.aspect!r} is empty")
        before = latest.setdefault(span.aspect, {})
        for other in before.values():
            if other.label != span.label and other.end > span.start:
                raise DataError(
                    f"{place}spans {other.start}-{other.end} and {span.start}-{span.end} of {span.aspect!r} "
                    f"overlap but are labelled {other.label:g} and {span.label:g}"
                )
        if span.label not in before or before[span.label].end < span.end:
            before[span.label] = span
