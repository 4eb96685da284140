"""Pairs of chosen and rejected among selected responses: first round, tournament, all pairs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.errors import ConfigError


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """Pairs by reward; a match between equal rewards makes no pair and is counted."""

    chosen: NDArray[np.int64]
    """[m] indices of the better of each pair."""
    rejected: NDArray[np.int64]
    """[m] indices of the worse."""
    equal: int
    """Matches that made no pair, since the two rewards are equal."""


def first_round_pairs(rewards: ArrayLike, rng: np.random.Generator) -> Pairing:
    """Match the responses at random, once: n // 2 matches (RSO's first-round-rank, 2309.06657).

    With an odd number a random response has no match.

    Args:
        rewards: [n], higher is better.
        rng: Draws the matching.

    Raises:
        ConfigError: A reward that is not finite.
    """
    values = _finite(rewards)
    return _by_reward(values, _matches(rng.permutation(len(values))))


def tournament_pairs(rewards: ArrayLike, rng: np.random.Generator) -> Pairing:
    """Match at random, then the winners among themselves, to the last: n - 1 matches (RSO's tournament-rank).

    With an odd number in a round the last of the random order advances without a match. Equal rewards make
    no pair, and the first in the random order advances.

    Args:
        rewards: [n], higher is better.
        rng: Draws the matching of each round.

    Raises:
        ConfigError: A reward that is not finite.
    """
    values = _finite(rewards)
    entrants = np.arange(len(values))
    rounds = [np.empty((0, 2), dtype=np.int64)]
    while len(entrants) > 1:
        drawn = rng.permutation(entrants)
        matches = _matches(drawn)
        rounds.append(matches)
        second_wins = values[matches[:, 1]] > values[matches[:, 0]]
        winners = np.where(second_wins, matches[:, 1], matches[:, 0])
        entrants = np.concatenate((winners, drawn[2 * len(matches) :]))
    return _by_reward(values, np.concatenate(rounds))


def all_pairs(rewards: ArrayLike) -> Pairing:
    """Match each response with each other: n (n - 1) / 2 matches.

    Args:
        rewards: [n], higher is better.

    Raises:
        ConfigError: A reward that is not finite.
    """
    values = _finite(rewards)
    first, second = np.triu_indices(len(values), 1)
    return _by_reward(values, np.stack((first, second), axis=1))


def _matches(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return [n // 2, 2] neighbours of an order."""
    return order[: len(order) // 2 * 2].reshape(-1, 2)


def _by_reward(values: NDArray[np.float64], matches: NDArray[np.int64]) -> Pairing:
    first, second = values[matches[:, 0]], values[matches[:, 1]]
    decided = matches[first != second]
    first_better = (first > second)[first != second]
    return Pairing(
        chosen=np.where(first_better, decided[:, 0], decided[:, 1]),
        rejected=np.where(first_better, decided[:, 1], decided[:, 0]),
        equal=len(matches) - len(decided),
    )


def _finite(rewards: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(rewards, dtype=np.float64)
    if values.ndim != 1:
        raise ConfigError(f"rewards are [n], got shape {values.shape}")
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ConfigError(f"a reward is finite, got {values[place]} at {place}")
    return values
