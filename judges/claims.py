"""Claims, which questions a process is asking now, told to others on one ledger: none is paid twice."""

import fcntl
from pathlib import Path
from typing import IO

_DIGITS = 15
"""Hexadecimal digits of a key, as many as a place in a file can have."""


class Claims:
    """Locks on places of a file beside the ledger, a place for each question.

    The system lifts them when their process ends, however it ends, so that nothing has to be cleared away.
    They keep processes apart, not threads.
    """

    def __init__(self, ledger: str) -> None:
        """Open the file; a ledger in memory, which no other process has, needs none."""
        self._file: IO[bytes] | None = None
        if ledger != ":memory:":
            self._file = Path(f"{ledger}.claims").open("ab")  # noqa: SIM115  # closed by `close`

    def take(self, key: str) -> bool:
        """Claim a question; False where another process is asking it."""
        if self._file is None:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(key[:_DIGITS], 16))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self, key: str) -> None:
        """Give a claim up."""
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, int(key[:_DIGITS], 16))

    def close(self) -> None:
        """Give all claims up."""
        if self._file is not None:
            self._file.close()
