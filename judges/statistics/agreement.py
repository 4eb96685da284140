"""Agreement of judges and people: percent, Cohen, Fleiss, Krippendorff; intervals resample prompts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judges.statistics.krippendorff import alphas, krippendorff_alpha
from judges.statistics.ratings import (
    Floats,
    Labels,
    Ratings,
    Table,
    UndefinedAgreementError,
    encode,
    patterns,
)
from rewards.errors import ConfigError
from rewards.intervals import Resampling, percentile_interval

__all__ = [
    "Agreement",
    "UndefinedAgreementError",
    "agreement",
    "cohen_kappa",
    "fleiss_kappa",
    "krippendorff_alpha",
    "percent_agreement",
]

Coefficient = Literal["percent", "cohen", "fleiss", "krippendorff"]
METRICS_OF: Mapping[str, tuple[str, ...]] = {
    "percent": ("nominal",),
    "cohen": ("nominal", "linear", "quadratic"),
    "fleiss": ("nominal",),
    "krippendorff": ("nominal", "ordinal", "interval", "ratio"),
}
MOST_UNDEFINED = 0.05  # the share of resamples without a value above which there is no interval


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far raters agree, with its interval; higher is more."""

    coefficient: str
    metric: str
    value: float | None
    """None where it is undefined: raters who only ever use one label leave chance nothing to correct."""
    low: float | None
    """None, as `high`, where resampling cannot tell: one prompt, no value, or no variation of it."""
    high: float | None
    n: int
    """Items that count: with two ratings or more, for Cohen and Fleiss with every rater's."""
    missing: int
    """Items left out, for want of ratings."""
    prompts: int
    """Distinct prompts among the items that count."""
    undefined_resamples: int
    """Resamples left out of the interval, as they hold one label only."""
    resampling: Resampling


def percent_agreement(a: Labels, b: Labels) -> float:
    """Return the share in [0, 1] of items to which two raters a [n] and b [n] gave the same label.

    Raises:
        ConfigError: The raters differ in their number of items, or share no item that both rated.
    """
    return _value(_rows(a, b), "percent", "nominal")


def cohen_kappa(a: Labels, b: Labels, weights: str | None = None) -> float:
    """Return Cohen's kappa of two raters' labels a [n] and b [n]: 1 is full agreement, 0 that of chance.

    Items that either did not rate (None or NaN) are left out. With weights "linear" or "quadratic"
    (Cohen 1968) labels are numbers, and a disagreement counts by their distance or its square.

    Raises:
        ConfigError: No item was rated by both, or the weights do not suit the labels.
        UndefinedAgreementError: Both only used the same one label.
    """
    return _value(_rows(a, b), "cohen", weights or "nominal")


def fleiss_kappa(counts: ArrayLike) -> float:
    """Return Fleiss' kappa of counts [items, categories], how many raters chose each category.

    Every item has the same number of ratings, two or more (Fleiss 1971); where ratings are missing, use
    `krippendorff_alpha`.

    Raises:
        ConfigError: The counts are no such table.
        UndefinedAgreementError: All ratings are of one category.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or table.size == 0 or not ((table >= 0) & (table == np.floor(table))).all():
        raise ConfigError("counts are whole numbers of 0 or more, [items, categories]")
    raters = table.sum(axis=1)
    if raters[0] < 2 or (raters != raters[0]).any():
        raise ConfigError(
            f"Fleiss' kappa needs the same number of ratings an item, 2 or more; got {raters.min():g} to "
            f"{raters.max():g}. krippendorff_alpha allows for missing ratings"
        )
    return _defined(_fleiss(table, np.ones((1, len(table)))), "fleiss")


def agreement(
    ratings: Table,
    coefficient: Coefficient = "krippendorff",
    metric: str = "nominal",
    prompts: Labels | None = None,
    resampling: Resampling | None = None,
) -> Agreement:
    """Return the agreement of ratings [raters, items] with a percentile interval.

    Prompts [items] are resampled, each with all of its items (both orders, repeats); without them, items.
    "percent" is the mean over items of the share of pairs of raters who agree; "cohen" is of two raters.

    Raises:
        ConfigError: No item has the ratings needed, or an argument does not suit the others.
    """
    encoded, resampling = encode(ratings), resampling or Resampling()
    if coefficient not in METRICS_OF or metric not in METRICS_OF[coefficient]:
        raise ConfigError(f"no {coefficient!r} agreement with metric {metric!r}; there is {dict(METRICS_OF)}")
    labelled = np.arange(encoded.codes.shape[1]) if prompts is None else np.asarray(prompts)
    if labelled.shape != encoded.codes.shape[1:]:
        raise ConfigError(f"as many prompts as items, got {labelled.shape} and {encoded.codes.shape[1]}")
    used = _used(encoded, coefficient)
    found = patterns(encoded.codes[:, used], labelled[used])
    distinct = Ratings(found.codes.T, encoded.labels)
    value = float(_values(distinct, found.counts[None, :], coefficient, metric)[0])
    clusters = int(found.cluster_of.max()) + 1
    drawn = np.empty(0)
    if clusters > 1 and not np.isnan(value):
        blocks = found.resamples(resampling)
        drawn = np.concatenate([_values(distinct, weights, coefficient, metric) for weights in blocks])
    undefined = int(np.isnan(drawn).sum())
    enough = len(drawn) > 0 and undefined <= MOST_UNDEFINED * len(drawn)
    low, high = percentile_interval(drawn[~np.isnan(drawn)] if enough else None, resampling.level)
    return Agreement(
        coefficient=coefficient,
        metric=metric,
        value=None if np.isnan(value) else value,
        low=low,
        high=high,
        n=int(used.sum()),
        missing=int((~used).sum()),
        prompts=clusters,
        undefined_resamples=undefined,
        resampling=resampling,
    )


def _rows(a: Labels, b: Labels) -> NDArray[np.object_]:
    """Return two raters' labels as a table [2, n]."""
    first, second = np.asarray(a, dtype=object), np.asarray(b, dtype=object)
    if first.ndim != 1 or first.shape != second.shape:
        raise ConfigError(f"two raters' labels are as many, got {first.shape} and {second.shape}")
    return np.stack([first, second])


