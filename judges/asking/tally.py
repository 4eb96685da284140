"""Tally, what a run of questions has come to so far, for whoever watches it."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from judges.questions.question import Attempt
from judges.usage import NO_USAGE, Usage


@dataclass
class Tally:
    """What asking has come to so far. Numbers of one process; the ledger has those of all."""

    from_ledger: int = 0
    """Questions that the ledger had answered."""
    failed_before: int = 0
    """Questions of which the ledger says that they failed, and which were left at that."""
    asked: int = 0
    """Questions handed over to be asked."""
    skipped: int = 0
    """Questions left unasked, since the budget does not hold them."""
    states: Counter[str] = field(default_factory=Counter)
    """Questions by what came of them: ok, parse_failed, refused, api_failed."""
    calls: int = 0
    """Calls made, further tries included."""
    overloads: int = 0
    """Calls that were turned away as too many, or not answered in time."""
    in_flight: int = 0
    usage: Usage = NO_USAGE
    """Of all replies received."""
    stopping: bool = False
    """Whether it only waits for the calls in flight."""
    _began: float | None = None

    @property
    def received(self) -> int:
        """Questions that came to something, other than being skipped."""
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
