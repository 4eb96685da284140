"""The figure of the stories experiment: what becomes of stories as the KL to the start grows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from evalkit.report.style import COLOURS

MEASURES = {
    "proxy": "reward optimised",
    "gold": "rule behind the labels",
    "perplexity": "perplexity under the start",
    "repetition": "3-grams said before",
}
"""What is drawn, by its key in a probe."""
MARKERS = "osD^"
INK, GRID = "#303030", "#E6E6E6"


def draw_panel(rewards: Mapping[str, Mapping[str, list[dict[str, Any]]]], path: Path) -> None:
    """Draw each look at each run: a row for each reward, a column for each measure, over KL.

    Args:
        rewards: By the reward's title, the looks at each method's run.
        path: Where the figure goes.
    """
    figure = Figure(figsize=(13, 2.9 * len(rewards) + 0.6), dpi=110, layout="constrained")
    grid = figure.subplots(len(rewards), len(MEASURES), squeeze=False)
    for row, (title, runs) in zip(grid, rewards.items(), strict=True):
        row[0].set_ylabel(f"against {title}", fontsize=11, color=INK)
        for axes, (key, name) in zip(row, MEASURES.items(), strict=True):
            if key == "gold" and _is_its_own_gold(runs):
                axes.set_axis_off()
                axes.text(0.5, 0.5, "the rule is\nits own truth", ha="center", va="center", color=INK)
                continue
            _draw(axes, runs, f"probe_{key}")
            axes.set_title(name, fontsize=11, loc="left", color=INK)
    for axes in grid[-1]:
        axes.set_xlabel("KL to the start, nats a story", fontsize=10, color=INK)
    methods = list(next(iter(rewards.values())))
    handles = [
        Line2D([], [], color=COLOURS[place], marker=MARKERS[place], markersize=5, linewidth=1.8, label=name)
        for place, name in enumerate(methods)
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), frameon=False, fontsize=11)
    figure.savefig(path)


def _is_its_own_gold(runs: Mapping[str, list[dict[str, Any]]]) -> bool:
    return all(look["probe_proxy"] == look["probe_gold"] for looks in runs.values() for look in looks)


def _draw(axes: Axes, runs: Mapping[str, list[dict[str, Any]]], key: str) -> None:
    for place, looks in enumerate(runs.values()):
        known = [look for look in looks if key in look and "probe_kl" in look]
        x = [max(0.0, look["probe_kl"]) for look in known]
        y = [look[key] for look in known]
        errors = [2 * look.get(f"{key}_se", 0.0) for look in known]
        axes.errorbar(
            x, y, errors, color=COLOURS[place], marker=MARKERS[place], markersize=4, linewidth=1.4,
            elinewidth=0.7, alpha=0.9,
        )  # fmt: skip
    axes.spines[["right", "top"]].set_visible(False)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
