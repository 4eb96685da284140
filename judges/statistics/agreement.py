"""Agreement of judges and people: percent, Cohen, Fleiss, Krippendorff; intervals resample prompts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from judges.statistics.ratings import (
    Floats,
    Integers,
    Labels,
    Ratings,
    Table,
    UndefinedAgreementError,
    encode,
    patterns,
)
from rewards.display import Displayed, counted, estimated
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


METRICS = ("nominal", "ordinal", "interval", "ratio")


@dataclass(frozen=True, slots=True)
class Agreement(Displayed):
    """Inter-rater agreement with its confidence interval; higher is more."""

    coefficient: str
    metric: str
    value: float | None
    """None if undefined: with a single label there is no chance agreement to correct for."""
    low: float | None
    """None, as `high`, where resampling cannot tell: one prompt, no value, or no variation of it."""
    high: float | None
    n: int
    """Items that count: with two ratings or more, for Cohen and Fleiss with every rater's."""
    missing: int
    """Items left out for lack of ratings."""
    prompts: int
    """Distinct prompts among the items that count."""
    undefined_resamples: int
    """Resamples left out of the interval, as they hold one label only."""
    resampling: Resampling

    def summary(self) -> str:
        """Return `krippendorff (nominal) 0.713 (0.655 to 0.762), 200 items of 100 prompts`."""
        size = f"{counted(self.n, 'item')} of {counted(self.prompts, 'prompt')}"
        value = "undefined" if self.value is None else estimated(self.value, self.low, self.high)
        return f"{self.coefficient} ({self.metric}) {value}, {size}"


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
    columns = patterns(encoded.codes[:, used], labelled[used])
    distinct = Ratings(columns.codes.T, encoded.labels)
    value = float(_values(distinct, columns.counts[None, :], coefficient, metric)[0])
    clusters = int(columns.cluster_of.max()) + 1
    drawn = np.empty(0)
    if clusters > 1 and not np.isnan(value):
        blocks = columns.resamples(resampling)
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
    columns = patterns(used.codes)
    distinct = Ratings(columns.codes.T, ratings.labels)
    return _defined(_values(distinct, columns.counts[None, :], coefficient, metric), coefficient)


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


def krippendorff_alpha(ratings: Table, metric: str = "nominal") -> float:
    """Return Krippendorff's alpha of ratings [raters, items]; 1 is full agreement, 0 that of chance.

    None and NaN are missing; items with fewer than two ratings are left out. Labels are any hashables for
    "nominal", numbers for the other metrics ("ratio": not negative). Differences follow Krippendorff,
    "Computing Krippendorff's Alpha-Reliability" (2011): unequal or not; squared difference of mid-ranks
    ("ordinal"); squared difference ("interval"); squared difference over squared sum ("ratio").

    Raises:
        ConfigError: No item has two ratings, or the labels do not suit the metric.
        UndefinedAgreementError: All ratings are the same label, so that chance leaves nothing to correct.
    """
    encoded = encode(ratings)
    paired = encoded.only((encoded.codes >= 0).sum(axis=0) >= 2)
    if paired.codes.size == 0:
        raise ConfigError("alpha needs at least one item with two ratings")
    distinct, counts = np.unique(paired.codes.T, axis=0, return_counts=True)
    value = float(alphas(Ratings(distinct.T, paired.labels), counts[None, :].astype(np.float64), metric)[0])
    if np.isnan(value):
        raise UndefinedAgreementError("alpha is undefined: every rating is the same label")
    return value


def alphas(ratings: Ratings, weights: Floats, metric: str) -> Floats:
    """Return alpha for each row of weights [b, items], how often each item of the ratings counts: [b].

    Every item has two ratings or more. A row in which all ratings are the same label gives NaN.

    Raises:
        ConfigError: The metric is unknown or does not suit the labels.
    """
    if metric not in METRICS:
        raise ConfigError(f"metric is one of {', '.join(METRICS)}, got {metric!r}")
    counts = _counts(ratings.codes, len(ratings.labels))
    raters = np.asarray(counts.sum(axis=1)).ravel()
    totals = np.asarray(weights @ counts)
    observed, expected = _differences(ratings, counts, weights / (raters - 1), totals, metric)
    number = totals.sum(axis=1)
    # More than one label is in use, rather than expected > 0, which rounding may feign.
    varied = (totals > 0).sum(axis=1) > 1
    ratio = np.divide(observed, expected, out=np.full(len(weights), np.nan), where=varied)
    return np.asarray(1 - (number - 1) * ratio)


def _counts(codes: Integers, labels: int) -> csr_array:
    """Return how often each item of codes [raters, items] has each label: [items, labels]."""
    rater, item = np.nonzero(codes >= 0)
    return csr_array((np.ones(len(item)), (item, codes[rater, item])), shape=(codes.shape[1], labels))


def _differences(
    ratings: Ratings, counts: csr_array, weights: Floats, totals: Floats, metric: str
) -> tuple[Floats, Floats]:
    """Return the weighted sums of differences within items and among all ratings of a resample, [b] each.

    Sums run over ordered pairs. `weights` [b, items] are already divided by each item's ratings less one,
    `totals` [b, labels] is how often each label counts.
    """
    if metric == "nominal":
        raters, alike = (np.asarray(table.sum(axis=1)).ravel() for table in (counts, counts * counts))
        apart = raters**2 - alike
        return weights @ apart, totals.sum(axis=1) ** 2 - (totals**2).sum(axis=1)
    values = ratings.values(f"the {metric} metric")
    if metric == "ratio":
        apart_by_label = _ratio_differences(values)
        within = np.asarray((counts * (counts @ apart_by_label)).sum(axis=1)).ravel()
        return weights @ within, ((totals @ apart_by_label) * totals).sum(axis=1)
    # A sum of squared differences over ordered pairs is 2 (k sum x^2 - (sum x)^2). Places are mid-ranks of
    # the resample for the ordinal metric: mid-ranks of c and k differ by Krippendorff's sum from c to k.
    places = np.tile(values - values.mean(), (len(totals), 1))
    if metric == "ordinal":
        places = np.cumsum(totals, axis=1) - totals / 2
    raters = np.asarray(counts.sum(axis=1))
    apart_by_item = raters * (counts @ (places**2).T).T - (counts @ places.T).T ** 2
    expected = totals.sum(axis=1) * (totals * places**2).sum(axis=1) - (totals * places).sum(axis=1) ** 2
    return 2 * (weights * apart_by_item).sum(axis=1), 2 * expected


def _ratio_differences(values: Floats) -> Floats:
    """Return the squared ratio of difference and sum of each two values [labels, labels]; 0 equals 0."""
    if values.min() < 0:
        raise ConfigError(f"the ratio metric needs labels of 0 or more, got {values.min():g}")
    sums = values[:, None] + values[None, :]
    ratio = np.divide(values[:, None] - values[None, :], sums, out=np.zeros_like(sums), where=sums > 0)
    return np.asarray(ratio**2)
