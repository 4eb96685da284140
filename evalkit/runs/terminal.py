"""How every command prints: results on standard output, progress and warnings on standard error."""

import sys
from typing import TYPE_CHECKING, TextIO

from rewards.progress import progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["progress", "say", "show", "terminal", "warn"]

WIDE = 160
"""Characters of a line where the output is no terminal, which has no edge to wrap at."""


def terminal(file: TextIO | None = None) -> "Console":
    """Return a console that takes no part of a text for markup or an emoji, as in `openai:m:` or `[bold]`.

    Args:
        file: Where it prints; standard output by default.
    """
    from rich.console import Console

    console = Console(file=file, emoji=False, markup=False, highlight=False)
    if console.is_terminal:
        return console
    return Console(file=file, emoji=False, markup=False, highlight=False, width=WIDE)


def say(text: str = "") -> None:
    """Print a sentence as it is, however long, on standard output."""
    sys.stdout.write(f"{text}\n")


def show(*renderables: "RenderableType") -> None:
    """Print tables and texts of Rich on standard output."""
    console = terminal()
    for one in renderables:
        console.print(one)


def warn(text: str) -> None:
    """Print a sentence as it is, however long, on standard error."""
    sys.stderr.write(f"{text}\n")
