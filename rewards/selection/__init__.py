"""Choosing among scored responses: best of n, statistical rejection sampling, votes, pairs, aspects. Pure.

- `aspects.py`: Aspects combined: weighted sum, best under bounds, Pareto front, trade-off curves over
  weights
- `best_of_n.py`: Best of n, its expected value and its KL, and votes: pure
- `pairing.py`: Pairs of chosen and rejected among selected responses: first round, tournament, all pairs
- `preference_pairs.py`: Preference pairs from a prompt's samples, as in RSO: selection, matching and
  labels
- `rejection.py`: Statistical rejection sampling: responses as if drawn from pi(y) exp(reward / beta),
  with diagnostics
"""

from rewards.selection.best_of_n import (
    best_of_n,
    best_of_n_kl,
    best_of_n_weights,
    count_ties_at_cut,
    expected_best_of_n,
    expected_best_of_n_batch,
    majority_vote,
    weighted_vote,
)
from rewards.selection.pairing import Pairing, all_pairs, first_round_pairs, tournament_pairs
from rewards.selection.rejection import RejectionSample, acceptance_probabilities, rejection_sample

__all__ = [
    "Pairing",
    "RejectionSample",
    "acceptance_probabilities",
    "all_pairs",
    "best_of_n",
    "best_of_n_kl",
    "best_of_n_weights",
    "count_ties_at_cut",
    "expected_best_of_n",
    "expected_best_of_n_batch",
    "first_round_pairs",
    "majority_vote",
    "rejection_sample",
    "tournament_pairs",
    "weighted_vote",
]
