"""Figures of aspects: scores against labels with their accuracy, and matrices of correlations."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from evalkit.report.style import COLOURS, PLAIN_TEXT
from evalkit.report.text import decimal, shortened
from rewards.evaluation.aspects import AspectPair, AspectReport
from rewards.intervals import Estimate, Floats

MOST_NUMBERS = 12
"""Most rows or columns of a matrix into which numbers are written."""
MOST_SCATTERS = 12
"""Most aspects whose scores are drawn against their labels; the first are."""
ACROSS = 3
"""Scatters in a row."""

KINDS = (
    ("pearson", "Pearson", COLOURS[0], "o"),
    ("spearman", "Spearman", COLOURS[1], "s"),
    ("spearman_within", "Spearman within prompts", COLOURS[2], "D"),
)


@rc_context(PLAIN_TEXT)
def draw_aspects(
    aspects: Sequence[AspectReport],
    labels: Mapping[str, Floats],
    scores: Mapping[str, Floats],
    title: str,
    path: Path,
) -> None:
    """Draw each aspect's accuracy and correlations with intervals, and below its scores against its labels.

    Args:
        aspects: The reports.
        labels: [n] by aspect, NaN where a response has no label.
        scores: [n] by aspect.
        title: Title of the figure.
        path: PNG file, written atomically.
    """
    shown = aspects[:MOST_SCATTERS]
    rows = -(-len(shown) // ACROSS)
    above, below = 1.3 + 0.5 * len(aspects), 3.3
    figure = Figure(figsize=(11, above + below * rows + 0.4), dpi=150, layout="constrained")
    parts = figure.subfigures(2, 1, height_ratios=(above, below * rows), squeeze=False)
    upper, lower = parts[0, 0], parts[1, 0]
    left, right = upper.subplots(1, 2, sharey=True)
    _draw_accuracy(left, aspects)
    _draw_correlation_intervals(right, aspects)
    panels = lower.subplots(rows, ACROSS, squeeze=False).ravel()
    for axes, one in zip(panels, shown, strict=False):
        _draw_scatter(axes, one, labels[one.aspect], scores[one.aspect])
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    figure.suptitle(shortened(title, 100), fontsize=12)
    _save(figure, path)


@rc_context(PLAIN_TEXT)
def draw_correlations(pairs: Sequence[AspectPair], title: str, path: Path) -> None:
    """Draw Spearman's correlations of labels, of scores, and of scores with labels, as matrices.

    The upper row is over all responses, the lower within prompts. Where a column does not vary, there is no
    number.
    """
    labels = list(dict.fromkeys(pair.second for pair in pairs if pair.kind == "score-label"))
    scores = list(dict.fromkeys(pair.first for pair in pairs if pair.kind == "score-label"))
    most = max(len(labels), len(scores))
    size = max(2.4, 0.62 * most)
    figure = Figure(figsize=(3 * size + 5.2, 2 * size + 2.6), dpi=150, layout="constrained")
    panels = figure.subplots(2, 3)
    image = None
    for row, (name, where) in zip(
        panels, (("spearman", "all responses"), ("spearman_within", "within prompts")), strict=True
    ):
        kinds = (("label", labels, labels), ("score", scores, scores), ("score-label", scores, labels))
        for axes, (kind, down, across) in zip(row, kinds, strict=True):
            of = {(pair.first, pair.second): getattr(pair.found, name) for pair in pairs if pair.kind == kind}
            image = _draw_matrix(axes, of, down, across, kind == "score-label")
            words = {"label": "labels", "score": "scores", "score-label": "scores with labels"}
            axes.set_title(f"{words[kind]}, {where}", fontsize=10.5, loc="left")
            if kind == "score-label":
                axes.set_xlabel("label", fontsize=10)
                axes.set_ylabel("score", fontsize=10)
    if image is not None:
        bar = figure.colorbar(image, ax=panels, shrink=0.6, aspect=30, pad=0.02)
        bar.set_label("Spearman's correlation", fontsize=11)
        bar.outline.set_visible(False)
    figure.suptitle(shortened(title, 100), fontsize=12)
    _save(figure, path)


def _draw_accuracy(axes: Axes, aspects: Sequence[AspectReport]) -> None:
    axes.axvline(0.5, color="#404040", linewidth=1, linestyle="--")
    for height, one in enumerate(aspects):
        _draw_estimate(axes, one.accuracy, height, COLOURS[0], "o", "no pair")
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("accuracy on pairs within prompts (dashed: chance)", fontsize=11)
    axes.set_yticks(range(len(aspects)), [shortened(one.aspect, 24) for one in aspects], fontsize=11)
    axes.set_ylim(len(aspects) - 0.5, -0.5)
    _style(axes)


def _draw_correlation_intervals(axes: Axes, aspects: Sequence[AspectReport]) -> None:
    axes.axvline(0, color="#404040", linewidth=1, linestyle="--")
    lowest = 0.0
    for place, (name, label, colour, marker) in enumerate(KINDS):
        axes.plot([], [], marker, color=colour, markersize=6, label=label)
        for height, one in enumerate(aspects):
            estimate: Estimate | None = getattr(one, name)
            shift = 0.22 * (place - 1)
            _draw_estimate(axes, estimate, height + shift, colour, marker, "none" if place == 1 else "")
            if estimate is not None:
                lowest = min(lowest, estimate.mean if estimate.low is None else estimate.low)
    axes.set_xlim(lowest - 0.05, 1.05)
    axes.set_xlabel("correlation of scores with labels", fontsize=11)
    axes.legend(frameon=False, fontsize=9.5, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    _style(axes)


def _draw_estimate(
    axes: Axes, estimate: Estimate | None, height: float, colour: str, marker: str, otherwise: str
) -> None:
    if estimate is None:
        axes.text(0.02, height, otherwise, va="center", color="#5A5A5A", fontsize=10)
        return
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [height, height], "-", color=colour, linewidth=2.2)
    axes.plot(estimate.mean, height, marker, color=colour, markersize=6.5, markeredgecolor="white")


def _draw_scatter(axes: Axes, one: AspectReport, labels: Floats, scores: Floats) -> None:
    """Draw scores against labels; equal points are one, of an area by their number."""
    there = ~np.isnan(labels)
    points: Floats = np.column_stack([labels[there], scores[there]]).round(6)
    places, counts = np.unique(points, axis=0, return_counts=True)
    areas = np.maximum(6, counts * min(14, 260 / counts.max()))
    opacity = 0.75 if len(places) < 200 else 0.35
    axes.scatter(places[:, 0], places[:, 1], s=areas, color=COLOURS[0], alpha=opacity, linewidths=0)
    low, high = float(points.min()), float(points.max())
    axes.plot([low, high], [low, high], color="#404040", linewidth=1, linestyle="--", zorder=0)
    axes.set_xlim(*_with_margin(points[:, 0]))
    axes.set_ylim(*_with_margin(points[:, 1]))
    r2 = f", R2 {decimal(one.r2.mean)}" if one.r2 is not None else ""
    axes.set_title(f"{shortened(one.aspect, 20)} (n {one.n:,}{r2})", fontsize=11, loc="left")
    axes.set_xlabel("label (dashed: score and label equal)", fontsize=10)
    axes.set_ylabel("score", fontsize=10)
    axes.spines[["right", "top"]].set_visible(False)
    axes.grid(color="#EDEDED", linewidth=0.8)
    axes.set_axisbelow(True)


def _with_margin(column: Floats) -> tuple[float, float]:
    margin = 0.06 * float(np.ptp(column)) or 0.5
    return float(column.min()) - margin, float(column.max()) + margin


def _draw_matrix(
    axes: Axes, of: Mapping[tuple[str, str], float | None], down: list[str], across: list[str], whole: bool
) -> AxesImage:
    values = np.full((len(down), len(across)), np.nan)
    for row, first in enumerate(down):
        for column, second in enumerate(across):
            found = of.get((first, second)) if whole else of.get((first, second), of.get((second, first)))
            values[row, column] = np.nan if found is None else found
    image = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    axes.set_xticks(range(len(across)), [shortened(name, 16) for name in across], rotation=35, ha="right")
    axes.set_yticks(range(len(down)), [shortened(name, 16) for name in down])
    axes.tick_params(length=0, labelsize=9.5)
    axes.spines[:].set_visible(False)
    axes.set_facecolor("#F2F2F2")
    if max(values.shape) <= MOST_NUMBERS:
        for row, column in np.ndindex(*values.shape):
            if whole or down[row] != across[column]:
                colour = "white" if abs(values[row, column]) > 0.6 else "black"
                text = decimal(float(values[row, column]))
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=10)
    return image


def _style(axes: Axes) -> None:
    axes.spines[["right", "top", "left"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=10)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def _save(figure: Figure, path: Path) -> None:
    """Write the figure so that it appears under its name when it is whole."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        figure.savefig(partial, format="png")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
