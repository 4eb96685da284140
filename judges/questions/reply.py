"""A chat endpoint's wire format: a question as a request's body, a response's body as a Reply."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from judges.questions.question import Question
from judges.usage import NO_USAGE, Usage
from rewards.errors import DataError

_BEYOND_ALL = 1e15
"""No count and no log-probability: a number that some column or float might not hold."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a reply, with the log-probabilities (natural) of the likeliest at its place."""

    text: str
    alternatives: Mapping[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply of a chat model."""

    text: str
    refusal: str = ""
    """What the endpoint gives as a refusal, where it gives one."""
    finish: str = "stop"
    """Why the reply ends: `stop`, `length` where it was cut off, `content_filter`."""
    tokens: tuple[Token, ...] = ()
    """The reply token by token, where log-probabilities were asked for and given."""
    usage: Usage = NO_USAGE


def request_body(question: Question, model: str) -> dict[str, object]:
    """Return the JSON body of the chat completion that asks a question."""
    messages = [{"role": message.role, "content": message.content} for message in question.messages]
    return {"model": model, "messages": messages, **question.parameters}


def reply_from_body(body: object, latency: float | None = None) -> Reply:
    """Read a chat completion's JSON body.

    Args:
        body: The decoded JSON.
        latency: Seconds that the call took.

    Raises:
        DataError: The body is not a chat completion's.
    """
    if not isinstance(body, Mapping):
        raise DataError(f"the endpoint sent no JSON object but {str(body)[:80]!r}")
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, Sequence) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        raise DataError(f"the endpoint sent no choices with a message but {str(body)[:80]!r}")
    refusal = message.get("refusal")
    return Reply(
        _text(message.get("content")),
        refusal if isinstance(refusal, str) else "",
        str(choice.get("finish_reason") or "stop"),
        _tokens(choice.get("logprobs")),
        _usage(body.get("usage"), latency),
    )


def _text(content: object) -> str:
    """Return a message's words, which some endpoints give in parts, beside parts that hold thoughts."""
    if isinstance(content, str) or not isinstance(content, Sequence):
        return content if isinstance(content, str) else ""
    texts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def _tokens(logprobs: object) -> tuple[Token, ...]:
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(content, Sequence):
        return ()
    return tuple(Token(*_token(one)) for one in content if isinstance(one, Mapping))


def _token(one: Mapping[str, object]) -> tuple[str, dict[str, float]]:
    top = one.get("top_logprobs")
    listed = [entry for entry in top if isinstance(entry, Mapping)] if isinstance(top, Sequence) else []
    pairs = [(entry.get("token"), entry.get("logprob")) for entry in (*listed, one)]
    known = {token: float(value) for token, value in pairs if isinstance(token, str) and _is_number(value)}
    return str(one.get("token", "")), known


def _usage(usage: object, latency: float | None) -> Usage:
    if not isinstance(usage, Mapping):
        return Usage(latency=latency)
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else 0
    sent, received = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return Usage(_count(sent), _count(cached), _count(received), None, latency)


def _count(value: object) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value < _BEYOND_ALL else 0  # type: ignore[operator,return-value]  # a number


def _is_number(value: object) -> TypeGuard[int | float]:
    fits = isinstance(value, float) or (isinstance(value, int) and abs(value) < _BEYOND_ALL)
    return fits and not isinstance(value, bool)
