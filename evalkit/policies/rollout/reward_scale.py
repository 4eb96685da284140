"""Reward normalisation by the running mean and standard deviation, and clipping."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ROUNDING = 1e-12
"""A deviation below this share of the mean is none: rewards divided by it would be noise, and huge."""


@dataclass(frozen=True, slots=True)
class RunningMoments:
    """Mean and sum of squared deviations of all rewards so far, batch by batch (Chan et al. 1979)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of (reward - mean)^2."""

    def with_rewards(self, rewards: Floats) -> "RunningMoments":
        """Return the moments updated with further rewards, [n]."""
        number = len(rewards)
        if not number:
            return self
        total = self.count + number
        mean, squares = float(rewards.mean()), float(((rewards - rewards.mean()) ** 2).sum())
        gap = mean - self.mean
        return RunningMoments(
            total,
            self.mean + gap * number / total,
            self.squares + squares + gap**2 * self.count * number / total,
        )

    @property
    def deviation(self) -> float:
        """Standard deviation (ddof 0); 1 while all rewards are equal, but for the rounding of their mean."""
        deviation = math.sqrt(self.squares / self.count) if self.count else 0.0
        return deviation if deviation > ROUNDING * abs(self.mean) else 1.0


def scaled_rewards(
    rewards: Sequence[Floats], moments: RunningMoments, normalise: bool, clip: float, whole: Sequence[bool]
) -> list[Floats]:
    """Return token rewards on the scale that PPO optimises.

    PPO-max (Zheng et al. 2023, 2307.04964, section 5.3.1): clip((r - mean) / sd, -d, d) with historical mean
    and sd. A reward paid in parts is divided by the sd alone, as the mean belongs to no single part,
    and each part is clipped.

    Args:
        rewards: Each response's rewards, one a token.
        moments: Running moments of the responses' summed rewards, these included.
        normalise: Whether to normalise.
        clip: d; 0 clips nothing.
        whole: Whether a response's reward is assigned to one token.
    """
    results = []
    for given, at_once in zip(rewards, whole, strict=True):
        scaled = given.copy()
        paid = np.flatnonzero(given) if not at_once else np.array([len(given) - 1])
        if normalise:
            scaled[paid] = (given[paid] - (moments.mean if at_once else 0.0)) / moments.deviation
        if clip:
            scaled[paid] = np.clip(scaled[paid], -clip, clip)
        results.append(scaled)
    return results
