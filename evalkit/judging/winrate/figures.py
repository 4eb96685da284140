"""Figures of win rates: plain and corrected with their intervals, and position bias."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.report.style import COLOURS, PLAIN_TEXT
from evalkit.report.text import Interval
from judges.statistics.position_bias import OrderCounts
from judges.verdicts.win_rate_findings import WinRateFinding

MOST_ROWS = 40
"""Findings that a figure shows; the tables have all."""

MANY_ROWS = 12
"""Findings from which on the rows of a figure are closer together."""

BLUE, ORANGE, GREEN = COLOURS[:3]

OUTCOMES: tuple[tuple[str, str, str], ...] = (
    ("first_wins", "{0} won both", "#0072B2"),
    ("second_wins", "{1} won both", "#56B4E9"),
    ("ties", "tie in both", "#BDBDBD"),
    ("shown_first", "shown first won both", "#D55E00"),
    ("shown_second", "shown second won both", "#E69F00"),
    ("one_tie", "tie in one order", "#E4D5B7"),
    ("one_order", "one order missing", "#7F7F7F"),
    ("missing", "both missing", "#404040"),
)
"""Fields of the counts, their names and colours: what is about the systems is blue, about position orange."""


@rc_context(PLAIN_TEXT)
def draw_win_rates(findings: Sequence[WinRateFinding], path: Path) -> None:
    """Draw each win rate with its interval, beside it at equal length and as corrected by people."""
    shown = [one for one in findings if one.win_rate][:MOST_ROWS]
    figure = Figure(
        figsize=(8.6, 1.5 + (0.55 if len(shown) < MANY_ROWS else 0.36) * len(shown)),
        dpi=150,
        layout="constrained",
    )
    axes = figure.subplots()
    axes.axvline(0.5, color="#404040", linewidth=0.8)
    named: set[str] = set()
    for place, one in enumerate(shown):
        estimates = list(_estimates(one))
        for step, (label, colour, estimate) in enumerate(estimates):
            height = place + 0.22 * (step - (len(estimates) - 1) / 2)
            _draw_interval(axes, estimate, height, colour, "" if label in named else label)
            named.add(label)
    axes.set_yticks(range(len(shown)), _labels(shown), fontsize=10)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"win rate of {_sides(shown)[0]}{_against(shown)}", fontsize=11)
    _style(axes)
    figure.legend(loc="outside upper right", ncols=3, frameon=False, fontsize=10)
    figure.savefig(path)


@rc_context(PLAIN_TEXT)
def draw_positions(findings: Sequence[WinRateFinding], path: Path) -> None:
    """Draw what became of the comparisons that were asked in both orders, as shares."""
    shown = [one for one in findings if one.position][:MOST_ROWS]
    figure = Figure(figsize=(8.6, 1.9 + 0.5 * max(1, len(shown))), dpi=150, layout="constrained")
    axes = figure.subplots()
    if not shown:
        axes.text(0.5, 0.5, "no comparison was asked in both orders", ha="center", va="center", fontsize=11)
        axes.set_axis_off()
        figure.savefig(path)
        return
    starts = [0.0] * len(shown)
    for field, label, colour in OUTCOMES:
        counts: list[OrderCounts] = [one.position.counts for one in shown if one.position]
        shares = [getattr(count, field) / count.comparisons for count in counts]
        if any(shares):
            label = label.format(*_sides(shown))
            axes.barh(range(len(shown)), shares, 0.62, starts, color=colour, label=label, edgecolor="white")
        starts = [start + share for start, share in zip(starts, shares, strict=True)]
    axes.set_yticks(range(len(shown)), _labels(shown), fontsize=10)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"share of comparisons{_against(shown)}", fontsize=11)
    _style(axes)
    figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=9.5)
    figure.savefig(path)


def _estimates(one: WinRateFinding) -> Iterator[tuple[str, str, Interval]]:
    if one.win_rate:
        yield "win rate", BLUE, one.win_rate
    if one.length_controlled:
        yield "at equal length", ORANGE, one.length_controlled
    if one.human and one.human.corrected:
        yield "corrected by people", GREEN, one.human.corrected


def _draw_interval(axes: Axes, estimate: Interval, height: float, colour: str, label: str) -> None:
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [height, height], color=colour, linewidth=2.2)
    axes.plot([estimate.mean], [height], "o", color=colour, markersize=6, label=label or None)


def _sides(findings: Sequence[WinRateFinding]) -> tuple[str, str]:
    """Return what the two systems are called where all findings are about them."""
    first, second = ({getattr(one, side) for one in findings} for side in ("first", "second"))
    return (
        _short(first.pop()) if len(first) == 1 else "the first system",
        _short(second.pop()) if len(second) == 1 else "the second system",
    )


def _labels(findings: Sequence[WinRateFinding]) -> list[str]:
    """Return labels that differ between the findings: systems, judge, or both."""
    alike = bool(_against(findings))  # then the axis says it once
    pairs = [_short(one.first) + ("" if alike else f" against {_short(one.second)}") for one in findings]
    judges = [_short(one.judged_by, 46) for one in findings]
    if len(set(judges)) == 1:
        return pairs
    if len(set(pairs)) == 1:
        return judges
    return [f"{pair}\n{judge}" for pair, judge in zip(pairs, judges, strict=True)]


def _against(findings: Sequence[WinRateFinding]) -> str:
    """Return the common baseline of all findings, empty where it differs."""
    seconds = {one.second for one in findings}
    return f" against {_short(seconds.pop())}" if len(seconds) == 1 else ""


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else name[: most - 3] + "..."


def _style(axes: Axes) -> None:
    axes.spines[["right", "top", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
