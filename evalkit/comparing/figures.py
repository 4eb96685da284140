"""The figure of a comparison: win rates against the baseline by every reward and judge, and lengths."""

from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from evalkit.comparing.findings import ComparisonFindings
from evalkit.report.style import COLOURS, PLAIN_TEXT
from evalkit.report.text import Interval, counted, percent, shortened

MARKERS = "osD^vP"
"""Shapes of points, beside the colours, of the rewards and judges."""
GREY = "#5A5A5A"
NARROWER = 0.45
"""How much lower the baseline's row is than the others'."""
WRITTEN = 3
"""Most rewards and judges for which the win rates are written beside the points."""


@rc_context(PLAIN_TEXT)
def draw_comparison(found: ComparisonFindings, path: Path) -> None:
    """Draw each policy's win rates with their intervals, and beside them how long its responses are.

    A point is filled where the policy differs significantly from the baseline.
    """
    criteria, rows = found.criteria, len(found.standings)
    height = 0.34 + 0.25 * max(1, len(criteria))
    figure = Figure(figsize=(10.2, 1.75 + height * (rows - NARROWER)), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2.6, 1])
    for place, by in enumerate(criteria):
        step = (place - (len(criteria) - 1) / 2) * 0.76 / max(1, len(criteria))
        _draw_rates(left, found, by, place, step)
    left.axvline(0.5, color="#404040", linewidth=0.9)
    left.set_xlim(0, 1)
    left.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    left.set_xlabel(f"win rate against {shortened(found.baseline)}", fontsize=12)
    left.text(
        0.5, rows - 1 - NARROWER / 2, f"{shortened(found.baseline)}: the baseline, 50% by definition",
        va="center", ha="center", color=GREY, fontsize=10, backgroundcolor="white",
    )  # fmt: skip
    _draw_lengths(right, found)
    for axes in (left, right):
        _style(axes, found)
    _add_legend(figure, found)
    figure.savefig(path)


def _heights(found: ComparisonFindings) -> list[float]:
    """Return where each policy stands; the baseline, which has no points, takes less room."""
    return [float(row) for row in range(len(found.standings) - 1)] + [len(found.standings) - 1 - NARROWER / 2]


def _draw_rates(axes: Axes, found: ComparisonFindings, by: str, place: int, step: float) -> None:
    colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
    for row, one in enumerate(found.standings[:-1]):
        rate = one.win_rates[by]
        if rate is None:
            axes.text(0.5, row + step, "no verdict", color=colour, va="center", ha="center", fontsize=9)
            continue
        filled = found.significant(found.pair(by, "win rate", one.name, found.baseline))
        _draw_interval(axes, rate, row + step, colour, marker, filled)
        if len(found.criteria) <= WRITTEN:
            axes.text(
                1.012, row + step, percent(rate.mean, 0), transform=axes.get_yaxis_transform(), va="center",
                color=colour, fontsize=9.5,
            )  # fmt: skip


def _draw_lengths(axes: Axes, found: ComparisonFindings) -> None:
    """Draw the mean lengths, and write beside them how many responses were cut."""
    for row, one in zip(_heights(found), found.standings, strict=True):
        _draw_interval(axes, one.tokens, row, GREY, "o", filled=True)
        axes.text(
            1.04, row, percent(one.unfinished.mean), transform=axes.get_yaxis_transform(), va="center",
            color=GREY, fontsize=10,
        )  # fmt: skip
    axes.text(1.04, 1.02, "unfinished", transform=axes.transAxes, color=GREY, fontsize=10)
    axes.axvline(found.standings[-1].tokens.mean, color="#404040", linewidth=0.9, linestyle=(0, (4, 3)))
    longest = max(one.tokens.high or one.tokens.mean for one in found.standings)
    axes.set_xlim(0, 1.15 * max(longest, 1e-9))
    axes.set_xlabel("mean length (tokens)", fontsize=12)


def _draw_interval(
    axes: Axes, estimate: Interval, height: float, colour: str, marker: str, filled: bool
) -> None:
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [height, height], color=colour, linewidth=2, zorder=2)
    face = colour if filled else "white"
    axes.plot(
        [estimate.mean], [height], marker, color=colour, markerfacecolor=face, markersize=7,
        markeredgewidth=1.6, zorder=3,
    )  # fmt: skip


def _style(axes: Axes, found: ComparisonFindings) -> None:
    rows = len(found.standings)
    axes.set_yticks(_heights(found), [shortened(one.name) for one in found.standings], fontsize=11.5)
    axes.set_ylim(rows - 0.5 - NARROWER, -0.5)
    axes.spines[["right", "top", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=10.5)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    for row in range(1, rows):
        axes.axhline(row - 0.5, color="#E6E6E6", linewidth=0.8, zorder=0)


def _add_legend(figure: Figure, found: ComparisonFindings) -> None:
    handles = [
        Line2D(
            [], [], marker=MARKERS[place % len(MARKERS)], color=COLOURS[place % len(COLOURS)], linewidth=2,
            markersize=7, label=shortened(by),
        )
        for place, by in enumerate(found.criteria)
    ]  # fmt: skip
    title = (
        f"filled: differs from {shortened(found.baseline)} after Holm's correction; bars: {found.level:.0%} "
        f"intervals over {counted(found.prompts, 'prompt')}"
    )
    legend = figure.legend(
        handles=handles, loc="outside upper left", ncols=min(5, len(handles)), frameon=False, fontsize=11,
        title=title, title_fontsize=10, alignment="left",
    )  # fmt: skip
    legend.get_title().set_color(GREY)
