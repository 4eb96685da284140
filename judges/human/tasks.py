"""Task, a question to a person: two answers, K answers, a solution's steps, or an answer's spans."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from judges.human.answers import Answer, answer_of, as_payload
from judges.judge import Comparison
from rewards.errors import DataError
from rewards.records import Message, Prompt, prompt_key

Screen = Literal["pairwise", "best", "ranking", "steps", "spans"]

SCREENS: tuple[Screen, ...] = get_args(Screen)
"""Which of two is better; the best of K and each one's quality; the order of K; steps; spans."""


@dataclass(frozen=True, slots=True)
class Task:
    """One question to people. `systems` and `extra` may say who wrote a response, and are never on a page.

    `responses` are two for `pairwise`, two or more for `best` and `ranking`, and one for `steps` (whose
    `steps` join to it) and for `spans`. A task is oriented as it was given; what one annotator sees first is
    `judges.human.assignment.order_shown`.
    """

    screen: Screen
    prompt: Prompt
    responses: tuple[str, ...]
    steps: tuple[str, ...] = ()
    aspects: tuple[str, ...] = ()
    """What a span may be marked as, on `spans`; a name that begins with + praises, any other is a fault."""
    systems: tuple[str, ...] = ()
    """The system of each response; empty if unknown."""
    axis: str = ""
    """The quality that is judged; empty is overall."""
    repeat: int = 0
    """Number of an independent repetition of the same question."""
    id: str = ""
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)
    gold: Answer | None = None
    """The answer that is known, of a planted check; None for a task proper."""
    priority: float = 0.0
    """Priority of a label, 0 to 1: for instance the judges' disagreement."""

    def __post_init__(self) -> None:
        named = f"id {self.id!r}: " if self.id else ""
        if self.screen not in SCREENS:
            raise DataError(f"{named}unknown screen {self.screen!r}; there are {', '.join(SCREENS)}")
        for name in ("responses", "steps", "aspects", "systems"):
            if not all(isinstance(text, str) for text in getattr(self, name)):
                raise DataError(f"{named}{name} are texts, got {getattr(self, name)!r}")
        _check_count(self, named)
        if (self.screen == "steps") != bool(self.steps) or "".join(self.steps) not in ("", *self.responses):
            raise DataError(f"{named}steps go with the screen steps and join to the response")
        if (self.screen == "spans") != bool(self.aspects) or len(set(self.aspects)) < len(self.aspects):
            raise DataError(f"{named}distinct aspects go with the screen spans, got {self.aspects}")
        if self.systems and len(self.systems) != len(self.responses):
            raise DataError(f"{named}{len(self.responses)} responses but {len(self.systems)} systems")
        if not 0 <= self.priority <= 1:
            raise DataError(f"{named}priority is in [0, 1], got {self.priority!r}")

    @property
    def key(self) -> str:
        """What the task is known by: all that is asked, whichever side was given first; with its id.

        The same question under two ids is two tasks; what is not asked (systems, extra, priority) and
        whether the answer is known are no part of it.
        """
        answers = sorted(self.responses) if self.screen == "pairwise" else list(self.responses)
        told = (
            self.screen, self.id, prompt_key(self.prompt), answers, list(self.steps), list(self.aspects),
            self.axis, self.repeat, isinstance(self.prompt, str),
        )  # fmt: skip
        text = json.dumps(told, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


def comparison_task(comparison: Comparison, axis: str = "", repeat: int = 0) -> Task:
    """Return the pairwise task that asks about a comparison."""
    systems = tuple(comparison.extra.get(f"{side}_system") for side in ("first", "second"))
    named = all(isinstance(system, str) and system for system in systems)
    return Task(
        "pairwise",
        comparison.prompt,
        (comparison.first, comparison.second),
        systems=cast("tuple[str, ...]", systems) if named else (),
        axis=axis,
        repeat=repeat,
        id=comparison.id,
        extra=comparison.extra,
    )


def task_comparison(task: Task) -> Comparison:
    """Return the comparison that a pairwise task asks about, oriented as the task is."""
    if task.screen != "pairwise":
        raise DataError(f"id {task.id!r}: a task of {task.screen} compares no two answers")
    extra = dict(task.extra)
    for side, system in zip(("first", "second"), task.systems, strict=False):
        extra[f"{side}_system"] = system
    first, second = task.responses
    return Comparison(task.prompt, first, second, task.id, extra)


def task_row(task: Task) -> dict[str, object]:
    """Return a task as what JSON can hold; `task_of` reads it back."""
    prompt = task.prompt
    plain = prompt if isinstance(prompt, str) else [{"role": m.role, "content": m.content} for m in prompt]
    return {
        "screen": task.screen,
        "prompt": plain,
        "responses": list(task.responses),
        "steps": list(task.steps),
        "aspects": list(task.aspects),
        "systems": list(task.systems),
        "axis": task.axis,
        "repeat": task.repeat,
        "id": task.id,
        "extra": dict(task.extra),
        "gold": None if task.gold is None else as_payload(task.gold),
        "priority": task.priority,
    }


def task_of(row: Mapping[str, object]) -> Task:
    """Return the task of a row that `task_row` made.

    Raises:
        DataError: It is no such row.
    """
    try:
        _check_types(row)
        screen = cast(Screen, row["screen"])
        prompt = row["prompt"]
        responses, steps, aspects, systems = (
            tuple(cast("Sequence[str]", row[name])) for name in ("responses", "steps", "aspects", "systems")
        )
        plain = isinstance(prompt, str)
        turns = () if plain else tuple(Message(**turn) for turn in cast("Sequence[dict[str, str]]", prompt))
        gold = cast("Mapping[str, object] | None", row["gold"])
        return Task(
            screen,
            cast(str, prompt) if plain else turns,
            responses,
            steps,
            aspects,
            systems,
            cast(str, row["axis"]),
            cast(int, row["repeat"]),
            cast(str, row["id"]),
            cast("Mapping[str, object]", row["extra"]),
            None if gold is None else answer_of(screen, gold),
            cast(float, row["priority"]),
        )
    except (KeyError, TypeError) as error:
        raise DataError(f"not a task as this package writes it: {error!r}") from None


def turned(task: Task, first: str) -> bool:
    """Say whether a comparison whose first response is `first` has its sides the other way than its task.

    Raises:
        DataError: The task is not about that response.
    """
    if first not in task.responses:
        raise DataError(f"id {task.id!r}: the task is about other responses")
    return task.responses[0] != first


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "prompt": (str, list), "responses": list, "steps": list, "aspects": list, "systems": list, "axis": str,
    "repeat": int, "id": str, "extra": Mapping, "priority": (int, float),
}  # fmt: skip
"""Of a row's fields that nothing else checks: a page fails that is to show a text which is none."""


def _check_types(row: Mapping[str, object]) -> None:
    for name, kind in _TYPES.items():
        if not isinstance(row[name], kind) or isinstance(row[name], bool):
            raise TypeError(f"{name} is {row[name]!r:.40}")


def _check_count(task: Task, named: str) -> None:
    count = len(task.responses)
    if task.screen == "pairwise" and count != 2:
        raise DataError(f"{named}pairwise compares 2 responses, got {count}")
    if task.screen in ("best", "ranking") and count < 2:
        raise DataError(f"{named}{task.screen} needs 2 responses or more, got {count}")
    if task.screen in ("steps", "spans") and count != 1:
        raise DataError(f"{named}{task.screen} is about 1 response, got {count}")


@dataclass(frozen=True, slots=True)
class TaskState:
    """How far one task is."""

    id: int
    gold: bool
    """Whether it is a planted check."""
    priority: float
    order: int
    """Its place in the random order of all tasks."""
    answers: int
    """Answers that stand, imported ones among them."""
    wanted: int
    """0 for a check."""
    skipped: int
    """Annotators whose skip stands."""
    held: int
    """Annotators in whose hands it is."""
