"""The engine of scorers with a model: each row computed once, packed or by length; over-long rows."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from rewards.config import ScoringConfig
from rewards.encoding.encoder import Encoder
from rewards.encoding.packs import Integers, pack
from rewards.errors import DataError
from rewards.models.head import HeadedModel, can_pack, prepare_for_packing
from rewards.records import Generation, prompt_key

Row = tuple[int, ...]
Places = tuple[int, ...]


class Engine:
    """A model that scores rows of tokens: each distinct row once, each shared prefix once.

    The outputs of a row depend on that row alone: not on batch size, order, neighbours or padding.
    """

    def __init__(self, model: HeadedModel, encoder: Encoder, config: ScoringConfig) -> None:
        self.model = model.eval()
        self.encoder = encoder
        self.config = config
        self.truncated = 0
        """Rows whose prompt was truncated so far."""
        self.packs = config.share_prefixes and prepare_for_packing(model)
        """Whether this body can share prefixes."""

    def shorten(self, row: list[int], generation: Generation) -> list[int]:
        """Return a row that fits the context; one that is too long is refused, or its prompt truncated.

        Raises:
            DataError: It is too long and may not be cut, or is without its prompt.
        """
        excess = len(row) - self.encoder.max_length
        if excess <= 0:
            return row
        name = generation_name(generation)
        if self.config.over_long == "error":
            raise DataError(
                f"{name}: has {len(row)} tokens and the model takes {self.encoder.max_length}; shorten it, "
                "or cut prompts on the left with ?over_long=truncate_left"
            )
        self.truncated += 1
        return self.encoder.shorten(row, generation.prompt, excess, name)

    @torch.inference_mode()
    def outputs(
        self, rows: Sequence[Row], places: Sequence[Places] | None = None
    ) -> list[NDArray[np.float32]]:
        """Return the model's raw outputs at tokens of each row, [n, C].

        Args:
            rows: Tokens of each row, in any order; equal rows with equal places are computed once.
            places: Which tokens of each row are read; None reads the last.
        """
        distinct: dict[tuple[Row, Places], int] = {}
        read = [()] * len(rows) if places is None else places
        asked = [
            distinct.setdefault((row, where), len(distinct)) for row, where in zip(rows, read, strict=True)
        ]
        single = [row for row, _ in distinct]
        positions = None if places is None else [np.array(where, dtype=np.int64) for _, where in distinct]
        outputs = self._compute(single, positions)
        return [outputs[number] for number in asked]

    def _compute(
        self, rows: Sequence[Row], positions: Sequence[Integers] | None
    ) -> list[NDArray[np.float32]]:
        results: list[NDArray[np.float32]] = [np.zeros((0, 0), np.float32)] * len(rows)
        config = self.model.inner.config
        packed = [number for number, row in enumerate(rows) if self.packs and can_pack(config, len(row))]
        for part in pack([rows[number] for number in packed], self.config.batch_tokens):
            numbers = [packed[place] for place in part.rows.tolist()]
            where = None if positions is None else [positions[number] for number in numbers]
            self._fill(results, numbers, where, self.model.packed_logits(part, where))
        taken = set(packed)
        plain = [number for number in range(len(rows)) if number not in taken]
        for numbers in self._by_length(rows, plain):
            where = None if positions is None else [positions[number] for number in numbers]
            outputs = self.model.padded_logits([rows[number] for number in numbers], where)
            self._fill(results, numbers, where, outputs)
        return results

    def _fill(
        self,
        results: list[NDArray[np.float32]],
        numbers: Sequence[int],
        where: Sequence[Integers] | None,
        outputs: torch.Tensor,
    ) -> None:
        counts = [1] * len(numbers) if where is None else [len(one) for one in where]
        parts = np.split(outputs.float().cpu().numpy(), np.cumsum(counts)[:-1])
        for number, part in zip(numbers, parts, strict=True):
            results[number] = part

    def _by_length(self, rows: Sequence[Row], numbers: Sequence[int]) -> Iterator[list[int]]:
        """Cut rows, longest first, into batches of at most `batch_tokens` padded tokens."""
        batch: list[int] = []
        for number in sorted(numbers, key=lambda number: -len(rows[number])):
            if batch and (len(batch) + 1) * len(rows[batch[0]]) > self.config.batch_tokens:
                yield batch
                batch = []
            batch.append(number)
        if batch:
            yield batch


def generation_name(generation: Generation) -> str:
    """Return a generation's name in an error: its id, or the beginning of its prompt."""
    return f"row {generation.id or repr(prompt_key(generation.prompt)[:40])}"
