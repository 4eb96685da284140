"""Win rates of each two systems in a running study: people's, and judges' corrected by people's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from judges.human.figures.measured import MeasuredTasks
from judges.human.figures.numbers import JudgeBeside, Precision, SystemsCompared
from judges.statistics.planning import enough_prompts
from judges.statistics.raters import RaterAgreement, pairwise_agreement
from judges.statistics.win_rate import win_rate
from judges.verdicts.groups import Floats, Integers, VerdictGroup, groups_of
from judges.verdicts.human_check import comparison_keys, human_check, means_by_key
from judges.verdicts.table import VerdictTable

PEOPLE = "people"
"""Who judges in a table of all annotators' verdicts."""


@dataclass(frozen=True, eq=False)
class HumanVerdicts:
    """Verdicts of all annotators on pairs of systems, beside the tasks that they are of."""

    table: VerdictTable
    """Every verdict's judge is PEOPLE."""
    tasks: Integers
    """[n] the task of each verdict."""
    place: Integers
    """[n] how many answers to its task came before."""


@dataclass(frozen=True, eq=False)
class _Pair:
    """The verdicts on two systems: all of them, and those a win rate may be read from."""

    every: VerdictGroup
    """Told as people's tasks are."""
    tasks: Integers
    measured: np.ndarray
    """[n] whether each verdict is one of those."""


def systems_compared(
    verdicts: HumanVerdicts,
    groups: Sequence[MeasuredTasks],
    judges: Sequence[VerdictGroup],
    precision: Precision,
    overlap: int,
) -> list[SystemsCompared]:
    """Return what is known of each two systems, in the order in which people first compared them.

    Args:
        verdicts: People's.
        groups: Which tasks and how many answers to each may be read, as `judges.human.figures.measured` says.
        judges: Verdicts of judges, by pair of systems, axis and judge.
        precision: Level, resamples, and the half-width for which the labels still needed are told.
        overlap: Answers that each task is to have.
    """
    sample = np.array(sorted({task for group in groups for task in group.sample}), dtype=np.int64)
    readable = np.isin(verdicts.tasks, sample) & (verdicts.place < overlap)
    rows = replace(verdicts.table, ids=np.arange(len(verdicts.table)).astype(object))
    found = []
    for group in groups_of(rows):
        at = group.table.ids.astype(np.int64)
        every = replace(group, table=replace(group.table, ids=verdicts.table.ids[at]))
        pair = _Pair(every, verdicts.tasks[at], readable[at])
        found.append(_compared(pair, _counts(every, groups), judges, precision, overlap))
    return found


def _counts(group: VerdictGroup, groups: Sequence[MeasuredTasks]) -> tuple[int, int]:
    """Return how many tasks are about two systems, and how many of them are in the samples."""
    table = group.table
    names = {table.systems[side[0]] for side in (table.first_system, table.second_system)}
    of_these = [one for one in groups if one.axis == group.axis and _about(one, names)]
    return sum(one.tasks for one in of_these), sum(len(one.sample) for one in of_these)


def _about(group: MeasuredTasks, names: set[str]) -> bool:
    """Say whether tasks compare two systems, among others where they are ranked; no name is an empty one.

    Rankings of answers for which nobody is named compare no systems.
    """
    there = set(group.systems or ("",))
    if group.screen == "ranking":
        return "" not in there and names <= there
    return group.screen == "pairwise" and names == there


def _compared(
    pair: _Pair, counts: tuple[int, int], judges: Sequence[VerdictGroup], precision: Precision, overlap: int
) -> SystemsCompared:
    every, (tasks, measured) = pair.every, counts
    beside = tuple(_beside(pair, judge, precision, overlap) for judge in judges if _same(judge, every))
    values, prompts = _task_means(pair)
    told = ~np.isnan(values)
    if not told.any():
        why = (
            "no comparison can be read yet: those at the head of the random order are still to be answered"
            if not measured
            else f"all who saw the {measured:,} comparisons that can be read skipped them"
        )
        return SystemsCompared(
            every.first, every.second, every.axis, tasks, measured, None, why, None, why, beside
        )
    rate = win_rate(values, prompts, precision.level, precision.seed, precision.bootstrap)
    more, more_why = _more_labels(values[told], prompts[told], precision, overlap)
    if more is not None and more > (tasks - measured) * overlap:
        more_why = "which takes more tasks than there are"
    why = "one prompt does not tell how far the win rate may be off" if rate.low is None else ""
    return SystemsCompared(
        every.first, every.second, every.axis, tasks, measured, rate, why, more, more_why, beside
    )


