"""Style of texts (length, headers, lists, bold) and Bradley-Terry strengths at equal style."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import block_diag, helmert
from scipy.special import stdtrit

from judges.statistics.bradley_terry import BradleyTerrySettings, NotIdentifiedError, identified_sums
from judges.statistics.logistic import LogisticFit, NotEstimableError, fit_logistic, redundant_column
from judges.statistics.pair_sums import Contests, Floats, Label, read_contests
from rewards.display import Columns, Tabular, counted, estimated
from rewards.errors import ConfigError

_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_HEADER = re.compile(r"^ {0,3}#{1,6}[ \t]+\S", re.MULTILINE)
_LIST = re.compile(r"^[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\S", re.MULTILINE)
_BOLD = re.compile(r"\*\*(?=\S)[^*\n]+\*\*|__(?=\S)[^_\n]+__")


class Style(NamedTuple):
    """Style counts of a text; Markdown inside fenced code does not count."""

    characters: int
    words: int
    """Runs of anything but white space."""
    headers: int
    lists: int
    """Items of lists, numbered or not."""
    bold: int
    """Bold spans."""


def style_of(text: str) -> Style:
    """Count a text's length and Markdown."""
    prose = _CODE.sub("", text)
    marks = (len(pattern.findall(prose)) for pattern in (_HEADER, _LIST, _BOLD))
    return Style(len(text), len(text.split()), *marks)


def style_differences(first: Sequence[str], second: Sequence[str]) -> dict[str, Floats]:
    """Return how the texts first [n] differ from second [n] in style, each in [-1, 1] and 0 where alike.

    After Arena-Hard's style control: `length` is (a - b) / (a + b) of words; `headers`, `lists` and `bold`
    are (a - b) / (a + b + 1) of their number divided by words + 1.
    """
    if len(first) != len(second):
        raise ConfigError(f"style is compared text by text, got {len(first)} and {len(second)} texts")
    counted = (np.array([style_of(text) for text in texts]).reshape(-1, 5) for texts in (first, second))
    return count_differences(*counted)


def count_differences(first: ArrayLike, second: ArrayLike) -> dict[str, Floats]:
    """Return `style_differences` of counts [n, 5] as `style_of` gives them; NaN where either has none."""
    a, b = (np.asarray(counts, dtype=np.float64).T for counts in (first, second))
    differences = {"length": (a[1] - b[1]) / np.maximum(a[1] + b[1], 1)}
    for place, name in enumerate(("headers", "lists", "bold"), start=2):
        mine, other = a[place] / (a[1] + 1), b[place] / (b[1] + 1)
        differences[name] = (mine - other) / (mine + other + 1)
    return differences


