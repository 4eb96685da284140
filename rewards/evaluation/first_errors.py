"""Whether step scores find the first wrong step: ProcessBench's F1, and the threshold of the highest F1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.display import Displayed, decimal
from rewards.errors import ConfigError
from rewards.intervals import Estimate, Resampling, clustered_mean, percentile_interval, resampled_sums

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

NO_ERROR = -1
"""Index of a solution without a wrong step."""
RIGHT = 0.5
"""A step with a soft label of this or more counts as right."""


@dataclass(frozen=True, slots=True)
class FirstErrorF1(Displayed):
    """How often the first wrong step is found (ProcessBench, 2412.06559, section 4).

    An accuracy over no solutions is None, and then F1 is None too.
    """

    erroneous: int
    """Solutions with a wrong step."""
    found: int
    """Those of them whose first wrong step is predicted exactly."""
    correct: int
    """Solutions without a wrong step."""
    passed: int
    """Those of them in which no error is predicted."""
    erroneous_accuracy: float | None
    correct_accuracy: float | None
    f1: float | None
    """Harmonic mean of the two accuracies; 0 where both are 0."""

    def summary(self) -> str:
        """Return F1 and the two accuracies behind it."""
        return (
            f"F1 {decimal(self.f1, 3)}: first error found in {self.found:,} of {self.erroneous:,} erroneous "
            f"solutions, none in {self.passed:,} of {self.correct:,} correct ones"
        )


@dataclass(frozen=True, slots=True)
class FirstErrorIntervals:
    """Percentile intervals of both accuracies and of F1, over resampled prompts."""

    erroneous: Estimate | None
    correct: Estimate | None
    f1_low: float | None
    f1_high: float | None
    undefined: int
    """Resamples without an erroneous or without a correct solution, which have no F1 and are left out."""


@dataclass(frozen=True, slots=True)
class ThresholdChoice:
    """The threshold of the highest F1: the middle of the interval (low, high] on which it is attained.

    `low` is None if the interval has no lower end, `high` if it has no upper end.
    """

    threshold: float
    low: float | None
    high: float | None
    result: FirstErrorF1
    """F1 on the solutions that chose it, hence optimistic."""


def true_first_error(labels: Sequence[float | None]) -> int | None:
    """Return the index of the first wrong step by its labels, -1 if there is none, None if unknown.

    The first step labelled below 0.5 is the first error, if every step before it has a label. Without such a
    step, all have to be labelled for the solution to be correct.
    """
    if not labels:
        return None
    for place, label in enumerate(labels):
        if label is None:
            return None
        if label < RIGHT:
            return place
    return NO_ERROR


def first_error_f1(predicted: ArrayLike, truth: ArrayLike) -> FirstErrorF1:
    """Compare predicted with true first errors.

    Args:
        predicted: [n] index of the predicted first wrong step, from 0; -1 for none.
        truth: [n] index of the first wrong step; -1 for none.

    Raises:
        ConfigError: The shapes differ, or an index is below -1 or no whole number.
    """
    guesses, truths = step_indices("predicted", predicted), step_indices("truth", truth)
    if guesses.shape != truths.shape:
        raise ConfigError(f"as many predictions as truths, got {guesses.size} and {truths.size}")
    wrong, same = truths != NO_ERROR, guesses == truths
    return _result(
        int(wrong.sum()), int((same & wrong).sum()), int((~wrong).sum()), int((same & ~wrong).sum())
    )


def first_error_intervals(
    predicted: ArrayLike, truth: ArrayLike, prompts: ArrayLike, resampling: Resampling
) -> FirstErrorIntervals:
    """Return intervals of `first_error_f1` over resampled prompts [n], each drawn with all its solutions.

    Raises:
        ConfigError: The shapes differ, or an index is below -1 or no whole number.
    """
    guesses, truths = step_indices("predicted", predicted), step_indices("truth", truth)
    groups = np.asarray(prompts)
    wrong, same = truths != NO_ERROR, guesses == truths
    shares = [
        clustered_mean(same[kind], groups[kind], resampling) if kind.any() else None
        for kind in (wrong, ~wrong)
    ]
    columns = np.column_stack([same & wrong, wrong, same & ~wrong, ~wrong]).astype(np.float64)
    sums = resampled_sums(columns, groups, resampling) if len(columns) else None
    if sums is None or not wrong.any() or wrong.all():
        return FirstErrorIntervals(shares[0], shares[1], None, None, 0)
    sums = np.round(sums)
    defined = (sums[:, 1] > 0) & (sums[:, 3] > 0)
    f1 = _f1(*sums[defined].T) if defined.any() else None
    low, high = percentile_interval(f1, resampling.level)
    return FirstErrorIntervals(shares[0], shares[1], low, high, int((~defined).sum()))


def choose_threshold(scores: Sequence[Sequence[float]], truth: ArrayLike) -> ThresholdChoice:
    """Choose the threshold below which a step counts as wrong, by the highest F1.

    A solution is judged rightly on an interval of thresholds: an erroneous one on (score of its first wrong
    step, least score before it], a correct one up to its least score. Sorting the intervals' ends gives F1 at
    every threshold there is, in O(n log n + steps). Of several intervals with the highest F1 the widest is
    taken, then the lowest. Where all scores lie in [0, 1] thresholds do too; else an interval that is open to
    one side gives its end.

    Args:
        scores: Of each solution, its steps' scores: higher is better.
        truth: [n] index of each solution's first wrong step, -1 for none.

    Raises:
        ConfigError: Not as many truths as solutions, an index that is no step, a score that is not finite, or
            no erroneous or no correct solution.
    """
    truths = step_indices("truth", truth)
    low, high = _right_between(scores, truths)
    wrong = truths != NO_ERROR
    if wrong.all() or not wrong.any():
        raise ConfigError(
            "a threshold is chosen on erroneous and correct solutions, "
            f"got {int(wrong.sum())} and {int((~wrong).sum())}"
        )
    ends = np.unique(np.concatenate([low, high]))
    ends = ends[np.isfinite(ends)]
    uppers = np.append(ends, np.inf)  # piece i is (uppers[i - 1], uppers[i]]

    def right(kind: NDArray[np.bool_]) -> Floats:
        """Count the solutions of a kind that are judged rightly on each piece."""
        kept = kind & (low < high)
        begun = np.searchsorted(np.sort(low[kept]), uppers, side="left")
        return (begun - np.searchsorted(np.sort(high[kept]), uppers, side="left")).astype(np.float64)

    found, passed = right(wrong), right(~wrong)
    f1 = _f1(found, np.full_like(found, wrong.sum()), passed, np.full_like(passed, (~wrong).sum()))
    flat = np.fromiter((score for steps in scores for score in steps), dtype=np.float64)
    bounds = (0.0, 1.0) if flat.min() >= 0 and flat.max() <= 1 else (-math.inf, math.inf)
    first, last = _widest(f1 == f1.max(), np.concatenate([[-np.inf], uppers]), bounds)
    threshold = _between(first, last, bounds)
    predicted = [
        next((place for place, score in enumerate(steps) if score < threshold), NO_ERROR) for steps in scores
    ]
    return ThresholdChoice(
        threshold,
        None if math.isinf(first) else first,
        None if math.isinf(last) else last,
        first_error_f1(predicted, truths),
    )


def _right_between(scores: Sequence[Sequence[float]], truths: Integers) -> tuple[Floats, Floats]:
    """Return the ends of (low, high], the thresholds at which each solution is judged rightly: [n] each."""
    low, high = np.full(len(truths), -np.inf), np.empty(len(truths))
    if len(scores) != len(truths):
        raise ConfigError(f"as many truths as solutions, got {len(truths)} and {len(scores)}")
    for number, (steps, place) in enumerate(zip(scores, truths.tolist(), strict=True)):
        if not steps or place >= len(steps) or not all(map(math.isfinite, steps)):
            raise ConfigError(
                f"solution {number} has finite scores, first error {place} among them: got {list(steps)}"
            )
        if place != NO_ERROR:
            low[number] = steps[place]
        high[number] = min(steps[: len(steps) if place == NO_ERROR else place], default=math.inf)
    return low, high


def _widest(best: NDArray[np.bool_], ends: Floats, bounds: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of the widest run of best pieces, piece i being (ends[i], ends[i + 1]]."""
    steps = np.diff(np.concatenate([[0], best.astype(np.int64), [0]]))
    starts, stops = ends[np.flatnonzero(steps == 1)], ends[np.flatnonzero(steps == -1)]
    # Where scores are no probabilities, a run that is open to one side is the widest there is.
    widest = int(np.argmax(np.clip(stops, *bounds) - np.clip(starts, *bounds)))
    return float(starts[widest]), float(stops[widest])


