"""The pace at which an endpoint is asked: slots that follow its load, limits a minute, and its pauses."""

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
    """No more than a limit within any minute, whichever minute one looks at.

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
        """Replace what a call was thought to take by what it did take."""
        # One that has left the window meanwhile is no part of the total any more.
        if self._entries and entry.time >= self._entries[0].time:
            self._total += amount - entry.amount
        entry.amount = amount

    def _forget(self, now: float) -> None:
        while self._entries and self._entries[0].time + self._period <= now:
            self._total -= self._entries.popleft().amount
        if not self._entries:
            self._total = 0.0


class Slots:
    """Calls that may be in flight: halved when the endpoint says that it is too much, then one more a round.

    Additive increase, multiplicative decrease, as in TCP's congestion avoidance. Used by one event loop at
    a time; what was learnt of the endpoint stays from one to the next.
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
        """Learn that a call went through."""
        self.limit = min(self.most, self.limit + 1 / self.limit)
        self._hand_out()

    def overloaded(self, halvings: int) -> bool:
        """Learn that a call was too much; say whether that is news.

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
