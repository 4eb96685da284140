"""Formats numbers and names for pages, figures and terminals; a dash where there is no number."""

import math
from collections.abc import Mapping
from typing import Protocol

from rewards.display import NONE, counted, decimal, percent, span

__all__ = [
    "NONE",
    "Interval",
    "counted",
    "decimal",
    "finite",
    "interval_text",
    "listed",
    "percent",
    "reasons",
    "shortened",
    "span",
]


def reasons(missing: Mapping[str, int]) -> str:
    """Return how many verdicts are missing and why, `0` where none is."""
    total = sum(missing.values())
    if not total:
        return "0"
    return f"{total:,} ({', '.join(f'{reason} {count:,}' for reason, count in missing.items())})"


def listed(names: list[str]) -> str:
    """Return names with commas and `and`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def finite(value: float | None) -> float | None:
    """Return a number for JSON, which has neither NaN nor infinity."""
    return None if value is None or not math.isfinite(value) else float(value)


def shortened(name: str, most: int = 30) -> str:
    """Return a name of at most so many characters: its two ends, where it is longer."""
    if len(name) <= most:
        return name
    half = (most - 3) // 2
    return f"{name[:half]}...{name[-half:]}"


class Interval(Protocol):
    """A mean with its interval."""

    @property
    def mean(self) -> float:
        """The estimate."""
        ...

    @property
    def low(self) -> float | None:
        """Lower end."""
        ...

    @property
    def high(self) -> float | None:
        """Upper end."""
        ...


def interval_text(estimate: Interval | None) -> str:
    """Return an estimate and its interval as percent, a dash where there is none."""
    if estimate is None:
        return NONE
    if estimate.low is None:
        return percent(estimate.mean)
    return f"{percent(estimate.mean)} ({percent(estimate.low)} to {percent(estimate.high)})"
