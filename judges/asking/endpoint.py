"""Endpoint, the address that answers a judge's questions, and the three ways in which a call fails."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from rewards.errors import ConfigError, EvalkitError

OF_THE_CONTENT = ("content_filter", "content_policy_violation", "invalid_prompt", "moderation")
"""Error codes of endpoints that reject a question for its content."""

_LONGEST = 300


class EndpointError(EvalkitError, ConnectionError):
    """An endpoint that cannot be asked as configured; the message names it, the model and the remedy."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model at one address.

    What of the address is secret is used for the connection alone: `url`, which stands in keys, ledgers and
    errors, is without user, password and query.
    """

    url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Sent with each call; they hold the user and the password of the address."""
    query: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Sent with each call; of the address."""

    def __post_init__(self) -> None:
        if public_address(self.url) != self.url:
            raise ConfigError("an endpoint's url has no user, password, query or last slash; see Endpoint.at")

    @classmethod
    def at(cls, address: str, model: str) -> "Endpoint":
        """Return the endpoint of an address as it was given.

        Raises:
            ConfigError: It is no address of http or https.
        """
        parts = _split(address)
        headers = {}
        if parts.username or parts.password:
            given = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(given.encode()).decode()}"
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return cls(_public(parts), model, headers, query)

    @property
    def secret(self) -> bool:
        """Whether the address holds a secret."""
        return bool(self.headers or self.query)

    def line(self, text: str, key: str) -> str:
        """Return an endpoint's message in one line, truncated, and without secrets, which some repeat.

        Args:
            text: The message.
            key: The account's; empty is none.
        """
        tokens = [value.partition(" ")[2] for value in self.headers.values()]
        passwords = [base64.b64decode(token).decode().partition(":")[2] for token in tokens]
        for secret in (key, *tokens, *passwords, *self.query.values()):
            text = text.replace(secret, "(key)") if secret else text
        line = " ".join(text.split())
        return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."

    def error(self, what: str, remedy: str) -> EndpointError:
        """Return an error with the problem and its remedy in one line."""
        return EndpointError(f"{self.url}, model {self.model}: {what}; {remedy}")

    def refusal(self, detail: str) -> EndpointError:
        """Return the error for an endpoint that rejects requests such as ours."""
        if re.search("max_completion_tokens|temperature", detail):
            reasoning = "tokens_field=max_completion_tokens&temperature=default"
            return self.error(f"the request is refused ({detail})", f"add to the judge {reasoning}")
        options = "the judge's answer=, logprobs=, temperature=, max_tokens="
        return self.error(f"the request is refused ({detail})", f"ask for what the model offers ({options})")


@dataclass
class CallFailedError(Exception):
    """A call without a usable reply, which may be made again."""

    detail: str
    overloaded: bool = False
    """Whether the endpoint reports overload, or shows it by a timeout."""
    retry_after: float | None = None
    """The endpoint's requested wait before a retry, in seconds."""
    reached: bool = True
    """Whether the endpoint was reached."""
    charged: bool = False
    """Whether it may be charged, as a call cancelled after it was sent."""


@dataclass
class RejectedError(Exception):
    """A permanent rejection of one question; a retry would not help."""

    detail: str
    state: Literal["refused", "api_failed"]
    certain: bool
    """Whether it is certainly about this question; else every question may be rejected."""


def public_address(address: str) -> str:
    """Return an address without user, password, query and closing slash: what may be stored and printed.

    Raises:
        ConfigError: It is no address of http or https.
    """
    return _public(_split(address))


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        whole = bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", address)
        known = parts.scheme in ("http", "https") and whole
    except ValueError:  # a port that is no number, or half a bracket
        known = False
    if not known:
        shown = address.rpartition("@")[2].partition("?")[0]
        expected = "an address such as http://localhost:8000/v1 or https://HOST/v1"
        raise ConfigError(f"base_url: expected {expected}, got {shown!r}")
    return parts


def _public(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
