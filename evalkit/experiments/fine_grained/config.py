"""Settings of the fine-grained experiment: how much of everything, and the ways to label answers."""

from dataclasses import dataclass, field
from typing import Literal

from evalkit.testbeds.facts import ASPECTS
from rewards.errors import ConfigError

ANSWERS_A_PAIR = 2
TOTAL = "total"
"""The one aspect of a rating: the sum of all."""
EXACT = "-exact"
"""What follows the name of labels without noise."""
BASELINE = "preferences"
SHORTER = "preferences-5"
"""The baseline with the quickstart's settings, which were not chosen for this; it alone learns from more."""
BOUNDED = "spans"
"""The method whose aspects are combined under bounds."""


@dataclass(frozen=True, slots=True)
class Labelling:
    """One way to label answers and to learn from the labels."""

    name: str
    title: str
    labels: Literal["pairs", "sums", "spans"]
    """Which file of labels is read."""
    objective: Literal["regression", "error"] = "regression"
    aspects: tuple[str, ...] = ASPECTS
    learning_rate: float = 8e-4
    """As all that follows, chosen on seeds that are not reported."""
    epochs: float = 15.0

    def arm(self, answers: int, exact: bool = False) -> "Arm":
        """Return this method on so many labelled answers."""
        return Arm(self, answers, exact)


@dataclass(frozen=True, slots=True)
class Arm:
    """A reward model of the experiment: a method, a number of labelled answers, and their noise."""

    method: Labelling
    answers: int
    exact: bool = False
    """Whether the labels are gold's own, without noise."""

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.method.name}-{self.answers}{EXACT if self.exact else ''}"

    @property
    def has_aspects(self) -> bool:
        """Whether it gives the three aspects, and not one number alone."""
        return self.method.labels != "pairs" and self.method.aspects == ASPECTS


METHODS = (
    Labelling("preferences", "one preference for two answers", "pairs", learning_rate=1.6e-3),
    Labelling("preferences-5", "the same, 5 passes at half the rate", "pairs", epochs=5.0),
    Labelling("ratings", "one rating for an answer", "sums", aspects=(TOTAL,)),
    Labelling("aspects", "three ratings, one an aspect", "sums"),
    Labelling("spans", "a value for each span", "spans"),
    Labelling("faults", "a fault or none for each span", "spans", "error"),
)
CHARGED = Labelling("charged", "the same, faults alone counted", "spans", "error")
"""The reward model of faults with another sum: each piece is charged its chance of a fault, and none is
credited for being without. It is trained as `faults`, once for both."""


@dataclass(frozen=True)
class FineGrained:
    """Train every reward model for every seed, and write tables and figures."""

    work: str = "runs/fine-grained"
    """Folder for models and scored answers; what is finished there is used again."""
    out: str = "results/fine_grained"
    """Folder for config.json, tables and figures."""
    seeds: list[int] = field(default_factory=lambda: [20, 21, 22])
    """Seeds of models, labels and answers. The settings were chosen on seeds 0 and 1."""
    answers: list[int] = field(default_factory=lambda: [1000, 3000])
    """Numbers of labelled answers; the smaller sets are the first of the larger."""
    more: int = 10000
    """Labelled answers on which preferences alone are also learnt; 0 for none."""
    methods: list[str] = field(default_factory=lambda: [method.name for method in METHODS])
    """Ways of labelling, by name; preferences, which the others are held against, among them."""
    exact: int = 3000
    """Labelled answers whose preferences and spans are also taken without noise; 0 for none."""
    prompts: int = 64
    """Prompts on which the choice is measured."""
    samples: int = 256
    """Answers to each of them."""
    n: int = 64
    """Answers that the best is chosen from, in expectation over all subsets of the samples."""
    bounds: list[float] = field(default_factory=lambda: [0.0, 1.0, 2.0])
    """Lowest factuality under which relevance is chosen by."""
    updates: int = 1000
    """Most updates of the language model; it stops before, once it knows the world's facts."""

    def __post_init__(self) -> None:
        sizes = all_sizes(self)
        if any(number % ANSWERS_A_PAIR for number in sizes):
            raise ConfigError(f"labelled answers come in pairs, got {sizes}")
        if self.more and SHORTER not in self.methods:
            raise ConfigError(f"more {self.more} is for {SHORTER}, which methods lack: {self.methods}")
        known = [method.name for method in METHODS]
        if not {BASELINE, BOUNDED} <= set(self.methods) <= set(known):
            raise ConfigError(
                f"methods are of {', '.join(known)}, {BASELINE} and {BOUNDED} with them; got {self.methods}"
            )


def all_sizes(config: FineGrained) -> list[int]:
    """Return every number of labelled answers that a reward model learns from."""
    return [*config.answers, *filter(None, (config.more, config.exact))]
