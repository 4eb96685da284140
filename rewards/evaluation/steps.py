"""How well step scores separate right steps from wrong ones: ROC curve and calibration."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rewards.display import Columns, Displayed, Tabular, columns_of, counted, decimal, estimated
from rewards.errors import ConfigError
from rewards.evaluation.calibration import ReliabilityBin, calibration_error
from rewards.evaluation.first_errors import RIGHT
from rewards.intervals import Resampling, percentile_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StepRoc(Displayed):
    """How step scores separate wrong steps from right ones, over all thresholds.

    A label of 0.5 or more counts as right. `auc` is the probability that a right step scores above a wrong
    one, ties half; None if either class is empty.
    """

    auc: float | None
    low: float | None
    """Lower end of the percentile interval over resampled prompts; None where nothing varies."""
    high: float | None
    undefined: int
    """Resamples without a right or without a wrong step, which are left out of the interval."""
    right: int
    """Steps labelled right."""
    wrong: int
    """Steps labelled wrong."""
    thresholds: tuple[float | None, ...]
    """Rising; a step with a lower score is marked wrong. The last is None: every step is marked."""
    false_alarms: tuple[float, ...]
    """Share of the right steps that are marked at each threshold."""
    detections: tuple[float, ...]
    """Share of the wrong steps that are marked at each threshold."""

    def summary(self) -> str:
        """Return the area under the curve with its interval."""
        area = "undefined" if self.auc is None else estimated(self.auc, self.low, self.high)
        return f"area under the ROC curve {area}, {self.right:,} right and {self.wrong:,} wrong steps"


@dataclass(frozen=True, slots=True)
class StepCalibration(Tabular):
    """Calibration of step scores, read as probabilities that a step is right.

    A soft label l is taken as a probability too: `brier` is the mean of (p - l)^2, `log_loss` that of
    -l ln p - (1 - l) ln(1 - p) in nats, and a bin's accuracy its mean label. `error` is the expected
    calibration error (Guo et al. 1706.04599, equation 3) over bins equally wide in [0, 1].
    """

    error: float
    brier: float
    log_loss: float | None
    """None where it is infinite: a step of probability 0 was right, or one of 1 wrong."""
    impossible: int
    """Such steps."""
    bins: tuple[ReliabilityBin, ...]
    """The non-empty bins; `confidence` is their mean score, `accuracy` their mean label."""
    number_of_bins: int
    n: int

    def summary(self) -> str:
        """Return the three measures."""
        loss = "infinite" if self.log_loss is None else f"{decimal(self.log_loss, 3)} nats"
        return (
            f"calibration error {decimal(self.error, 3)}, log loss {loss}, Brier score "
            f"{decimal(self.brier, 3)}, {counted(self.n, 'step')}"
        )

    def columns(self) -> Columns:
        """Return the bins."""
        return columns_of(self.bins)

    """Labelled steps."""


def step_roc(
    scores: ArrayLike, labels: ArrayLike, prompts: ArrayLike, resampling: Resampling, points: int = 201
) -> StepRoc:
    """Measure how well step scores separate right from wrong steps.

    Args:
        scores: [n] of the labelled steps, higher is better.
        labels: [n] in [0, 1].
        prompts: [n] the unit of resampling, each with all steps of all its solutions.
        resampling: How intervals are made.
        points: Maximum points of the curve, including the first and the last.

    Raises:
        ConfigError: The shapes differ, a score is NaN or a label outside [0, 1].
    """
    values, marks = _checked(scores, labels)
    right = marks >= RIGHT
    rights, wrongs = int(right.sum()), int((~right).sum())
    if not rights or not wrongs:
        return StepRoc(None, None, None, 0, rights, wrongs, (), (), ())
    places = _Places(values, right)
    resampled = _resampled_auc(places, np.asarray(prompts), resampling)
    defined = None if resampled is None else resampled[~np.isnan(resampled)]
    low, high = percentile_interval(
        None if defined is None or not len(defined) else defined, resampling.level
    )
    distinct, at = np.unique(values, return_inverse=True)
    kept = np.unique(np.linspace(0, len(distinct), min(points, len(distinct) + 1)).round().astype(np.int64))
    return StepRoc(
        auc=places.auc(np.ones_like(values)),
        low=low,
        high=high,
        undefined=0 if resampled is None or defined is None else len(resampled) - len(defined),
        right=rights,
        wrong=wrongs,
        thresholds=tuple(float(distinct[index]) if index < len(distinct) else None for index in kept),
        false_alarms=tuple(
            (np.concatenate([[0], np.cumsum(np.bincount(at, weights=right))])[kept] / rights).tolist()
        ),
        detections=tuple(
            (np.concatenate([[0], np.cumsum(np.bincount(at, weights=~right))])[kept] / wrongs).tolist()
        ),
    )


def calibrate_steps(scores: ArrayLike, labels: ArrayLike, bins: int = 10) -> StepCalibration | None:
    """Measure the calibration of the labelled steps' scores; None unless all lie in [0, 1].

    Args:
        scores: [n] probabilities that each step is right.
        labels: [n] in [0, 1].
        bins: Bins of the calibration error.

    Raises:
        ConfigError: The shapes differ, a label is outside [0, 1], or bins is below 1.
    """
    p, marks = _checked(scores, labels)
    if bins < 1:
        raise ConfigError(f"bins is 1 or more, got {bins!r}")
    if not len(p) or p.min() < 0 or p.max() > 1:
        return None
    reliability = _bins(p, marks, bins)
    impossible = int((((p == 0) & (marks > 0)) | ((p == 1) & (marks < 1))).sum())
    return StepCalibration(
        error=calibration_error(reliability),
        brier=float(np.mean((p - marks) ** 2)),
        log_loss=None if impossible else float(np.mean(_cross_entropy(p, marks))),
        impossible=impossible,
        bins=reliability,
        number_of_bins=bins,
        n=len(p),
    )


class _Places:
    """Right steps in rising order of score, and each wrong step's position among them."""

    def __init__(self, values: Floats, right: NDArray[np.bool_]) -> None:
        rights, wrongs = np.flatnonzero(right), np.flatnonzero(~right)
        self.rights = rights[np.argsort(values[rights], kind="stable")]
        self.wrongs = wrongs
        ranked = values[self.rights]
        self.below = np.searchsorted(ranked, values[wrongs], side="left")
        self.up_to = np.searchsorted(ranked, values[wrongs], side="right")

    def auc(self, weights: Floats) -> float:
        """Return AUC of steps [n] by whole weights, whose sums are exact; NaN without weight of a kind."""
        held = np.concatenate([[0.0], np.cumsum(weights[self.rights])])
        wrong = weights[self.wrongs]
        pairs = 2 * held[-1] * wrong.sum()
        if not pairs:
            return np.nan
        above = 2 * held[-1] - held[self.below] - held[self.up_to]  # twice, a tie once
        return float(wrong @ above / pairs)


