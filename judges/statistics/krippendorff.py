"""Krippendorff's alpha: agreement of any number of raters, any of whose ratings may be missing."""

import numpy as np
from scipy.sparse import csr_array

from judges.statistics.ratings import Floats, Integers, Ratings, Table, UndefinedAgreementError, encode
from rewards.errors import ConfigError

METRICS = ("nominal", "ordinal", "interval", "ratio")


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