def _same(judge: VerdictGroup, people: VerdictGroup) -> bool:
    return {judge.first, judge.second} == {people.first, people.second} and judge.axis == people.axis


def _task_means(pair: _Pair) -> tuple[Floats, Integers]:
    """Return for each task that may be read the mean of its answers, NaN without any, and its prompt."""
    tasks, first, place = np.unique(pair.tasks[pair.measured], return_index=True, return_inverse=True)
    outcome, prompts = pair.every.table.outcome[pair.measured], pair.every.table.prompts[pair.measured]
    told = ~np.isnan(outcome)
    answers = np.bincount(place[told], minlength=len(tasks))
    sums = np.bincount(place[told], weights=outcome[told], minlength=len(tasks))
    means = np.divide(sums, answers, out=np.full(len(tasks), np.nan), where=answers > 0)
    return means, prompts[first]


def _more_labels(
    values: Floats, prompts: Integers, precision: Precision, overlap: int
) -> tuple[int | None, str]:
    """Return how many more answers the wanted half-width takes, with as many tasks to a prompt as so far."""
    enough = enough_prompts(values, prompts, precision.width, precision.level)
    distinct = len(np.unique(prompts))
    if enough is None:
        alike = "one prompt" if distinct < 2 else "answers that are all alike"
        return None, f"{alike} cannot tell how many are needed"
    labels = max(0.0, enough - distinct) * len(values) / distinct * overlap
    return int(np.ceil(labels - 1e-9)), ""


def _beside(pair: _Pair, judge: VerdictGroup, precision: Precision, overlap: int) -> JudgeBeside:
    """Return a judge's figures beside people's, oriented from the first system of people's pair."""
    people = pair.every
    if judge.first != people.first:
        turned = judge.table.turned(np.ones(len(judge.table), dtype=bool))
        judge = replace(judge, first=people.first, second=people.second, table=turned)
    measured = people.table.select(pair.measured)
    # Of the same sample, as judges and people agree less where they were brought forward for disagreeing.
    agreement = _agreement(judge, measured, precision) if len(measured) else None
    check = human_check(judge, measured, precision.level, precision.width) if len(measured) else None
    if check is None:
        why = "no comparison that people answered can be read yet"
        return JudgeBeside(judge.judge, None, why, 0, None, agreement)
    why = check.note
    if not why and check.corrected is not None and check.corrected.low is None:
        why = "people's verdicts so far are all alike, which tells no interval"
    more = None if check.more_labels is None else check.more_labels * overlap  # it counts comparisons
    return JudgeBeside(judge.judge, check.corrected, why, check.comparisons, more, agreement)


def _agreement(judge: VerdictGroup, people: VerdictTable, precision: Precision) -> RaterAgreement | None:
    """Return how far a judge says what most people say, a tie where neither side has more of them."""
    theirs, ours = comparison_keys(judge.table, people)
    said = [means_by_key(keys, table.outcome) for keys, table in ((theirs, judge.table), (ours, people))]
    shared = sorted(said[0].keys() & said[1].keys())
    if not shared:
        return None
    labels = {
        name: np.sign(np.array([told[key] for key in shared]) - 0.5).tolist()
        for name, told in zip((judge.judge or "judge", PEOPLE), said, strict=True)
    }
    prompts = dict(zip(ours.tolist(), people.prompts.tolist(), strict=True))
    found = pairwise_agreement(labels, [prompts[key] for key in shared], precision.resampling)
    return found[0] if found else None
