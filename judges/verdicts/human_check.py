"""People's verdicts beside a judge's: on the same comparisons, the judge's win rate is corrected by them."""

from dataclasses import dataclass

import numpy as np

from judges.statistics.correction import HumanCorrectedWinRate, human_corrected_win_rate
from judges.verdicts.groups import Floats, Integers, VerdictGroup, verdicts_on
from judges.verdicts.table import VerdictTable
from rewards.errors import ConfigError


@dataclass(frozen=True)
class HumanCheck:
    """A judge's win rate, corrected by people's verdicts."""

    corrected: HumanCorrectedWinRate | None
    note: str
    """Why there is no corrected win rate; empty where there is one."""
    comparisons: int
    """Comparisons that people and the judge both have a verdict on."""
    alone: int
    """Comparisons of these systems on which only people have one; left out."""
    more_labels: int | None
    """How many more human verdicts bring the interval to the wanted half-width."""


def human_check(
    group: VerdictGroup, people: VerdictTable, level: float = 0.95, width: float = 0.03
) -> HumanCheck | None:
    """Return a group's win rate corrected by people's verdicts; None if those are on other systems.

    A comparison that several people judged, or one in both orders, counts with their mean.

    Args:
        group: One judge's verdicts on two systems.
        people: People's verdicts, on whatever systems.
        level: Level of the interval.
        width: Half-width of the interval for which the human verdicts still needed are computed.
    """
    human_verdicts = _of_people(group, people)
    if human_verdicts is None:
        return None
    keys, labels = comparison_keys(group.table, human_verdicts)
    judge = means_by_key(keys, group.table.value)
    human = means_by_key(labels, human_verdicts.value)
    shared = sorted(judge.keys() & human.keys())
    alone = len(human) - len(shared)
    prompts = dict(zip(labels.tolist(), human_verdicts.prompts.tolist(), strict=True))
    try:
        corrected = human_corrected_win_rate(
            group.table.value,
            [human[key] for key in shared],
            [judge[key] for key in shared],
            level,
            group.table.prompts,
            [prompts[key] for key in shared],
        )
        more = None if corrected.low is None else corrected.more_labels(width)
    except ConfigError as error:
        return HumanCheck(None, str(error), len(shared), alone, None)
    return HumanCheck(corrected, "", len(shared), alone, more)


def _of_people(group: VerdictGroup, people: VerdictTable) -> VerdictTable | None:
    """Return people's verdicts on the group's systems and axis, oriented alike; None where there are none."""
    table = group.table
    first, second = (table.systems[column[0]] for column in (table.first_system, table.second_system))
    if not {first, second} <= set(people.systems):
        return None
    verdicts = verdicts_on(people, first, second)
    if group.axis in people.axes:
        verdicts = verdicts.select(verdicts.axis == people.axes.index(group.axis))
    return verdicts if len(verdicts) else None


def comparison_keys(judged: VerdictTable, told: VerdictTable) -> tuple[Integers, Integers]:
    """Return each verdict's comparison in both tables: its prompt, with the id where prompts repeat."""
    repeated = len({*zip(judged.prompts.tolist(), judged.ids, strict=True)}) > len(np.unique(judged.prompts))
    codes: dict[tuple[int, str], int] = {}

    def coded(table: VerdictTable) -> Integers:
        pairs = zip(table.prompts.tolist(), table.ids.tolist(), strict=True)
        return np.array(
            [codes.setdefault((prompt, name if repeated else ""), len(codes)) for prompt, name in pairs]
        )

    return coded(judged), coded(told)


def means_by_key(keys: Integers, values: Floats) -> dict[int, float]:
    """Return the mean value of each key that has one."""
    there = ~np.isnan(values)
    distinct, place = np.unique(keys[there], return_inverse=True)
    if not len(distinct):
        return {}
    means = np.bincount(place, weights=values[there]) / np.bincount(place)
    return dict(zip(distinct.tolist(), means.tolist(), strict=True))
