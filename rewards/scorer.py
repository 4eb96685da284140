"""Scorer, the protocol that grades, what a scorer may say of itself besides, and how one is loaded by name.

Whatever gives a reward is a scorer: a reward model, a rule, an ensemble, a judge that grades, the true reward
of a testbed. Whatever uses a reward (best-of-n, evaluation, PPO, an overoptimization curve) asks a scorer:

    scorer = load_scorer("rule:length?unit=words")
    scorer.score([Generation("Name a colour.", "Deep blue.")])  # [Score(value=2.0, ...)]

`Generation` and `Score` are in `rewards/records.py`. Any object with a method `score` is a scorer: there is
no base class. `docs/extending.md` writes one and gives it a name for the command line.

The protocols below `Scorer` are optional. A scorer that has such an attribute is used better; one that has
none of them works everywhere.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, cast, runtime_checkable

from rewards.records import Generation, Score
from rewards.specs import load_by_spec


class Scorer(Protocol):
    """Grades generations."""

    def score(self, generations: Sequence[Generation]) -> list[Score]:
        """Return one score for each generation, in the order asked; higher is better.

        A score depends on its own generation alone, not on the others asked about with it.

        Raises:
            ScoringError: A generation has no score; the message names its id.
        """
        ...


@runtime_checkable
class Standardized(Scorer, Protocol):
    """A scorer whose differences are those of logits, in another unit, as a Bradley-Terry reward model's.

    It makes probabilities of a `reward:` judge's verdicts, and calibration of `evalkit evaluate`.
    """

    @property
    def logit_scale(self) -> float:
        """Logits per unit of score: a is better than b with probability sigmoid(logit_scale * (a - b))."""
        ...


@runtime_checkable
class StepScorer(Scorer, Protocol):
    """A scorer that cuts a response into steps itself and scores each, as a process reward model.

    PPO cuts responses as the scorer does, and wants another reward for an empty one, which has no step.
    """

    @property
    def separator(self) -> str:
        """The text that ends a step."""
        ...


@runtime_checkable
class Thresholded(Scorer, Protocol):
    """A scorer of steps that knows which scores mean a wrong step; `evalkit process-eval` reports it."""

    @property
    def threshold(self) -> float | None:
        """Below it a step counts as wrong; None where it is not known."""
        ...


@runtime_checkable
class AspectWeighted(Scorer, Protocol):
    """A scorer whose value is a weighted sum of aspects; PPO pays their spans by the same weights."""

    @property
    def aspect_weights(self) -> Mapping[str, float]:
        """The weight of each aspect in `Score.value`."""
        ...


@runtime_checkable
class Truncating(Scorer, Protocol):
    """A scorer that cuts prompts which are too long for it; commands say how many it cut."""

    @property
    def truncated(self) -> int:
        """Generations whose prompt was cut so far."""
        ...


@runtime_checkable
class Composite(Scorer, Protocol):
    """A scorer made of scorers, as an ensemble."""

    @property
    def members(self) -> Sequence[Scorer]:
        """The scorers that it asks."""
        ...


def truncated(scorer: Scorer) -> int:
    """Return how many prompts a scorer has cut so far, or its members together; 0 for one that cuts none."""
    if isinstance(scorer, Truncating):
        return scorer.truncated
    return sum(map(truncated, scorer.members)) if isinstance(scorer, Composite) else 0


def load_scorer(spec: str) -> Scorer:
    """Load a scorer by name: a model folder or Hub id, `rule:length`, `column:NAME`, `ensemble:A,B`, ...

    Schemes such as `rule` are entry points of the group `evalkit.scorers`; `rewards/specs.py` says how a
    specification is written.

    Raises:
        SpecError: The specification names no scorer.
    """
    return cast(Scorer, load_by_spec(spec, "evalkit.scorers"))
