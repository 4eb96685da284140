"""How every command prints: results on standard output, progress and warnings on standard error."""

import sys
from typing import TYPE_CHECKING, TextIO

from rewards.progress import progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

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
    """Print a sentence as it is, however long, on standard output, at once even where that is a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def show(*renderables: "RenderableType") -> None:
    """Print tables and texts of Rich on standard output.

    A column that may not be wrapped is not cut either, as a number that is cut is another number: a table of
    too many of them runs on over the edge of the terminal.
    """
    from rich.table import Table

    console = terminal()
    for one in renderables:
        if isinstance(one, Table):
            _keep_whole(one, console)
        console.print(one, crop=False)


def _keep_whole(table: "Table", console: "Console") -> None:
    unbounded = console.options.update(width=10_000)
    for column in table.columns:
        if column.no_wrap:
            cells = (column.header, *column.cells)
            column.min_width = max(console.measure(cell, options=unbounded).maximum for cell in cells)


def warn(text: str) -> None:
    """Print a sentence as it is, however long, on standard error."""
    sys.stderr.write(f"{text}\n")
