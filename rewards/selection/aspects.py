"""Aspects combined: weighted sum, best under bounds, Pareto front, trade-off curves over weights."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.errors import ConfigError, DataError
from rewards.selection.best_of_n import expected_best_of_n_batch

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class AspectTable:
    """Aspects of n responses: `values` [n, K], finite, a column for each of the K `names`."""

    names: tuple[str, ...]
    values: Floats

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.names) or not self.names:
            raise DataError(f"aspects are [n, K] for K names or more than none, got {values.shape}")
        if len(set(self.names)) < len(self.names):
            raise ConfigError(f"aspects have different names, got {', '.join(self.names)}")
        if not np.isfinite(values).all():
            row, column = np.argwhere(~np.isfinite(values))[0]
            raise DataError(
                f"aspect {self.names[column]!r} is finite, got {values[row, column]} in row {row}"
            )
        object.__setattr__(self, "values", values)

    def column(self, name: str) -> Floats:
        """Return one aspect [n].

        Raises:
            ConfigError: There is no such aspect.
        """
        return np.asarray(self.values[:, self._place(name)], dtype=np.float64)

    def by_name(self, given: Mapping[str, float], what: str) -> dict[int, float]:
        """Return numbers by aspect name, such as weights, keyed by column instead.

        Raises:
            ConfigError: An aspect is unknown, or a number is not finite.
        """
        for name, number in given.items():
            if not math.isfinite(number):
                raise ConfigError(f"{what} of {name!r} is finite, got {number!r}")
        return {self._place(name, what): float(number) for name, number in given.items()}

    def _place(self, name: str, what: str = "aspect") -> int:
        if name not in self.names:
            raise ConfigError(f"{what}: no aspect {name!r}; there are {', '.join(self.names)}")
        return self.names.index(name)


def aspect_table(rows: Sequence[Mapping[str, float]]) -> AspectTable:
    """Return the table of mappings from aspect to number; all have the aspects of the first.

    Raises:
        DataError: There are no rows, or one has other aspects; the message gives its number, from 1.
    """
    if not rows:
        raise DataError("aspects of no response at all")
    names = tuple(rows[0])
    for number, row in enumerate(rows, 1):
        if set(row) != set(names):
            there = ", ".join(row) or "none"
            raise DataError(f"row {number}: aspects are {', '.join(names)} in row 1, and {there} here")
    return AspectTable(names, np.array([[row[name] for name in names] for row in rows], dtype=np.float64))


def weighted_sum(table: AspectTable, weights: Mapping[str, float]) -> Floats:
    """Return sum_k weight_k aspect_k of each response, [n].

    An aspect that is not named has no weight; empty weights are 1 for every aspect.

    Raises:
        ConfigError: An aspect is unknown, or a weight is not finite.
    """
    column = np.ones(len(table.names))
    if weights:
        column = np.zeros(len(table.names))
        for place, weight in table.by_name(weights, "weights").items():
            column[place] = weight
    return np.asarray(table.values @ column, dtype=np.float64)


def violations(table: AspectTable, at_least: Mapping[str, float], at_most: Mapping[str, float]) -> Floats:
    """Return by how much each response misses its bounds, [n]: summed over aspects.

    0 where every bound is met; a value at its bound meets it.

    Raises:
        ConfigError: An aspect is unknown, or a bound is not finite.
    """
    missed = np.zeros(len(table.values))
    for place, bound in table.by_name(at_least, "at_least").items():
        missed += np.maximum(bound - table.values[:, place], 0.0)
    for place, bound in table.by_name(at_most, "at_most").items():
        missed += np.maximum(table.values[:, place] - bound, 0.0)
    return missed


class Choice(NamedTuple):
    """The response chosen for a prompt under bounds."""

    place: int
    feasible: bool
    """Whether it meets the bounds; if not, no response does."""


def constrained_best(rewards: ArrayLike, missed: ArrayLike) -> Choice:
    """Return the response with the highest reward among those within all bounds.

    If every response violates a bound, the one with the smallest violation; ties go to the higher reward,
    then to the first.

    Args:
        rewards: [n] higher is better.
        missed: [n] `violations`.

    Raises:
        ConfigError: There are no responses, or not as many rewards as violations, or one is NaN.
    """
    reward, miss = _alike(rewards, missed)
    order = np.lexsort((np.arange(len(reward)), -reward, miss))  # the last key sorts first
    return Choice(int(order[0]), bool(miss[order[0]] == 0))


def rank_behind(rewards: ArrayLike, missed: ArrayLike) -> tuple[Floats, float | None]:
    """Return rewards in which every violating response ranks below all others, and the floor.

    A reward with violation v becomes floor - v, where floor = least - max(1, largest - least) over the
    rewards. So the order is by bounds first: responses within them by reward, then the others by their
    violation alone. The floor is None if no response violates a bound.

    Args:
        rewards: [n] higher is better.
        missed: [n] `violations`.

    Raises:
        ConfigError: There are no responses, or not as many rewards as violations, or one is NaN.
    """
    reward, miss = _alike(rewards, missed)
    if not miss.any():
        return reward, None
    floor = float(reward.min() - max(1.0, float(np.ptp(reward))))
    return np.where(miss > 0, floor - miss, reward), floor


def pareto_front(values: ArrayLike) -> Booleans:
    """Return the mask of points [n, K] on the Pareto front: none other is as good in all and better in one.

    Equal points are on the front together. Sorted first, so that a point is compared only with the front
    before it: O(n log n) for K of 1 or 2, O(n f K) for a front of f points beyond.

    Raises:
        DataError: The points are not [n, K] with K of 1 or more, or hold NaN.
    """
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 2 or not points.shape[1] or np.isnan(points).any():
        raise DataError(f"points are [n, K] with K of 1 or more and no NaN, got {points.shape}")
    if not len(points):
        return np.zeros(0, dtype=bool)
    # Distinct points in falling order of the first aspect, then of the next: none dominates an earlier one.
    distinct, place = np.unique(-points, axis=0, return_inverse=True)
    distinct = -distinct
    if distinct.shape[1] <= 2:
        second = distinct[:, -1]
        best_before = np.concatenate(([-np.inf], np.maximum.accumulate(second)[:-1]))
        on_front = second > best_before
        on_front[0] = True
    else:
        on_front = np.zeros(len(distinct), dtype=bool)
        front = np.empty_like(distinct)
        size = 0
        for number, point in enumerate(distinct):
            if not (front[:size] >= point).all(axis=1).any():
                front[size] = point
                size += 1
                on_front[number] = True
    return np.asarray(on_front[place.reshape(-1)], dtype=bool)


def trade_off(
    first: ArrayLike,
    second: ArrayLike,
    prompts: ArrayLike,
    measured: ArrayLike,
    weights: Sequence[float] = tuple(np.linspace(0, 1, 11).tolist()),
    n: int = 0,
) -> Floats:
    """Return mean measurements of the best of n, as the weight moves from one aspect to another.

    For each weight w the best by (1 - w) first + w second is chosen for each prompt; the result is its
    expectation over subsets of n (`expected_best_of_n`), equal scores sharing, and the mean over prompts.

    Args:
        first: [m] the aspect used alone at weight 0.
        second: [m] the aspect used alone at weight 1.
        prompts: [m] each response's prompt.
        measured: [m, M] measurements of each response, such as gold aspects.
        weights: W weights in [0, 1].
        n: Size of the subsets; 0 takes all responses of a prompt.

    Returns:
        [W, M].

    Raises:
        ConfigError: A weight is outside, shapes differ, or a prompt has fewer than n responses.
    """
    one, two, values = (np.asarray(column, dtype=np.float64) for column in (first, second, measured))
    places = np.unique(np.asarray(prompts), return_inverse=True)[1].reshape(-1)
    if one.ndim != 1 or not len(one) or values.ndim != 2 or not len(one) == len(two) == len(values):
        shapes = f"{one.shape}, {two.shape} and {values.shape}"
        raise ConfigError(f"two aspects [m] and what is measured [m, M], m of 1 or more; got {shapes}")
    if len(places) != len(one):
        raise ConfigError(f"{len(one)} responses need as many prompts, got {len(places)}")
    mixes = np.asarray(weights, dtype=np.float64)
    if not ((mixes >= 0) & (mixes <= 1)).all():
        raise ConfigError(f"weights are in [0, 1], got {mixes.tolist()}")
    sizes = np.bincount(places)
    sums = np.zeros((len(mixes), values.shape[1]))
    order = np.argsort(places, kind="stable")
    for size in np.unique(sizes).tolist():  # prompts with as many responses make one rectangle
        rows = order[sizes[places[order]] == size].reshape(-1, size)
        for column, mix in enumerate(mixes.tolist()):
            scores = (1 - mix) * one[rows] + mix * two[rows]
            for aspect in range(values.shape[1]):
                best = expected_best_of_n_batch(scores, values[rows, aspect], [n or size])
                sums[column, aspect] += float(best.sum())
    return sums / len(sizes)


def _alike(rewards: ArrayLike, missed: ArrayLike) -> tuple[Floats, Floats]:
    reward, miss = np.asarray(rewards, dtype=np.float64), np.asarray(missed, dtype=np.float64)
    if reward.ndim != 1 or reward.shape != miss.shape or not len(reward):
        raise ConfigError(f"rewards and violations are [n], n of 1 or more; got {reward.shape}, {miss.shape}")
    if np.isnan(reward).any() or not (miss >= 0).all():
        raise ConfigError("rewards are numbers and violations 0 or more, and one is not")
    return reward, miss
