"""Scaling laws of overoptimization: d(alpha - beta d) and d(alpha - beta ln d), fitted through the origin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student_t

from rewards.display import NONE, Displayed
from rewards.errors import ConfigError

Array: TypeAlias = NDArray[np.float64]
Form: TypeAlias = Literal["best-of-n", "rl"]
Interval: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ScalingFit(Displayed):
    """A fitted curve of gold reward against distance (Gao et al. 2022, 2210.10760, section 3.1).

    Gold is the gain over the starting policy, so that it is 0 at d = 0; the fit passes through there.
    The intervals of `fit_best_of_n` and `fit_rl` are Student's t intervals of weighted least squares, with
    two degrees of freedom fewer than there are points with d > 0, and take the points' errors as
    independent. A fit that is part of a `Curve` has percentile intervals over resampled prompts instead.
    """

    form: Form
    alpha: float
    """Slope of gold at the start (of form `rl`: at d = 1, plus beta)."""
    beta: float
    alpha_interval: Interval | None
    """None where two points leave nothing to judge the error by."""
    beta_interval: Interval | None
    r2: float | None
    """1 - sum w (gold - fit)^2 / sum w gold^2: against gold that stays 0, as is usual for a fit through the
    origin, and so higher than the r2 about the mean. None where gold is 0 throughout."""
    peak_d: float | None
    """Distance at which the curve is highest: alpha / (2 beta), or exp(alpha / beta - 1). None where the
    data do not determine a peak; `note` says why."""
    peak_gold: float | None
    """Gain at the peak: alpha^2 / (4 beta), or beta times peak_d."""
    note: str
    """Why there is no peak; empty where there is one."""
    level: float
    points: int
    """Points that determine the coefficients: those with d > 0 and a weight above 0."""

    @property
    def formula(self) -> str:
        """The law's form in plain letters."""
        return "d (alpha - beta d)" if self.form == "best-of-n" else "d (alpha - beta ln d)"

    def summary(self) -> str:
        """Return the coefficients with their intervals, and the peak or why there is none."""
        fit = (
            f"gold = {self.formula}: alpha = {self.alpha:.3g} ({interval(self.alpha_interval)}), "
            f"beta = {self.beta:.3g} ({interval(self.beta_interval)}), r2 = {number(self.r2)}; "
            f"{self.points} points, {100 * self.level:.4g} % intervals"
        )
        if self.peak_d is None or self.peak_gold is None:
            return f"{fit}\nThe data determine no peak: {self.note}."
        return f"{fit}\nPeak at d = {self.peak_d:.3g}, gold {self.peak_gold:+.3g}; beyond it gold falls."

    def predict(self, d: ArrayLike) -> Array:
        """Return the fitted gain at distances d, of any shape; 0 at d = 0.

        Raises:
            ConfigError: A distance is negative or not finite.
        """
        distances = np.asarray(d, dtype=np.float64)
        _check_distances(distances.reshape(-1))
        prediction: Array = design(distances, self.form) @ np.array([self.alpha, self.beta])
        return prediction


def interval(ends: Interval | None, digits: int = 3) -> str:
    """Return `low to high`, or a dash where there is no interval."""
    return NONE if ends is None else f"{ends[0]:.{digits}g} to {ends[1]:.{digits}g}"


def number(value: float | None) -> str:
    """Return a number in four digits, or a dash where there is none."""
    return NONE if value is None else f"{value:.4g}"


def fit_best_of_n(
    d: ArrayLike, gold: ArrayLike, weights: ArrayLike | None = None, level: float = 0.95
) -> ScalingFit:
    """Fit gold = d (alpha - beta d), the form of best-of-n, by linear least squares.

    A peak is reported only where the data determine it, which takes all of this: at `level` the slope at
    d = 0 is above 0, the slope at the longest measured distance is below 0 (so the peak's own interval
    lies inside the measured range; a peak beyond it would be an extrapolation), and the highest gold was
    not measured at the longest distance.

    Args:
        d: [m] distances sqrt(KL) from the starting policy, KL in nats.
        gold: [m] gain of the true reward over the starting policy.
        weights: [m] weights, proportional to 1 / variance; None weighs all points alike.
        level: Level of the intervals.

    Raises:
        ConfigError: Lengths differ, a value is out of range or not finite, or fewer than two distances
            above 0 have weight.
    """
    return _fit("best-of-n", d, gold, weights, level)


