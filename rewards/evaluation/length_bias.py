"""Length bias of a score: its correlation with length, and its accuracy where the shorter is better."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from rewards.intervals import (
    Estimate,
    Floats,
    Resampling,
    clustered_mean,
    percentile_interval,
    resampled_sums,
)


@dataclass(frozen=True, slots=True)
class Correlation:
    """Correlation of a score with length, in [-1, 1]; None if either is constant."""

    pearson: float | None
    spearman: float | None


@dataclass(frozen=True, slots=True)
class LengthAccuracy:
    """The accuracy on the pairs whose chosen response is the longer, the shorter, or as long.

    `controlled` is the mean of the first two, so that neither preference helps: a score by length alone
    has 0.5. An entry is None if there are no such pairs.
    """

    chosen_longer: Estimate | None
    chosen_shorter: Estimate | None
    equal: Estimate | None
    controlled: Estimate | None


def length_correlation(scores: ArrayLike, lengths: ArrayLike) -> Correlation:
    """Correlate the scores of responses [m] with their lengths [m]."""
    scores, lengths = np.asarray(scores, dtype=np.float64), np.asarray(lengths, dtype=np.float64)
    return Correlation(_correlate(scores, lengths), _correlate(rankdata(scores), rankdata(lengths)))


def length_correlation_within(scores: ArrayLike, lengths: ArrayLike, prompts: ArrayLike) -> Correlation:
    """Correlate scores with lengths [m] after subtracting each prompt's [m] mean from both.

    Spearman's is that of the ranks among the responses to one prompt.
    """
    scores, lengths = np.asarray(scores, dtype=np.float64), np.asarray(lengths, dtype=np.float64)
    _, place = np.unique(np.asarray(prompts), return_inverse=True)
    pearson = _correlate(_centred(scores, place), _centred(lengths, place))
    ranks = [_centred(_ranks_within(values, place), place) for values in (scores, lengths)]
    return Correlation(pearson, _correlate(*ranks))


def length_accuracy(
    right: ArrayLike, length_differences: ArrayLike, prompts: ArrayLike, resampling: Resampling
) -> LengthAccuracy:
    """Split a scorer's accuracy [n] by the sign of chosen minus rejected length [n]."""
    right, signs = np.asarray(right, dtype=np.float64), np.sign(np.asarray(length_differences))
    prompts = np.asarray(prompts)
    longer, shorter, equal = (
        clustered_mean(right[inside], prompts[inside], resampling) if inside.any() else None
        for inside in (signs > 0, signs < 0, signs == 0)
    )
    controlled = None
    if longer is not None and shorter is not None:
        mean = (longer.mean + shorter.mean) / 2
        unequal = signs != 0
        controlled = _controlled(mean, right[unequal], signs[unequal] > 0, prompts[unequal], resampling)
    return LengthAccuracy(longer, shorter, equal, controlled)


def _controlled(
    mean: float,
    right: Floats,
    longer: NDArray[np.bool_],
    prompts: NDArray[np.generic],
    resampling: Resampling,
) -> Estimate:
    columns = np.column_stack([right * longer, longer, right * ~longer, ~longer])
    sums = resampled_sums(columns, prompts, resampling)
    resamples = None
    # A resample without any pair of one kind has no such mean; then there is no interval either.
    if sums is not None and sums[:, 1].all() and sums[:, 3].all():
        resamples = (sums[:, 0] / sums[:, 1] + sums[:, 2] / sums[:, 3]) / 2
    low, high = percentile_interval(resamples, resampling.level)
    return Estimate(mean, low, high, len(right), len(np.unique(prompts)), resampling.level)


def _correlate(first: Floats, second: Floats) -> float | None:
    all_one = np.zeros(len(first), dtype=np.intp)
    first, second = _centred(first, all_one), _centred(second, all_one)
    sizes = np.linalg.norm(first) * np.linalg.norm(second)
    return float(np.clip(first @ second / sizes, -1, 1)) if sizes > 0 else None


def _centred(values: Floats, place: NDArray[np.intp]) -> Floats:
    """Return values [m] minus the mean of their group [m]."""
    centred = values - (np.bincount(place, weights=values) / np.bincount(place))[place]
    # Rounding errors of a constant are no variation.
    return np.where(np.abs(centred) > 1e-12 * np.abs(values).max(), centred, 0.0)


def _ranks_within(values: Floats, place: NDArray[np.intp]) -> Floats:
    """Return ranks of values [m] within their group [m], ties averaged."""
    # Ranks over all, shifted by more than their number, sort first by group and then by value.
    return rankdata(rankdata(values) + place * (len(values) + 1.0))
