"""The reference policy: recorded by name and hash in a run, and refused on resume if it changed."""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evalkit.policies.checkpoint import load_causal
from evalkit.policies.language_model import LanguageModel, row_statistics
from evalkit.runs.files import atomic_write, json_text
from rewards.encoding.packs import Tokens
from rewards.errors import ModelError
from rewards.models.checkpoint import weights_hash
from rewards.models.head import can_pack, prepare_for_packing
from rewards.models.sidecar import tokenizer_hash

REFERENCE_FILE = "reference.json"
"""Which reference a run began with."""


@dataclass(frozen=True)
class Reference:
    """A frozen language model, by name and by a hash of its weights."""

    name: str
    hash: str
    model: LanguageModel
    packs: bool
    """Whether rows can be packed for it."""

    def log_probs(
        self, rows: Sequence[Tokens], starts: Sequence[int], temperature: float = 1.0
    ) -> list[Tensor]:
        """Return the log-probability of each row's response tokens, in nats, from its place `start` on."""
        longest = max(map(len, rows), default=0)
        packed = self.packs and can_pack(self.model.inner.config, longest)
        statistics = row_statistics(self.model, rows, starts, packed, temperature)
        return [row.log_probs for row in statistics]


@dataclass(frozen=True)
class BaseReference(Reference):
    """The base model under a policy's adapters as the reference: it needs no memory of its own."""

    def log_probs(
        self, rows: Sequence[Tokens], starts: Sequence[int], temperature: float = 1.0
    ) -> list[Tensor]:
        """Return the log-probabilities without the adapters; else as `Reference.log_probs`."""
        adapted: Any = self.model.classifier
        with adapted.disable_adapter():
            return super().log_probs(rows, starts, temperature)


def load_reference(name: str, tokenizer: Any, device: torch.device) -> Reference:  # noqa: ANN401  # no public type
    """Load a reference that shares the policy's tokenizer.

    Args:
        name: Folder or Hub id.
        tokenizer: The policy's tokenizer.
        device: The reference's device.

    Raises:
        ModelError: There is no such model, or its tokenizer differs, so that log-probabilities of its
            tokens are not comparable with the policy's.
    """
    model, own = load_causal(name, name)
    if tokenizer_hash(own) != tokenizer_hash(tokenizer):
        raise ModelError(
            f"{name}: its tokenizer is not the policy's, so that it cannot tell the probability of what the "
            "policy writes; the reference is the model that the policy started from"
        )
    reference = LanguageModel(model)
    reference.to(device).requires_grad_(False).eval()
    return Reference(name, weights_hash(reference.inner), reference, prepare_for_packing(reference))


def frozen_copy(policy: LanguageModel) -> Reference:
    """Return a frozen copy of a policy as a reference, which its training does not change."""
    reference = LanguageModel(copy.deepcopy(policy.inner))
    reference.requires_grad_(False).eval()
    return Reference(policy.name, weights_hash(reference.inner), reference, prepare_for_packing(reference))


def record_reference(folder: Path, reference: Reference) -> None:
    """Record a run's reference, or check it against the one recorded at the start.

    Raises:
        ModelError: It is another one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REFERENCE_FILE
    mine = {"name": reference.name, "hash": reference.hash}
    if path.is_file():
        begun = json.loads(path.read_text(encoding="utf-8"))
        if begun["hash"] != reference.hash:
            raise ModelError(
                f"{reference.name}: its weights hash to {reference.hash}, and the run began with reference "
                f"{begun['name']} of {begun['hash']}; give that one, or --overwrite to start anew"
            )
        return
    with atomic_write(path) as file:
        file.write(json_text(mine))
