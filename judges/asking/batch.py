"""Questions asked by the Batch API: submitted once, collected now or later, every reply kept."""

import fcntl
import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO

from judges.asking.batch_api import PATH, BatchClient, BatchRefusedError
from judges.asking.batch_replies import BatchReplies, BatchReport
from judges.asking.session import Session
from judges.ledger.ledger import Batch
from judges.questions.question import Question
from judges.questions.reply import request_body
from rewards.errors import ConfigError

CHUNK = 500
"""Questions looked up per query of the ledger."""
FORGOTTEN = 48 * 3600
"""Seconds after which a batch unknown to its endpoint is given up; batches live for 24 hours."""

_PENDING = "pending-"
"""What the ledger calls a batch from before it is handed over until its name is known."""


@dataclass(frozen=True)
class BatchOptions:
    """Options of asking by batches."""

    wait: bool = True
    """Wait until all batches have ended; else submit only, and collect by the same command later."""
    poll: float = 30.0
    """Seconds between polls of the batches."""
    requests: int = 50_000
    """Maximum requests of a batch; OpenAI takes 50,000."""
    size: int = 200_000_000
    """Maximum bytes of a batch; OpenAI takes 200 MB."""

    def __post_init__(self) -> None:
        for name in ("poll", "requests", "size"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is more than 0, got {getattr(self, name)}")


def run_batches(
    session: Session,
    model: str,
    questions: Iterable[Question],
    base_url: str = "",
    options: BatchOptions | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> BatchReport:
    """Ask questions by the Batch API: collect ended batches, submit new questions, wait for them.

    Handed over is what has no answer in the ledger, did not fail (unless failures are retried), and waits in
    no batch. The ledger learns of a batch before it is handed over and of its name after; a run that was
    killed between finds the batch by its mark, so that none is handed over twice. A budget is this run's:
    what earlier runs handed over is collected in any case.

    Args:
        session: Ledger, prices, budget, key.
        model: The endpoint's name of the model.
        questions: Those of `openai:MODEL`; consumed once, and their texts not kept.
        base_url: Address of the endpoint; empty takes the session's.
        options: Sizes and waiting.
        tell: Called with a line on each event.

    Raises:
        ConfigError: The ledger is in memory only, another process hands its batches over, or there is a
            budget and no price.
        EndpointError: The endpoint cannot be reached, or takes no batches.
    """
    if session.ledger.path == ":memory:":
        raise ConfigError("batches take hours: name a file that remembers them by --ledger")
    endpoint = session.reach(model, base_url)
    config = session.config
    key = config.api_key or os.environ.get("OPENAI_API_KEY", "")
    client = BatchClient(endpoint, key, config.timeout, config.tries)
    try:
        with _alone(session.ledger.path):
            return _Run(session, client, options or BatchOptions(), tell).run(questions)
    finally:
        client.close()


class _Run:
    def __init__(
        self, session: Session, client: BatchClient, options: BatchOptions, tell: Callable[[str], None]
    ) -> None:
        self.session, self.client, self.options, self.tell = session, client, options, tell
        self.ledger, self.model = session.ledger, client.endpoint.model
        self.judge = f"openai:{self.model}"
        self.replies = BatchReplies(session, client, tell)
        self.report = self.replies.report
        self._said: dict[str, str] = {}

    def run(self, questions: Iterable[Question]) -> BatchReport:
        for batch in self._open():
            if batch.name.startswith(_PENDING):
                self._recover(batch)
        self._look()
        self._hand_over(questions)
        while self.options.wait and self._open():
            time.sleep(self.options.poll)
            self._look()
        self.report.waiting = sum(len(batch.keys) for batch in self._open())
        return self.report

    def _open(self) -> list[Batch]:
        return self.ledger.open_batches(self.client.endpoint.url, self.judge)

    def _recover(self, batch: Batch) -> None:
        """Find a batch that was submitted by a run killed before it could record the batch's name."""
        name = self.client.find(batch.name, datetime.fromisoformat(batch.time).timestamp())
        if name:
            try:
                self.ledger.add_batch(name, batch.endpoint, batch.judge, batch.keys)
                self.tell(f"batch {name}: found again, {len(batch.keys):,} questions")
            except ConfigError:  # the run ended after it had said so, and before it closed the other
                pass
        self.ledger.close_batch(batch.name, name or "not handed over")

    def _look(self) -> None:
        """Collect the batches that have ended."""
        for batch in self._open():
            state = self.client.state(batch.name)
            if state.status == "missing" and not _is_old(batch):
                raise self.client.endpoint.error(
                    f"it knows no batch {batch.name}", "use the key that handed it over"
                )
            if state.ended:
                self.replies.collect(batch, state)
                continue
            line = f"batch {batch.name}: {state.status}, {state.done:,} of {state.total or len(batch.keys):,}"
            if self._said.get(batch.name) != line:
                self._said[batch.name] = line
                self.tell(line)

    def _hand_over(self, questions: Iterable[Question]) -> None:
        chosen = self._affordable(self._unasked(questions))
        following = next(chosen, None)
        while following is not None:
            with tempfile.TemporaryFile() as file:
                taken: list[str] = []
                following = self._write(file, taken, following, chosen)
                file.seek(0)
                mark = f"{_PENDING}{uuid.uuid4().hex}"
                uploaded = self.client.upload(file, mark)
            name = self._create(uploaded, mark, taken)
            self.report.submitted += len(taken)
            self.tell(f"batch {name}: {len(taken):,} questions handed over")

    def _create(self, file: str, mark: str, keys: list[str]) -> str:
        url = self.client.endpoint.url
        self.ledger.add_batch(mark, url, self.judge, keys)
        try:
            name = self.client.create(file, mark)
        except BatchRefusedError:
            self.ledger.close_batch(mark, "refused")
            raise
        self.ledger.add_batch(name, url, self.judge, keys)
        self.ledger.close_batch(mark, name)
        return name

    def _write(
        self, file: IO[bytes], taken: list[str], first: Question, others: Iterator[Question]
    ) -> Question | None:
        """Write requests until the batch is full, and return the question that begins the next one."""
        size, kept = 0, list[Question]()
        question: Question | None = first
        while question is not None:
            line = self._request(question)
            if taken and (len(taken) == self.options.requests or size + len(line) > self.options.size):
                break
            size += file.write(line)
            taken.append(question.key)
            kept.append(question)
            if len(kept) == CHUNK:
                self.ledger.add_questions(kept)
                kept = []
            question = next(others, None)
        self.ledger.add_questions(kept)
        return question

    def _request(self, question: Question) -> bytes:
        body = request_body(question, self.model)
        request = {"custom_id": question.key, "method": "POST", "url": PATH, "body": body}
        return json.dumps(request).encode() + b"\n"

    def _unasked(self, questions: Iterable[Question]) -> Iterator[Question]:
        """Yield each question once that the ledger does not answer and no batch holds."""
        taken = {bytes.fromhex(key) for batch in self._open() for key in batch.keys}
        remaining = iter(questions)
        while some := list(islice(remaining, CHUNK)):
            for question in some:
                if (question.judge, question.endpoint) != (self.judge, self.client.endpoint.url):
                    raise ConfigError(f"a batch of {self.judge} is given a question to {question.judge}")
            keys = [question.key for question in some]
            known = set(self.ledger.answers(keys))
            if not self.session.config.retry_failed:
                known.update(self.ledger.failures(keys))
            for question in some:
                short = bytes.fromhex(question.key)
                if question.key not in known and short not in taken:
                    taken.add(short)
                    yield question

    def _affordable(self, questions: Iterator[Question]) -> Iterator[Question]:
        """Yield the questions that the budget holds, and set their highest cost aside."""
        for question in questions:
            most = self.session.prices.most(self.model, question, batch=True)
            if most is None and self.session.spending.budget is not None:
                raise ConfigError(
                    f"a budget needs a batch price of {self.model} (see --prices) and a limit, max_tokens"
                )
            if self.session.spending.reserve(most or 0.0):
                self.replies.reserved[question.key] = most or 0.0
                yield question
            else:
                self.report.unaffordable += 1


def _is_old(batch: Batch) -> bool:
    return time.time() - datetime.fromisoformat(batch.time).timestamp() > FORGOTTEN


@contextmanager
def _alone(ledger: str) -> Iterator[None]:
    """Keep other processes from handing over the same ledger's batches; the lock ends with its process."""
    with Path(f"{ledger}.batch-lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{ledger}: another process hands over its batches; wait for that one"
            ) from None
        yield
