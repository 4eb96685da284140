"""Figure of an evaluation of step scores: ROC of single steps, and how far scores are probabilities."""

from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.report.style import COLOURS, PLAIN_TEXT
from evalkit.report.text import shortened
from rewards.evaluation.process import ProcessFindings
from rewards.evaluation.steps import StepCalibration

BLUE, ORANGE = COLOURS[:2]
_INK, _GREY = "#404040", "#9A9A9A"


@rc_context(PLAIN_TEXT)
def draw_process(findings: ProcessFindings, title: str, path: Path) -> None:
    """Draw ROC with the threshold marked on it, and mean label against score, with the steps of each bin."""
    figure = Figure(figsize=(10.4, 5.2), dpi=150, layout="constrained")
    panels = figure.subplot_mosaic([["roc", "calibration"], ["roc", "steps"]], height_ratios=(4, 1))
    _draw_roc(panels["roc"], findings)
    if findings.calibration is None:
        _say(panels["calibration"], "no calibration: scores outside [0, 1] are no probabilities")
        panels["steps"].set_axis_off()
    else:
        _draw_calibration(panels["calibration"], panels["steps"], findings.calibration)
    figure.suptitle(shortened(title, 96), fontsize=12)
    figure.savefig(path)


def _draw_roc(axes: Axes, findings: ProcessFindings) -> None:
    roc = findings.roc
    if roc.auc is None:
        _say(axes, f"no ROC: {roc.right} right and {roc.wrong} wrong steps")
        return
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1)
    axes.annotate(
        "chance", (0.72, 0.72), xytext=(6, -6), textcoords="offset points", color=_INK, fontsize=10, va="top"
    )
    axes.plot(roc.false_alarms, roc.detections, color=BLUE, linewidth=2.2, clip_on=False)
    if findings.false_alarms is not None and findings.detections is not None:
        at = (findings.false_alarms, findings.detections)
        axes.plot(*at, "o", color=ORANGE, markersize=9, markeredgecolor="white", zorder=4, clip_on=False)
        low = at[1] > 0.5  # the text stays below the curve and inside the axes
        axes.annotate(
            f"threshold {findings.threshold:.3g}\n{at[1]:.0%} of wrong, {at[0]:.0%} of right",
            at,
            xytext=(12 if at[0] < 0.6 else -12, -8 if low else 8),
            textcoords="offset points",
            ha="left" if at[0] < 0.6 else "right",
            va="top" if low else "bottom",
            fontsize=10,
            color=_INK,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        )
    ends = "" if roc.low is None else f" ({roc.low:.3f} to {roc.high:.3f})"
    axes.set_title(f"AUC {roc.auc:.3f}{ends}", fontsize=11, loc="left")
    axes.set_xlabel(f"share of the {roc.right:,} right steps marked as wrong", fontsize=11)
    axes.set_ylabel(f"share of the {roc.wrong:,} wrong steps marked", fontsize=11)
    _style(axes)


def _draw_calibration(upper: Axes, lower: Axes, calibration: StepCalibration) -> None:
    scores = [each.confidence for each in calibration.bins]
    upper.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1)
    upper.annotate(
        "calibrated",
        (0.28, 0.28),
        xytext=(6, -6),
        textcoords="offset points",
        color=_INK,
        fontsize=10,
        va="top",
    )
    shares = [each.accuracy for each in calibration.bins]
    # The area of a point is its share of the steps, for a bin with few of them may lie anywhere.
    areas = [14 + 220 * each.n / calibration.n for each in calibration.bins]
    upper.plot(scores, shares, color=BLUE, linewidth=1.2, alpha=0.6)
    upper.scatter(scores, shares, s=areas, color=BLUE, zorder=3, clip_on=False)
    upper.set_title(
        f"calibration error {calibration.error:.3f}, Brier {calibration.brier:.3f}", fontsize=11, loc="left"
    )
    upper.tick_params(labelbottom=False)
    upper.set_ylabel("share of steps that are right", fontsize=11)
    _style(upper)
    width = 1 / calibration.number_of_bins
    places = [each.low + width / 2 for each in calibration.bins]
    lower.bar(places, [each.n for each in calibration.bins], width=0.92 * width, color=BLUE)
    lower.set_xlim(-0.02, 1.02)
    lower.set_xlabel("step's score", fontsize=11)
    lower.set_ylabel("steps", fontsize=11)
    lower.spines[["right", "top"]].set_visible(False)
    lower.tick_params(labelsize=10)


def _style(axes: Axes) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.spines[["right", "top"]].set_visible(False)
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=10)


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=11, color=_INK, wrap=True)
    axes.set_axis_off()
