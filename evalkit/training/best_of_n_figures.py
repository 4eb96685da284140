"""Figure of best-of-n rounds: mean reward of each round's samples and of the kept ones."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.report.style import COLOURS, PLAIN_TEXT
from evalkit.training.best_of_n_rounds import Round, SampleStatistics

WIDE = 90
"""Most letters of the scorer's name; of a longer one the end is shown."""


@rc_context(PLAIN_TEXT)
def draw_rounds(rounds: Sequence[Round], after: SampleStatistics, scorer: str, path: Path) -> None:
    """Draw the mean rewards of samples and of those kept, with two standard errors over prompts.

    Args:
        rounds: The rounds, from the first.
        after: Samples of the last policy, plotted after the last round.
        scorer: Its name, for the title.
        path: A file whose suffix Matplotlib knows.
    """
    figure = Figure(figsize=(7.2, 4.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    numbers = [one.number for one in rounds]
    drawn = [*(one.drawn for one in rounds), after]
    places = [*numbers, numbers[-1] + 1]
    _line(axes, places, [(one.reward, one.reward_error) for one in drawn], "samples of the policy", 0)
    kept = [(one.kept_reward, one.kept_reward_error) for one in rounds]
    _line(axes, numbers, kept, "kept, and fine-tuned on", 1)
    axes.set_xticks(places, [*map(str, numbers), "after"])
    axes.set_xlabel("round", fontsize=11)
    axes.set_ylabel("mean reward over prompts", fontsize=11)
    axes.set_title(scorer if len(scorer) <= WIDE else "..." + scorer[3 - WIDE :], loc="left", fontsize=10)
    axes.spines[["right", "top"]].set_visible(False)
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.08, y=0.12)
    axes.legend(loc="best", frameon=False, fontsize=10)
    figure.savefig(path)


def _line(
    axes: Axes, places: Sequence[int], points: Sequence[tuple[float, float | None]], label: str, colour: int
) -> None:
    errors = [2 * (error or 0.0) for _, error in points]
    means = [mean for mean, _ in points]
    axes.errorbar(
        places, means, errors, color=COLOURS[colour], marker="o", linewidth=2, capsize=3, label=label
    )
