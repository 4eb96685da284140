"""Scorer, the protocol that grades."""

from collections.abc import Sequence
from typing import Protocol, cast

from rewards.records import Generation, Score
from rewards.specs import load_by_spec


class Scorer(Protocol):
    """Grades generations."""

    def score(self, generations: Sequence[Generation]) -> list[Score]:
        """Return one score for each generation, in the order asked; higher is better.

        Raises:
            ScoringError: A generation has no score; the message names its id.
        """
        ...


def load_scorer(spec: str) -> Scorer:
    """Load a scorer by name: a model folder or Hub id, `rule:length`, `column:NAME`, `ensemble:A,B`, ...

    Raises:
        SpecError: The specification names no scorer.
    """
    return cast(Scorer, load_by_spec(spec, "evalkit.scorers"))
