"""Systems compared on the prompts they share: differences, their p-values, and which systems are tied."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

from judges.statistics.bootstrap import Floats, codes_of, mean_interval, prompt_totals
from judges.statistics.significance import holm, sign_flip_test, sign_test
from rewards.display import Columns, Displayed, Tabular, columns_of, counted, decimal, estimated
from rewards.errors import ConfigError
from rewards.intervals import Resampling


@dataclass(frozen=True, slots=True)
class PairedDifference(Displayed):
    """One system's mean minus another's, over the rows for which both have a value."""

    first: str
    second: str
    difference: float
    """Above 0 where `first` is better."""
    standard_error: float | None
    """Robust to rows that share a prompt; None for one prompt."""
    low: float | None
    """Lower end of the interval of the difference, not corrected for other pairs. None, as is `high`, where
    there is one prompt, or all prompts differ by the same."""
    high: float | None
    p_value: float
    """Two-sided, of no difference; 1 where no prompt differs."""
    adjusted: float
    """`p_value` after Holm's correction for all pairs compared."""
    test: str
    """`sign-flip` (exact) or `t` (Student's, of the cluster-robust error)."""
    sign_test: float
    """Two-sided exact p-value from how many prompts favour either (McNemar's, where values are 0 and 1)."""
    better: int
    """Prompts on which `first` is better."""
    worse: int
    n: int
    """Rows for which both have a value."""
    missing: int
    """Rows for which either has none."""
    prompts: int
    level: float
    seed: int
    resamples: int

    def summary(self) -> str:
        """Return `a - b: 0.120 (0.060 to 0.180), p 0.004, 500 rows of 250 prompts`."""
        size = f"{counted(self.n, 'row')} of {counted(self.prompts, 'prompt')}"
        difference = estimated(self.difference, self.low, self.high)
        return f"{self.first} - {self.second}: {difference}, p {decimal(self.p_value, 4)}, {size}"


@dataclass(frozen=True, slots=True)
class SystemPlace:
    """A system's place on a leaderboard, with its range of ranks."""

    system: str
    mean: float
    n: int
    missing: int
    highest_rank: int
    """One more than the systems that are significantly better."""
    lowest_rank: int
    """All systems but those that are significantly worse."""
    tied_with_best: bool
    """It is the system with the highest mean, or does not differ significantly from it."""


@dataclass(frozen=True, slots=True)
class PairedRanking(Tabular):
    """Systems from the highest mean to the lowest, with every pair compared."""

    places: tuple[SystemPlace, ...]
    pairs: tuple[PairedDifference, ...]
    """`first` is the system with the higher mean."""
    groups: tuple[tuple[str, ...], ...]
    """Longest runs of neighbours of which no two differ significantly. Runs may overlap: A and B may be
    tied, and B and C, while A and C are not."""
    alpha: float
    """Pairs with an `adjusted` p-value of at most this differ significantly."""

    def summary(self) -> str:
        """Return the numbers of systems and of significantly different pairs."""
        different = sum(pair.adjusted <= self.alpha for pair in self.pairs)
        size = f"{counted(len(self.places), 'system')}, {counted(len(self.pairs), 'pair')}"
        return f"{size}, of which {different} differ at {self.alpha:g}"

    def columns(self) -> Columns:
        """Return the systems' places, the highest mean first."""
        return columns_of(self.places)


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    prompts: ArrayLike | None = None,
    resampling: Resampling | None = None,
    names: tuple[str, str] = ("first", "second"),
) -> PairedDifference:
    """Compare two systems by values [n] on the same rows, such as each one's verdicts against a baseline.

    The test flips the sign of each prompt's summed difference: where both systems are alike, either sign is
    as likely. Where that is not computed exactly (`significance.sign_flip_test`; verdicts of 0, 0.5 and 1
    are, and means of a few), the test is Student's t.

    Args:
        first: Higher is better; NaN is missing.
        second: The other system's value on the same row.
        prompts: One label a row; None makes every row a prompt.
        resampling: Level, resamples and seed of the interval, a bootstrap-t over prompts.
        names: What to call the systems.

    Raises:
        ConfigError: Arrays of different lengths, infinite values, or no row that both have.
    """
    one, other = _column(names[0], first), _column(names[1], second)
    codes = np.arange(len(one)) if prompts is None else codes_of(prompts)
    if not one.shape == other.shape == codes.shape:
        raise ConfigError(
            f"{names[0]}, {names[1]} and prompts share rows, got {len(one)}, {len(other)} and {len(codes)}"
        )
    both = ~np.isnan(one + other)
    if not both.any():
        raise ConfigError(f"{names[0]} and {names[1]} have no row that both have a value for")
    settings = resampling or Resampling()
    differences = (one - other)[both]
    totals = prompt_totals(differences, codes[both])
    interval = mean_interval(totals, settings, "identity")
    sums = np.round(np.bincount(np.unique(codes[both], return_inverse=True)[1], weights=differences), 12)
    error = totals.standard_error()
    p_value, test = sign_flip_test(sums), "sign-flip"
    if p_value is None:
        assert error  # prompts that do not vary have an exact test
        p_value, test = 2 * float(stdtr(totals.prompts - 1, -abs(totals.mean) / error)), "t"
    better, worse = int(np.count_nonzero(sums > 0)), int(np.count_nonzero(sums < 0))
    return PairedDifference(
        first=names[0],
        second=names[1],
        difference=totals.mean,
        standard_error=error,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        p_value=p_value,
        adjusted=p_value,
        test=test,
        sign_test=sign_test(better, worse),
        better=better,
        worse=worse,
        n=len(differences),
        missing=len(one) - len(differences),
        prompts=totals.prompts,
        level=settings.level,
        seed=settings.seed,
        resamples=settings.resamples,
    )


