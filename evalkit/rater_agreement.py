"""How far raters agree on one axis: each two, each with the rest, all of them, and each with itself."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evalkit.rater_labels import LABELS, Again, RatedAxis
from evalkit.verdict_groups import Floats, Integers
from judges.statistics.agreement import Agreement, Coefficient, agreement
from judges.statistics.raters import RaterAgreement, agreement_with_rest, pairwise_agreement
from rewards.intervals import Resampling


@dataclass(frozen=True, eq=False)
class Compared:
    """Two raters on the comparisons that both judged."""

    agreement: RaterAgreement
    counts: Integers
    """[labels, labels], comparisons by the first's and the second's label, in the order of LABELS."""

    @property
    def opposite(self) -> float:
        """Share of comparisons in which they name opposite winners."""
        return float((self.counts[0, -1] + self.counts[-1, 0]) / self.counts.sum())


@dataclass(frozen=True, eq=False)
class Together:
    """One coefficient over all raters."""

    name: str
    found: Agreement | None
    why: str
    """Why there is no value; empty where there is one."""


@dataclass(frozen=True, eq=False)
class AxisAgreement:
    """What is found of all raters on one axis."""

    axis: str
    systems: tuple[str, ...]
    judged: dict[str, int]
    """By rater, comparisons with a label."""
    without: dict[str, int]
    """By rater, comparisons that were asked about and have no label."""
    missing: dict[str, dict[str, int]]
    """By rater, verdicts without a winner, by reason."""
    pairs: tuple[Compared, ...]
    """Raters who judged nothing in common are not there."""
    rest: tuple[RaterAgreement, ...]
    """Each rater and the majority of the others; empty for two."""
    together: tuple[Together, ...]
    order: dict[str, Agreement]
    """By rater, agreement of its verdicts in both orders."""
    repeats: dict[str, Agreement]
    """By rater, agreement of its verdicts on the same question, asked again."""


COEFFICIENTS: tuple[tuple[str, Coefficient, str], ...] = (
    ("percent agreement", "percent", "nominal"),
    ("Fleiss' kappa", "fleiss", "nominal"),
    ("Krippendorff's alpha, nominal", "krippendorff", "nominal"),
    ("Krippendorff's alpha, ordinal", "krippendorff", "ordinal"),
)
"""What is told of all raters together; ordinal takes a tie as halfway between the two sides."""

UNDEFINED = "all labels are the same, so that there is no chance agreement to correct for"


def agreement_on(rated: RatedAxis, resampling: Resampling) -> AxisAgreement | None:
    """Return the agreement of an axis' raters, None where no two judged a comparison in common."""
    labels = {name: column.tolist() for name, column in rated.labels.items()}
    if len(labels) < 2:
        return None
    pairs = pairwise_agreement(labels, rated.prompts, resampling)
    if not pairs:
        return None
    return AxisAgreement(
        rated.axis,
        rated.systems,
        {name: int(np.count_nonzero(~np.isnan(column))) for name, column in rated.labels.items()},
        rated.without,
        rated.missing,
        tuple(Compared(one, _counts(rated.labels[one.first], rated.labels[one.second])) for one in pairs),
        agreement_with_rest(labels, rated.prompts, resampling) if len(labels) > 2 else (),
        tuple(_together(rated, *coefficient, resampling) for coefficient in COEFFICIENTS),
        _with_itself(rated.both_orders, resampling),
        _with_itself(rated.repeats, resampling),
    )


def _counts(first: Floats, second: Floats) -> Integers:
    both = ~np.isnan(first + second)
    cells = np.searchsorted(LABELS, first[both]) * len(LABELS) + np.searchsorted(LABELS, second[both])
    return np.bincount(cells, minlength=len(LABELS) ** 2).reshape(len(LABELS), len(LABELS)).astype(np.int64)


def _together(
    rated: RatedAxis, name: str, coefficient: Coefficient, metric: str, resampling: Resampling
) -> Together:
    table = np.stack(list(rated.labels.values()))
    given = (~np.isnan(table)).sum(axis=0)
    if coefficient == "fleiss" and not (given == len(table)).any():
        return Together(name, None, "no comparison has a label of every judge")
    found = agreement(table, coefficient, metric, rated.prompts, resampling)
    return Together(name, found, UNDEFINED if found.value is None else "")


def _with_itself(again: Mapping[str, Again], resampling: Resampling) -> dict[str, Agreement]:
    found = {}
    for name, one in again.items():
        if ((~np.isnan(one.ratings)).sum(axis=0) >= 2).any():
            found[name] = agreement(one.ratings, "percent", "nominal", one.prompts, resampling)
    return found
