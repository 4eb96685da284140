"""Usage of a verdict: tokens, seconds and money."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of one or more calls: tokens sent (some of them cached), tokens received, money and time."""

    tokens_in: int = 0
    tokens_cached: int = 0
    """Of `tokens_in`, those that the endpoint had in its prompt cache."""
    tokens_out: int = 0
    cost: float | None = None
    """In the currency of the price file; None where the model has no price there."""
    latency: float | None = None
    """Seconds from sending to the whole reply."""

    def __add__(self, other: "Usage") -> "Usage":
        known = [usage.cost for usage in (self, other) if usage.cost is not None]
        slow = [usage.latency for usage in (self, other) if usage.latency is not None]
        return Usage(
            self.tokens_in + other.tokens_in,
            self.tokens_cached + other.tokens_cached,
            self.tokens_out + other.tokens_out,
            math.fsum(known) if known else None,
            max(slow) if slow else None,
        )


NO_USAGE = Usage()
