"""The reliability diagram: accuracy on pairs against the scorer's confidence."""

import os
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rewards.evaluation.calibration import Calibration, ReliabilityBin


def draw_reliability(calibration: Calibration, title: str, path: Path) -> None:
    """Draw accuracy against confidence, and how many pairs each bin holds, as a PNG that appears whole."""
    figure = Figure(figsize=(5.2, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0.5, 1], [0.5, 1], color="0.6", linestyle="--", linewidth=1, label="perfectly calibrated")
    series = [(calibration.bins, "C0", f"score as it stands, error {calibration.error:.3f}")]
    fitted = calibration.temperature
    if fitted.value is not None:
        series.append((fitted.bins, "C1", f"at temperature {fitted.value:.3g}, error {fitted.error:.3f}"))
    width = 0.5 / calibration.number_of_bins / (len(series) + 0.5)
    for place, (bins, colour, label) in enumerate(series):
        confidence, accuracy = [each.confidence for each in bins], [each.accuracy for each in bins]
        # The area of a point is its share of the pairs, for a bin with few of them may lie anywhere.
        areas = [8 + 150 * each.n / calibration.n for each in bins]
        upper.plot(confidence, accuracy, color=colour, linewidth=1, alpha=0.6)
        upper.scatter(confidence, accuracy, s=areas, color=colour, label=label, zorder=3)
        shift = (place - (len(series) - 1) / 2) * width
        lower.bar(
            [_middle(each) + shift for each in bins], [each.n for each in bins], width=width, color=colour
        )
    upper.set(ylabel="share of pairs ranked right", ylim=(-0.02, 1.02), xlim=(0.49, 1.01))
    upper.set_title(title if len(title) <= 60 else title[:57] + "...", fontsize=10)
    upper.legend(loc="upper left", fontsize=8, frameon=False, markerscale=0.6)
    upper.grid(alpha=0.25)
    lower.set(xlabel="confidence, max(P, 1 - P)", ylabel="pairs")
    lower.grid(alpha=0.25, axis="y")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        figure.savefig(partial, format="png", dpi=150)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _middle(each: ReliabilityBin) -> float:
    return (each.low + each.high) / 2
