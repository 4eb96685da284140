"""Exact tests of paired differences (sign-flip, sign, McNemar), and Holm's correction for many of them."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr

from rewards.errors import ConfigError

Floats = NDArray[np.float64]

_ENUMERATED = 14
"""Up to so many differences, all their signs are tried."""
_GRID = 1200
"""Steps of a difference of 1: those of means of up to six verdicts fall on it."""
_MOST_STEPS = 20_000_000
"""Largest number of differences times steps for which the distribution is computed: some 50 ms."""


def holm(p_values: ArrayLike) -> Floats:
    """Return p-values [m] adjusted for all m tests, after Holm (1979), in the order given.

    Calling those at most alpha significant makes one false call or more with a chance of at most alpha.
    """
    given = np.asarray(p_values, dtype=np.float64)
    if given.ndim != 1 or not ((given >= 0) & (given <= 1)).all():
        raise ConfigError(f"p-values are in [0, 1], got {given}")
    order = np.argsort(given, kind="stable")
    steps = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def sign_test(better: int, worse: int) -> float:
    """Return the two-sided exact p-value of so many prompts better and worse, if either were as likely.

    Of two systems' right and wrong answers it is McNemar's exact test.
    """
    if better < 0 or worse < 0:
        raise ConfigError(f"counts are 0 or more, got {better} and {worse}")
    return min(1.0, 2 * float(bdtr(min(better, worse), better + worse, 0.5)))


def sign_flip_test(differences: ArrayLike) -> float | None:
    """Return the two-sided p-value of the sum of differences [n], if either sign of each were as likely.

    That is the share of all 2^n choices of signs whose sum is as far from 0, exactly; None where it is
    neither computed by trying them all, for up to 14 that are not 0, nor as the distribution of a sum on a
    grid, for differences that are multiples of 1/1200 or of the smallest of them.
    """
    given = np.asarray(differences, dtype=np.float64)
    given = given[given != 0]
    if not len(given):
        return 1.0
    if (given > 0).all() or (given < 0).all():
        return math.ldexp(2.0, -len(given))
    for unit in (1 / _GRID, float(np.abs(given).min())):
        exact = given / unit
        steps = np.rint(exact)
        if np.abs(exact - steps).max() < 1e-6:
            whole = steps.astype(np.int64) // np.gcd.reduce(steps.astype(np.int64))
            if int(np.abs(whole).sum()) * len(whole) <= _MOST_STEPS:
                return _flipped_on_grid(np.abs(whole), abs(int(whole.sum())))
    if len(given) > _ENUMERATED:
        return None
    sums = np.zeros(1)
    for size in np.abs(given):
        sums = np.concatenate([sums - size, sums + size])
    return float(np.mean(np.abs(sums) >= abs(math.fsum(given)) - 1e-9))


def _flipped_on_grid(steps: NDArray[np.int64], reached: int) -> float:
    """Return the chance that whole numbers [n] with random signs sum to `reached` or farther from 0."""
    if reached == 0:
        return 1.0
    # The sum is at most -reached where the numbers with a plus sum to at most this.
    most = (int(steps.sum()) - reached) // 2
    chances = np.zeros(most + 1)
    chances[0] = 1
    for step in steps.tolist():
        halved = chances / 2
        chances = halved.copy()
        if step <= most:
            chances[step:] += halved[: most + 1 - step]
    return min(1.0, 2 * math.fsum(chances))
