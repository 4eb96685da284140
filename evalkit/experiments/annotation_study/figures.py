"""The figure of the annotation study: each interval in every study, and the truth that it is to hold."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from evalkit.experiments.annotation_study.tables import Known
from evalkit.report.style import COLOURS


def draw_intervals(studies: Sequence[Sequence[Known]], level: float, path: Path) -> None:
    """Draw each figure's interval in every study, and the truth that it is to hold."""
    rows = [(told, truth) for told in zip(*studies, strict=True) if (truth := told[0].truth) is not None]
    figure = Figure(figsize=(9.0, 1.4 + 0.42 * len(rows)), dpi=150, layout="constrained")
    axes = figure.subplots()
    for place, (told, truth) in enumerate(rows):
        for number, one in enumerate(told):
            height = place + 0.62 * ((number + 0.5) / len(told) - 0.5)
            colour = COLOURS[0] if one.low <= truth <= one.high else COLOURS[1]
            axes.plot([one.low, one.high], [height, height], color=colour, linewidth=1.6)
            axes.plot(one.mean, height, "o", color=colour, markersize=3)
        axes.plot([truth, truth], [place - 0.42, place + 0.42], color="black", linewidth=1.4)
    axes.set_yticks(range(len(rows)), [told[0].name for told, _ in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-0.05, 1)
    figure.supxlabel(
        f"{level:.0%} intervals of {len(studies)} studies; the black stroke is the truth, orange misses it",
        fontsize=10,
    )
    axes.grid(axis="x", color="#E0E0E0", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path)
