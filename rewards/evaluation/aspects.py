"""Aspects against their labels, and with each other: accuracy, correlations and errors with intervals."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.display import Displayed, counted
from rewards.errors import ConfigError
from rewards.intervals import Estimate, Floats, Resampling, percentile_interval, resampled_sums

Integers = NDArray[np.intp]

SIGNIFICANT_DIGITS = 12
"""Significant digits, relative to a column's largest number, in which values are compared for equality."""


@dataclass(frozen=True, slots=True)
class Correlations:
    """Correlations of two columns, each in [-1, 1]; None if either is constant.

    Within prompts each prompt's mean is subtracted first, and Spearman's ranks are those among the responses
    to one prompt: only this variation matters to selection among responses.
    """

    pearson: float | None
    spearman: float | None
    pearson_within: float | None
    spearman_within: float | None


@dataclass(frozen=True, slots=True)
class AspectPair:
    """Two columns of a correlation table: each is a label or a score, of an aspect."""

    kind: str
    """`label`, `score`, or `score-label`, where the first is a score."""
    first: str
    second: str
    n: int
    """Responses that have both."""
    found: Correlations


@dataclass(frozen=True, slots=True)
class AspectReport(Displayed):
    """How well the scores of one aspect predict its labels; an undefined entry is None."""

    aspect: str
    n: int
    """Responses."""
    prompts: int
    accuracy: Estimate | None
    """Share of the pairs within prompts of unequal labels in which the better has the higher score; equal
    scores are wrong. None where no prompt has such a pair."""
    ties: int
    """Pairs of unequal labels and equal scores."""
    pearson: Estimate | None
    spearman: Estimate | None
    """Its interval keeps the ranks among all responses."""
    pearson_within: Estimate | None
    spearman_within: Estimate | None
    mean_squared_error: Estimate
    """In squared units of the labels, of the scores as they are."""
    r2: Estimate | None
    """1 - squared error / squared deviation of the labels from their mean; below 0 the mean does better."""
    label_mean: float
    label_sd: float
    """With ddof 0, as the scores'."""
    score_mean: float
    score_sd: float

    def summary(self) -> str:
        """Return the defined entries, one per line."""
        size = f"{counted(self.n, 'response')} to {counted(self.prompts, 'prompt')}"
        names = ("accuracy", "pearson", "spearman", "mean_squared_error", "r2")
        estimates = (self.accuracy, self.pearson, self.spearman, self.mean_squared_error, self.r2)
        lines = [
            f"{name}: {estimate}"
            for name, estimate in zip(names, estimates, strict=True)
            if estimate is not None
        ]
        return "\n".join([f"{self.aspect}, {size}", *lines])


def report_aspect(
    aspect: str, labels: ArrayLike, scores: ArrayLike, prompts: ArrayLike, resampling: Resampling
) -> AspectReport:
    """Compare scores [n] of one aspect with its labels [n], with intervals over the prompts [n].

    Raises:
        ConfigError: There are no responses, the lengths differ, or a number is not finite.
    """
    truth, guess = _column(labels), _column(scores)
    place = _places(prompts)
    if not len(truth) == len(guess) == len(place):
        raise ConfigError(f"as many labels, scores and prompts; got {len(truth)}, {len(guess)}, {len(place)}")
    accuracy, ties = _accuracy(truth, guess, place, resampling)
    within = _centred(guess, place), _centred(truth, place)
    ranks = _ranks(guess), _ranks(truth)
    ranks_within = (
        _centred(_ranks_within(guess, place), place),
        _centred(_ranks_within(truth, place), place),
    )
    squared = (guess - truth) ** 2
    varies = bool(_centred(truth, np.zeros_like(place)).any())
    return AspectReport(
        aspect=aspect,
        n=len(truth),
        prompts=int(place.max()) + 1,
        accuracy=accuracy,
        ties=ties,
        pearson=_correlation_estimate((guess, truth), place, resampling),
        spearman=_correlation_estimate(ranks, place, resampling),
        pearson_within=_correlation_estimate(within, place, resampling),
        spearman_within=_correlation_estimate(ranks_within, place, resampling),
        mean_squared_error=_ratio(squared, np.ones_like(squared), place, resampling),
        r2=_r2(squared, truth, place, resampling) if varies else None,
        label_mean=float(truth.mean()),
        label_sd=float(truth.std()),
        score_mean=float(guess.mean()),
        score_sd=float(guess.std()),
    )


