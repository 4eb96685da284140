"""Calls, the questions of one run in flight: a thread and event loop that ask, retry, pay and record."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent import futures
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from judges.asking.chat import ChatClient
from judges.asking.claims import Claims
from judges.asking.endpoint import CallFailedError, Endpoint, EndpointError, RejectedError
from judges.asking.health import Health, Pair
from judges.asking.limits import Pace
from judges.asking.money import Bill, Purse
from judges.asking.prices import estimate_tokens
from judges.asking.tally import Tally
from judges.ledger.ledger import Ledger
from judges.questions.parsing import read_reply
from judges.questions.question import Attempt, Question, State
from judges.questions.reply import Reply

LONGEST_WAIT = 900.0
"""Maximum wait in seconds that an endpoint may request; a longer one ends the run."""


@dataclass(frozen=True)
class Line:
    """State kept between the runs that ask one endpoint."""

    endpoint: Endpoint
    ledger: Ledger
    tries: int
    pace: Pace
    health: Health
    purse: Purse
    tally: Tally


class Journal:
    """Records pairs, those that gather while a transaction runs in the next one together."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._gathered: list[Pair] = []
        self._next: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def record(self, pairs: Sequence[Pair]) -> None:
        """Return when the pairs are on the disk."""
        self._gathered += pairs
        if self._next is None:
            self._next = asyncio.create_task(self._commit())
        await asyncio.shield(self._next)

    async def _commit(self) -> None:
        async with self._one_at_a_time:
            pairs, self._gathered, self._next = self._gathered, [], None
            await asyncio.to_thread(self._ledger.record, pairs)


