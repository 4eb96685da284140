"""Distance from the starting policy: d = sqrt(KL), in nats, and the n of best-of-n at that distance."""

import math

from scipy.optimize import brentq

from rewards.errors import ConfigError
from rewards.selection.best_of_n import best_of_n_kl


def distance(kl: float) -> float:
    """Return d = sqrt(KL), the abscissa of Gao et al. 2022 (2210.10760).

    Args:
        kl: KL(policy || starting policy) in nats.

    Raises:
        ConfigError: The divergence is negative or not finite.
    """
    if not 0 <= kl < math.inf:
        raise ConfigError(f"a KL divergence is a finite number of nats from 0, got {kl!r}")
    return math.sqrt(kl)


def best_of_n_distance(n: int) -> float:
    """Return the square root of best-of-n's bound on KL, ln n - (n - 1)/n: 0 for n = 1.

    The bound is reached where no two samples are alike (Beirami et al. 2024, 2401.01879), so the true
    distance of best-of-n over texts that repeat is shorter.

    Raises:
        ConfigError: n is below 1.
    """
    return distance(best_of_n_kl(n))


def n_at_distance(d: float) -> float:
    """Return the n, not rounded, whose bound ln n - (n - 1)/n is d squared.

    Args:
        d: Distance in square roots of nats, from 0.

    Raises:
        ConfigError: The distance is negative, not finite, or so long that n overflows.
    """
    if not 0 <= d <= 26:
        raise ConfigError(f"a distance of best-of-n is from 0 to 26, got {d!r}")
    # With x = ln n the bound is x - 1 + exp(-x), which rises in x and lies less than 1 below it.
    x = brentq(lambda x: x + math.expm1(-x) - d * d, 0, d * d + 1, xtol=1e-15, rtol=1e-14)
    return math.exp(x)
