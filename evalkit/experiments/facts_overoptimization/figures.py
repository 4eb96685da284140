"""The figure of the overoptimization grid: gold as best-of-n selects harder."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from evalkit.experiments.facts_overoptimization.config import Grid
from evalkit.overoptimization.figures import DISTANCE
from evalkit.report.style import COLOURS


def draw_grid(curves: Sequence[Mapping[str, object]], config: Grid, sizes: Iterable[str], path: Path) -> None:
    """Draw gold for each number of labels: seeds thin, their mean thick, sizes by colour."""
    figure = Figure(figsize=(12.5, 4.4), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(config.labels), sharey=True, squeeze=False)[0]
    for axes, labels in zip(panels, config.labels, strict=True):
        for colour, size in zip(COLOURS, sizes, strict=False):
            rows = [row for row in curves if row["size"] == size and row["labels"] == labels]
            d = sorted({float(str(row["d"])) for row in rows})
            gold = np.array(
                [[row["gold_gain"] for row in rows if row["seed"] == seed] for seed in config.seeds]
            )
            axes.plot(d, gold.T, color=colour, linewidth=0.8, alpha=0.5)
            axes.plot(
                d, gold.mean(axis=0), "-o", color=colour, linewidth=2.4, markersize=4, label=f"size {size}"
            )
        axes.axhline(0, color="#404040", linewidth=0.8)
        axes.spines[["right", "top"]].set_visible(False)
        axes.set_title(f"{labels:,} labels")
        axes.set_xlim(left=0)
    panels[0].set_ylabel("gold, gain over the starting policy")
    panels[0].legend(frameon=False)
    figure.supxlabel(DISTANCE)
    figure.savefig(path)
