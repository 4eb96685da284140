"""Session, shared by the judges of one run: settings, open ledger, prices and budget."""

import os
from dataclasses import dataclass
from typing import Self

from judges.asking.config import AskingConfig
from judges.asking.endpoint import Endpoint, public_address
from judges.asking.prices import Prices, Spending
from judges.ledger.ledger import Ledger

OPENAI = "https://api.openai.com/v1"


@dataclass(frozen=True)
class Session:
    """The settings, ledger, prices and budget that the judges of one run share."""

    config: AskingConfig
    ledger: Ledger
    prices: Prices
    spending: Spending
    axis: str = ""
    """The quality to judge, such as `harmless`; empty is overall."""
    repeat: int = 0
    """Number of an independent repetition of every question."""

    @classmethod
    def open(cls, config: AskingConfig | None = None) -> Self:
        """Open the ledger and the price file that a configuration names.

        Raises:
            DataError: Either is damaged, or of another version.
            MissingFileError: There is no such price file.
        """
        config = config or AskingConfig()
        prices = Prices.load(config.prices)
        return cls(config, Ledger(config.ledger or ":memory:"), prices, Spending(config.budget))

    def endpoint(self, base_url: str = "") -> str:
        """Return the address that is asked: given, configured, of the environment, or OpenAI's.

        It is what questions are known by, and so without a user, a password and a query.

        Raises:
            ConfigError: It is no address of http or https.
        """
        return public_address(self._address(base_url))

    def reach(self, model: str, base_url: str = "") -> Endpoint:
        """Return how a model is reached at that address, with all that the address holds.

        Raises:
            ConfigError: It is no address of http or https.
        """
        return Endpoint.at(self._address(base_url), model)

    def _address(self, base_url: str) -> str:
        return base_url or self.config.base_url or os.environ.get("OPENAI_BASE_URL", "") or OPENAI
