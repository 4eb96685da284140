"""A database that one writes to at a time: SQLite's file or PostgreSQL's server, opened and checked."""

import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from sqlalchemy import (
    Connection,
    Engine,
    bindparam,
    create_engine,
    event,
    func,
    insert,
    inspect,
    make_url,
    select,
)
from sqlalchemy import text as sql
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from judges.human.database.failures import StoreUnavailableError, masked, retried, telling
from judges.human.database.schema import METADATA, STORE, VERSION
from rewards.errors import ConfigError, DataError, MissingExtraError, MissingFileError

PATIENCE = 30.0
"""Seconds for which a writer waits for the others."""

_TRIES = 8
_CREATING = 7_310_528
"""Number of PostgreSQL's lock under which tables are made; any that others do not use."""

_QUEUE = select(
    STORE.c.id, func.set_config("idle_in_transaction_session_timeout", bindparam("patience"), True)
).with_for_update()
"""Makes PostgreSQL's writers wait for each other, of all processes; each reads what the last one wrote."""

T = TypeVar("T")


def store_url(url: str) -> URL:
    """Return the URL of a database of labels; a plain path is a SQLite file.

    Raises:
        ConfigError: It is no URL, of another kind of database, or of one that is only in memory.
    """
    if "://" not in url:
        if not url or url == ":memory:":
            raise ConfigError(f"labels are kept in a file or on a server, got {url!r}")
        return URL.create("sqlite", database=url)
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        # The text is not told: a password may be anywhere in it.
        raise ConfigError(
            "the database is a file or a URL such as postgresql://USER:PASSWORD@HOST/NAME, "
            "special characters of the password as %40"
        ) from None
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise ConfigError(f"labels are kept in a file or on a server, got {url!r}")
        if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
            raise ConfigError(f"SQLite goes by Python's driver, sqlite:///..., got {parsed.drivername}")
        return parsed
    if backend in ("postgresql", "postgres"):
        # Whichever driver is named: the errors of this one are understood, and the extra installs it.
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigError(f"labels are kept in SQLite or PostgreSQL, got a database of {backend}")


