"""Rows in and out: JSON lines, csv, Parquet, folders and Hub names; records from rows and back."""

from rewards.files.conversions import generations, preference, ranking, span_labels, step_labels, to_row
from rewards.files.in_memory import GenerationsLike, as_generations
from rewards.files.reading import read_rows
from rewards.files.rows import Row
from rewards.files.screening import Screen, ScreeningConfig
from rewards.files.writing import write_rows

__all__ = [
    "GenerationsLike",
    "Row",
    "Screen",
    "ScreeningConfig",
    "as_generations",
    "generations",
    "preference",
    "ranking",
    "read_rows",
    "span_labels",
    "step_labels",
    "to_row",
    "write_rows",
]