def correlate(first: ArrayLike, second: ArrayLike, prompts: ArrayLike) -> Correlations:
    """Correlate two columns [n] over all responses, and within the prompts [n].

    Raises:
        ConfigError: There are no responses, the lengths differ, or a number is not finite.
    """
    x, y, place = _column(first), _column(second), _places(prompts)
    if not len(x) == len(y) == len(place):
        raise ConfigError(f"two columns of as many numbers as prompts; got {len(x)}, {len(y)}, {len(place)}")
    return Correlations(
        _pearson(x, y),
        _pearson(_ranks(x), _ranks(y)),
        _pearson(_centred(x, place), _centred(y, place)),
        _pearson(*(_centred(_ranks_within(column, place), place) for column in (x, y))),
    )


def correlation_table(
    labels: Mapping[str, ArrayLike], scores: Mapping[str, ArrayLike], prompts: ArrayLike
) -> tuple[AspectPair, ...]:
    """Return the correlations of each two labels, each two scores, and each score with each label.

    Args:
        labels: [n] by aspect, NaN where a response has no label; each pair uses the responses with both.
        scores: [n] by aspect, likewise.
        prompts: [n].
    """
    place = _places(prompts)
    chosen = [
        *(("label", labels, labels, names) for names in combinations(labels, 2)),
        *(("score", scores, scores, names) for names in combinations(scores, 2)),
        *(("score-label", scores, labels, names) for names in product(scores, labels)),
    ]
    return tuple(
        _pair(kind, names, (np.asarray(own[names[0]]), np.asarray(others[names[1]])), place)
        for kind, own, others, names in chosen
    )


def _pair(kind: str, names: tuple[str, str], columns: tuple[Floats, Floats], place: Integers) -> AspectPair:
    first, second = columns
    both = ~(np.isnan(first) | np.isnan(second))
    correlations = Correlations(None, None, None, None)
    if both.any():
        correlations = correlate(first[both], second[both], place[both])
    return AspectPair(kind, *names, int(both.sum()), correlations)


def _accuracy(
    truth: Floats, guess: Floats, place: Integers, resampling: Resampling
) -> tuple[Estimate | None, int]:
    order = np.argsort(place, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(place[order])) + 1)
    counts = np.array([_pairs(truth[group], guess[group]) for group in groups], dtype=np.float64)
    pairs, right, ties = counts.T
    compared = pairs > 0
    if not compared.any():
        return None, 0
    own = np.flatnonzero(compared)
    estimate = _ratio(right[compared], pairs[compared], own, resampling)
    total = int(pairs.sum())
    return Estimate(estimate.mean, estimate.low, estimate.high, total, len(own), resampling.level), int(
        ties.sum()
    )


def _pairs(truth: Floats, guess: Floats) -> tuple[int, int, int]:
    """Count the pairs of unequal labels, those in the order of the scores, and those of equal scores."""
    better = truth[:, None] > truth[None, :]
    difference = guess[:, None] - guess[None, :]
    return int(better.sum()), int((better & (difference > 0)).sum()), int((better & (difference == 0)).sum())


def _ratio(above: Floats, below: Floats, place: Integers, resampling: Resampling) -> Estimate:
    """Estimate sum(above) / sum(below), which is never 0 below."""
    sums = resampled_sums(np.column_stack([above, below]), place, resampling)
    low, high = percentile_interval(None if sums is None else sums[:, 0] / sums[:, 1], resampling.level)
    mean = float(above.sum() / below.sum())
    return Estimate(mean, low, high, len(above), len(np.unique(place)), resampling.level)


