"""Length-controlled win rate, for any prompts, with an interval that includes coefficients' uncertainty."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, stdtrit

from judges.statistics.difference_design import DifferenceDesign, design_of, fit_design
from judges.statistics.logistic import LogisticFit, NotEstimableError, leave_one_out
from judges.statistics.win_rate import WinRate, win_rate
from rewards.display import Displayed, counted, estimated
from rewards.errors import ConfigError

Floats = NDArray[np.float64]

TAIL = 0.05
"""Equal length is flagged where a smaller share than this of the differences lies on one side of it."""
NEAR = 0.25
"""Lengths are nearly equal where they differ by no more than this times the usual difference."""
DOUBTFUL, NEGLIGIBLE = 2.58, 0.02
"""The fit is doubted where it is off at nearly equal lengths by more standard errors and more than this."""
FEW_PROMPTS = 30


@dataclass(frozen=True, slots=True)
class Coefficient:
    """The effect of one controlled difference, in log-odds per unit of tanh(difference / scale)."""

    value: float
    low: float | None
    high: float | None
    standard_error: float | None
    scale: float
    """Root mean square of the difference, in its own unit; so that a usual difference is near 1."""
    share_below: float
    """Of the differences, how many lie below 0, those at 0 counted as half."""
    equal_inside: bool
    """Whether at least `TAIL` of the differences lies on either side of 0."""


@dataclass(frozen=True, slots=True)
class LengthControlled(Displayed):
    """The share of comparisons that `first` would win if both responses were equally long.

    `low`, `high` and `standard_error` are None where they cannot be told: there is one prompt only, or
    nothing varies.
    """

    mean: float
    low: float | None
    high: float | None
    standard_error: float | None
    """Of `mean`, with the coefficients' uncertainty and prompts resampled."""
    uncontrolled: WinRate
    """The plain win rate of the same verdicts."""
    near_equal: WinRate | None
    """The plain win rate of verdicts on responses of nearly equal length, which no model of the effect of
    length has touched; None where there are none."""
    length: Coefficient | None
    """Positive: the longer response wins more. None where all responses are equally long."""
    covariates: Mapping[str, Coefficient]
    warnings: tuple[str, ...]
    n: int
    """Verdicts used."""
    missing: int
    prompts: int
    """Distinct prompts among the verdicts used."""
    level: float
    penalty: float
    seed: int
    """Of the intervals of the two plain win rates; the controlled one has no chance in it."""

    def summary(self) -> str:
        """Return the win rate at equal length beside the plain one, and its warnings."""
        size = f"{counted(self.n, 'verdict')} of {counted(self.prompts, 'prompt')}"
        first = f"win rate at equal length {estimated(self.mean, self.low, self.high)}, {size}"
        return "\n".join([first, f"uncontrolled: {self.uncontrolled}", *self.warnings])

    @property
    def equal_length_inside(self) -> bool:
        """Whether equal length lies well inside the data; if not, `mean` extrapolates (see `warnings`)."""
        return self.length is None or self.length.equal_inside


