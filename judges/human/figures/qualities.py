"""How often people find each system the best of K, and how good its answers are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judges.human.answers import Answer, BestAnswer, RankingAnswer
from judges.human.figures.compact import CompactTask
from judges.human.figures.measured import MeasuredTasks
from judges.statistics.bootstrap import codes_of, mean_interval, prompt_totals
from judges.statistics.win_rate import WinRate, win_rate
from rewards.intervals import Estimate, Resampling


@dataclass(frozen=True, slots=True)
class SystemQuality:
    """People's ratings of one of the systems shown together (Liu et al. 2023, RSO, human evaluation)."""

    screen: str
    axis: str
    system: str
    best: WinRate
    """Share of tasks in which it is chosen, or ranked first; systems that share a place share the task."""
    quality: Estimate | None
    """Mean rating, 1 to 5; None where people only rank."""


def system_qualities(
    group: MeasuredTasks, asked: dict[int, CompactTask], resampling: Resampling
) -> list[SystemQuality]:
    """Return the table of one group of `best` or `ranking`, best system first; tasks weigh alike.

    Each figure is a mean over tasks of the mean of a task's annotators; intervals resample prompts.
    """
    best: dict[str, list[tuple[float, int]]] = {}
    quality: dict[str, list[tuple[float, int]]] = {}
    for task_id, told in group.answers.items():
        task = asked[task_id]
        given = [one.answer for one in told if one.answer is not None]
        for place, system in enumerate(task.systems):
            chosen = float(np.mean([_best(answer, place) for answer in given]))
            best.setdefault(system, []).append((chosen, task.prompt))
            ratings = [a.ratings[place] for a in given if isinstance(a, BestAnswer) and a.ratings]
            if ratings:
                quality.setdefault(system, []).append((float(np.mean(ratings)), task.prompt))
    found = [
        SystemQuality(
            group.screen,
            group.axis,
            system,
            _share(values, resampling),
            _rating(quality[system], resampling) if system in quality else None,
        )
        for system, values in best.items()
    ]
    return sorted(found, key=lambda one: (-one.best.mean, one.system))


def _best(answer: Answer, place: int) -> float:
    if isinstance(answer, BestAnswer):
        return float(answer.best == place)
    if isinstance(answer, RankingAnswer) and answer.ranks[place] == 1:
        return 1 / answer.ranks.count(1)
    return 0.0


def _share(values: Sequence[tuple[float, int]], resampling: Resampling) -> WinRate:
    shares, prompts = zip(*values, strict=True)
    return win_rate(shares, prompts, resampling.level, resampling.seed, resampling.resamples)


def _rating(values: Sequence[tuple[float, int]], resampling: Resampling) -> Estimate:
    """Return a mean rating; its interval ends with the scale."""
    ratings, prompts = zip(*values, strict=True)
    totals = prompt_totals(np.array(ratings), codes_of(prompts))
    interval = mean_interval(totals, resampling, "identity")
    low, high = (None, None) if interval is None else (max(1.0, interval.low), min(5.0, interval.high))
    return Estimate(totals.mean, low, high, len(ratings), totals.prompts, resampling.level)
