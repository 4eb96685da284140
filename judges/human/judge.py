"""People as a judge: `human:DB` queues comparisons as tasks, and returns the verdicts so far."""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from judges.asking.session import Session
from judges.human.labels import Label
from judges.human.rows.export import PERSON, label_verdicts
from judges.human.tasks import comparison_task, turned
from judges.judge import Comparison, Judge, Verdict
from judges.usage import Usage
from judges.verdicts.annotation import ORDER, in_order
from judges.verdicts.members import majority
from rewards.errors import SpecError
from rewards.specs import Spec

if TYPE_CHECKING:  # which takes sqlalchemy
    from judges.human.store import Store

WAITS = "waits for people"
"""How the detail begins of a verdict that nobody has given yet."""


@dataclass(frozen=True)
class HumanJudge:
    """People who label a store's tasks; a comparison is put to them once, whichever side is first.

    - Who sees which side first is drawn anew for each person, so that asking in both orders asks no more.
    - Of several people, what more than half of those who answered say is the verdict; where no such majority
      is, it is a tie. Its preference is the mean of their votes, a tie half a vote: the share of people who
      prefer `first`, which a win rate averages, where a majority would forget those whom it outvoted. Those
      asked to break a tie have no part in it: they are asked where people disagree, and would lean it to the
      majority's side.
    - A single person's verdict is what they said; nobody is asked for a probability, so it has none.
    - Whoever skips is no vote. A comparison that has none yet is `skipped`, and waits.
    """

    url: str
    """SQLite file or SQLAlchemy URL, made where there is none once something is asked."""
    annotator: str = ""
    """Use this annotator's answers only; empty uses everybody's."""
    axis: str = ""
    repeat: int = 0

    asks_people = True
    """Says that one order is enough."""

    @cached_property
    def store(self) -> "Store":
        """Return the store, opened when it is first needed."""
        from judges.human.store import Store

        return Store(self.url)

    @property
    def name(self) -> str:
        """Its name in verdicts, without passwords."""
        return PERSON + (self.annotator or self.store.name)

    def compare(self, comparisons: Sequence[Comparison]) -> list[Verdict]:
        """Put what is not there to people, and return one verdict for each comparison, oriented alike.

        The verdict of everybody holds each person's own in its `reply`, see
        `judges.verdicts.members.member_verdicts`.
        """
        tasks = [comparison_task(one, self.axis, self.repeat) for one in comparisons]
        self.store.add_tasks(tasks)
        ids = self.store.find({task.key for task in tasks})
        labels: dict[int, list[Label]] = defaultdict(list)
        for label in self.store.labels(set(ids.values())):
            labels[label.task_id].append(label)
        wanted = self.store.study().overlap
        return [
            self._verdict(one, labels[ids[task.key]], wanted)
            for one, task in zip(comparisons, tasks, strict=True)
        ]

    def _verdict(self, comparison: Comparison, labels: Sequence[Label], wanted: int) -> Verdict:
        own = [
            _told(label, comparison) for label in labels if self.annotator in ("", label.annotator)
        ]  # fmt: skip
        if self.annotator:
            waits = f"{WAITS}: {self.annotator} has not answered"
            return own[0] if own else self._everybody(comparison, (), wanted, waits)
        answered = sum(one.winner is not None for one in own)
        waits = f"{WAITS}: {answered} of {wanted} answers"
        if len(own) > answered:
            waits += f", {len(own) - answered} skipped it"
        return self._everybody(comparison, own, wanted, waits)

    def _everybody(self, comparison: Comparison, own: Sequence[Verdict], wanted: int, waits: str) -> Verdict:
        winner = majority(own)
        votes = [vote for vote in (one.outcome() for one in own) if vote is not None]
        votes = votes[:wanted] if wanted > 1 else votes  # of one answer, no tie is there to break
        seconds = [one.usage.latency for one in own if one.usage.latency is not None]
        return Verdict(
            in_order(comparison, known=False),
            winner,
            math.fsum(votes) / len(votes) if len(votes) > 1 else None,
            "" if winner else "skipped",
            self.name,
            self.axis,
            self.repeat,
            detail="; ".join(f"{one.judge}: {one.winner or 'skipped'}" for one in own) if winner else waits,
            reply=json.dumps([_vote(one) for one in own], ensure_ascii=False),
            usage=Usage(latency=max(seconds, default=None)),
        )


def _told(label: Label, comparison: Comparison) -> Verdict:
    """Return one person's verdict, oriented as the comparison."""
    (verdict,) = label_verdicts(label)
    verdict = verdict.swap() if turned(label.task, comparison.first) else verdict
    return replace(verdict, comparison=in_order(comparison, known=bool(label.shown)))


def _vote(verdict: Verdict) -> dict[str, object]:
    names = ("judge", "winner", "preference", "reason", "detail", "reply")
    told = {name: getattr(verdict, name) for name in names}
    swapped = verdict.swapped if ORDER not in verdict.comparison.extra else None
    return told | {"usage": asdict(verdict.usage), "swapped": swapped}


def load_human_judge(spec: Spec, session: Session | None = None) -> Judge:
    """Load `human:DB?annotator=NAME&axis=NAME&repeat=N`, DB being a SQLite file or a SQLAlchemy URL.

    The `?` `&` and `%` in DB are percent-encoded, as in
    `human:postgresql://annotators@localhost/labels%3Fsslmode=require`.

    Raises:
        SpecError: DB is missing, or an option is unknown or wrong.
    """
    try:
        spec.allow("annotator", "axis", "repeat")
    except SpecError as error:
        raise SpecError(f"{error}; what belongs to the database is percent-encoded, ? as %3F") from None
    if not spec.rest:
        raise SpecError(f"{spec.text}: name a database of labels, as in human:labels.db")
    axis = spec.options.get("axis", session.axis if session else "")
    repeat = spec.option("repeat", session.repeat if session else 0)
    if repeat < 0 or repeat != repeat // 1:
        raise SpecError(
            f"{spec.text}: option repeat is a whole number from 0, got {spec.options['repeat']!r}"
        )
    annotator = spec.options.get("annotator", "").removeprefix(PERSON)
    return HumanJudge(spec.rest, annotator, "" if axis == "overall" else axis, int(repeat))
