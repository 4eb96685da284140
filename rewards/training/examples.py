"""Records to training examples: encoding, over-long rows, held-out prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np

from rewards.config import TrainingConfig
from rewards.encoding.encoder import Encoder, OverLong
from rewards.errors import ConfigError, DataError
from rewards.records import Preference, Ranking, prompt_key
from rewards.training.labelled import Data, as_labelled


class Prompted(Protocol):
    """An example that knows its prompt."""

    @property
    def prompt(self) -> str:
        """One text per distinct prompt."""
        ...


E = TypeVar("E")
P = TypeVar("P", bound=Prompted)


@dataclass(frozen=True, slots=True)
class RankingExample:
    """One prompt with all its responses: one element of a batch.

    Attributes:
        rows: The tokens of each response with its prompt.
        ranks: Their ranks, 1 for the best.
        margin: A pair's margin, in logits.
        prompt: The prompt, by which examples are held out together.
    """

    rows: tuple[tuple[int, ...], ...]
    ranks: tuple[int, ...]
    margin: float
    prompt: str


@dataclass(frozen=True, slots=True)
class TokenExample:
    """A row with labels at some of its tokens.

    Attributes:
        row: Its tokens.
        positions: Which tokens are read, [n].
        labels: Targets at these tokens, [n, C]; NaN where there is no label.
        prompt: The prompt, by which examples are held out together.
        first_error: Of a solution, the index of its first wrong step, -1 for none; None if not known.
    """

    row: tuple[int, ...]
    positions: tuple[int, ...]
    labels: tuple[tuple[float, ...], ...]
    prompt: str
    first_error: int | None = None


@dataclass(frozen=True, slots=True)
class Encoded(Generic[E]):
    """Records as examples, and the records left out.

    Attributes:
        examples: The training examples.
        longest: Tokens of the longest row.
        counts: Records `truncated` and `dropped` as over-long, and labels by kind.
        left_out: For each record left out, its name in errors and the reason.
    """

    examples: tuple[E, ...]
    longest: int
    counts: Mapping[str, int]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingSplit(Generic[E]):
    """Examples to train on and held-out ones.

    Attributes:
        train: Examples to train on.
        held_out: Examples to evaluate on.
        longest: Tokens of the longest row among both.
        counts: The counts of `Encoded`.
        held_out_counts: The same for separate held-out data.
        left_out: The records left out of both.
    """

    train: Sequence[E]
    held_out: Sequence[E] = ()
    longest: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    held_out_counts: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def encode_preferences(
    data: Data[Preference | Ranking], encoder: Encoder, over_long: OverLong
) -> Encoded[RankingExample]:
    """Encode records; if a row is too long, the prompt of all its responses is truncated alike on the left.

    Counted are `truncated` and `dropped` records; dropped is also one with a response that is too long even
    without its prompt.

    Raises:
        DataError: A row is too long and `over_long` is error.
    """
    data = as_labelled(data)
    prompts, responses = [], []
    for record in data.records:
        own = (record.chosen, record.rejected) if isinstance(record, Preference) else record.responses
        prompts += [record.prompt] * len(own)
        responses += list(own)
    encoded = iter(encoder.encode(prompts, responses) if responses else ())
    examples: list[RankingExample] = []
    counts = {"truncated": 0, "dropped": 0}
    for record, name in zip(data.records, data.names, strict=True):
        pair = isinstance(record, Preference)
        ranks = (1, 2) if isinstance(record, Preference) else record.ranks
        rows = [next(encoded) for _ in ranks]
        excess = max(len(row) for row in rows) - encoder.max_length
        if excess > 0:
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
        examples.append(RankingExample(tuple(map(tuple, rows)), ranks, margin, prompt_key(record.prompt)))
    longest = max((len(row) for example in examples for row in example.rows), default=0)
    return Encoded(tuple(examples), longest, counts)


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


def split_examples(data: Encoded[P], held_out: Encoded[P] | None, config: TrainingConfig) -> TrainingSplit[P]:
    """Return the training and the held-out examples: separate data, or else a share of the prompts.

    Raises:
        DataError: Nothing is left to train on, or of the held-out data nothing to evaluate on; or a prompt
            would be on both sides.
    """
    _require(data, "train on")
    if held_out is None:
        train, evaluation = hold_out(data.examples, config.evaluation_share, config.seed)
        return TrainingSplit(train, evaluation, data.longest, data.counts, {}, data.left_out)
    _require(held_out, "evaluate on")
    refuse_shared_prompts(data.examples, held_out.examples)
    return TrainingSplit(
        data.examples,
        held_out.examples,
        max(data.longest, held_out.longest),
        data.counts,
        held_out.counts,
        (*data.left_out, *held_out.left_out),
    )


def _require(encoded: Encoded[P], what: str) -> None:
    if encoded.examples:
        return
    number = len(encoded.left_out)
    why = f", {number} left out; the first is {encoded.left_out[0]}" if number else ""
    raise DataError(f"nothing to {what}: no record is left after screening and over-long rows{why}")


def refuse_pair_settings(config: TrainingConfig) -> None:
    """Refuse settings that only pairs of responses have.

    Raises:
        ConfigError: One is set.
    """
    for name in ("margin", "centering"):
        if getattr(config, name):
            raise ConfigError(f"training.{name} is of pairs of responses, and does not apply here")
