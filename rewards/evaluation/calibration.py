"""Calibration of a reward model's score differences: calibration error, log loss, temperature."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit

from rewards.display import Columns, Tabular, columns_of, counted, decimal
from rewards.errors import ConfigError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The pairs whose confidence lies in [low, high), the last bin's upper edge included."""

    low: float
    high: float
    n: int
    confidence: float
    """Mean confidence of these pairs."""
    accuracy: float
    """Share of them that is right; a tie is half right."""


@dataclass(frozen=True, slots=True)
class Temperature:
    """The T that maximises the likelihood of sigmoid(difference / T), and the calibration with it.

    T is fitted to the same pairs, so the errors are slightly optimistic.
    """

    value: float | None
    """None where the likelihood has no maximum at a positive T; `reason` says why."""
    reason: str
    error: float | None
    log_loss: float | None
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class Calibration(Tabular):
    """How far P(chosen is better) = sigmoid(difference) agrees with how often chosen is better.

    - `error` is the expected calibration error (Guo et al. 1706.04599, equation 3): the mean over pairs of
      |accuracy - confidence| of the pair's bin. Confidence is max(P, 1 - P); bins are equally wide in
      [0.5, 1]. A tie (P = 0.5) is half right, as its sides are not ordered.
    - `brier` is the mean of (1 - P)^2 and `log_loss` of -ln P, in nats; 0.25 and ln 2 for a constant score.
    """

    error: float
    brier: float
    log_loss: float
    temperature: Temperature
    bins: tuple[ReliabilityBin, ...]
    """The non-empty bins."""
    number_of_bins: int
    n: int

    def summary(self) -> str:
        """Return the three measures."""
        return (
            f"calibration error {decimal(self.error, 3)}, log loss {decimal(self.log_loss, 3)} nats, Brier "
            f"score {decimal(self.brier, 3)}, {counted(self.n, 'pair')}"
        )

    def columns(self) -> Columns:
        """Return the bins."""
        return columns_of(self.bins)


def calibrate(differences: ArrayLike, bins: int = 10) -> Calibration:
    """Measure the calibration of logit differences chosen minus rejected [n].

    Raises:
        ConfigError: There is no difference, one is not finite, or bins is below 1.
    """
    differences = np.asarray(differences, dtype=np.float64)
    if differences.ndim != 1 or differences.size == 0 or not np.isfinite(differences).all():
        raise ConfigError(f"calibration needs a list of finite differences, got {differences!r}")
    if bins < 1:
        raise ConfigError(f"bins is 1 or more, got {bins!r}")
    reliability = reliability_bins(differences, bins)
    return Calibration(
        error=calibration_error(reliability),
        brier=float(np.mean(expit(-differences) ** 2)),
        log_loss=_log_loss(differences),
        temperature=fit_temperature(differences, bins),
        bins=reliability,
        number_of_bins=bins,
        n=len(differences),
    )


def reliability_bins(differences: Floats, bins: int) -> tuple[ReliabilityBin, ...]:
    """Sort pairs into equally wide bins of confidence, and return the non-empty bins."""
    confidence = expit(np.abs(differences))
    right = (np.sign(differences) + 1) / 2
    edges = 0.5 + np.arange(bins + 1) / (2 * bins)
    place = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1)
    return tuple(
        ReliabilityBin(
            low=float(edges[index]),
            high=float(edges[index + 1]),
            n=int(inside.sum()),
            confidence=float(confidence[inside].mean()),
            accuracy=float(right[inside].mean()),
        )
        for index in range(bins)
        if (inside := place == index).any()
    )


def calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """Return the mean over pairs of |accuracy - confidence| of their bin, in [0, 1]."""
    gaps = [each.n * abs(each.accuracy - each.confidence) for each in bins]
    return sum(gaps) / sum(each.n for each in bins)


def fit_temperature(differences: Floats, bins: int) -> Temperature:
    """Fit T by maximum likelihood, which is concave in 1 / T."""
    size = float(np.abs(differences).max())
    if size == 0:
        return Temperature(None, "all pairs are tied", None, None, ())
    if differences.min() >= 0:
        return Temperature(
            None, "no pair is wrong, so the likelihood rises for ever as T falls", None, None, ()
        )
    if differences.mean() <= 0:
        return Temperature(
            None, "the score favours the rejected on the whole, so no positive T is best", None, None, ()
        )
    unit = differences / size

    def slope(inverse: float) -> float:
        return float(np.mean(unit * expit(-inverse * unit)))

    # The derivative starts above 0, as the mean does, and ends below 0, as a pair is wrong.
    upper = 1.0
    while slope(upper) > 0:
        upper *= 2
    value = size / brentq(slope, 0.0, upper, xtol=1e-14, rtol=1e-12)
    rescaled = differences / value
    reliability = reliability_bins(rescaled, bins)
    return Temperature(value, "", calibration_error(reliability), _log_loss(rescaled), reliability)


def _log_loss(differences: Floats) -> float:
    return float(np.mean(np.logaddexp(0, -differences)))
