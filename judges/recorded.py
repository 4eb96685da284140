"""A local judge whose verdicts are cached in the ledger, so that none is computed twice."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from judges.judge import Comparison, Judge, Reason, Verdict, Winner
from judges.ledger.ledger import Ledger
from judges.questions.question import AnswerForm, Attempt, Question
from rewards.files.states import file_states
from rewards.records import Message

CHUNK = 256
"""Comparisons judged before they are recorded."""


@dataclass(frozen=True)
class RecordedJudge:
    """Asks a judge only for verdicts missing from the ledger, and records them."""

    judge: Judge
    ledger: Ledger
    name: str
    """Its name in verdicts: its specification."""
    fingerprint: str
    """Changes with the judge, such as a hash of its files; see `fingerprint_files`."""
    axis: str = ""
    repeat: int = 0

    def compare(self, comparisons: Sequence[Comparison]) -> list[Verdict]:
        """Return one verdict for each comparison, in the order asked, `first` shown first."""
        return [verdict for some in _chunks(comparisons) for verdict in self._compare(some)]

    def question(self, comparison: Comparison) -> Question:
        """Return the ledger's question for a comparison: all that the judge sees of it, in its order."""
        prompt = comparison.prompt
        turns = (Message("user", prompt),) if isinstance(prompt, str) else prompt
        shown = (Message("first", comparison.first), Message("second", comparison.second))
        parameters = {"axis": self.axis, "plain": isinstance(prompt, str)}
        if comparison.extra:
            parameters["columns"] = _digest(comparison.extra)
        return Question(
            self.name, self.fingerprint, (*turns, *shown), AnswerForm(), parameters, repeat=self.repeat
        )

    def _compare(self, comparisons: Sequence[Comparison]) -> Iterator[Verdict]:
        questions = [self.question(one) for one in comparisons]
        attempts = self.ledger.answers([question.key for question in questions])
        asked = {
            question.key: (question, comparison)
            for question, comparison in zip(questions, comparisons, strict=True)
            if question.key not in attempts
        }
        verdicts = self.judge.compare([comparison for _, comparison in asked.values()]) if asked else []
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        pairs = [
            (question, _attempt(question, verdict, time))
            for (question, _), verdict in zip(asked.values(), verdicts, strict=True)
        ]
        self.ledger.record(pairs)
        attempts.update((attempt.key, attempt) for _, attempt in pairs)
        for question, comparison in zip(questions, comparisons, strict=True):
            yield self._verdict(comparison, attempts[question.key])

    def _verdict(self, comparison: Comparison, attempt: Attempt) -> Verdict:
        won = attempt.state == "ok"
        return Verdict(
            comparison,
            cast(Winner, attempt.result["winner"]) if won else None,
            cast("float | None", attempt.result.get("preference")),
            "" if won else cast(Reason, attempt.state),
            self.name,
            self.axis,
            self.repeat,
            detail=attempt.detail,
            reply=attempt.reply,
            usage=attempt.usage,
        )


def fingerprint_files(*names: str) -> str:
    """Return a fingerprint of models' files: their names, sizes and modification times.

    Args:
        names: Files and folders; what is no path, such as a Hub id, counts by its name.
    """
    digest = hashlib.sha256()
    for name in names:
        states = file_states(Path(name)) if name else []  # an empty path is the working folder's
        lines = ["\x1f".join(map(str, state)) for state in states]
        digest.update("\x1e".join(lines or [name]).encode("utf-8", "surrogatepass") + b"\x1d")
    return f"files:{digest.hexdigest()[:32]}"


def _attempt(question: Question, verdict: Verdict, time: str) -> Attempt:
    if verdict.winner is None:
        reason = cast(Reason, verdict.reason)
        return Attempt(question.key, reason, {}, verdict.reply, verdict.detail, verdict.usage, time)
    result: dict[str, object] = {"winner": verdict.winner}
    if verdict.preference is not None:
        result["preference"] = verdict.preference
    return Attempt(question.key, "ok", result, verdict.reply, verdict.detail, verdict.usage, time)


def _digest(extra: Mapping[str, object]) -> str:
    text = json.dumps(extra, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def _chunks(comparisons: Sequence[Comparison]) -> Iterator[Sequence[Comparison]]:
    for start in range(0, len(comparisons), CHUNK):
        yield comparisons[start : start + CHUNK]
