"""Figures of overoptimization: gold and proxy against distance, and coefficients against size."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from evalkit.overoptimization.curve import Curve
from evalkit.overoptimization.fits import Array, ScalingFit, SizeTrend
from evalkit.overoptimization.kl import best_of_n_distance
from evalkit.report.style import COLOURS

DISTANCE = r"distance from the starting policy, $d=\sqrt{\mathrm{KL}}$  (nats$^{1/2}$)"


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Measured points of one group and the law fitted to them."""

    label: str
    d: Array
    gold: Array
    law: ScalingFit


@dataclass(frozen=True, slots=True, eq=False)
class Trends:
    """Coefficients of groups whose label is a size, with their trends over its logarithm."""

    sizes: Sequence[float]
    laws: Sequence[ScalingFit]
    alpha: SizeTrend
    beta: SizeTrend


def overoptimization_figure(curves: Mapping[str, Curve], path: str | Path, title: str = "") -> None:
    """Draw gold and proxy against sqrt(KL) as Gao et al. 2022 (2210.10760) do in figure 1.

    Gold is solid with its band, the fitted law dotted and its peak marked, where the data determine one.
    The proxy is dashed and rescaled to gold's standard deviation within a prompt, as a proxy has no unit
    of its own. The upper axis gives n.

    Args:
        curves: Each curve by its label.
        path: A file whose suffix Matplotlib knows, such as .png, .svg or .pdf.
        title: Empty writes none.
    """
    figure, axes = _canvas(title, wide=len(curves) > 1)
    for colour, curve in zip(_colours(len(curves)), curves.values(), strict=True):
        _draw_curve(axes, curve, colour)
        if len(curves) == 1:
            _name_peak(axes, curve, colour)
    largest = max(curve.n[-1] for curve in curves.values())
    _label_axes(axes, "gain over the starting policy, in gold's units")
    _add_n_axis(axes, largest)
    _add_legend(axes, curves)
    _save(figure, path)


def scaling_figure(groups: Sequence[Points], path: str | Path, trends: Trends | None = None) -> None:
    """Draw measured points with their fitted laws, and beside them the coefficients against size.

    Args:
        groups: The points of each group.
        path: A file whose suffix Matplotlib knows.
        trends: Where the groups are sizes.
    """
    figure = Figure(figsize=(8.4 if trends is None else 12.0, 5.0), dpi=150, layout="constrained")
    axes = figure.subplots(1, 1 if trends is None else 2, squeeze=False)[0]
    for colour, group in zip(_colours(len(groups)), groups, strict=True):
        axes[0].plot(group.d, group.gold, "o", color=colour, markersize=5, label=group.label or "measured")
        _draw_law(axes[0], group.law, float(group.d.max()), colour, "-")
    _label_axes(axes[0], "gold, as gain over the starting policy")
    axes[0].legend(frameon=False, fontsize=10)
    _style(axes[0])
    if trends is not None:
        _draw_trends(axes[1], trends)
    _save(figure, path)


def _canvas(title: str, wide: bool) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9.2 if wide else 8.4, 5.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    _style(axes)
    if title:
        figure.suptitle(title, fontsize=13)
    return figure, axes


def _style(axes: Axes) -> None:
    axes.spines[["right", "top"]].set_visible(False)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=11)


def _label_axes(axes: Axes, gold: str) -> None:
    axes.axhline(0, color="#404040", linewidth=0.8)
    axes.set_xlabel(DISTANCE, fontsize=12)
    axes.set_ylabel(gold, fontsize=12)
    axes.set_xlim(left=0)


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def _draw_curve(axes: Axes, curve: Curve, colour: str) -> None:
    # A constant proxy or gold has no spread to rescale by; both then stay in their own units.
    scale = curve.gold_sd / curve.proxy_sd if curve.gold_sd > 0 and curve.proxy_sd > 0 else 1.0
    axes.plot(curve.d, scale * curve.proxy, linestyle=(0, (5, 2.5)), color=colour, linewidth=1.8)
    axes.plot(curve.d, curve.gold, "-o", color=colour, linewidth=2.2, markersize=4.5)
    if curve.gold_low is not None and curve.gold_high is not None:
        axes.fill_between(curve.d, curve.gold_low, curve.gold_high, color=colour, alpha=0.18, linewidth=0)
    if curve.fit is not None:
        _draw_law(axes, curve.fit.law, float(curve.d[-1]), colour, ":")


