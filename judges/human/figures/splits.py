"""The tasks on which people disagree, most split first."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from judges.human.answers import Answer, RankingAnswer, SpansAnswer, StepsAnswer, said
from judges.human.figures.compact import CompactLabel, CompactTask


@dataclass(frozen=True, slots=True)
class Split:
    """A task on which people disagree."""

    task_id: int
    apart: float
    """Mean over pairs of its annotators of how far they are apart: 0 alike, 1 as far as can be."""
    answers: int


def splits_of(answers: Mapping[int, Sequence[CompactLabel]], asked: Mapping[int, CompactTask]) -> list[Split]:
    """Return the tasks on which not all say the same, most split first, then those with more answers.

    Choices are apart or not, half where one says tie; rankings by the share of pairs that stand otherwise
    (a tie halfway); steps by the share of steps labelled otherwise, those behind an error being none;
    spans by the share of aspects that one marked and the other did not.
    """
    found = []
    for task_id, told in answers.items():
        given = [one.answer for one in told if one.answer is not None]
        pairs = list(combinations(given, 2))
        apart = sum(_apart(a, b, asked[task_id]) for a, b in pairs) / len(pairs) if pairs else 0.0
        if apart > 0:
            found.append(Split(task_id, apart, len(given)))
    return sorted(found, key=lambda one: (-one.apart, -one.answers, one.task_id))


def votes(told: Sequence[CompactLabel]) -> Counter[Hashable]:
    """Return the number of annotators for each answer."""
    return Counter(said(one.answer) for one in told if one.answer is not None)


def _apart(a: Answer, b: Answer, asked: CompactTask) -> float:
    if isinstance(a, RankingAnswer) and isinstance(b, RankingAnswer):
        pairs = list(combinations(range(len(a.ranks)), 2))
        return sum(abs(_outcome(a, *pair) - _outcome(b, *pair)) for pair in pairs) / len(pairs)
    if isinstance(a, StepsAnswer) and isinstance(b, StepsAnswer):
        return sum(x != y for x, y in zip(a.labels, b.labels, strict=True)) / len(a.labels)
    if isinstance(a, SpansAnswer) and isinstance(b, SpansAnswer):
        marked = [{span.aspect for span in one.spans} for one in (a, b)]
        return len(marked[0] ^ marked[1]) / len(asked.aspects)
    if said(a) == said(b):
        return 0.0
    return 0.5 if "tie" in (said(a), said(b)) else 1.0


def _outcome(answer: RankingAnswer, first: int, second: int) -> float:
    ranks = answer.ranks
    return 0.5 if ranks[first] == ranks[second] else float(ranks[first] < ranks[second])
