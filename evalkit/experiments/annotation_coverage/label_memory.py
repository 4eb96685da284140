"""Labels of simulated annotators in memory, in place of a database: what a study's figures are read from."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from evalkit.experiments.simulated_annotators.world import PEOPLE, Person, left_is_better
from judges.human.answers import PairwiseAnswer, as_given
from judges.human.assignment import order_shown, random_order
from judges.human.labels import Annotator, AnnotatorProgress, Label
from judges.human.study import Study
from judges.human.tasks import Task, TaskState


@dataclass
class Memory:
    """What a store would hold; the part of it that figures are read from."""

    settings: Study
    asked: dict[int, Task]
    said: list[Label] = field(default_factory=list)

    def study(self) -> Study:
        """Return the settings."""
        return self.settings

    def tasks(self, ids: Sequence[int] | None = None) -> Iterator[tuple[int, Task]]:
        """Yield tasks by number."""
        yield from ((number, self.asked[number]) for number in (self.asked if ids is None else ids))

    def task_states(self) -> list[TaskState]:
        """Return how far each task is."""
        answers, skips = (dict.fromkeys(self.asked, 0) for _ in range(2))
        for label in self.said:
            (skips if label.answer is None else answers)[label.task_id] += 1
        seed, wanted = self.settings.seed, self.settings.overlap
        return [
            TaskState(
                id=number,
                gold=task.gold is not None,
                priority=task.priority,
                order=random_order(seed, task.key),
                answers=answers[number],
                wanted=0 if task.gold is not None else wanted,
                skipped=skips[number],
                held=0,
            )
            for number, task in self.asked.items()
        ]

    def annotators(self) -> list[Annotator]:
        """Return everybody."""
        return [Annotator(number, person.name) for number, person in enumerate(PEOPLE)]

    def labels(self) -> Iterator[Label]:
        """Yield the labels, the oldest first."""
        yield from self.said

    def last_event(self) -> int:
        """Return how many there are."""
        return len(self.said)

    def progress(self, annotator: Annotator) -> AnnotatorProgress:
        """Return how many answers there are, and are wanted."""
        done = sum(label.annotator == annotator.name for label in self.said)
        return AnnotatorProgress(done, len(self.said), self.settings.overlap * len(self.asked))

    def answer(self, number: int, person: Person, chance: random.Random) -> None:
        """Let somebody say what they say of a task, as they see it."""
        task = self.asked[number]
        shown = order_shown(self.settings.seed, person.name, task.key, 2)
        better, kind = left_is_better(*(task.responses[place] for place in shown))
        said = person.says(better, kind, chance)
        answer = None if said is None else as_given(PairwiseAnswer(said), shown)
        name = f"{len(self.said)}"
        self.said.append(Label(number, task, person.name, answer, shown, "", 1.0, float(name), name))
