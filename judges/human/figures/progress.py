"""Progress of a study: tasks done and left, each annotator's speed, checks and position bias."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from judges.human.answers import PairwiseAnswer, agrees_with
from judges.human.figures.compact import CompactLabel, CompactTask
from judges.human.tasks import TaskState
from judges.statistics.shares import Share, share_of

LATELY = 3600.0
"""Seconds of which the speed is told."""
SHORTEST = 60.0
"""Seconds of work from which on a speed can be told."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Tasks proper by how far they are, and answers to them."""

    done: int
    in_hand: int
    """Not done, and in somebody's hands now."""
    begun: int
    """Not done, in nobody's hands, and answered or skipped by somebody."""
    untouched: int
    answers: int
    wanted: int
    skips: int
    checks: int
    """Tasks whose answer is known."""
    per_hour: float | None
    """Answers an hour, lately; None where nobody answered, or work began less than a minute ago."""
    hours_left: float | None
    """Until all answers wanted are there, at that speed."""

    @property
    def tasks(self) -> int:
        """Tasks proper."""
        return self.done + self.in_hand + self.begun + self.untouched


@dataclass(frozen=True, slots=True)
class AnnotatorNumbers:
    """What one annotator did."""

    name: str
    answers: int
    """To tasks proper."""
    skips: int
    """Planted checks among them."""
    seconds: float | None
    """Median of the time that answers took, with the page in view; None where none tells it."""
    checks: Share | None
    """Planted checks answered right; None before the first."""
    shown_first: Share | None
    """Choices of the answer shown first, which a page shows on the left, of those that were no ties; an
    imported label may not say what was shown first, and tells nothing here."""


def counts_of(
    states: Iterable[TaskState], said: Iterable[CompactLabel], asked: Mapping[int, CompactTask], now: float
) -> Counts:
    """Return how far the tasks are.

    Args:
        states: Of every task.
        said: Labels that stand.
        asked: Every task by its number.
        now: Seconds since 1970, of the same clock as the labels'.
    """
    found = dict.fromkeys(("done", "in_hand", "begun", "untouched"), 0)
    answers = wanted = checks = 0
    for state in states:
        if asked[state.id].gold is not None:
            checks += 1
            continue
        found[_stage(state)] += 1
        answers += state.answers
        wanted += state.wanted
    proper = [one for one in said if asked[one.task_id].gold is None]
    per_hour = _speed([one.time for one in proper if one.answer is not None and not one.imported], now)
    # A late answer to a task that was full does not help another along.
    missing = max(0, wanted - answers)
    return Counts(
        **found,
        answers=answers,
        wanted=wanted,
        skips=sum(one.answer is None for one in proper),
        checks=checks,
        per_hour=per_hour,
        hours_left=missing / per_hour if per_hour else None,
    )


def annotator_numbers(
    said: Iterable[CompactLabel],
    asked: Mapping[int, CompactTask],
    level: float = 0.95,
    names: Iterable[str] = (),
) -> tuple[AnnotatorNumbers, ...]:
    """Return each annotator's figures, by name; `names` may hold people who have not answered yet."""
    every: dict[str, list[CompactLabel]] = {name: [] for name in names}
    for one in said:
        every.setdefault(one.annotator, []).append(one)
    return tuple(_numbers(name, every[name], asked, level) for name in sorted(every))


def _stage(state: TaskState) -> str:
    if state.answers >= state.wanted:
        return "done"
    if state.held:
        return "in_hand"
    return "begun" if state.answers or state.skipped else "untouched"


def _speed(times: Sequence[float], now: float) -> float | None:
    """Return answers an hour over the last hour, or since the first answer where that is later."""
    recent = [time for time in times if now - LATELY <= time <= now]
    if not recent:
        return None
    span = min(LATELY, now - min(times))
    return None if span < SHORTEST else len(recent) / span * 3600


def _numbers(
    name: str, said: Sequence[CompactLabel], asked: Mapping[int, CompactTask], level: float
) -> AnnotatorNumbers:
    answered = [one for one in said if one.answer is not None]
    right = []
    for one in answered:
        gold = asked[one.task_id].gold
        if gold is not None and one.answer is not None:
            right.append(agrees_with(one.answer, gold))
    seconds = [one.seconds for one in answered if one.seconds > 0]
    sides = [_chose_first(one) for one in answered]
    told = [side for side in sides if side is not None]
    return AnnotatorNumbers(
        name,
        len(answered) - len(right),
        len(said) - len(answered),
        median(seconds) if seconds else None,
        share_of(sum(right), len(right), level),
        share_of(sum(told), len(told), level),
    )


def _chose_first(one: CompactLabel) -> bool | None:
    if not isinstance(one.answer, PairwiseAnswer) or one.answer.winner == "tie" or not one.shown:
        return None
    return one.shown[0] == ("first", "second").index(one.answer.winner)
