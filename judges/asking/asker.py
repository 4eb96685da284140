"""Asker, which answers each question once, from ledger or endpoint; Questioning, a judge that has one."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from judges.asking.backoff import Backoff
from judges.asking.claims import Claims
from judges.asking.health import Health
from judges.asking.limits import Pace
from judges.asking.money import Purse
from judges.asking.session import Session
from judges.asking.tally import Tally
from judges.judge import Comparison
from judges.questions.question import Attempt, Question

if TYPE_CHECKING:  # which loads the SDK
    from judges.asking.calls import Calls

CHUNK = 128
"""Questions looked up per query of the ledger."""
TICK = 0.2
"""Seconds between two reports of progress."""
BUDGET = "budget"
"""Detail of a question skipped for lack of budget."""
NOT_ASKED = "not asked"
"""Detail of a question that a batch did not ask."""
FEWEST_FAILURES = 20
"""Consecutive failed questions that end a run, or twice the concurrency if that is more."""


@runtime_checkable
class Questioning(Protocol):
    """A judge that asks questions, so that all of them can be asked before any comparison is decided."""

    @property
    def asker(self) -> "Asker":
        """The asker that answers them."""
        ...

    def questions(self, comparison: Comparison) -> Sequence[Question]:
        """Return the questions for comparing two responses."""
        ...


@dataclass
class Asker:
    """Has questions answered by one model of one endpoint, each once, even across interruptions.

    A question answered in the ledger is not asked. A reply is in the ledger before it counts. One call at a
    time: a second thread waits until the first is done.
    """

    session: Session
    model: str
    base_url: str = ""
    """Address of the endpoint; empty is the session's."""
    backoff: Backoff = field(default_factory=Backoff)
    """Waits before a call is retried, unless the endpoint gives one."""
    progress: Callable[[Tally], None] | None = None
    """Called several times a second while questions are asked, in the calling thread."""
    finished: bool = False
    """Set once all questions were asked: `answers` then only looks up."""

    def __post_init__(self) -> None:
        session, config = self.session, self.session.config
        self.endpoint = session.reach(self.model, self.base_url)
        self.tally = Tally()
        self._pace = Pace(config, self.backoff)
        self._health = Health(self.endpoint, max(FEWEST_FAILURES, 2 * config.concurrency))
        self._purse = Purse(session.spending, session.prices, self.model)
        self._retried: set[str] = set()
        self._one_at_a_time = Lock()

    def ask(self, questions: Iterable[Question]) -> None:
        """Ask each question once, unless the ledger has its answer.

        A question that failed before is asked only if `retry_failed` is set. Questions are consumed lazily.
        On an interruption the calls in flight are finished and recorded before it is raised; on a second one
        they are not.

        Raises:
            EndpointError: The endpoint cannot be asked as configured, or not at all.
            ConfigError: There is a budget, and no price of the model.
            DataError: The ledger cannot be read or written.
        """
        with self._one_at_a_time:
            run = _Run(self)
            try:
                elsewhere: list[Question] = []
                for some in _chunks(questions):
                    elsewhere = self._hand_over([*elsewhere, *some], run)
                    if run.ended:
                        return
                while elsewhere and not run.ended:
                    time.sleep(TICK)
                    elsewhere = self._hand_over(elsewhere, run)
                run.complete = True
            finally:
                run.close()

    def answers(self, questions: Sequence[Question]) -> list[Attempt]:
        """Return the attempt at each question, asking those that were not asked yet.

        A question that failed, or was skipped for lack of budget, has that state.

        Raises:
            EndpointError: As by `ask`, like the others.
        """
        if not self.finished:
            self.ask(questions)
        keys = [question.key for question in questions]
        attempts = self.session.ledger.answers(keys)
        attempts |= self.session.ledger.failures([key for key in keys if key not in attempts])
        why = NOT_ASKED if self.finished and not self._purse.empty else BUDGET
        return [attempts.get(key) or Attempt(key, "skipped", detail=why) for key in keys]

    def _hand_over(self, questions: Sequence[Question], run: "_Run") -> list[Question]:
        """Submit unanswered questions; return those that another process is asking, to be checked again."""
        run.show()
        # Questions in flight are checked first: they leave only after they are in the ledger.
        waiting = {question.key: question for question in questions if question.key not in run.underway}
        # A question claimed before its lookup cannot be answered by another process in between.
        elsewhere = [question for key, question in waiting.items() if not run.claims.take(key)]
        for question in elsewhere:
            del waiting[question.key]
        open_ones = self._open(waiting)
        for key in waiting.keys() - {question.key for question in open_ones}:
            run.claims.release(key)
        for question in open_ones:
            if not run.submit(question):
                break
        return elsewhere

    def _open(self, waiting: Mapping[str, Question]) -> list[Question]:
        """Return the questions, of those waiting by key, that are neither answered nor given up."""
        answered = self.session.ledger.answers(waiting)
        self._health.vouched |= bool(answered)
        self.tally.from_ledger += len(answered)
        rest = [key for key in waiting if key not in answered]
        failed = [
            key for key, attempt in self.session.ledger.failures(rest).items() if attempt.state != "skipped"
        ]
        if self.session.config.retry_failed:
            given_up = self._retried.intersection(failed)
            self._retried.update(failed)
        else:
            given_up = set(failed)
        self.tally.failed_before += len(given_up)
        open_ones = [waiting[key] for key in rest if key not in given_up]
        if not self._purse.empty:
            return open_ones
        self.tally.skipped += len(open_ones)
        return []

    def _calls(self, claims: Claims) -> "Calls":
        from judges.asking.calls import Calls, Line
        from judges.asking.chat import ChatClient

        config = self.session.config
        key = config.api_key or os.environ.get("OPENAI_API_KEY", "")
        client = ChatClient(self.endpoint, key, config.timeout, config.concurrency)
        line = Line(
            self.endpoint,
            self.session.ledger,
            config.tries,
            self._pace,
            self._health,
            self._purse,
            self.tally,
        )
        return Calls(line, client, claims, 2 * config.concurrency)


