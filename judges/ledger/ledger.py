"""Ledger, every attempt at a question ever made, in one SQLite file: resume, pay once, reuse no failure."""

import hashlib
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any, Self, TypeVar

from judges.ledger.file import explained, open_ledger, transaction
from judges.ledger.rows import (
    ATTEMPT_COLUMNS,
    Recorded,
    attempt_of,
    attempt_values,
    exported,
    imported,
    question_values,
    unstored,
)
from judges.questions.question import Attempt, Question
from rewards.errors import ConfigError, DataError
from rewards.files import Row

T = TypeVar("T")

CHUNK = 500
"""Keys that one query looks up, and rows that one transaction imports."""

_ADD_QUESTION = (
    "INSERT OR IGNORE INTO questions (key, judge, endpoint, characters, text) VALUES (?, ?, ?, ?, ?)"
)
_ADD_ATTEMPT = (
    f"INSERT INTO attempts (uid, question, {ATTEMPT_COLUMNS}) "
    "VALUES (?, (SELECT id FROM questions WHERE key = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (uid) DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class MeasuredUsage:
    """Total usage of a judge's answers, where the endpoint counted tokens: the basis of estimates."""

    calls: int
    characters: int
    """Of all messages sent."""
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    seconds: float
    """Of the `timed` calls, each from sending to the whole reply."""
    timed: int
    """Calls whose time is known; a batch's is not."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions submitted to an endpoint together, with replies not collected yet."""

    name: str
    """The endpoint's name of it."""
    judge: str
    endpoint: str
    keys: tuple[str, ...]
    time: str
    """When it was handed over, ISO 8601, UTC."""


class Ledger:
    """Questions, keyed by content, and every attempt at them; nothing is ever changed or deleted.

    Threads may share one; processes may open the same file, whose writers wait for one another. The keys of
    accounts are no part of a question and so are never stored. While it is open, and after a process was
    killed, the newest entries stand in FILE-wal: copy a ledger only when it is closed.
    """

    def __init__(self, path: str | Path = ":memory:") -> None:
        """Open a ledger, a new one where there is no file.

        Args:
            path: SQLite file; `:memory:` keeps nothing.

        Raises:
            DataError: The file is no ledger, of another version, damaged, or cannot be written.
        """
        self.path = str(path)
        self._connection = open_ledger(self.path)
        self._lock = RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; again does nothing."""
        with self._lock, explained(self.path):
            self._connection.close()

    def record(self, pairs: Sequence[tuple[Question, Attempt]], batch: str = "") -> int:
        """Add attempts and their questions; all of them are on the disk when this returns.

        Args:
            pairs: Each attempt with its question.
            batch: Name of the batch that brought them, which brings an attempt at a question once, however
                often it is collected; empty is none.

        Returns:
            How many were added.

        Raises:
            ConfigError: An attempt is not its question's.
            DataError: The file cannot be written.
        """
        return self._add([Recorded(_uid(question, batch), question, attempt) for question, attempt in pairs])

    def answers(self, keys: Iterable[str]) -> dict[str, Attempt]:
        """Return the ok attempt, the first where there are several, of each question that has one."""
        return self._look_up("answers", keys)

    def failures(self, keys: Iterable[str]) -> dict[str, Attempt]:
        """Return the latest attempt of each question that was tried and has no answer."""
        return self._look_up("failures", keys)

    def questions(self, keys: Iterable[str]) -> dict[str, Question]:
        """Return the questions of keys, those that the ledger holds."""
        questions: dict[str, Question] = {}
        for some in _chunks(dict.fromkeys(keys)):
            sql = f"SELECT key, text FROM questions WHERE key IN ({_places(some)})"
            questions.update((key, Question.from_text(unstored(text))) for key, text in self._rows(sql, some))
        return questions

    def counts(self) -> Mapping[str, int]:
        """Return the number of attempts in each state, 0 for a state that has none."""
        return Counter(dict(self._rows("SELECT state, count(*) FROM attempts GROUP BY state")))

    def measured(self, judge: str) -> MeasuredUsage | None:
        """Return the usage of a judge's answers, None if no endpoint counted their tokens."""
        sql = (
            "SELECT count(*), sum(characters), sum(tokens_in), sum(tokens_cached), sum(tokens_out), "
            "total(latency), count(latency) FROM questions JOIN attempts ON question = questions.id "
            "WHERE state = 'ok' AND judge = ? AND tokens_in > 0"
        )
        (totals,) = self._rows(sql, [judge])
        return MeasuredUsage(*totals) if totals[0] else None

    def add_questions(self, questions: Sequence[Question]) -> None:
        """Add questions before they are tried, such as those of a batch, to read its replies by."""
        with self._writing() as connection:
            connection.executemany(_ADD_QUESTION, map(question_values, questions))

    def add_batch(self, name: str, endpoint: str, judge: str, keys: Sequence[str]) -> None:
        """Record that questions were submitted to an endpoint as a batch.

        Raises:
            ConfigError: There is a batch of that name.
        """
        sql = "INSERT INTO batches (name, judge, endpoint, time) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        with self._writing() as connection:
            added = connection.execute(sql, (name, judge, endpoint, _now()))
            if not added.rowcount:
                raise ConfigError(f"ledger {self.path}: there is a batch {name!r} already")
            rows = ((added.lastrowid, key) for key in keys)
            connection.executemany("INSERT INTO batch_keys (batch, key) VALUES (?, ?)", rows)

    def open_batches(self, endpoint: str, judge: str) -> list[Batch]:
        """Return the batches that were not closed, the oldest first."""
        sql = (
            "SELECT id, name, time FROM batches WHERE endpoint = ? AND judge = ? "
            "AND id NOT IN (SELECT batch FROM batch_ends) ORDER BY id"
        )
        batches = []
        for number, name, time in self._rows(sql, [endpoint, judge]):
            keys = self._rows("SELECT key FROM batch_keys WHERE batch = ? ORDER BY rowid", [number])
            batches.append(Batch(name, judge, endpoint, tuple(key for (key,) in keys), time))
        return batches

    def close_batch(self, name: str, status: str) -> None:
        """Record the final status of a batch, such as `completed` or `expired`; the first one stands.

        Raises:
            ConfigError: There is no such batch.
        """
        sql = "INSERT INTO batch_ends (batch, status, time) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        with self._writing() as connection:
            row = connection.execute("SELECT id FROM batches WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise ConfigError(f"ledger {self.path}: there is no batch {name!r}")
            connection.execute(sql, (*row, status, _now()))

    def export_rows(self) -> Iterator[dict[str, object]]:
        """Yield every attempt with its question as a row for JSON lines, in the order of recording.

        Batches are left out: their replies come to the ledger from which they were sent.
        """
        sql = (
            f"SELECT attempts.id, uid, key, text, {ATTEMPT_COLUMNS} FROM attempts "
            "JOIN questions ON questions.id = question WHERE attempts.id > ? ORDER BY attempts.id LIMIT ?"
        )
        last = 0
        # In pieces, so that neither memory nor a lock is held while the rows are used.
        while rows := self._rows(sql, [last, CHUNK]):
            for _, uid, key, text, *values in rows:
                yield exported(uid, unstored(text), self._attempt(key, values))
            last = rows[-1][0]

    def import_rows(self, rows: Iterable[Row | Mapping[str, object]]) -> int:
        """Add attempts that a ledger exported, and return how many were new here.

        What is here already is left, so that an import that stopped can be repeated; and the answer that
        a question has here stays its answer.

        Raises:
            DataError: A row is not an exported one; it names file, line and field.
        """
        recorded = (
            imported(row if isinstance(row, Row) else Row(dict(row), "import", number))
            for number, row in enumerate(rows, 1)
        )
        return sum(self._add(some) for some in _chunks(recorded))

    def _add(self, recorded: Sequence[Recorded]) -> int:
        for one in recorded:
            key = one.attempt.key
            if key != one.question.key:
                raise ConfigError(f"an attempt at question {key[:12]} is given with another question")
        if not recorded:
            return 0
        attempts = [(one.uid, one.attempt.key, *attempt_values(one.attempt)) for one in recorded]
        with self._writing() as connection:
            connection.executemany(_ADD_QUESTION, (question_values(one.question) for one in recorded))
            return connection.executemany(_ADD_ATTEMPT, attempts).rowcount

    def _look_up(self, view: str, keys: Iterable[str]) -> dict[str, Attempt]:
        attempts: dict[str, Attempt] = {}
        for some in _chunks(dict.fromkeys(keys)):
            sql = f"SELECT key, {ATTEMPT_COLUMNS} FROM {view} WHERE key IN ({_places(some)})"
            attempts.update((key, self._attempt(key, values)) for key, *values in self._rows(sql, some))
        return attempts

    def _attempt(self, key: str, values: Sequence[object]) -> Attempt:
        try:
            return attempt_of(key, values)
        except DataError as error:
            raise DataError(f"ledger {self.path}: {error}") from None

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock, explained(self.path):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, explained(self.path), transaction(self._connection):
            yield self._connection


def _uid(question: Question, batch: str) -> str:
    if not batch:
        return uuid.uuid4().hex
    text = f"{question.endpoint} {batch} {question.key}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    remaining = iter(items)
    while some := list(islice(remaining, CHUNK)):
        yield some


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
