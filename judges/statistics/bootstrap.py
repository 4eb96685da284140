"""Cluster bootstrap over prompts: standard error and confidence interval of a mean verdict."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, ndtri, stdtrit

from rewards.errors import ConfigError
from rewards.intervals import Resampling

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

_BLOCK = 2_000_000
"""Counts drawn at once, which bounds the memory."""
_MANY = 200_000
"""Above so many kinds of prompts their sums are rounded to fewer kinds."""
_NO_SPREAD = 1e-12


class BootstrapInterval(NamedTuple):
    """Ends of an interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PromptTotals:
    """Sums by prompt, as a table of distinct sums, so that neither order nor names of prompts matter."""

    mean: float
    """Mean over verdicts."""
    deviations: Floats
    """[kinds] sum over a prompt's verdicts of value minus `mean`."""
    sizes: Floats
    """[kinds] verdicts of a prompt."""
    counts: Codes
    """[kinds] prompts that are alike in both."""

    @property
    def prompts(self) -> int:
        """Number of prompts."""
        return int(self.counts.sum())

    def standard_error(self) -> float | None:
        """Return the cluster-robust standard error of the mean, None for fewer than two prompts.

        sqrt(K / (K - 1) * sum of squared deviations) / n for K prompts and n verdicts. With one verdict a
        prompt it is the standard deviation (ddof 1) over the root of n.
        """
        prompts = self.prompts
        if prompts < 2:
            return None
        squares = math.fsum(self.counts * self.deviations**2)
        return math.sqrt(prompts / (prompts - 1) * squares) / float(self.counts @ self.sizes)


def codes_of(prompts: ArrayLike) -> Codes:
    """Return an integer from 0 on for each prompt [n], the same for equal prompts.

    Raises:
        ConfigError: They are not one label a row, or one is None or NaN.
    """
    labels = np.asarray(prompts)
    if labels.ndim != 1:
        raise ConfigError(f"prompts are one label a row, got an array of shape {labels.shape}")
    if labels.dtype.kind in "iub":
        return np.unique(labels, return_inverse=True)[1].astype(np.int64)
    known: dict[object, int] = {}  # thrice as fast as sorting texts
    numbers = (known.setdefault(label, len(known)) for label in labels.tolist())
    codes = np.fromiter(numbers, np.int64, len(labels))
    if any(label is None or label != label for label in known):  # NaN alone differs from itself
        raise ConfigError("prompts hold a missing label, None or NaN; name the prompt of every row")
    return codes


def prompt_totals(values: Floats, codes: Codes | None) -> PromptTotals:
    """Sum values [n] by prompt; without codes every value is a prompt of its own."""
    mean = math.fsum(values) / len(values)
    table = np.stack([values - mean, np.ones(len(values))])
    if codes is not None:
        table = np.array([np.bincount(codes, weights=row) for row in table], dtype=np.float64)
    deviations, sizes = table[:, table[1] > 0]
    # Rounded, or else the order of addition could tell two prompts apart that are alike.
    return PromptTotals(mean, *_kinds(np.round(deviations, 12), sizes, np.ones(len(sizes), np.int64)))


def mean_interval(
    totals: PromptTotals, resampling: Resampling, scale: Literal["logit", "identity"] = "logit"
) -> BootstrapInterval | None:
    """Return the interval of a mean, by the bootstrap-t over prompts.

    Prompts are drawn with replacement; each draw's distance from the mean is divided by its own standard
    error, so that few, unequal or lopsided prompts widen the interval as they should (Efron & Tibshirani
    1993, chapter 12). The logit scale, for means in [0, 1], keeps the ends inside. Where draws without any
    spread leave an end undetermined, it is Wilson's with the effective number of prompts and Student's
    quantile; where all prompts agree, both ends are Wilson's with as many trials as prompts. On the
    identity scale the two are Student's interval, and none. One prompt alone has none either.
    """
    error = totals.standard_error()
    if error is None:
        return None
    fallback = _closed_form(totals, error, resampling.level, scale)
    if fallback is None or error < _NO_SPREAD:
        return fallback
    mirrored = _mirrored(totals, scale)
    side = _compare(totals, mirrored)
    pivots = _pivots(mirrored if side > 0 else totals, resampling, scale)
    # What is its own mirror image has a symmetric distribution.
    pivots = np.concatenate([pivots, -pivots]) if side == 0 else -side * pivots
    tail = (1 - resampling.level) / 2
    least = float(np.quantile(pivots, tail, method="lower"))
    most = float(np.quantile(pivots, 1 - tail, method="higher"))
    low = _end(totals.mean, -most * error, scale) if math.isfinite(most) else fallback[0]
    high = _end(totals.mean, -least * error, scale) if math.isfinite(least) else fallback[1]
    return BootstrapInterval(min(low, totals.mean), max(high, totals.mean))


def _end(mean: float, distance: float, scale: str) -> float:
    if scale == "identity":
        return mean + distance
    return float(expit(logit(mean) + distance / (mean * (1 - mean))))


