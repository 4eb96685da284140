"""Sample size of a win rate: prompts for a given confidence interval or power."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from judges.statistics.bootstrap import codes_of
from judges.statistics.win_rate import unit_values
from rewards.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviation of verdicts, and their correlation within a prompt."""

    sd: float | None = None
    """Standard deviation of single verdicts; None takes that of wins and losses at the win rate in question,
    which is the largest there is. Ties and probabilities make it smaller."""
    correlation: float = 0.0
    """Of two verdicts of one prompt, in [0, 1]; 1 makes all verdicts of a prompt as good as one."""
    verdicts: float = 1.0
    """Verdicts of a prompt: two orders, times judges, times repeats."""

    def __post_init__(self) -> None:
        if self.sd is not None and not 0 < self.sd <= 1:
            raise ConfigError(f"sd of verdicts in [0, 1] is above 0 and at most 1, got {self.sd!r}")
        if not 0 <= self.correlation <= 1:
            raise ConfigError(f"correlation is in [0, 1], got {self.correlation!r}")
        if not self.verdicts >= 1:
            raise ConfigError(f"verdicts of a prompt are 1 or more, got {self.verdicts!r}")

    @property
    def design_effect(self) -> float:
        """Variance over that of as many unrelated verdicts: 1 + (verdicts - 1) correlation (Kish 1965)."""
        return 1 + (self.verdicts - 1) * self.correlation

    def prompt_sd(self, win_rate: float = 0.5) -> float:
        """Return the standard deviation of the mean verdict of a prompt."""
        sd = math.sqrt(win_rate * (1 - win_rate)) if self.sd is None else self.sd
        return sd * math.sqrt(self.design_effect / self.verdicts)


@dataclass(frozen=True, slots=True)
class SampleSize:
    """The number of prompts to judge, and the inputs behind it."""

    prompts: int
    verdicts: int
    """`prompts` times the verdicts of a prompt, rounded up."""
    spread: Spread
    level: float
    """Of the interval, or one minus the size of the two-sided test."""
    half_width: float | None = None
    """Wanted; None where a power was."""
    win_rate: float = 0.5
    power: float | None = None
    """Wanted; None where a half-width was."""


def prompts_for_half_width(
    half_width: float, spread: Spread | None = None, level: float = 0.95, win_rate: float = 0.5
) -> SampleSize:
    """Return the prompts K that bring a win rate's interval to mean +- half_width.

    K = (z s / h)^2, with z the normal quantile of `level`, s the standard deviation of a prompt's mean
    verdict, h the half-width.

    Raises:
        ConfigError: half_width is not in (0, 0.5), or level or win_rate not in (0, 1).
    """
    if not 0 < half_width < 0.5:
        raise ConfigError(f"half_width is between 0 and 0.5, got {half_width!r}")
    spread = spread or Spread()
    root = _quantile(level) * spread.prompt_sd(_unit("win_rate", win_rate)) / half_width
    prompts = _at_least(root**2)
    return SampleSize(prompts, _verdicts(prompts, spread), spread, level, half_width, win_rate)


def prompts_for_power(
    win_rate: float, power: float = 0.8, spread: Spread | None = None, level: float = 0.95
) -> SampleSize:
    """Return the prompts K at which a true win rate w differs significantly from one half with a given power.

    K = ((z s_0 + z_power s_w) / (w - 0.5))^2, with s_0 and s_w the standard deviations of a prompt's mean
    verdict at 0.5 and at w, and z the normal quantile of the two-sided test of size 1 - level.

    Raises:
        ConfigError: win_rate is 0.5, or a share is not in (0, 1), or power is not above 1 - level.
    """
    distance = abs(_unit("win_rate", win_rate) - 0.5)
    if distance == 0:
        raise ConfigError("a win rate of 0.5 cannot be told from 0.5 by any number of prompts")
    if not 1 - level < _unit("power", power):
        raise ConfigError(
            f"power is above {1 - level:g}, which a test of that size has anyway; got {power!r}"
        )
    spread = spread or Spread()
    needed = _quantile(level) * spread.prompt_sd() + float(ndtri(power)) * spread.prompt_sd(win_rate)
    prompts = _at_least((needed / distance) ** 2)
    return SampleSize(prompts, _verdicts(prompts, spread), spread, level, win_rate=win_rate, power=power)


