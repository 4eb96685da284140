"""Question to a judge, keyed by its content; and Attempt, the outcome of asking it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Literal, get_args

from judges.usage import NO_USAGE, Usage
from rewards.errors import DataError
from rewards.records import Message

State = Literal["ok", "parse_failed", "refused", "api_failed", "skipped"]

STATES: tuple[str, ...] = get_args(State)

AnswerKind = Literal["pairwise", "grade"]
AnswerStyle = Literal["text", "letter", "schema"]


@dataclass(frozen=True)
class AnswerForm:
    """The answer format of a reply, which decides how it is parsed."""

    kind: AnswerKind = "pairwise"
    """Pairwise chooses a side; grade gives whole numbers."""
    style: AnswerStyle = "text"
    """Text ends with [[A]] (or [[7]]); letter is nothing but the letter; schema is JSON of a given schema."""
    ties: bool = True
    """Whether a pairwise reply may say that the two are equal."""
    criteria: tuple[str, ...] = ()
    """Names of the qualities that a grade is given for, one grade each; none is one grade overall."""
    low: int = 1
    """Least grade."""
    high: int = 10
    """Greatest grade."""


@dataclass(frozen=True)
class Question:
    """One question to a judge; equal contents are one question, whoever asks."""

    judge: str
    """The judge, such as `openai:MODEL`, or a scorer's specification."""
    endpoint: str
    """A base URL, or a fingerprint of a local model's files."""
    messages: tuple[Message, ...]
    """The texts exactly as sent, with the responses in the order shown."""
    form: AnswerForm
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Everything else of the request, such as temperature and max_tokens."""
    repeat: int = 0
    """Number of an independent repetition."""

    @cached_property
    def key(self) -> str:
        """Hash of the whole content; never of a key of an account, which no question holds."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    @cached_property
    def text(self) -> str:
        """The content as canonical JSON, from which `from_text` makes an equal question."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "Question":
        """Return the question whose `text` this is.

        Raises:
            DataError: The text is not a question's.
        """
        try:
            values = json.loads(text)
            form = values["form"]
            form["criteria"] = tuple(form["criteria"])
            values["form"] = AnswerForm(**form)
            values["messages"] = tuple(Message(**message) for message in values["messages"])
            return cls(**values)
        except (ValueError, KeyError, TypeError):
            raise DataError(f"not a question: {text[:60]!r}") from None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of asking a question once."""

    key: str
    """The question's."""
    state: State
    result: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Where ok: `winner` and, where known, `preference` (that the response shown first is better); or
    `grades`, one number for each criterion, `overall` where there is none."""
    reply: str = ""
    """The raw reply, kept in every state."""
    detail: str = ""
    """Why it is not ok."""
    usage: Usage = NO_USAGE
    time: str = ""
    """When the reply came, ISO 8601, UTC."""

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise DataError(f"state is one of {', '.join(STATES)}, got {self.state!r}")
        if (self.state == "ok") != bool(self.result):
            raise DataError(
                f"an attempt has a result where it is ok and only there, got state {self.state!r}"
            )
