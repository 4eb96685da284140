"""A jury of judges: a strict majority of votes decides, abstentions are no votes, and it needs a quorum."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import cast
from urllib.parse import unquote

from judges.asking.session import Session
from judges.judge import REASONS, Comparison, Judge, Named, Reason, Verdict, load_judge
from judges.usage import NO_USAGE
from judges.verdicts.annotation import order_known
from judges.verdicts.members import majority
from rewards.errors import ConfigError, SpecError
from rewards.specs import Spec


@dataclass(frozen=True)
class Jury:
    """Several judges whose majority vote is one verdict.

    - A member whose verdict has a winner (or says tie) votes; any other abstains, and is no vote.
    - With fewer votes than the quorum there is no winner; the reason is the members' most common one.
    - A strict majority of the votes is the verdict. Without one it is a tie: a split jury is never decided by
      the order of its members.
    - The preference is the mean of the voters', where each of them gives one; as a mean it may lean to the
      side that the majority did not choose.
    """

    members: tuple[Judge, ...]
    names: tuple[str, ...]
    """One for each member, all different."""
    quorum: int
    """Votes that a verdict needs."""
    name: str = "jury"
    """Its name in verdicts."""

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise ConfigError(f"a jury has two members or more, got {len(self.members)}")
        if len(self.names) != len(self.members) or len(set(self.names)) < len(self.names):
            raise ConfigError(f"{len(self.members)} members need as many different names, got {self.names}")
        if not 1 <= self.quorum <= len(self.members):
            raise ConfigError(f"quorum is from 1 to {len(self.members)}, the members, got {self.quorum}")

    def compare(self, comparisons: Sequence[Comparison]) -> list[Verdict]:
        """Return one verdict for each comparison; its `reply` holds the votes, see `member_verdicts`.

        Raises:
            ConfigError: Members judge different qualities or repetitions.
        """
        votes = [member.compare(comparisons) for member in self.members]
        by_comparison = zip(comparisons, *votes, strict=True)
        return [self._verdict(comparison, verdicts) for comparison, *verdicts in by_comparison]

    def _verdict(self, comparison: Comparison, verdicts: Sequence[Verdict]) -> Verdict:
        kinds = {(verdict.axis, verdict.repeat) for verdict in verdicts}
        if len(kinds) > 1:
            rounds = ", ".join(f"axis {axis or 'overall'} repeat {repeat}" for axis, repeat in sorted(kinds))
            raise ConfigError(f"{self.name}: its members are asked different things: {rounds}")
        ((axis, repeat),) = kinds
        winner = majority(verdicts, self.quorum)
        preferences = [verdict.preference for verdict in verdicts if verdict.winner]
        known = [preference for preference in preferences if preference is not None]
        whole = winner is not None and len(known) == len(preferences)
        return Verdict(
            comparison,
            winner,
            math.fsum(known) / len(known) if whole else None,
            "" if winner else _most_common_reason(verdicts),
            self.name,
            axis,
            repeat,
            detail="; ".join(
                f"{name}: {verdict.winner or f'no vote ({_why(verdict)})'}"
                for name, verdict in zip(self.names, verdicts, strict=True)
            ),
            reply=json.dumps(
                [_vote(name, one) for name, one in zip(self.names, verdicts, strict=True)], ensure_ascii=False
            ),
            usage=reduce(add, (verdict.usage for verdict in verdicts), NO_USAGE),
        )


@dataclass(frozen=True, slots=True)
class MemberAgreement:
    """Agreement of one member of a jury with the jury's verdict without it."""

    judge: str
    n: int
    """Comparisons on which both vote."""
    missing: int
    """Comparisons on which the member abstains, or all others do."""
    percent: float | None
    """Share in [0, 1] of equal verdicts; None without such comparisons."""
    kappa: float | None
    """Cohen's kappa; None also if both always give the same verdict."""


