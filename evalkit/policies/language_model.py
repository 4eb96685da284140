"""A causal language model in training: the log-probability of each response token, packed or padded."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from rewards.encoding.packs import Integers, Pack, Tokens, pack
from rewards.models.head import HeadedModel
from rewards.models.hub import quiet
from rewards.training.objectives import PACK_TOKENS

LOGITS_AT_ONCE = 1 << 25
"""Logits held at a time; of a large vocabulary those of all tokens would outgrow the model."""
TOLERANCE = 1e-4
"""Logits that differ by more from the head on the last states are read as Transformers makes them."""


@dataclass(frozen=True, slots=True)
class TokenStatistics:
    """Log-probabilities, entropies and values of response tokens, row after row.

    Attributes:
        log_probs: [M] in nats.
        entropies: [M] entropy of the distribution that each token was sampled from, in nats; empty if not
            requested.
        values: [M] the value head's output before each token; None without a value head.
    """

    log_probs: Tensor
    entropies: Tensor
    values: Tensor | None = None


class LanguageModel(HeadedModel):
    """A causal language model, with LoRA or without, evaluated at response tokens.

    Rows are packed where the body can be (`rewards.models.head.prepare_for_packing`), so that a prompt is
    computed once for all its responses; the log-probabilities are the same.
    """

    adapter_task = "CAUSAL_LM"
    new_head = False

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model, head_name(model))

    @property
    def name(self) -> str:
        """Folder or Hub id that it was loaded from; empty for a model made in memory."""
        return str(self.inner.name_or_path or "")

    def forward(
        self,
        packs: Sequence[Pack] | None,
        rows: Sequence[Tokens],
        starts: Sequence[int],
        temperature: float = 1.0,
        entropies: bool = False,
        value_head: nn.Module | None = None,
    ) -> TokenStatistics:
        """Return the log-probability of every response token, from a row's place `start` to its end.

        Args:
            packs: Packs of `rows`, which may lack their last tokens; None pads them.
            rows: Tokens of prompt and response, [R] of any lengths.
            starts: Place of each row's first response token, 1 or more, [R].
            temperature: Divides the logits, above 0.
            entropies: Return entropies too.
            value_head: Return its value before each token too.
        """
        read, targets = _read_places(rows, starts)
        if not self.head:
            logits = self.padded_logits(rows, read)
            return _statistics(logits / temperature, targets.to(logits.device), entropies)
        states = self.states(packs, rows, starts)
        statistics = self._in_parts(states, targets.to(states.device), temperature, entropies)
        if value_head is None:
            return statistics
        with torch.autocast(states.device.type, enabled=False):
            return replace(statistics, values=value_head(states.float())[:, 0])

    def states(self, packs: Sequence[Pack] | None, rows: Sequence[Tokens], starts: Sequence[int]) -> Tensor:
        """Return the hidden state before every response token, row after row, [M, hidden].

        Args:
            packs: As for `forward`.
            rows: As there.
            starts: As there.
        """
        read, _ = _read_places(rows, starts)
        if packs is None:
            return self.padded_states(_without_last(rows), read)
        parts, order = [], []
        begins = np.cumsum([0] + [len(one) for one in read])
        for part in packs:
            states, inverse = self.packed_states(part, [read[row] for row in part.rows])
            parts.append(states[inverse])
            order += [np.arange(begins[row], begins[row + 1]) for row in part.rows]
        inverse = torch.from_numpy(np.argsort(np.concatenate(order)))
        states = torch.cat(parts)
        return states[inverse.to(states.device)]

    def _in_parts(
        self, states: Tensor, targets: Tensor, temperature: float, entropies: bool
    ) -> TokenStatistics:
        """Apply the head to states [M, hidden], a part at a time where the logits would be many."""

        def part(states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            statistics = _statistics(self._apply_head(states) / temperature, targets, entropies)
            return statistics.log_probs, statistics.entropies

        size = max(1, LOGITS_AT_ONCE // self.inner.config.get_text_config().vocab_size)
        if len(states) <= size:
            return TokenStatistics(*part(states, targets))
        parts = [
            # Without it the backward pass would hold every part's logits.
            checkpoint(part, states[at : at + size], targets[at : at + size], use_reentrant=False)
            if torch.is_grad_enabled()
            else part(states[at : at + size], targets[at : at + size])
            for at in range(0, len(states), size)
        ]
        return TokenStatistics(*(torch.cat(one) for one in zip(*parts, strict=True)))


def _read_places(rows: Sequence[Tokens], starts: Sequence[int]) -> tuple[list[Integers], Tensor]:
    """Return the positions that predict the response tokens, row by row, and these tokens concatenated."""
    read = [np.arange(start - 1, len(row) - 1) for row, start in zip(rows, starts, strict=True)]
    targets = np.concatenate(
        [np.asarray(row[start:], dtype=np.int64) for row, start in zip(rows, starts, strict=True)]
    )
    return read, torch.from_numpy(targets)


def _statistics(logits: Tensor, targets: Tensor, entropies: bool) -> TokenStatistics:
    logits = logits.float()
    total = logits.logsumexp(dim=-1)
    log_probs = logits.gather(-1, targets[:, None]).squeeze(-1) - total
    if not entropies:
        return TokenStatistics(log_probs, log_probs.new_empty(0))
    weights = (logits - total[:, None]).exp()
    return TokenStatistics(log_probs, total - (weights * logits).sum(dim=-1))


def packs_of(model: LanguageModel, rows: Sequence[Tokens], packed: bool) -> list[Pack] | None:
    """Return rows in packs without their last tokens, or None where the model cannot be packed."""
    return list(pack(_without_last(rows), PACK_TOKENS)) if packed and model.head else None


def _without_last(rows: Sequence[Tokens]) -> list[Tokens]:
    """Return rows without their last tokens, which predict no response token."""
    return [row[:-1] for row in rows]


@torch.no_grad()
def row_statistics(
    model: LanguageModel,
    rows: Sequence[Tokens],
    starts: Sequence[int],
    packed: bool,
    temperature: float = 1.0,
    entropies: bool = False,
) -> list[TokenStatistics]:
    """Return the statistics of each row's response tokens, without gradients, on the CPU.

    Memory is bounded: rows are computed a pack at a time, or in padded batches of like length.

    Args:
        model: The model; put into evaluation mode for the call.
        rows: Tokens of prompt and response.
        starts: Place of each row's first response token.
        packed: Whether the model was prepared for packing and the rows fit (`can_pack`).
        temperature: Divides the logits.
        entropies: Return entropies too.
    """
    training = model.training
    model.eval()
    results: list[TokenStatistics | None] = [None] * len(rows)
    for chosen, packs in _batches(rows, packed and bool(model.head)):
        own = [starts[row] for row in chosen]
        statistics = model(packs, [rows[row] for row in chosen], own, temperature, entropies)
        sizes = [len(rows[row]) - starts[row] for row in chosen]
        log_probs = statistics.log_probs.cpu().split(sizes)
        spread = statistics.entropies.cpu().split(sizes) if entropies else [torch.empty(0)] * len(chosen)
        for row, log_prob, entropy in zip(chosen, log_probs, spread, strict=True):
            results[row] = TokenStatistics(log_prob, entropy)
    model.train(training)
    return cast("list[TokenStatistics]", results)


def _batches(rows: Sequence[Tokens], packed: bool) -> list[tuple[list[int], list[Pack] | None]]:
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    batches: list[tuple[list[int], list[Pack] | None]] = []
    if packed:
        for part in pack(_without_last(rows), PACK_TOKENS):
            chosen = part.rows.tolist()
            batches.append((chosen, [replace(part, rows=np.arange(len(chosen)))]))
        return batches
    batch: list[int] = []
    for row in order:
        if batch and (len(batch) + 1) * len(rows[row]) > PACK_TOKENS:
            batches.append((batch, None))
            batch = []
        batch.append(row)
    return [*batches, (batch, None)] if batch else batches


def head_name(model: PreTrainedModel) -> str:
    """Return the attribute of a model's output embeddings, empty where its logits are not linear in them.

    Some families cap or scale what their head returns; those are read through Transformers' own forward.
    """
    unwrap = getattr(model, "get_base_model", None)
    inner = cast(PreTrainedModel, unwrap() if unwrap else model)
    output: Any = inner.get_output_embeddings()  # type: ignore[no-untyped-call]  # untyped in Transformers
    name = next((name for name, child in inner.named_children() if child is output), "")
    if not name:
        return ""
    size = min(inner.config.get_text_config().vocab_size, 97)
    tokens = torch.tensor([[number * 7 % size for number in range(1, 9)]], device=inner.device)
    training = inner.training
    inner.eval()  # type: ignore[no-untyped-call]  # as above
    with torch.no_grad(), quiet():
        states = inner.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        same = torch.allclose(
            output(states).float(), inner(input_ids=tokens, use_cache=False).logits.float(), atol=TOLERANCE
        )
    inner.train(training)
    return name if same else ""


def twin(model: PreTrainedModel) -> PreTrainedModel:
    """Return a second model over the same weights, with Transformers' own attention, to sample from.

    Training a model changes the twin: they share tensors. Attention over packs has no masks for padded
    prompts, which sampling needs.
    """
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    made: Any = copy.deepcopy(model, shared)
    made.set_attn_implementation("sdpa" if made._supports_sdpa else "eager")
    return cast(PreTrainedModel, made.eval())
