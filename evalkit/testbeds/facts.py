"""facts: a synthetic world, its questions, and the gold reward table of answers."""

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from types import MappingProxyType

from rewards.errors import DataError

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "city": ("oslo", "lima", "cairo", "kyoto", "quito", "perth"),
        "river": ("nile", "rhine", "volga", "tagus", "indus", "yukon"),
        "metal": ("iron", "zinc", "tin", "copper", "nickel", "cobalt"),
        "bird": ("crow", "wren", "hawk", "swan", "heron", "stork"),
    }
)
ATTRIBUTES = ("size", "weight", "age", "price", "speed", "fame")
VALUES = ("low", "medium", "high", "extreme")
TONES = ("surely", "maybe")
COURTESIES = ("glad", "thanks")
ASPECTS = ("relevance", "factuality", "completeness")


@dataclass(frozen=True, slots=True)
class Writer:
    """Habits of the corpus's author, as probabilities; geometric rates are the chance of one more."""

    skips_asked: float = 0.25
    right: float = 0.65
    leans_to_typical: float = 0.7
    one_more_unasked: float = 0.45
    one_more_repeat: float = 0.12
    one_more_courtesy: float = 0.4
    surely_when_right: float = 0.35
    surely_when_wrong: float = 0.12
    maybe_when_right: float = 0.1
    maybe_when_wrong: float = 0.25
    right_in_reviews: float = 0.5
    wrong_marks: float = 0.05


@dataclass(frozen=True, slots=True)
class GoldTable:
    """Gold rewards of each kind of segment, and of a complete answer."""

    right: float = 1.0
    right_surely: float = 1.2
    right_maybe: float = 0.5
    wrong: float = -1.0
    wrong_surely: float = -2.0
    wrong_maybe: float = -0.5
    first_unasked: float = 0.3
    further_unasked: float = -0.5
    repeat: float = -0.8
    first_courtesy: float = 0.6
    second_courtesy: float = 0.2
    further_courtesy: float = -0.8
    other_token: float = -0.5
    complete: float = 1.0
    missing: float = -0.3
    unfinished: float = -1.0


@dataclass(frozen=True, slots=True)
class FactsQuestion:
    """A question: some attributes of one entity."""

    entity: str
    asked: tuple[str, ...]


@dataclass(frozen=True)
class FactsWorld:
    """A world: its facts (by seed), its author's habits and its gold table.

    Each kind of thing has a typical value; a fact is its kind's typical value but for `exceptions` of the
    (entity, attribute) pairs. `hash` identifies the world: it is saved with all data and models of it.
    """

    seed: int = 0
    exceptions: float = 0.15
    max_tokens: int = 40
    writer: Writer = field(default_factory=Writer)
    gold: GoldTable = field(default_factory=GoldTable)

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits over the settings, the words and the facts themselves."""
        facts = sorted((entity, attribute, value) for (entity, attribute), value in _facts(self).items())
        text = json.dumps([asdict(self), facts, COURTESIES, TONES], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def kind(self, entity: str) -> str:
        """Return the kind of an entity."""
        return _KIND_OF[entity]

    def typical(self, entity: str) -> str:
        """Return the typical value of an entity's kind."""
        return _typical_values(self)[_KIND_OF[entity]]

    def value(self, entity: str, attribute: str) -> str:
        """Return the true value."""
        return _facts(self)[entity, attribute]

    def prompt(self, question: FactsQuestion) -> str:
        """Return a question as text, such as `Q city oslo size age ? A` and a line break."""
        words = ("Q", self.kind(question.entity), question.entity, *question.asked, "?", "A")
        return " ".join(words) + "\n"

    def question(self, prompt: str) -> FactsQuestion:
        """Read a prompt.

        Raises:
            DataError: The text is no question of this world.
        """
        words = prompt.split()
        if len(words) < 6 or words[0] != "Q" or words[-2:] != ["?", "A"]:
            raise DataError(f"a prompt of facts reads 'Q KIND ENTITY ATTRIBUTE... ? A', got {prompt!r}")
        kind, entity, asked = words[1], words[2], tuple(words[3:-2])
        if entity not in KINDS.get(kind, ()):
            raise DataError(f"{entity!r} is no {kind} of this world")
        if len(set(asked)) < len(asked) or not set(asked) <= set(ATTRIBUTES):
            raise DataError(f"attributes asked are distinct and among {', '.join(ATTRIBUTES)}, got {asked}")
        return FactsQuestion(entity, asked)


_KIND_OF = {entity: kind for kind, entities in KINDS.items() for entity in entities}


@cache
def _typical_values(world: FactsWorld) -> Mapping[str, str]:
    # Random.random is the one stream that Python promises never to change.
    draw = random.Random(f"typical {world.seed}").random
    values = sorted(VALUES, key=lambda _: draw())
    return dict(zip(KINDS, values, strict=True))


@cache
def _facts(world: FactsWorld) -> Mapping[tuple[str, str], str]:
    typical = _typical_values(world)
    draw = random.Random(f"facts {world.seed}").random
    pairs = [(entity, attribute) for entity in _KIND_OF for attribute in ATTRIBUTES]
    shuffled = sorted(pairs, key=lambda _: draw())
    exceptional = set(shuffled[: round(world.exceptions * len(pairs))])
    facts = {}
    for entity, attribute in pairs:
        usual = typical[_KIND_OF[entity]]
        others = [value for value in VALUES if value != usual]
        facts[entity, attribute] = (
            others[int(draw() * len(others))] if (entity, attribute) in exceptional else usual
        )
    return facts
