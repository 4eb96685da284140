"""Endpoint, whom a judge's questions go to, and the three ways in which a call to it fails."""

from dataclasses import dataclass
from typing import Literal

from rewards.errors import EvalkitError


class EndpointError(EvalkitError, ConnectionError):
    """An endpoint that cannot be asked as configured; the message names it, the model and the remedy."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model at one address."""

    url: str
    model: str

    def error(self, what: str, remedy: str) -> EndpointError:
        """Return the error that says, in one line, what is wrong and how to mend it."""
        return EndpointError(f"{self.url}, model {self.model}: {what}; {remedy}")

    def refusal(self, detail: str) -> EndpointError:
        """Return the error for an endpoint that will not take requests such as ours."""
        options = "the judge's answer=, logprobs=, temperature=, max_tokens="
        return self.error(f"the request is refused ({detail})", f"ask for what the model offers ({options})")


@dataclass
class CallFailedError(Exception):
    """A call without a usable reply, which may be made again."""

    detail: str
    overloaded: bool = False
    """The endpoint says, or shows by its silence, that it is asked too much."""
    retry_after: float | None = None
    """Seconds after which the endpoint wants to be asked again."""
    reached: bool = True
    """Whether the endpoint was there at all."""
    charged: bool = False
    """Whether it may cost, as what was cut off after it was sent does."""


@dataclass
class RejectedError(Exception):
    """A no to one question, which asking again would not change."""

    detail: str
    state: Literal["refused", "api_failed"]
    certain: bool
    """Whether it is surely about this question; else every other may meet the same."""
