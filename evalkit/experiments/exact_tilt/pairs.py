"""Preferences between the answers of the exact world: by their weights, and as finite draws."""

from typing import Any

import numpy as np

from evalkit.experiments.exact_tilt.world import ANSWERS, OTHER, PROMPTS, Floats
from rewards.records import Preference
from rewards.selection.preference_pairs import Labels, pair_candidates


def preference_weights(policy: Floats, rewards: Floats) -> Floats:
    """Return how often each answer is preferred to each, of pairs drawn from a policy without end.

    Both answers are drawn from the policy, pairs of the same one are left out, and a Bradley-Terry rater who
    sees the rewards chooses.

    Args:
        policy: [prompts, outcomes].
        rewards: [prompts, outcomes].

    Returns:
        [prompts, chosen, rejected]; the sum over all is what is left of 1.
    """
    drawn, worth = policy[:, :OTHER], rewards[:, :OTHER]
    chance = 1 / (1 + np.exp(worth[:, None, :] - worth[:, :, None]))
    weights = drawn[:, :, None] * drawn[:, None, :] * chance / len(policy)
    return np.asarray(weights * (1 - np.eye(OTHER)), dtype=np.float64)


def draw_preferences(samples: np.ndarray[Any, Any], rewards: Floats, rng: np.random.Generator) -> Floats:
    """Return counts of preferences between neighbours of a policy's samples, as a rater would have them.

    Args:
        samples: [prompts, 2 m] outcomes.
        rewards: [prompts, outcomes].
        rng: The rater's chance.

    Returns:
        [prompts, chosen, rejected]; pairs of one answer twice, or with another text, are left out.
    """
    counts = np.zeros((len(PROMPTS), OTHER + 1, OTHER + 1))
    for place, own in enumerate(samples):
        first, second = own[::2], own[1::2]
        gap = rewards[place, second] - rewards[place, first]
        swapped = rng.random(len(first)) >= 1 / (1 + np.exp(gap))
        chosen, rejected = np.where(swapped, second, first), np.where(swapped, first, second)
        np.add.at(counts[place], (chosen, rejected), 1)
        np.fill_diagonal(counts[place], 0)
    return counts[:, :OTHER, :OTHER]


def rso_pairs(
    samples: np.ndarray[Any, Any],
    rewards: Floats,
    n: int,
    k: int,
    beta: float,
    labels: Labels,
    rng: np.random.Generator,
) -> Floats:
    """Return counts of the pairs that RSO makes of a policy's samples, [prompts, chosen, rejected].

    Each n samples are what one prompt of a data set would have: copies are merged, k are accepted, matched
    and labelled (`rewards.selection.preference_pairs.pair_candidates`).
    """
    counts = np.zeros((len(PROMPTS), OTHER + 1, OTHER + 1))
    for place, own in enumerate(samples):
        for start in range(0, len(own) - n + 1, n):
            different = np.array(list(dict.fromkeys(own[start : start + n].tolist())))
            found = pair_candidates(rewards[place, different].tolist(), k, rng, beta, "first-round", labels)
            np.add.at(counts[place], (different[found.chosen], different[found.rejected]), 1)
    return counts[:, :OTHER, :OTHER]


def drawn_records(weights: Floats, number: int, rng: np.random.Generator) -> list[Preference]:
    """Return preferences drawn by their weights, [prompts, chosen, rejected]."""
    flat = weights.reshape(-1)
    drawn = rng.choice(len(flat), number, p=flat / flat.sum())
    return [
        Preference(PROMPTS[q], f" {ANSWERS[a]}", f" {ANSWERS[b]}")
        for q, a, b in zip(*np.unravel_index(drawn, weights.shape), strict=True)
    ]
