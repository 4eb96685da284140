"""Prompts that a policy is trained or probed on, with the columns beside them, and their rewards."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from rewards.errors import DataError, ScoringError
from rewards.files import read_rows
from rewards.records import Generation, Prompt, Score
from rewards.scorer import Scorer


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """A prompt, where it came from, and the columns that scorers may want, such as a reference answer."""

    prompt: Prompt
    where: str
    extra: Mapping[str, object]

    def generation(self, response: str) -> Generation:
        """Return a response to it, as a scorer is given it; its id is the prompt's place."""
        return Generation(self.prompt, response, id=self.where, extra=self.extra)


@dataclass(frozen=True)
class WithEmpty:
    """A scorer with a reward of its own for empty responses, which scorers of steps have none for."""

    scorer: Scorer
    empty: float

    def score(self, generations: Sequence[Generation]) -> list[Score]:
        """Return one score for each generation, in the order asked."""
        told = [one for one in generations if one.response]
        scores = iter(self.scorer.score(told) if told else ())
        return [next(scores) if one.response else Score(self.empty) for one in generations]


NOT_ASKED = ("prompt", "response", "responses", "steps", "completions", "id")
"""Columns that are no property of the prompt."""


def read_prompts(source: str, rename: Mapping[str, str], limit: int = 0) -> list[PromptRecord]:
    """Read prompts with the columns beside them.

    Args:
        source: File, folder or Hub name with a prompt column.
        rename: Columns of the data by our names.
        limit: Read the first only; 0 reads all.

    Raises:
        DataError: A row has no prompt, or there are no rows.
    """
    asked = []
    for row in islice(read_rows(source, rename=rename), limit or None):
        extra = {name: value for name, value in row.values.items() if name not in NOT_ASKED}
        asked.append(PromptRecord(row.prompt(), row.where, extra))
    if not asked:
        raise DataError(f"{source}: has no prompts")
    return asked


def as_records(prompts: Sequence[Prompt | PromptRecord]) -> list[PromptRecord]:
    """Return prompts as records; those without a place are named by their number."""
    return [
        one if isinstance(one, PromptRecord) else PromptRecord(one, f"prompt {number}", {})
        for number, one in enumerate(prompts, 1)
    ]


def hold_out_prompts(
    records: Sequence[PromptRecord], most: int, seed: int
) -> tuple[list[PromptRecord], list[PromptRecord]]:
    """Return the prompts to train on, and a tenth of the different ones, held out of them.

    Args:
        records: All prompts.
        most: Most prompts to hold out.
        seed: Draws the held-out ones.
    """
    texts = list(dict.fromkeys(one.prompt for one in records))
    order = np.random.default_rng([seed, len(texts)]).permutation(len(texts))
    chosen = {texts[place] for place in order[: min(most, len(texts) // 10)]}
    first = {one.prompt: one for one in reversed(records)}
    return [one for one in records if one.prompt not in chosen], [
        first[one] for one in texts if one in chosen
    ]


def scores_of(scorer: Scorer, generations: Sequence[Generation], name: str) -> list[Score]:
    """Score generations, and refuse a scorer that breaks its promise.

    Args:
        scorer: The scorer; ours never return NaN, but any object may be one.
        generations: What is scored.
        name: What errors call the scorer.

    Raises:
        ScoringError: It returns another number of scores, something that is no score, or a value that is not
            finite; the message names the generation.
    """
    scores = scorer.score(generations)
    if len(scores) != len(generations):
        raise ScoringError(f"{name}: returned {len(scores)} scores for {len(generations)} responses")
    for generation, score in zip(generations, scores, strict=True):
        if not isinstance(score, Score) or not math.isfinite(score.value):
            told = score.value if isinstance(score, Score) else score
            raise ScoringError(
                f"{generation.id}: {name} gives {told!r} to the response {generation.response[:40]!r}; "
                "a reward is a finite number"
            )
    return scores
