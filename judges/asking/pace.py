"""Pace, when the next call to an endpoint may begin: slots, limits a minute, and pauses that it asks for."""

import asyncio
import time

from judges.asking.backoff import Backoff
from judges.asking.config import AskingConfig
from judges.asking.limits import Entry, Slots, Window


class Pace:
    """The pace at which one endpoint is asked; what was learnt of it holds for all runs of a process."""

    def __init__(self, config: AskingConfig, backoff: Backoff) -> None:
        self.slots = Slots(config.concurrency)
        self.backoff = backoff
        self._requests = Window(config.requests_per_minute)
        self._tokens = Window(config.tokens_per_minute)
        self._closed_until = 0.0
        self._overloads = 0
        self._order = asyncio.Lock()

    def renew(self) -> None:
        """Make ready for another event loop, to which a lock is bound."""
        self._order = asyncio.Lock()

    async def admit(self, tokens: int) -> Entry:
        """Wait, in the order of coming, until a call of about so many tokens may begin.

        Returns:
            What it takes of the tokens a minute, for `settle`.
        """
        async with self._order:
            while (wait := self._wait(tokens, time.monotonic())) > 0:
                await asyncio.sleep(wait)
            now = time.monotonic()
            self._requests.begin(1, now)
            return self._tokens.begin(tokens, now)

    def answered(self, entry: Entry, tokens: int) -> None:
        """Learn of an answer and, where the endpoint counts, of how many tokens it took."""
        self._overloads = 0
        self.slots.succeeded()
        if tokens:
            self._tokens.settle(entry, tokens)

    def overloaded(self, halvings: int, retry_after: float | None) -> None:
        """Learn that the endpoint is asked too much.

        Where it says for how long, no call begins until then. Where it does not (0 is no time), a first time
        halves the calls in flight; further ones with no answer in between pause them too, each longer than
        the last.
        """
        news = self.slots.overloaded(halvings)
        self._overloads += news
        pause = retry_after or 0.0
        if not retry_after and news and self._overloads > 1:
            pause = self.backoff.delay("", self._overloads - 1)
        self._closed_until = max(self._closed_until, time.monotonic() + pause)

    def _wait(self, tokens: int, now: float) -> float:
        windows = max(self._requests.wait(1, now), self._tokens.wait(tokens, now))
        return max(windows, self._closed_until - now)
