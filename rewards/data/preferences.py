"""Preferences and rankings of any known format, recognised by the columns of the first row."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Literal, TypeAlias

from rewards.data.hh import hh_preference, is_dialogue
from rewards.data.qa_feedback import qa_feedback_preferences
from rewards.data.streams import screened
from rewards.data.tldr import tldr_preference
from rewards.data.ultrafeedback import binarized_preference, ultrafeedback_ranking
from rewards.errors import ConfigError, DataError
from rewards.files import Row, Screen, ScreeningConfig, preference, ranking, read_rows
from rewards.records import Preference, Ranking

PreferenceFormat = Literal[
    "auto", "preference", "ranking", "hh", "tldr", "ultrafeedback", "ultrafeedback-binarized", "qa-feedback"
]
"""How preferences are written; auto recognises them by the first row's columns."""


Convert: TypeAlias = Callable[[Row], Preference | Ranking | None]

FORMATS: Mapping[str, Convert] = {
    "hh": hh_preference,
    "tldr": tldr_preference,
    "ultrafeedback": ultrafeedback_ranking,
    "ultrafeedback-binarized": binarized_preference,
    "ranking": ranking,
    "preference": preference,
}
"""Formats by name, each with the function that converts its rows."""
QA_FEEDBACK = "qa-feedback"
"""The format whose rows yield several records: preferences among four predictions."""

log = logging.getLogger(__name__)


def load_preferences(
    source: str | Path,
    format: str = "auto",
    rename: Mapping[str, str] | None = None,
    screen: Screen | None = None,
) -> Iterator[Preference | Ranking]:
    """Stream the preferences or rankings of a source.

    Args:
        source: A file, a folder or `hub:OWNER/NAME?...`, as `rewards.files.reading.read_rows` takes it.
        format: One of `FORMATS`, `qa-feedback`, or `auto`: recognised by the first row's columns, and logged.
        rename: The user's column names and ours.
        screen: Rules for doubtful rows, and their counts at the end. Without it, rows that are no valid
            record are errors and all others are kept.

    Raises:
        ConfigError: There is no such format.
        MissingFileError: There is no such source.
        DataError: While iterating: no format has these columns, or a row is broken.
    """
    if format not in ("auto", QA_FEEDBACK, *FORMATS):
        raise ConfigError(f"format is auto or one of {', '.join((*FORMATS, QA_FEEDBACK))}; got {format!r}")
    rows = read_rows(source, rename=rename)
    return _records(rows, format, screen or Screen(ScreeningConfig(identical="keep")))


def recognize_format(row: Row) -> str:
    """Return the name of the format whose columns a row has.

    Raises:
        DataError: No format has these columns.
    """
    values = row.values
    columns = set(values)
    if {"info", "summaries", "choice"} <= columns:
        return "tldr"
    if {"prediction 1", "feedback", "preference"} <= columns:
        return QA_FEEDBACK
    if {"instruction", "completions"} <= columns:
        return "ultrafeedback"
    if {"chosen", "rejected"} <= columns:
        if "prompt" not in columns and is_dialogue(values["chosen"]) and is_dialogue(values["rejected"]):
            return "hh"
        return "ultrafeedback-binarized" if {"prompt_id", "score_chosen"} <= columns else "preference"
    if {"responses", "ranks"} <= columns:
        return "ranking"
    raise DataError(
        f"{row.where}: neither preferences nor rankings: expected the columns prompt, chosen, rejected or "
        f"prompt, responses, ranks, or a public data set's own; got {', '.join(values)} (--rename maps a "
        "name to ours)"
    )


def _records(rows: Iterator[Row], format: str, screen: Screen) -> Iterator[Preference | Ranking]:
    first = next(rows)
    name = recognize_format(first) if format == "auto" else format
    if format == "auto":
        log.info("%s: recognised as %s by its columns %s", first.source, name, ", ".join(first.values))
    if name != QA_FEEDBACK:
        records: Iterator[Preference | Ranking] = screen.records(chain([first], rows), FORMATS[name])
        yield from records
        return
    ties: Counter[str] = Counter()
    yield from screened(chain([first], rows), lambda row: qa_feedback_preferences(row, ties), screen)
    if ties:
        log.warning(
            "%s: %d pairs are ties, which prefer nothing, and are left out", first.source, ties["tie"]
        )
