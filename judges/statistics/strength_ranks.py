"""Significant differences of strengths after Holm's correction, and each system's range of ranks."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr

from judges.statistics.bradley_terry import BradleyTerry
from judges.statistics.likelihood import Likelihood, information
from judges.statistics.pair_sums import Contests, Floats, Label, sum_pairs
from judges.statistics.paired import tied_runs
from judges.statistics.significance import holm
from judges.statistics.ties import TIE_MODELS
from rewards.display import Columns, Tabular, columns_of, counted
from rewards.errors import ConfigError

SMALLEST = 1e-12
"""A standard error below this is none: no prompt says anything else than another."""


@dataclass(frozen=True, slots=True)
class StrengthDifference:
    """One system's strength minus another's."""

    first: Label
    """The stronger one."""
    second: Label
    difference: float
    """Natural log, 0 or more."""
    standard_error: float | None
    """None where prompts do not tell how uncertain the difference is: there is one, or all say the same."""
    p_value: float | None
    """Two-sided, of no difference: Wald's test, Student's t with a degree of freedom less than prompts."""
    adjusted: float | None
    """`p_value` after Holm's correction for all pairs."""
    differs: bool
    """Whether `adjusted` is at most alpha."""


@dataclass(frozen=True, slots=True)
class RankRange:
    """A system's rank by its strength, and the ranks that significant differences leave open."""

    system: Label
    rank: int
    highest_rank: int
    """One more than the systems that are significantly stronger."""
    lowest_rank: int
    """All systems but those that are significantly weaker."""
    tied_with_best: bool
    """It is the strongest, or does not differ significantly from it."""


@dataclass(frozen=True, slots=True)
class StrengthRanks(Tabular):
    """Systems from the strongest to the weakest, with every pair compared."""

    places: tuple[RankRange, ...]
    pairs: tuple[StrengthDifference, ...]
    groups: tuple[tuple[Label, ...], ...]
    """Longest runs of neighbours of which no two differ significantly; runs may overlap."""
    alpha: float

    def summary(self) -> str:
        """Return the numbers of systems and of significantly different pairs."""
        different = sum(pair.differs for pair in self.pairs)
        size = f"{counted(len(self.places), 'system')}, {counted(len(self.pairs), 'pair')}"
        return f"{size}, of which {different} differ at {self.alpha:g}"

    def columns(self) -> Columns:
        """Return the systems' ranks, the strongest first."""
        return columns_of(self.places)


def rank_strengths(
    systems: Sequence[Label], strengths: ArrayLike, covariance: ArrayLike, prompts: int, alpha: float = 0.05
) -> StrengthRanks:
    """Rank systems and test each pair, with a family-wise error rate of alpha.

    Args:
        systems: Names.
        strengths: [systems], natural log.
        covariance: [systems, systems] of the strengths, robust to verdicts that share a prompt; with a prior,
            `prior_covariance` is part of it.
        prompts: Independent units behind the covariance.
        alpha: Of all pairs together (Holm 1979).

    Raises:
        ConfigError: Shapes that do not fit, or an alpha outside (0, 1).
    """
    values, spread = np.asarray(strengths, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    count = len(systems)
    if values.shape != (count,) or spread.shape != (count, count) or count < 2:
        raise ConfigError(
            f"ranks need two systems or more, a strength for each and their covariance; got {count} systems, "
            f"strengths of shape {values.shape} and a covariance of shape {spread.shape}"
        )
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha is between 0 and 1, got {alpha!r}")
    order = sorted(range(count), key=lambda place: (-values[place], place))
    sorted_values, spread = values[order], spread[np.ix_(order, order)]
    names = [systems[place] for place in order]
    pairs = _pairs(names, sorted_values, spread, prompts, alpha)
    differs = np.zeros((count, count), dtype=bool)
    for (one, other), pair in zip(combinations(range(count), 2), pairs, strict=True):
        differs[one, other] = differs[other, one] = pair.differs
    places = tuple(
        RankRange(
            name,
            place + 1,
            1 + int(differs[place, :place].sum()),
            count - int(differs[place, place + 1 :].sum()),
            not differs[0, place],
        )
        for place, name in enumerate(names)
    )
    groups = tuple(tuple(names[start:stop]) for start, stop in tied_runs(differs))
    return StrengthRanks(places, pairs, groups, alpha)


def prior_covariance(fit: BradleyTerry, contests: Contests) -> Floats:
    """Return what a prior adds to the covariance of a fit [systems, systems]: how far off it may pull.

    The sandwich tells how shrunken strengths vary, not how far they are from the true ones. Where true
    strengths are spread as the prior says, A^-1 P A^-1 is to be added, with A the information and P the
    prior's precision: of independent verdicts that makes the posterior covariance. Without a prior it is 0.
    """
    settings, count = fit.settings, len(fit.systems)
    if settings.prior is None:
        return np.zeros((count, count))
    pairs = sum_pairs(contests, settings.ties != "half")
    likelihood = Likelihood(pairs, TIE_MODELS[settings.ties], settings.precision)
    sums = likelihood.sums(pairs.totals[None], fit.parameters[None])
    bread = np.linalg.inv(information(likelihood, sums, likelihood.incidence())[0])[:count, :count]
    contrast = np.eye(count) - 1 / count  # strengths have mean 0
    return np.asarray(contrast @ bread @ bread @ contrast * settings.precision)


def _pairs(
    names: Sequence[Label],
    values: np.ndarray,
    spread: np.ndarray,
    prompts: int,
    alpha: float,
) -> tuple[StrengthDifference, ...]:
    one, other = np.triu_indices(len(names), 1)
    differences = values[one] - values[other]
    variances = spread[one, one] + spread[other, other] - 2 * spread[one, other]
    errors = np.sqrt(np.maximum(variances, 0))
    known = (errors > SMALLEST) & (prompts > 1)  # NaN is not known either
    p_values = np.ones(len(one))
    p_values[known] = 2 * stdtr(prompts - 1, -differences[known] / errors[known])
    adjusted = holm(p_values)  # a pair that cannot be tested counts as a test, which errs on the safe side
    return tuple(
        StrengthDifference(
            names[a],
            names[b],
            float(differences[at]),
            float(errors[at]) if known[at] else None,
            float(p_values[at]) if known[at] else None,
            float(adjusted[at]) if known[at] else None,
            bool(known[at] and adjusted[at] <= alpha),
        )
        for at, (a, b) in enumerate(zip(one.tolist(), other.tolist(), strict=True))
    )
