"""Elo ratings, in the order of the games and averaged over shuffled orders."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from judges.statistics.pair_sums import Contests, Floats, Label, Places, read_contests
from rewards.display import Columns, Tabular, counted
from rewards.errors import ConfigError


@dataclass(frozen=True, slots=True, eq=False)
class Elo(Tabular):
    """Elo ratings; they depend on the order of the games, which for verdicts is arbitrary.

    `ratings` are those after the last game in the order given. `mean` averages over shuffled orders, and
    `low` and `high` hold the middle 95 % of them: the effect of the order alone, not the uncertainty of a
    rating. Without a reason to want Elo take `bradley_terry`, which has no order and an interval.
    """

    systems: tuple[Label, ...]
    """Sorted: text by code point, numbers by size."""
    ratings: Floats
    """[systems]."""
    mean: Floats
    """[systems]; NaN without permutations."""
    low: Floats
    """[systems]; NaN without permutations."""
    high: Floats
    """[systems]; NaN without permutations."""
    n: int
    """Games."""
    missing: int
    """Games left out since their outcome is NaN."""
    k: float
    initial: float
    scale: float
    seed: int
    permutations: int

    def summary(self) -> str:
        """Return how many systems and games there are."""
        size = f"{counted(len(self.systems), 'system')}, {counted(self.n, 'game')}"
        return f"Elo ratings of {size}, {counted(self.permutations, 'shuffled order')}"

    def columns(self) -> Columns:
        """Return the ratings, the highest first: after the last game, and over shuffled orders."""
        order = np.argsort(-self.ratings, kind="stable")
        return {
            "system": [self.systems[place] for place in order],
            "rating": self.ratings[order].tolist(),
            "mean": self.mean[order].tolist(),
            "low": self.low[order].tolist(),
            "high": self.high[order].tolist(),
        }


def elo(
    first: ArrayLike,
    second: ArrayLike,
    outcome: ArrayLike,
    *,
    k: float = 4.0,
    initial: float = 1000.0,
    scale: float = 400.0,
    seed: int = 0,
    permutations: int = 100,
) -> Elo:
    """Rate systems game by game: the first gains k (y - e), e = 1 / (1 + 10^((second - first) / scale)).

    Args:
        first: [n], the systems named first, all text or all whole numbers.
        second: [n], the systems named second.
        outcome: [n], 1 where first wins, 0.5 for a tie, 0 where second wins, NaN for no verdict.
        k: The most that one game moves a rating.
        initial: The rating of a system before its first game.
        scale: The difference at which the odds are 10 to 1.
        seed: Of the shuffled orders.
        permutations: Shuffled orders to average; each costs about half a second for a million games.

    Raises:
        ConfigError: An argument is outside what is allowed.
    """
    for name, value in {"k": k, "scale": scale}.items():
        if not 0 < value < np.inf:
            raise ConfigError(f"{name} is above 0, got {value!r}")
    if not np.isfinite(initial):
        raise ConfigError(f"initial is a number, got {initial!r}")
    if seed < 0 or permutations < 0:
        raise ConfigError(f"seed and permutations are 0 or more, got {seed!r} and {permutations!r}")
    games = read_contests(first, second, outcome, None)
    ratings = _play(games, np.arange(games.n), k / scale)
    generator = np.random.default_rng(seed)
    shuffled = [_play(games, generator.permutation(games.n), k / scale) for _ in range(permutations)]
    mean = low = high = np.full(len(games.systems), np.nan)
    if shuffled:
        mean = np.mean(shuffled, axis=0)
        low, high = np.quantile(shuffled, [0.025, 0.975], axis=0)
    return Elo(
        games.systems,
        initial + scale * ratings,
        initial + scale * mean,
        initial + scale * low,
        initial + scale * high,
        games.n,
        games.missing,
        k,
        initial,
        scale,
        seed,
        permutations,
    )


def _play(games: Contests, order: Places, k: float) -> Floats:
    """Return the ratings after the games in an order, in units of the scale and from 0."""
    ratings = [0.0] * len(games.systems)
    # Python's lists are several times faster here than numpy's element by element.
    rows = zip(
        games.first[order].tolist(), games.second[order].tolist(), games.outcome[order].tolist(), strict=True
    )
    for first, second, outcome in rows:
        gain = k * (outcome - 1 / (1 + 10 ** (ratings[second] - ratings[first])))
        ratings[first] += gain
        ratings[second] -= gain
    return np.array(ratings)
