"""Claims on the questions that a process is asking, shared by all on one ledger: none is paid twice."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

_DIGITS = 15
"""Hexadecimal digits of a key, as many as a place in a file can have."""
_PRESENCE = 1 << 62
"""A place beyond all questions, which is shared by all who have the file open."""


class Claims:
    """Locks on places of a file beside the ledger, a place for each question.

    The system releases them when their process ends, however it ends, so that nothing has to be cleaned up.
    They keep processes apart, not threads. The last who closes the file removes it.
    """

    def __init__(self, ledger: str) -> None:
        """Open the file; a ledger in memory, which no other process has, needs none."""
        self._path = Path(f"{ledger}.claims")
        self._file = None if ledger == ":memory:" else _opened(self._path)

    def take(self, key: str) -> bool:
        """Claim a question; False where another process is asking it."""
        return self._file is None or _locked(self._file, int(key[:_DIGITS], 16))

    def release(self, key: str) -> None:
        """Release a claim."""
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, int(key[:_DIGITS], 16))

    def close(self) -> None:
        """Release all claims."""
        if self._file is not None:
            if _locked(self._file, _PRESENCE):
                self._path.unlink(missing_ok=True)
            self._file.close()


def _opened(path: Path) -> IO[bytes]:
    while True:
        file = path.open("a+b")
        fcntl.lockf(file, fcntl.LOCK_SH, 1, _PRESENCE)
        # Another process may have removed it between the two, and a third made a new one.
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        file.close()


def _locked(file: IO[bytes], place: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except (BlockingIOError, PermissionError):
        return False
    return True