class Turns:
    """Lets threads in one at a time, in the order in which they came."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._guard = threading.Lock()
        self._busy = False
        self._waiting: deque[threading.Event] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._busy:
                self._busy = True
                return
            mine = threading.Event()
            self._waiting.append(mine)
        try:
            mine.wait(self._patience)
        finally:
            # Also an interrupted thread leaves the queue: a turn given to it would end with it.
            with self._guard:
                late = mine in self._waiting
                if late:
                    self._waiting.remove(mine)
        if late:
            raise StoreUnavailableError("too many want to write at once; wait and try again")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._busy = False


class Database:
    """The connections to one store; every reading and every writing is a transaction of its own."""

    def __init__(self, url: str, create: bool = True) -> None:
        self.url = store_url(url)
        self.name = masked(self.url)
        self._sqlite = self.url.get_backend_name() == "sqlite"
        self._turns = Turns()
        self._opening = True
        if self._sqlite and not create and not Path(str(self.url.database)).exists():
            raise self._missing()
        self._engine = _engine(self.url, self._sqlite)
        self._driver_error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        with ExitStack() as failed:
            failed.callback(self._engine.dispose)
            self._open(create)
            failed.pop_all()
        self._opened = self._file()
        self._opening = False

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection to read by; on SQLite all it reads is of one moment, and it never waits."""
        self._check_file()
        with telling(self.url, self._opening, self._driver_error), self._engine.begin() as connection:
            yield connection

    def write(self, action: Callable[[Connection], T]) -> T:
        """Do something in one transaction, alone; it is on the disk when this returns.

        Args:
            action: Is done again where another transaction was in its way.
        """
        with telling(self.url, self._opening, self._driver_error), self._turns:
            for tried in range(_TRIES):
                try:
                    return self._written(action)
                except DBAPIError as error:
                    if not retried(error) or tried + 1 == _TRIES:
                        raise
                time.sleep(random.uniform(0, 0.01 * 2**tried))
        raise AssertionError("the last try returned or raised")

    def _written(self, action: Callable[[Connection], T]) -> T:
        self._check_file()
        with self._engine.connect() as plain:
            connection = plain.execution_options(writes=True)
            with connection.begin():
                if not self._sqlite:  # whose writers queue at their BEGIN IMMEDIATE
                    # A process that hangs in the middle must not hold up the others for ever.
                    connection.execute(_QUEUE, {"patience": f"{PATIENCE * 1000:.0f}ms"})
                return action(connection)

    def _check_file(self) -> None:
        # SQLite goes on writing to a file that was deleted or replaced, and what it writes ends with it.
        if not self._opening and self._file() != self._opened:
            raise StoreUnavailableError(
                f"{self.name}: its file was deleted, moved or replaced; put it back and start again"
            )

    def _file(self) -> tuple[int, int] | None:
        if not self._sqlite:
            return None
        try:
            found = Path(str(self.url.database)).stat()
        except OSError:  # also the `file:` of a SQLite URI, which is no path
            return None
        return found.st_dev, found.st_ino

    def _open(self, create: bool) -> None:
        with telling(self.url, True, self._driver_error):
            version = self._version()
            if version is None and not create:
                raise self._missing()
            if version is None:
                self._create()
                version = self._version()
        if version != VERSION:
            raise DataError(
                f"{self.name}: a store of version {version}, this evalkit writes {VERSION}; "
                "export its labels with the evalkit that made it, and import them into a new store"
            )
        # A database that takes no writes is refused now, not at somebody's first answer.
        self.write(lambda connection: connection.execute(STORE.update().values(version=VERSION)))

    def _missing(self) -> MissingFileError:
        return MissingFileError(
            f"{self.name}: no such store of labels; `evalkit annotate --data FILE` makes one"
        )  # fmt: skip

    def _version(self) -> int | None:
        with self._engine.connect() as connection:
            names = set(inspect(connection).get_table_names())
            if STORE.name not in names:
                ours = names & set(METADATA.tables)
                if ours or (names and self._sqlite):
                    raise DataError(
                        f"{self.name}: it holds other tables ({', '.join(sorted(ours or names)[:3])}) and no "
                        "labels; name another database"
                    )
                return None
            return connection.execute(sql(f"SELECT version FROM {STORE.name}")).scalar()

    def _create(self) -> None:
        with self._engine.connect() as plain:
            connection = plain.execution_options(writes=True)
            with connection.begin():
                if not self._sqlite:
                    connection.execute(sql("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _CREATING})
                if inspect(connection).has_table(STORE.name):
                    return
                METADATA.create_all(connection, checkfirst=False)
                connection.execute(insert(STORE).values(id=1, version=VERSION, answers=0, wanted=0))


def _engine(url: URL, sqlite: bool) -> Engine:
    settings: dict[str, Any] = {"connect_args": {"timeout": PATIENCE}} if sqlite else {}
    if not sqlite:
        settings = {"isolation_level": "READ COMMITTED", "pool_pre_ping": True}
        settings["connect_args"] = {"connect_timeout": 10}
    try:
        # hide_parameters: a traceback or a log must not hold a token or an answer.
        engine = create_engine(
            url,
            pool_size=10,
            max_overflow=30,
            pool_timeout=PATIENCE,
            pool_use_lifo=True,
            hide_parameters=True,
            **settings,
        )
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "psycopg", "postgres") from error
    event.listen(engine, "connect", _set_up_sqlite if sqlite else _set_up_postgres)
    if sqlite:
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _: object) -> None:  # noqa: ANN401 - any driver's
    # The driver's own idea of when a transaction begins is switched off; _begin_sqlite says it.
    connection.isolation_level = None
    _write_ahead(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _write_ahead(connection: Any) -> None:  # noqa: ANN401 - any driver's
    # SQLite waits for nobody when it changes the mode, which others may be doing at this moment.
    end = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(random.uniform(0.001, 0.02))


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_up_postgres(connection: Any, _: object) -> None:  # noqa: ANN401 - any driver's
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{PATIENCE * 1000:.0f}ms'")
    connection.commit()
