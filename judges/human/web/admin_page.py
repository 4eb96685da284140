"""The admin view's pages: the figures of a study, and the tasks on which people disagree."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from judges.human.figures.numbers import JudgeWord, Numbers, NumbersSource, text_digest
from judges.human.figures.splits import Split
from judges.human.labels import Label
from judges.human.tasks import Task
from judges.human.web.admin_words import answer_words, bar, names_of, response_name
from judges.human.web.figure_rows import (
    agreement_rows,
    annotator_rows,
    compared_rows,
    quality_tables,
    stages,
    tiles,
)
from judges.human.web.rendering import render
from rewards.records import Message

PER_PAGE = 10
"""Tasks on one page of the disagreements."""


class TaskReader(Protocol):
    """What the pages ask of a store."""

    def tasks(self, ids: Iterable[int] | None = None) -> Iterator[tuple[int, Task]]:
        """Yield tasks by number."""
        ...

    def labels(self, task_ids: Iterable[int] | None = None) -> Iterator[Label]:
        """Yield the labels that stand on some tasks."""
        ...


@dataclass(frozen=True)
class AdminPage:
    """What `admin.html`, `numbers.html` and `disagreements.html` are filled with."""

    numbers: NumbersSource
    store: TaskReader

    def overview(self) -> dict[str, object]:
        """Return the context of `admin.html`, and of the part `numbers.html` that is fetched again."""
        return overview(self.numbers())

    def disagreements(self, page: int) -> dict[str, object]:
        """Return the context of `disagreements.html`; a page that there is not is the nearest there is."""
        numbers = self.numbers()
        pages = max(1, -(-len(numbers.splits) // PER_PAGE))
        page = min(max(1, page), pages)
        chosen = numbers.splits[(page - 1) * PER_PAGE : page * PER_PAGE]
        ids = [split.task_id for split in chosen]
        tasks = dict(self.store.tasks(ids)) if ids else {}
        labels: dict[int, list[Label]] = {}
        for label in self.store.labels(ids) if ids else ():
            labels.setdefault(label.task_id, []).append(label)
        items = [
            self._item(split, tasks[split.task_id], labels.get(split.task_id, []))
            for split in chosen
            if split.task_id in tasks
        ]
        return {
            "study": numbers.title,
            "page": page,
            "pages": pages,
            "total": len(numbers.splits),
            "first": (page - 1) * PER_PAGE + 1,
            "items": items,
        }

    def _item(self, split: Split, task: Task, labels: Sequence[Label]) -> dict[str, object]:
        words = self.numbers.judge_words(task.prompt, task.responses) if len(task.responses) == 2 else ()
        return {
            "id": task.id or f"task {split.task_id}",
            "apart": bar(split.apart),
            "screen": task.screen,
            "axis": task.axis,
            "prompt": [{"role": turn.role, "html": render(turn.content)} for turn in _turns(task)],
            "answers": [
                {"name": response_name(task, place), "html": render(text)}
                for place, text in enumerate(task.responses)
            ],
            "steps": [
                {"html": render(step), "said": _step_words(labels, place)}
                for place, step in enumerate(task.steps)
            ],
            "said": [
                {
                    "annotator": label.annotator,
                    "words": answer_words(task, label.answer),
                    "comment": label.comment,
                    "seconds": round(label.seconds),
                }
                for label in labels
            ],
            "judges": [{"judge": one.judge, "words": _judge_words(task, one)} for one in words],
        }


def overview(numbers: Numbers) -> dict[str, object]:
    """Return the context of the figures."""
    return {
        "study": numbers.title,
        "made": time.strftime("%H:%M:%S UTC", time.gmtime(numbers.time)),
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(numbers.time)),
        "level": f"{numbers.level:.0%}",
        "width": f"{100 * numbers.width:g}",
        "tiles": tiles(numbers.counts),
        "stages": stages(numbers.counts),
        "tasks": f"{numbers.counts.tasks:,}",
        "checks": f"{numbers.counts.checks:,}",
        "compared": compared_rows(numbers),
        "judged": numbers.judged,
        "qualities": quality_tables(numbers.qualities),
        "agreement": agreement_rows(numbers.agreement),
        "annotators": annotator_rows(numbers.annotators),
        "splits": len(numbers.splits),
        "notes": numbers.notes,
    }


def _turns(task: Task) -> Sequence[Message]:
    return (Message("user", task.prompt),) if isinstance(task.prompt, str) else task.prompt


def _step_words(labels: Sequence[Label], place: int) -> Mapping[str, str]:
    """Return who called a step what."""
    found = {}
    for label in labels:
        told = getattr(label.answer, "labels", ())
        if place < len(told) and told[place] is not None:
            found[label.annotator] = told[place]
    return found


def _judge_words(task: Task, word: JudgeWord) -> str:
    if word.better is None:
        return "a tie"
    better = [text_digest(text) for text in task.responses].index(word.better)
    return f"{names_of(task)[better]} is better"
