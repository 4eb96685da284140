"""Purse, the budget of the calls in flight: reserved before each call, settled by its actual cost."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from judges.asking.prices import Prices, Spending
from judges.questions.question import Question
from judges.usage import Usage
from rewards.errors import ConfigError

LOOK_AGAIN = 0.02


@dataclass
class Bill:
    """What one call costs; None where that is not known, and then all that was set aside."""

    amount: float | None = None


class Purse:
    """Pays for the calls to one model from a run's budget."""

    def __init__(self, spending: Spending, prices: Prices, model: str) -> None:
        self._spending, self._prices, self._model = spending, prices, model
        self._held = 0
        self.empty = False
        """Whether the budget is too small for another question."""

    def cost(self, usage: Usage) -> float | None:
        """Return what a usage costs; None where the model has no price."""
        return self._prices.cost(self._model, usage)

    async def reserve(self, question: Question) -> float | None:
        """Reserve the maximum cost of a question; None if the remaining budget is too small.

        While other calls are in flight it waits for what they leave, as most cost less than was set aside.

        Raises:
            ConfigError: There is a budget, and the question's cost has no known maximum.
        """
        amount = self._most(question)
        while not self.empty and not self._spending.reserve(amount):
            if not self._held:
                self.empty = True
            else:
                await asyncio.sleep(LOOK_AGAIN)
        if self.empty:
            return None
        self._held += 1
        return amount

    @contextmanager
    def paying(self, reserved: float) -> Iterator[Bill]:
        """Settle, when the block ends, what was set aside for the call in it."""
        bill = Bill()
        try:
            yield bill
        finally:
            self._held -= 1
            self._spending.settle(reserved, bill.amount)

    def _most(self, question: Question) -> float:
        if self._spending.budget is None:
            return 0.0
        amount = self._prices.most(self._model, question)
        if amount is None:
            raise ConfigError(
                f"budget: {self._prices.file} has no price of {self._model}, or its questions no max_tokens; "
                "add them, or set no budget, which cannot be kept without"
            )
        return amount
