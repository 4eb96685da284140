"""Verdicts as preferences and rankings for training, with counts of those left out, by reason."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Generic, Literal, TypeVar

from judges.judge import Comparison, Verdict
from rewards.errors import DataError
from rewards.records import Preference, Prompt, Ranking, prompt_key

Exported = TypeVar("Exported", Preference, Ranking)

Margin = Literal["none", "logit"]

LARGEST_MARGIN = math.log(0.999 / 0.001)
"""Bound of a margin in logits, as a judge that is quite certain has an infinite one."""


@dataclass(frozen=True)
class Export(Generic[Exported]):
    """Records to train on."""

    records: list[Exported]
    left_out: Mapping[str, int]
    """How many comparisons, or prompts of rankings, gave no record, by reason."""


@dataclass
class _Pair:
    """The verdicts of all judges, orders and repeats on two responses, oriented as the first of them."""

    comparison: Comparison
    values: list[float] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        if verdict.comparison.first != self.comparison.first:
            verdict = verdict.swap()
        outcome = verdict.outcome()
        if outcome is None:
            return
        likely = None if outcome == 0.5 else verdict.preference
        self.values.append(outcome if likely is None else likely)
        if verdict.preference is not None:
            self.probabilities.append(verdict.preference)

    @property
    def value(self) -> float:
        """The mean over all verdicts, which no order, judge or repeat outweighs."""
        return math.fsum(self.values) / len(self.values)

    @property
    def margin(self) -> float:
        mean = math.fsum(self.probabilities) / len(self.probabilities)
        odds = math.inf if mean in (0, 1) else abs(math.log(mean) - math.log1p(-mean))
        return min(odds, LARGEST_MARGIN)


def verdict_preferences(verdicts: Iterable[Verdict], margin: Margin = "none") -> Export[Preference]:
    """Return one preference for each pair of responses that the verdicts decide.

    Both orders, all judges of a jury and all repeats of a comparison are averaged, with the judge's
    probability where it gave one and did not say tie, as a reward model does within its margin.
    Memory holds each pair's texts once.

    Args:
        verdicts: Of one axis.
        margin: What to say of how much better: nothing, or the logit of the judges' mean probability, at
            most LARGEST_MARGIN; a pair of which no judge gave a probability is then left out.

    Raises:
        DataError: The verdicts are of several axes.
    """
    left_out: Counter[str] = Counter()
    records = []
    for pair in _pairs(verdicts, left_out).values():
        if not pair.values:
            left_out["no verdict"] += 1
        elif pair.value == 0.5:
            left_out["tie"] += 1
        elif margin == "logit" and not pair.probabilities:
            left_out["no probability"] += 1
        else:
            records.append(_preference(pair, margin))
    return Export(records, dict(left_out))


def _preference(pair: _Pair, margin: Margin) -> Preference:
    better = pair.comparison if pair.value > 0.5 else pair.comparison.swap()
    extra: dict[str, object] = {
        "chosen_system": better.extra.get("first_system", ""),
        "rejected_system": better.extra.get("second_system", ""),
        "verdicts": len(pair.values),
        "preference": max(pair.value, 1 - pair.value),
    }
    far = pair.margin if margin == "logit" else 0.0
    return Preference(better.prompt, better.first, better.second, far, better.id, extra)


def verdict_rankings(verdicts: Iterable[Verdict]) -> Export[Ranking]:
    """Return one ranking for each prompt on which every two of its responses were compared.

    A response's rank is by its wins over the others, a tied pair half a win to each; equal wins are equal
    ranks. A prompt of which a pair has no verdict is left out, as its wins could not be compared.

    Raises:
        DataError: The verdicts are of several axes.
    """
    left_out: Counter[str] = Counter()
    by_prompt: dict[str, list[_Pair]] = defaultdict(list)
    for pair in _pairs(verdicts, left_out).values():
        by_prompt[prompt_key(pair.comparison.prompt)].append(pair)
    records = []
    for pairs in by_prompt.values():
        known = {frozenset((pair.comparison.first, pair.comparison.second)): pair for pair in pairs}
        systems = _systems(pairs)
        if any(not pair.values for pair in pairs):
            left_out["a pair without verdict"] += 1
        elif any(frozenset(two) not in known for two in combinations(systems, 2)):
            left_out["a pair not compared"] += 1
        else:
            records.append(_ranking(pairs, systems))
    return Export(records, dict(left_out))


def _systems(pairs: list[_Pair]) -> dict[str, object]:
    """Return the responses in the order met, each with its system's name."""
    systems: dict[str, object] = {}
    for pair in pairs:
        for side in ("first", "second"):
            systems.setdefault(
                getattr(pair.comparison, side), pair.comparison.extra.get(f"{side}_system", "")
            )
    return systems


def _ranking(pairs: list[_Pair], systems: Mapping[str, object]) -> Ranking:
    wins = dict.fromkeys(systems, 0.0)
    for pair in pairs:
        won = 0.5 if pair.value == 0.5 else float(pair.value > 0.5)
        wins[pair.comparison.first] += won
        wins[pair.comparison.second] += 1 - won
    levels = sorted(set(wins.values()), reverse=True)
    ranks = tuple(1 + levels.index(wins[response]) for response in systems)
    prompt: Prompt = pairs[0].comparison.prompt
    extra = {"systems": list(systems.values()), "verdicts": sum(len(pair.values) for pair in pairs)}
    return Ranking(prompt, tuple(systems), ranks, pairs[0].comparison.id, extra)


def _pairs(verdicts: Iterable[Verdict], left_out: Counter[str]) -> dict[tuple[str, str, str], _Pair]:
    pairs: dict[tuple[str, str, str], _Pair] = {}
    seen: set[tuple[str, str]] = set()
    axis: str | None = None
    for verdict in verdicts:
        comparison = verdict.comparison
        if axis not in (None, verdict.axis):
            raise DataError(
                f"verdicts on {axis or 'overall'!r} and on {verdict.axis or 'overall'!r}: take one by --axis"
            )
        axis = verdict.axis
        if comparison.first == comparison.second:
            reason = "identical responses" if comparison.first else "no texts"
            key = (prompt_key(comparison.prompt), comparison.first)
            left_out[reason] += key not in seen
            seen.add(key)
            continue
        low, high = sorted((comparison.first, comparison.second))
        key_of_pair = (prompt_key(comparison.prompt), low, high)
        pairs.setdefault(key_of_pair, _Pair(comparison)).add(verdict)
    return pairs
