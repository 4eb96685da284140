"""Figure of accuracy against N: every selection method with its confidence band and a direct label."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from evalkit.report.style import COLOURS, PLAIN_TEXT
from evalkit.report.text import shortened
from rewards.evaluation.accuracy import AccuracyCurve, Difference, Floats, Kind, Method

LineStyle: TypeAlias = str | tuple[int, tuple[float, ...]]

BANDS = ("best-of-n", "majority")
"""Kinds of methods whose intervals are drawn."""
MOST_TICKS = 14

_GREY, _BLACK = "#7F7F7F", "#000000"
_LINES: dict[Kind, LineStyle] = {
    "best-of-n": "-",
    "weighted-majority": (0, (5, 2)),
    "majority": "-",
    "pass": (0, (1, 1.5)),
}


@rc_context(PLAIN_TEXT)
def draw_accuracy(curve: AccuracyCurve, path: Path) -> None:
    """Draw accuracy against N on a logarithmic axis, and below it the paired gains over majority voting.

    A scorer's vote has its colour, dashed. Bands are drawn for best-of-N and majority alone, as more of them
    would hide each other; the table has all.
    """
    gains = [one for one in curve.differences if one.second == "majority" and one.first.startswith("best")]
    figure = Figure(figsize=(9.4, 7.6 if gains else 5.4), dpi=150, layout="constrained")
    panels = figure.subplots(2 if gains else 1, 1, squeeze=False, height_ratios=(3, 2) if gains else (1,))
    upper = panels[0, 0]
    colours = _colours(curve.methods)
    for method in curve.methods:
        if method.kind in BANDS:
            _band(upper, curve, method.low, method.high, colours[method.name])
    for method in curve.methods:
        _line(upper, curve, method.accuracy, colours[method.name], _LINES[method.kind])
    upper.set_ylabel("accuracy of the chosen answer", fontsize=12)
    upper.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    ends = [
        (float(one.accuracy[-1]), f"{_label(one)}  {one.accuracy[-1]:.1%}", one.name) for one in curve.methods
    ]
    _finish(upper, curve, [(at, text, colours[name]) for at, text, name in ends])
    upper.set_title(
        f"{curve.prompts:,} prompts, {curve.samples:,} samples; "
        f"bands: {100 * curve.resampling.level:.4g}% over prompts",
        fontsize=11,
        loc="left",
    )
    if gains:
        _draw_gains(panels[1, 0], curve, gains, colours)
    panels[-1, 0].set_xlabel("N, samples chosen from", fontsize=12)
    figure.savefig(path)


def _draw_gains(
    axes: Axes, curve: AccuracyCurve, gains: Sequence[Difference], colours: dict[str, str]
) -> None:
    """Draw by how many points best-of-N is above majority on the same prompts, with paired bands."""
    axes.axhline(0, color=_BLACK, linewidth=1.4)
    ends = [(0.0, "majority", _BLACK)]
    for one in gains:
        # A difference that is the same in all resamples, as at N = 1, has a band without width.
        low, high = (np.where(np.isnan(end), one.difference, end) for end in (one.low, one.high))
        _band(axes, curve, 100 * low, 100 * high, colours[one.first])
        _line(axes, curve, 100 * one.difference, colours[one.first], "-")
        last = 100 * float(one.difference[-1])
        label = _label(next(method for method in curve.methods if method.name == one.first))
        ends.append((last, f"{label}  {last:+.1f}", colours[one.first]))
    axes.set_ylabel("points above majority", fontsize=12)
    _finish(axes, curve, ends, least=0.08)


def _band(axes: Axes, curve: AccuracyCurve, low: Floats, high: Floats, colour: str) -> None:
    # Where nothing varies over resampled prompts there is no band; a missing end leaves a gap.
    axes.fill_between(curve.n, low, high, color=colour, alpha=0.1, linewidth=0)
    for end in (low, high):
        axes.plot(curve.n, end, color=colour, linewidth=0.8, alpha=0.45)


def _line(axes: Axes, curve: AccuracyCurve, values: Floats, colour: str, style: LineStyle) -> None:
    axes.plot(curve.n, values, linestyle=style, color=colour, linewidth=2.1, marker="o", markersize=4)


def _finish(
    axes: Axes, curve: AccuracyCurve, ends: Sequence[tuple[float, str, str]], least: float = 0.05
) -> None:
    axes.set_xscale("log", base=2)
    shown = curve.n if len(curve.n) <= MOST_TICKS else curve.n[:: -(-len(curve.n) // MOST_TICKS)]
    axes.set_xticks(shown, [f"{size:,}" for size in shown])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(curve.n[0] / 1.04, curve.n[-1] * 1.04)
    axes.spines[["right", "top"]].set_visible(False)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=11)
    _name_lines(axes, curve.n[-1], sorted(ends), least)


def _colours(methods: Sequence[Method]) -> dict[str, str]:
    """Return a colour for each scorer, shared with its vote; majority is black and pass@N grey."""
    scorers = list(dict.fromkeys(method.score for method in methods if method.score))
    own = {score: COLOURS[place % (len(COLOURS) - 2)] for place, score in enumerate(scorers)}
    plain = {"majority": _BLACK, "pass": _GREY}
    return {method.name: own.get(method.score) or plain[method.kind] for method in methods}


def _name_lines(axes: Axes, last: int, ends: Sequence[tuple[float, str, str]], least: float) -> None:
    """Write each line's name at its end, moved apart where ends are closer than that share of the height."""
    low, high = axes.get_ylim()
    heights = [(value - low) / (high - low) for value, *_ in ends]
    for (value, text, colour), height in zip(ends, _apart(heights, least), strict=True):
        axes.annotate(
            text,
            (last, value),
            xytext=(1.04, height),
            textcoords="axes fraction",
            va="center",
            fontsize=10,
            color=colour,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "alpha": 0.6, "shrinkA": 1},
        )


def _label(method: Method) -> str:
    score = shortened(method.score, 24)
    return {
        "best-of-n": f"best of N by {score}",
        "weighted-majority": f"vote weighted by {score}",
        "majority": "majority",
        "pass": "pass@N (any right)",
    }[method.kind]


def _apart(heights: Sequence[float], least: float) -> list[float]:
    """Move rising heights apart to a least distance, each group of close ones about its own middle."""
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _top(groups[-2], least) + least > _bottom(groups[-1], least):
            joined = groups.pop()
            groups[-1] = groups[-1] + joined
    return [_bottom(group, least) + place * least for group in groups for place in range(len(group))]


def _bottom(group: Sequence[float], least: float) -> float:
    return sum(group) / len(group) - least * (len(group) - 1) / 2


def _top(group: Sequence[float], least: float) -> float:
    return _bottom(group, least) + least * (len(group) - 1)
