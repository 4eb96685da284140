"""Scorer with a local process reward model: a solution's steps in one pass, shared steps computed once."""

import numpy as np

from rewards.config import ScoringConfig
from rewards.encoding.step_encoder import StepEncoder
from rewards.errors import ScoringError
from rewards.files import GenerationsLike, as_generations
from rewards.models.tokens import RIGHT, TokenModel
from rewards.records import Score
from rewards.scorers.engine import Engine, generation_name
from rewards.solutions.steps import Aggregation, aggregate_log_odds, probabilities, split_steps


class ProcessScorer(Engine):
    """Scores the steps of generations with a process reward model.

    A score's `steps` are the probabilities that each step is right, its `value` is their aggregate, and its
    `aspects` record which: `{"product": value}`. A generation without `steps` is split at the separator.
    An unfinished solution is scored by its steps so far.
    """

    def __init__(
        self,
        model: TokenModel,
        steps: StepEncoder,
        config: ScoringConfig,
        aggregation: Aggregation = "product",
        threshold: float | None = None,
    ) -> None:
        super().__init__(model, steps.encoder, config)
        self.threshold = threshold
        """A step with a lower score counts as wrong, as chosen in training; None if not known."""
        self.step_encoder = steps
        self.aggregation: Aggregation = aggregation

    @property
    def separator(self) -> str:
        """The text that ends a step."""
        return self.step_encoder.separator

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return one score for each generation, in the order asked.

        Raises:
            ScoringError: A generation has no steps, or a step's logit is not finite.
            DataError: A row is longer than the model's context, and the configuration says error; or its
                separators are not one token each.
        """
        return [
            Score(value := aggregate_log_odds(z, self.aggregation), tuple(probabilities(z).tolist()), (),
                  {self.aggregation: value})
            for z in self.log_odds(generations)
        ]  # fmt: skip

    def log_odds(self, generations: GenerationsLike) -> list[np.ndarray]:
        """Return each step's log-odds of being right, [S] in float64, for each generation."""
        generations = as_generations(generations)
        cut = []
        for generation in generations:
            steps = generation.steps or split_steps(generation.response, self.separator)
            if not steps:
                raise ScoringError(f"{generation_name(generation)}: an empty response has no steps to score")
            cut.append(steps)
        prompts = [generation.prompt for generation in generations]
        encoded = self.step_encoder.encode(prompts, cut, [generation_name(one) for one in generations])
        rows, places = [], []
        for generation, solution in zip(generations, encoded, strict=True):
            row = self.shorten(list(solution.tokens), generation)
            lost = len(solution.tokens) - len(row)
            rows.append(tuple(row))
            places.append(tuple(place - lost for place in solution.places))
        log_odds = []
        for generation, logits in zip(generations, self.outputs(rows, places), strict=True):
            z = logits[:, RIGHT].astype(np.float64) - logits[:, 1 - RIGHT].astype(np.float64)
            if not np.isfinite(z).all():
                raise ScoringError(f"{generation_name(generation)}: the model's logits are {logits.tolist()}")
            log_odds.append(z)
        return log_odds