def half_width_of(
    prompts: int, spread: Spread | None = None, level: float = 0.95, win_rate: float = 0.5
) -> float:
    """Return the half-width that so many prompts give: z s / sqrt(K)."""
    sd = (spread or Spread()).prompt_sd(_unit("win_rate", win_rate))
    return _quantile(level) * sd / math.sqrt(_positive(prompts))


def power_of(prompts: int, win_rate: float, spread: Spread | None = None, level: float = 0.95) -> float:
    """Return the power of so many prompts to find that a true win rate differs from one half."""
    spread = spread or Spread()
    distance = abs(_unit("win_rate", win_rate) - 0.5) * math.sqrt(_positive(prompts))
    return float(ndtr((distance - _quantile(level) * spread.prompt_sd()) / spread.prompt_sd(win_rate)))


def measured_spread(values: ArrayLike, prompts: ArrayLike) -> Spread:
    """Return the spread of a pilot's verdicts [n], for planning.

    The correlation is the intraclass one of the analysis of variance, (MSB - MSW) / (MSB + (m - 1) MSW),
    with m the verdicts of a prompt corrected for unequal numbers (Donner 1986), and 0 where it is negative.
    The standard deviation follows from its two parts.

    Raises:
        ConfigError: Values outside [0, 1]; fewer than two prompts, no prompt with two verdicts, no variation.
    """
    verdicts, codes = unit_values("values", values), codes_of(prompts)
    if codes.shape != verdicts.shape:
        raise ConfigError(f"one prompt a value, got {len(codes)} prompts and {len(verdicts)} values")
    present = ~np.isnan(verdicts)
    verdicts, codes = verdicts[present], np.unique(codes[present], return_inverse=True)[1]
    sizes = np.bincount(codes)
    n, k = len(verdicts), len(sizes)
    if k < 2 or n == k:
        raise ConfigError(f"needs two prompts, and one with two verdicts; got {n} verdicts on {k} prompts")
    means = np.bincount(codes, weights=verdicts) / sizes
    between = float(sizes @ (means - verdicts.mean()) ** 2) / (k - 1)
    within = float(((verdicts - means[codes]) ** 2).sum()) / (n - k)
    if between + within < 1e-12:
        raise ConfigError(f"all {n} verdicts are alike: nothing says how they vary")
    size = (n - float((sizes**2).sum()) / n) / (k - 1)
    shared = max(0.0, (between - within) / size)
    return Spread(math.sqrt(shared + within), shared / (shared + within), n / k)


def _verdicts(prompts: int, spread: Spread) -> int:
    return math.ceil(prompts * spread.verdicts - 1e-9)


def _at_least(exact: float) -> int:
    """Round up to whole prompts, of which a spread needs two; what is whole but for rounding stays."""
    return max(2, math.ceil(exact - 1e-9 * max(1.0, exact)))


def _quantile(level: float) -> float:
    return float(ndtri((1 + _unit("level", level)) / 2))


def _unit(name: str, value: float) -> float:
    if not 0 < value < 1:
        raise ConfigError(f"{name} is between 0 and 1, got {value!r}")
    return value


def _positive(prompts: int) -> int:
    if prompts < 1:
        raise ConfigError(f"the number of prompts is 1 or more, got {prompts!r}")
    return prompts


def enough_prompts(
    values: NDArray[np.float64], prompts: NDArray[np.int64], half_width: float, level: float = 0.95
) -> int | None:
    """Return how many prompts, judged as these were, bring the interval to the wanted half-width.

    None where nothing tells how verdicts vary: there are fewer than two prompts, or all values are equal.

    Args:
        values: [n] of verdicts, NaN where missing.
        prompts: [n] the prompt of each.
        half_width: Wanted, between 0 and 0.5.
        level: Level of the interval.
    """
    there = ~np.isnan(values)
    known, labels = values[there], prompts[there]
    if len(np.unique(labels)) < 2 or np.ptp(known) == 0:
        return None
    single = len(np.unique(labels)) == len(labels)
    spread = Spread(float(known.std(ddof=1))) if single else measured_spread(known, labels)
    return prompts_for_half_width(half_width, spread, level, float(known.mean())).prompts