def length_controlled_win_rate(
    preferences: ArrayLike,
    length_difference: ArrayLike,
    prompts: ArrayLike | None = None,
    covariates: Mapping[str, ArrayLike] | None = None,
    difficulty: ArrayLike | None = None,
    level: float = 0.95,
    seed: int = 0,
    penalty: float = 0.0,
) -> LengthControlled:
    """Estimate the win rate of `first` at equal length, and at no difference of any covariate.

    P(first wins) = sigmoid(intercept + sum of coefficient * tanh(difference / its root mean square)
    [+ coefficient * difficulty]), fitted to all verdicts, of which 0.5 is a tie and any other share a
    probability, as a fractional (quasi-binomial) logistic regression. The estimate is the mean over rows of
    the fitted probability with all differences at 0. It describes the average prompt: no effect of single
    prompts is fitted, and rows of one prompt (both orders, several judges, repeats) may depend on each
    other in any way, which the errors allow for by leaving out one prompt at a time (one Newton step each;
    CR3 of Bell and McCaffrey 2002). The interval is symmetric in log-odds, with Student's t for as many
    prompts less one. Shape and scale of the length effect are taken as given.

    Args:
        preferences: [n] in [0, 1], 1 where first wins; NaN is missing, left out and counted.
        length_difference: [n], length of first minus length of second, in any one unit.
        prompts: [n], a label for each row's prompt; None takes every row as a prompt of its own.
        covariates: Other differences, first minus second, by name, such as the number of headers; [n] each.
        difficulty: [n], a number said of each row's prompt before seeing this verdict, such as
            `prompt_difficulty`'s; its distribution is kept as it is, not set to 0. None leaves it out.
        level: Of the intervals.
        seed: Of the intervals of the plain win rates.
        penalty: Ridge penalty: penalty / 2 * the square of each difference's coefficient is added to the sum
            of log losses. The intercept and difficulty are not penalised. It pulls towards the plain win
            rate; 0 is none.

    Raises:
        ConfigError: Arguments outside their range or of different lengths, or no verdict at all.
        NotEstimableError: No finite estimate exists: all verdicts are wins, length (or a covariate) alone
            decides them, differences are constant or repeat each other, an effect rests on one prompt, or
            equal length is so far from the data that the fit there is 0 or 1.
    """
    if not 0 <= penalty < np.inf:
        raise ConfigError(f"penalty is 0 or more, got {penalty!r}")
    uncontrolled = win_rate(preferences, prompts, level, seed)  # checks preferences, prompts, level and seed
    if "length" in (covariates or {}):
        raise ConfigError("a covariate is named 'length', which is taken")
    design = design_of(preferences, {"length": length_difference, **(covariates or {})}, difficulty, prompts)
    fit = fit_design(design, penalty)
    mean, mean_error, errors = _estimate(design, fit)
    quantile = float(stdtrit(design.prompts - 1, (1 + level) / 2)) if design.prompts > 1 else None
    effects = {
        name: _effect(design, name, float(fit.coefficients[place]), errors[place], quantile)
        for place, name in enumerate(design.scales, start=1)
    }
    low = high = None
    if quantile is not None and mean_error is not None:
        reach = quantile * mean_error / (mean * (1 - mean))
        low, high = (float(end) for end in expit(logit(mean) + np.array([-reach, reach])))
    near = _near(design)
    near_equal = win_rate(design.labels[near], design.groups[near], level, seed) if near.any() else None
    return LengthControlled(
        mean=mean,
        low=low,
        high=high,
        standard_error=mean_error,
        uncontrolled=uncontrolled,
        near_equal=near_equal,
        length=effects.pop("length", None),
        covariates=effects,
        warnings=_warnings(design, fit, near_equal),
        n=len(design.labels),
        missing=uncontrolled.missing,
        prompts=design.prompts,
        level=level,
        penalty=penalty,
        seed=seed,
    )


def _near(design: DifferenceDesign) -> NDArray[np.bool_]:
    return np.abs(design.differences["length"]) <= NEAR * design.scales.get("length", 0.0)


def _estimate(design: DifferenceDesign, fit: LogisticFit) -> tuple[float, float | None, list[float | None]]:
    """Return the mean at equal length, its error, and the coefficients' errors, None where not known."""
    features = design.features()
    equal = design.features(equal=True)
    chances = expit(equal @ fit.coefficients)
    mean = float(chances.mean())
    if mean * (1 - mean) < 1e-12:
        below = _share_below(design.differences["length"])
        raise NotEstimableError(
            f"the fit puts the win rate at equal length at {mean:.0%}, which no verdict supports: equal "
            f"length is too far from the data, of whose length differences {below:.1%} are below it"
        )
    if design.prompts < 2:
        return mean, None, [None] * len(fit.coefficients)
    moves = leave_one_out(fit, features, design.labels, design.groups)
    slope = (chances * (1 - chances)) @ equal / len(equal)
    sizes = np.bincount(design.groups)
    own = np.bincount(design.groups, weights=chances - mean)
    moved = np.column_stack([moves @ slope - own / (len(equal) - sizes), moves])
    # Not about their mean, which is 0 to first order: so that a large move of one prompt is never excused.
    errors = np.sqrt((design.prompts - 1) / design.prompts * (moved**2).sum(axis=0))
    known = [float(error) if error > 1e-12 else None for error in errors]
    return mean, known[0], known[1:]