def _name_peak(axes: Axes, curve: Curve, colour: str) -> None:
    if curve.fit is None or curve.fit.law.peak_d is None or curve.fit.law.peak_gold is None:
        return
    axes.annotate(
        _peak(curve),
        (curve.fit.law.peak_d, curve.fit.law.peak_gold),
        xytext=(0, 15),
        textcoords="offset points",
        ha="center",
        fontsize=11,
        color=colour,
        bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )


def _peak(curve: Curve) -> str:
    if curve.fit is None or curve.fit.peak_n is None or curve.fit.peak_n_interval is None:
        return "no peak determined"
    low, high = curve.fit.peak_n_interval
    return f"$n^*$ = {curve.fit.peak_n:.3g} ({low:.3g} to {high:.3g})"


def _draw_law(axes: Axes, law: ScalingFit, reach: float, colour: str, style: str) -> None:
    d = np.linspace(0, reach, 200)
    axes.plot(d, law.predict(d), style, color=colour, linewidth=1.6)
    if law.peak_d is not None and law.peak_gold is not None:
        axes.plot(
            law.peak_d,
            law.peak_gold,
            "*",
            color=colour,
            markersize=16,
            markeredgecolor="white",
            markeredgewidth=1.0,
            zorder=5,
        )


def _add_n_axis(axes: Axes, largest: int) -> None:
    step = 1 if largest <= 64 else 2
    shown = [2**power for power in range(0, largest.bit_length(), step)]
    above = axes.twiny()
    above.set_xlim(axes.get_xlim())
    above.set_xticks([best_of_n_distance(n) for n in shown], [f"{n:,}" for n in shown])
    above.xaxis.set_minor_locator(NullLocator())
    above.set_xlabel("n of best-of-n (KL by its upper bound)", fontsize=12)
    above.tick_params(labelsize=11)
    above.spines[["right"]].set_visible(False)


def _add_legend(axes: Axes, curves: Mapping[str, Curve]) -> None:
    grey = "#404040"
    level = next(iter(curves.values())).level
    kinds = [
        Line2D([], [], color=grey, linestyle=(0, (5, 2.5)), label="proxy, scaled to gold's spread"),
        Line2D(
            [], [], color=grey, marker="o", markersize=4.5, linewidth=2.2, label=f"gold, {level:.0%} band"
        ),
    ]
    fits = [curve.fit for curve in curves.values() if curve.fit is not None]
    if fits:
        kinds.append(Line2D([], [], color=grey, linestyle=":", label=r"fit $d\,(\alpha-\beta d)$"))
    if any(fit.law.peak_d is not None for fit in fits):
        kinds.append(Line2D([], [], color=grey, marker="*", markersize=12, linestyle="", label="its peak"))
    named = [
        Line2D([], [], color=colour, linewidth=4, label=f"{label}: {_peak(curve)}")
        for colour, (label, curve) in zip(_colours(len(curves)), curves.items(), strict=True)
    ]
    axes.legend(handles=[*(named if len(named) > 1 else []), *kinds], frameon=False, fontsize=10, loc="best")


def _draw_trends(axes: Axes, trends: Trends) -> None:
    sizes = np.asarray(trends.sizes, dtype=np.float64)
    order = np.argsort(sizes)
    reach = np.geomspace(sizes.min(), sizes.max(), 100)
    for name, colour, marker, trend in (
        ("alpha", COLOURS[0], "o", trends.alpha),
        ("beta", COLOURS[1], "s", trends.beta),
    ):
        values = np.array([getattr(law, name) for law in trends.laws])[order]
        axes.plot(sizes[order], values, marker, color=colour, markersize=7, label=rf"$\{name}$")
        axes.plot(reach, trend.intercept + trend.slope * np.log(reach), "-", color=colour, linewidth=1.6)
        for size, law in zip(sizes, trends.laws, strict=True):
            interval = getattr(law, f"{name}_interval")
            if interval is not None:
                axes.plot([size, size], interval, color=colour, linewidth=1.6, alpha=0.6)
    axes.set_xscale("log")
    axes.set_xlabel("size", fontsize=12)
    axes.set_ylabel("coefficient", fontsize=12)
    axes.legend(frameon=False, fontsize=12, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    _style(axes)


def _save(figure: Figure, path: str | Path) -> None:
    """Write the figure so that it appears under its name when it is whole."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        figure.savefig(partial, format=path.suffix.lstrip("."))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