def fit_rl(
    d: ArrayLike, gold: ArrayLike, weights: ArrayLike | None = None, level: float = 0.95
) -> ScalingFit:
    """Fit gold = d (alpha - beta ln d), the form of reinforcement learning, by linear least squares.

    The form's slope is infinite at d = 0, so it does not hold near the start. A peak is reported as by
    `fit_best_of_n`, with the slope at the shortest measured distance above 0 in place of that at d = 0.

    Args:
        d: [m] distances sqrt(KL) from the starting policy, KL in nats.
        gold: [m] gain of the true reward over the starting policy.
        weights: [m] weights, proportional to 1 / variance; None weighs all points alike.
        level: Level of the intervals.

    Raises:
        ConfigError: Lengths differ, a value is out of range or not finite, or fewer than two distances
            above 0 have weight.
    """
    return _fit("rl", d, gold, weights, level)


def design(d: Array, form: Form) -> Array:
    """Return the columns that alpha and beta multiply, `[..., 2]` for distances `[...]`."""
    if form not in get_args(Form):
        raise ConfigError(f"form is {' or '.join(get_args(Form))}, got {form!r}")
    if form == "best-of-n":
        return np.stack([d, -d * d], axis=-1)
    return np.stack([d, -d * np.log(np.where(d > 0, d, 1.0))], axis=-1)


def _slope(d: float, form: Form) -> Array:
    """Return the two numbers that alpha and beta multiply in the curve's slope at distance d."""
    return np.array([1.0, -2 * d]) if form == "best-of-n" else np.array([1.0, -1 - np.log(d)])


def peak_distance(alpha: ArrayLike, beta: ArrayLike, form: Form) -> Array:
    """Return where curves with these coefficients are highest; NaN where beta <= 0 or it is not above 0."""
    alpha, beta = np.asarray(alpha, dtype=np.float64), np.asarray(beta, dtype=np.float64)
    ratio = np.divide(alpha, beta, out=np.full(np.broadcast(alpha, beta).shape, np.nan), where=beta > 0)
    if form == "best-of-n":
        return np.where(ratio > 0, ratio / 2, np.nan)
    # Beyond exp(50) no distance was ever measured, and exp would overflow.
    peaks: Array = np.exp(np.where(ratio < 50, ratio, np.nan) - 1)
    return peaks


def _fit(form: Form, d: ArrayLike, gold: ArrayLike, weights: ArrayLike | None, level: float) -> ScalingFit:
    distances, gains, scale = _checked(d, gold, weights, level)
    roots = np.sqrt(scale)
    columns = design(distances, form) * roots[:, None]
    if np.linalg.matrix_rank(columns, rtol=1e-12) < 2:
        raise ConfigError(f"the distances are too close to tell alpha from beta, got {distances.tolist()}")
    orthogonal, triangle = np.linalg.qr(columns)
    coefficients = np.linalg.solve(triangle, orthogonal.T @ (gains * roots))
    residual = float(np.sum((gains * roots - columns @ coefficients) ** 2))
    total = float(np.sum(scale * gains**2))
    freedom = len(distances) - 2

    def interval(combination: Array) -> Interval | None:
        if freedom == 0:
            return None
        spread = np.linalg.norm(np.linalg.solve(triangle.T, combination)) * np.sqrt(residual / freedom)
        margin = float(student_t.ppf((1 + level) / 2, freedom) * spread)
        centre = float(combination @ coefficients)
        return centre - margin, centre + margin

    alpha, beta = (float(value) for value in coefficients)
    first = 0.0 if form == "best-of-n" else float(distances.min())
    note = _no_peak(
        interval(_slope(first, form)), interval(_slope(float(distances.max()), form)), distances, gains, first
    )
    peak = None if note else float(peak_distance(alpha, beta, form))
    return ScalingFit(
        form,
        alpha,
        beta,
        alpha_interval=interval(np.array([1.0, 0.0])),
        beta_interval=interval(np.array([0.0, 1.0])),
        r2=1 - residual / total if total > 0 else None,
        peak_d=peak,
        peak_gold=None if peak is None else float(design(np.array(peak), form) @ coefficients),
        note=note,
        level=level,
        points=len(distances),
    )


