"""Replies of batches: each read and recorded once, unasked questions returned for the next run."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

from judges.asking.batch_api import BatchClient, BatchOutcome, BatchState
from judges.asking.session import Session
from judges.ledger.ledger import Batch
from judges.questions.parsing import read_reply
from judges.questions.question import Attempt, Question
from judges.questions.reply import reply_from_body
from rewards.errors import DataError

CHUNK = 500
"""Results recorded at once."""


@dataclass
class BatchReport:
    """Counts of a run by batches."""

    submitted: int = 0
    """Questions submitted."""
    answered: int = 0
    """Attempts recorded with an answer."""
    failed: int = 0
    """Attempts recorded without an answer."""
    returned: int = 0
    """Questions that a batch did not ask; the next run asks them."""
    waiting: int = 0
    """Questions in batches that have not ended."""
    unaffordable: int = 0
    """Questions beyond the budget."""

    def line(self) -> str:
        """Return the report in words."""
        counts = [
            (self.submitted, "handed over"),
            (self.answered, "answered"),
            (self.failed, "failed"),
            (self.returned, "not asked: run again to ask them"),
            (self.waiting, "waiting: run again to collect them"),
            (self.unaffordable, "left out, as the budget does not hold them"),
        ]
        return "; ".join(f"{count:,} {words}" for count, words in counts if count) or "nothing to ask"


class BatchReplies:
    """Collects the batches that have ended."""

    def __init__(self, session: Session, client: BatchClient, tell: Callable[[str], None]) -> None:
        self.session, self.client, self.tell = session, client, tell
        self.ledger, self.model = session.ledger, client.endpoint.model
        self.report = BatchReport()
        self.reserved: dict[str, float] = {}
        """The highest cost, set aside, of each question that this run handed over."""

    def collect(self, batch: Batch, state: BatchState) -> None:
        """Record the outcomes of an ended batch, then close it."""
        remaining, unread = set(batch.keys), 0
        for file in state.files:
            outcomes = self.client.outcomes(file)
            while some := list(islice(outcomes, CHUNK)):
                unread += some.count(None)
                asked = [
                    outcome
                    for outcome in some
                    if outcome and outcome.key in remaining and outcome.state != "unasked"
                ]
                first = {outcome.key: outcome for outcome in reversed(asked)}
                remaining.difference_update(first)
                self._record(first, batch, state.time)
        for key in remaining:
            self._settle(key, None)
        self.ledger.close_batch(batch.name, state.status)
        self.report.returned += len(remaining)
        parts = [f"batch {batch.name}: {state.status}", f"{len(batch.keys) - len(remaining):,} collected"]
        parts += [f"{len(remaining):,} not asked"] if remaining else []
        parts += [f"{unread:,} lines unreadable"] if unread else []
        self.tell(", ".join(parts) + (f" ({state.message})" if state.message else ""))

    def _record(self, outcomes: dict[str, BatchOutcome], batch: Batch, ended: str) -> None:
        """Record outcomes, but for what a run recorded that was killed before it closed the batch."""
        answered = self.ledger.answers(outcomes)
        pairs: dict[bool, list[tuple[Question, Attempt]]] = {True: [], False: []}
        for key, question in self.ledger.questions(outcomes).items():
            attempt = self._attempt(question, outcomes[key], ended)
            self._settle(key, attempt)
            if key not in answered:
                pairs[attempt.state == "ok"].append((question, attempt))
        self.report.answered += self.ledger.record(pairs[True], batch.name)
        self.report.failed += self.ledger.record(pairs[False], batch.name)

    def _attempt(self, question: Question, outcome: BatchOutcome, ended: str) -> Attempt:
        if outcome.state != "answered":
            state = "refused" if outcome.state == "refused" else "api_failed"
            return Attempt(question.key, state, detail=outcome.detail, time=ended)  # type: ignore[arg-type]  # both are states
        try:
            reply = reply_from_body(outcome.body)
        except DataError as error:
            return Attempt(question.key, "api_failed", detail=str(error), time=ended)
        cost = self.session.prices.cost(self.model, reply.usage, batch=True)
        return read_reply(question, replace(reply, usage=replace(reply.usage, cost=cost)), ended)

    def _settle(self, key: str, attempt: Attempt | None) -> None:
        """Say what a question of this run did cost; what was not answered is not charged."""
        reserved = self.reserved.pop(key, None)
        if reserved is None:
            return
        if attempt is None or attempt.usage.tokens_in == 0:
            self.session.spending.release(reserved)
        else:
            self.session.spending.settle(reserved, attempt.usage.cost)
