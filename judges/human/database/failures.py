"""Errors of a store of labels, in one line with the remedy, and never with a password."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError

from rewards.errors import ConfigError, DataError, EvalkitError


class NotGivenError(EvalkitError, LookupError):
    """A handle of no task that this annotator was given."""


class NonceReusedError(EvalkitError, ValueError):
    """A nonce that named another act before."""


class AlreadyAnsweredError(EvalkitError, ValueError):
    """A task that this annotator answered or skipped before, and did not take back."""


class StoreUnavailableError(EvalkitError, ConnectionError):
    """The database cannot do it now: its disk is full, it is locked, or gone; nothing is half-written."""


class _Failure(NamedTuple):
    opening: type[ConfigError] | type[DataError]
    """What it is as a store is opened; in a store that was open it is a StoreUnavailableError."""
    told: str


_FAILURES = {
    "SQLITE_FULL": _Failure(ConfigError, "the disk is full; make room there"),
    "SQLITE_IOERR": _Failure(ConfigError, "the disk does not take it ({text}); make room or look after it"),
    "SQLITE_BUSY": _Failure(ConfigError, "another program holds it; end that, or wait and try again"),
    "SQLITE_LOCKED": _Failure(ConfigError, "another program holds it; end that, or wait and try again"),
    "SQLITE_READONLY": _Failure(ConfigError, "it is read-only; change its rights, or copy it to your own"),
    "SQLITE_PERM": _Failure(ConfigError, "it is read-only; change its rights, or copy it to your own"),
    "SQLITE_CANTOPEN": _Failure(ConfigError, "it cannot be opened; name a file in a folder of your own"),
    "SQLITE_NOTADB": _Failure(DataError, "it is no SQLite database; name another file"),
    "SQLITE_CORRUPT": _Failure(DataError, "it is damaged; go back to a copy of it"),
    "53100": _Failure(ConfigError, "the server's disk is full; make room there"),
    "53": _Failure(ConfigError, "the server has no room ({text}); try again later"),
    "55P03": _Failure(ConfigError, "another program holds it; end that, or wait and try again"),
    "57014": _Failure(ConfigError, "the server took too long; wait and try again"),
    "40": _Failure(ConfigError, "others write to it all the time; wait and try again"),
    "25P03": _Failure(ConfigError, "the server gave up on a process that hung; try again"),
    "25006": _Failure(ConfigError, "it is read-only; name a server that takes writes"),
    "28": _Failure(ConfigError, "the server refuses the name or password; correct them in the URL"),
    "3D000": _Failure(ConfigError, "there is no such database; make it first, with createdb"),
    "42501": _Failure(ConfigError, "the server gives no right to it ({text}); ask its owner for it"),
}
"""By the beginning of SQLite's name of the error, or of PostgreSQL's SQLSTATE."""

_UNREACHABLE = _Failure(ConfigError, "the database cannot be reached ({text}); see that it runs")


def masked(url: URL) -> str:
    """Return a URL for people to read: nothing secret in it."""
    if url.get_backend_name() == "sqlite" and not url.query and url.database:
        return url.database
    secret = [name for name in url.query if re.search("pass|secret|key|token", name, re.IGNORECASE)]
    return url.update_query_dict(dict.fromkeys(secret, "***")).render_as_string(hide_password=True)


def retried(error: DBAPIError) -> bool:
    """Say whether the same transaction may succeed when it is tried again: it met another's."""
    return getattr(error.orig, "sqlstate", None) in ("40001", "40P01")


@contextmanager
def telling(url: URL, opening: bool, driver_error: type[Exception]) -> Iterator[None]:
    """Tell what the database says in one line; what only a mistake in this package explains stays as it is.

    Args:
        url: Of the database.
        opening: Whether the store is just being opened.
        driver_error: The base of the driver's errors, which come bare out of a connection's setting up.
    """
    try:
        yield
    except TimeoutError:  # of the pool of connections
        raise StoreUnavailableError(f"{masked(url)}: it is too busy; wait and try again") from None
    except (DBAPIError, driver_error) as error:
        failure = _failure(error)
        if failure is None:
            raise
        kind = failure.opening if opening else StoreUnavailableError
        raise kind(f"{masked(url)}: {failure.told.format(text=_text(error, url))}") from None


def _failure(error: Exception) -> _Failure | None:
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
    for begin, failure in _FAILURES.items():
        if code.startswith(begin):
            return failure
    refused = isinstance(error, DBAPIError) and re.search(
        'password authentication failed|no password supplied|role ".*" (does not exist|is not permitted)',
        str(cause),
    )
    if refused:
        return _FAILURES["28"]
    if 'FATAL:  database "' in str(cause):
        return _FAILURES["3D000"]
    if re.search("invalid connection option|invalid URI query parameter", str(cause)):
        return _Failure(ConfigError, "the URL has an option of no meaning here ({text}); leave it out")
    lost = isinstance(error, OperationalError | InterfaceError) or code[:2] in ("08", "57")
    return _UNREACHABLE if lost and not code.startswith("SQLITE_ERROR") else None


def _text(error: Exception, url: URL) -> str:
    text = str(error.orig if isinstance(error, DBAPIError) else error).strip() or type(error).__name__
    line = text.splitlines()[0]
    for secret in (url.password, *(url.query[name] for name in url.query if "pass" in name.lower())):
        if secret:
            line = line.replace(str(secret), "***")
    return line
