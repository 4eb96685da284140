"""Best of n, its expected value and its KL, and votes: pure."""

import math
from collections.abc import Hashable, Sequence
from operator import index
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.errors import ConfigError

Answer = TypeVar("Answer", bound=Hashable)


def expected_best_of_n(proxy: ArrayLike, value: ArrayLike, n: Sequence[int]) -> NDArray[np.float64]:
    """Estimate the value of the best of n responses by proxy, unbiased, for every n from one set of samples.

    The mean over all subsets of size n of the value of the subset's best by proxy (WebGPT 2112.09332,
    appendix I; Gao et al. 2210.10760). Ties in the proxy are broken uniformly. Give the proxy as
    value too for the proxy's own curve. One sort, then O(N) for each n.

    Args:
        proxy: [N] the reward to select by, higher is better; infinite allowed.
        value: [N] the value to estimate, such as a gold reward, or correctness as bool.
        n: Sizes, each in [1, N], in any order.

    Returns:
        [len(n)] in the units of `value`.

    Raises:
        ConfigError: No samples, unequal shapes, a NaN proxy, a value that is not finite, or an n outside.
    """
    proxies, values = _measured(proxy, value, "N")
    expected: NDArray[np.float64] = _expected(proxies[None], values[None], n)[0]
    return expected


def expected_best_of_n_batch(proxy: ArrayLike, value: ArrayLike, n: Sequence[int]) -> NDArray[np.float64]:
    """Estimate `expected_best_of_n` for many prompts with N samples each.

    Args:
        proxy: [P, N] the reward to select by, higher is better; infinite allowed.
        value: [P, N] the value to estimate.
        n: Sizes, each in [1, N], in any order.

    Returns:
        [P, len(n)] in the units of `value`.

    Raises:
        ConfigError: No samples, unequal shapes, a NaN proxy, a value that is not finite, or an n outside.
    """
    return _expected(*_measured(proxy, value, "P, N"), n)


def best_of_n_weights(samples: int, n: int) -> NDArray[np.float64]:
    """Return how often each of N samples, sorted by rising proxy, is the best of a random subset of n.

    w_i = C(i-1, n-1) / C(N, n) for i = 1..N, by w_N = n/N and w_{i-1} = w_i (i-n)/(i-1): products of
    factors in [0, 1], so that nothing overflows or cancels, whatever N and n. They sum to 1.

    Args:
        samples: N, 1 or more.
        n: The subset's size, in [1, N].

    Raises:
        ConfigError: n is not a whole number in [1, N].
    """
    size = _whole("n", n)
    if not 1 <= size <= samples:
        raise ConfigError(f"n is in [1, {samples}], the number of samples; got {size}")
    rank = np.arange(samples, 1, -1, dtype=np.float64)
    factors = np.maximum(rank - size, 0.0) / (rank - 1)
    return np.multiply.accumulate(np.concatenate(([size / samples], factors)))[::-1]


def best_of_n_kl(n: int) -> float:
    """Return ln n - (n-1)/n in nats: an upper bound on KL(best of n || the policy), Beirami 2401.01879.

    The KL itself where no two samples tie (a continuous reward); smaller where responses repeat or tie.

    Raises:
        ConfigError: n is not a whole number from 1.
    """
    size = _whole("n", n)
    if size < 1:
        raise ConfigError(f"n is 1 or more, got {size}")
    return math.log(size) - (size - 1) / size


def best_of_n(rewards: ArrayLike, k: int = 1, rng: np.random.Generator | None = None) -> NDArray[np.int64]:
    """Return the indices of the k best, best first.

    Args:
        rewards: [N], higher is better.
        k: How many, in [1, N].
        rng: Orders equal rewards at random; without it the earlier comes first.

    Returns:
        [k] indices.

    Raises:
        ConfigError: A NaN reward, or fewer than k candidates.
    """
    candidates = _candidates(rewards, k)
    order = np.arange(len(candidates)) if rng is None else rng.permutation(len(candidates))
    return order[np.argsort(-candidates[order], kind="stable")][:k].astype(np.int64)


def count_ties_at_cut(rewards: ArrayLike, k: int = 1) -> int:
    """Count the tied candidates at the cut, among which the k best are chosen at random.

    Returns:
        The number with the k-th best reward if some of them are left out, else 0.

    Raises:
        ConfigError: A NaN reward, or fewer than k candidates.
    """
    candidates = _candidates(rewards, k)
    cut = np.sort(candidates)[-k]
    tied = int((candidates == cut).sum())
    places = k - int((candidates > cut).sum())
    return tied if tied > places else 0


