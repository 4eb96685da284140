"""The figure of the GSM8K experiment: what each scorer tells, with its interval."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from evalkit.experiments.gsm8k_outcome.tables import FIGURES
from evalkit.report.style import COLOURS


def draw(values: Sequence[Mapping[str, object]], learnt: Sequence[str], path: Path) -> None:
    """Draw every figure of every scorer with its interval, learnt scorers in colour, baselines grey."""
    names = list(dict.fromkeys(str(row["scorer"]) for row in values))
    figure = Figure(figsize=(13.5, 1.6 + 0.3 * len(names)), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(FIGURES), sharey=True)
    for axes, (name, title) in zip(panels, FIGURES.items(), strict=True):
        rows = {str(row["scorer"]): row for row in values if row["figure"] == name}
        for height, scorer in enumerate(names):
            row = rows[scorer]
            colour = COLOURS[0] if scorer in learnt else COLOURS[6]
            if row["low"] is not None:
                axes.plot([row["low"], row["high"]], [height, height], color=colour, linewidth=2)
            axes.plot([row["value"]], [height], "o", color=colour, markersize=5)
        chance = float(str(rows["constant"]["value"]))
        axes.axvline(chance, color="#404040", linewidth=0.8, linestyle="dotted")
        axes.set_title(title, fontsize=10)
        axes.spines[["right", "top"]].set_visible(False)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    figure.supxlabel("share, with 95 % interval over problems; dotted: chance", fontsize=10)
    figure.savefig(path)