def _r2(squared: Floats, truth: Floats, place: Integers, resampling: Resampling) -> Estimate:
    unit = float(truth.std())
    labels = (truth - truth.mean()) / unit
    columns = np.column_stack([np.ones_like(labels), labels, labels**2, squared / unit**2])

    def share_explained(sums: Floats) -> Floats | None:
        spread = _spread(*sums.T[:3])
        return None if spread is None else 1 - sums[:, 3] / spread

    return _estimate(columns, place, resampling, share_explained)


def _correlation_estimate(
    both: tuple[Floats, Floats], place: Integers, resampling: Resampling
) -> Estimate | None:
    if _pearson(*both) is None:
        return None
    x, y = ((column - column.mean()) / column.std() for column in both)
    columns = np.column_stack([np.ones_like(x), x, y, x**2, y**2, x * y])

    def correlation(sums: Floats) -> Floats | None:
        n, sum_x, sum_y, xx, yy, xy = sums.T
        spread_x, spread_y = _spread(n, sum_x, xx), _spread(n, sum_y, yy)
        if spread_x is None or spread_y is None:
            return None
        return np.asarray(np.clip((xy - sum_x * sum_y / n) / np.sqrt(spread_x * spread_y), -1, 1))

    return _estimate(columns, place, resampling, correlation)


def _estimate(
    columns: Floats, place: Integers, resampling: Resampling, statistic: Callable[[Floats], Floats | None]
) -> Estimate:
    """Return a statistic of the sums of columns [n, k], with the interval of prompts resampled.

    There is no interval where the statistic is undefined for a resample.
    """
    mean = statistic(columns.sum(axis=0, keepdims=True))
    assert mean is not None  # the callers have seen to it that the columns vary
    sums = resampled_sums(columns, place, resampling)
    low, high = percentile_interval(None if sums is None else statistic(sums), resampling.level)
    return Estimate(float(mean[0]), low, high, len(columns), len(np.unique(place)), resampling.level)


def _spread(n: Floats, total: Floats, squares: Floats) -> Floats | None:
    """Return the sums of squared deviations [b] of a column of unit spread, None where one has no spread."""
    spread = squares - total**2 / n
    return None if (spread <= 1e-9 * n).any() else spread


def _pearson(first: Floats, second: Floats) -> float | None:
    x, y = (_centred(column, np.zeros(len(column), dtype=np.intp)) for column in (first, second))
    sizes = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(np.clip(x @ y / sizes, -1, 1)) if sizes > 0 else None


def _centred(values: Floats, place: Integers) -> Floats:
    """Return values [n] minus the mean of their group [n]."""
    centred = values - (np.bincount(place, weights=values) / np.bincount(place))[place]
    # Rounding errors of a constant are no variation.
    return np.where(np.abs(centred) > 1e-12 * np.abs(values).max(), centred, 0.0)


def _ranks(values: Floats) -> Floats:
    """Return ranks from 1, equal values sharing the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place.reshape(-1)], dtype=np.float64)


def _ranks_within(values: Floats, place: Integers) -> Floats:
    """Return ranks within each group, up to a constant per group."""
    # Ranks over all, shifted by more than their number, sort first by group and then by value.
    return _ranks(_ranks(values) + place * (len(values) + 1.0))


def _column(values: ArrayLike) -> Floats:
    """Return a column with the last digits rounded off, so that the order of summation does not matter."""
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1 or not len(column) or not np.isfinite(column).all():
        raise ConfigError(f"a column is [n] finite numbers, n of 1 or more; got shape {column.shape}")
    largest = float(np.abs(column).max())
    if largest == 0:
        return column
    return np.asarray(np.round(column, SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(largest))))


def _places(prompts: ArrayLike) -> Integers:
    return np.unique(np.asarray(prompts), return_inverse=True)[1].reshape(-1)
