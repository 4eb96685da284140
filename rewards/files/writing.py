"""Rows to JSON lines or Parquet: streamed, written atomically, never over an existing file unasked."""

import gzip
import io
import json
import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from rewards.errors import ConfigError, DataError, OutputExistsError
from rewards.files.rows import holds_no_number

if TYPE_CHECKING:
    import pyarrow

Values: TypeAlias = Mapping[str, object]

ROW_GROUP = 8192
"""Rows of a Parquet row group, all that is held in memory."""


def write_rows(path: str | Path, rows: Iterable[Values], overwrite: bool = False) -> int:
    """Write rows to `.jsonl`, `.jsonl.gz` or `.parquet`, and return how many.

    The file is renamed into place when complete; until then, and after a failure, an earlier file stays.
    A Parquet file has the columns and types of its first 8192 rows.

    Raises:
        ConfigError: The name ends in none of the three.
        OutputExistsError: The file exists and `overwrite` is not set.
        DataError: A value cannot be written, as NaN or half of a surrogate pair, or does not fit its column.
    """
    path = Path(path)
    write = next((WRITERS[suffix] for suffix in WRITERS if path.name.endswith(suffix)), None)
    if write is None:
        raise ConfigError(f"{path}: rows are written to a name that ends in {', '.join(WRITERS)}")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} is there already; --overwrite replaces it")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        count = write(partial, rows, str(path))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _write_lines(partial: Path, rows: Iterable[Values], name: str) -> int:
    with partial.open("wb") as file:
        return _lines(file, rows, name)


def _write_compressed_lines(partial: Path, rows: Iterable[Values], name: str) -> int:
    # No name and no time go into the header, so that the same rows give the same bytes.
    with (
        partial.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed,
        io.BufferedWriter(cast(io.RawIOBase, packed), 1 << 18) as buffered,
    ):
        return _lines(cast(BinaryIO, buffered), rows, name)


def _lines(file: BinaryIO, rows: Iterable[Values], name: str) -> int:
    count = 0
    for count, row in enumerate(rows, 1):
        file.write(json_line(row, f"{name} row {count}"))
    return count


def _plain(value: object) -> str:
    """Convert values that JSON lacks: dates and times, to ISO 8601 text."""
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not a value that JSON has")


_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_plain).encode


def json_line(row: Values, where: str) -> bytes:
    """Return a row as one line of JSON in UTF-8; dates become ISO 8601 text.

    Raises:
        DataError: A field holds NaN or a value that JSON lacks; the message begins with `where`.
    """
    try:
        return _ENCODE(row).encode() + b"\n"
    except (ValueError, TypeError, RecursionError) as error:
        raise _unwritable(row, where, error) from None


def _unwritable(row: Values, where: str, error: Exception) -> DataError:
    for field, value in row.items():
        try:
            _ENCODE({field: value}).encode()
        except (ValueError, TypeError, RecursionError) as reason:
            return DataError(f"{where}: field {field!a}: cannot be written: {reason}")
    return DataError(f"{where}: cannot be written: {error}")


def _write_parquet(partial: Path, rows: Iterable[Values], name: str) -> int:
    import pyarrow
    import pyarrow.parquet

    remaining, count = iter(rows), 0
    batch = list(islice(remaining, ROW_GROUP))
    names = list(dict.fromkeys(field for row in batch for field in row))
    schema = pyarrow.schema([(field, _array(batch, field, None, name, 0).type) for field in names])
    try:
        with pyarrow.parquet.ParquetWriter(partial, schema) as writer:
            while batch:
                _check_values(batch, set(names), name, count)
                arrays = [_array(batch, field.name, field.type, name, count) for field in schema]
                writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
                count += len(batch)
                batch = list(islice(remaining, ROW_GROUP))
    except pyarrow.ArrowNotImplementedError as error:  # an object without keys has no Parquet type
        raise DataError(f"{name}: {error}; .jsonl holds such rows") from None
    return count


def _check_values(batch: Sequence[Values], names: set[str], name: str, before: int) -> None:
    for number, row in enumerate(batch, before + 1):
        for field, value in row.items():
            if field not in names:
                known = f"none of the first {ROW_GROUP} rows has this column"
                raise DataError(f"{name} row {number}: field {field!r}: {known}; .jsonl holds such rows")
            if holds_no_number(value):
                raise DataError(f"{name} row {number}: field {field!r}: cannot be written: NaN or infinite")


def _array(
    batch: Sequence[Values], field: str, type_: "pyarrow.DataType | None", name: str, before: int
) -> "pyarrow.Array":
    values = [row.get(field) for row in batch]
    try:
        return _fitted(values, type_)
    except _MISFITS as error:
        index = bisect_left(range(1, len(values) + 1), True, key=lambda n: not _fits(values[:n], type_))
        known = f"the {type_} of its column so far" if type_ else "the type of the rows before"
        shown = ascii(values[index])[:60]
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{name} row {before + index + 1}: field {field!r}: {shown} does not fit {known}: {reason}"
        ) from None


_MISFITS = (ValueError, TypeError, OverflowError, NotImplementedError)  # Arrow's own errors are these too


def _fits(values: list[object], type_: "pyarrow.DataType | None") -> bool:
    try:
        _fitted(values, type_)
    except _MISFITS:
        return False
    return True


def _fitted(values: list[object], type_: "pyarrow.DataType | None") -> "pyarrow.Array":
    import pyarrow

    array = pyarrow.array(values)
    if type_ is None or array.type == type_:
        return array
    # Given a type, Arrow cuts 1.5 to 1 and drops an object's unknown keys, both in silence.
    if not _holds(type_, array.type):
        raise TypeError(f"it is {array.type}")
    return pyarrow.array(values, type_)


def _holds(wide: "pyarrow.DataType", narrow: "pyarrow.DataType") -> bool:
    from pyarrow import types

    if types.is_null(narrow) or wide == narrow:
        return True
    if types.is_list(wide) and types.is_list(narrow):
        return _holds(wide.value_type, narrow.value_type)
    if types.is_struct(wide) and types.is_struct(narrow):
        inner = [narrow.field(index) for index in range(narrow.num_fields)]
        known = {wide.field(index).name: wide.field(index).type for index in range(wide.num_fields)}
        return all(field.name in known and _holds(known[field.name], field.type) for field in inner)
    return bool(types.is_floating(wide) and types.is_integer(narrow))


WRITERS: Mapping[str, Callable[[Path, Iterable[Values], str], int]] = {
    ".jsonl": _write_lines,
    ".jsonl.gz": _write_compressed_lines,
    ".parquet": _write_parquet,
}
