"""A reward model's report card: accuracy beside null baselines, calibration, per source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from rewards.display import Columns, Tabular, counted, decimal
from rewards.errors import ConfigError
from rewards.evaluation.calibration import Calibration, calibrate
from rewards.evaluation.length_bias import (
    Correlation,
    LengthAccuracy,
    length_accuracy,
    length_correlation,
    length_correlation_within,
)
from rewards.evaluation.rankings import RankedPairs, RankingReport, rank_report, ranked_pairs
from rewards.intervals import Estimate, Floats, Resampling, clustered_mean


@dataclass(frozen=True, slots=True)
class PairAccuracy:
    """The share of pairs whose chosen response scores strictly higher; a tie is wrong, as in RewardBench."""

    accuracy: Estimate
    """Over the pairs with both scores."""
    ties: int
    missing: int
    """Pairs without both scores."""
    if_missing_wrong: float
    """Accuracy over all pairs if those were wrong."""
    if_missing_right: float
    """Accuracy over all pairs if those were right."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The accuracy of a null baseline on the same pairs."""

    name: str
    accuracy: Estimate
    advantage: Estimate
    """The scorer's accuracy minus the baseline's, pair by pair."""


@dataclass(frozen=True, slots=True)
class Group:
    """The accuracy on some of the pairs: one source, or the margins from `low` to `high`."""

    name: str
    accuracy: Estimate
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class ScoredRanking:
    """One prompt's scored responses and their ranks, 1 for the best; a pair has ranks 1 and 2.

    `scores` are NaN where missing; `features` hold a number per response by name of a null baseline
    that prefers more of it, such as list items, or the score without the prompt.
    """

    prompt: str
    scores: Sequence[float]
    ranks: Sequence[int]
    lengths: Sequence[int]
    """In characters."""
    features: Mapping[str, Sequence[float]]
    source: str = ""
    margin: float | None = None
    """Margin between the better and the worse response, if known."""


@dataclass(frozen=True, slots=True)
class ReportCard(Tabular):
    """Accuracy, baselines and calibration of a scorer on preferences, with the settings of the evaluation."""

    rows: int
    prompts: int
    pairs: PairAccuracy
    baselines: tuple[Baseline, ...]
    """The best first."""
    calibration: Calibration
    logit_scale: float
    """Logits per unit of score."""
    length: Correlation
    length_within_prompt: Correlation
    length_accuracy: LengthAccuracy
    by_source: tuple[Group, ...]
    """Empty where no row has a source."""
    by_margin: tuple[Group, ...]
    margin: str
    """Variable of `by_margin`: the data's `margin`, or else the `score difference`."""
    rankings: RankingReport | None
    """None where every row is a pair."""
    resampling: Resampling

    def summary(self) -> str:
        """Return the accuracy and the calibration, a line each."""
        pairs, calibration = self.pairs, self.calibration
        ties = f", {counted(pairs.ties, 'tie')} counted as wrong" if pairs.ties else ""
        missing = f", {pairs.missing:,} without scores" if pairs.missing else ""
        return (
            f"accuracy {pairs.accuracy}{ties}{missing}\n"
            f"calibration error {decimal(calibration.error, 3)}, log loss {decimal(calibration.log_loss, 3)} "
            f"nats, Brier score {decimal(calibration.brier, 3)}"
        )

    def columns(self) -> Columns:
        """Return the accuracy of the scorer and of each baseline, with the scorer's advantage over it."""
        accuracies = [self.pairs.accuracy, *(baseline.accuracy for baseline in self.baselines)]
        advantages = [None, *(baseline.advantage for baseline in self.baselines)]
        return {
            "name": ["scorer", *(baseline.name for baseline in self.baselines)],
            "accuracy": [estimate.mean for estimate in accuracies],
            "low": [estimate.low for estimate in accuracies],
            "high": [estimate.high for estimate in accuracies],
            "advantage": [None if estimate is None else estimate.mean for estimate in advantages],
            "advantage_low": [None if estimate is None else estimate.low for estimate in advantages],
            "advantage_high": [None if estimate is None else estimate.high for estimate in advantages],
        }