def member_agreements(votes: Sequence[Sequence[Verdict]]) -> list[MemberAgreement]:
    """Return each member's agreement with the majority of the others, whose split is a tie as in a jury.

    Args:
        votes: For each comparison the members' verdicts, in one order, as `member_verdicts` gives them.

    Raises:
        ConfigError: The comparisons have different members.
    """
    members = [tuple(verdict.judge for verdict in verdicts) for verdicts in votes]
    if len(set(members)) > 1:
        raise ConfigError("the comparisons have different members; take the verdicts of one jury")
    names = members[0] if members else ()
    return [_with_rest(name, place, votes) for place, name in enumerate(names)]


def _with_rest(name: str, place: int, votes: Sequence[Sequence[Verdict]]) -> MemberAgreement:
    from judges.statistics.agreement import UndefinedAgreementError, cohen_kappa, percent_agreement

    pairs = [
        (verdicts[place].winner, majority([*verdicts[:place], *verdicts[place + 1 :]])) for verdicts in votes
    ]
    both = [(own, rest) for own, rest in pairs if own and rest]
    missing = len(pairs) - len(both)
    if not both:
        return MemberAgreement(name, 0, missing, None, None)
    own, rest = ([pair[side] for pair in both] for side in (0, 1))
    try:
        kappa: float | None = cohen_kappa(own, rest)
    except UndefinedAgreementError:
        kappa = None
    return MemberAgreement(name, len(both), missing, percent_agreement(own, rest), kappa)


def load_jury(spec: Spec, session: Session | None = None) -> Judge:
    """Load `jury:A,B,C?quorum=2`, by default with a quorum of more than half of its members.

    Members are specifications themselves; the `,` `?` `&` and `%` in one are percent-encoded, as in
    `jury:openai:large,openai:small%3Flogprobs=true`. All share one ledger and one budget. Where a member is
    named twice it votes twice, with the same answers; give one another temperature or seed to ask it anew.

    Raises:
        SpecError: There are fewer than two members, one names nothing, or an option is unknown or wrong.
    """
    try:
        spec.allow("quorum")
    except SpecError as error:
        raise SpecError(f"{error}; a member's own options are percent-encoded, ? as %3F") from None
    texts = [unquote(text) for text in spec.rest.split(",")]
    if len(texts) < 2 or not all(texts):
        raise SpecError(f"{spec.text}: name two members or more, as in jury:openai:A,openai:B")
    quorum = spec.option("quorum", len(texts) // 2 + 1)
    if not (math.isfinite(quorum) and quorum == int(quorum) and 1 <= quorum <= len(texts)):
        told = spec.options["quorum"]
        raise SpecError(f"{spec.text}: option quorum is from 1 to {len(texts)}, the members, got {told!r}")
    session = session or Session.open()
    members = tuple(load_judge(text, session) for text in texts)
    names = [
        member.name if isinstance(member, Named) else text
        for member, text in zip(members, texts, strict=True)
    ]
    return Jury(members, _distinct(names), int(quorum), spec.text)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(distinct)


def _most_common_reason(verdicts: Sequence[Verdict]) -> Reason:
    """Return the most common reason, ties broken by the order of REASONS."""
    reasons = Counter(verdict.reason for verdict in verdicts if not verdict.winner)
    return cast(Reason, max(reasons, key=lambda reason: (reasons[reason], -REASONS.index(reason))))


def _why(verdict: Verdict) -> str:
    return f"{verdict.reason}: {verdict.detail}" if verdict.detail else verdict.reason


def _vote(name: str, verdict: Verdict) -> dict[str, object]:
    return {
        "judge": name,
        "winner": verdict.winner,
        "preference": verdict.preference,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "reply": verdict.reply,
        "usage": asdict(verdict.usage),
        # Several people see no side first that one could name, whichever way the jury is told it.
        **({} if order_known(verdict) else {"swapped": None}),
    }