@dataclass(frozen=True, slots=True, eq=False)
class StyleControlled(Tabular):
    """Bradley-Terry strengths at equal style, with the effects of style on the judge.

    Intervals are Student's with the sandwich covariance over prompts; NaN where there is one prompt only.
    """

    systems: tuple[Label, ...]
    """Sorted: text by code point, numbers by size."""
    strengths: Floats
    """[systems], natural log, mean 0, where all covariates are 0."""
    standard_errors: Floats
    """[systems]."""
    low: Floats
    """[systems]."""
    high: Floats
    """[systems]."""
    covariance: Floats
    """[systems + covariates, systems + covariates], of strengths and coefficients."""
    covariates: tuple[str, ...]
    scales: Floats
    """[covariates], the root mean square of each, by which it was divided."""
    coefficients: Floats
    """[covariates], log-odds of the first winning for one `scales` more of a covariate."""
    coefficient_errors: Floats
    """[covariates]."""
    coefficient_low: Floats
    """[covariates]."""
    coefficient_high: Floats
    """[covariates]."""
    n: int
    """Verdicts used."""
    missing: int
    """Verdicts left out since they are NaN."""
    prompts: int
    """Distinct prompts, or rows where no prompts were given."""
    level: float
    prior: float | None
    covariate_prior: float | None

    def summary(self) -> str:
        """Return the numbers of systems and verdicts, and the effect of each covariate."""
        size = f"{counted(self.n, 'verdict')} of {counted(self.prompts, 'prompt')}"
        rows = zip(
            self.covariates, self.coefficients, self.coefficient_low, self.coefficient_high, strict=True
        )
        worth = "".join(f"\n{name}: {estimated(*numbers)}" for name, *numbers in rows)
        return (
            f"strengths of {counted(len(self.systems), 'system')} at equal style (natural log, mean 0), "
            f"{size}{worth}"
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


def style_controlled(
    first: ArrayLike,
    second: ArrayLike,
    outcome: ArrayLike,
    covariates: Mapping[str, ArrayLike],
    prompts: ArrayLike | None = None,
    *,
    level: float = 0.95,
    prior: float | None = None,
    covariate_prior: float | None = None,
) -> StyleControlled:
    """Fit Bradley-Terry strengths and the effects of covariates at once; a tie is half a win each.

    Covariates are divided by their root mean square and not centred: 0 has to stay "no difference", and
    exchanging the two sides only turns their sign. One that is 1 everywhere is the advantage of the first
    place.

    Args:
        first: [n], the systems named first, all text or all whole numbers.
        second: [n], the systems named second.
        outcome: [n] in [0, 1], 1 where first wins, 0.5 for a tie, NaN for no verdict.
        covariates: Name to [n], how the first answer differs from the second, as of `style_differences`.
        prompts: [n], the prompt of each verdict; None: all verdicts are independent.
        level: Coverage of the intervals.
        prior: None, or the standard deviation (natural log) of a normal prior on each strength.
        covariate_prior: None, or that of a normal prior on each coefficient.

    Raises:
        ConfigError: An argument is outside what is allowed, or a covariate follows from the others and the
            systems, as length does where every system has a length of its own.
        NotIdentifiedError: The likelihood has no finite maximum.
    """
    settings = BradleyTerrySettings(level, resamples=0, prior=prior)
    slope_settings = BradleyTerrySettings(level, resamples=0, prior=covariate_prior)
    contests = read_contests(first, second, outcome, prompts)
    identified_sums(contests, settings)
    names = tuple(covariates)
    columns = _columns(covariates, contests)
    scales = np.sqrt(np.mean(np.square(columns), axis=0))
    for name, scale in zip(names, scales, strict=True):
        if scale == 0:
            raise ConfigError(f"covariate {name!r} is 0 in every row; leave it out")
    count = len(contests.systems)
    # Coordinates of the strengths of mean 0; orthonormal, so that a prior treats all systems alike.
    contrasts = helmert(count).T
    features = np.hstack([_sides(contests) @ contrasts, columns / scales])
    ridge = np.repeat([settings.precision, slope_settings.precision], [count - 1, len(names)])
    fit = _fit(features, contests.outcome, ridge, names)
    back = block_diag(contrasts, np.eye(len(names)))
    values = back @ fit.coefficients
    covariance = back @ _sandwich(fit, features, contests) @ back.T
    errors = np.sqrt(np.maximum(np.diag(covariance), 0))
    reach = errors * (stdtrit(contests.prompts - 1, (1 + level) / 2) if contests.prompts > 1 else np.nan)
    return StyleControlled(
        systems=contests.systems,
        strengths=values[:count],
        standard_errors=errors[:count],
        low=(values - reach)[:count],
        high=(values + reach)[:count],
        covariance=covariance,
        covariates=names,
        scales=scales,
        coefficients=values[count:],
        coefficient_errors=errors[count:],
        coefficient_low=(values - reach)[count:],
        coefficient_high=(values + reach)[count:],
        n=contests.n,
        missing=contests.missing,
        prompts=contests.prompts,
        level=level,
        prior=prior,
        covariate_prior=covariate_prior,
    )


def _columns(covariates: Mapping[str, ArrayLike], contests: Contests) -> Floats:
    if not covariates:
        raise ConfigError("no covariates are given; without them take bradley_terry")
    columns = []
    for name, given in covariates.items():
        column = np.asarray(given, dtype=np.float64)
        if column.shape != contests.kept.shape:
            raise ConfigError(
                f"covariate {name!r} has the shape {column.shape}, not one number for each of "
                f"{len(contests.kept)} outcomes"
            )
        bad = np.flatnonzero(~np.isfinite(column) & contests.kept)
        if len(bad):
            raise ConfigError(f"covariate {name!r} is {column[bad[0]]} in row {bad[0]}, not a number")
        columns.append(column[contests.kept])
    return np.column_stack(columns)


def _sides(contests: Contests) -> Floats:
    """Return +1 for a row's first and -1 for its second system: [n, systems]."""
    sides = np.zeros((contests.n, len(contests.systems)))
    rows = np.arange(contests.n)
    sides[rows, contests.first] = 1
    sides[rows, contests.second] = -1
    return sides


def _fit(features: Floats, outcome: Floats, ridge: Floats, names: Sequence[str]) -> LogisticFit:
    redundant = redundant_column(features, np.ones(len(features)), ridge)
    if redundant is not None:
        place = redundant - features.shape[1] + len(names)
        if place < 0:
            raise NotIdentifiedError("the prior is too wide to determine the strengths; give a smaller one")
        name = names[place]
        raise ConfigError(
            f"covariate {name!r} follows from the systems and the other covariates; leave it out or give a "
            "covariate_prior"
        )
    try:
        return fit_logistic(features, outcome, ridge=ridge)
    except NotEstimableError as error:
        raise NotIdentifiedError(
            "systems and covariates together tell who wins without exception; leave a covariate out, or give "
            "a prior and a covariate_prior (standard deviations)"
        ) from error


def _sandwich(fit: LogisticFit, features: Floats, contests: Contests) -> Floats:
    count = contests.prompts
    if count < 2:
        return np.full_like(fit.information, np.nan)
    lost = contests.outcome - fit.fitted
    scores = np.column_stack(
        [np.bincount(contests.prompt, weights=lost * column, minlength=count) for column in features.T]
    )
    bread = np.linalg.inv(fit.information)
    return np.asarray(bread @ (scores.T @ scores) @ bread * (count / (count - 1)))
