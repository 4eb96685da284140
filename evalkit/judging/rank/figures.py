"""A leaderboard's figure: every system's strength with its interval, the strongest on top."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from evalkit.report.style import COLOURS, PLAIN_TEXT
from evalkit.report.text import percent, shortened
from judges.statistics.pair_sums import Floats, Label
from judges.verdicts.leaderboard import ALL_JUDGES, Board

BEST, REST, STYLED = COLOURS[0], COLOURS[6], COLOURS[1]
JUDGES = 4
"""Most judges drawn one by one beside all of them together."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """One estimate of every system's strength."""

    label: str
    colour: str
    marker: str
    intervals: Mapping[Label, tuple[float, float, float]]
    """Strength, low and high of each system; those that were not judged are not there."""


@rc_context(PLAIN_TEXT)
def draw_leaderboard(boards: Sequence[Board], path: Path) -> None:
    """Draw a panel for each axis, with up to four judges beside all of them, and strengths at equal style."""
    axes_of_boards = list(dict.fromkeys(board.axis for board in boards))
    panels = [[board for board in boards if board.axis == axis] for axis in axes_of_boards]
    heights = [
        1.5 + len(panel[0].fit.systems) * (0.28 + 0.14 * (len(_layers(panel)) - 1)) for panel in panels
    ]
    figure = Figure(figsize=(9.2, sum(heights)), dpi=150, layout="constrained")
    drawn = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, panel in zip(drawn, panels, strict=True):
        _draw_panel(axes, panel)
    figure.savefig(path)


def _layers(panel: Sequence[Board]) -> list[_Layer]:
    whole, judges = panel[0], panel[1:]
    fit = whole.fit
    layers = [_layer(whole.judge or "as judged", BEST, "o", fit.systems, (fit.strengths, fit.low, fit.high))]
    if whole.style is not None:
        styled = whole.style.fit
        estimates = (styled.strengths, styled.low, styled.high)
        layers.append(_layer("at equal style", STYLED, "D", styled.systems, estimates))
    for at, board in enumerate(judges if len(judges) <= JUDGES else ()):
        estimates = (board.fit.strengths, board.fit.low, board.fit.high)
        layers.append(_layer(board.judge or "judge", COLOURS[2 + at], "s", board.fit.systems, estimates))
    return layers


def _layer(
    label: str, colour: str, marker: str, systems: Sequence[Label], estimates: tuple[Floats, Floats, Floats]
) -> _Layer:
    rows = zip(*(column.tolist() for column in estimates), strict=True)
    return _Layer(label, colour, marker, dict(zip(systems, rows, strict=True)))


def _draw_panel(axes: Axes, panel: Sequence[Board]) -> None:
    whole, layers = panel[0], _layers(panel)
    places = whole.ranks.places
    left, right = _limits(layers)
    step = 0.8 / len(layers)
    for row, place in enumerate(places):
        for at, layer in enumerate(layers):
            if place.system in layer.intervals:
                height = row - 0.4 + step * (at + 0.5)
                colour = layer.colour if at or place.tied_with_best else REST
                _draw_interval(
                    axes, height, layer.intervals[place.system], colour, layer.marker, (left, right)
                )
        average = whole.against_average[whole.fit.systems.index(place.system)]
        ranks = f"{place.highest_rank} to {place.lowest_rank}"
        ranks = ranks if place.highest_rank < place.lowest_rank else str(place.rank)
        axes.text(1.015, row, f"{percent(average, 0)}", transform=axes.get_yaxis_transform(), va="center")
        axes.text(1.10, row, ranks, transform=axes.get_yaxis_transform(), va="center")
    for x, title in ((1.015, "beats"), (1.10, "ranks")):
        axes.text(x, -0.75, title, transform=axes.get_yaxis_transform(), va="center", color="#5A5A5A")
    axes.axvline(0, color="#404040", linewidth=0.8)
    axes.set_xlim(left, right)
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.set_yticks(range(len(places)), [shortened(str(place.system)) for place in places], fontsize=11)
    axes.set_xlabel("strength: log-odds against the average system", fontsize=12)
    axes.spines[["right", "top", "left"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=11)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    if whole.axis:
        axes.set_title(whole.axis, loc="left", fontsize=13, pad=30 + 15 * -(-(len(layers) + 1) // 3))
    _add_legend(axes, layers, whole)


def _draw_interval(
    axes: Axes,
    height: float,
    interval: tuple[float, float, float],
    colour: str,
    marker: str,
    limits: tuple[float, float],
) -> None:
    """Draw one estimate; an end that is endless becomes an arrow at the panel's edge."""
    value, low, high = interval
    if not np.isnan(low):
        axes.plot(np.clip([low, high], *limits), [height, height], "-", color=colour, linewidth=2.2)
        for end, edge, arrow in ((low, limits[0], "<"), (high, limits[1], ">")):
            if np.isinf(end):
                axes.plot(edge, height, arrow, color=colour, markersize=7, clip_on=False)
    axes.plot(value, height, marker, color=colour, markersize=6.5, markeredgecolor="white")


def _limits(layers: Sequence[_Layer]) -> tuple[float, float]:
    ends = np.array([end for layer in layers for row in layer.intervals.values() for end in row] + [0.0])
    ends = ends[np.isfinite(ends)]
    margin = 0.06 * (ends.max() - ends.min()) or 1.0
    return float(ends.min() - margin), float(ends.max() + margin)


def _add_legend(axes: Axes, layers: Sequence[_Layer], whole: Board) -> None:
    by = f"{ALL_JUDGES}: " if whole.judge == ALL_JUDGES else ""
    kinds = [(f"{by}first or tied with it", BEST, "o")]
    if not all(place.tied_with_best for place in whole.ranks.places):
        kinds.append((f"{by}significantly behind", REST, "o"))
    kinds += [(layer.label, layer.colour, layer.marker) for layer in layers[1:]]
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=2.2, markersize=6.5, label=shortened(label, 36))
        for label, colour, marker in kinds
    ]
    assert isinstance(axes.figure, Figure)  # these axes are in no subfigure
    above = ScaledTranslation(0, 0.2, axes.figure.dpi_scale_trans)  # inches: over the heads of the columns
    axes.legend(
        handles=handles,
        frameon=False,
        fontsize=10,
        ncols=3,
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        bbox_transform=axes.transAxes + above,
    )
