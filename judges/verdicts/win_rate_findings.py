"""Findings of one judge's verdicts on two systems: win rate, position bias, length, human correction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from judges.statistics.length_control import LengthControlled, length_controlled_win_rate, prompt_difficulty
from judges.statistics.logistic import NotEstimableError
from judges.statistics.planning import enough_prompts
from judges.statistics.position_bias import PositionBias
from judges.statistics.win_rate import TiePolicy, WinRate, win_rate
from judges.verdicts.groups import Floats, Integers, VerdictGroup, groups_of, orders_of, position_of
from judges.verdicts.human_check import HumanCheck, human_check
from judges.verdicts.table import VerdictTable
from rewards.errors import ConfigError
from rewards.intervals import Resampling

FEWEST_SYSTEMS = 3
"""Systems held against one from which on the others tell how hard a prompt is."""


@dataclass(frozen=True)
class WinRateOptions:
    """How verdicts make a win rate."""

    ties: TiePolicy = "preference"
    """What counts: every verdict, by its probability or a tie as half a win, or one value a comparison."""
    resampling: Resampling = field(default_factory=Resampling)
    width: float = 0.03
    """Half-width of an interval for which the prompts needed are computed."""


DEFAULTS = WinRateOptions()


@dataclass(frozen=True, eq=False)
class WinRateFinding:
    """What the verdicts of one judge on two systems say."""

    first: str
    second: str
    judge: str
    axis: str
    win_rate: WinRate | None
    """Of `first`; None where no verdict has a winner."""
    outcomes: Mapping[str, int]
    """How many of what the win rate counts are wins, ties and losses, by the judge's own word: one that gives
    probabilities may say tie where they lean to a side."""
    left_out: int
    """Comparisons that the tie policy leaves out."""
    missing: dict[str, int]
    """Verdicts without a winner, by reason."""
    position: PositionBias | None
    """Where comparisons were asked in both orders; identical responses, which tell nothing of it, aside."""
    shown_first: WinRate | None
    """Of the side shown first, where that is known."""
    length_controlled: LengthControlled | None
    length_note: str
    """Why there is no length-controlled win rate; empty where there is one."""
    human: HumanCheck | None
    """None where there are no verdicts of people."""
    enough_prompts: int | None
    """Prompts, judged as these were, that bring the win rate's interval to the wanted half-width; None where
    the verdicts do not tell how they vary."""

    @property
    def judged_by(self) -> str:
        """The judge, and the axis where there is one."""
        return ", ".join(filter(None, (self.judge, self.axis))) or "not said"


def win_rate_findings(
    table: VerdictTable,
    baseline: str = "",
    people: VerdictTable | None = None,
    how: WinRateOptions = DEFAULTS,
) -> list[WinRateFinding]:
    """Return what the verdicts say of each two systems, by each judge and on each axis.

    Args:
        table: The verdicts.
        baseline: System that the others are held against; empty takes the second of each comparison.
        people: People's verdicts on some of the same comparisons, which correct the judges' win rates.
        how: Tie policy, intervals and the wanted half-width.
    """
    groups = groups_of(table, baseline)
    level, width = how.resampling.level, how.width
    return [
        _finding(group, None if people is None else human_check(group, people, level, width), difficulty, how)
        for group, difficulty in zip(groups, _difficulties(groups), strict=True)
    ]


def _difficulties(groups: Sequence[VerdictGroup]) -> list[Floats | None]:
    """Return the difficulty of each verdict's prompt, by the other systems compared with the same baseline.

    None where fewer than three systems are: two others at least have to tell.
    """
    found: list[Floats | None] = [None] * len(groups)
    together: dict[tuple[str, str, str], list[int]] = {}
    for place, group in enumerate(groups):
        together.setdefault((group.second, group.judge, group.axis), []).append(place)
    for places in together.values():
        if len(places) < FEWEST_SYSTEMS:
            continue
        tables = [groups[place].table for place in places]
        lengths = [len(table) for table in tables]
        hard = prompt_difficulty(
            np.concatenate([table.value for table in tables]),
            np.repeat(np.arange(len(tables)), lengths),
            np.concatenate([table.prompts for table in tables]),
        )
        for place, own in zip(places, np.split(hard, np.cumsum(lengths)[:-1]), strict=True):
            found[place] = own
    return found


def _finding(
    group: VerdictGroup, human: HumanCheck | None, difficulty: Floats | None, how: WinRateOptions
) -> WinRateFinding:
    """Return the findings of one group's verdicts.

    Args:
        group: The verdicts, told alike.
        human: The correction by human verdicts, where there are some.
        difficulty: [n] of each verdict's prompt, for length control; None leaves it out.
        how: Tie policy, intervals and the wanted half-width.
    """
    table, resampling = group.table, how.resampling
    values, prompts, left_out = _values(group, how.ties)
    shown_first, position = position_of(table, resampling)
    controlled, note = _length_controlled(group, difficulty, resampling)
    return WinRateFinding(
        group.first,
        group.second,
        group.judge,
        group.axis,
        _rate(values, prompts, resampling),
        _outcomes(table.outcome if how.ties == "preference" else values),
        left_out,
        table.missing(),
        position,
        shown_first,
        controlled,
        note,
        human,
        enough_prompts(values, prompts, how.width, resampling.level),
    )


def _values(group: VerdictGroup, ties: TiePolicy) -> tuple[Floats, Integers, int]:
    """Return the values that the tie policy makes of a group's verdicts, their prompts, and what it drops."""
    table = group.table
    if ties in ("preference", "half"):
        return table.value if ties == "preference" else table.outcome, table.prompts, 0
    orders = orders_of(table, table.outcome)
    settled = orders.settled(ties)
    return settled.values, orders.prompts[settled.comparisons], settled.left_out


def _rate(values: Floats, prompts: Integers, resampling: Resampling) -> WinRate | None:
    if np.isnan(values).all():
        return None
    return win_rate(values, prompts, resampling.level, resampling.seed, resampling.resamples)


def _outcomes(values: Floats) -> Mapping[str, int]:
    counts = {"wins": values > 0.5, "ties": values == 0.5, "losses": values < 0.5}
    return {name: int(np.count_nonzero(which)) for name, which in counts.items()}


def _length_controlled(
    group: VerdictGroup, difficulty: Floats | None, resampling: Resampling
) -> tuple[LengthControlled | None, str]:
    table = group.table
    difference = table.first_characters - table.second_characters
    if np.isnan(difference).all():
        return None, "the file holds neither texts nor their lengths"
    known = ~np.isnan(difference)
    measured = table.select(known)
    if np.isnan(measured.value).all():
        return None, "no verdict has a winner"
    try:
        controlled = length_controlled_win_rate(
            measured.value,
            difference[known],
            measured.prompts,
            difficulty=None if difficulty is None else difficulty[known],
            level=resampling.level,
            seed=resampling.seed,
        )
    except (ConfigError, NotEstimableError) as error:
        return None, str(error)
    if len(measured) < len(table):
        return controlled, f"{len(table) - len(measured)} verdicts without lengths are left out"
    return controlled, ""
