"""Priorities of comparisons for human labels: how far the judges disagree on them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from judges.human.tasks import Task, comparison_task
from judges.judge import Verdict


def disagreements(verdicts: Iterable[Verdict]) -> dict[str, float]:
    """Return how far judges disagree on each comparison, in [0, 1].

    Of the mean p over judges, orders and repeats that one side is better (a judge's probability where it
    gave one, a tie 0.5), it is 4 p (1 - p): the variance of one such verdict, 1 where it is even and 0 where
    all say the same with certainty. What nobody judged is not there.

    Args:
        verdicts: Of any judges, on either side told first; those without a winner count for nothing.
    """
    sums: dict[str, tuple[float, int]] = {}
    for verdict in verdicts:
        value = verdict.outcome() if verdict.preference is None else verdict.preference
        comparison = verdict.comparison
        if value is None or comparison.first == comparison.second:
            continue
        key = question(comparison_task(comparison, verdict.axis))
        total, count = sums.get(key, (0.0, 0))
        sums[key] = (total + (value if comparison.first < comparison.second else 1 - value), count + 1)
    means = {key: total / count for key, (total, count) in sums.items()}
    return {key: 4 * mean * (1 - mean) for key, mean in means.items()}


def priorities(
    tasks: Iterable[tuple[int, Task]], disagreement: Mapping[str, float]
) -> Iterator[tuple[int, float]]:  # fmt: skip
    """Yield the ids of the tasks that judges saw, and how far they disagree on each.

    Args:
        tasks: Tasks with their ids in the store.
        disagreement: As `disagreements` returns it.
    """
    for task_id, task in tasks:
        found = disagreement.get(question(task)) if task.screen == "pairwise" else None
        if found is not None:
            yield task_id, found


def question(task: Task) -> str:
    """Return a key of what a task asks, equal under other ids and in other repetitions."""
    return replace(task, id="", repeat=0).key
