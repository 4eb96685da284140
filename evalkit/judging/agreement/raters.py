"""Agreement of raters on one axis: pairwise, each with the rest, all together, and self-consistency."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evalkit.judging.agreement.labels import LABELS, Again, RatedAxis
from judges.statistics.agreement import Agreement, Coefficient, agreement
from judges.statistics.raters import RaterAgreement, agreement_with_rest, pairwise_agreement
from judges.verdicts.groups import Floats, Integers
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
    """The agreement of all raters on one axis."""

    axis: str
    systems: tuple[str, ...]
    judged: dict[str, int]
    """By rater, comparisons with a label."""
    without: dict[str, int]
    """By rater, comparisons that were asked about and have no label."""
    missing: dict[str, dict[str, int]]
    """By rater, verdicts without a winner, by reason."""
    pairs: tuple[Compared, ...]
    """Raters who judged nothing in common are not there, nor is one with those whose votes it is made of."""
    rest: tuple[RaterAgreement, ...]
    """Each rater and the majority of the others; empty for two, and without those made of others' votes."""
    together: tuple[Together, ...]
    """Without those either, who would count votes twice; empty where no two are left."""
    order: dict[str, Agreement]
    """By rater, agreement of its verdicts in both orders."""
    repeats: dict[str, Agreement]
    """By rater, agreement of its verdicts on the same question, asked again."""
    members: dict[str, frozenset[str]]
    """By rater whose verdicts are made of the votes of raters here, who those are."""


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
    members = rated.members
    pairs = [
        one
        for one in pairwise_agreement(labels, rated.prompts, resampling)
        if one.second not in members.get(one.first, ()) and one.first not in members.get(one.second, ())
    ]
    if not pairs:
        return None
    voices = {name: column for name, column in labels.items() if name not in members}
    table = np.stack([rated.labels[name] for name in voices])
    return AxisAgreement(
        rated.axis,
        rated.systems,
        {name: int(np.count_nonzero(~np.isnan(column))) for name, column in rated.labels.items()},
        rated.without,
        rated.missing,
        tuple(Compared(one, _counts(rated.labels[one.first], rated.labels[one.second])) for one in pairs),
        agreement_with_rest(voices, rated.prompts, resampling) if len(voices) > 2 else (),
        tuple(_together(table, rated.prompts, *coefficient, resampling) for coefficient in COEFFICIENTS),
        _with_itself(rated.both_orders, resampling),
        _with_itself(rated.repeats, resampling),
        members,
    )


def _counts(first: Floats, second: Floats) -> Integers:
    both = ~np.isnan(first + second)
    cells = np.searchsorted(LABELS, first[both]) * len(LABELS) + np.searchsorted(LABELS, second[both])
    return np.bincount(cells, minlength=len(LABELS) ** 2).reshape(len(LABELS), len(LABELS)).astype(np.int64)


def _together(
    table: Floats, prompts: Integers, name: str, coefficient: Coefficient, metric: str, resampling: Resampling
) -> Together:
    given = (~np.isnan(table)).sum(axis=0)
    if not (given > 1).any():
        return Together(name, None, "no comparison has labels of two judges who stand by themselves")
    if coefficient == "fleiss" and not (given == len(table)).any():
        return Together(name, None, "no comparison has a label of every judge")
    found = agreement(table, coefficient, metric, prompts, resampling)
    return Together(name, found, UNDEFINED if found.value is None else "")


def _with_itself(again: Mapping[str, Again], resampling: Resampling) -> dict[str, Agreement]:
    found = {}
    for name, one in again.items():
        if ((~np.isnan(one.ratings)).sum(axis=0) >= 2).any():
            found[name] = agreement(one.ratings, "percent", "nominal", one.prompts, resampling)
    return found
