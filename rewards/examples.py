"""Preferences and rankings -> training examples: encoded, over-long rows dealt with, prompts held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np

from rewards.encoding import Encoder
from rewards.errors import DataError
from rewards.records import Preference, Ranking, prompt_key


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt with all its responses: one element of a batch."""

    rows: tuple[tuple[int, ...], ...]
    ranks: tuple[int, ...]
    margin: float
    prompt: str


@dataclass(frozen=True, slots=True)
class Examples:
    """Encoded examples, and what over-long rows came to: counts of `truncated` and `dropped` examples."""

    examples: tuple[Example, ...]
    counts: Mapping[str, int]


def encode_examples(
    records: Sequence[Preference | Ranking],
    encoder: Encoder,
    over_long: Literal["error", "truncate_left", "drop"],
) -> Examples:
    """Encode records; where a row is too long, all responses of its prompt lose the same tokens on the left.

    A record with a response that is too long even without its prompt is dropped and counted.

    Raises:
        DataError: A row is too long and `over_long` is error.
    """
    prompts, responses = [], []
    for record in records:
        own = (record.chosen, record.rejected) if isinstance(record, Preference) else record.responses
        prompts += [record.prompt] * len(own)
        responses += list(own)
    encoded = iter(encoder.encode(prompts, responses) if responses else ())
    examples: list[Example] = []
    counts = {"truncated": 0, "dropped": 0}
    for number, record in enumerate(records, 1):
        pair = isinstance(record, Preference)
        ranks = (1, 2) if isinstance(record, Preference) else record.ranks
        rows = [next(encoded) for _ in ranks]
        excess = max(len(row) for row in rows) - encoder.max_length
        if excess > 0:
            name = f"record {number}" + (f", id {record.id!r}" if record.id else "")
            if over_long == "error":
                raise DataError(
                    f"{name}: has a row of {encoder.max_length + excess} tokens and the model takes "
                    f"{encoder.max_length}; --training.over_long truncate_left or drop deals with such rows"
                )
            room = min(encoder.cuttable(row, record.prompt) for row in rows)
            if over_long == "drop" or room < excess:
                counts["dropped"] += 1
                continue
            counts["truncated"] += 1
            rows = [encoder.shorten(row, record.prompt, excess, name) for row in rows]
        margin = record.margin if pair and isinstance(record, Preference) else 0.0
        examples.append(Example(tuple(map(tuple, rows)), ranks, margin, prompt_key(record.prompt)))
    return Examples(tuple(examples), counts)


class Prompted(Protocol):
    """An example that knows its prompt."""

    @property
    def prompt(self) -> str:
        """One text per distinct prompt."""
        ...


P = TypeVar("P", bound=Prompted)


def refuse_shared_prompts(train: Sequence[Prompted], evaluation: Sequence[Prompted]) -> None:
    """Refuse held-out examples whose prompts are also trained on.

    Raises:
        DataError: There are such prompts.
    """
    both = {example.prompt for example in train} & {example.prompt for example in evaluation}
    if both:
        raise DataError(
            f"{len(both)} held-out prompts are also trained on, such as {min(both)[:60]!r}; leave them "
            "out of one side"
        )


def hold_out(examples: Sequence[P], share: float, seed: int) -> tuple[list[P], list[P]]:
    """Split examples into training and held-out ones by prompt; no prompt is on both sides.

    Raises:
        DataError: There are too few prompts to hold any out.
    """
    prompts = sorted({example.prompt for example in examples})
    number = round(share * len(prompts)) if share else 0
    if share and not 0 < number < len(prompts):
        raise DataError(
            f"{len(prompts)} distinct prompts are too few to hold out {share:g} of them; "
            "give --evaluation_data, or --training.evaluation_share 0"
        )
    held = set(np.random.default_rng(seed).permutation(np.array(prompts, dtype=object))[:number])
    train = [example for example in examples if example.prompt not in held]
    return train, [example for example in examples if example.prompt in held]
