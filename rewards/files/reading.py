"""Rows from JSON lines, csv, Parquet and data sets, streamed."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias, cast

from rewards.errors import ConfigError, DataError, MissingFileError
from rewards.files.columnar import hub_rows, is_saved_dataset, parquet_rows, saved_rows
from rewards.files.rows import Row

Rows: TypeAlias = Generator[Row, None, int]
"""Yields the rows after the skipped ones, and returns the total number of rows."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_rows(
    source: str | Path, start: int = 0, rename: Mapping[str, str] | None = None, form: str = ""
) -> Iterator[Row]:
    """Stream the rows of a source.

    Args:
        source: A file (`.jsonl`, `.json` holding lines or an array, `.csv`, each also with `.gz` behind it,
            or `.parquet`), a folder of such files of one kind, a folder saved by `datasets`, or
            `hub:OWNER/NAME?split=train&name=CONFIGURATION&revision=COMMIT` for a data set of the Hub. Memory
            holds one row or batch, but for a `.json` array, whose text is held whole.
        start: Number of rows to skip, unparsed where the format allows, to resume an earlier run.
        rename: The user's column names and ours, such as `{"question": "prompt"}`.
        form: Format of a file whose name does not tell it: `jsonl`, `json`, `csv` or `parquet`.

    Raises:
        MissingFileError: There is no such file, folder or data set.
        ConfigError: The format is not supported, or `start` is negative.
        DataError: While iterating: a row is broken, or there are none, or fewer than `start`.
    """
    if start < 0:
        raise ConfigError(f"start is the number of rows to skip, from 0; got {start}")
    rows = _checked(_reader(source, form)(start), str(source), start)
    return (_renamed(row, rename) for row in rows) if rename else rows


def _reader(source: str | Path, form: str) -> Callable[[int], Rows]:
    if isinstance(source, str) and source.startswith("hub:"):
        return partial(hub_rows, source)
    path = Path(source)
    if not path.exists():
        raise MissingFileError(f"{source}: no such file or folder (a data set of the Hub is hub:OWNER/NAME)")
    if not path.is_dir():
        return partial(_file_reader(path, form), path)
    if is_saved_dataset(path):
        return partial(saved_rows, path)
    shards = sorted(file for file in path.iterdir() if file.is_file() and _kind(file) in READERS)
    kinds = sorted({_kind(file) for file in shards})
    if len(kinds) != 1:
        found = " and ".join(kinds) or "no files that are read"
        raise ConfigError(f"{source}: a folder of data holds files of one kind ({_known()}); found {found}")
    return partial(_shards, shards)


def _file_reader(path: Path, form: str = "") -> Callable[[Path, int], Rows]:
    kind = f".{form}" if form else _kind(path)
    if kind not in READERS:
        raise ConfigError(f"{path}: kind of file not known; read are {_known()}")
    return READERS[kind]


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"] and suffixes[-2:] != [".parquet", ".gz"]:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _known() -> str:
    return ", ".join(READERS)


def _checked(rows: Rows, source: str, start: int) -> Iterator[Row]:
    try:
        held = yield from rows
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{source}: not a whole gzip file: {error}") from None
    if not held:
        raise DataError(f"{source}: holds no rows")
    if held < start:
        raise DataError(f"{source}: holds {held} rows, fewer than the {start} to skip; has it changed?")


def _renamed(row: Row, rename: Mapping[str, str]) -> Row:
    for name in rename:
        if name not in row.values:
            there = ", ".join(row.values)
            raise DataError(f"{row.where}: no column {name!r} to rename, only {there}")
    values = {rename.get(name, name): value for name, value in row.values.items()}
    if len(values) < len(row.values):
        pairs = ", ".join(f"{old!r} to {new!r}" for old, new in rename.items())
        raise DataError(f"{row.where}: renaming {pairs} gives two columns one name")
    return Row(values, row.source, row.number)


def _shards(paths: Sequence[Path], start: int) -> Rows:
    held = 0
    for path in paths:
        held += yield from _file_reader(path)(path, max(0, start - held))
    return held


