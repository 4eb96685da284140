"""A share of yes and no answers with Wilson's interval."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from rewards.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Share:
    """A count, its total, and the confidence interval of the share."""

    count: int
    n: int
    mean: float
    low: float
    high: float
    level: float


def share_of(count: int, n: int, level: float = 0.95) -> Share | None:
    """Return count of n with Wilson's interval (1927); None of nothing.

    Raises:
        ConfigError: More than n, or the level is not between 0 and 1.
    """
    if not 0 <= count <= n or not 0 < level < 1:
        raise ConfigError(f"a share is of 0 to {n} at a level between 0 and 1, got {count} at {level}")
    if n == 0:
        return None
    mean, weight = count / n, NormalDist().inv_cdf((1 + level) / 2) ** 2 / n
    centre = (mean + weight / 2) / (1 + weight)
    reach = math.sqrt(mean * (1 - mean) * weight + weight**2 / 4) / (1 + weight)
    return Share(
        count, n, mean, max(0.0, min(mean, centre - reach)), min(1.0, max(mean, centre + reach)), level
    )
