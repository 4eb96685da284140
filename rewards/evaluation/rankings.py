"""Rankings of K responses: their untied pairs, top-1 and best-of-k accuracy, Kendall's tau."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.display import Displayed, decimal
from rewards.errors import ConfigError
from rewards.intervals import Estimate, Floats, Resampling, clustered_mean

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class RankedPairs:
    """The pairs of responses to one prompt whose ranks differ, as indices into the responses."""

    chosen: Indices
    """[n], the response of better rank."""
    rejected: Indices
    """[n]"""
    row: Indices
    """[n], the ranking that a pair is from."""


@dataclass(frozen=True, slots=True)
class RankingReport(Displayed):
    """Results over the rankings with unequal ranks and without missing scores."""

    top_1: Estimate
    """Share of rankings where the highest score is only at best-ranked responses: a tie is wrong."""
    best_of_k: Estimate
    """Mean share of best-ranked responses among those with the highest score: 1/#max for one best, and 0 if
    it is not among them, as in RewardBench 2."""
    chance: float
    """Expected accuracy of a random score: 1/K where one response is best."""
    kendall_tau: Estimate | None
    """Mean of tau-b between scores and ranks, in [-1, 1] with 1 for agreement; None if never defined."""
    undefined_tau: int
    """Rankings without a tau-b, as their scores are all equal; left out of its mean."""
    without_order: int
    """Rankings left out, as their ranks are all equal."""
    missing: int
    """Rankings left out, as a score is missing."""

    def summary(self) -> str:
        """Return the accuracies and the rank correlation, a line each."""
        lines = [f"top 1: {self.top_1}", f"best of K: {self.best_of_k}; by chance {decimal(self.chance, 3)}"]
        return "\n".join(lines + ([] if self.kendall_tau is None else [f"Kendall's tau: {self.kendall_tau}"]))


def ranked_pairs(ranks: Sequence[Sequence[int]]) -> RankedPairs:
    """Return the pairs of unequal rank within each of the rankings; responses are numbered through."""
    chosen, rejected, rows = [], [], []
    start = 0
    for row, of_row in enumerate(ranks):
        array = np.asarray(of_row)
        better, worse = np.nonzero(array[:, None] < array[None, :])
        chosen.append(start + better)
        rejected.append(start + worse)
        rows.append(np.full(len(better), row))
        start += len(array)
    empty = np.empty(0, dtype=np.intp)
    return RankedPairs(*(np.concatenate([empty, *parts]) for parts in (chosen, rejected, rows)))


def rank_report(
    scores: Sequence[Sequence[float]],
    ranks: Sequence[Sequence[int]],
    prompts: ArrayLike,
    resampling: Resampling,
) -> RankingReport:
    """Evaluate scores, a list for each ranking (NaN is missing), against ranks (1 is best).

    Raises:
        ConfigError: No ranking is left.
    """
    prompts = np.asarray(prompts)
    left, highest, taus, chances = [], [], [], []
    missing = without_order = 0
    for row, (row_scores, row_ranks) in enumerate(zip(scores, ranks, strict=True)):
        of_scores, of_ranks = np.asarray(row_scores, dtype=np.float64), np.asarray(row_ranks)
        if np.isnan(of_scores).any():
            missing += 1
        elif np.ptp(of_ranks) == 0:
            without_order += 1
        else:
            best = of_ranks == of_ranks.min()
            left.append(row)
            highest.append(float(best[of_scores == of_scores.max()].mean()))
            chances.append(float(best.mean()))
            taus.append(kendall_tau(of_scores, of_ranks))
    if not left:
        raise ConfigError(f"none of {len(ranks)} rankings has scores and unequal ranks")
    defined = {place: tau for place, tau in enumerate(taus) if tau is not None}
    share, of_left = np.array(highest), prompts[left]
    return RankingReport(
        top_1=clustered_mean(share == 1, of_left, resampling),
        best_of_k=clustered_mean(share, of_left, resampling),
        chance=float(np.mean(chances)),
        kendall_tau=clustered_mean(list(defined.values()), of_left[list(defined)], resampling)
        if defined
        else None,
        undefined_tau=len(left) - len(defined),
        without_order=without_order,
        missing=missing,
    )


def kendall_tau(scores: Floats, ranks: NDArray[np.int_]) -> float | None:
    """Return tau-b between scores [k] and the reverse of ranks [k], or None where either are all equal.

    tau-b = (pairs that agree - pairs that disagree) / sqrt(pairs of unequal score * pairs of unequal rank)
    """
    by_score = np.sign(scores[:, None] - scores[None, :])
    by_rank = np.sign(ranks[None, :] - ranks[:, None])
    unequal = float(np.abs(by_score).sum()) * float(np.abs(by_rank).sum())
    return float((by_score * by_rank).sum() / np.sqrt(unequal)) if unequal else None
