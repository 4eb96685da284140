"""The completion cache, an SQLite file: runs resume, and no completion is sampled twice."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from evalkit.runs.files import configuration_hash
from rewards.errors import DataError
from rewards.records import text_hash

APPLICATION = 0x65766B72
"""SQLite's application_id of a cache: `evkr`."""
VERSION = 1
"""SQLite's user_version of a cache; another one has other tables."""
PATIENCE = 60.0
"""Seconds to wait while another process writes."""
TABLES = (
    "CREATE TABLE settings (key TEXT PRIMARY KEY, text TEXT NOT NULL)",
    "CREATE TABLE completions (settings TEXT NOT NULL, prefix BLOB NOT NULL, round INTEGER NOT NULL, "
    "samples TEXT NOT NULL, PRIMARY KEY (settings, prefix, round)) WITHOUT ROWID",
)


class Completion(NamedTuple):
    """A completion of a prefix, and whether it was truncated at its most tokens."""

    text: str
    cut: bool


class RolloutCache:
    """Completions of prefixes, round by round.

    The key is the hash of the prefix, prompt included, and `settings` (policy, sampling settings, seed).
    Several runs may use one file, also at once.

    Args:
        path: The file, created if missing.
        settings: The rest of the key, beside prefix, round and number in the round.

    Raises:
        DataError: The file is not such a cache, is damaged, or cannot be written.
    """

    def __init__(self, path: str, settings: Mapping[str, object]) -> None:
        self.path = path
        self._key = configuration_hash(settings)
        if Path(path).is_dir():
            raise DataError(f"cache {path}: is a folder; name another file with --cache")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            self._connection = sqlite3.connect(path, PATIENCE, isolation_level=None)
        try:
            with self._explained():
                self._prepare(json.dumps(settings, sort_keys=True, default=str))
        except DataError:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._connection.close()

    def get(self, prefix: str, turn: int, n: int) -> list[Completion] | None:
        """Return the first n completions of a round, None where fewer are there."""
        question = "SELECT samples FROM completions WHERE settings = ? AND prefix = ? AND round = ?"
        with self._explained():
            row = self._connection.execute(question, (self._key, _digest(prefix), turn)).fetchone()
        samples = json.loads(row[0]) if row else []
        return [Completion(text, cut) for text, cut in samples[:n]] if len(samples) >= n else None

    def put(self, prefixes: Sequence[str], turn: int, samples: Sequence[Sequence[Completion]]) -> None:
        """Store completions of a round, all or none; they are on disk when this returns."""
        rows = [
            (self._key, _digest(prefix), turn, json.dumps(list(own)))
            for prefix, own in zip(prefixes, samples, strict=True)
        ]
        with self._explained(), self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO completions VALUES (?, ?, ?, ?)", rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.rollback()

    def _prepare(self, settings: str) -> None:
        with self._transaction():
            identity = tuple(
                self._connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("application_id", "user_version")
            )
            (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if (*identity, tables) == (0, 0, 0):
                for table in TABLES:
                    self._connection.execute(table)
                self._connection.execute(f"PRAGMA application_id = {APPLICATION}")
                self._connection.execute(f"PRAGMA user_version = {VERSION}")
            elif identity != (APPLICATION, VERSION):
                raise DataError(
                    f"cache {self.path}: is another program's SQLite file, or of another version; "
                    "name another file with --cache"
                )
            self._connection.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (self._key, settings))
        # A commit waits for the disk, so that a power cut loses no completion either.
        self._connection.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"cache {self.path}: cannot be used as a file of completions: {error}; "
                "name another file with --cache"
            ) from None


def _digest(prefix: str) -> bytes:
    return text_hash(prefix, 16)
