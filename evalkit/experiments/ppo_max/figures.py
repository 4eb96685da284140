"""Figures of the PPO-max experiment: what runs show over episodes, and where each variant ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from evalkit.experiments.ppo_max.config import AGAIN, FULL, PLAIN, Variant
from evalkit.experiments.ppo_max.tables import Row
from evalkit.report.style import COLOURS

INK, GREY, GRID = "#303030", "#606060", "#E6E6E6"
GROUPS = {
    "recipes": (PLAIN, "plain-no-kl", "plain-pretraining", "plain-small-buffer", AGAIN),
    "the reward's scale": ("no-normalise", "no-clip"),
    "the critic and the updates": ("no-pretraining", "no-value-clip", "no-gradient-clip", "large-buffer"),
    "what holds it to the reference": ("no-ptx", "no-kl", "adaptive-kl"),
}
"""Which variants share a column, each beside PPO-max."""


@dataclass(frozen=True)
class Measure:
    """A row of the panel: what is drawn, what it is called, and on which scale."""

    key: str
    title: str
    scale: str = "linear"


PANELS = (
    Measure("proxy", "proxy reward"),
    Measure("gold", "gold reward"),
    Measure("kl", "KL to the reference,\nnats a response", "symlog"),
    Measure("perplexity", "perplexity under\nthe reference", "log"),
    Measure("length", "length, tokens"),
)
ENDS = (
    Measure("late_gold", "gold, second half"),
    Measure("lowest_gold", "lowest gold after start"),
    Measure("gold_at_kl_1.5", "gold at a KL of 1.5"),
    Measure("late_proxy", "proxy, second half"),
    Measure("late_kl", "KL, second half", "log"),
    Measure("late_length", "length, second half"),
)


def draw_panel(curves: Sequence[Row], variants: Mapping[str, Variant], path: Path) -> None:
    """Draw each measure in a row and each group of variants in a column, over episodes.

    Thick lines are means over seeds, thin ones the seeds; PPO-max is black in every column.
    """
    groups = {title: [name for name in names if name in variants] for title, names in GROUPS.items()}
    groups = {title: names for title, names in groups.items() if names}
    rows, longest = len(PANELS), max(map(len, groups.values()))
    figure = Figure(figsize=(3.5 * len(groups) + 0.6, 2.2 * rows + 0.9), dpi=120, layout="constrained")
    every = figure.subplots(rows, len(groups), sharex=True, sharey="row", squeeze=False)
    for column, (title, names) in enumerate(groups.items()):
        shown = {name: COLOURS[place] for place, name in enumerate(names)}
        if FULL in variants:
            shown |= {FULL: INK}
        for axes, measure in zip(every[:, column], PANELS, strict=True):
            for name, colour in shown.items():
                _draw_seeds(axes, [row for row in curves if row["variant"] == name], measure.key, colour)
            _finish(axes)
            _set_scale(axes, measure)
        handles = [
            Line2D([], [], color=colour, linewidth=2.2, label=variants[name].title)
            for name, colour in reversed(shown.items())
        ]
        # All legends have as many lines, so that their titles stand level.
        handles += [Line2D([], [], alpha=0, label=" ")] * (longest + 1 - len(handles))
        every[0, column].legend(
            handles=handles, loc="lower left", bbox_to_anchor=(-0.02, 1.0), frameon=False, fontsize=9,
            title=title, title_fontproperties={"size": 10.5, "weight": "bold"}, alignment="left",
        )  # fmt: skip
        every[-1, column].set_xlabel("episodes", fontsize=9.5, color=INK)
    for axes, measure in zip(every[:, 0], PANELS, strict=True):
        axes.set_ylabel(measure.title, fontsize=10, color=INK)
    figure.supxlabel("held-out prompts; thick: mean over seeds, thin: seeds", fontsize=9.5, color=GREY)
    figure.savefig(path)


def draw_ends(
    summary: Sequence[Row], variants: Mapping[str, Variant], seeds: Sequence[int], path: Path
) -> None:
    """Draw where each variant ends, a row each: a dot for the mean over seeds, small ticks for the seeds."""
    figure = Figure(figsize=(14.0, 0.36 * len(variants) + 1.6), dpi=120, layout="constrained")
    every = figure.subplots(1, len(ENDS), sharey=True, squeeze=False)[0]
    found = {(row["variant"], row["measure"]): row for row in summary}
    for axes, measure in zip(every, ENDS, strict=True):
        for place, name in enumerate(variants):
            row = found[name, measure.key]
            values = [_number(row[f"seed_{seed}"]) for seed in seeds]
            colour = INK if name in (FULL, AGAIN) else COLOURS[1] if name.startswith(PLAIN) else COLOURS[0]
            axes.plot(values, [place] * len(values), "|", color=colour, markersize=9, markeredgewidth=1.4)
            axes.plot(_number(row["mean"]), place, "o", color=colour, markersize=7, markeredgecolor="white")
        if (FULL, measure.key) in found:
            mean = _number(found[FULL, measure.key]["mean"])
            axes.axvline(mean, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        axes.set_title(measure.title, fontsize=10.5, loc="left", color=INK)
        axes.set_xscale(measure.scale)
        axes.spines[["right", "top", "left"]].set_visible(False)
        axes.grid(axis="both", color=GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(labelsize=9)
        if measure.scale == "linear":
            axes.xaxis.set_major_locator(MaxNLocator(4))
        else:
            _write_plainly(axes.xaxis)
    every[0].set_yticks(range(len(variants)), [variant.title for variant in variants.values()], fontsize=10)
    every[0].invert_yaxis()
    figure.supxlabel(
        "dots: means over seeds; ticks: seeds; dashed: PPO-max. No dot where a seed never comes to the KL",
        fontsize=9.5, color=GREY,
    )  # fmt: skip
    figure.savefig(path)


def _draw_seeds(axes: Axes, rows: Sequence[Row], key: str, colour: str) -> None:
    seeds: dict[object, dict[float, float]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], {})[_number(row["episodes"])] = _number(row[key])
    for curve in seeds.values():
        axes.plot(list(curve), list(curve.values()), color=colour, linewidth=0.7, alpha=0.4)
    shared = sorted(set.intersection(*(set(curve) for curve in seeds.values()))) if seeds else []
    means = [float(np.mean([curve[at] for curve in seeds.values()])) for at in shared]
    axes.plot(shared, means, color=colour, linewidth=2.2)


def _finish(axes: Axes) -> None:
    axes.spines[["right", "top"]].set_visible(False)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _set_scale(axes: Axes, measure: Measure) -> None:
    if measure.scale == "symlog":
        axes.set_yscale("symlog", linthresh=1.0)
    elif measure.scale != "linear":
        axes.set_yscale(measure.scale)
    if measure.scale != "linear":
        _write_plainly(axes.yaxis)


def _write_plainly(axis: Axis) -> None:
    """Mark a logarithmic axis at 1, 2, 3, 5 and 10, in plain numbers."""
    axis.set_major_locator(
        FixedLocator([0, *(lead * 10.0**power for power in range(4) for lead in (1, 2, 3, 5))])
    )
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _number(value: object) -> float:
    return float("nan") if value is None else float(str(value))
