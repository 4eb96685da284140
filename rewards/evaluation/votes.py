"""How often a vote among N of a prompt's samples is right, over subsets: equal sums share the vote."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BLOCK = 2_000_000
"""Numbers held at once in an array of subsets by samples or by answers, to bound the memory."""
SAME = 1e-12
"""Sums of weights that differ relatively by less are equal: addition rounds, in an order that is chance."""


@dataclass(frozen=True, slots=True, eq=False)
class VoteAccuracy:
    """Mean over subsets of each vote's accuracy, and its variance over them, 0 where all subsets counted.

    Arrays are [W, P, m] for W kinds of weights, P prompts and m sizes.
    """

    accuracy: Floats
    variance: Floats


def vote_accuracy(
    answers: Integers,
    correct: Floats,
    weights: Floats,
    sizes: Sequence[int],
    subsets: int,
    places: Sequence[int],
    seed: int,
) -> VoteAccuracy:
    """Count votes in subsets of each prompt's samples.

    All subsets of a size are counted where there are no more than `subsets`, and at N = 1; else as many are
    drawn, as the first samples of random orders, so that a larger subset holds the smaller ones. A prompt's
    orders come from the seed and its place alone.

    Args:
        answers: [P, N] number of each sample's answer, 0 or more; -1 where it does not vote.
        correct: [P, N] 1 or 0.
        weights: [W, P, N] finite and 0 or more.
        sizes: Each in [1, N], rising.
        subsets: Most subsets of each size.
        places: [P] number of each prompt, for its random orders.
        seed: Of the random orders.
    """
    count = answers.shape[1]
    accuracy, variance = np.zeros((2, len(weights), len(answers), len(sizes)))
    few = [size for size in sizes if size > 1 and math.comb(count, size) <= subsets]
    block = max(1, BLOCK // (subsets * (count + 1)))
    for start in range(0, len(answers), block):
        part = slice(start, start + block)
        named, values = _compact(answers[part], correct[part])
        for size in few:
            chosen = np.array(list(combinations(range(count), size)))
            orders = np.broadcast_to(chosen, (len(named), *chosen.shape))
            right = _right(named, values, weights[:, part], orders, [size])
            accuracy[:, part, sizes.index(size)] = right[0].mean(axis=-1)
        if 1 in sizes:  # each sample is its own winner
            accuracy[:, part, sizes.index(1)] = np.take_along_axis(values, named, axis=1).mean(axis=1)
        many = [size for size in sizes if size > 1 and size not in few]
        if many:
            orders = _random_orders(places[part], subsets, count, max(many), seed)
            for size, right_at in zip(
                many, _right(named, values, weights[:, part], orders, many), strict=True
            ):
                accuracy[:, part, sizes.index(size)] = right_at.mean(axis=-1)
                if subsets > 1:
                    variance[:, part, sizes.index(size)] = right_at.var(axis=-1, ddof=1)
    return VoteAccuracy(accuracy, variance)


def _compact(answers: Integers, correct: Floats) -> tuple[Integers, Floats]:
    """Number each prompt's answers from 1, 0 for none [P, N], with the accuracy of each [P, A + 1].

    An answer's accuracy is the mean over the samples that give it; no answer has 0.
    """
    named = np.zeros_like(answers)
    for place, row in enumerate(answers):
        distinct, number = np.unique(row, return_inverse=True)
        named[place] = number + (distinct[0] >= 0)  # what does not vote sorts first and becomes 0
    most = int(named.max()) + 1
    flat = (np.arange(len(named))[:, None] * most + named).ravel()
    given = np.bincount(flat, minlength=len(named) * most)
    right = np.bincount(flat, weights=correct.ravel(), minlength=len(named) * most)
    values = np.divide(right, given, out=np.zeros_like(right), where=given > 0).reshape(len(named), most)
    values[:, 0] = 0.0
    return named, values


def _random_orders(places: Sequence[int], subsets: int, count: int, size: int, seed: int) -> Integers:
    """Return [P, subsets, size]: the beginnings of random orders of N samples."""
    keys = np.stack([np.random.default_rng([seed, place]).random((subsets, count)) for place in places])
    return np.argsort(keys, axis=-1)[:, :, :size]


def _right(
    named: Integers, values: Floats, weights: Floats, orders: Integers, sizes: Sequence[int]
) -> list[Floats]:
    """Return for each size the accuracy of the winner among each order's first samples: [W, P, S] each."""
    prompts, subsets, _ = orders.shape
    most = values.shape[1]
    rows = np.arange(prompts)[:, None, None]
    cells = (rows * subsets + np.arange(subsets)[None, :, None]) * most + named[rows, orders]  # [P, S, n]
    results = [np.empty((len(weights), prompts, subsets)) for _ in sizes]
    given = np.zeros(prompts * subsets * most)
    sums = np.zeros((len(weights), len(given)))
    done = 0
    for place, size in enumerate(sizes):
        new = cells[:, :, done:size].ravel()
        given += np.bincount(new, minlength=len(given))
        voted_for = given.reshape(prompts, subsets, most)[:, :, 1:] > 0
        for kind, weight in enumerate(weights):
            cast = weight[rows, orders[:, :, done:size]].ravel()
            sums[kind] += np.bincount(new, weights=cast, minlength=len(given))
            total = sums[kind].reshape(prompts, subsets, most)[:, :, 1:]
            results[place][kind] = _winners(total, voted_for, values[:, None, 1:])
        done = size
    return results


def _winners(sums: Floats, voted_for: NDArray[np.bool_], values: Floats) -> Floats:
    """Return the mean value of the answers with the largest sum of those given, [P, S]; 0 where none is."""
    if not sums.shape[-1]:
        return np.zeros(sums.shape[:2])
    held = np.where(voted_for, sums, -1.0)
    top = held.max(axis=-1, keepdims=True)
    tied = voted_for & (held >= top * (1 - SAME))
    return np.asarray((tied * values).sum(axis=-1) / np.maximum(tied.sum(axis=-1), 1))
