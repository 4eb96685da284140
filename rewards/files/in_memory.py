"""Generations from Python objects: records, rows, a pandas data frame, a `datasets` data set."""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from rewards.errors import DataError
from rewards.files.conversions import COLUMNS, generations
from rewards.files.rows import Row
from rewards.records import Generation, Message

if TYPE_CHECKING:
    from pandas import DataFrame

Answer: TypeAlias = Generation | Row | Mapping[str, object]
GenerationsLike: TypeAlias = Union[Answer, Iterable[Answer], "DataFrame"]
"""What `as_generations` reads; a `datasets.Dataset` is an iterable of rows."""

ACCEPTED = (
    "a Generation, a row {prompt, response} or {prompt, responses: [...]}, several of either, a pandas "
    "DataFrame or a datasets.Dataset"
)
RESPONSES = ("response", "responses", "completions")
_OWN = COLUMNS[Generation] | set(RESPONSES)


def as_generations(data: GenerationsLike) -> list[Generation]:
    """Return the generations of records, rows, a data frame or a data set, in their order.

    A row `{prompt, response}` is one generation, `{prompt, responses: [...]}` one for each response;
    `rewards.files.generations` documents other columns. A missing value in a data frame is a missing
    field of the row.

    Raises:
        DataError: It is none of these, or a row is broken; the message names the row, counted from 1, the
            field, its value and what was expected.
    """
    if isinstance(data, list) and all(isinstance(item, Generation) for item in data):
        return list(data)
    if isinstance(data, Generation):
        return [data]
    return [item for row in _answers(data) for item in ([row] if isinstance(row, Generation) else _read(row))]


def _answers(data: object) -> Iterator[Generation | Row]:
    """Yield the items, each with its place for errors."""
    pandas: Any = sys.modules.get("pandas")  # a data frame is none where nobody imported pandas
    if pandas is not None and isinstance(data, pandas.DataFrame):
        name, items = "DataFrame", data.to_dict("records")
    elif isinstance(data, Row | Mapping):
        name, items = "data", [data]
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes):
        name, items = "Dataset" if type(data).__module__.startswith("datasets.") else "data", data
    else:
        raise DataError(f"expected {ACCEPTED}; got {_shown(data)}")
    for number, item in enumerate(items, 1):
        if isinstance(item, Generation | Row):
            yield item
        elif isinstance(item, Mapping):
            yield Row({str(column): _plain(value) for column, value in item.items()}, name, number)
        else:
            raise DataError(f"{name} row {number}: expected {ACCEPTED}; got {_shown(item)}")


def _read(row: Row) -> list[Generation]:
    values = {
        column: value for column, value in row.values.items() if not (column in _OWN and _is_nan(value))
    }
    there = [column for column in RESPONSES if values.get(column) is not None]
    if not there or ("prompt" not in values and isinstance(values[there[0]], str)):
        wanted = "prompt" if there else "response, or responses"
        columns = ", ".join(values) or "nothing"
        raise DataError(f"{row.where}: expected a column {wanted}; there is {columns}")
    return generations(Row(values, row.source, row.number))


def _plain(value: object) -> object:
    """Return lists and dicts for arrays, tuples and messages, as rows of files have them."""
    if isinstance(value, str | int | float) or value is None:
        return value
    if isinstance(value, Message):
        return {"role": value.role, "content": value.content}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if type(value).__module__.split(".")[0] == "numpy":  # an array, or a number of its own
        plain: Any = value
        return _plain(plain.tolist())
    return value


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
