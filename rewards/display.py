"""How results print: numbers as text, a summary for `print`, tables as data frames, HTML in notebooks."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields
from html import escape
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import pandas as pd
    from _typeshed import DataclassInstance

NONE = "-"
"""Placeholder for a missing number."""

Columns: TypeAlias = Mapping[str, Sequence[object]]
"""A table by column: name -> values, all of one length."""


class Displayed(ABC):
    """A result that prints as its `summary`, on a terminal and in a notebook."""

    __slots__ = ()

    @abstractmethod
    def summary(self) -> str:
        """Return the result in words, one line or a few."""

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return html_text(self.summary())


class Tabular(Displayed):
    """A result that is a table: it prints with its rows below its summary, and gives a data frame."""

    __slots__ = ()

    @abstractmethod
    def columns(self) -> Columns:
        """Return the table by column."""

    def to_frame(self) -> "pd.DataFrame":
        """Return the table as a pandas data frame."""
        import pandas as pd

        return pd.DataFrame({name: list(values) for name, values in self.columns().items()})

    def __str__(self) -> str:
        return f"{self.summary()}\n{text_table(self.columns())}"

    def _repr_html_(self) -> str:
        return html_text(self.summary()) + html_table(self.columns())


def decimal(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """Return a number with this many decimals; a number that rounds to 0 has no sign."""
    if value is None or math.isnan(value):
        return NONE
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    return text if text.strip("+-0.") else text.lstrip("+-")


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share as percent."""
    return NONE if value is None or math.isnan(value) else f"{value:.{digits}%}"


def span(low: str, high: str) -> str:
    """Return `low to high`, or one dash if both are missing."""
    return NONE if low == high == NONE else f"{low} to {high}"


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number with its noun, plural unless the number is 1."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def estimated(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """Return an estimate with its interval, `0.613 (0.584 to 0.640)`, if it has one."""
    ends = span(decimal(low, digits), decimal(high, digits))
    return decimal(value, digits) + ("" if ends == NONE else f" ({ends})")


def columns_of(rows: Sequence["DataclassInstance"]) -> Columns:
    """Return records of one kind as a table, a column for each field."""
    names = [item.name for item in fields(rows[0])] if rows else []
    return {name: [getattr(row, name) for row in rows] for name in names}


def text_table(columns: Columns) -> str:
    """Return a table as lines of text, numbers right-aligned."""
    texts = {name: [_cell(value) for value in values] for name, values in columns.items()}
    lines = []
    for row in zip(*([name, *cells] for name, cells in texts.items()), strict=True):
        padded = []
        for text, name in zip(row, columns, strict=True):
            width = max(map(len, [name, *texts[name]]))
            padded.append(text.ljust(width) if _is_text(columns[name]) else text.rjust(width))
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def html_text(text: str) -> str:
    """Return lines of text as a paragraph of HTML."""
    return f"<p>{escape(text).replace(chr(10), '<br>')}</p>"


def html_table(columns: Columns) -> str:
    """Return a table as HTML; names and cells are escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    rows = zip(*columns.values(), strict=True)
    body = "".join(f"<tr>{''.join(f'<td>{escape(_cell(value))}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NONE
    if isinstance(value, float):  # those of numpy in double precision too
        return f"{value:.4g}"
    return str(value)


def _is_text(values: Sequence[object]) -> bool:
    return any(isinstance(value, str) for value in values)
