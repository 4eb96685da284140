"""Position bias on a page: how often the first position wins, and how often both orders agree."""

import numpy as np

from evalkit.judging.page.verdict_page import Section, Table
from evalkit.report.text import NONE, interval_text
from judges.statistics.position_bias import PositionBias
from judges.statistics.win_rate import WinRate
from judges.verdicts.groups import position_of
from judges.verdicts.table import VerdictTable
from rewards.intervals import Resampling

TITLE = "Does position decide?"

MEANING = (
    "A judge without bias lets the side shown first win half of the time and says the same in both orders. "
    "Where the first shown wins both times, the verdict is about the position."
)

HEADER = (
    "shown first wins", "both orders agree", "same side won twice", "both tie", "first shown won twice",
    "second shown won twice", "tie in one order", "one order missing", "both missing",
)  # fmt: skip


def position_cells(shown_first: WinRate | None, position: PositionBias | None) -> tuple[str, ...]:
    """Return the cells under `HEADER`; dashes where no comparison was asked in both orders."""
    shown = interval_text(shown_first)
    if position is None:
        return (shown, *[NONE] * (len(HEADER) - 1))
    counts = position.counts
    numbers = (
        counts.first_wins + counts.second_wins, counts.ties, counts.shown_first, counts.shown_second,
        counts.one_tie, counts.one_order, counts.missing,
    )  # fmt: skip
    return (shown, interval_text(position.consistency), *(f"{number:,}" for number in numbers))


def position_section(table: VerdictTable, resampling: Resampling) -> Section | None:
    """Return the section on each judge's position bias; None where no file says what was shown first."""
    told, rows = table.sorted_sides(), []
    for axis in np.unique(told.axis):
        for judge in np.unique(told.judge[told.axis == axis]):
            shown, position = position_of(
                told.select((told.axis == axis) & (told.judge == judge)), resampling
            )
            if shown is not None:
                named = ", ".join(filter(None, (told.judges[judge], told.axes[axis]))) or "not said"
                rows.append((named, *position_cells(shown, position)))
    return Section(TITLE, (MEANING,), (Table(("judge", *HEADER), tuple(rows)),)) if rows else None
