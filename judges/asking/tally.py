"""Tally, the counts of a run of questions so far, for progress reports."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from judges.questions.question import Attempt
from judges.usage import NO_USAGE, Usage


@dataclass
class Tally:
    """Counts of a run so far. They are of one process; the ledger has those of all."""

    from_ledger: int = 0
    """Questions that the ledger had answered."""
    failed_before: int = 0
    """Questions that failed before and were not retried."""
    asked: int = 0
    """Questions submitted."""
    skipped: int = 0
    """Questions skipped for lack of budget."""
    states: Counter[str] = field(default_factory=Counter)
    """Questions by state: ok, parse_failed, refused, api_failed."""
    calls: int = 0
    """Calls made, further tries included."""
    overloads: int = 0
    """Calls rejected by a rate limit, or timed out."""
    in_flight: int = 0
    usage: Usage = NO_USAGE
    """Of all replies received."""
    stopping: bool = False
    """Whether the run only waits for the calls in flight."""
    _began: float | None = None

    @property
    def received(self) -> int:
        """Questions with a state other than skipped."""
        return self.states.total()

    def calls_per_second(self) -> float:
        """Return the calls made in a second since the first; 0 before it."""
        passed = 0.0 if self._began is None else time.monotonic() - self._began
        return self.calls / passed if passed else 0.0

    def begin_call(self) -> None:
        """Count a call that is sent now."""
        self._began = time.monotonic() if self._began is None else self._began
        self.calls += 1
        self.in_flight += 1

    def record(self, attempts: Sequence[Attempt]) -> None:
        """Count attempts that were recorded."""
        for attempt in attempts:
            self.states[attempt.state] += 1
            self.usage += attempt.usage
