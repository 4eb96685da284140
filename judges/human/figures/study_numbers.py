"""The figures of a study of people's labels, made anew only where something has changed."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Protocol

import numpy as np

from judges.human.figures.compact import CompactLabel, CompactTask, by_task, compact_label, compact_task
from judges.human.figures.measured import MeasuredTasks, answered_twice, measured
from judges.human.figures.numbers import JudgeWord, Numbers, Precision, comparison_digest, text_digest
from judges.human.figures.people_agreement import people_agreement
from judges.human.figures.progress import annotator_numbers, counts_of
from judges.human.figures.qualities import SystemQuality, system_qualities
from judges.human.figures.splits import splits_of
from judges.human.figures.win_rates import PEOPLE, HumanVerdicts, systems_compared
from judges.human.labels import Annotator, AnnotatorProgress, Label
from judges.human.rows.export import label_verdicts
from judges.human.study import Study
from judges.human.tasks import Task, TaskState
from judges.judge import Verdict
from judges.verdicts.groups import VerdictGroup, groups_of
from judges.verdicts.reading import read_verdicts
from judges.verdicts.table import make_table
from rewards.records import Prompt

PATIENCE = 9.0
"""How many times as long as they took to make, figures stay as they are while labels come in: making them
takes a tenth of one processor at most, and leaves the rest to annotators' posts."""
SOON = 1.0
"""Seconds; figures that are made in less are made whenever they are asked for."""


class LabelStore(Protocol):
    """What the figures ask of a store."""

    def study(self) -> Study:
        """Return the settings."""
        ...

    def tasks(self, ids: Sequence[int] | None = None) -> Iterator[tuple[int, Task]]:
        """Yield tasks by number."""
        ...

    def task_states(self) -> Iterable[TaskState]:
        """Return how far each task is."""
        ...

    def annotators(self) -> Sequence[Annotator]:
        """Return everybody who is invited."""
        ...

    def labels(self) -> Iterator[Label]:
        """Yield the labels that stand, the oldest first."""
        ...

    def last_event(self) -> int:
        """Return the number of the last event."""
        ...

    def progress(self, annotator: Annotator) -> AnnotatorProgress:
        """Return how many answers are wanted in all."""
        ...


STANDARD = Precision()


