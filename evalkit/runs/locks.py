"""File locks: one process at a time in an output; a lock ends with its process."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rewards.errors import OutputExistsError


def lock(descriptor: int, path: Path) -> None:
    """Lock an open file or folder until it is closed, or the process ends.

    On a file system without locks, nothing is locked.

    Args:
        descriptor: The open file or folder.
        path: Its name in the error message.

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
    """Lock a folder against other processes within the block.

    Raises:
        OutputExistsError: Another process is in it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)