def _closed_form(totals: PromptTotals, error: float, level: float, scale: str) -> BootstrapInterval | None:
    """Return Student's interval, or on the logit scale Wilson's with the effective number of prompts."""
    mean, prompts = totals.mean, totals.prompts
    student = float(stdtrit(prompts - 1, (1 + level) / 2))
    if scale == "identity":
        return (
            None if error < _NO_SPREAD else BootstrapInterval(mean - student * error, mean + student * error)
        )
    if error < _NO_SPREAD:
        weight = float(ndtri((1 + level) / 2)) ** 2 / prompts
    else:
        weight = (student * error) ** 2 / (mean * (1 - mean))
    centre = (mean + weight / 2) / (1 + weight)
    reach = math.sqrt(mean * (1 - mean) * weight + weight**2 / 4) / (1 + weight)
    return BootstrapInterval(max(0.0, min(mean, centre - reach)), min(1.0, max(mean, centre + reach)))


def _kinds(deviations: Floats, sizes: Floats, counts: Codes) -> tuple[Floats, Floats, Codes]:
    """Return the distinct pairs of deviation and size, sorted, and how many prompts are of each."""
    order = np.lexsort((deviations, sizes))
    deviations, sizes, counts = deviations[order], sizes[order], counts[order]
    starts = np.flatnonzero(np.r_[True, (np.diff(deviations) != 0) | (np.diff(sizes) != 0)])
    return deviations[starts], sizes[starts], np.add.reduceat(counts, starts)


def _mirrored(totals: PromptTotals, scale: str) -> PromptTotals:
    mean = (1 if scale == "logit" else 0) - totals.mean
    return PromptTotals(mean, *_kinds(-totals.deviations, totals.sizes, totals.counts))


def _compare(totals: PromptTotals, mirrored: PromptTotals) -> int:
    """Order values and their mirror image, of which one is resampled so that both get the same interval.

    Returns:
        -1 where `totals` come first, 1 where `mirrored` does, 0 where they are alike.
    """
    mine, other = (
        np.concatenate([one.deviations, one.counts, [round(one.mean, 12)]]) for one in (totals, mirrored)
    )
    apart = np.flatnonzero(mine != other)
    return 0 if not len(apart) else (-1 if mine[apart[0]] < other[apart[0]] else 1)


def _pivots(totals: PromptTotals, resampling: Resampling, scale: str) -> Floats:
    """Return (draw - mean) / error of the draw [resamples], infinite where a draw has no spread."""
    prompts = totals.prompts
    deviations, sizes, counts = totals.deviations, totals.sizes, totals.counts
    if len(counts) > _MANY:
        # A hundredth of the spread moves the variance by a hundred-thousandth.
        step = math.sqrt(float(counts @ deviations**2) / prompts) / 100
        deviations, sizes, counts = _kinds(np.round(deviations / step) * step, sizes, counts)
        deviations = deviations - float(counts @ deviations) / float(counts @ sizes) * sizes
    columns = np.column_stack([deviations, sizes, deviations**2, deviations * sizes, sizes**2])
    sums = np.concatenate([draw @ columns for draw in _draws(counts, resampling)])
    distance = sums[:, 0] / sums[:, 1]
    squares = sums[:, 2] - 2 * distance * sums[:, 3] + distance**2 * sums[:, 4]
    spread = squares > 1e-9 * float(counts @ columns[:, 2])
    error = np.sqrt(prompts / (prompts - 1) * np.where(spread, squares, 1)) / sums[:, 1]
    pivots = distance / error
    if scale == "logit":
        drawn = np.clip(totals.mean + distance, _NO_SPREAD, 1 - _NO_SPREAD)
        pivots = (logit(drawn) - logit(totals.mean)) / error * drawn * (1 - drawn)
    endless = np.where(np.abs(distance) < _NO_SPREAD, 0.0, np.copysign(np.inf, distance))
    return np.asarray(np.where(spread, pivots, endless), dtype=np.float64)


def _draws(counts: Codes, resampling: Resampling) -> Iterator[NDArray[np.int64]]:
    """Yield how often each kind of prompt is drawn, [some resamples, kinds], in blocks."""
    generator = np.random.default_rng(resampling.seed)
    prompts, kinds = int(counts.sum()), len(counts)
    block = max(1, _BLOCK // kinds)
    sizes = [min(block, resampling.resamples - start) for start in range(0, resampling.resamples, block)]
    if kinds * 15 < prompts:  # one multinomial costs as much as fifteen draws of a prompt
        for size in sizes:
            yield generator.multinomial(prompts, counts / prompts, size)
        return
    owner = None if kinds == prompts else np.repeat(np.arange(kinds), counts)
    for size in sizes:
        drawn = (generator.integers(0, prompts, prompts, dtype=np.uint32) for _ in range(size))
        owners = (places if owner is None else owner[places] for places in drawn)
        yield np.stack([np.bincount(places, minlength=kinds) for places in owners])
