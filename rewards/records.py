"""Generation, Preference, Ranking, StepLabels, SpanLabels, Score: frozen, tensor-free."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeAlias

from rewards.errors import DataError


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, rendered by a model's own chat template."""

    role: str
    content: str

    def __post_init__(self) -> None:
        _check_text("a message's role", self.role, "")
        _check_text("a message's content", self.content, "")


Prompt: TypeAlias = str | tuple[Message, ...]
"""A text that the response continues, or messages that a chat template renders."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A response to a prompt.

    `steps`, where given, join to `response` with the separators they carry. Columns without a field
    are kept in `extra` and written back with the record.
    """

    prompt: Prompt
    response: str
    steps: tuple[str, ...] = ()
    id: str = ""
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _check_prompt(self.prompt, self.id)
        _check_text("response", self.response, self.id)
        if type(self.steps) is not tuple:
            _make_tuple(self, "steps", self.steps, self.id)
        if self.steps and "".join(self.steps) != self.response:
            raise DataError(f"{_named(self.id)}steps do not join to the response {_short(self.response)}")


@dataclass(frozen=True, slots=True)
class Preference:
    """Two responses to one prompt, of which `chosen` is better; `margin` says by how much, in raw logits."""

    prompt: Prompt
    chosen: str
    rejected: str
    margin: float = 0.0
    id: str = ""
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _check_prompt(self.prompt, self.id)
        _check_text("chosen", self.chosen, self.id)
        _check_text("rejected", self.rejected, self.id)
        _check_number("margin", self.margin, self.id)

    def swap(self) -> "Preference":
        """Return the pair with its sides exchanged, and the margin's sign with them."""
        return Preference(self.prompt, self.rejected, self.chosen, -self.margin, self.id, self.extra)


@dataclass(frozen=True, slots=True)
class Ranking:
    """K responses to one prompt and their ranks: 1 is best, equal ranks are ties."""

    prompt: Prompt
    responses: tuple[str, ...]
    ranks: tuple[int, ...]
    id: str = ""
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _check_prompt(self.prompt, self.id)
        _make_tuple(self, "responses", self.responses, self.id)
        _make_tuple(self, "ranks", self.ranks, self.id)
        if len(self.responses) < 2:
            raise DataError(
                f"{_named(self.id)}a ranking needs 2 responses or more, got {len(self.responses)}"
            )
        if len(self.responses) != len(self.ranks):
            raise DataError(f"{_named(self.id)}{len(self.responses)} responses but {len(self.ranks)} ranks")
        for response in self.responses:
            _check_text("responses", response, self.id)
        object.__setattr__(self, "ranks", tuple(_rank(rank, self.id) for rank in self.ranks))


@dataclass(frozen=True, slots=True)
class StepLabels:
    """A solution's steps and their labels: 1 right, 0 wrong, between for soft labels, None unlabelled."""

    prompt: Prompt
    steps: tuple[str, ...]
    labels: tuple[float | None, ...]
    id: str = ""
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _check_prompt(self.prompt, self.id)
        _make_tuple(self, "steps", self.steps, self.id)
        _make_tuple(self, "labels", self.labels, self.id)
        if len(self.steps) != len(self.labels):
            raise DataError(f"{_named(self.id)}{len(self.steps)} steps but {len(self.labels)} labels")
        for step in self.steps:
            _check_text("steps", step, self.id)
        object.__setattr__(self, "labels", tuple(_label(label, self.id) for label in self.labels))


@dataclass(frozen=True, slots=True)
class Span:
    """A span of a response by character offsets, `end` exclusive, with its aspect and label."""

    start: int
    end: int
    aspect: str
    label: float

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise DataError(f"a span needs 0 <= start <= end, got start {self.start!r}, end {self.end!r}")
        _check_text("aspect", self.aspect, "")
        _check_number("label", self.label, "")


