"""Agreement of raters: each pair, and each with the majority of the others."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from judges.statistics.agreement import Agreement, agreement
from judges.statistics.ratings import Labels, is_missing, majority
from rewards.errors import ConfigError
from rewards.intervals import Resampling

REST = "majority of the rest"


@dataclass(frozen=True, slots=True)
class RaterAgreement:
    """Two raters, or one and the majority of the others, on the items that both rated."""

    first: str
    second: str
    percent: Agreement
    kappa: Agreement
    """Cohen's kappa."""


def pairwise_agreement(
    ratings: Mapping[str, Sequence[Hashable]],
    prompts: Labels | None = None,
    resampling: Resampling | None = None,
) -> tuple[RaterAgreement, ...]:
    """Return percent agreement and Cohen's kappa of each two raters, in the order of the mapping.

    `ratings` holds each rater's labels [items], None or NaN where missing; raters are judges or people. Two
    raters who share no item are left out.
    """
    pairs = combinations(ratings, 2)
    agreements = [
        _compare(a, ratings[a], b, ratings[b], prompts, resampling or Resampling()) for a, b in pairs
    ]
    return tuple(one for one in agreements if one is not None)


def agreement_with_rest(
    ratings: Mapping[str, Sequence[Hashable]],
    prompts: Labels | None = None,
    resampling: Resampling | None = None,
) -> tuple[RaterAgreement, ...]:
    """Return each rater's agreement with the strict majority of the others, as for a jury's members.

    Items on which the others have no majority, or on which the rater abstained, are left out and counted.
    A rater for whom no item remains is left out.

    Raises:
        ConfigError: There are fewer than two raters.
    """
    if len(ratings) < 2:
        raise ConfigError(f"agreement with the rest needs two raters or more, got {len(ratings)}")
    agreements = []
    for name, labels in ratings.items():
        rest = majority([list(others) for other, others in ratings.items() if other != name])
        agreements.append(_compare(name, labels, REST, rest, prompts, resampling or Resampling()))
    return tuple(one for one in agreements if one is not None)


def _compare(
    first: str,
    a: Sequence[Hashable],
    second: str,
    b: Sequence[Hashable | None],
    prompts: Labels | None,
    resampling: Resampling,
) -> RaterAgreement | None:
    rows = [list(a), list(b)]
    if len(rows[0]) != len(rows[1]):
        raise ConfigError(f"a label for each item: {first} {len(rows[0])}, {second} {len(rows[1])}")
    if not any(not is_missing(x) and not is_missing(y) for x, y in zip(*rows, strict=True)):
        return None
    percent = agreement(rows, "percent", prompts=prompts, resampling=resampling)
    kappa = agreement(rows, "cohen", prompts=prompts, resampling=resampling)
    return RaterAgreement(first, second, percent, kappa)
