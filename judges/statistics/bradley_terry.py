"""Bradley-Terry strengths with ties, robust errors and prompt-clustered intervals."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, stdtrit

from judges.statistics.identification import explain, is_identified
from judges.statistics.likelihood import Likelihood, bootstrap, maximise, sandwich
from judges.statistics.pair_sums import Contests, Floats, Label, PairSums, read_contests, sum_pairs
from judges.statistics.ties import TIE_MODELS
from rewards.display import Columns, Tabular, counted
from rewards.errors import ConfigError, EvalkitError

Ties = Literal["half", "davidson", "rao-kupper"]


class NotIdentifiedError(EvalkitError, ValueError):
    """Comparisons that do not determine the strengths; the message names the systems and the remedy."""


@dataclass(frozen=True, slots=True)
class BradleyTerrySettings:
    """How strengths and intervals are estimated."""

    level: float = 0.95
    resamples: int = 1000
    """Bootstrap samples of the prompts; 0: Student's intervals from the sandwich covariance."""
    seed: int = 0
    prior: float | None = None
    """Standard deviation of a normal prior with mean 0 on each strength; None: maximum likelihood."""
    ties: Ties = "half"

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ConfigError(f"level is between 0 and 1, got {self.level!r}")
        if self.resamples < 0:
            raise ConfigError(f"the number of resamples is 0 or more, got {self.resamples!r}")
        if self.seed < 0:
            raise ConfigError(f"seed is 0 or more, got {self.seed!r}")
        if self.prior is not None and not 0 < self.prior < np.inf:
            raise ConfigError(f"prior is a standard deviation above 0, got {self.prior!r}")
        if self.ties not in get_args(Ties):
            raise ConfigError(f"ties is one of {', '.join(get_args(Ties))}, got {self.ties!r}")

    @property
    def precision(self) -> float:
        """The prior's inverse variance."""
        return 0.0 if self.prior is None else self.prior**-2


class StrengthEstimate(NamedTuple):
    """A function of strengths with its standard error and interval; NaN where there is one prompt only."""

    value: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class BradleyTerry(Tabular):
    """Strengths on the natural-log scale: a beats b with probability 1 / (1 + exp(b - a)) when nothing ties.

    Intervals hold a system's strength relative to the mean of all; to compare two systems, use `difference`
    and not the overlap of their intervals.
    """

    systems: tuple[Label, ...]
    """Sorted: text by code point, numbers by size."""
    strengths: Floats
    """[systems], natural log, mean 0."""
    standard_errors: Floats
    """[systems], from the sandwich covariance."""
    low: Floats
    """[systems]."""
    high: Floats
    """[systems]."""
    covariance: Floats
    """[systems, systems], sandwich over prompts."""
    tie_parameter: float | None
    """Davidson's nu or Rao and Kupper's kappa; None where ties are half wins."""
    n: int
    """Verdicts used."""
    missing: int
    """Verdicts left out since they are NaN."""
    prompts: int
    """Independent units: distinct prompts, or rows where no prompts were given."""
    unidentified: int
    """Bootstrap samples that did not determine the strengths.

    They count as infinitely low for the lower end of every interval and as infinitely high for the upper, so
    that intervals are wider for them and infinite where they are more than the tail holds.
    """
    settings: BradleyTerrySettings
    parameters: Floats
    """[systems + tie parameters], the strengths and the logarithm of the tie parameter."""
    parameter_covariance: Floats
    resampled: Floats
    """[resamples, systems + tie parameters], NaN where a sample did not determine them."""

    def summary(self) -> str:
        """Return the numbers of systems and verdicts, and the meaning of the columns."""
        size = f"{counted(self.n, 'verdict')} of {counted(self.prompts, 'prompt')}"
        missing = f", {self.missing:,} missing" if self.missing else ""
        return (
            f"Bradley-Terry strengths of {counted(len(self.systems), 'system')} (natural log, mean 0, "
            f"{100 * self.settings.level:g} % intervals), {size}{missing}"
        )

    def columns(self) -> Columns:
        """Return the strengths with errors and intervals, the strongest system first."""
        order = np.argsort(-self.strengths, kind="stable")
        return {
            "system": [self.systems[place] for place in order],
            "strength": self.strengths[order].tolist(),
            "standard_error": self.standard_errors[order].tolist(),
            "low": self.low[order].tolist(),
            "high": self.high[order].tolist(),
        }

    def difference(self, a: Label, b: Label) -> StrengthEstimate:
        """Return the strength of a minus that of b; the interval excludes 0 where they differ."""
        gradient = self._contrast(a, b)
        value = float(self.parameters @ gradient)
        return self._estimate(value, self.resampled @ gradient, gradient)

    def win_probability(self, a: Label, b: Label) -> StrengthEstimate:
        """Return the probability that a beats b, plus half the probability of a tie."""
        model, count = TIE_MODELS[self.settings.ties], len(self.systems)
        contrast = self._contrast(a, b)

        def expected(values: Floats) -> Floats:
            eta = values[:, count] if model.parameters else np.zeros(len(values))
            return model.expected(values @ contrast, eta)

        steps = 1e-5 * np.eye(len(self.parameters))
        gradient = (expected(self.parameters + steps) - expected(self.parameters - steps)) / 2e-5
        value = float(expected(self.parameters[None])[0])
        return self._estimate(value, expected(self.resampled), gradient)

    def _contrast(self, a: Label, b: Label) -> Floats:
        for system in (a, b):
            if system not in self.systems:
                raise ConfigError(f"{system!r} is none of the systems {', '.join(map(str, self.systems))}")
        contrast = np.zeros(len(self.parameters))
        contrast[self.systems.index(a)] += 1
        contrast[self.systems.index(b)] -= 1
        return contrast

    def _estimate(self, value: float, resampled: Floats, gradient: Floats) -> StrengthEstimate:
        error = float(np.sqrt(np.maximum(gradient @ self.parameter_covariance @ gradient, 0)))
        low, high = _interval(
            np.array([value]), np.array([error]), resampled[:, None], self.prompts, self.settings
        )
        return StrengthEstimate(value, error, float(low[0]), float(high[0]))


