"""Labelled steps of any known format, recognised by the columns of the first row."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from rewards.data.math_shepherd import math_shepherd_steps
from rewards.data.prm800k import NEUTRAL, NeutralRule, prm800k_steps
from rewards.data.processbench import processbench_steps
from rewards.data.streams import screened
from rewards.errors import ConfigError, DataError
from rewards.files import Row, Screen, read_rows, step_labels
from rewards.records import StepLabels

StepFormat = Literal["auto", "stepwise", "prm800k", "math-shepherd", "processbench"]
"""How labelled steps are written; auto recognises them by the first row's columns."""


Convert: TypeAlias = Callable[[Row], Iterable[StepLabels]]

log = logging.getLogger(__name__)


def load_step_labels(
    source: str | Path,
    format: StepFormat = "auto",
    rename: Mapping[str, str] | None = None,
    screen: Screen | None = None,
    neutral: NeutralRule = "right",
) -> Iterator[StepLabels]:
    """Stream the labelled steps of a source.

    Args:
        source: A file, a folder or `hub:OWNER/NAME?...`, as `rewards.files.reading.read_rows` takes it.
        format: `stepwise` (columns prompt, completions, labels), `prm800k`, `math-shepherd`, `processbench`,
            or `auto`: recognised by the first row's columns, and logged.
        rename: The user's column names and ours.
        screen: Rules for doubtful records, and their counts at the end; a row of PRM800K may give several.
            Without it, rows that are no valid record are errors and all others are kept.
        neutral: How PRM800K's rating 0 counts.

    Raises:
        ConfigError: There is no such format or rule.
        MissingFileError: There is no such source.
        DataError: While iterating: no format has these columns, or a row is broken.
    """
    if format not in get_args(StepFormat):
        raise ConfigError(f"format is one of {', '.join(get_args(StepFormat))}; got {format!r}")
    if neutral not in NEUTRAL:
        raise ConfigError(f"neutral is one of {', '.join(NEUTRAL)}; got {neutral!r}")
    return _records(read_rows(source, rename=rename), format, screen or Screen(), neutral)


def recognize_step_format(row: Row) -> StepFormat:
    """Return the name of the format whose columns a row has.

    Raises:
        DataError: No format has these columns.
    """
    values = row.values
    columns = set(values)
    if {"completions", "labels"} <= columns:
        return "stepwise"
    if {"problem", "steps", "label"} <= columns:
        return "processbench"
    if {"question", "label"} <= columns and all(isinstance(values[n], dict) for n in ("question", "label")):
        return "prm800k"
    if {"input", "label"} <= columns:
        return "math-shepherd"
    raise DataError(
        f"{row.where}: no labelled steps: expected the columns prompt, completions, labels, or those of "
        f"PRM800K, Math-Shepherd or ProcessBench; got {', '.join(values)} (--rename maps a name to ours)"
    )


def stepwise_labels(row: Row) -> StepLabels:
    """Return the labelled steps of a row `{prompt, completions, labels[, response]}`.

    Raises:
        DataError: A column is missing or not of its type, or the steps do not join to the response.
    """
    record = step_labels(row)
    if row.values.get("response") is None:
        return record
    response, joined = row.response("response", row.values["response"]), "".join(record.steps)
    if joined != response:
        named = f"id {record.id!r}: " if record.id else ""
        place = _parting(joined, response)
        raise DataError(
            f"{row.where}: {named}field 'completions': expected steps that join to the response, with the "
            f"separators they carry; they part from it at character {place}"
        )
    return record


def _records(
    rows: Iterator[Row], format: StepFormat, screen: Screen, neutral: NeutralRule
) -> Iterator[StepLabels]:
    first = next(rows)
    name = recognize_step_format(first) if format == "auto" else format
    if format == "auto":
        log.info("%s: recognised as %s by its columns %s", first.source, name, ", ".join(first.values))
    left_out: Counter[str] = Counter()
    formats: dict[str, Convert] = {
        "stepwise": lambda row: (stepwise_labels(row),),
        "processbench": lambda row: (processbench_steps(row),),
        "math-shepherd": lambda row: (math_shepherd_steps(row),),
        "prm800k": partial(prm800k_steps, neutral=neutral, left_out=left_out),
    }
    yield from screened(chain([first], rows), formats[name], screen)
    for reason, count in left_out.items():
        log.warning("%s: left out: %d %s", first.source, count, reason)


def _parting(one: str, other: str) -> int:
    """Return the first index at which two texts differ, or else the shorter text's length."""
    shared = min(len(one), len(other))
    return next((place for place in range(shared) if one[place] != other[place]), shared)
