"""The figure of the fine-grained PPO experiment: gold and its aspects over episodes and KL, other weights."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evalkit.experiments.fine_grained_ppo.config import ALL, BOUND, BOUND_DENSE, DENSE, HOLISTIC, WARM
from evalkit.experiments.fine_grained_ppo.tables import Row
from evalkit.report.style import COLOURS

INK, GREY, GRID = "#303030", "#606060", "#E6E6E6"
SHOWN: Mapping[str, str] = {
    HOLISTIC: COLOURS[6],
    "ratings": COLOURS[2],
    "spans-response": COLOURS[4],
    DENSE: COLOURS[0],
    WARM: COLOURS[3],
    BOUND: COLOURS[5],
    BOUND_DENSE: COLOURS[1],
}
"""Pairs of one model are light and dark: paid at the end, and each piece where it ends."""
PANELS = {
    "gold": "gold over episodes",
    "kl": "KL to the start, nats a response",
    "length": "length, tokens",
    "relevance": "gold relevance",
    "factuality": "gold factuality",
    "completeness": "gold completeness",
}
"""Over episodes."""


def draw_curves(
    curves: Sequence[Row], rewards: Sequence[str], weighted: Sequence[str], first: int, path: Path
) -> None:
    """Draw what every reward leads to.

    Args:
        curves: A row a look.
        rewards: Names of the rewards, each a colour.
        weighted: Names of those of other weights.
        first: The seed on which these were optimised.
        path: Where the figure goes.
    """
    figure = Figure(figsize=(15.0, 7.6), dpi=120, layout="constrained")
    every = figure.subplots(2, 4, squeeze=False)
    over_episodes = [every[0, 0], *every[0, 2:], *every[1, :3]]
    for axes, (key, title) in zip(over_episodes, PANELS.items(), strict=True):
        for name in rewards:
            _draw_means(axes, [row for row in curves if row["reward"] == name], key, SHOWN[name])
        _finish(axes, title, "episodes")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    for name in rewards:
        _draw_path(every[0, 1], [row for row in curves if row["reward"] == name], SHOWN[name])
    _finish(every[0, 1], "gold over distance", r"$\sqrt{\mathrm{KL}}$")
    _draw_weights(every[1, 3], [row for row in curves if row["seed"] == first], [DENSE, *weighted])
    _finish(every[1, 3], "gold factuality over relevance", "gold relevance")
    handles = [Line2D([], [], color=SHOWN[name], linewidth=2.4, label=ALL[name].title) for name in rewards]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False, fontsize=10.5)
    figure.supxlabel(
        f"held-out prompts; thick: mean over seeds, thin: seeds; below right: seed {first} alone, from the "
        "start (cross) to the end (dot)",
        fontsize=9.5, color=GREY,
    )  # fmt: skip
    figure.savefig(path)


def _draw_means(axes: Axes, rows: Sequence[Row], key: str, colour: str) -> None:
    curves = list(_by_seed(rows, key).values())
    for curve in curves:
        axes.plot(list(curve), list(curve.values()), color=colour, linewidth=0.7, alpha=0.4)
    at = sorted(set.intersection(*map(set, curves))) if curves else []
    axes.plot(
        at, [float(np.mean([curve[one] for curve in curves])) for one in at], color=colour, linewidth=2.2
    )


def _draw_path(axes: Axes, rows: Sequence[Row], colour: str) -> None:
    """Draw gold over the distance, and its mean over seeds after the same episodes."""
    gold, kl = (list(_by_seed(rows, key).values()) for key in ("gold", "kl"))
    paths = [
        ([math.sqrt(max(0.0, value)) for value in far.values()], list(good.values()))
        for good, far in zip(gold, kl, strict=True)
    ]
    for distance, good in paths:
        axes.plot(distance, good, color=colour, linewidth=0.7, alpha=0.4)
    if len({len(good) for _, good in paths}) == 1:
        means = np.mean(paths, axis=0)
        axes.plot(means[0], means[1], "-o", color=colour, linewidth=2.2, markersize=3)


def _draw_weights(axes: Axes, rows: Sequence[Row], names: Sequence[str]) -> None:
    for place, name in enumerate(names):
        own = [row for row in rows if row["reward"] == name]
        if not own:
            continue
        relevance, factuality = ([_number(row[key]) for row in own] for key in ("relevance", "factuality"))
        colour = (COLOURS[0], COLOURS[3], COLOURS[2])[place % 3]
        axes.plot(relevance, factuality, color=colour, linewidth=1.6)
        axes.plot(relevance[0], factuality[0], "x", color=GREY, markersize=8, markeredgewidth=2)
        axes.plot(
            relevance[-1], factuality[-1], "o", color=colour, markersize=8, markeredgecolor="white",
            label="spans, all x 1" if name == DENSE else ALL[name].title,
        )  # fmt: skip
    if any(row["reward"] in names for row in rows):
        axes.legend(loc="best", frameon=False, fontsize=9)


def _by_seed(rows: Sequence[Row], key: str) -> dict[object, dict[float, float]]:
    """Return a measure of each seed by episodes."""
    found: dict[object, dict[float, float]] = {}
    for row in rows:
        found.setdefault(row["seed"], {})[_number(row["episodes"])] = _number(row[key])
    return found


def _finish(axes: Axes, title: str, below: str) -> None:
    axes.set_title(title, fontsize=11, loc="left", color=INK)
    axes.set_xlabel(below, fontsize=9.5, color=INK)
    axes.spines[["right", "top"]].set_visible(False)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _number(value: object) -> float:
    return math.nan if value is None else float(str(value))
