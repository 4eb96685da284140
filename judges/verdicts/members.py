"""A jury's verdicts split into those of its members, and their majority."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from judges.judge import Verdict, Winner
from judges.usage import Usage
from judges.verdicts.annotation import in_order
from rewards.errors import DataError

JURY = "jury:"
"""How the names of juries begin."""


def majority(verdicts: Sequence[Verdict], quorum: int = 1) -> Winner | None:
    """Return the strict majority of the votes, `tie` without one, None below the quorum."""
    votes = Counter(verdict.winner for verdict in verdicts if verdict.winner)
    if votes.total() < quorum:
        return None
    winner, count = max(votes.items(), key=lambda item: item[1])
    return winner if 2 * count > votes.total() else "tie"


def member_verdicts(verdict: Verdict) -> list[Verdict]:
    """Return the members' verdicts that a jury's verdict was made of, oriented as it is.

    They stand in the verdict itself, so that no member is asked again and a file of verdicts has them too.

    Raises:
        DataError: The verdict is no jury's.
    """
    unswapped = verdict.swap() if verdict.swapped else verdict
    try:
        members = [_member(unswapped, vote) for vote in json.loads(verdict.reply)]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"the verdict of {verdict.judge!r} holds no members' votes") from None
    return [member.swap() for member in members] if verdict.swapped else members


def members_in(verdict: Verdict) -> frozenset[str]:
    """Return the judges whose votes a verdict was made of; none for that of a single judge."""
    if not verdict.reply.startswith("[{"):
        return frozenset()
    try:
        return frozenset(member.judge for member in member_verdicts(verdict))
    except DataError:
        return frozenset()


def _member(verdict: Verdict, vote: Mapping[str, Any]) -> Verdict:
    comparison, winner = verdict.comparison, vote["winner"]
    # People see their sides in an order of their own, or one that nobody knows.
    swapped = vote.get("swapped", False)
    if "swapped" in vote:
        comparison = in_order(comparison, known=swapped is not None)
    return Verdict(
        comparison,
        winner,
        vote["preference"],
        vote["reason"],
        vote["judge"],
        verdict.axis,
        verdict.repeat,
        swapped=bool(swapped),
        detail=vote["detail"],
        reply=vote["reply"],
        usage=Usage(**vote["usage"]),
    )