class _Run:
    """The questions in flight of one run, begun with the first."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._calls: Calls | None = None
        self.claims = Claims(asker.session.ledger.path)
        self._shown = time.monotonic()
        self.complete = False
        """Whether all questions were submitted."""

    @property
    def underway(self) -> set[str]:
        return self._calls.underway if self._calls else set()

    @property
    def ended(self) -> bool:
        """Whether the run has ended by itself."""
        return self._calls is not None and self._calls.stopped

    def submit(self, question: Question) -> bool:
        """Submit a question; False if the run has ended by itself."""
        self._calls = self._calls or self._asker._calls(self.claims)
        self._asker.tally.asked += 1
        while not self._calls.stopped:
            taken = self._calls.submit(question, TICK)
            self.show()
            if taken:
                return True
        return False

    def close(self) -> None:
        """Wait for the calls in flight, release all claims, and raise the error that ended the run."""
        try:
            self._finish()
        finally:
            self.claims.close()

    def _finish(self) -> None:
        if self._calls is None:
            return
        steps = [self._calls.stop, self._calls.abort]
        if not self.complete:  # whatever ended it counts as a first interruption
            steps.pop(0)()
        self._calls.finish()
        interruption = None
        for step in steps:
            try:
                self._wait(self._calls)
                break
            except KeyboardInterrupt as error:
                interruption = error
                step()
        else:
            self._wait(self._calls)
        if interruption:
            raise interruption

    def _wait(self, calls: "Calls") -> None:
        while not calls.wait(TICK):
            self.show()
        self.show(last=True)

    def show(self, last: bool = False) -> None:
        """Report progress, unless it was reported a moment ago and is not final."""
        now = time.monotonic()
        if self._asker.progress and (last or now >= self._shown + TICK):
            self._shown = now
            self._asker.progress(self._asker.tally)


def _chunks(questions: Iterable[Question]) -> Iterator[list[Question]]:
    remaining = iter(questions)
    while some := list(islice(remaining, CHUNK)):
        yield some
