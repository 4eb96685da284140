"""Steps of a longer run: each makes a file, and is skipped once the file exists."""

import json
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from evalkit.runs.terminal import say, warn

LOG, SECONDS = "log.txt", "seconds.jsonl"
"""In the folder of a run: what its steps print, and how long each took."""


@dataclass(frozen=True)
class Step:
    """A step of a run; it is done when `made` exists."""

    title: str
    made: Path
    make: Callable[[], None]
    command: str = ""
    """The equivalent shell command; empty where there is none."""
    check: Callable[[], None] = field(default=lambda: None)
    """Run before a finished step is skipped."""


def run_steps(steps: Iterable[Step], folder: Path) -> None:
    """Run the unfinished steps in order; their output goes to the folder's log.

    Args:
        steps: In dependency order: each reads only files of earlier steps.
        folder: Where the log and the wall-clock seconds of each step are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("a", encoding="utf-8") as log:
        for step in steps:
            if step.made.exists():
                step.check()
                continue
            say(f"{folder}: {step.title}")
            began = perf_counter()
            log.write(f"\n# {step.title}\n" + (f"$ {step.command}\n" if step.command else ""))
            try:
                with redirect_stdout(log), redirect_stderr(log):
                    step.make()
            except SystemExit as stop:
                warn(f"{step.title}: stopped with {stop.code}; {folder / LOG} ends with the reason")
                raise
            with (folder / SECONDS).open("a", encoding="utf-8") as times:
                seconds = round(perf_counter() - began, 1)
                times.write(json.dumps({"step": step.title, "seconds": seconds}) + "\n")
