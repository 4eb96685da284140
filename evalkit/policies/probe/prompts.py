"""Prompts to train or probe a policy on, with their data columns, and rewards of responses to them."""

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
    """A prompt, its place in the data, and its columns for scorers, such as a reference answer."""

    prompt: Prompt
    where: str
    extra: Mapping[str, object]

    def generation(self, response: str) -> Generation:
        """Return a response to it as a `Generation` for scorers; its id is the prompt's place."""
        return Generation(self.prompt, response, id=self.where, extra=self.extra)


@dataclass(frozen=True)
class WithEmpty:
    """A scorer with a fixed reward for empty responses, which process scorers cannot score."""

    scorer: Scorer
    empty: float

    def score(self, generations: Sequence[Generation]) -> list[Score]:
        """Return one score for each generation, in the order asked."""
        written = [generation for generation in generations if generation.response]
        scores = iter(self.scorer.score(written) if written else ())
        return [next(scores) if generation.response else Score(self.empty) for generation in generations]


NOT_ASKED = ("prompt", "response", "responses", "steps", "completions", "id")
"""Columns that are no property of the prompt."""


def read_prompts(source: str, rename: Mapping[str, str], limit: int = 0) -> list[PromptRecord]:
    """Read prompts with their other columns.

    Args:
        source: File, folder or Hub name with a prompt column.
        rename: Columns of the data by our names.
        limit: Read the first only; 0 reads all.

    Raises:
        DataError: A row has no prompt, or there are no rows.
    """
    records = []
    for row in islice(read_rows(source, rename=rename), limit or None):
        extra = {name: value for name, value in row.values.items() if name not in NOT_ASKED}
        records.append(PromptRecord(row.prompt(), row.where, extra))
    if not records:
        raise DataError(f"{source}: has no prompts")
    return records


def as_records(prompts: Sequence[Prompt | PromptRecord]) -> list[PromptRecord]:
    """Return prompts as records; those without a place are named by their number.

    Raises:
        DataError: A prompt is neither a text nor messages.
    """
    records = [
        prompt if isinstance(prompt, PromptRecord) else PromptRecord(prompt, f"prompt {number}", {})
        for number, prompt in enumerate(prompts, 1)
    ]
    for record in records:
        if not isinstance(record.prompt, str | tuple):
            raise DataError(f"{record.where}: expected a text or a tuple of Message, got {record.prompt!r}")
    return records


def hold_out_prompts(
    records: Sequence[PromptRecord], most: int, seed: int
) -> tuple[list[PromptRecord], list[PromptRecord]]:
    """Split off a tenth of the distinct prompts as held out; return training and held-out prompts.

    Args:
        records: All prompts.
        most: Most prompts to hold out.
        seed: Seed of the split.
    """
    texts = list(dict.fromkeys(record.prompt for record in records))
    order = np.random.default_rng([seed, len(texts)]).permutation(len(texts))
    chosen = {texts[place] for place in order[: min(most, len(texts) // 10)]}
    first = {record.prompt: record for record in reversed(records)}
    return [record for record in records if record.prompt not in chosen], [
        first[record] for record in texts if record in chosen
    ]


def scores_of(scorer: Scorer, generations: Sequence[Generation], name: str) -> list[Score]:
    """Score generations, and refuse a scorer that breaks the protocol.

    Args:
        scorer: The scorer; ours never return NaN, but any object can be a scorer.
        generations: The generations.
        name: The scorer's name in error messages.

    Raises:
        ScoringError: It returns another number of scores, an object that is no score, or a value that is not
            finite; the message names the generation.
    """
    scores = scorer.score(generations)
    if len(scores) != len(generations):
        raise ScoringError(f"{name}: returned {len(scores)} scores for {len(generations)} responses")
    for generation, score in zip(generations, scores, strict=True):
        if not isinstance(score, Score) or not math.isfinite(score.value):
            value = score.value if isinstance(score, Score) else score
            raise ScoringError(
                f"{generation.id}: {name} gives {value!r} to the response {generation.response[:40]!r}; "
                "a reward is a finite number"
            )
    return scores
