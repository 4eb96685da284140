"""Win rate: the mean verdict, its standard error and interval, missing verdicts, and policies for ties."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judges.statistics.bootstrap import Codes, Floats, codes_of, mean_interval, prompt_totals
from rewards.display import Displayed, counted, estimated
from rewards.errors import ConfigError
from rewards.intervals import Resampling

TiePolicy = Literal["half", "disagree", "drop", "preference"]

TIE_POLICIES: tuple[TiePolicy, ...] = get_args(TiePolicy)


@dataclass(frozen=True, slots=True)
class WinRate(Displayed):
    """A mean over verdicts in [0, 1], where 1 is a win, 0.5 a tie and 0 a loss."""

    mean: float
    standard_error: float | None
    """Robust to verdicts that share a prompt; None for fewer than two prompts. It is 0 where all prompts
    agree, which is no certainty: `low` and `high` then are those of as many prompts, each won or lost."""
    low: float | None
    """Lower end of the interval at `level`; None for fewer than two prompts, as is `high`."""
    high: float | None
    n: int
    """Verdicts that are not missing."""
    missing: int
    """Verdicts without an outcome; the mean leaves them out."""
    wins: int
    """Verdicts above 0.5."""
    ties: int
    """Verdicts of exactly 0.5."""
    losses: int
    """Verdicts below 0.5."""
    prompts: int
    """Distinct prompts of the `n` verdicts; as many as verdicts where no prompts were given."""
    worst_low: float
    """The mean if every missing verdict were a loss."""
    worst_high: float
    """The mean if every missing verdict were a win."""
    level: float
    seed: int
    resamples: int

    def summary(self) -> str:
        """Return `win rate 0.613 (0.584 to 0.640), 1,000 verdicts of 500 prompts, 3 missing`."""
        size = f"{counted(self.n, 'verdict')} of {counted(self.prompts, 'prompt')}"
        missing = f", {self.missing:,} missing" if self.missing else ""
        return f"win rate {estimated(self.mean, self.low, self.high)}, {size}{missing}"


@dataclass(frozen=True, slots=True, eq=False)
class TiesSettled:
    """Values for `win_rate` from verdicts in both orders, under one tie policy."""

    values: Floats
    """[m] in [0, 1], NaN where missing."""
    comparisons: NDArray[np.int64]
    """[m] which comparison each value is of: `prompts[comparisons]` are the values' prompts."""
    left_out: int
    """Comparisons that the policy `drop` leaves out."""
    policy: TiePolicy


def win_rate(
    preferences: ArrayLike,
    prompts: ArrayLike | None = None,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = 1000,
) -> WinRate:
    """Return the mean of verdicts [n] in [0, 1], as they are given, with its uncertainty.

    Args:
        preferences: 1 a win, 0.5 a tie, 0 a loss, a probability between; NaN is a missing verdict.
        prompts: One label a verdict. Verdicts that share one are drawn together, whatever their order of
            sides, judge or repeat. None takes every verdict for independent.
        level: Coverage of the interval.
        seed: Seed of the draws of prompts.
        resamples: Draws of prompts; `judges.statistics.bootstrap.mean_interval` says what is done with them.

    Raises:
        ConfigError: A value outside [0, 1], another number of prompts than of values, or no verdict at all.
    """
    resampling = Resampling(level, resamples, seed)
    values = unit_values("preferences", preferences)
    present = ~np.isnan(values)
    kept = values[present]
    missing = len(values) - len(kept)
    if not len(kept):
        raise ConfigError(f"a win rate needs a verdict: {missing} of {missing} are missing")
    totals = prompt_totals(kept, row_codes(prompts, present))
    interval = mean_interval(totals, resampling)
    total = math.fsum(kept)
    wins, losses = int(np.count_nonzero(kept > 0.5)), int(np.count_nonzero(kept < 0.5))
    return WinRate(
        mean=totals.mean,
        standard_error=totals.standard_error(),
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        n=len(kept),
        missing=missing,
        wins=wins,
        ties=len(kept) - wins - losses,
        losses=losses,
        prompts=totals.prompts,
        worst_low=total / len(values),
        worst_high=(total + missing) / len(values),
        level=level,
        seed=seed,
        resamples=resamples,
    )


def settle_ties(given: ArrayLike, swapped: ArrayLike, policy: TiePolicy = "half") -> TiesSettled:
    """Turn both orders' verdicts on comparisons [n] into values for `win_rate`.

    Both are told from the same side, NaN where missing. All policies but the last read outcomes only: a
    win above 0.5, a tie at 0.5, a loss below.

    - `half`: every verdict counts by itself, ties as half a win: 2n values.
    - `disagree`: one value a comparison: what both orders say, or a tie where they say different things.
    - `drop`: as before, but ties and disagreements are left out, and counted.
    - `preference`: the mean of both orders' probabilities.

    Under the last three a comparison that lacks one order is missing: one order alone cannot say whether
    the other agrees, and carries the bias of position that two cancel.
    """
    first, second = both_orders(given, swapped)
    rows = np.arange(len(first))
    if policy == "half":
        values = np.concatenate([_outcome(first), _outcome(second)])
        return TiesSettled(values, np.concatenate([rows, rows]), 0, policy)
    if policy == "preference":
        return TiesSettled((first + second) / 2, rows, 0, policy)
    if policy not in TIE_POLICIES:
        raise ConfigError(f"policy is one of {', '.join(TIE_POLICIES)}, got {policy!r}")
    first, second = _outcome(first), _outcome(second)
    agreed = np.where(first == second, first, 0.5)
    values = np.where(np.isnan(first + second), np.nan, agreed)
    if policy == "disagree":
        return TiesSettled(values, rows, 0, policy)
    kept = values != 0.5
    return TiesSettled(values[kept], rows[kept], int(np.count_nonzero(~kept)), policy)


def both_orders(given: ArrayLike, swapped: ArrayLike) -> tuple[Floats, Floats]:
    """Return both orders' values [n], checked."""
    first, second = unit_values("given", given), unit_values("swapped", swapped)
    if first.shape != second.shape:
        raise ConfigError(f"both orders hold one value a comparison, got {len(first)} and {len(second)}")
    return first, second


def unit_values(name: str, values: ArrayLike) -> Floats:
    """Return values [n] as floats in [0, 1] or NaN.

    Raises:
        ConfigError: They are not, with the first place where.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ConfigError(f"{name} is one value a row, got an array of shape {array.shape}")
    outside = (array < 0) | (array > 1)
    if outside.any():
        place = int(np.argmax(outside))
        raise ConfigError(f"{name} are in [0, 1] or NaN, got {array[place]!s} at place {place}")
    return array


def row_codes(prompts: ArrayLike | None, present: NDArray[np.bool_]) -> Codes | None:
    """Return the prompts' codes of the rows that are present [n], None without prompts."""
    if prompts is None:
        return None
    codes = codes_of(prompts)
    if codes.shape != present.shape:
        raise ConfigError(f"one prompt a value, got {len(codes)} prompts and {len(present)} values")
    return codes[present]


def _outcome(values: Floats) -> Floats:
    """Return 1, 0.5, 0 or NaN for values [n]."""
    return np.where(np.isnan(values), np.nan, np.where(values == 0.5, 0.5, values > 0.5))
