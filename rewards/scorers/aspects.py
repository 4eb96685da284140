"""Scorers of several aspects with a local model: of whole responses, or of their pieces."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rewards.config import ScoringConfig
from rewards.encoding.encoder import Encoder
from rewards.encoding.span_encoder import Pieces, SpanEncoder
from rewards.errors import ScoringError, SpecError
from rewards.files import GenerationsLike, as_generations
from rewards.models.outcome import AspectModel
from rewards.models.sidecar import AspectFacts
from rewards.models.tokens import TokenModel
from rewards.records import Generation, Score, Span
from rewards.scorers.engine import Engine, generation_name
from rewards.scorers.outcome import read_row
from rewards.solutions.steps import probabilities
from rewards.specs import Spec


class AspectScorer(Engine):
    """Scores generations in several aspects, each for the whole response.

    A score's `aspects` are in the units of the labels; for fault detection, P(no fault) - P(fault), in
    [-1, 1]. Its `value` is their sum by the aspects' weights.
    """

    def __init__(
        self,
        model: AspectModel,
        encoder: Encoder,
        config: ScoringConfig,
        aspects: Sequence[AspectFacts],
        objective: str,
    ) -> None:
        super().__init__(model, encoder, config)
        self.reads_last = model.reads_last
        self.aspects = tuple(aspects)
        self.objective = objective

    @property
    def aspect_weights(self) -> dict[str, float]:
        """The weight of each aspect in a score's value."""
        return {facts.name: facts.weight for facts in self.aspects}

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return one score for each generation, in the order asked.

        Raises:
            ScoringError: A row has no tokens, or an output is not finite.
            DataError: A row is longer than the model's context, and the configuration says error.
        """
        generations = as_generations(generations)
        prompts = [generation.prompt for generation in generations]
        encoded = self.encoder.encode(prompts, [generation.response for generation in generations])
        rows = [
            read_row(self.shorten(row, generation), self.model.pad, self.reads_last)
            for row, generation in zip(encoded, generations, strict=True)
        ]
        scores = []
        for generation, outputs in zip(generations, self.outputs(rows), strict=True):
            labels = label_units(outputs, self.aspects, self.objective, generation)[0]
            parts = {facts.name: float(x) for facts, x in zip(self.aspects, labels, strict=True)}
            scores.append(Score(_total(parts, self.aspects), aspects=parts))
        return scores


class SpanScorer(Engine):
    """Scores generations in several aspects, each for every piece of the response.

    A score's `spans` are the pieces of each aspect with what they add; an aspect is the sum of its spans, and
    the `value` the sum of the aspects by their weights.
    """

    def __init__(
        self,
        model: TokenModel,
        encoder: Encoder,
        config: ScoringConfig,
        aspects: Sequence[AspectFacts],
        objective: str,
    ) -> None:
        super().__init__(model, encoder, config)
        self.aspects = tuple(aspects)
        self.objective = objective
        self.span_encoder = SpanEncoder(encoder, [facts.density for facts in aspects])  # type: ignore[misc]  # densities

    @property
    def aspect_weights(self) -> dict[str, float]:
        """The weight of each aspect in a score's value."""
        return {facts.name: facts.weight for facts in self.aspects}

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return one score for each generation, in the order asked.

        A response without a piece, such as one of white space that is scored by sentences, has sums of 0.

        Raises:
            ScoringError: An output is not finite.
            DataError: A row is longer than the model's context, and the configuration says error.
        """
        generations = as_generations(generations)
        encoded = self.span_encoder.encode(
            [generation.prompt for generation in generations],
            [generation.response for generation in generations],
            [generation_name(generation) for generation in generations],
        )
        scored = [
            (generation, pieces)
            for generation, pieces in zip(generations, encoded, strict=True)
            if pieces is not None
        ]
        rows, places = [], []
        for generation, pieces in scored:
            row = self.shorten(list(pieces.tokens), generation)
            lost = len(pieces.tokens) - len(row)
            rows.append(tuple(row))
            places.append(tuple(place - lost for place in pieces.places))
        outputs = iter(self.outputs(rows, places))
        return [
            self._score(generation, pieces, None if pieces is None else next(outputs))
            for generation, pieces in zip(generations, encoded, strict=True)
        ]

    def _score(
        self, generation: Generation, pieces: Pieces | None, outputs: NDArray[np.float32] | None
    ) -> Score:
        parts = {facts.name: 0.0 for facts in self.aspects}
        if pieces is None or outputs is None:
            return Score(0.0, aspects=parts)
        labels = label_units(outputs, self.aspects, self.objective, generation)
        spans = [
            # Pieces that end at one token were trained as one piece, and share its output.
            Span(start, end, facts.name, float(labels[read, head]) / pieces.reads[head].count(read))
            for head, facts in enumerate(self.aspects)
            for (start, end), read in zip(pieces.spans[head], pieces.reads[head], strict=True)
        ]
        for span in spans:
            parts[span.aspect] += span.label
        return Score(_total(parts, self.aspects), spans=tuple(spans), aspects=parts)


def label_units(
    outputs: NDArray[np.float32], aspects: Sequence[AspectFacts], objective: str, generation: Generation
) -> NDArray[np.float64]:
    """Return raw outputs [n, K] in the units of the labels, or for faults as 2 p - 1, p that there is none.

    Raises:
        ScoringError: An output is not finite.
    """
    raw = outputs.astype(np.float64)
    if not np.isfinite(raw).all():
        raise ScoringError(f"{generation_name(generation)}: the model's outputs are {outputs.tolist()}")
    if objective == "error":
        return 2 * probabilities(raw) - 1
    scale = np.array([(facts.mean, facts.sd) for facts in aspects]).T
    return np.asarray(raw * scale[1] + scale[0])


def weighted(aspects: Sequence[AspectFacts], spec: Spec) -> tuple[AspectFacts, ...]:
    """Return aspects with the weights that a specification gives: `weights=relevance:1,factuality:0.5`.

    Raises:
        SpecError: A weight is no number, or of an aspect that the model does not have or that came before.
    """
    text = spec.options.get("weights")
    if text is None:
        return tuple(aspects)
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.rpartition(":")
        try:
            weights[name] = float(number)
        except ValueError:
            raise SpecError(f"{spec.text}: option weights reads ASPECT:NUMBER,..., got {part!r}") from None
    if len(weights) < text.count(",") + 1:
        raise SpecError(f"{spec.text}: option weights names an aspect twice")
    known = [facts.name for facts in aspects]
    for name, weight in weights.items():
        if name not in known or not np.isfinite(weight):
            raise SpecError(
                f"{spec.text}: option weights: {name}:{weight:g}; the aspects are {', '.join(known)}"
            )
    return tuple(
        AspectFacts(facts.name, facts.density, weights.get(facts.name, 0.0), facts.mean, facts.sd)
        for facts in aspects
    )


def _total(parts: dict[str, float], aspects: Sequence[AspectFacts]) -> float:
    return sum(facts.weight * parts[facts.name] for facts in aspects)
