"""Position bias: how often the side shown first wins, how often both orders agree, under each tie policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from judges.statistics.bootstrap import Floats
from judges.statistics.win_rate import (
    TIE_POLICIES,
    TiePolicy,
    TiesSettled,
    WinRate,
    both_orders,
    settle_ties,
    unit_values,
    win_rate,
)
from rewards.display import Columns, Tabular, counted
from rewards.errors import ConfigError
from rewards.intervals import Resampling


@dataclass(frozen=True, slots=True)
class OrderCounts:
    """Outcomes of comparisons asked in both orders; each is counted once."""

    comparisons: int
    first_wins: int
    """Both orders prefer the first side of the comparison, wherever it was shown."""
    second_wins: int
    """Both orders prefer the second side."""
    ties: int
    """Both orders say tie."""
    shown_first: int
    """Whichever side was shown first won: the two orders contradict each other."""
    shown_second: int
    """Whichever side was shown second won."""
    one_tie: int
    """One order says tie, the other does not."""
    one_order: int
    """Half a verdict: the other order is missing."""
    missing: int
    """Both orders are missing."""

    @property
    def consistent(self) -> int:
        """Comparisons of which both orders say the same."""
        return self.first_wins + self.second_wins + self.ties


@dataclass(frozen=True, slots=True)
class PolicyReadout:
    """Figures under one tie policy; None if no comparison is left."""

    win_rate: WinRate | None
    """Of the first side of the comparisons."""
    shown_first: WinRate | None
    """Win rate of the side shown first: 0.5 is no position bias, 1 is all bias."""
    consistency: WinRate | None
    """Of the agreement of both orders, from 0 to 1."""
    left_out: int
    """Comparisons that the policy leaves out of the win rate."""


@dataclass(frozen=True, slots=True)
class PositionBias(Tabular):
    """Position bias of verdicts in both orders; each of its figures carries level, seed and resamples."""

    counts: OrderCounts
    policies: Mapping[TiePolicy, PolicyReadout]

    def summary(self) -> str:
        """Return how often both orders agree and the side shown first wins."""
        lines = [f"{counted(self.counts.comparisons, 'comparison')}, {self.counts.consistent:,} consistent"]
        if self.shown_first is not None:
            lines.append(f"shown first: {self.shown_first}")
        if self.consistency is not None:
            lines.append(f"both orders agree: {self.consistency}")
        return "\n".join(lines)

    def columns(self) -> Columns:
        """Return for each tie policy the win rate, that of the position shown first, and the agreement."""
        readouts = list(self.policies.values())
        return {
            "ties": list(self.policies),
            "win_rate": [None if one.win_rate is None else one.win_rate.mean for one in readouts],
            "shown_first": [None if one.shown_first is None else one.shown_first.mean for one in readouts],
            "consistency": [None if one.consistency is None else one.consistency.mean for one in readouts],
            "left_out": [one.left_out for one in readouts],
        }

    @property
    def shown_first(self) -> WinRate | None:
        """How often the side shown first wins, over all verdicts, a tie being half a win."""
        return self.policies["half"].shown_first

    @property
    def consistency(self) -> WinRate | None:
        """Share of comparisons of which both orders say the same, over those that have both."""
        return self.policies["disagree"].consistency


def position_bias(
    given: ArrayLike,
    swapped: ArrayLike,
    prompts: ArrayLike | None = None,
    resampling: Resampling | None = None,
    probabilities: tuple[ArrayLike, ArrayLike] | None = None,
) -> PositionBias:
    """Return the position bias of verdicts [n] in both orders.

    Under every policy, `shown_first` is the win rate of the position in place of the side: with `half` all
    verdicts count; with `disagree` a comparison is won by a position that wins it in both orders, else it
    is a tie; with `drop` only comparisons whose orders contradict each other are left, so that it is the
    share of them that the first position wins; with `preference` it is the mean probability.

    The agreement of two orders is 1 or 0, but for a tie against a win: with `half` that is 0.5, with
    `disagree` 0, and with `drop` comparisons with a tie in either order are left out. With `preference` it
    is one minus the distance of the two probabilities.

    Args:
        given: In [0, 1], told from the first side, which was shown first; NaN is missing.
        swapped: The same, told from the first side too, which was shown second.
        prompts: One label a comparison; the comparisons of a prompt are resampled together. None makes
            every comparison a prompt, whose two orders stay together.
        resampling: Level, resamples and seed of all intervals.
        probabilities: What `preference` reads of both orders in place of the values, where a judge calls a
            tie what its probability does not, as one with a margin; NaN is missing. None reads the values.

    Raises:
        ConfigError: Values outside [0, 1], or arrays of different lengths.
    """
    first, second = both_orders(given, swapped)
    likely = (first, second) if probabilities is None else both_orders(*probabilities)
    labels = np.arange(len(first)) if prompts is None else np.asarray(prompts)
    if not labels.shape == first.shape == likely[0].shape:
        raise ConfigError(
            f"one prompt and one probability a comparison, got {len(labels)} prompts, {len(likely[0])} "
            f"probabilities and {len(first)} comparisons"
        )
    settings = resampling or Resampling()
    readouts = {
        policy: _readout(*(likely if policy == "preference" else (first, second)), labels, policy, settings)
        for policy in TIE_POLICIES
    }
    return PositionBias(order_counts(first, second), MappingProxyType(readouts))


def order_counts(given: ArrayLike, swapped: ArrayLike) -> OrderCounts:
    """Count the outcomes of both orders [n], oriented alike."""
    first, second = (np.sign(values - 0.5) for values in both_orders(given, swapped))
    lacking = np.isnan(first).astype(int) + np.isnan(second)
    tied = (first == 0).astype(int) + (second == 0)

    def count(where: ArrayLike) -> int:
        return int(np.count_nonzero(where))

    return OrderCounts(
        comparisons=len(first),
        first_wins=count((first > 0) & (second > 0)),
        second_wins=count((first < 0) & (second < 0)),
        ties=count(tied == 2),
        shown_first=count((first > 0) & (second < 0)),
        shown_second=count((first < 0) & (second > 0)),
        one_tie=count((tied == 1) & (lacking == 0)),
        one_order=count(lacking == 1),
        missing=count(lacking == 2),
    )


def shown_first_rate(
    values: ArrayLike,
    swapped: ArrayLike,
    prompts: ArrayLike | None = None,
    resampling: Resampling | None = None,
) -> WinRate:
    """Return the win rate of the side shown first, from verdicts [n] in one order each.

    It measures the judge's bias only where chance chose the order; otherwise it is also how much better
    the side is that was shown first.

    Args:
        values: In [0, 1], told from the first side of the comparison; NaN is missing.
        swapped: [n] whether the second side was shown first.
        prompts: One label a verdict.
        resampling: Level, resamples and seed of the interval.

    Raises:
        ConfigError: Values outside [0, 1], arrays of different lengths, or no verdict at all.
    """
    outcomes, turned = unit_values("values", values), np.asarray(swapped)
    if turned.dtype != np.bool_ or turned.shape != outcomes.shape:
        raise ConfigError(
            f"swapped is True or False for each of {len(outcomes)} values, got {turned.dtype} "
            f"of shape {turned.shape}"
        )
    settings = resampling or Resampling()
    position = np.where(turned, 1 - outcomes, outcomes)
    return win_rate(position, prompts, settings.level, settings.seed, settings.resamples)


def _readout(
    given: Floats, swapped: Floats, prompts: np.ndarray, policy: TiePolicy, resampling: Resampling
) -> PolicyReadout:
    sides = settle_ties(given, swapped, policy)
    positions = settle_ties(given, 1 - swapped, policy)
    return PolicyReadout(
        win_rate=_rate(sides, prompts, resampling),
        shown_first=_rate(positions, prompts, resampling),
        consistency=_rate(_agreement(given, swapped, policy), prompts, resampling),
        left_out=sides.left_out,
    )


def _agreement(given: Floats, swapped: Floats, policy: TiePolicy) -> TiesSettled:
    """Return how far both orders agree, a value a comparison, NaN where one is missing."""
    rows = np.arange(len(given))
    if policy == "preference":
        return TiesSettled(1 - np.abs(given - swapped), rows, 0, policy)
    apart = np.abs(np.sign(given - 0.5) - np.sign(swapped - 0.5))  # 0, 1 beside a tie, 2, or NaN
    if policy == "half":
        return TiesSettled(1 - apart / 2, rows, 0, policy)
    same = np.where(np.isnan(apart), np.nan, apart == 0)
    if policy == "disagree":
        return TiesSettled(same, rows, 0, policy)
    kept = (given != 0.5) & (swapped != 0.5)
    return TiesSettled(same[kept], rows[kept], int(np.count_nonzero(~kept)), policy)


def _rate(settled: TiesSettled, prompts: np.ndarray, resampling: Resampling) -> WinRate | None:
    if np.isnan(settled.values).all():
        return None
    labels = prompts[settled.comparisons]
    return win_rate(settled.values, labels, resampling.level, resampling.seed, resampling.resamples)
