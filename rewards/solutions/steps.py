"""A solution's steps: splitting them, aggregating their scores, and finding the first error."""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.errors import ConfigError, ScoringError

Aggregation: TypeAlias = Literal["product", "min", "mean", "last", "sum_logits"]
"""How the probabilities that each step is right are aggregated to a solution's score.

- `product`: prod_t p_t, that every step is right ("Let's Verify Step by Step", 2305.20050, section 2.6).
- `min`: the weakest step (Math-Shepherd, 2312.08935, section 3.4).
- `mean`: the mean of p_t.
- `last`: p_T, which for labels that stop at the first error says little.
- `sum_logits`: sum_t log(p_t / (1 - p_t)), which favours long solutions of good steps.
"""

AGGREGATIONS: tuple[str, ...] = get_args(Aggregation)


def terminated(steps: Sequence[str], separator: str) -> tuple[str, ...]:
    """Return steps that each end in the separator: where one does not carry it, it is added.

    Raises:
        ConfigError: The separator is empty.
    """
    if not separator:
        raise ConfigError("a step separator is a text that is not empty")
    return tuple(step if step.endswith(separator) else step + separator for step in steps)


def split_steps(response: str, separator: str) -> tuple[str, ...]:
    """Cut a response after each separator; the steps join to the response.

    What follows the last separator is a step too, unless it is white space alone, which stays with the
    step before it.

    Raises:
        ConfigError: The separator is empty.
    """
    if not separator:
        raise ConfigError("a step separator is a text that is not empty")
    parts = response.split(separator)
    steps = [part + separator for part in parts[:-1]]
    rest = parts[-1]
    if not rest:
        return tuple(steps)
    if steps and not rest.strip():
        steps[-1] += rest
        return tuple(steps)
    return (*steps, rest)


def aggregate(probabilities: ArrayLike, how: Aggregation) -> float:
    """Return one score of a solution from the probabilities that its steps are right, [S], each in [0, 1].

    Raises:
        ConfigError: There is no such aggregation.
        ScoringError: There are no steps, one is no probability, or `sum_logits` has both a 0 and a 1.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ScoringError(f"a solution is scored by its steps, [S] with S of 1 or more; got {values.shape}")
    if not ((values >= 0) & (values <= 1)).all():
        raise ScoringError(f"a step's score is a probability in [0, 1], got {values.tolist()}")
    with np.errstate(divide="ignore"):  # a probability of 0 or 1 has infinite log-odds, which are meant
        return aggregate_log_odds(np.log(values) - np.log1p(-values), how)


def aggregate_log_odds(log_odds: ArrayLike, how: Aggregation) -> float:
    """Return `aggregate` of steps given by their log-odds log(p / (1 - p)), [S], which lose no precision.

    Raises:
        ConfigError: There is no such aggregation.
        ScoringError: There are no steps, or one is NaN, or infinities of both signs are to be summed.
    """
    if how not in AGGREGATIONS:
        raise ConfigError(f"aggregation is one of {', '.join(AGGREGATIONS)}; got {how!r}")
    z = np.asarray(log_odds, dtype=np.float64)
    if z.ndim != 1 or not len(z) or np.isnan(z).any():
        raise ScoringError(f"a solution is scored by its steps' log-odds, [S], none NaN; got {z.tolist()}")
    if how == "product":
        return math.exp(-float(np.logaddexp(0.0, -z).sum()))
    if how == "sum_logits":
        if np.isposinf(z).any() and np.isneginf(z).any():
            raise ScoringError("steps of probability 0 and of 1 have no sum of logits")
        return float(z.sum())
    p = probabilities(z)
    return {"min": float(p.min()), "mean": float(p.mean()), "last": float(p[-1])}[how]


def probabilities(log_odds: ArrayLike) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-z)) without overflow, of the same shape."""
    z = np.asarray(log_odds, dtype=np.float64)
    return np.asarray(np.exp(-np.logaddexp(0.0, -z)), dtype=np.float64)


def first_error(steps: Sequence[float], threshold: float) -> int:
    """Return the index of the first step that scores below the threshold, from 0; -1 where none does.

    ProcessBench (2412.06559) grades this index.
    """
    return next((place for place, score in enumerate(steps) if score < threshold), -1)


def until_first_error(labels: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return a solution's labels up to its first step labelled below 0.5."""
    wrong = (place for place, label in enumerate(labels) if label is not None and label < 0.5)
    end = next(wrong, len(labels)) + 1
    return tuple(label if place < end else None for place, label in enumerate(labels))
