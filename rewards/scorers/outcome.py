"""Scorer with a local outcome reward model: duplicates and shared prefixes computed once, order kept."""

import math
from collections.abc import Sequence

from rewards.config import ScoringConfig
from rewards.encoding.encoder import Encoder
from rewards.errors import ScoringError
from rewards.files import GenerationsLike, as_generations
from rewards.models.outcome import RewardModel, last_read
from rewards.models.sidecar import Scale
from rewards.records import Score
from rewards.scorers.engine import Engine, generation_name


class ModelScorer(Engine):
    """Scores generations with an outcome reward model."""

    def __init__(
        self, model: RewardModel, encoder: Encoder, config: ScoringConfig, scale: Scale | None = None
    ) -> None:
        super().__init__(model, encoder, config)
        self.scale = scale or Scale()
        self.reads_last = model.reads_last

    @property
    def logit_scale(self) -> float:
        """Factor from a difference of scores to a difference of raw logits."""
        return self.scale.sd

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return one score for each generation, `(logit - mean) / sd`, in the order asked.

        Raises:
            ScoringError: A row has no tokens, or its logit is not finite.
            DataError: A row is longer than the model's context, and the configuration says error.
        """
        mean, sd = self.scale.mean, self.scale.sd
        return [Score((logit - mean) / sd) for logit in self.logits(generations)]

    def logits(self, generations: GenerationsLike) -> list[float]:
        """Return the raw logits, as plain Transformers gives them."""
        generations = as_generations(generations)
        prompts = [generation.prompt for generation in generations]
        encoded = self.encoder.encode(prompts, [generation.response for generation in generations])
        rows = [
            read_row(self.shorten(row, generation), self.model.pad, self.reads_last)
            for row, generation in zip(encoded, generations, strict=True)
        ]
        logits = [float(outputs[0, 0]) for outputs in self.outputs(rows)]
        for generation, logit in zip(generations, logits, strict=True):
            if not math.isfinite(logit):
                raise ScoringError(f"{generation_name(generation)}: the model's logit is {logit}")
        return logits


def read_row(row: Sequence[int], pad: int | None, reads_last: bool) -> tuple[int, ...]:
    """Return a row up to the token where Transformers reads its score; later tokens have no effect."""
    return tuple(row[: last_read(row, pad) + 1]) if reads_last else tuple(row)