def rank_systems(
    values: ArrayLike,
    systems: Sequence[str],
    prompts: ArrayLike | None = None,
    alpha: float = 0.05,
    resampling: Resampling | None = None,
) -> PairedRanking:
    """Rank systems by their means, and say which differ after Holm's correction over all pairs.

    Args:
        values: [systems, n], higher is better, NaN is missing. A column is one question to all systems.
            Means are over a system's own values, pairs over the columns that both have.
        systems: A name for each row.
        prompts: One label a column; None makes every column a prompt.
        alpha: Family-wise error rate: the chance of any false difference.
        resampling: Level, resamples and seed of the pairs' intervals.

    Raises:
        ConfigError: Fewer than two systems, names that do not fit, a system without values, or as for pairs.
    """
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha is between 0 and 1, got {alpha!r}")
    table = _table(values, systems)
    means = [math.fsum(row[~np.isnan(row)]) / np.count_nonzero(~np.isnan(row)) for row in table]
    order = sorted(range(len(systems)), key=lambda row: (-means[row], systems[row]))
    codes = None if prompts is None else codes_of(prompts)
    pairs = holm_corrected(
        [
            paired_difference(table[one], table[other], codes, resampling, (systems[one], systems[other]))
            for one, other in combinations(order, 2)
        ]
    )
    differs = np.zeros((len(order), len(order)), dtype=bool)
    signs = np.zeros_like(differs, dtype=int)
    for (one, other), pair in zip(combinations(range(len(order)), 2), pairs, strict=True):
        differs[one, other] = differs[other, one] = pair.adjusted <= alpha
        signs[one, other], signs[other, one] = np.sign(pair.difference), -np.sign(pair.difference)
    places = [
        SystemPlace(
            system=systems[row],
            mean=float(means[row]),
            n=int(np.count_nonzero(~np.isnan(table[row]))),
            missing=int(np.count_nonzero(np.isnan(table[row]))),
            highest_rank=1 + int(np.count_nonzero(differs[place] & (signs[place] < 0))),
            lowest_rank=len(order) - int(np.count_nonzero(differs[place] & (signs[place] > 0))),
            tied_with_best=not differs[0, place],
        )
        for place, row in enumerate(order)
    ]
    groups = tuple(tuple(places[at].system for at in range(*run)) for run in tied_runs(differs))
    return PairedRanking(tuple(places), pairs, groups, alpha)


def holm_corrected(pairs: Sequence[PairedDifference]) -> tuple[PairedDifference, ...]:
    """Return the pairs with `adjusted` for as many tests as there are pairs."""
    adjusted = holm([pair.p_value for pair in pairs])
    return tuple(replace(pair, adjusted=float(value)) for pair, value in zip(pairs, adjusted, strict=True))


def _table(values: ArrayLike, systems: Sequence[str]) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or len(systems) < 2 or len(set(systems)) != len(systems) or len(table) != len(systems):
        raise ConfigError(
            f"needs two systems or more, a name of its own for each and a row of values; "
            f"got names {list(systems)} and values of shape {table.shape}"
        )
    for name, row in zip(systems, table, strict=True):
        if np.isnan(row).all():
            raise ConfigError(f"{name} has no values")
    return table


def tied_runs(differs: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the longest runs [start, stop) of neighbours without two that differ."""
    runs: list[tuple[int, int]] = []
    for start in range(len(differs)):
        stop = start + 1
        while stop < len(differs) and not differs[start:stop, stop].any():
            stop += 1
        if not runs or stop > runs[-1][1]:
            runs.append((start, stop))
    return runs


def _column(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or np.isinf(array).any():
        raise ConfigError(f"{name} is one finite value or NaN a row, got {array} of shape {array.shape}")
    return array
