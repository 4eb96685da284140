"""Progress of a long computation: a bar on a terminal, elsewhere a line every 30 seconds or 5 %."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn, TaskID

SECONDS, SHARE = 30.0, 0.05
"""Seconds and share of the work after which a line is written, whichever comes first."""

LEAST_SECONDS = 10.0
"""Minimum seconds before the first line and between lines."""


class Progress:
    """Counts finished units of a computation, and shows the progress.

    Attributes:
        done: Units done so far.
    """

    def __init__(
        self, title: str, total: int | None, done: int, unit: str, stream: TextIO, bar: "Bar | None" = None
    ) -> None:
        self.done = done
        self._title, self._total, self._unit, self._note = title, total, unit, ""
        self._stream, self._bar = stream, bar
        if bar is not None:
            self._task: TaskID = bar.add_task(title, total=total, completed=done)
        self._begun = self._line_at = time.monotonic()
        self._done_before = self._done_at_line = done

    def advance(self, number: int = 1, note: str = "") -> None:
        """Count more units as done.

        Args:
            number: How many.
            note: Text beside the count, such as `loss 0.31`; empty keeps the last.
        """
        self.done += number
        self._note = note or self._note
        if self._bar is not None:
            description = f"{self._title} {self._note}".rstrip()
            self._bar.update(self._task, completed=self.done, description=description)
        elif self._due():
            self._stream.write(f"{self._line()}\n")
            self._stream.flush()
            self._line_at, self._done_at_line = time.monotonic(), self.done

    def _due(self) -> bool:
        waited = time.monotonic() - self._line_at
        share = (self.done - self._done_at_line) / self._total if self._total else 0.0
        return waited >= LEAST_SECONDS and (waited >= SECONDS or share >= SHARE)

    def _line(self) -> str:
        seconds = time.monotonic() - self._begun
        count = f"{self._title}: {self.done:,}"
        if self._total:
            count += f" of {self._total:,}"
        parts = [f"{count} {self._unit}".rstrip()]
        if self._total:
            parts.append(f"{self.done / self._total:.0%}")
        parts.append(f"{_clock(seconds)} so far")
        made = self.done - self._done_before
        if self._total and made > 0 and self.done < self._total:
            parts.append(f"about {_clock(seconds / made * (self._total - self.done))} to go")
        return ", ".join([*parts, self._note] if self._note else parts)


@contextmanager
def progress(
    title: str, total: int | None = None, *, done: int = 0, unit: str = "", stream: TextIO | None = None
) -> Iterator[Progress]:
    """Show the progress of the block.

    On a terminal a bar is drawn, and removed when the block ends; elsewhere (a file, a batch system) a line
    is written every 30 seconds or 5 %, but none in the first 10 seconds.

    Args:
        title: Title of the computation, such as `scoring`.
        total: Total units; None if not known.
        done: Units that an earlier run has done.
        unit: Noun for the units, in the plural.
        stream: Output stream; standard error by default.
    """
    stream = stream or sys.stderr
    if not stream.isatty():
        yield Progress(title, total, done, unit, stream)
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(file=stream, emoji=False, markup=False, highlight=False)
    # Results printed while the bar is shown appear above it, unless they go to a file.
    above = sys.stdout.isatty()
    with Bar(*_columns(total), console=console, transient=True, redirect_stdout=above) as bar:
        yield Progress(title, total, done, unit, stream, bar)


def _columns(total: int | None) -> "list[ProgressColumn]":
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    title = TextColumn("{task.description}", markup=False)
    if total is None:
        return [SpinnerColumn(), title, TextColumn("{task.completed:,}", markup=False), TimeElapsedColumn()]
    return [title, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]


def _clock(seconds: float) -> str:
    """Return a duration as `12 s`, `3:07 min` or `1:02 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"
