"""Error analysis of step scores: errors marked early, late or never, and right answers by wrong steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rewards.evaluation.first_errors import NO_ERROR, RIGHT, FirstErrorF1, first_error_f1, step_indices


@dataclass(frozen=True, slots=True)
class Misses:
    """How first wrong steps are missed, and how right answers with a wrong step are scored."""

    exact: int
    early: int
    """A right step before the first wrong one is marked."""
    late: int
    """The first mark comes after the first wrong step."""
    unmarked: int
    """No step is marked."""
    right_answers: int | None
    """Erroneous solutions whose final answer is right nevertheless; None if no answer is graded."""
    right_answers_marked: int | None
    """Those of them in which some step is marked."""
    right_answers_exact: int | None
    """Those of them whose first wrong step is marked first."""
    at_first_error: float | None
    """Mean score of the first wrong steps."""
    at_right_steps: float | None
    """Mean score of the steps labelled right."""
    before_first_error: float | None
    """Mean score of the steps of erroneous solutions before the first wrong one."""


@dataclass(frozen=True, slots=True)
class StepCountResult:
    """F1 among the solutions whose number of steps lies in [least, most]."""

    least: int
    most: int
    result: FirstErrorF1


def misses(
    scores: Sequence[Sequence[float]],
    labels: Sequence[Sequence[float | None]],
    predicted: ArrayLike,
    truth: ArrayLike,
    right_answer: Sequence[bool | None],
) -> Misses:
    """Count how first wrong steps are missed, and how right answers with a wrong step are scored.

    Args:
        scores: Of each solution, its steps' scores.
        labels: Of each solution, its steps' labels; None where there is none.
        predicted: [n] index of the predicted first wrong step, -1 for none.
        truth: [n] index of the first wrong step, -1 for none.
        right_answer: [n] whether the final answer is right; None if not known.

    Raises:
        ConfigError: The shapes differ, or an index is below -1 or no whole number.
    """
    guesses, truths = step_indices("predicted", predicted), step_indices("truth", truth)
    wrong, marked, exact = truths != NO_ERROR, guesses != NO_ERROR, guesses == truths
    lucky = np.array([known is True for known in right_answer], dtype=bool) & wrong
    known = any(known is not None for known in right_answer)
    right_steps = [
        score
        for steps, marks in zip(scores, labels, strict=True)
        for score, label in zip(steps, marks, strict=True)
        if label is not None and label >= RIGHT
    ]
    erroneous = [(steps, place) for steps, place in zip(scores, truths, strict=True) if place != NO_ERROR]
    return Misses(
        exact=int((wrong & exact).sum()),
        early=int((wrong & marked & (guesses < truths)).sum()),
        late=int((wrong & (guesses > truths)).sum()),
        unmarked=int((wrong & ~marked).sum()),
        right_answers=int(lucky.sum()) if known else None,
        right_answers_marked=int((lucky & marked).sum()) if known else None,
        right_answers_exact=int((lucky & exact).sum()) if known else None,
        at_first_error=_mean([steps[place] for steps, place in erroneous]),
        at_right_steps=_mean(right_steps),
        before_first_error=_mean([score for steps, place in erroneous for score in steps[:place]]),
    )


def by_number_of_steps(
    steps: ArrayLike, predicted: ArrayLike, truth: ArrayLike, groups: int = 5
) -> tuple[StepCountResult, ...]:
    """Return F1 for ranges of the number of steps [n], at most `groups` of about equally many solutions."""
    numbers, guesses, truths = np.asarray(steps), np.asarray(predicted), np.asarray(truth)
    if not len(numbers):
        return ()
    # Solutions of one number stay together, so that a frequent number takes the place of several ranges.
    distinct, counts = np.unique(numbers, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    place = np.minimum((middle * groups / len(numbers)).astype(np.int64), groups - 1)
    results = []
    for group in np.unique(place):
        least, most = int(distinct[place == group][0]), int(distinct[place == group][-1])
        inside = (numbers >= least) & (numbers <= most)
        results.append(StepCountResult(least, most, first_error_f1(guesses[inside], truths[inside])))
    return tuple(results)


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
