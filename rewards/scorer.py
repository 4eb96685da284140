"""Scorer, the protocol that grades; its optional attributes; and loading a scorer by name.

Every source of rewards is a scorer: a reward model, a rule, an ensemble, a judge that grades, the true reward
of a testbed. Everything that uses rewards (best-of-n, evaluation, PPO, an overoptimization curve) calls one:

    scorer = load_scorer("rule:length?unit=words")
    scorer.score([Generation("Name a colour.", "Deep blue.")])  # [Score(value=2.0, ...)]

`Generation` and `Score` are in `rewards/records.py`. Any object with a method `score` is a scorer: there is
no base class. `docs/extending.md` writes one and gives it a name for the command line.

The protocols below `Scorer` are optional. Callers use such an attribute if a scorer has it; a scorer without
them works everywhere.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, cast, runtime_checkable

from rewards.records import Generation, Score
from rewards.specs import load_by_spec


class Scorer(Protocol):
    """Grades generations."""

    def score(self, generations: Sequence[Generation]) -> list[Score]:
        """Return one score for each generation, in the order asked; higher is better.

        A score depends on its own generation alone, not on the others in the call.

        Raises:
            ScoringError: A generation has no score; the message names its id.
        """
        ...


@runtime_checkable
class Standardized(Scorer, Protocol):
    """A scorer whose score differences are scaled logits, such as a Bradley-Terry reward model.

    It gives a `reward:` judge's verdicts probabilities, and `evalkit evaluate` its calibration.
    """

    @property
    def logit_scale(self) -> float:
        """Logits per unit of score: a is better than b with probability sigmoid(logit_scale * (a - b))."""
        ...


@runtime_checkable
class StepScorer(Scorer, Protocol):
    """A scorer that splits a response into steps and scores each, such as a process reward model.

    PPO splits responses the same way, and needs `--ppo.empty_reward`: an empty response has no step.
    """

    @property
    def separator(self) -> str:
        """The text that ends a step."""
        ...


@runtime_checkable
class Thresholded(Scorer, Protocol):
    """A scorer of steps with a threshold for wrong steps; `evalkit process-eval` reports it."""

    @property
    def threshold(self) -> float | None:
        """A step with a lower score counts as wrong; None if not known."""
        ...


@runtime_checkable
class AspectWeighted(Scorer, Protocol):
    """A scorer whose value is a weighted sum of aspects; PPO weighs span rewards the same way."""

    @property
    def aspect_weights(self) -> Mapping[str, float]:
        """The weight of each aspect in `Score.value`."""
        ...


@runtime_checkable
class Truncating(Scorer, Protocol):
    """A scorer that truncates prompts beyond its context; commands report how many."""

    @property
    def truncated(self) -> int:
        """Generations whose prompt was truncated so far."""
        ...


@runtime_checkable
class Composite(Scorer, Protocol):
    """A scorer made of scorers, such as an ensemble."""

    @property
    def members(self) -> Sequence[Scorer]:
        """The member scorers."""
        ...


def truncated(scorer: Scorer) -> int:
    """Return how many prompts a scorer and its members have truncated so far; 0 if it never truncates."""
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
