"""Estimates with their intervals as pages and terminals write them."""

from typing import Protocol

from evalkit.report.number_text import NONE, percent


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
