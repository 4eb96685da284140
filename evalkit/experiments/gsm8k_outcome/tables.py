"""What scores of GSM8K's example solutions tell, beside what scores tell that understand none of them.

Four models wrote one solution each of every problem, and differ in strength. So a score may be right for
three reasons, which the figures part: the problem is easy, its author is strong, or it reads the solution.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rewards.intervals import Resampling, percentile_interval
from rewards.selection.best_of_n import expected_best_of_n_batch

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

FIGURES: Mapping[str, str] = {
    "auc": "right above wrong,\nall solutions",
    "within-author": "right above wrong,\nby one author",
    "within-problem": "right above wrong,\nof one problem",
    "reading": "which of two authors is right\non this problem",
    "best-of-4": "best of 4 is right",
}
"""The figures in order, with what they measure; all but the last are 0.5 by chance."""

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True, slots=True, eq=False)
class Solutions:
    """Scores of every problem's solutions, and whether they are right."""

    right: NDArray[np.bool_]
    """[P, M] for each problem and author."""
    fold: Integers
    """[P] in which a problem was held out; only scores of one fold are compared, as one model gave them."""
    scores: Mapping[str, Floats]
    """[P, M] for each scorer; higher is better."""


def baselines(
    rows: Sequence[Mapping[str, object]], right: NDArray[np.bool_], fold: Integers
) -> dict[str, Floats]:
    """Return scores [P, M] that no model gives.

    - `constant`: nothing; `shorter`, `longer`: characters of the solution; `fewer-steps`: its lines.
    - `shorter-question`: characters of the question, which say how hard it is, whatever the solution.
    - `author`: how often the author is right on the other folds.
    - `numbers-used`: the share of the question's numbers that stand in the solution.
    - `votes`: how many of the other solutions end in the same number; it reads all four, unlike the others.

    Args:
        rows: [P] of `rewards.data.gsm8k.graded_solutions`.
        right: [P, M].
        fold: [P].
    """
    texts: list[list[str]] = [row["responses"] for row in rows]  # type: ignore[misc]  # as the reader has it
    questions = [str(row["question"]) for row in rows]
    answers: list[list[str | None]] = [row["answers"] for row in rows]  # type: ignore[misc]  # as above
    length = np.array([[float(len(text)) for text in own] for own in texts])
    author = np.empty(right.shape)
    for part in np.unique(fold):
        author[fold == part] = right[fold != part].mean(axis=0)
    return {
        "constant": np.zeros(right.shape),
        "shorter": -length,
        "longer": length,
        "fewer-steps": -np.array([[float(len(text.strip().splitlines())) for text in own] for own in texts]),
        "shorter-question": np.repeat([[-float(len(text))] for text in questions], right.shape[1], axis=1),
        "author": author,
        "numbers-used": np.array(
            [[numbers_used(q, text) for text in own] for q, own in zip(questions, texts, strict=True)]
        ),
        "votes": np.array([[float(0 if a is None else own.count(a) - 1) for a in own] for own in answers]),
    }


def numbers_used(question: str, solution: str) -> float:
    """Return the share of the question's numbers that stand in the solution; 1 where it has none."""
    asked = _numbers(question)
    return len(asked & _numbers(solution)) / len(asked) if asked else 1.0


def _numbers(text: str) -> set[str]:
    return {found.replace(",", "").rstrip(".") for found in _NUMBER.findall(text)}


