"""Rows in and out: JSON lines, csv, Parquet, folders and Hub names; records from rows and back.

- `columnar.py`: Rows of columnar sources: Parquet, folders saved by `datasets`, and data sets of the Hub
- `conversions.py`: Rows to records and back, by the usual column names; unknown columns are kept in
  `extra`
- `grouping.py`: Grouping by prompt: over the whole input, or within a window of rows so that memory stays
  bounded
- `in_memory.py`: Generations from Python objects: records, rows, a pandas data frame, a `datasets` data
  set
- `reading.py`: Rows from JSON lines, csv, Parquet and data sets, streamed
- `rows.py`: One row of a file and its fields, each checked for its type; an error names file, line and
  field
- `screening.py`: Screening of doubtful rows: identical sides, empty texts, repeated ids, NaN; each is
  counted
- `states.py`: Sizes and modification times of files, by which a change is noticed without reading them
- `writing.py`: Rows to JSON lines or Parquet: streamed, written atomically, never over an existing file
  unasked
"""

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
