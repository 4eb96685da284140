"""One process at a time in an output, by locks that end with their process."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rewards.errors import OutputExistsError


def lock(descriptor: int, path: Path) -> None:
    """Lock an open file or folder until it is closed, by the process's end at the latest.

    A file system without locks is used without them.

    Args:
        descriptor: The open file or folder.
        path: What the error calls it.

    Raises:
        OutputExistsError: Another process has the lock.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputExistsError(
            f"{path}: another process is writing it; wait for that one, or name another --out"
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder while the block runs.

    Raises:
        OutputExistsError: Another process is in it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)
