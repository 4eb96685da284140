"""Plan, a run's calls, cost and time before anything is asked, and the answers already in the ledger."""

import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from judges.asking.prices import estimate_tokens
from judges.questions.question import Question
from judges.usage import Usage

if TYPE_CHECKING:  # a plan reads a session and opens none
    from judges.asking.session import Session

ASSUMED_LATENCY = 2.0
"""Seconds of a call to a judge whose calls were never timed."""

CHUNK = 500
"""Questions looked up in the ledger at once."""

_ASK, _ANSWERED, _FAILED, _WAITING = range(4)


@dataclass(frozen=True, slots=True)
class JudgePlan:
    """The calls of one judge; tokens, cost and time are estimates, with their basis."""

    judge: str
    """Such as `openai:MODEL`."""
    questions: int
    """All that the run holds: `calls` and those that need none."""
    duplicates: int
    """Questions equal to an earlier one of the run."""
    answered: int
    """Distinct questions whose answer the ledger holds."""
    failed: int
    """Distinct questions with only failures in the ledger; asked if failures are retried."""
    waiting: int
    """Distinct questions in a batch not yet collected; a live run asks them once more."""
    calls: int
    """Distinct questions that will be asked."""
    tokens_sent: int
    tokens_received: int
    measured_on: int
    """Answers in the ledger from which tokens are estimated; 0 is a rule of thumb."""
    price: float | None
    """Of live calls; None where the judge has no price."""
    batch_price: float | None
    """By the Batch API; None where the judge has no batch price."""
    as_of: str
    """The price's day."""
    seconds: float
    """Of live calls, at the given concurrency and limits."""
    limited_by: str
    """The bottleneck of the time: `concurrency`, `requests_per_minute` or `tokens_per_minute`."""
    latency: float
    """Seconds of a call, measured or assumed."""
    latency_measured: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The calls, cost and time of a run, by judge."""

    judges: tuple[JudgePlan, ...]
    budget: float
    """The remaining budget; infinite if none is set."""
    currency: str
    retry_failed: bool
    batch: bool
    """Whether the run uses the Batch API, for which price, time and budget are then told."""

    @property
    def calls(self) -> int:
        """Calls of all judges."""
        return sum(judge.calls for judge in self.judges)

    @property
    def seconds(self) -> float:
        """Time of live calls, the judges asked one after another."""
        return math.fsum(judge.seconds for judge in self.judges)

    def price(self) -> float | None:
        """Return the cost of all calls; None if a judge with calls has no price."""
        prices = [self._price(judge) for judge in self.judges if judge.calls]
        known = [price for price in prices if price is not None]
        return math.fsum(known) if len(known) == len(prices) else None

    def reaches(self) -> int | None:
        """Return how many calls the budget pays for, the judges asked in turn; None where it is unknown."""
        left, calls = self.budget, 0
        for judge in self.judges:
            price = self._price(judge)
            if price is None:
                if judge.calls:
                    return None
            elif price <= left:
                left, calls = left - price, calls + judge.calls
            else:
                return calls + int(judge.calls * left / price)
        return calls

    def lines(self) -> list[str]:
        """Return the plan as lines of text."""
        lines = [line for judge in self.judges for line in self._judge_lines(judge)]
        if len(self.judges) > 1:
            lines.append(f"in all: {self.calls:,} calls, {_money(self.price(), self.currency)}")
        if math.isfinite(self.budget):
            lines.append(self._budget_line())
        return lines

    def _price(self, judge: JudgePlan) -> float | None:
        return judge.batch_price if self.batch else judge.price

    def _judge_lines(self, plan: JudgePlan) -> Iterator[str]:
        failed = "failed before, asked again" if self.retry_failed else "failed before, not asked again"
        parts = [
            (plan.answered, "answered in the ledger"),
            (plan.failed, failed),
            (plan.waiting, "waiting in a batch" if self.batch else "asked again though they wait in a batch"),
            (plan.duplicates, "asked twice in this run"),
        ]
        needless = "".join(f"; {count:,} {words}" for count, words in parts if count)
        yield f"{plan.judge}: {plan.calls:,} calls for {plan.questions:,} questions{needless}"
        if not plan.calls:
            return
        basis = f"by {plan.measured_on:,} answers in the ledger" if plan.measured_on else "by a rule of thumb"
        yield f"  tokens: about {plan.tokens_sent:,} sent and {plan.tokens_received:,} received, {basis}"
        day = f", prices as of {plan.as_of}" if plan.as_of else ""
        live, together = (_money(price, self.currency) for price in (plan.price, plan.batch_price))
        yield f"  price: {live} live, {together} by batch{day}"
        if self.batch:
            yield "  time: up to 24 hours by batch"
            return
        latency = f"{plan.latency:.1f} s a call, {'measured' if plan.latency_measured else 'assumed'}"
        yield f"  time: about {_duration(plan.seconds)}, set by {plan.limited_by}; {latency}"

    def _budget_line(self) -> str:
        reaches, left = self.reaches(), f"{self.budget:.4g} {self.currency}"
        if reaches is None:
            return f"budget: {left}, but the price is not known: add it to the price file (--prices)"
        if reaches >= self.calls:
            return f"budget: {left} is enough"
        return f"budget: {left} is too little: it reaches about {reaches:,} of {self.calls:,} calls"


def make_plan(
    session: "Session",
    questions: Iterable[Question],
    batch: bool = False,
    latency: float = ASSUMED_LATENCY,
) -> Plan:
    """Plan a run in one pass over its questions, of which some 20 bytes each are kept.

    Args:
        session: Ledger, limits, prices and budget.
        questions: All that the run would ask, of one or more judges.
        batch: The run uses the Batch API, and so does not ask what waits in a batch.
        latency: Seconds of a call to a judge whose calls the ledger has never timed.
    """
    tallies: dict[str, _Tally] = {}
    remaining = iter(questions)
    while some := list(islice(remaining, CHUNK)):
        by_judge: dict[str, list[Question]] = {}
        for question in some:
            by_judge.setdefault(question.judge, []).append(question)
        for judge, asked in by_judge.items():
            if judge not in tallies:
                tallies[judge] = _Tally(session, judge)
            tallies[judge].add(asked)
    judges = tuple(tally.plan(batch, latency) for tally in tallies.values())
    budget, currency = session.spending.remaining, session.prices.currency
    return Plan(judges, budget, currency, session.config.retry_failed, batch)


class _Tally:
    """One judge's questions seen so far: of each a part of its key, what the ledger holds, its tokens."""

    def __init__(self, session: "Session", judge: str) -> None:
        self.session = session
        self.judge = judge
        self.measured = session.ledger.measured(judge)
        self.keys: array[int] = array("Q")
        self.states: array[int] = array("B")
        self.sent: array[int] = array("L")
        self.received: array[int] = array("L")
        self._waiting: dict[str, set[str]] = {}

    def add(self, questions: list[Question]) -> None:
        keys = [question.key for question in questions]
        answers, failures = self.session.ledger.answers(keys), self.session.ledger.failures(keys)
        for question, key in zip(questions, keys, strict=True):
            state = _FAILED if key in failures else _ASK
            if key in answers:
                state = _ANSWERED
            elif key in self._in_batches(question.endpoint):
                state = _WAITING
            tokens = estimate_tokens(question, self.measured)
            # 64 bits of the hash: among a million questions two agree by chance once in 10 million runs.
            self.keys.append(int(key[:16], 16))
            self.states.append(state)
            self.sent.append(tokens.sent)
            self.received.append(tokens.received)

    def _in_batches(self, endpoint: str) -> set[str]:
        if endpoint not in self._waiting:
            batches = self.session.ledger.open_batches(endpoint, self.judge)
            self._waiting[endpoint] = {key for batch in batches for key in batch.keys}
        return self._waiting[endpoint]

    def plan(self, batch: bool, latency: float) -> JudgePlan:
        _, first = np.unique(np.array(self.keys, dtype=np.uint64), return_index=True)
        states = np.array(self.states)[first]
        asked = states == _ASK
        if not batch:
            asked |= states == _WAITING
        if self.session.config.retry_failed:
            asked |= states == _FAILED
        sent, received = (int(np.array(tokens)[first][asked].sum()) for tokens in (self.sent, self.received))
        calls, measured = int(asked.sum()), self.measured
        cached = round(sent * measured.tokens_cached / measured.tokens_in) if measured else 0
        model = self.judge.removeprefix("openai:")
        price, usage = self.session.prices.price(model), Usage(sent, cached, received)
        timed = measured is not None and measured.timed > 0
        if measured is not None and timed:
            latency = measured.seconds / measured.timed
        seconds, limited_by = self._time(calls, sent + received, latency)
        return JudgePlan(
            judge=self.judge,
            questions=len(self.keys),
            duplicates=len(self.keys) - len(first),
            answered=int((states == _ANSWERED).sum()),
            failed=int((states == _FAILED).sum()),
            waiting=int((states == _WAITING).sum()),
            calls=calls,
            tokens_sent=sent,
            tokens_received=received,
            measured_on=measured.calls if measured else 0,
            price=price.cost(usage) if price else None,
            batch_price=price.cost(usage, batch=True) if price else None,
            as_of=price.as_of if price else "",
            seconds=seconds,
            limited_by=limited_by,
            latency=latency,
            latency_measured=timed,
        )

    def _time(self, calls: int, tokens: int, latency: float) -> tuple[float, str]:
        config = self.session.config
        times = {"concurrency": math.ceil(calls / config.concurrency) * latency}
        for name, amount in (("requests_per_minute", calls), ("tokens_per_minute", tokens)):
            if limit := getattr(config, name):
                times[name] = 60 * amount / limit
        slowest = max(times, key=lambda name: times[name])
        return times[slowest], slowest


def _money(amount: float | None, currency: str) -> str:
    return "price unknown" if amount is None else f"about {amount:.4g} {currency}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
