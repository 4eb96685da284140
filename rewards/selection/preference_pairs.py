"""Preference pairs from a prompt's samples, as in RSO: selection, matching and labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rewards.selection.pairing import Pairing, all_pairs, first_round_pairs, tournament_pairs
from rewards.selection.rejection import RejectionSample, rejection_sample

Matching = Literal["first-round", "tournament", "all"]
Labels = Literal["reward", "bradley-terry"]

MATCHINGS: Mapping[str, Callable[[Sequence[float], np.random.Generator], Pairing]] = {
    "first-round": first_round_pairs,
    "tournament": tournament_pairs,
    "all": lambda rewards, _: all_pairs(rewards),
}
"""How responses of one prompt are matched, by name."""


@dataclass(frozen=True, slots=True, eq=False)
class PromptPairs:
    """The pairs of one prompt, with counts of ties and the rejection sampling behind them."""

    taken: NDArray[np.int64]
    """[at most k] indices of the candidates that were matched, in the order of acceptance or of drawing."""
    chosen: NDArray[np.int64]
    """[m] indices of the chosen candidate of each pair."""
    rejected: NDArray[np.int64]
    """[m] indices of the rejected candidate."""
    ties: int
    """Matches of equal reward, which make no pair."""
    against_reward: int
    """Pairs whose chosen response has the lower reward, as Bradley-Terry labels allow."""
    sample: RejectionSample | None
    """The result of rejection sampling; None where the first k were taken."""


def pair_candidates(
    rewards: Sequence[float],
    k: int,
    rng: np.random.Generator,
    beta: float | None = 0.5,
    matching: Matching = "first-round",
    labels: Labels = "reward",
) -> PromptPairs:
    """Take k of N candidates and pair them (RSO, Liu et al. 2309.06657, section 3.1 and Algorithm 1).

    The candidates are visited in the order given, which is that of drawing: Algorithm 1 stops at the k-th
    acceptance and so favours what comes first.

    Args:
        rewards: [N] rewards of candidates whose texts differ, in the order they were drawn.
        k: Number of candidates to pair; with fewer, all are paired.
        rng: Source of acceptance, matching and labels.
        beta: Temperature of rejection sampling in units of reward, above 0 (rso-sample-rank); None takes the
            first k (sft-sample-rank).
        matching: `first-round` makes k // 2 matches, `tournament` k - 1, `all` k (k - 1) / 2.
        labels: `reward` chooses the higher reward; `bradley-terry` chooses a side with the probability
            sigmoid(its reward - the other's), as a rater would who sees the rewards through noise. A match of
            equal rewards makes no pair under either.

    Raises:
        ConfigError: A reward that is not finite, beta not above 0, or no candidate.
    """
    values, sample = np.asarray(rewards, dtype=np.float64), None
    if beta is None:
        taken = np.arange(min(k, len(values)))
    else:
        sample = rejection_sample(values, min(k, len(values)), beta, rng)
        taken = sample.indices
    pairing = MATCHINGS[matching](values[taken].tolist(), rng)
    chosen, rejected = taken[pairing.chosen], taken[pairing.rejected]
    against = 0
    if labels == "bradley-terry":
        swapped = _against_reward(values[chosen] - values[rejected], rng)
        chosen, rejected = np.where(swapped, rejected, chosen), np.where(swapped, chosen, rejected)
        against = int(swapped.sum())
    return PromptPairs(taken, chosen, rejected, pairing.equal, against, sample)


def _against_reward(gaps: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return [m] whether the worse, by a gap of 0 or more, is chosen: with probability sigmoid(-gap)."""
    odds = np.exp(-gaps)
    swapped: NDArray[np.bool_] = rng.random(len(gaps)) < odds / (1 + odds)
    return swapped