def report_card(
    rows: Sequence[ScoredRanking], logit_scale: float, bins: int, resampling: Resampling
) -> ReportCard:
    """Evaluate a scorer on rows of scored, ranked responses.

    Args:
        rows: The scored rows. A feature that all of them have is a baseline.
        logit_scale: P(chosen is better) = sigmoid(logit_scale * score difference).
        bins: Bins of the calibration error.
        resampling: How intervals are made.

    Raises:
        ConfigError: No pair has an order and both scores.
    """
    pairs = ranked_pairs([row.ranks for row in rows])
    prompts = np.array([row.prompt for row in rows])
    scores, lengths = _joined([row.scores for row in rows]), _joined([row.lengths for row in rows])
    accuracy = pair_accuracy(scores[pairs.chosen], scores[pairs.rejected], prompts[pairs.row], resampling)
    there = ~np.isnan(scores[pairs.chosen] - scores[pairs.rejected])
    pairs = RankedPairs(pairs.chosen[there], pairs.rejected[there], pairs.row[there])
    of_pairs = prompts[pairs.row]
    differences = scores[pairs.chosen] - scores[pairs.rejected]
    right = differences > 0
    kind, margins = _margins(rows, pairs, differences)
    scored = ~np.isnan(scores)
    of_responses = np.repeat(prompts, [len(row.ranks) for row in rows])[scored]
    sources = np.array([row.source for row in rows])
    several = any(len(row.ranks) > 2 for row in rows)
    return ReportCard(
        rows=len(rows),
        prompts=len(np.unique(prompts)),
        pairs=accuracy,
        baselines=against_baselines(right, _baselines(rows, pairs, lengths), of_pairs, resampling),
        calibration=calibrate(logit_scale * differences, bins),
        logit_scale=logit_scale,
        length=length_correlation(scores[scored], lengths[scored]),
        length_within_prompt=length_correlation_within(scores[scored], lengths[scored], of_responses),
        length_accuracy=length_accuracy(
            right, lengths[pairs.chosen] - lengths[pairs.rejected], of_pairs, resampling
        ),
        by_source=by_source(right, sources[pairs.row], of_pairs, resampling) if sources.any() else (),
        by_margin=by_margin(right, margins, of_pairs, resampling),
        margin=kind,
        rankings=rank_report([row.scores for row in rows], [row.ranks for row in rows], prompts, resampling)
        if several
        else None,
        resampling=resampling,
    )


def pair_accuracy(
    chosen: ArrayLike, rejected: ArrayLike, prompts: ArrayLike, resampling: Resampling
) -> PairAccuracy:
    """Return the accuracy of scores [n] against each other; NaN is a missing score.

    Raises:
        ConfigError: No pair has both scores.
    """
    chosen, rejected = np.asarray(chosen, dtype=np.float64), np.asarray(rejected, dtype=np.float64)
    there = ~(np.isnan(chosen) | np.isnan(rejected))
    if not there.any():
        raise ConfigError(f"an accuracy needs a pair with both scores, and none of {len(chosen)} has them")
    right = (chosen > rejected)[there]
    missing = len(chosen) - len(right)
    return PairAccuracy(
        accuracy=clustered_mean(right, np.asarray(prompts)[there], resampling),
        ties=int((chosen == rejected).sum()),
        missing=missing,
        if_missing_wrong=float(right.sum() / len(chosen)),
        if_missing_right=float((right.sum() + missing) / len(chosen)),
    )