def bradley_terry(
    first: ArrayLike,
    second: ArrayLike,
    outcome: ArrayLike,
    prompts: ArrayLike | None = None,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    prior: float | None = None,
    ties: Ties = "half",
) -> BradleyTerry:
    """Fit Bradley-Terry strengths (Bradley and Terry 1952) by maximum likelihood.

    Args:
        first: [n], the systems named first, all text or all whole numbers.
        second: [n], the systems named second.
        outcome: [n], 1 where first wins, 0.5 for a tie, 0 where second wins, NaN for no verdict, or, with
            ties="half", the probability that first is better.
        prompts: [n], the prompt of each verdict; verdicts on one prompt may be dependent. None: all verdicts
            are independent.
        level: Coverage of the intervals.
        resamples: Bootstrap samples of the prompts for percentile intervals; 0: Student's intervals
            from the sandwich covariance.
        seed: Of the bootstrap; the order of rows and the names of prompts do not matter.
        prior: None, or the standard deviation (natural log) of a normal prior with mean 0 on each strength.
            It pulls strengths together; intervals are then those of the shrunken strengths.
        ties: "half" a win each, or an outcome of its own after "davidson" or "rao-kupper".

    Raises:
        NotIdentifiedError: The likelihood has no finite maximum, as where a system never loses.
        ConfigError: An argument is outside what is allowed.
    """
    settings = BradleyTerrySettings(level, resamples, seed, prior, ties)
    contests = read_contests(first, second, outcome, prompts)
    if ties != "half" and not np.isin(contests.outcome, (0, 0.5, 1)).all():
        raise ConfigError(f"ties={ties!r} needs outcomes 1, 0.5 and 0; probabilities go with ties='half'")
    pairs = identified_sums(contests, settings)
    likelihood = Likelihood(pairs, TIE_MODELS[ties], settings.precision)
    values = maximise(likelihood, pairs.totals[None], _start(likelihood))[0]
    if np.isnan(values).any():
        raise NotIdentifiedError(
            "the fit did not converge; give a prior (the standard deviation of strengths)"
        )
    covariance = sandwich(likelihood, values)
    resampled = bootstrap(likelihood, values, resamples, seed)
    count = len(contests.systems)
    errors = np.sqrt(np.maximum(np.diag(covariance), 0))  # rounding can leave less than 0
    low, high = _interval(values, errors, resampled, contests.prompts, settings)
    return BradleyTerry(
        contests.systems,
        values[:count],
        errors[:count],
        low[:count],
        high[:count],
        covariance[:count, :count],
        float(np.exp(values[count])) if likelihood.model.parameters else None,
        contests.n,
        contests.missing,
        contests.prompts,
        int(np.isnan(resampled).any(axis=1).sum()),
        settings,
        values,
        covariance,
        resampled,
    )


def identified_sums(contests: Contests, settings: BradleyTerrySettings) -> PairSums:
    """Sum contests over pairs.

    Raises:
        NotIdentifiedError: They do not determine the strengths.
    """
    if contests.n == 0:
        raise NotIdentifiedError(f"no verdict to rank by: all {contests.missing} are missing")
    tied = settings.ties != "half"
    pairs = sum_pairs(contests, tied)
    if not is_identified(pairs, pairs.totals, settings.prior is not None, tied):
        raise NotIdentifiedError(
            f"the comparisons do not determine the strengths: {explain(pairs, contests.systems, tied)}. Add "
            "comparisons, leave those systems out, or give a prior (the standard deviation of strengths)"
        )
    return pairs


def _start(likelihood: Likelihood) -> Floats:
    start = np.zeros(likelihood.pairs.systems + likelihood.model.parameters)
    if likelihood.model.parameters:
        totals = likelihood.pairs.totals
        start[-1] = likelihood.model.start(totals[1].sum() / totals.sum())
    return start


def _interval(
    values: Floats, errors: Floats, resampled: Floats, prompts: int, settings: BradleyTerrySettings
) -> tuple[Floats, Floats]:
    """Return percentile intervals of resampled [b, k], or Student's where b is 0; NaN without spread.

    Percentiles of G prompts resampled are too narrow, as a normal interval without G - 1 would be; the
    level is raised by as much (expanded percentiles, Hesterberg 2015, What Teachers Should Know About the
    Bootstrap).
    """
    if prompts < 2:
        return np.full_like(values, np.nan), np.full_like(values, np.nan)
    quantile = float(stdtrit(prompts - 1, (1 + settings.level) / 2))
    if len(resampled) == 0:
        return values - quantile * errors, values + quantile * errors
    outside = int(ndtr(-quantile * np.sqrt(prompts / (prompts - 1))) * (len(resampled) - 1))
    unknown = np.isnan(resampled)
    low = np.sort(np.where(unknown, -np.inf, resampled), axis=0)[outside]
    high = np.sort(np.where(unknown, np.inf, resampled), axis=0)[-1 - outside]
    # Where no sample differs, resampling prompts cannot tell how uncertain the value is.
    constant = high - low < 1e-12
    return np.where(constant, np.nan, low), np.where(constant, np.nan, high)
