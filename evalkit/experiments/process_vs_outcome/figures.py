"""The figures of process_vs_outcome: accuracy against N for each amount of data, and automatic labels."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from evalkit.experiments.process_vs_outcome.samples import MAJORITY, PASS, Curves, Way
from evalkit.report.style import COLOURS

BLUE, RED, GREEN, PINK, SKY, _, GREY, BLACK = COLOURS
DASHED = (0, (5, 2))
DOTTED = (0, (1, 1.5))
LINES: Mapping[Way, tuple[str, str, str | tuple[int, tuple[float, ...]], bool]] = {
    Way("best-of-n", "prm"): ("process model", BLUE, "-", True),
    Way("best-of-n", "orm"): ("outcome model", RED, "-", True),
    MAJORITY: ("majority", BLACK, "-", True),
    Way("weighted-majority", "prm"): ("vote by process", BLUE, DASHED, False),
    Way("weighted-majority", "orm"): ("vote by outcome", RED, DASHED, False),
    PASS: ("any right (pass@N)", GREY, DOTTED, False),
}
"""Name, colour, dashes, and whether the band and the seeds are drawn."""
LABELS: Mapping[str, tuple[str, str, str]] = {
    "prm": ("gold", "gold", BLUE),
    "hard-first": ("hard, to the first error", "hard, to\nfirst error", PINK),
    "hard": ("hard, all steps", "hard,\nall steps", GREEN),
    "soft": ("soft, all steps", "soft,\nall steps", SKY),
}
"""Name, short name and colour of the labels that process models learn from."""
LEAST = 0.047
"""Least distance between the names at the ends of lines, as a share of the height."""


def draw_curves(measured: Sequence[Curves], path: Path) -> None:
    """Draw a panel for each amount of data: means over seeds, seeds thin, bands over problems."""
    figure = Figure(figsize=(5.3 * len(measured), 5.2), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(measured), sharey=True, squeeze=False)[0]
    for axes, curves in zip(panels, measured, strict=True):
        ends = []
        for way, (name, colour, dashes, detailed) in LINES.items():
            means = curves.means[way]
            if detailed:
                _band(axes, curves, way, colour)
                axes.plot(curves.n, means.T, color=colour, linewidth=0.7, alpha=0.45)
            mean = means.mean(axis=0)
            axes.plot(curves.n, mean, color=colour, linestyle=dashes, linewidth=2.2)
            ends.append((float(mean[-1]), f"{name}  {mean[-1]:.0%}", colour))
        axes.set_title(f"{curves.size:,} labelled solutions", fontsize=12)
        axes.set_ylim(0, 1.02)
        _finish(axes, curves, ends)
    panels[0].set_ylabel("accuracy of the chosen answer", fontsize=12)
    figure.supxlabel("N, samples chosen from", fontsize=12)
    figure.savefig(path)


def draw_labels(curves: Curves, table: Path, path: Path) -> None:
    """Draw how process models of each kind of labels find first errors, and choose among N."""
    figure = Figure(figsize=(12.8, 4.8), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(5, 7))
    with table.open(encoding="utf-8", newline="") as file:
        _draw_first_errors(left, list(csv.DictReader(file)))
    ends = []
    for scorer, (name, _, colour) in LABELS.items():
        way = Way("best-of-n", scorer)
        mean = curves.means[way].mean(axis=0)
        _band(right, curves, way, colour)
        right.plot(curves.n, curves.means[way].T, color=colour, linewidth=0.7, alpha=0.45)
        right.plot(curves.n, mean, color=colour, linewidth=2.2)
        ends.append((float(mean[-1]), f"{name}  {mean[-1]:.0%}", colour))
    majority = curves.means[MAJORITY].mean(axis=0)
    right.plot(curves.n, majority, color=BLACK, linewidth=1.6)
    ends.append((float(majority[-1]), f"majority  {majority[-1]:.0%}", BLACK))
    right.set_title(f"Best of N by process models of {curves.size:,} solutions, by their labels", fontsize=11)
    right.set_xlabel("N, samples chosen from", fontsize=11)
    right.set_ylim(0, 1.02)
    _finish(right, curves, ends)
    figure.savefig(path)


def _draw_first_errors(axes: Axes, rows: Sequence[Mapping[str, str]]) -> None:
    """Draw F1 of every seed, and a bar at their mean."""
    order = list(LABELS)
    columns = sorted({(order.index(row["scorer"]), int(row["solutions"])) for row in rows})
    names = []
    for place, (kind, size) in enumerate(columns):
        _, short, colour = LABELS[order[kind]]
        names.append(f"{short}\n{size:,}")
        for shift, which, face in ((-0.15, "plain", "white"), (0.15, "calibrated", colour)):
            values = [
                float(row["f1"])
                for row in rows
                if (row["scorer"], int(row["solutions"]), row["which"]) == (order[kind], size, which)
                and row["f1"]
            ]
            axes.plot([place + shift] * len(values), values, "o", color=colour, markerfacecolor=face)
            if values:
                axes.hlines(np.mean(values), place + shift - 0.14, place + shift + 0.14, color=colour)
    axes.set_xticks(range(len(names)), names, fontsize=9)
    axes.set_ylim(-0.02, 1.02)
    axes.set_title("First-error F1 (open: threshold 0.5, filled: calibrated)", fontsize=11)
    _plain(axes)


def _band(axes: Axes, curves: Curves, way: Way, colour: str) -> None:
    mean = curves.means[way].mean(axis=0).tolist()
    ends = curves.interval(way)
    # What is the same in all resamples, as 100 % is, has a band without width.
    low = [value if end is None else end for (end, _), value in zip(ends, mean, strict=True)]
    high = [value if end is None else end for (_, end), value in zip(ends, mean, strict=True)]
    axes.fill_between(curves.n, low, high, color=colour, alpha=0.15, linewidth=0)


def _finish(axes: Axes, curves: Curves, ends: Sequence[tuple[float, str, str]]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(curves.n, [f"{n}" for n in curves.n])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(curves.n[0] / 1.05, curves.n[-1] * 1.05)
    _plain(axes)
    low, high = axes.get_ylim()
    least = LEAST * (high - low)
    heights: list[float] = []
    for value, *_ in sorted(ends, reverse=True):
        heights.append(min(value, heights[-1] - least) if heights else value)
    for height, (value, text, colour) in zip(heights, sorted(ends, reverse=True), strict=True):
        axes.annotate(
            text,
            (curves.n[-1], value),
            xytext=(curves.n[-1] * 1.25, height),
            va="center",
            fontsize=9.5,
            color=colour,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.7,
                "alpha": 0.6,
                "shrinkA": 1,
                "relpos": (0, 0.5),
            },
        )


def _plain(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.spines[["right", "top"]].set_visible(False)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
