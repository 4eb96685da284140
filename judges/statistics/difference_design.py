"""The regression behind length control: verdicts, differences and prompts, checked, and their fit."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judges.statistics.bootstrap import codes_of
from judges.statistics.logistic import LogisticFit, NotEstimableError, fit_logistic, redundant_column
from rewards.errors import ConfigError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DifferenceDesign:
    """The design matrix: the rows that have a verdict."""

    labels: Floats
    differences: Mapping[str, Floats]
    """By name, [n] each, length first."""
    scales: Mapping[str, float]
    """Root mean squares of the differences, without those that are 0 throughout."""
    difficulty: Floats | None
    """[n], less its mean."""
    groups: NDArray[np.intp]
    """[n], the number of each row's prompt."""

    @property
    def prompts(self) -> int:
        """How many there are."""
        return int(self.groups.max()) + 1

    def features(self, equal: bool = False) -> Floats:
        """Return the columns [n, k]: intercept, differences (0 if `equal`), difficulty."""
        columns = [np.ones_like(self.labels)]
        columns += [
            np.tanh(self.differences[name] / scale) * (not equal) for name, scale in self.scales.items()
        ]
        return np.column_stack(columns if self.difficulty is None else [*columns, self.difficulty])


def design_of(
    preferences: ArrayLike,
    given: Mapping[str, ArrayLike],
    difficulty: ArrayLike | None,
    prompts: ArrayLike | None,
) -> DifferenceDesign:
    """Return the design of the rows that have a verdict.

    Args:
        preferences: [n] in [0, 1], NaN where missing, at least one not.
        given: By name, first minus second; [n] each.
        difficulty: [n].
        prompts: [n], None where each row is a prompt of its own.

    Raises:
        ConfigError: A column of another length, or without a number where there is a verdict.
        NotEstimableError: A difference is the same throughout, and not 0.
    """
    labels = np.asarray(preferences, dtype=np.float64)
    used = ~np.isnan(labels)
    differences = {name: _finite(name, values, used) for name, values in given.items()}
    scales = {
        name: float(np.sqrt(np.mean(values**2))) for name, values in differences.items() if values.any()
    }
    for name in scales:
        if np.ptp(differences[name]) == 0:
            raise NotEstimableError(
                f"every difference of {name} is {differences[name][0]:g}, so its effect cannot be told from "
                "the systems' quality"
            )
    known = None if difficulty is None else _finite("difficulty", difficulty, used)
    codes = np.arange(len(labels)) if prompts is None else codes_of(prompts)
    return DifferenceDesign(
        labels[used],
        differences,
        scales,
        None if known is None or np.ptp(known) == 0 else known - known.mean(),
        np.unique(codes[used], return_inverse=True)[1],
    )


def fit_design(design: DifferenceDesign, penalty: float) -> LogisticFit:
    """Fit, with a ridge penalty on the differences' coefficients.

    Raises:
        NotEstimableError: There is no finite fit; the message says why in the data's own terms.
    """
    if design.labels.min() == design.labels.max() in (0, 1):
        raise NotEstimableError(
            f"first {'wins' if design.labels[0] else 'loses'} every one of {len(design.labels)} verdicts, so "
            "its win rate at equal length cannot be told; the plain win rate can be given"
        )
    features = design.features()
    ridge = np.zeros(features.shape[1])
    ridge[1 : 1 + len(design.scales)] = penalty
    column = redundant_column(features, np.ones(len(features)), ridge)
    if column is not None:
        name = [*design.scales, "difficulty"][max(column - 1, 0)]
        raise NotEstimableError(f"{name} hardly varies or follows from the others; leave it out")
    try:
        return fit_logistic(features, design.labels, ridge=ridge)
    except NotEstimableError as error:
        named = ", ".join([*design.scales, *(["difficulty"] if design.difficulty is not None else [])])
        raise NotEstimableError(
            f"wins can be told from losses by {named} without exception, so the win rate at equal length is "
            "not determined; add verdicts or a penalty"
        ) from error


def _finite(name: str, values: ArrayLike, used: NDArray[np.bool_]) -> Floats:
    column = np.asarray(values, dtype=np.float64)
    if column.shape != used.shape:
        raise ConfigError(f"{name} has the shape {column.shape}, the preferences {used.shape}")
    wrong = np.flatnonzero(used & ~np.isfinite(column))
    if wrong.size:
        raise ConfigError(f"{name} is a number for each verdict, got {column[wrong[0]]} in row {wrong[0]}")
    return column[used]
