"""Means over rows with percentile intervals from resampled prompts."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.display import Displayed, counted, estimated
from rewards.errors import ConfigError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Resampling:
    """Settings of the bootstrap: prompts are drawn with replacement, each with all of its rows."""

    level: float = 0.95
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ConfigError(f"level is between 0 and 1, got {self.level!r}")
        if self.resamples < 1:
            raise ConfigError(f"the number of resamples is 1 or more, got {self.resamples!r}")
        if self.seed < 0:
            raise ConfigError(f"seed is 0 or more, got {self.seed!r}")


@dataclass(frozen=True, slots=True)
class Estimate(Displayed):
    """A mean over rows, with its confidence interval.

    `low` and `high` are None where resampling prompts gives no interval: there is only one prompt, or all
    prompts agree, as where every pair is right.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    """Rows."""
    prompts: int
    """Distinct prompts among them."""
    level: float

    def summary(self) -> str:
        """Return the mean with its interval, `0.613 (0.584 to 0.640), 1,000 rows of 500 prompts`."""
        size = f"{counted(self.n, 'row')} of {counted(self.prompts, 'prompt')}"
        return f"{estimated(self.mean, self.low, self.high)}, {size}"


def clustered_mean(values: ArrayLike, prompts: ArrayLike, resampling: Resampling) -> Estimate:
    """Return the mean of values [n] with the percentile interval of prompts [n] resampled.

    Raises:
        ConfigError: There are no values, or not as many as prompts.
    """
    values, prompts = np.asarray(values, dtype=np.float64), np.asarray(prompts)
    if values.size == 0 or values.shape != prompts.shape:
        raise ConfigError(f"a mean needs values and as many prompts, got {values.shape} and {prompts.shape}")
    sums = resampled_sums(np.column_stack([values, np.ones_like(values)]), prompts, resampling)
    low, high = percentile_interval(None if sums is None else sums[:, 0] / sums[:, 1], resampling.level)
    return Estimate(
        math.fsum(values) / len(values), low, high, len(values), len(np.unique(prompts)), resampling.level
    )


def resampled_sums(columns: Floats, prompts: ArrayLike, resampling: Resampling) -> Floats | None:
    """Return the sums of columns [n, k] over rows for each resample of the prompts [n]: [resamples, k].

    Prompts whose sums are alike are drawn as one multinomial count, which is the same distribution and
    makes the result independent of the rows' order. One prompt alone gives None.
    """
    distinct, place = np.unique(np.asarray(prompts), return_inverse=True)
    if len(distinct) < 2:
        return None
    by_prompt = np.column_stack([np.bincount(place, weights=column) for column in columns.T])
    # Rounded, or else the order of addition could make two equal prompts differ.
    kinds, counts = np.unique(np.round(by_prompt, 12), axis=0, return_counts=True)
    generator = np.random.default_rng(resampling.seed)
    shares = counts / counts.sum()
    block = max(1, 4_000_000 // len(kinds))  # resamples drawn at once, to bound the memory
    sizes = [min(block, resampling.resamples - start) for start in range(0, resampling.resamples, block)]
    draws = (generator.multinomial(len(distinct), shares, size) for size in sizes)
    return np.concatenate([draw @ kinds for draw in draws])


def percentile_interval(resamples: Floats | None, level: float) -> tuple[float | None, float | None]:
    """Return the ends of the middle `level` of resampled values [b], or None twice where none vary."""
    if resamples is None or np.ptp(resamples) < 1e-12:
        return None, None
    low, high = np.quantile(resamples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