@contextmanager
def _open(path: Path) -> Iterator[io.BufferedReader]:
    with path.open("rb") as file:
        handle = file
        if path.suffix.lower() == ".gz":
            handle = io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=file)), 1 << 18)
        if handle.peek(3)[:3] == BYTE_ORDER_MARK:
            handle.read(3)
        yield handle


def _json_lines(path: Path, start: int) -> Rows:
    name, held = str(path), 0
    with _open(path) as lines:
        for number, line in enumerate(lines, 1):  # ends at b"\n" alone, so U+2028 within a text is safe
            if line.isspace():
                continue
            held += 1
            if held > start:
                yield Row(_object(line, name, number), name, number)
    return held


_DECODER = json.JSONDecoder()


def _object(line: bytes, name: str, number: int) -> dict[str, object]:
    try:
        value = _DECODER.decode(line.decode())
    except json.JSONDecodeError as error:
        raise DataError(f"{name}:{number}: not JSON: {error.msg}, column {error.colno}") from None
    except (ValueError, RecursionError) as error:  # not UTF-8; a number or a nesting beyond measure
        raise DataError(f"{name}:{number}: not JSON: {error}") from None
    return _row_values(value, name, number, b"\\ud" in line or b"\\uD" in line)


def _row_values(value: object, name: str, number: int, may_hold_surrogates: bool) -> dict[str, object]:
    if not isinstance(value, dict):
        shown = repr(value)[:60]
        raise DataError(f"{name}:{number}: expected an object of columns, got {shown}")
    if may_hold_surrogates:
        for column, field in value.items():
            try:
                json.dumps([column, field], ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                half = ascii(error.object[error.start])
                problem = f"half of a surrogate pair, {half}, which is no character"
                raise DataError(f"{name}:{number}: field {column!a}: holds {problem}") from None
    return value


def _json(path: Path, start: int) -> Rows:
    with _open(path) as handle:
        first = b" "
        while first.isspace():
            first = handle.read(1)
    return (yield from (_json_array if first == b"[" else _json_lines)(path, start))


def _json_array(path: Path, start: int) -> Rows:
    name, held, line, seen = str(path), 0, 1, 0
    with _open(path) as handle:
        try:
            text = handle.read().decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{name}: not JSON: {error}") from None
    position = _skip_space(text, text.index("[") + 1)
    mark = "]" if text[position : position + 1] == "]" else ","
    while mark == ",":
        line, seen = line + text.count("\n", seen, position), position
        try:
            value, position = _DECODER.raw_decode(text, position)
            position = _skip_space(text, position)
            mark = text[position : position + 1]
            if mark not in (",", "]"):
                raise json.JSONDecodeError("Expecting ',' or ']'", text, position)
        except json.JSONDecodeError as error:
            raise DataError(f"{name}:{error.lineno}: not JSON: {error.msg}, column {error.colno}") from None
        position = _skip_space(text, position + 1)
        held += 1
        if held > start:
            yield Row(_row_values(value, name, line, True), name, line)
    return held


def _skip_space(text: str, position: int) -> int:
    while text[position : position + 1] in (" ", "\n", "\r", "\t"):
        position += 1
    return position


def _csv(path: Path, start: int) -> Rows:
    name, held = str(path), 0
    with _open(path) as handle, io.TextIOWrapper(handle, "utf-8", newline="") as text:
        lines = csv.reader(text, strict=True)
        try:
            header = next(lines, [])
            if len(set(header)) < len(header):
                raise DataError(f"{name}:1: two columns have one name: {', '.join(header)}")
            for fields in lines:
                if not fields:
                    continue
                if len(fields) != len(header):
                    raise DataError(
                        f"{name}:{lines.line_num}: expected {len(header)} fields, got {len(fields)}"
                    )
                held += 1
                if held > start:
                    yield Row(dict(zip(header, fields, strict=True)), name, lines.line_num)
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{name}:{lines.line_num}: not csv in UTF-8: {error}") from None
    return held


READERS: dict[str, Callable[[Path, int], Rows]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".parquet": parquet_rows,
}
