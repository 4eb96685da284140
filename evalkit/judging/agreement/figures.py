"""The figure of agreement: kappa of each two judges, or their labels, and intervals of kappa."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.judging.agreement.page import label_names
from evalkit.judging.agreement.raters import AxisAgreement
from evalkit.report.style import COLOURS, PLAIN_TEXT
from evalkit.report.text import decimal, shortened
from judges.statistics.raters import RaterAgreement

MOST_PAIRS = 10
"""Most pairs of judges whose intervals are drawn; of more judges, each one's with the rest."""
MOST_NUMBERS = 14
"""Most judges for which kappas are written into the matrix."""


@rc_context(PLAIN_TEXT)
def draw_agreement(found: Sequence[AxisAgreement], path: Path) -> None:
    """Draw a row of two panels for each axis: left the matrix, right the intervals."""
    heights = [max(3.2, 1.4 + 0.42 * max(len(one.judged), len(_rows(one)))) for one in found]
    figure = Figure(figsize=(11.5, sum(heights)), dpi=150, layout="constrained")
    panels = figure.subplots(len(found), 2, squeeze=False, height_ratios=heights)
    for (left, right), one in zip(panels, found, strict=True):
        if len(one.judged) == 2:
            _draw_labels(left, one)
        else:
            _draw_kappas(left, one)
        _draw_intervals(right, one)
    figure.savefig(path)


def _titled(one: AxisAgreement, title: str) -> str:
    return f"{one.axis}: {title}" if one.axis else title


def _rows(one: AxisAgreement) -> list[tuple[str, RaterAgreement]]:
    number = {name: place for place, name in enumerate(one.judged, 1)}
    if len(one.judged) == 2:
        return [("", one.pairs[0].agreement)]
    rows = []
    if len(one.pairs) <= MOST_PAIRS:
        pairs = [pair.agreement for pair in one.pairs]
        rows = [(f"{number[each.first]} and {number[each.second]}", each) for each in pairs]
    return rows + [(f"{number[each.first]} and the rest", each) for each in one.rest]


def _draw_labels(axes: Axes, one: AxisAgreement) -> None:
    """Draw how often two judges gave which labels."""
    pair = one.pairs[0].agreement
    shown = one.pairs[0].counts[::-1, ::-1]
    names = label_names(one.systems)[::-1]
    _draw_matrix(axes, shown, names, names, float(shown.max()))
    for row, counts in enumerate(shown.tolist()):
        for column, count in enumerate(counts):
            dark = count > 0.6 * shown.max()
            axes.text(column, row, f"{count:,}", ha="center", va="center", color="white" if dark else "black")
    axes.set_ylabel(shortened(pair.first), fontsize=12)
    axes.set_xlabel(shortened(pair.second), fontsize=12)
    axes.set_title(_titled(one, "comparisons by both labels"), fontsize=12, loc="left")


def _draw_kappas(axes: Axes, one: AxisAgreement) -> None:
    names = list(one.judged)
    kappas = np.full((len(names), len(names)), np.nan)
    for pair in one.pairs:
        row, column = names.index(pair.agreement.first), names.index(pair.agreement.second)
        value = pair.agreement.kappa.value
        kappas[row, column] = kappas[column, row] = np.nan if value is None else value
    numbers = [str(place) for place in range(1, len(names) + 1)]
    rows = [f"{shortened(name)}  {number}" for name, number in zip(names, numbers, strict=True)]
    _draw_matrix(axes, kappas, rows, numbers, 1.0)
    if len(names) <= MOST_NUMBERS:
        for row, column in np.argwhere(~np.eye(len(names), dtype=bool)).tolist():
            value = kappas[row, column]
            colour = "white" if value > 0.6 else "black"
            axes.text(column, row, decimal(value), ha="center", va="center", color=colour)
    axes.set_title(_titled(one, "Cohen's kappa of each two"), fontsize=12, loc="left")


def _draw_matrix(
    axes: Axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str], high: float
) -> None:
    axes.imshow(values, cmap="Blues", vmin=0, vmax=high, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, fontsize=10)
    axes.set_yticks(range(len(rows)), rows, fontsize=10)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _draw_intervals(axes: Axes, one: AxisAgreement) -> None:
    rows = _rows(one)
    for height, (_, each) in enumerate(rows):
        colour = COLOURS[0] if height < len(rows) - len(one.rest) else COLOURS[1]
        if each.kappa.value is None:
            axes.text(0.02, height, "undefined", va="center", color="#5A5A5A")
            continue
        if each.kappa.low is not None and each.kappa.high is not None:
            axes.plot([each.kappa.low, each.kappa.high], [height, height], "-", color=colour, linewidth=2.2)
        axes.plot(each.kappa.value, height, "o", color=colour, markersize=7, markeredgecolor="white")
    ends = [each.kappa.low for _, each in rows if each.kappa.low is not None]
    values = [each.kappa.value for _, each in rows if each.kappa.value is not None]
    axes.set_xlim(min([0.0, *ends, *values]) - 0.02, 1.02)
    axes.axvline(0, color="#404040", linewidth=0.8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=10)
    axes.set_xlabel("kappa (0: as by chance, 1: full agreement)", fontsize=12)
    axes.spines[["right", "top", "left"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=11)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_title("Cohen's kappa, with intervals over prompts", fontsize=12, loc="left")
