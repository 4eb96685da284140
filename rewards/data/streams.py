"""Screened records from rows, one or several per row; an error names the row's file, line and id."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rewards.errors import DataError
from rewards.files import Row, Screen
from rewards.files.rows import holds_no_number
from rewards.records import Record

R = TypeVar("R", bound=Record)


def screened(rows: Iterable[Row], convert: Callable[[Row], Iterable[R]], screen: Screen) -> Iterator[R]:
    """Yield the records that pass the screen, in order.

    The screen counts records, not rows; a row that holds NaN counts once, as it is not converted.

    Raises:
        DataError: A row is broken, or fails a check whose rule is `error`; it names file, line and id.
    """
    waiting: deque[R] = deque()

    def one_row_a_record() -> Iterator[Row]:
        for row in rows:
            if any(map(holds_no_number, row.values.values())):
                yield row  # which the screen judges before it asks for the record
                continue
            for record in _named(row, convert):
                waiting.append(record)
                yield row

    yield from screen.records(one_row_a_record(), lambda _: waiting.popleft())


def id_of(row: Row) -> str:
    """Return a row's id, or else its file name and row number, `train.jsonl:12`."""
    return row.id() or f"{row.source.rsplit('/', 1)[-1]}:{row.number}"


def _named(row: Row, convert: Callable[[Row], Iterable[R]]) -> list[R]:
    try:
        return list(convert(row))
    except DataError as error:
        message = str(error)
        name = row.values.get("id")
        named = f"id {str(name)!r}"
        if name in (None, "") or named in message:
            raise
        raise DataError(f"{row.where}: {named}: {message.removeprefix(row.where + ': ')}") from None
