"""Printing for all commands: results on standard output, progress and warnings on standard error."""

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
    """Return a console without markup or emoji codes, so that `openai:m:` and `[bold]` print as they are.

    Args:
        file: Where it prints; standard output by default.
    """
    from rich.console import Console

    console = Console(file=file, emoji=False, markup=False, highlight=False)
    if console.is_terminal:
        return console
    return Console(file=file, emoji=False, markup=False, highlight=False, width=WIDE)


def say(text: str = "") -> None:
    """Print a sentence unwrapped on standard output, flushed at once even into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def show(*renderables: "RenderableType") -> None:
    """Print Rich tables and texts on standard output.

    A column that may not wrap is never truncated, as a truncated number is a wrong number: a wide table
    runs over the edge of the terminal.
    """
    from rich.table import Table

    console = terminal()
    for renderable in renderables:
        if isinstance(renderable, Table):
            _keep_whole(renderable, console)
        console.print(renderable, crop=False)


def _keep_whole(table: "Table", console: "Console") -> None:
    unbounded = console.options.update(width=10_000)
    for column in table.columns:
        if column.no_wrap:
            cells = (column.header, *column.cells)
            column.min_width = max(console.measure(cell, options=unbounded).maximum for cell in cells)


def warn(text: str) -> None:
    """Print a sentence unwrapped on standard error."""
    sys.stderr.write(f"{text}\n")
