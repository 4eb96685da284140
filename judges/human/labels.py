"""Records of the store: annotators, the task in hand, posts, and the labels that stand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from judges.human.answers import Answer
from judges.human.tasks import Task

PostedKind = Literal["answer", "skip", "draft"]


@dataclass(frozen=True, slots=True)
class Annotator:
    """A person who signs in by a personal link."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Given:
    """A task in an annotator's hands."""

    handle: str
    """What the page and its posts call it: random, and known to nobody else."""
    task: Task
    task_id: int
    shown: tuple[int, ...]
    """For each place on the page, the index of the response in the task."""
    draft: Mapping[str, object] = field(default_factory=dict)
    """What was last kept of the page, as shown: `answer` (may be unfinished), `comment` and `seconds`."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What an annotator's page sends about the task in hand."""

    kind: PostedKind
    nonce: str
    """Names this one act, so that what is sent twice counts once."""
    answer: Mapping[str, object] | None = None
    """Told as shown; None for a skip; of a draft whatever the page has."""
    comment: str = ""
    seconds: float = 0.0
    """Spent with the page in view, as the page counts them."""


@dataclass(frozen=True, slots=True)
class Label:
    """What one annotator says of one task, as far as it stands: withdrawn answers are no labels."""

    task_id: int
    task: Task
    annotator: str
    answer: Answer | None
    """Told as the task is; None where it was skipped."""
    shown: tuple[int, ...]
    comment: str
    seconds: float
    time: float
    """Seconds since 1970, UTC."""
    nonce: str
    """Names the event, in every store that it is carried to."""
    imported: bool = False


@dataclass(frozen=True, slots=True)
class AnnotatorProgress:
    """Progress of an annotator and of the study."""

    done: int
    """Tasks this annotator has answered or skipped, planted checks among them."""
    answers: int
    """Answers that stand to tasks proper, of everybody."""
    wanted: int
    """Answers that are wanted in all."""
