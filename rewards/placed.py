"""Labelled records as rows that are read at some of their tokens, and what became of those that are not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rewards.config import TrainingConfig
from rewards.errors import ConfigError, DataError
from rewards.examples import hold_out, refuse_shared_prompts


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
