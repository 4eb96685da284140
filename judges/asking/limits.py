"""Rate limits of an endpoint: adaptive concurrency, calls and tokens per minute, and pauses."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass

from judges.asking.backoff import Backoff
from judges.asking.config import AskingConfig

MINUTE = 60.0


@dataclass(slots=True)
class Entry:
    """What one call takes of a window."""

    time: float
    amount: float


class Window:
    """A sliding window: no more than a limit within any 60 seconds.

    It reads no clock: the time is an argument, in seconds, and never runs backwards.
    """

    def __init__(self, limit: float, period: float = MINUTE) -> None:
        self.limit = limit
        """0 sets no limit."""
        self._period = period
        self._entries: deque[Entry] = deque()
        self._total = 0.0

    def wait(self, amount: float, now: float) -> float:
        """Return the seconds until an amount fits; 0 says that it does.

        An amount above the limit fits when the window is empty, else it would never be asked.
        """
        if not self.limit:
            return 0.0
        self._forget(now)
        free = self.limit - self._total
        if not self._entries or amount <= free:
            return 0.0
        for entry in self._entries:
            free += entry.amount
            last = entry
            if amount <= free:
                break
        return max(0.0, last.time + self._period - now)

    def begin(self, amount: float, now: float) -> Entry:
        """Take an amount from now on; `settle` corrects it to what was used."""
        entry = Entry(now, amount)
        if self.limit:
            self._entries.append(entry)
            self._total += amount
        return entry

    def settle(self, entry: Entry, amount: float) -> None:
        """Replace a call's estimated amount by its actual amount."""
        # An entry that has left the window is no longer part of the total.
        if self._entries and entry.time >= self._entries[0].time:
            self._total += amount - entry.amount
        entry.amount = amount

    def _forget(self, now: float) -> None:
        while self._entries and self._entries[0].time + self._period <= now:
            self._total -= self._entries.popleft().amount
        if not self._entries:
            self._total = 0.0


class Slots:
    """Adaptive concurrency: halved when the endpoint reports overload, then one call more a round.

    Additive increase, multiplicative decrease, as in TCP's congestion avoidance. Used by one event loop at
    a time; its state carries over from one to the next.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(most)
        """At least 1; its whole part is what may be in flight."""
        self.used = 0
        self._halvings = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> int:
        """Wait for a slot, first come first served; return what `overloaded` wants to know of its call."""
        if self.used >= int(self.limit) or self._waiting:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.release()  # the slot was given in the moment of the cancellation
                elif turn in self._waiting:
                    self._waiting.remove(turn)
                raise
        else:
            self.used += 1
        return self._halvings

    def release(self) -> None:
        """Give a slot back."""
        self.used -= 1
        self._hand_out()

    def succeeded(self) -> None:
        """Record a successful call."""
        self.limit = min(self.most, self.limit + 1 / self.limit)
        self._hand_out()

    def overloaded(self, halvings: int) -> bool:
        """Record an overload; return whether it halved the concurrency.

        Args:
            halvings: What `acquire` returned for it. Calls that began before the last halving say nothing
                of the load since, so a burst that is turned away halves once.
        """
        if halvings != self._halvings:
            return False
        self._halvings += 1
        self.limit = max(1.0, self.limit / 2)
        return True

    def _hand_out(self) -> None:
        while self._waiting and self.used < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self.used += 1
                turn.set_result(None)


class Pace:
    """Rate limiter of one endpoint; its state is kept for all runs of a process."""

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
        """Wait, first come first served, until a call of about this many tokens may begin.

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
        """Record an answer and, if the endpoint counts them, its tokens."""
        self._overloads = 0
        self.slots.succeeded()
        if tokens:
            self._tokens.settle(entry, tokens)

    def overloaded(self, halvings: int, retry_after: float | None) -> None:
        """Record that the endpoint is overloaded.

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
