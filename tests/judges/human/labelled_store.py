"""People who label all that a store gives them, for tests."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from judges.human.answers import Answer, as_payload, as_shown
from judges.human.labels import Posted
from judges.human.store import Store
from judges.human.study import Study
from judges.human.tasks import Task

Says = Callable[[Task], Answer | None]
"""A person: what they answer to a task as it was given, None where they skip it."""


def label_all(path: Path, people: Mapping[str, Says], tasks: Sequence[Task] = (), overlap: int = 0) -> None:
    """Let people answer whatever a store gives them, each `number + 1` seconds a task, by the order in it."""
    ticks = itertools.count(1_700_000_000)
    with Store(str(path), clock=lambda: float(next(ticks))) as store:
        store.add_tasks(tasks)
        store.set_study(Study(overlap=overlap or len(people)))
        for name, says in people.items():
            annotator = store.invite(name).annotator
            for number in itertools.count():
                given = store.next_task(annotator)
                if given is None:
                    break
                answer = says(given.task)
                told = None if answer is None else as_payload(as_shown(answer, given.shown))
                kind = "skip" if answer is None else "answer"
                nonce = f"{annotator.id}-{number}"
                assert store.record(annotator, given.handle, Posted(kind, nonce, told, "", 1.0 + number))
