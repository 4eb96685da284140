"""Preferences and rankings -> training examples: encoded, over-long rows dealt with, prompts held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

import numpy as np

from rewards.config import TrainingConfig
from rewards.encoding.encoder import Encoder
from rewards.errors import ConfigError, DataError
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


@dataclass(frozen=True, slots=True)
class PlacedExample:
    """A row with what is to be learnt at some of its tokens.

    Attributes:
        row: Its tokens.
        places: Which tokens are read, [n].
        labels: What is learnt there, [n, C]; NaN where there is no label.
        prompt: The prompt, by which examples are held out together.
        first_error: Of a solution, the index of its first wrong step, -1 for none; None if not known.
    """

    row: tuple[int, ...]
    places: tuple[int, ...]
    labels: tuple[tuple[float, ...], ...]
    prompt: str
    first_error: int | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """Records as examples, and what became of the rest.

    Attributes:
        examples: What there is to learn from.
        counts: Records `truncated` and `dropped` as over-long, and labels by kind.
        left_out: For each record that is no example, what an error calls it and why.
    """

    examples: tuple[PlacedExample, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def count(self, name: str) -> int:
        """Return a count, 0 where nothing was counted."""
        return self.counts.get(name, 0)


def split(
    encoded: Encoded, beside: Encoded | None, config: TrainingConfig
) -> tuple[list[PlacedExample], list[PlacedExample]]:
    """Return the examples to train on and the held-out ones: those given beside, or a share of the prompts.

    Raises:
        DataError: Nothing is left to train on, or of those given beside nothing to evaluate on; or a prompt
            would be on both sides.
    """
    _require(encoded, "train on")
    if beside is None:
        return hold_out(encoded.examples, config.evaluation_share, config.seed)
    _require(beside, "evaluate on")
    refuse_shared_prompts(encoded.examples, beside.examples)
    return list(encoded.examples), list(beside.examples)


def _require(encoded: Encoded, what: str) -> None:
    if encoded.examples:
        return
    number = len(encoded.left_out)
    why = f", {number} left out; the first is {encoded.left_out[0]}" if number else ""
    raise DataError(f"nothing to {what}: no record is left after screening and over-long rows{why}")


def longest_row(*parts: Sequence[PlacedExample]) -> int:
    """Return the number of tokens of the longest row."""
    return max((len(example.row) for part in parts for example in part), default=0)


def refuse_pair_settings(config: TrainingConfig) -> None:
    """Refuse settings that only pairs of responses have.

    Raises:
        ConfigError: One is set.
    """
    for name in ("margin", "centering"):
        if getattr(config, name):
            raise ConfigError(f"training.{name} is of pairs of responses, and does not apply here")


def record_names(records: Sequence[object], names: Sequence[str]) -> list[str]:
    """Return what errors call records: the names given, or their numbers and ids."""
    if names:
        return list(names)
    return [
        f"record {number}" + (f", id {name!r}" if (name := getattr(record, "id", "")) else "")
        for number, record in enumerate(records, 1)
    ]