def _between(low: float, high: float, bounds: tuple[float, float]) -> float:
    """Return a number in (low, high]: the middle of what lies within the bounds, or an end, or 0."""
    first, last = max(low, bounds[0]), min(high, bounds[1])
    if math.isfinite(first) and math.isfinite(last) and first < last:
        middle = first + (last - first) / 2
        return middle if middle > first else last
    if math.isfinite(high):
        return high
    return math.nextafter(low, math.inf) if math.isfinite(low) else 0.0


def _result(erroneous: int, found: int, correct: int, passed: int) -> FirstErrorF1:
    both = bool(erroneous and correct)
    return FirstErrorF1(
        erroneous=erroneous,
        found=found,
        correct=correct,
        passed=passed,
        erroneous_accuracy=found / erroneous if erroneous else None,
        correct_accuracy=passed / correct if correct else None,
        f1=float(_f1(*(np.array([number]) for number in (found, erroneous, passed, correct)))[0])
        if both
        else None,
    )


def _f1(found: ArrayLike, erroneous: ArrayLike, passed: ArrayLike, correct: ArrayLike) -> Floats:
    """Return 2ab / (a + b) of a = found / erroneous and b = passed / correct, 0 where both are 0.

    Multiplied out to whole numbers, so that equal F1s are equal.
    """
    a, b = np.asarray(found, dtype=np.float64), np.asarray(passed, dtype=np.float64)
    below = a * np.asarray(correct) + b * np.asarray(erroneous)
    return np.asarray(np.divide(2 * a * b, below, out=np.zeros_like(below), where=below > 0))


def step_indices(name: str, values: ArrayLike) -> Integers:
    """Return step indices as an array; refuse invalid ones."""
    indices = np.asarray(values)
    if indices.size == 0:
        return np.empty(0, dtype=np.int64)
    if indices.ndim != 1 or indices.dtype.kind not in "iu" or indices.min() < NO_ERROR:
        raise ConfigError(f"{name} is a list of steps' indices from 0, or -1 for none; got {values!r}")
    return indices.astype(np.int64)