def _no_peak(
    start: Interval | None, end: Interval | None, distances: Array, gains: Array, first: float
) -> str:
    """Return why the data determine no peak, or nothing where they do."""
    last = float(distances.max())
    if start is None or end is None:
        return "two points determine no peak: nothing is left to judge the error by"
    if start[1] < 0 and end[1] < 0:
        return "the fitted gold only falls: no peak lies above the start"
    if end[1] >= 0:
        if end[0] > 0:
            return f"the fitted gold still rises at the longest distance, d = {last:.4g}: no peak was reached"
        return f"that gold falls by the longest distance, d = {last:.4g}, is not certain"
    if start[0] <= 0:
        return f"that gold rises at first, at d = {first:.4g}, is not certain"
    if gains[distances == last].max() >= gains.max():
        return f"the highest gold was measured at the longest distance, d = {last:.4g}"
    return ""


def _checked(
    d: ArrayLike, gold: ArrayLike, weights: ArrayLike | None, level: float
) -> tuple[Array, Array, Array]:
    """Return distances, gains and weights of the points that determine the coefficients."""
    if not 0 < level < 1:
        raise ConfigError(f"level is between 0 and 1, got {level!r}")
    distances, gains = _vector("d", d), _vector("gold", gold)
    scale = np.ones_like(distances) if weights is None else _vector("weights", weights)
    for name, values in (("gold", gains), ("weights", scale)):
        if len(values) != len(distances):
            raise ConfigError(f"d and {name} have one value a point, got {len(distances)} and {len(values)}")
    _check_distances(distances)
    if scale.min(initial=0) < 0:
        raise ConfigError(f"a weight is not negative, got {scale.min()!r}")
    told = (distances > 0) & (scale > 0)
    there = np.unique(distances[told]).tolist()
    if len(there) < 2:
        raise ConfigError(f"alpha and beta need points at two distances above 0 or more, got {there}")
    # Only the weights' proportions matter; near 1 they can neither overflow nor vanish.
    return distances[told], gains[told], scale[told] / scale.max()


def _vector(name: str, values: ArrayLike) -> Array:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1:
        raise ConfigError(f"{name} is one row of numbers, got shape {vector.shape}")
    for index in np.flatnonzero(~np.isfinite(vector)):
        raise ConfigError(f"{name} holds finite numbers, got {vector[index]} at position {index}")
    return vector


def _check_distances(distances: Array) -> None:
    for index in np.flatnonzero(~np.isfinite(distances) | (distances < 0)):
        raise ConfigError(
            f"a distance is finite and not negative, got {distances[index]} at position {index}"
        )


@dataclass(frozen=True, slots=True)
class SizeTrend:
    """A coefficient against the natural logarithm of a size: value = intercept + slope ln(size)."""

    slope: float
    intercept: float
    slope_interval: Interval | None
    """Student's t interval over the groups; None where two groups leave nothing to judge the error by."""
    intercept_interval: Interval | None
    level: float
    groups: int


def fit_size_trend(sizes: Sequence[float], values: ArrayLike, level: float = 0.95) -> SizeTrend:
    """Fit a coefficient, alpha or beta, to the logarithm of a size (Gao et al. 2022, figure 3).

    Args:
        sizes: [g] parameters, labels or the like of each group, above 0.
        values: [g] the coefficient of each group's own fit.
        level: Level of the intervals.

    Raises:
        ConfigError: A size is not above 0, lengths differ, or there are fewer than two sizes.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level is between 0 and 1, got {level!r}")
    size, value = _vector("sizes", np.asarray(sizes)), _vector("values", values)
    if len(size) != len(value):
        raise ConfigError(f"sizes and values have one value a group, got {len(size)} and {len(value)}")
    if size.min(initial=1) <= 0:
        raise ConfigError(f"a size is above 0, got {size.min()!r}")
    if len(np.unique(size)) < 2:
        raise ConfigError(f"a trend needs two sizes or more, got {np.unique(size).tolist()}")
    logs = np.log(size)
    centred = logs - logs.mean()
    spread = float(centred @ centred)
    gradient = float(centred @ value) / spread
    intercept = float(value.mean() - gradient * logs.mean())
    freedom = len(size) - 2
    if freedom == 0:
        return SizeTrend(gradient, intercept, None, None, level, len(size))
    variance = float(np.sum((value - intercept - gradient * logs) ** 2)) / freedom
    quantile = float(student_t.ppf((1 + level) / 2, freedom))
    margin = quantile * float(np.sqrt(variance / spread))
    base = quantile * float(np.sqrt(variance * (1 / len(size) + logs.mean() ** 2 / spread)))
    return SizeTrend(
        gradient,
        intercept,
        (gradient - margin, gradient + margin),
        (intercept - base, intercept + base),
        level,
        len(size),
    )
