"""Choosing among scored responses: best of n, statistical rejection sampling, votes, pairs, aspects. Pure."""

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