def _resampled_auc(places: _Places, prompts: NDArray[np.generic], resampling: Resampling) -> Floats | None:
    """Return AUC for each resample, NaN where one has no steps of a kind; None where there is one prompt."""
    distinct, group = np.unique(prompts, return_inverse=True)
    if len(distinct) < 2:
        return None
    generator = np.random.default_rng(resampling.seed)
    shares = np.full(len(distinct), 1 / len(distinct))
    # One resample at a time, to hold one weight for each step rather than one for each of all resamples.
    draws = (generator.multinomial(len(distinct), shares) for _ in range(resampling.resamples))
    return np.array([places.auc(draw.astype(np.float64)[group]) for draw in draws])


def _bins(p: Floats, labels: Floats, bins: int) -> tuple[ReliabilityBin, ...]:
    edges = np.arange(bins + 1) / bins
    place = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    confidence, accuracy = (np.bincount(place, weights=each, minlength=bins) for each in (p, labels))
    return tuple(
        ReliabilityBin(
            low=float(edges[index]),
            high=float(edges[index + 1]),
            n=int(counts[index]),
            confidence=float(confidence[index] / counts[index]),
            accuracy=float(accuracy[index] / counts[index]),
        )
        for index in np.flatnonzero(counts)
    )


def _cross_entropy(p: Floats, labels: Floats) -> Floats:
    """Return -l ln p - (1 - l) ln(1 - p), a term whose label's share is 0 being 0."""
    terms = np.zeros_like(p)
    for probability, share in ((p, labels), (1 - p, 1 - labels)):
        logarithm = np.log(probability, out=np.zeros_like(p), where=share > 0)
        terms -= share * logarithm
    return terms


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    values, marks = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if values.ndim != 1 or values.shape != marks.shape:
        raise ConfigError(f"scores and labels are both [n], got shapes {values.shape} and {marks.shape}")
    if np.isnan(values).any() or not ((marks >= 0) & (marks <= 1)).all():
        raise ConfigError("a step's score is a number and its label in [0, 1]")
    return values, marks