def _effect(
    design: DifferenceDesign, name: str, value: float, error: float | None, quantile: float | None
) -> Coefficient:
    reach = None if error is None or quantile is None else error * quantile
    below = _share_below(design.differences[name])
    return Coefficient(
        value,
        None if reach is None else value - reach,
        None if reach is None else value + reach,
        error,
        design.scales[name],
        below,
        TAIL <= below <= 1 - TAIL,
    )


def _share_below(differences: Floats) -> float:
    return float((differences < 0).mean() + (differences == 0).mean() / 2)


def _warnings(design: DifferenceDesign, fit: LogisticFit, near_equal: WinRate | None) -> tuple[str, ...]:
    warnings = []
    for name in design.scales:
        below = _share_below(design.differences[name])
        if not TAIL <= below <= 1 - TAIL:
            side = "above" if below > 0.5 else "below"
            warnings.append(
                f"equal {name} lies at the edge of the data: only {min(below, 1 - below):.1%} of the "
                f"differences are {side} it, so the controlled win rate extrapolates"
            )
    near = _near(design)
    if near_equal is not None and near_equal.standard_error:
        gap = abs(float(fit.fitted[near].mean()) - near_equal.mean)
        if gap > max(DOUBTFUL * near_equal.standard_error, NEGLIGIBLE):
            warnings.append(
                f"first wins {near_equal.mean:.1%} of {near_equal.n} verdicts on responses of nearly equal "
                f"length, where the fit says {fit.fitted[near].mean():.1%}: length has another shape of "
                "effect, or those prompts are unlike the rest (difficulty or a covariate may tell)"
            )
    if design.prompts < FEW_PROMPTS:
        warnings.append(f"the interval rests on {design.prompts} prompts; below {FEW_PROMPTS} it is rough")
    return tuple(warnings)


def prompt_difficulty(
    preferences: ArrayLike, systems: ArrayLike, prompts: ArrayLike, prior: float = 2.0
) -> Floats:
    """Return for each row how hard its prompt was for the other systems: [n], 0 where they say nothing.

    Several systems (as first) were compared with one baseline on shared prompts. What a system's verdicts
    fall short of its own mean, averaged over the other systems' rows of a prompt, is the prompt's
    difficulty. A row's own system has no part in its value, so that the value may explain that system's
    verdicts; AlpacaEval estimates all systems' at once and freezes them.

    Args:
        preferences: [n] in [0, 1], NaN where missing.
        systems: [n], which system was first.
        prompts: [n].
        prior: Rows' worth of shrinkage to 0 of an average of few.

    Raises:
        ConfigError: Arguments of different lengths, or a prior of 0 or less.
    """
    labels = np.asarray(preferences, dtype=np.float64)
    if not labels.shape == np.shape(systems) == np.shape(prompts) or labels.ndim != 1 or not prior > 0:
        raise ConfigError(
            f"each preference needs a system and a prompt, and prior is above 0; got {labels.shape}, "
            f"{np.shape(systems)}, {np.shape(prompts)} and {prior!r}"
        )
    system = np.unique(np.asarray(systems), return_inverse=True)[1]
    prompt = np.unique(np.asarray(prompts), return_inverse=True)[1]
    seen = ~np.isnan(labels)
    known = np.where(seen, labels, 0.0)
    means = np.bincount(system, weights=known) / np.maximum(np.bincount(system, weights=seen), 1)
    short = np.where(seen, means[system] - known, 0.0)
    pair = np.unique(np.column_stack([system, prompt]), axis=0, return_inverse=True)[1].ravel()

    def of_others(values: Floats) -> Floats:
        return np.asarray(np.bincount(prompt, values)[prompt] - np.bincount(pair, values)[pair])

    return of_others(short) / (of_others(seen.astype(np.float64)) + prior)