def measure(
    solutions: Solutions, resampling: Resampling, first: str
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return rows of every figure of every scorer, and of one scorer's differences from all others.

    Intervals are percentiles over resampled problems, the same for all scorers, so that the differences are
    paired; ends are None where nothing varies.

    Args:
        solutions: What is measured.
        resampling: How intervals are made.
        first: The scorer whose differences are told.
    """
    count = len(solutions.right)
    rng = np.random.default_rng(resampling.seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resampling.resamples)
    weights = np.vstack([np.ones(count), drawn.astype(np.float64)])  # the first row is what was measured
    found: dict[tuple[str, str], Floats] = {}
    for name, scores in solutions.scores.items():
        found |= {(figure, name): each for figure, each in _figures(scores, solutions, weights).items()}
    values: list[dict[str, object]] = [
        {"figure": figure, "scorer": name, "value": float(all_[0]), **_ends(all_[1:], resampling.level)}
        for (figure, name), all_ in found.items()
    ]
    differences: list[dict[str, object]] = [
        {
            "figure": figure,
            "first": first,
            "second": name,
            "difference": float(found[figure, first][0] - all_[0]),
            **_ends(found[figure, first][1:] - all_[1:], resampling.level),
        }
        for (figure, name), all_ in found.items()
        if name != first
    ]
    return values, differences


def by_author(solutions: Solutions, names: Sequence[str], resampling: Resampling) -> list[dict[str, object]]:
    """Return, for every author and scorer, how often a right solution of theirs scores above a wrong one."""
    count = len(solutions.right)
    rng = np.random.default_rng(resampling.seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resampling.resamples)
    weights = np.vstack([np.ones(count), drawn.astype(np.float64)])
    rows: list[dict[str, object]] = []
    for place, author in enumerate(names):
        right = solutions.right[:, place]
        for name, scores in solutions.scores.items():
            values = stratified_auc(scores[:, place], right, solutions.fold, np.arange(count), weights)
            ends = _ends(values[1:], resampling.level)
            rows.append(
                {"author": author, "right": int(right.sum()), "scorer": name, "auc": float(values[0]), **ends}
            )
    return rows


def stratified_auc(
    scores: Floats, right: NDArray[np.bool_], strata: Integers, prompts: Integers, weights: Floats
) -> Floats:
    """Return how often a right item scores above a wrong one of its stratum, ties half, [B].

    Every pair of a right and a wrong item of one stratum counts alike; NaN where there is no pair.

    Args:
        scores: [n].
        right: [n].
        strata: [n] any numbers.
        prompts: [n] each item's place in the weights.
        weights: [B, P] how often each prompt counts in each resample.
    """
    wins, pairs = np.zeros((2, len(weights)))
    for stratum in np.unique(strata):
        chosen = np.flatnonzero(strata == stratum)
        chosen = chosen[np.argsort(scores[chosen], kind="stable")]
        starts = np.flatnonzero(np.diff(scores[chosen], prepend=-np.inf))
        weight = weights[:, prompts[chosen]]
        rights = np.add.reduceat(weight * right[chosen], starts, axis=1)
        wrongs = np.add.reduceat(weight * ~right[chosen], starts, axis=1)
        wins += (rights * (np.cumsum(wrongs, axis=1) - wrongs / 2)).sum(axis=1)
        pairs += rights.sum(axis=1) * wrongs.sum(axis=1)
    return np.where(pairs > 0, wins / np.where(pairs > 0, pairs, 1), np.nan)


def _figures(scores: Floats, solutions: Solutions, weights: Floats) -> dict[str, Floats]:
    """Return each figure [B] of one scorer."""
    right, fold = solutions.right, solutions.fold
    count, authors = right.shape
    prompts = np.repeat(np.arange(count), authors)
    folds = np.repeat(fold, authors)
    wins, pairs = _within_problem(scores, right)
    # Two authors, one of whom is right: an offset for the problem or for an author cannot tell on which
    # problems it is the first; only the solutions do.
    duels = []
    for number, (one, other) in enumerate(combinations(range(authors), 2)):
        split = np.flatnonzero(right[:, one] != right[:, other])
        stratum = fold[split] * authors**2 + number
        duels.append((scores[split, one] - scores[split, other], right[split, one], stratum, split))
    gap, first_right, stratum, place = (np.concatenate(column) for column in zip(*duels, strict=True))
    author = np.tile(np.arange(authors), count)
    best = expected_best_of_n_batch(scores, right.astype(np.float64), [authors])[:, 0]
    with_pairs = weights @ pairs
    return {
        "auc": stratified_auc(scores.ravel(), right.ravel(), folds, prompts, weights),
        "within-author": stratified_auc(
            scores.ravel(), right.ravel(), folds * authors + author, prompts, weights
        ),
        "within-problem": np.where(
            with_pairs > 0, weights @ wins / np.where(with_pairs > 0, with_pairs, 1), np.nan
        ),
        "reading": stratified_auc(gap, first_right, stratum, place, weights),
        "best-of-4": weights @ best / weights.sum(axis=1),
    }


def _within_problem(scores: Floats, right: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return for each problem [P] its well ordered pairs of a right and a wrong solution, and all pairs."""
    gap = scores[:, :, None] - scores[:, None, :]
    pair = right[:, :, None] & ~right[:, None, :]
    wins = ((gap > 0) + (gap == 0) / 2) * pair
    return wins.sum(axis=(1, 2)), pair.sum(axis=(1, 2)).astype(np.float64)


def _ends(resampled: Floats, level: float) -> dict[str, float | None]:
    known = resampled[~np.isnan(resampled)]
    low, high = percentile_interval(known if len(known) else None, level)
    return {"low": low, "high": high}
