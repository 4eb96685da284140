"""A ledger's file: its tables, where nothing is ever changed or deleted, and the errors of opening it."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from rewards.errors import DataError

APPLICATION = 0x65766B6C
"""SQLite's application_id of a ledger: `evkl`."""
VERSION = 1
"""SQLite's user_version of a ledger; another one has other tables."""

PATIENCE = 60.0
"""Seconds to wait while another process writes."""

APPEND_ONLY = ("questions", "attempts", "batches", "batch_keys", "batch_ends")

TABLES = """
CREATE TABLE questions (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    judge TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    characters INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    question INTEGER NOT NULL REFERENCES questions (id),
    state TEXT NOT NULL CHECK (state IN ('ok', 'parse_failed', 'refused', 'api_failed', 'skipped')),
    result TEXT NOT NULL,
    reply TEXT NOT NULL,
    detail TEXT NOT NULL,
    tokens_in INTEGER NOT NULL,
    tokens_cached INTEGER NOT NULL,
    tokens_out INTEGER NOT NULL,
    cost REAL,
    latency REAL,
    time TEXT NOT NULL
);
CREATE INDEX attempts_of_question ON attempts (question, state);
CREATE INDEX attempts_in_state ON attempts (state);
CREATE VIEW answers AS
    SELECT questions.key, attempts.* FROM questions JOIN attempts ON attempts.id = (
        SELECT min(id) FROM attempts WHERE question = questions.id AND state = 'ok'
    );
CREATE VIEW failures AS
    SELECT questions.key, attempts.* FROM questions JOIN attempts ON attempts.id = (
        SELECT max(id) FROM attempts WHERE question = questions.id
    ) WHERE NOT EXISTS (SELECT 1 FROM attempts WHERE question = questions.id AND state = 'ok');
CREATE TABLE batches (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    judge TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    time TEXT NOT NULL
);
CREATE TABLE batch_keys (batch INTEGER NOT NULL REFERENCES batches (id), key TEXT NOT NULL);
CREATE INDEX keys_of_batch ON batch_keys (batch);
CREATE TABLE batch_ends (
    batch INTEGER PRIMARY KEY REFERENCES batches (id),
    status TEXT NOT NULL,
    time TEXT NOT NULL
);
"""

_REMEDIES = {
    sqlite3.SQLITE_NOTADB: "is not a ledger (no SQLite file, or a damaged one); name another file",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore a copy, or save what is whole: sqlite3 FILE .recover",
    sqlite3.SQLITE_READONLY: "cannot be written; name a file in a folder where you may write",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; name a file in a folder where you may write",
    sqlite3.SQLITE_PERM: "cannot be opened; name a file in a folder where you may write",
    sqlite3.SQLITE_FULL: "has no room left on its disk; free some and go on, nothing recorded is lost",
    sqlite3.SQLITE_IOERR: "cannot be read or written; is its disk healthy and not a network's?",
    sqlite3.SQLITE_BUSY: "is held by another process; wait for it to end and go on",
    sqlite3.SQLITE_LOCKED: "is held by another process; wait for it to end and go on",
}


def open_ledger(path: str) -> sqlite3.Connection:
    """Open a ledger's file, with its tables where it is new.

    Raises:
        DataError: It is a folder, not a ledger, of another version, damaged, or cannot be written.
    """
    if path != ":memory:":
        _check_place(Path(path))
    with explained(path):
        connection = sqlite3.connect(path, PATIENCE, isolation_level=None, check_same_thread=False)
    with ExitStack() as opened:
        opened.callback(connection.close)
        with explained(path):
            _prepare(connection, path)
        opened.pop_all()
    return connection


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn SQLite's errors into DataError with the remedy."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        remedy = _REMEDIES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)  # the rest says only where
        if remedy is None:
            raise
        raise DataError(f"ledger {path}: {remedy} ({error})") from None


@contextmanager
def transaction(
    connection: sqlite3.Connection, kind: Literal["IMMEDIATE", "DEFERRED"] = "IMMEDIATE"
) -> Iterator[None]:
    """Write all or nothing, on the disk when the block ends; or, deferred, only read.

    A writer takes its lock at the beginning, since SQLite cannot wait for one that a reader asks for.
    """
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.rollback()


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"ledger {path}: is a folder; name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"ledger {path}: its folder cannot be made: {error.strerror}") from None


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    with transaction(connection, "DEFERRED"):  # one view of the file, which others may be creating
        new = _is_new(connection, path)
    if new:
        with transaction(connection):
            if _is_new(connection, path):  # no other process was quicker
                _create(connection)
    _into_write_ahead_mode(connection)
    # A commit waits for the disk, so that a power cut loses no reply that was paid for.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -65536")  # KiB: keys are spread over the whole index


def _is_new(connection: sqlite3.Connection, path: str) -> bool:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (held,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, version, held) == (0, 0, 0):
        return True
    if application != APPLICATION:
        raise DataError(f"ledger {path}: is another program's SQLite file; name another file")
    if version != VERSION:
        raise DataError(
            f"ledger {path}: is of version {version}, and version {VERSION} is read here; export it with the "
            "evalkit that wrote it and import that into a new file"
        )
    return False


def _create(connection: sqlite3.Connection) -> None:
    for statement in TABLES.split(";"):
        connection.execute(statement)
    for table in APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            connection.execute(
                f"CREATE TRIGGER {table}_{change.lower()} BEFORE {change} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'a ledger is only ever added to'); END"
            )
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _into_write_ahead_mode(connection: sqlite3.Connection) -> None:
    """Let others read while one writes; SQLite does not wait by itself where two ask for it at once."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
        time.sleep(0.02)