def majority_vote(answers: Sequence[Answer | None], weights: Sequence[float] | None = None) -> Answer | None:
    """Return the most frequent answer.

    Answers that are None or empty text do not vote. Of answers with equally many votes the one with the
    larger sum of weights wins, where weights are given, then the one seen first.

    Returns:
        The answer, or None if nobody voted.

    Raises:
        ConfigError: Not one weight per answer, or a weight that is not finite.
    """
    votes, total = _tally(answers, weights)
    # max keeps the first of equals, and a dict the order in which answers were seen.
    return max(votes, key=lambda answer: (votes[answer], total[answer]), default=None)


def weighted_vote(answers: Sequence[Answer | None], weights: Sequence[float]) -> Answer | None:
    """Return the answer whose samples have the largest sum of weights.

    Answers that are None or empty text do not vote; of equal sums the answer seen first wins. Weights are
    summed as they are: negative ones count against an answer that many samples give.

    Returns:
        The answer, or None if nobody voted.

    Raises:
        ConfigError: Not one weight per answer, or a weight that is not finite.
    """
    _, total = _tally(answers, weights)
    return max(total, key=lambda answer: total[answer], default=None)


def _tally(
    answers: Sequence[Answer | None], weights: Sequence[float] | None
) -> tuple[dict[Answer, int], dict[Answer, float]]:
    """Return the number of votes and the sum of weights of each answer, in the order first seen."""
    weights = [1.0] * len(answers) if weights is None else weights
    if len(answers) != len(weights):
        raise ConfigError(f"one weight per answer, got {len(answers)} answers and {len(weights)} weights")
    votes: dict[Answer, int] = {}
    shares: dict[Answer, list[float]] = {}
    for answer, weight in zip(answers, weights, strict=True):
        if not math.isfinite(weight):
            raise ConfigError(f"a vote's weight is finite, got {weight!r} for answer {answer!r}")
        if answer is None or answer == "":
            continue
        votes[answer] = votes.get(answer, 0) + 1
        shares.setdefault(answer, []).append(float(weight))
    # fsum is exact, so that equal sums are equal whatever the order of the samples.
    return votes, {answer: math.fsum(given) for answer, given in shares.items()}


def _measured(
    proxy: ArrayLike, value: ArrayLike, shape: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    proxies, values = np.asarray(proxy, dtype=np.float64), np.asarray(value, dtype=np.float64)
    if proxies.ndim != len(shape.split(", ")) or proxies.shape != values.shape or proxies.shape[-1] == 0:
        got = f"{list(proxies.shape)} and {list(values.shape)}"
        raise ConfigError(f"proxy and value are both [{shape}] with N of 1 or more, got shapes {got}")
    _refuse("proxy", "NaN", proxies, np.isnan(proxies))
    _refuse("value", "not finite", values, ~np.isfinite(values))
    return proxies, values


def _expected(
    proxies: NDArray[np.float64], values: NDArray[np.float64], n: Sequence[int]
) -> NDArray[np.float64]:
    prompts, samples = proxies.shape
    order = np.argsort(proxies, axis=1, kind="stable")
    averaged = _average_ties(np.take_along_axis(proxies, order, 1), np.take_along_axis(values, order, 1))
    expected = np.empty((prompts, len(n)))
    for column, size in enumerate(n):
        expected[:, column] = averaged @ best_of_n_weights(samples, size)
    return expected


def _average_ties(proxies: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace each value by the mean over samples of equal proxy; both [P, N] in rising order of proxy."""
    new = np.ones(proxies.shape, dtype=bool)
    new[:, 1:] = proxies[:, 1:] != proxies[:, :-1]
    group = np.cumsum(new.ravel()) - 1
    mean = np.bincount(group, weights=values.ravel()) / np.bincount(group)
    return np.asarray(mean[group].reshape(values.shape), dtype=np.float64)


def _candidates(rewards: ArrayLike, k: int) -> NDArray[np.float64]:
    candidates = np.asarray(rewards, dtype=np.float64)
    if candidates.ndim != 1:
        raise ConfigError(f"rewards are [N], got shape {candidates.shape}")
    _refuse("rewards", "NaN", candidates, np.isnan(candidates))
    if not 1 <= _whole("k", k) <= len(candidates):
        raise ConfigError(f"k is in [1, {len(candidates)}], the number of candidates; got {k}")
    return candidates


def _refuse(name: str, what: str, array: NDArray[np.float64], bad: NDArray[np.bool_]) -> None:
    if bad.any():
        place = tuple(int(position) for position in np.argwhere(bad)[0])
        raise ConfigError(f"{name} is {what} at {list(place)}: {array[place]}; {int(bad.sum())} in all")


def _whole(name: str, number: int) -> int:
    try:
        if isinstance(number, bool | np.bool_):
            raise TypeError
        return index(number)
    except TypeError:
        raise ConfigError(f"{name} is a whole number, got {number!r}") from None