def against_baselines(
    right: ArrayLike, baselines: Mapping[str, ArrayLike], prompts: ArrayLike, resampling: Resampling
) -> tuple[Baseline, ...]:
    """Compare a scorer's accuracy by pair [n] with each baseline's [n], the best baseline first.

    A baseline's entries are in [0, 1]: 0.5 for a guess, in expectation. As the best is picked on the same
    pairs, the advantage over it is, if anything, too small.
    """
    right = np.asarray(right, dtype=np.float64)
    compared = [
        Baseline(
            name,
            clustered_mean(values, prompts, resampling),
            clustered_mean(right - np.asarray(values, dtype=np.float64), prompts, resampling),
        )
        for name, values in baselines.items()
    ]
    return tuple(sorted(compared, key=lambda baseline: (-baseline.accuracy.mean, baseline.name)))


def by_source(
    right: ArrayLike, sources: ArrayLike, prompts: ArrayLike, resampling: Resampling
) -> tuple[Group, ...]:
    """Return the accuracy for each distinct source [n], in the order of their names."""
    right, sources, prompts = np.asarray(right), np.asarray(sources), np.asarray(prompts)
    return tuple(
        Group(str(source), clustered_mean(right[sources == source], prompts[sources == source], resampling))
        for source in np.unique(sources)
    )


def by_margin(
    right: ArrayLike, margins: ArrayLike, prompts: ArrayLike, resampling: Resampling, groups: int = 4
) -> tuple[Group, ...]:
    """Return the accuracy for each quantile group of margins [n], the smallest first.

    Equal margins stay together, so there may be fewer groups than asked for, and of unequal size.
    """
    right, prompts = np.asarray(right), np.asarray(prompts)
    margins = np.asarray(margins, dtype=np.float64)
    place = np.floor((rankdata(margins) - 0.5) * groups / len(margins))  # equal margins share their mean rank
    found = []
    for inside in (place == index for index in np.unique(place)):
        low, high = float(margins[inside].min()), float(margins[inside].max())
        accuracy = clustered_mean(right[inside], prompts[inside], resampling)
        found.append(Group(f"{low:.3g} to {high:.3g}", accuracy, low, high))
    return tuple(found)


def section_means(
    accuracies: Mapping[str, float], counts: Mapping[str, float], sections: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Return each section's mean accuracy over its sources, weighted by their counts, as RewardBench does.

    RewardBench gives math-prm the count 984 though it has 447 rows, so that it weighs as much as code.

    Raises:
        ConfigError: A section names no source, or one without an accuracy or a count.
    """
    means = {}
    for section, sources in sections.items():
        absent = [source for source in sources if source not in accuracies or source not in counts]
        if absent or not sources:
            raise ConfigError(f"section {section!r}: no accuracy or count for {absent or 'any source'}")
        weights = [counts[source] for source in sources]
        means[section] = float(np.average([accuracies[source] for source in sources], weights=weights))
    return means


def _baselines(rows: Sequence[ScoredRanking], pairs: RankedPairs, lengths: Floats) -> dict[str, ArrayLike]:
    baselines: dict[str, ArrayLike] = {
        "longer": lengths[pairs.chosen] > lengths[pairs.rejected],
        "shorter": lengths[pairs.chosen] < lengths[pairs.rejected],
        "random": np.full(len(pairs.chosen), 0.5),
    }
    for name in _shared_features(rows):
        feature = _joined([row.features[name] for row in rows])
        baselines[name] = feature[pairs.chosen] > feature[pairs.rejected]
    return baselines


def _shared_features(rows: Sequence[ScoredRanking]) -> list[str]:
    return [name for name in rows[0].features if all(name in row.features for row in rows)]


def _margins(rows: Sequence[ScoredRanking], pairs: RankedPairs, differences: Floats) -> tuple[str, Floats]:
    given = [row.margin for row in rows if row.margin is not None]
    if len(given) == len(rows) and any(given):
        return "margin", np.array(given, dtype=np.float64)[pairs.row]
    return "score difference", np.abs(differences)


def _joined(columns: Sequence[Sequence[float]]) -> Floats:
    return np.fromiter(chain.from_iterable(columns), dtype=np.float64)
