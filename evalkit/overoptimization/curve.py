"""Gold and proxy under best-of-n from one pool of samples, with bootstrap bands and fits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.overoptimization.fits import (
    Array,
    Interval,
    ScalingFit,
    design,
    fit_best_of_n,
    interval,
    number,
    peak_distance,
)
from evalkit.overoptimization.kl import best_of_n_distance, n_at_distance
from rewards.display import Columns, Tabular
from rewards.errors import ConfigError
from rewards.intervals import Resampling, percentile_interval, resampled_sums
from rewards.selection.best_of_n import best_of_n_kl, expected_best_of_n_batch


@dataclass(frozen=True, slots=True)
class CurveFit:
    """The law d(alpha - beta d) fitted to a curve, and its peak.

    All intervals are percentiles over resampled prompts, each resample's curve refitted: the points of a
    curve share their samples, so that least squares' own intervals would be too narrow. They tell of other
    prompts and other samples; the two scorers are taken as they are, so that the spread over training
    seeds of a proxy comes on top.
    """

    law: ScalingFit
    """Its intervals are those of the resamples; its peak is None, and its note says why, unless that share
    of the resamples which is the level has a peak inside the measured range."""
    peak_share: float | None
    """Share of the resamples whose fitted peak lies inside the measured range and whose highest gold is
    not at the largest n. None where nothing could be resampled."""
    peak_d_interval: Interval | None = None
    """Peaks of refits that lie outside the measured range count as lying at its end."""
    peak_n: float | None = None
    """The n, not rounded, at the peak's distance."""
    peak_n_interval: Interval | None = None
    peak_gold_interval: Interval | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Curve(Tabular):
    """Mean proxy and gold of the best of n by proxy, less their means over the starting policy's samples.

    Arrays are [m], one value for each n. The bands are percentiles over resampled prompts of the gain over
    the start, whose width at n = 1 is therefore 0; they are None for a single prompt.
    """

    n: tuple[int, ...]
    """Rising; the first is 1."""
    d: Array
    """Square root of `kl`."""
    kl: Array
    """Upper bound ln n - (n - 1)/n on the KL from the starting policy, in nats."""
    proxy: Array
    """In the proxy's own units, as `proxy_low` and `proxy_high`."""
    proxy_low: Array | None
    proxy_high: Array | None
    gold: Array
    """In gold's own units, as `gold_low` and `gold_high`."""
    gold_low: Array | None
    gold_high: Array | None
    proxy_start: float
    """The starting policy's mean, which was subtracted."""
    gold_start: float
    """The starting policy's mean, which was subtracted."""
    proxy_sd: float
    """Standard deviation of the starting policy's samples within a prompt, pooled over prompts."""
    gold_sd: float
    """Standard deviation of the starting policy's samples within a prompt, pooled over prompts."""
    prompts: int
    samples: int
    """Over all prompts."""
    level: float
    bootstrap: int
    seed: int
    fit: CurveFit | None
    """None where there are fewer than two sizes above 1."""

    @property
    def best(self) -> int:
        """Position of the highest measured gold, the smallest n among equals."""
        return int(np.argmax(self.gold))

    def columns(self) -> Columns:
        """Return the columns of `curve.csv`; bands of a single prompt are None throughout."""
        arrays = {
            "d": self.d,
            "kl": self.kl,
            "proxy": self.proxy,
            "proxy_low": self.proxy_low,
            "proxy_high": self.proxy_high,
            "gold": self.gold,
            "gold_low": self.gold_low,
            "gold_high": self.gold_high,
        }
        none = [None] * len(self.n)
        return {
            "n": self.n,
            **{name: none if array is None else array.tolist() for name, array in arrays.items()},
        }

    def summary(self, proxy: str = "the proxy", gold: str = "gold") -> str:
        """Return a summary of the curve in a few lines, for a first-time reader.

        Args:
            proxy: Name of the scorer that is optimised.
            gold: Name of the gold scorer.
        """
        most = f"n = {self.n[-1]:,}"
        lines = [
            f"Best of n by {proxy}, judged by {gold}: {self.prompts:,} prompts, {self.samples:,} samples.",
            f"The proxy climbs by {self.proxy[-1]:.3g} up to {most}. {self._turn(most)}",
        ]
        if self.fit is None:
            lines.append("Two sizes above 1 are needed for a fit.")
            return "\n".join(lines)
        law = self.fit.law
        lines.append(
            f"Fit: gold = d (alpha - beta d), alpha = {law.alpha:.3g} ({interval(law.alpha_interval)}), "
            f"beta = {law.beta:.3g} ({interval(law.beta_interval)}), r2 = {number(law.r2)}."
        )
        if law.peak_d is None or law.peak_gold is None:
            lines.append(f"The data determine no peak: {law.note}.")
        else:
            lines.append(
                f"Fitted peak: n* = {self.fit.peak_n:.3g} ({interval(self.fit.peak_n_interval)}), "
                f"d* = {law.peak_d:.3g} ({interval(self.fit.peak_d_interval)}), "
                f"gold {law.peak_gold:+.3g} ({interval(self.fit.peak_gold_interval)}); beyond it gold falls."
            )
        level = f"{self.level:.0%}"
        lines.append(f"In brackets: {level} intervals over resampled prompts, the curve refitted each time.")
        return "\n".join(lines)

    def _turn(self, most: str) -> str:
        best, last = self.gold[self.best], self.gold[-1]
        if self.best == 0:
            return f"Gold never rises above its start, and is at {last:+.3g} by {most}."
        if self.best == len(self.n) - 1:
            return f"Gold gains most there, {best:+.3g}: no turn was measured."
        return f"Gold gains most at n = {self.n[self.best]:,}, {best:+.3g}, and is at {last:+.3g} by {most}."


