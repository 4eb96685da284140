"""Settings of judges behind an endpoint: address, ledger, rate limits, budget."""

from dataclasses import dataclass, field, replace
from typing import TypeVar

from judges.asking.endpoint import public_address
from rewards.config import Checked
from rewards.errors import ConfigError

Asking = TypeVar("Asking", bound="AskingConfig")


@dataclass(frozen=True)
class AskingConfig(Checked):
    """Settings of asking a judge: endpoint, ledger, rate limits, budget."""

    ledger: str = ""
    """SQLite file that keeps every reply; empty keeps them in memory only."""
    base_url: str = field(default="", repr=False)
    """Address of an OpenAI-compatible endpoint; empty reads OPENAI_BASE_URL, then takes OpenAI's own. A user
    and password in it are sent in place of a key, a query with each call; neither is stored."""
    api_key: str = field(default="", repr=False)
    """Key of the endpoint, never stored; empty reads OPENAI_API_KEY."""
    concurrency: int = 16
    """Maximum calls in flight; lowered while the endpoint is overloaded."""
    requests_per_minute: int = 0
    """Maximum calls begun per minute; 0 sets no limit."""
    tokens_per_minute: int = 0
    """Maximum tokens sent and received per minute; 0 sets no limit."""
    timeout: float = 120.0
    """Seconds after which a call without a complete reply is cancelled and retried."""
    tries: int = 6
    """Maximum calls for one question before it counts as failed."""
    budget: float | None = None
    """Maximum spending, by the price file; 0 uses only answers in the ledger."""
    prices: str = ""
    """YAML file of prices; empty takes the one that comes with the package."""
    retry_failed: bool = False
    """Ask questions again that failed before."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (
            ("concurrency", 1),
            ("tries", 1),
            ("requests_per_minute", 0),
            ("tokens_per_minute", 0),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {least} or more, got {getattr(self, name)}")
        if not self.timeout > 0:
            raise ConfigError(f"timeout is more than 0 seconds, got {self.timeout}")
        if self.budget is not None and not 0 <= self.budget < float("inf"):
            raise ConfigError(f"budget is 0 or more, got {self.budget}")


def without_secrets(config: Asking) -> Asking:
    """Return a configuration that may be stored: no key; an address without user, password and query.

    A function, as the command line takes a configuration's methods for commands.

    Raises:
        ConfigError: The address is none of http or https.
    """
    return replace(config, api_key="", base_url=config.base_url and public_address(config.base_url))