class Calls:
    """One run's calls. All methods without an underscore are for the one thread that began it.

    A question holds its slot until its reply is committed, so that a process that is killed has received no
    more replies than it had slots without keeping them.
    """

    def __init__(self, line: Line, client: ChatClient, claims: Claims, window: int) -> None:
        """Begin the thread.

        Args:
            line: Whom to ask and how.
            client: Not used before.
            claims: Hold each question that is handed over, and are given up when it is done.
            window: Most questions handed over and not done, those that wait for a slot included.
        """
        self._line, self._client, self._claims = line, client, claims
        self._room = threading.Semaphore(window)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent: set[asyncio.Task[None] | None] = set()
        self._failure: BaseException | None = None
        self.underway: set[str] = set()
        """Keys of questions handed over and not recorded."""
        self.stopped = False
        """Whether nothing more is asked, for good."""
        line.pace.renew()
        ready = threading.Event()
        self._thread = futures.ThreadPoolExecutor(1, "judges-calls")
        self._end = self._thread.submit(asyncio.run, self._run(ready))
        ready.wait()

    def submit(self, question: Question, patience: float) -> bool:
        """Submit a question, if there is room for it within some seconds."""
        if not self._room.acquire(timeout=patience):
            return False
        self.underway.add(question.key)
        self._loop.call_soon_threadsafe(self._begin, question)
        return True

    def finish(self) -> None:
        """Signal that no question follows."""
        self._loop.call_soon_threadsafe(self._closing.set)

    def stop(self) -> None:
        """Begin no further call; those in flight end and are recorded."""
        self._loop.call_soon_threadsafe(self._stop)

    def abort(self) -> None:
        """Cancel the calls in flight."""
        self._loop.call_soon_threadsafe(self._abort)

    def wait(self, patience: float) -> bool:
        """Wait some seconds for the end; return whether it was reached.

        Raises:
            EvalkitError: What ended the run before its time.
        """
        if not futures.wait([self._end], patience).done:
            return False
        self._thread.shutdown()
        self._end.result()
        return True

    async def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        self._journal = Journal(self._line.ledger)
        ready.set()
        try:
            await self._closing.wait()
            while self._tasks:
                await asyncio.wait(self._tasks)
            if self.stopped:
                self._line.health.drop()
            else:
                await self._record(self._line.health.ended())
        finally:
            await self._client.close()
        if self._failure:
            raise self._failure

    def _begin(self, question: Question) -> None:
        if self.stopped:
            self._room.release()
            return
        task = self._loop.create_task(self._ask(question))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()
        if not task.cancelled() and (error := task.exception()):
            self._failure = self._failure or error
            self._stop()

    def _stop(self) -> None:
        self.stopped = self._line.tally.stopping = True
        for task in self._tasks - self._sent:
            task.cancel()

    def _abort(self) -> None:
        self._stop()
        for task in self._tasks:
            task.cancel()

    async def _ask(self, question: Question) -> None:
        tries = 1
        try:
            while (pause := await self._try(question, tries)) is not None and not self.stopped:
                await asyncio.sleep(pause)
                tries += 1
        finally:
            self._claims.release(question.key)

    async def _try(self, question: Question, tries: int) -> float | None:
        """Make one call; return the seconds before a retry, None if no retry is due."""
        pace, purse, tally = self._line.pace, self._line.purse, self._line.tally
        halvings = await pace.slots.acquire()
        try:
            tokens = estimate_tokens(question)
            entry = await pace.admit(tokens.sent + tokens.received)
            reserved = await purse.reserve(question)
            if reserved is None:
                tally.skipped += 1
                return None
            task = asyncio.current_task()
            self._sent.add(task)
            tally.begin_call()
            try:
                with purse.paying(reserved) as bill:
                    reply = await self._call(question, bill)
                used = reply.usage.tokens_in + reply.usage.tokens_out
                pace.answered(entry, used)
                await self._keep(question, reply)
            except CallFailedError as failure:
                return await self._failed(question, tries, halvings, failure)
            except RejectedError as rejected:
                await self._rejected(question, rejected)
            finally:
                tally.in_flight -= 1
                self._sent.discard(task)
        finally:
            pace.slots.release()
        return None

    async def _call(self, question: Question, bill: Bill) -> Reply:
        try:
            reply = await self._client.ask(question)
        except CallFailedError as failure:
            bill.amount = None if failure.charged else 0.0
            raise
        except (RejectedError, EndpointError):
            bill.amount = 0.0
            raise
        bill.amount = self._line.purse.cost(reply.usage)
        return replace(reply, usage=replace(reply.usage, cost=bill.amount))

    async def _keep(self, question: Question, reply: Reply) -> None:
        attempt = read_reply(question, reply, _now())
        await self._record([*self._line.health.answered(), (question, attempt)])

    async def _failed(
        self, question: Question, tries: int, halvings: int, failure: CallFailedError
    ) -> float | None:
        line = self._line
        line.health.call_failed(failure.reached, tries, failure.detail)
        if failure.overloaded:
            line.tally.overloads += 1
            line.pace.overloaded(halvings, failure.retry_after)
        if failure.retry_after is not None and failure.retry_after > LONGEST_WAIT:
            asked = f"asks to be left alone for {failure.retry_after:.0f} s ({failure.detail})"
            raise line.endpoint.error(asked, "go on then, with the same command")
        if tries >= line.tries:
            line.health.failed(_attempt(question, "api_failed", f"{failure.detail} (tries: {tries})"))
            return None
        if failure.retry_after:  # one of 0, or a date that has passed, would use all tries up at once
            return failure.retry_after
        return line.pace.backoff.delay(question.key, tries)

    async def _rejected(self, question: Question, rejected: RejectedError) -> None:
        pair = _attempt(question, rejected.state, rejected.detail)
        await self._record(self._line.health.rejected(pair, rejected.certain))

    async def _record(self, pairs: Sequence[Pair]) -> None:
        if not pairs:
            return
        await self._journal.record(pairs)
        self._line.tally.record([attempt for _, attempt in pairs])
        self.underway.difference_update([attempt.key for _, attempt in pairs])


def _attempt(question: Question, state: State, detail: str) -> Pair:
    return question, Attempt(question.key, state, detail=detail, time=_now())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