class StudyNumbers:
    """Makes the figures of one store, for any number of threads: who asks while they are made has the old."""

    def __init__(
        self,
        store: LabelStore,
        verdicts: Sequence[str] | str = (),
        precision: Precision = STANDARD,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._precision = precision
        self._clock = clock
        sources = [verdicts] if isinstance(verdicts, str) else list(verdicts)
        self._judges = JudgeVerdicts([source for source in sources if source])
        self._asked: dict[int, CompactTask] = {}
        self._lock = Lock()
        self._made: tuple[tuple[object, ...], Numbers] | None = None
        self._again = 0.0

    def __call__(self) -> Numbers:
        """Return the figures, made anew where something changed, unless they were or are made just now."""
        made = self._made
        if made is None:
            self._lock.acquire()
        elif not self._lock.acquire(blocking=False):
            return made[1]
        try:
            return self._current()
        finally:
            self._lock.release()

    def judge_words(self, prompt: Prompt, responses: Sequence[str]) -> Sequence[JudgeWord]:
        """Return the judges' verdicts on a comparison, one for each judge."""
        return self._judges.words(prompt, responses)

    def _current(self) -> Numbers:
        state = self._state()
        if self._made is not None and (self._made[0] == state or time.monotonic() < self._again):
            return self._made[1]
        start = time.monotonic()
        numbers = self._numbers()
        took = time.monotonic() - start
        self._made = state, numbers
        self._again = start + took * (1 + PATIENCE) if took > SOON else start
        return numbers

    def _state(self) -> tuple[object, ...]:
        """Return what changes whenever a figure changes, and is quickly read."""
        store = self._store
        people = store.annotators()
        # New tasks are no event, but answers are wanted to them.
        wanted = store.progress(people[0]).wanted if people else 0
        return store.last_event(), store.study(), len(people), wanted

    def _numbers(self) -> Numbers:
        precision, study = self._precision, self._store.study()
        states = self._known(self._store.task_states())
        said, verdicts = _gathered(self._store.labels(), self._asked)
        answers = by_task(said, self._asked)
        groups = measured(states, answers, self._asked, study.overlap)
        twice = answered_twice(states, answers, self._asked, study.overlap)
        compared = systems_compared(verdicts, groups, self._judges.groups, precision, study.overlap)
        now = self._clock()
        names = [one.name for one in self._store.annotators()]
        return Numbers(
            title=study.title,
            time=now,
            counts=counts_of(states, said, self._asked, now),
            annotators=annotator_numbers(said, self._asked, precision.level, names),
            agreement=tuple(people_agreement(twice, self._asked, precision.resampling)),
            compared=tuple(compared),
            qualities=tuple(self._qualities(groups)),
            splits=tuple(splits_of(answers, self._asked)),
            notes=tuple(_notes(groups, answers, study, self._judges.groups, bool(compared))),
            width=precision.width,
            level=precision.level,
            judged=bool(self._judges.groups),
        )

    def _known(self, states: Iterable[TaskState]) -> list[TaskState]:
        """Return the states, having read the tasks that are new; a task never changes."""
        listed = list(states)
        new = [state.id for state in listed if state.id not in self._asked]
        told = self._store.tasks(None if not self._asked else new) if new else iter(())
        self._asked |= {task_id: compact_task(task_id, task) for task_id, task in told}
        return [state for state in listed if state.id in self._asked]

    def _qualities(self, groups: Iterable[MeasuredTasks]) -> Iterator[SystemQuality]:
        for group in groups:
            if group.screen in ("best", "ranking") and all(group.systems or ("",)):
                yield from system_qualities(group, self._asked, self._precision.resampling)


class JudgeVerdicts:
    """Verdicts of judges, read once: columns for statistics, and who preferred which text."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._words: dict[str, dict[str, list[str | None]]] = {}
        self.groups: list[VerdictGroup] = []
        if sources:
            self.groups = groups_of(make_table(self._passing(sources)))

    def words(self, prompt: Prompt, responses: Sequence[str]) -> list[JudgeWord]:
        """Return each judge's verdict on two texts: the one of most orders, else a tie."""
        told = self._words.get(comparison_digest(prompt, responses), {})
        found = []
        for judge, said in told.items():
            (better, most), *_ = Counter(said).most_common(1)
            found.append(JudgeWord(judge, better if 2 * most > len(said) else None))
        return found

    def _passing(self, sources: Sequence[str]) -> Iterator[Verdict]:
        for source in sources:
            for verdict in read_verdicts(source):
                if verdict.winner is not None:
                    self._note(verdict)
                yield verdict

    def _note(self, verdict: Verdict) -> None:
        one = verdict.comparison
        better = {"first": one.first, "second": one.second}.get(verdict.winner or "")
        key = comparison_digest(one.prompt, (one.first, one.second))
        name = ", ".join(filter(None, (verdict.judge, verdict.axis))) or "judge"
        said = self._words.setdefault(key, {}).setdefault(name, [])
        said.append(None if better is None else text_digest(better))


def _gathered(
    labels: Iterable[Label], asked: Mapping[int, CompactTask]
) -> tuple[list[CompactLabel], HumanVerdicts]:
    """Return the labels without their texts, and as verdicts on pairs of systems; texts are dropped."""
    said: list[CompactLabel] = []
    tasks: list[int] = []
    places: list[int] = []
    answered: Counter[int] = Counter()

    def passing() -> Iterator[Verdict]:
        for label in labels:
            if label.task_id not in asked:  # added since the tasks were read; the next time tells
                continue
            said.append(compact_label(label))
            of = asked[label.task_id]
            told = of.screen == "pairwise" or (of.screen == "ranking" and of.named)
            if of.gold is None and told:
                for verdict in label_verdicts(label):
                    tasks.append(label.task_id)
                    places.append(answered[label.task_id])
                    yield replace(verdict, judge=PEOPLE)
                answered[label.task_id] += label.answer is not None

    table = make_table(passing())
    return said, HumanVerdicts(table, np.array(tasks, np.int64), np.array(places, np.int64))


def _notes(
    groups: Sequence[MeasuredTasks],
    answers: Mapping[int, Sequence[CompactLabel]],
    study: Study,
    judges: Sequence[VerdictGroup],
    compared: bool,
) -> Iterator[str]:
    screens = {group.screen for group in groups}
    if not groups:
        yield "There are no tasks yet: evalkit annotate --data FILE adds them."
    elif not compared:
        pairs = screens & {"pairwise", "ranking"}
        yield (
            "No win rate yet: nobody has compared two answers."
            if pairs
            else "No win rate: it takes the screen pairwise or ranking, on which two answers are compared."
        )
    if any(group.screen in ("best", "ranking") and not all(group.systems or ("",)) for group in groups):
        yield "Some answers are shown together without the names of their systems, of which no table tells."
    more = sum(len(told) > study.overlap + study.tiebreak for told in answers.values())
    if more:
        yield (
            f"Tasks with more answers than are asked for (overlap {study.overlap}), such as imported ones: "
            f"{more:,}; win rates are read from the first of each, and a raised overlap counts more."
        )
    elif study.overlap < 2 and groups:
        yield "No task is given to two people (overlap 1), so that only a raised overlap tells agreement."
    if judges and not screens & {"pairwise", "ranking"} and groups:
        yield "Verdicts of judges are held against people's on comparisons only; there are none here."