def best_of_n_curve(
    proxy: ArrayLike | Sequence[ArrayLike],
    gold: ArrayLike | Sequence[ArrayLike],
    n: Sequence[int] | None = None,
    level: float = 0.95,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Curve:
    """Measure how gold follows the proxy as best-of-n selects harder by the proxy.

    Each prompt's expected best of n is estimated without bias from all of its samples
    (`rewards.selection.expected_best_of_n`), with each sample's gold beside its own proxy; prompts count
    alike.

    Args:
        proxy: [P, N] proxy of N samples for each of P prompts; or P rows of different lengths.
        gold: The same for the true reward.
        n: Sizes; 1 is added. None takes the powers of two up to N.
        level: Confidence level of bands and intervals.
        bootstrap: Bootstrap resamples of the prompts.
        seed: Seed of the bootstrap.

    Raises:
        ConfigError: Shapes differ, a value is not finite, a prompt has too few samples for an n, or n is
            None and prompts have different numbers of samples.
    """
    proxies, golds = _rows("proxy", proxy), _rows("gold", gold)
    counts = [len(row) for row in proxies]
    if counts != [len(row) for row in golds]:
        raise ConfigError("proxy and gold hold the same number of samples for each prompt")
    sizes = best_of_n_sizes(counts, n)
    resampling = Resampling(level, bootstrap, seed)
    gains = np.concatenate(_gains(proxies, golds, sizes), axis=1)
    proxy_gain, gold_gain = np.split(gains.mean(axis=0), 2)
    sums = resampled_sums(gains, np.arange(len(counts)), resampling)
    resamples = None if sums is None else sums / len(counts)
    low, high = (None, None) if resamples is None else np.quantile(resamples, _tails(level), axis=0)
    proxy_low, gold_low = (None, None) if low is None else np.split(low, 2)
    proxy_high, gold_high = (None, None) if high is None else np.split(high, 2)
    d = np.array([best_of_n_distance(size) for size in sizes])
    refits = None if resamples is None else np.split(resamples, 2, axis=1)[1]
    return Curve(
        n=tuple(sizes),
        d=d,
        kl=np.array([best_of_n_kl(size) for size in sizes]),
        proxy=proxy_gain,
        proxy_low=proxy_low,
        proxy_high=proxy_high,
        gold=gold_gain,
        gold_low=gold_low,
        gold_high=gold_high,
        proxy_start=float(np.mean([row.mean() for row in proxies])),
        gold_start=float(np.mean([row.mean() for row in golds])),
        proxy_sd=_within(proxies),
        gold_sd=_within(golds),
        prompts=len(counts),
        samples=sum(counts),
        level=level,
        bootstrap=bootstrap,
        seed=seed,
        fit=_fit(d, gold_gain, refits, level) if len(sizes) > 2 else None,
    )


def best_of_n_sizes(
    counts: Sequence[int], n: Sequence[int] | None = None, names: Sequence[str] | None = None
) -> list[int]:
    """Return the sizes n of a curve in rising order, 1 among them.

    Args:
        counts: Samples of each prompt.
        n: Sizes asked for; None takes the powers of two up to the number of samples.
        names: Name of each prompt in error messages.

    Raises:
        ConfigError: There are no prompts, a size is below 1 or above a prompt's samples, or no sizes are
            given while prompts have different numbers of samples.
    """
    if not counts:
        raise ConfigError("a curve needs prompts, got none")

    def name(index: int) -> str:
        return f"prompt {index} of {len(counts)}" if names is None else names[index]

    least, most = int(np.argmin(counts)), int(np.argmax(counts))
    fewest = counts[least]
    if n is None:
        powers = [2**power for power in range(fewest.bit_length())]
        if fewest != counts[most]:
            raise ConfigError(
                f"{name(least)} has {fewest} responses and {name(most)} has {counts[most]}; say which sizes "
                f"to measure, as in --n [{','.join(map(str, powers))}], and all responses are used"
            )
        sizes = powers
    else:
        sizes = sorted({1, *n})
    if sizes[0] < 1:
        raise ConfigError(f"n is 1 or more, got {sizes[0]}")
    if sizes[-1] > fewest:
        raise ConfigError(f"n = {sizes[-1]} needs as many responses, but {name(least)} has {fewest}")
    if len(sizes) < 2:
        raise ConfigError(f"a curve needs a size n above 1, but {name(least)} has {fewest} response(s)")
    return sizes


def _gains(proxies: list[Array], golds: list[Array], sizes: list[int]) -> tuple[Array, Array]:
    """Return the gains of the best of n by proxy over the mean sample, in proxy and in gold, each [P, m]."""
    counts = np.array([len(row) for row in proxies])
    proxy_gain, gold_gain = np.empty((2, len(counts), len(sizes)))
    for count in np.unique(counts):
        alike = np.flatnonzero(counts == count)
        by_proxy = np.stack([proxies[index] for index in alike])
        for rows, gain in ((proxies, proxy_gain), (golds, gold_gain)):
            measured = np.stack([rows[index] for index in alike])
            expected = expected_best_of_n_batch(by_proxy, measured, sizes)
            gained = expected - expected[:, :1]
            # Weights that sum to 1 but for rounding would let a constant gain something.
            rounding = 1e-13 * np.abs(measured).max()
            gain[alike] = np.where(np.abs(gained) > rounding, gained, 0.0)
    return proxy_gain, gold_gain


def _fit(d: Array, gold: Array, resamples: Array | None, level: float) -> CurveFit:
    law = fit_best_of_n(d, gold, level=level)
    if resamples is None:
        note = "one prompt alone cannot tell how certain a peak is"
        law = replace(law, alpha_interval=None, beta_interval=None, peak_d=None, peak_gold=None, note=note)
        return CurveFit(law, peak_share=None)
    columns = design(d, "best-of-n")
    alpha, beta = np.linalg.lstsq(columns, resamples.T, rcond=None)[0]
    law = replace(law, alpha_interval=_ends(alpha, level), beta_interval=_ends(beta, level))
    peaks = peak_distance(alpha, beta, "best-of-n")
    inside = (peaks < d[-1]) & (np.argmax(resamples, axis=1) < len(d) - 1)
    share = float(inside.mean())
    peak = float(peak_distance(law.alpha, law.beta, "best-of-n"))
    if share < level or not peak < d[-1]:
        note = f"only {share:.0%} of the resamples have a peak inside the measured range, not {level:.0%}"
        if law.note:
            note = f"{law.note}; {note}" if share else law.note
        return CurveFit(replace(law, peak_d=None, peak_gold=None, note=note), share)
    # A curve that only falls is highest at the start; one without a turn, as far as was measured.
    reached = np.clip(np.where(np.isnan(peaks), np.where(beta > 0, 0.0, d[-1]), peaks), 0, d[-1])
    heights = reached * (alpha - beta * reached)
    near, far = np.quantile(reached, _tails(level))
    return CurveFit(
        replace(law, peak_d=peak, peak_gold=float(law.predict(peak)), note=""),
        share,
        peak_d_interval=(float(near), float(far)),
        peak_n=n_at_distance(peak),
        peak_n_interval=(n_at_distance(float(near)), n_at_distance(float(far))),
        peak_gold_interval=_ends(heights, level),
    )


def _tails(level: float) -> list[float]:
    return [(1 - level) / 2, (1 + level) / 2]


def _ends(resamples: Array, level: float) -> Interval | None:
    low, high = percentile_interval(resamples, level)
    return None if low is None or high is None else (low, high)


def _within(rows: list[Array]) -> float:
    squares = sum(float(np.sum((row - row.mean()) ** 2)) for row in rows)
    return float(np.sqrt(squares / sum(len(row) - 1 for row in rows)))


def _rows(name: str, values: ArrayLike | Sequence[ArrayLike]) -> list[NDArray[np.float64]]:
    rows = [np.asarray(row, dtype=np.float64) for row in values]  # type: ignore[union-attr]  # or TypeError
    for index, row in enumerate(rows):
        if row.ndim != 1 or len(row) == 0:
            raise ConfigError(
                f"{name} has a row of samples for each prompt, got shape {row.shape} at {index}"
            )
        if not np.isfinite(row).all():
            raise ConfigError(f"{name} is finite, got {row[~np.isfinite(row)][0]} at prompt {index}")
    return rows
