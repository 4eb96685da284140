"""The reference's log-probabilities of pairs, computed once and kept in the run's folder."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from evalkit.policies.reference import Reference
from evalkit.policies.response_rows import ResponseRow
from evalkit.runs.outputs import ResumableRows
from rewards.config import TrainingConfig
from rewards.errors import ModelError
from rewards.progress import progress

CHUNK = 256
"""Pairs computed and written at a time; fixed, so that no number depends on where a restart fell."""


class ResponsePair(Protocol):
    """Two responses to one prompt."""

    @property
    def chosen(self) -> ResponseRow:
        """The better one."""
        ...

    @property
    def rejected(self) -> ResponseRow:
        """The worse one."""
        ...


def reference_log_probs(
    reference: Reference, pairs: Sequence[ResponsePair], training: TrainingConfig, folder: Path
) -> list[tuple[float, float]]:
    """Return the log-probabilities of each pair's responses under a reference, summed over tokens, nats.

    They are read from the run's folder if present, and a killed run continues.
    The file's name holds a hash of the reference and of the pairs.

    Raises:
        ModelError: One is not finite.
    """
    key = pairs_hash(reference, pairs, training.dtype)
    path = folder / f"reference_log_probs-{key}.jsonl"
    if not path.exists():
        with ResumableRows(path, {"key": key}, overwrite=False) as writer:
            done = writer.rows_done
            with progress("reference log-probabilities", len(pairs), done=done, unit="pairs") as shown:
                for start in range(done, len(pairs), CHUNK):
                    sums = summed_log_probs(reference, pairs[start : start + CHUNK], training)
                    writer.append([{"chosen": one, "rejected": other} for one, other in sums], len(sums))
                    shown.advance(len(sums))
            writer.finish()
    with path.open(encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return [(line["chosen"], line["rejected"]) for line in lines]


def summed_log_probs(
    reference: Reference, pairs: Sequence[ResponsePair], training: TrainingConfig
) -> list[tuple[float, float]]:
    """Return the log-probabilities of each pair's responses, summed over tokens, nats.

    Raises:
        ModelError: One is not finite.
    """
    rows = [row for pair in pairs for row in (pair.chosen, pair.rejected)]
    with torch.autocast(reference.model.device.type, torch.bfloat16, enabled=training.dtype == "bfloat16"):
        log_probs = reference.log_probs([row.tokens for row in rows], [row.start for row in rows])
    sums = [float(row.sum()) for row in log_probs]
    if not np.isfinite(sums).all():
        raise ModelError(
            f"{reference.name}: gives a response the log-probability "
            f"{next(value for value in sums if not np.isfinite(value))}; the reference's weights are broken"
        )
    return list(zip(sums[::2], sums[1::2], strict=True))


def pairs_hash(reference: Reference, pairs: Sequence[ResponsePair], dtype: str) -> str:
    """Return a hash of a reference, its dtype, and pairs with the starts of their responses."""
    digest = hashlib.sha256(f"{reference.hash} {dtype}".encode())
    for pair in pairs:
        for row in (pair.chosen, pair.rejected):
            digest.update(np.array([len(row.tokens), row.start, *row.tokens], dtype="<i8").tobytes())
    return digest.hexdigest()[:16]