@dataclass(frozen=True, slots=True)
class SpanLabels:
    """A response and its labelled spans."""

    prompt: Prompt
    response: str
    spans: tuple[Span, ...]
    id: str = ""
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _check_prompt(self.prompt, self.id)
        _check_text("response", self.response, self.id)
        _make_tuple(self, "spans", self.spans, self.id)
        for span in self.spans:
            if not isinstance(span, Span):
                raise DataError(f"{_named(self.id)}spans are of Span, got {span!r}")
            if span.end > len(self.response):
                raise DataError(
                    f"{_named(self.id)}span end {span.end} is past the response's end, {len(self.response)}"
                )


@dataclass(frozen=True, slots=True)
class Score:
    """How good a generation is: higher is better, never NaN; with scores of steps or aspects, if any."""

    value: float
    steps: tuple[float, ...] = ()
    spans: tuple[Span, ...] = ()
    aspects: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, number in (("value", self.value), *(("steps", step) for step in self.steps)):
            if _is_nan(name, number):
                raise DataError(f"a score's {name} is never NaN; raise ScoringError where there is none")
        for aspect, number in self.aspects.items():
            if _is_nan(f"aspect {aspect!r}", number):
                raise DataError(f"a score's aspect {aspect!r} is never NaN")


Record: TypeAlias = Generation | Preference | Ranking | StepLabels | SpanLabels


def prompt_key(prompt: Prompt) -> str:
    """Return one text per distinct prompt, to group records by."""
    if isinstance(prompt, str):
        return prompt
    # Unit and record separators cannot be confused with a role or the end of a content.
    return "\x1e".join(f"{message.role}\x1f{message.content}" for message in prompt)


def prompt_hash(prompt: Prompt, size: int = 8) -> bytes:
    """Return a hash of `size` bytes that is one per distinct prompt."""
    return text_hash(prompt_key(prompt), size)


def text_hash(text: str, size: int = 8) -> bytes:
    """Return a hash of `size` bytes of a text, which may hold half of a surrogate pair."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()


def _named(record_id: str) -> str:
    return f"id {record_id!r}: " if record_id else ""


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _make_tuple(record: object, name: str, value: object, record_id: str) -> None:
    """Set a field to a tuple of a list or array, so that a frozen record is immutable."""
    if type(value) is tuple:
        return
    plain = _plain(value, "tolist")
    if not isinstance(plain, list | tuple):
        raise DataError(f"{_named(record_id)}{name} is a list or a tuple, got {_short(str(value))}")
    object.__setattr__(record, name, tuple(plain))


def _plain(value: object, method: str = "item") -> object:
    """Return the Python value of a numpy or torch scalar, any other value unchanged."""
    convert: Callable[[], object] | None = getattr(value, method, None)
    return convert() if convert else value


def _rank(value: object, record_id: str) -> int:
    plain = _plain(value)
    if isinstance(plain, bool) or not isinstance(plain, int) or plain < 1:
        raise DataError(f"{_named(record_id)}a rank is a whole number from 1, got {value!r}")
    return plain


def _label(value: object, record_id: str) -> float | None:
    plain = _plain(value)
    if plain is None:
        return None
    if isinstance(plain, bool):
        return float(plain)
    if not isinstance(plain, int | float) or not 0 <= plain <= 1:
        raise DataError(f"{_named(record_id)}a step label is None or in [0, 1], got {value!r}")
    return plain


def _is_nan(name: str, number: float) -> bool:
    try:
        return math.isnan(number)
    except TypeError:
        raise DataError(f"a score's {name} is a number, got {number!r}") from None


def _check_prompt(prompt: object, record_id: str) -> None:
    if isinstance(prompt, str):
        return
    if isinstance(prompt, tuple) and prompt and all(isinstance(message, Message) for message in prompt):
        return
    got = _short(str(prompt))
    raise DataError(f"{_named(record_id)}prompt is a text or a non-empty tuple of Message, got {got}")


def _check_text(name: str, value: object, record_id: str) -> None:
    if not isinstance(value, str):
        raise DataError(f"{_named(record_id)}{name} is a text, got {value!r}")


def _check_number(name: str, value: object, record_id: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{_named(record_id)}{name} is a finite number, got {value!r}")
