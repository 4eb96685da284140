"""Figure of a judge's health: each probe's figures with their intervals, beside what passes."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from evalkit.judging.probe.findings import Health, ProbeFinding
from evalkit.report.style import COLOURS, PLAIN_TEXT

MARKS: dict[Health, tuple[str, str]] = {
    "passes": (COLOURS[0], "o"),
    "fails": (COLOURS[1], "X"),
    "cannot tell": (COLOURS[6], "D"),
}
"""Colour and marker of each verdict."""

MARK_SIZE = 9

_BAND, _INK = "#E4EDE6", "#404040"


@rc_context(PLAIN_TEXT)
def draw_probes(findings: Sequence[ProbeFinding], level: float, path: Path) -> None:
    """Draw every figure with its interval on the range that passes, grouped by probe."""
    heights = _heights(findings)
    figure = Figure(figsize=(9.0, 1.3 + 0.3 * heights[-1]), dpi=150, layout="constrained")
    axes = figure.subplots()
    ends = [one.estimate.low for one in findings if one.estimate.low is not None]
    left = min([-0.1, *(end - 0.03 for end in ends)])
    for height, one in zip(heights, findings, strict=True):
        _draw(axes, one, height, left)
    axes.set_yticks(heights, [_label(one) for one in findings], fontsize=9.5)
    for label, one in zip(axes.get_yticklabels(), findings, strict=True):
        label.set_fontweight("normal" if one.kind else "bold")
    axes.set_ylim(heights[-1] + 0.8, -0.8)
    axes.set_xlim(left, 1.03)
    axes.set_xlabel(f"figure, with its {level:.0%} interval over prompts", fontsize=11)
    axes.spines[["right", "top", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    legend = [
        Line2D([], [], color=colour, marker=marker, markersize=MARK_SIZE, label=health)
        for health, (colour, marker) in MARKS.items()
    ]
    figure.legend(
        handles=[Patch(color=_BAND, label="what passes"), *legend],
        loc="outside upper right",
        ncols=4,
        frameon=False,
        fontsize=9.5,
    )
    figure.savefig(path)


def _heights(findings: Sequence[ProbeFinding]) -> list[float]:
    """Return the row of each figure, with a gap before every other probe."""
    heights: list[float] = []
    for place, one in enumerate(findings):
        new = place and findings[place - 1].measure.probe != one.measure.probe
        heights.append(heights[-1] + (1.7 if new else 1.0) if place else 0.0)
    return heights


def _draw(axes: Axes, finding: ProbeFinding, height: float, left: float) -> None:
    measure, found = finding.measure, finding.estimate
    low = left if measure.low <= measure.least else measure.low
    high = 1.03 if measure.high >= 1 else measure.high
    axes.barh(height, high - low, 0.92, low, color=_BAND, linewidth=0)
    colour, marker = MARKS[finding.health]
    if found.value is None:
        axes.text(0.5, height, "no verdict", ha="center", va="center", fontsize=9, color=_INK)
        return
    if found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [height, height], color=colour, linewidth=2.2)
    axes.plot(found.value, height, marker, color=colour, markersize=MARK_SIZE, markeredgecolor="white")


def _label(finding: ProbeFinding) -> str:
    if finding.kind:
        return finding.kind
    return f"{finding.measure.probe}: {finding.measure.name}"