def _used(ratings: Ratings, coefficient: str) -> NDArray[np.bool_]:
    """Return the items that have the ratings which the coefficient needs [items]."""
    raters, given = len(ratings.codes), (ratings.codes >= 0).sum(axis=0)
    if raters < 2 or (coefficient == "cohen" and raters > 2):
        raise ConfigError(
            f"{coefficient} agreement needs {'two' if raters > 2 else 'more'} raters, got {raters}"
        )
    used = given == raters if coefficient in ("cohen", "fleiss") else given >= 2
    if not used.any():
        needed = "every rater's rating" if coefficient in ("cohen", "fleiss") else "two ratings"
        raise ConfigError(f"{coefficient} agreement needs an item with {needed}")
    return np.asarray(used)


def _value(rows: NDArray[np.object_], coefficient: str, metric: str) -> float:
    if metric not in METRICS_OF[coefficient]:
        raise ConfigError(f"weights are None, 'linear' or 'quadratic', got {metric!r}")
    ratings = encode(rows)
    used = ratings.only(_used(ratings, coefficient))
    found = patterns(used.codes)
    distinct = Ratings(found.codes.T, ratings.labels)
    return _defined(_values(distinct, found.counts[None, :], coefficient, metric), coefficient)


def _defined(values: Floats, coefficient: str) -> float:
    if np.isnan(values[0]):
        raise UndefinedAgreementError(f"{coefficient} agreement is undefined: all ratings are the same label")
    return float(values[0])


def _values(ratings: Ratings, weights: Floats, coefficient: str, metric: str) -> Floats:
    """Return the coefficient for each row of weights [b, items], NaN where it is undefined: [b]."""
    if coefficient == "krippendorff":
        return alphas(ratings, weights, metric)
    if coefficient == "cohen":
        return _cohen(ratings, weights, metric)
    counts = (ratings.codes[:, :, None] == np.arange(len(ratings.labels))).sum(axis=0).astype(np.float64)
    if coefficient == "fleiss":
        return _fleiss(counts, weights)
    return np.asarray((weights @ _agreeing(counts)) / weights.sum(axis=1))


def _agreeing(counts: Floats) -> Floats:
    """Return the share of pairs of raters who agree, of counts [items, categories]: [items]."""
    raters = counts.sum(axis=1)
    return np.asarray((counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1)))


def _fleiss(counts: Floats, weights: Floats) -> Floats:
    """Return Fleiss' kappa of counts [items, categories] for each row of weights [b, items]: [b]."""
    number = weights.sum(axis=1)
    observed = (weights @ _agreeing(counts)) / number
    shares = (weights @ counts) / (number * counts[0].sum())[:, None]
    varied = (shares > 0).sum(axis=1) > 1
    expected = (shares**2).sum(axis=1)
    undefined = np.full(len(weights), np.nan)
    return np.asarray(np.divide(observed - expected, 1 - expected, out=undefined, where=varied))


def _cohen(ratings: Ratings, weights: Floats, metric: str) -> Floats:
    """Return Cohen's kappa, one less observed over expected distance, for each row of weights [b, items]."""
    labels = len(ratings.labels)
    distance = 1 - np.eye(labels)
    if metric != "nominal":
        values = ratings.values(f"{metric} weights")
        distance = np.abs(values[:, None] - values[None, :]) ** (1 if metric == "linear" else 2)
    first, second = ratings.codes
    observed = weights @ distance[first, second] / weights.sum(axis=1)
    one_hot = np.eye(labels)
    shares = [(weights @ one_hot[codes]) / weights.sum(axis=1)[:, None] for codes in (first, second)]
    expected = ((shares[0] @ distance) * shares[1]).sum(axis=1)
    varied = ((shares[0] + shares[1]) > 0).sum(axis=1) > 1
    return np.asarray(1 - np.divide(observed, expected, out=np.full(len(weights), np.nan), where=varied))
