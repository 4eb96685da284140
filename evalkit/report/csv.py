"""Rows of a result as a csv file, which appears when it is whole."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from evalkit.runs.files import atomic_write


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows under all of their columns, in the order met; None and missing values are empty."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with atomic_write(path) as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
