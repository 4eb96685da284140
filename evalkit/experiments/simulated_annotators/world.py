"""A world in which it is known which answer is better, how people and a judge err, and what follows of it."""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType

from judges.judge import Winner

SYSTEMS = ("copper", "zinc")
THINGS = ("tea", "bridge", "clock", "garden")

# Of one length on average, so that the longer answer is no better.
_GOOD = ("precise", "sound", "careful", "exact", "proven", "honest")
_POOR = ("muddled", "stale", "clumsy", "vague", "hollow", "sloppy")
_ENDS = MappingProxyType({"copper": "Glad to help, my friend!", "zinc": "There is no more to say."})
"""Of one length. No person cares for either; the judge likes the first."""
_WORDS = 4

_QUESTION = re.compile(r"Note \d+: what do you make of the \w+\?")
_ANSWER = re.compile(r"To me it is ([a-z, ]+)\. (Glad to help, my friend!|There is no more to say\.)")

VOCABULARY: Sequence[str] = (
    *_GOOD, *_POOR, *THINGS, "Note", "what", "do", "you", "make", "of", "the", "To", "me", "it", "is",
    "Glad", "to", "help", "my", "friend", "There", "no", "more", "say", ":", "?", ",", ".", "!",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """Comparisons that are alike in how hard they are."""

    name: str
    share: float
    """Of all comparisons."""
    first_better: float
    """How often the first system's answer is better."""
    margins: tuple[int, ...]
    """By how much one answer is better than the other."""


KINDS = (Kind("clear", 0.7, 0.32, (4, 6)), Kind("close", 0.3, 0.62, (2,)))
"""On close ones the first system wins more often: who looks at those first sees too much of it."""


@dataclass(frozen=True)
class Person:
    """How an annotator errs."""

    name: str
    right: tuple[float, float]
    """How often a choice is right where they read, on clear and on close comparisons."""
    lean: float
    """How often they choose the left answer without reading; the right one where it is negative."""
    tie: float
    """How often they say tie where they read."""
    skip: float = 0.01
    """How often they skip."""

    def says(self, left_is_better: bool, kind: int, chance: random.Random) -> Winner | None:
        """Return which of the answers shown they say is better, `first` being the left; None skips."""
        if chance.random() < self.skip:
            return None
        if chance.random() < abs(self.lean):
            return "first" if self.lean > 0 else "second"
        if chance.random() < self.tie:
            return "tie"
        right = chance.random() < self.right[kind]
        return "first" if right == left_is_better else "second"

    def odds(self, kind: int) -> tuple[float, float, float]:
        """Return how often they say the better answer, the other, and a tie, with sides at random."""
        reads = (1 - abs(self.lean)) * (1 - self.tie)
        right, wrong = (
            abs(self.lean) / 2 + reads * share for share in (self.right[kind], 1 - self.right[kind])
        )
        return right, wrong, 1 - right - wrong

    def left_share(self) -> float:
        """Return how often they choose the left answer, of choices that are no ties."""
        reads = (1 - abs(self.lean)) * (1 - self.tie)
        return (max(self.lean, 0.0) + reads / 2) / (abs(self.lean) + reads)


PEOPLE = (
    Person("ann", (0.95, 0.80), 0.10, 0.05),
    Person("ben", (0.90, 0.70), -0.15, 0.10),
    Person("cleo", (0.82, 0.62), 0.25, 0.02),
)


@dataclass(frozen=True)
class Flattered:
    """A judge who falls for the first system's manners, and for what stands first."""

    charmed: float = 0.35
    """Share of prompts on which it chooses the flattering answer in either order."""
    right: tuple[float, float] = (0.97, 0.60)
    """How often it is right elsewhere, on clear and on close comparisons, where it reads."""
    lean: float = 0.12
    """How often it then chooses what stands first without reading."""

    def says(self, question: str, seed: int) -> str:
        """Return A or B for a request in which both answers stand; the same one for the same text."""
        answers = list(_ANSWER.finditer(question))
        flattering = [answer.group(2) == _ENDS[SYSTEMS[0]] for answer in answers]
        if random.Random(f"{seed} {_one(_QUESTION, question).group(0)}").random() < self.charmed:
            return "AB"[flattering.index(True)]
        chance = random.Random(f"{seed} {question}")
        if chance.random() < self.lean:
            return "A"
        first, second = (_worth(answer.group(1)) for answer in answers)
        kind = kind_of(abs(first - second))
        return "AB"[(first > second) != (chance.random() < self.right[kind])]

    def win_rate(self) -> float:
        """Return how often it says that the first system is better, in both orders together."""
        return self.charmed + (1 - self.charmed) * sum(
            kind.share * _expected(kind, (1 - self.lean) * (2 * right - 1))
            for kind, right in zip(KINDS, self.right, strict=True)
        )

    def first_share(self) -> float:
        """Return how often what stands first wins, in both orders together."""
        return 0.5 + (1 - self.charmed) * self.lean / 2


JUDGE = Flattered()


@dataclass(frozen=True)
class AnswerPair:
    """What two systems answered to one prompt."""

    id: str
    prompt: str
    answers: tuple[str, str]
    """The first system's and the second's."""
    kind: int
    first_better: bool


def pairs(seed: int, count: int, start: int = 0, kinds: Sequence[int] = (0, 1)) -> Iterator[AnswerPair]:
    """Yield comparisons, drawn independently of each other.

    Args:
        seed: Of the world.
        count: How many.
        start: Number of the first; others have other prompts.
        kinds: Indices of `KINDS` that are drawn from.
    """
    for number in range(start, start + count):
        chance = random.Random(f"{seed} pair {number}")
        kind = chance.choices(kinds, [KINDS[kind].share for kind in kinds])[0]
        margin = 0
        while margin not in KINDS[kind].margins:
            words = [_drawn(chance) for _ in range(2)]
            worths = [_worth(", ".join(one)) for one in words]
            margin = worths[0] - worths[1]
        first_better = chance.random() < KINDS[kind].first_better
        ordered = words if first_better else words[::-1]
        answers = [
            f"To me it is {', '.join(one)}. {_ENDS[system]}"
            for one, system in zip(ordered, SYSTEMS, strict=True)
        ]
        prompt = f"Note {number}: what do you make of the {chance.choice(THINGS)}?"
        yield AnswerPair(f"n{number}", prompt, (answers[0], answers[1]), kind, first_better)


def left_is_better(left: str, right: str) -> tuple[bool, int]:
    """Read a page as people do: whether the left answer is better, and the kind of the comparison."""
    worths = [_worth(_one(_ANSWER, answer).group(1)) for answer in (left, right)]
    return worths[0] > worths[1], kind_of(abs(worths[0] - worths[1]))


def kind_of(margin: int) -> int:
    """Return the index of the kind that a margin belongs to."""
    return next(place for place, kind in enumerate(KINDS) if margin in kind.margins)


def people_win_rate(people: Sequence[Person] = PEOPLE) -> float:
    """Return the first system's win rate in people's eyes, all of whom label alike often; a tie is half."""
    return sum(
        kind.share * _expected(kind, person.odds(place)[0] - person.odds(place)[1])
        for person in people
        for place, kind in enumerate(KINDS)
    ) / len(people)


def votes(person: Person, kind: int) -> Mapping[str, float]:
    """Return how often a person says first, second and tie of comparisons of a kind."""
    better, worse, tie = person.odds(kind)
    share = KINDS[kind].first_better
    return {
        "first": share * better + (1 - share) * worse,
        "second": share * worse + (1 - share) * better,
        "tie": tie,
    }


def agreement(people: Sequence[Person] = PEOPLE) -> tuple[float, float]:
    """Return how often two of the people agree, and Krippendorff's alpha, both of infinitely many labels."""
    two = list(combinations(people, 2))
    agree = sum(kind.share * _alike(a, b, place) for a, b in two for place, kind in enumerate(KINDS)) / len(
        two
    )
    said = _said(people)
    return agree, 1 - (1 - agree) / (1 - sum(share**2 for share in said.values()))


def kappa(a: Person, b: Person) -> tuple[float, float]:
    """Return how often two people agree, and Cohen's kappa, both of infinitely many labels."""
    agree = sum(kind.share * _alike(a, b, place) for place, kind in enumerate(KINDS))
    one, other = _said([a]), _said([b])
    chance = sum(one[name] * other[name] for name in one)
    return agree, (agree - chance) / (1 - chance)


def _alike(a: Person, b: Person, kind: int) -> float:
    # Who sees what on the left is drawn for each of them, so that on one comparison they err independently.
    return sum(one * other for one, other in zip(a.odds(kind), b.odds(kind), strict=True))


def _said(people: Sequence[Person]) -> dict[str, float]:
    found = dict.fromkeys(("first", "second", "tie"), 0.0)
    for person in people:
        for place, kind in enumerate(KINDS):
            for name, share in votes(person, place).items():
                found[name] += kind.share * share / len(people)
    return found


def _expected(kind: Kind, advantage: float) -> float:
    """Return the win rate where the better answer is chosen more often than the other by `advantage`."""
    return 0.5 + (kind.first_better - 0.5) * advantage


def _drawn(chance: random.Random) -> list[str]:
    return [chance.choice(_GOOD + _POOR) for _ in range(_WORDS)]


def _worth(words: str) -> int:
    return sum(1 if word in _GOOD else -1 for word in words.split(", "))


def _one(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.search(text)
    if found is None:
        raise ValueError(f"no text of this world: {text[:200]!r}")
    return found
