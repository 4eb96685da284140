"""The answers that a figure about systems may be read from while a study is on its way."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from judges.human.assignment import measured_prefix
from judges.human.figures.compact import CompactLabel, CompactTask
from judges.human.tasks import TaskState


@dataclass(frozen=True, eq=False)
class MeasuredTasks:
    """Answers to a simple random sample of the tasks on the same systems."""

    screen: str
    axis: str
    systems: tuple[str, ...]
    """Sorted; empty where the tasks do not say who wrote the responses."""
    tasks: int
    """All tasks of these, whether measured or not."""
    sample: tuple[int, ...]
    """Tasks in the sample, in random order; some may have been skipped by all who saw them."""
    answers: Mapping[int, Sequence[CompactLabel]]
    """To each task in the sample that has some, at most `overlap`: those given first."""


def measured(
    states: Iterable[TaskState],
    answers: Mapping[int, Sequence[CompactLabel]],
    asked: Mapping[int, CompactTask],
    overlap: int,
) -> list[MeasuredTasks]:
    """Return what may be read, by screen, axis and systems.

    `judges.human.assignment.measured_prefix` says which tasks; of a task the first `overlap` answers, as
    further ones are asked for where people disagree, and the mean with them leans to the majority's side.
    A figure gives each task the same weight, however many of its answers are there: those most needed get
    theirs sooner.
    """
    groups: dict[tuple[str, str, tuple[str, ...]], list[tuple[int, int, bool]]] = {}
    for state in states:
        task = asked[state.id]
        if task.gold is not None:
            continue
        settled = state.answers > 0 or (state.skipped > 0 and state.held == 0)
        key = (task.screen, task.axis, tuple(sorted(task.systems)))
        groups.setdefault(key, []).append((state.id, state.order, settled))
    found = []
    for (screen, axis, systems), tasks in sorted(groups.items()):
        sample = measured_prefix(tasks)
        first = {task_id: answers[task_id][:overlap] for task_id in sample if task_id in answers}
        found.append(MeasuredTasks(screen, axis, systems, len(tasks), sample, first))
    return found


def answered_twice(
    states: Iterable[TaskState],
    answers: Mapping[int, Sequence[CompactLabel]],
    asked: Mapping[int, CompactTask],
    overlap: int,
) -> dict[int, Sequence[CompactLabel]]:
    """Return by task the answers that the agreement of people is read from: of each those given first.

    The tasks that are most needed have their second answers sooner, and people agree less on them than on
    others. So of each screen and axis the tasks count up to the first in random order that two are still to
    see. Where no second answer is asked for, all that have one count. Of tasks with further answers, which
    are asked for where people disagree, no more count than of others.
    """
    most = max(2, overlap)
    if overlap < 2:
        return {task_id: told[:most] for task_id, told in answers.items()}
    kinds: dict[tuple[str, str], list[tuple[int, int, bool]]] = {}
    for state in states:
        task = asked[state.id]
        if task.gold is None:
            seen = state.answers > 1 or (state.answers + state.skipped > 1 and state.held == 0)
            kinds.setdefault(task.kind, []).append((state.id, state.order, seen))
    sample = [task_id for tasks in kinds.values() for task_id in measured_prefix(tasks)]
    return {task_id: answers[task_id][:most] for task_id in sample if task_id in answers}
