"""How judges that are asked over the network are reached: endpoint, ledger, limits, money."""

from dataclasses import dataclass, field, replace
from typing import TypeVar

from judges.asking.endpoint import public_address
from rewards.errors import ConfigError

Asking = TypeVar("Asking", bound="AskingConfig")


@dataclass(frozen=True)
class AskingConfig:
    """How a judge is asked."""

    ledger: str = ""
    """SQLite file that keeps every reply; empty keeps them in memory only."""
    base_url: str = field(default="", repr=False)
    """Address of an OpenAI-compatible endpoint; empty reads OPENAI_BASE_URL, then takes OpenAI's own. A user
    and password in it are sent in place of a key, a query with each call; neither is stored."""
    api_key: str = field(default="", repr=False)
    """Key of the endpoint, never stored; empty reads OPENAI_API_KEY."""
    concurrency: int = 16
    """Most calls in flight; fewer are kept there while the endpoint says that it is too much."""
    requests_per_minute: int = 0
    """Most calls begun in a minute; 0 sets no limit."""
    tokens_per_minute: int = 0
    """Most tokens sent and received in a minute; 0 sets no limit."""
    timeout: float = 120.0
    """Seconds after which a call without a whole reply is given up and repeated."""
    tries: int = 6
    """Most calls for one question before it counts as failed."""
    budget: float | None = None
    """Money that may be spent, by the price file; 0 takes only what the ledger holds."""
    prices: str = ""
    """YAML file of prices; empty takes the one that comes with the package."""
    retry_failed: bool = False
    """Ask again what the ledger says has failed."""

    def __post_init__(self) -> None:
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
    """Return what of a configuration may be stored: no key; an address without user, password and query.

    A function, as the command line takes a configuration's methods for commands.

    Raises:
        ConfigError: The address is none of http or https.
    """
    return replace(config, api_key="", base_url=config.base_url and public_address(config.base_url))
