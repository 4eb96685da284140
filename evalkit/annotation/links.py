"""Personal links: printed, or written to a file that only its owner can read."""

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from evalkit.runs import say
from rewards.errors import OutputExistsError

OWNER_ONLY = 0o600


def check_free(path: str) -> None:
    """Refuse a file that exists or cannot be created, before links are made that would be lost.

    Raises:
        OutputExistsError: The file exists; it may hold links that cannot be made again.
        OSError: It cannot be created.
    """
    if not path:
        return
    if Path(path).exists():
        raise OutputExistsError(f"{path}: exists, and links in it cannot be made again; give another --links")
    _own_file(path).close()
    Path(path).unlink()


def hand_out(links: Iterable[tuple[str, str]], path: str) -> list[str]:
    """Write a line for each link as it is made, so that a kill loses none; return the names.

    Args:
        links: Names and their links, each made when iterated.
        path: File to write, created with the first link; empty prints the links.

    Raises:
        OutputExistsError: The file is there.
    """
    names: list[str] = []
    with ExitStack() as closing:
        file = None
        for name, link in links:
            if not names:
                where = f" are written to {path}, which you alone can read" if path else ""
                say(f"Personal links{where}:")
                file = closing.enter_context(_own_file(path)) if path else None
            names.append(name)
            if file is None:
                say(f"  {name}: {link}")
            else:
                say(f"  {name}")
                file.write(f"{name}\t{link}\n")
                file.flush()
                os.fsync(file.fileno())
    return names


def _own_file(path: str) -> TextIO:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError:
        raise OutputExistsError(
            f"{path}: exists; give another --links, and evalkit labels invite --renew makes the links"
        ) from None
    return os.fdopen(descriptor, "w", encoding="utf-8")
