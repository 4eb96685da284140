"""Rows of columnar sources: Parquet, folders saved by `datasets`, and data sets of the Hub."""

from collections.abc import Generator
from pathlib import Path
from urllib.parse import parse_qsl

from rewards.errors import ConfigError, DataError, MissingFileError
from rewards.files.rows import Row

BATCH = 1024
"""Rows turned into Python objects at a time."""

HUB_OPTIONS = ("split", "name", "revision")


def parquet_rows(path: Path, start: int) -> Generator[Row, None, int]:
    """Yield a Parquet file's rows after the first `start`, and return how many it has in all.

    Row groups that lie wholly before `start` are not read.

    Raises:
        DataError: It is not a Parquet file.
    """
    import pyarrow
    import pyarrow.parquet

    source = str(path)
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{source}: not Parquet: {_first_line(error)}") from None
    with file:
        total: int = file.metadata.num_rows
        number, group = 0, 0
        while group < file.num_row_groups and number + file.metadata.row_group(group).num_rows <= start:
            number += file.metadata.row_group(group).num_rows
            group += 1
        for batch in file.iter_batches(BATCH, row_groups=range(group, file.num_row_groups)):
            for values in batch.to_pylist():
                number += 1
                if number > start:
                    yield Row(values, source, number)
    return total


def is_saved_dataset(folder: Path) -> bool:
    """Return whether `datasets` saved this folder with `save_to_disk`."""
    return any((folder / name).exists() for name in ("state.json", "dataset_dict.json"))


def saved_rows(folder: Path, start: int) -> Generator[Row, None, int]:
    """Yield the rows of a folder saved by `datasets` after the first `start`, and return how many it has.

    Raises:
        DataError: The folder holds several splits; each is a folder in it that can be named instead.
    """
    from datasets import DatasetDict, load_from_disk

    saved = load_from_disk(str(folder))
    if isinstance(saved, DatasetDict):
        if len(saved) != 1:
            names = ", ".join(f"{folder}/{name}" for name in saved)
            raise DataError(f"{folder}: holds several splits; name one of {names}")
        (saved,) = saved.values()
    total: int = saved.num_rows
    number = min(start, total)
    for table in saved.select(range(number, total)).with_format("arrow").iter(BATCH):
        for values in table.to_pylist():
            number += 1
            yield Row(values, str(folder), number)
    return total


def hub_rows(source: str, start: int) -> Generator[Row, None, int]:
    """Yield the rows of `hub:OWNER/NAME?split=...` after the first `start`, and return how many there are.

    Nothing is downloaded ahead of the rows that are read.

    Raises:
        ConfigError: An option is not known, or the data set has several splits and none is named.
        MissingFileError: There is no such data set, or the Hub cannot be reached.
    """
    from datasets import load_dataset

    path, _, query = source.removeprefix("hub:").partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = [name for name in options if name not in HUB_OPTIONS]
    if unknown or not path:
        raise ConfigError(f"{source}: expected hub:OWNER/NAME with the options {', '.join(HUB_OPTIONS)}")
    try:
        rows = load_dataset(path, **options, streaming=True)
    except ValueError as error:
        raise ConfigError(f"{source}: {_first_line(error)}") from None
    except OSError as error:  # the data set is missing, or the connection is
        raise MissingFileError(f"{source}: {_first_line(error)}") from None
    if isinstance(rows, dict):
        if len(rows) != 1:
            raise ConfigError(
                f"{source}: name one of its splits: {', '.join(f'?split={name}' for name in rows)}"
            )
        (rows,) = rows.values()
    number = start
    for values in rows.skip(start) if start else rows:
        number += 1
        yield Row(dict(values), source, number)
    return number


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
