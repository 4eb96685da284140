"""Steps of a longer run, each with a command line of its own that a killed run goes on from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """A step of the quickstart; it is done when `made` is there."""

    title: str
    made: Path
    make: Callable[[], None]
    command: str = ""
    """What a user types to do the same; empty where no command does it."""
    check: Callable[[], None] = field(default=lambda: None)
    """Run before a step that is done is passed over."""
