"""What statistics need of tasks and labels: no texts, so that very many fit in memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from judges.human.answers import Answer
from judges.human.labels import Label
from judges.human.tasks import Task
from judges.verdicts.annotation import PROMPT_ID
from rewards.records import prompt_hash


@dataclass(frozen=True, slots=True)
class CompactTask:
    """What a task asks, without its texts."""

    id: int
    screen: str
    axis: str
    prompt: int
    """64 bits of a hash of the prompt: equal ones are one cluster."""
    responses: int
    systems: tuple[str, ...]
    """Who wrote each response; empty where that is not known."""
    aspects: tuple[str, ...]
    gold: Answer | None
    """Of a planted check the answer that is known."""

    @property
    def kind(self) -> tuple[str, str]:
        """Screen and axis."""
        return self.screen, self.axis

    @property
    def named(self) -> bool:
        """Whether it is known who wrote each response."""
        return all(self.systems or ("",))


@dataclass(frozen=True, slots=True)
class CompactLabel:
    """A label, without its task."""

    task_id: int
    annotator: str
    answer: Answer | None
    """None where the task was skipped."""
    shown: tuple[int, ...]
    seconds: float
    time: float
    imported: bool


def compact_task(task_id: int, task: Task) -> CompactTask:
    """Return what is kept of a task."""
    name = task.extra.get(PROMPT_ID)
    digest = prompt_hash(task.prompt if name is None else str(name))
    return CompactTask(
        task_id,
        task.screen,
        task.axis,
        int.from_bytes(digest, "little", signed=True),
        len(task.responses),
        task.systems,
        task.aspects,
        task.gold,
    )


def compact_label(label: Label) -> CompactLabel:
    """Return what is kept of a label."""
    return CompactLabel(
        label.task_id,
        label.annotator,
        label.answer,
        label.shown,
        label.seconds,
        label.time,
        label.imported,
    )


def by_task(said: Iterable[CompactLabel], asked: Mapping[int, CompactTask]) -> dict[int, list[CompactLabel]]:
    """Return the answers to each task proper, those given first before others; skips are none."""
    found: dict[int, list[CompactLabel]] = {}
    for one in said:
        if one.answer is not None and asked[one.task_id].gold is None:
            found.setdefault(one.task_id, []).append(one)
    return found


def kinds_of(asked: Iterable[CompactTask]) -> Sequence[tuple[str, str]]:
    """Return the screens and axes that tasks proper have, sorted."""
    return sorted({one.kind for one in asked if one.gold is None})
