"""A reward model: a head on a Transformers body; the one place that says at which token a score is read."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from rewards.batches import Pack, Tokens, pack
from rewards.models.attention import NAME, PackedMask, packed_mask

TOLERANCE = 1e-4
"""Packed and plain logits of a body that can be packed differ by less, in float32."""


def last_read(tokens: Tokens, pad: int | None) -> int:
    """Return at which token Transformers reads a sequence's score: the last that is not padding.

    Where the text ends in the padding token itself (a tokenizer that pads with EOS, and an EOS appended),
    that is before the end, and a folder trained so must be read so.
    """
    if pad is not None:
        for place in range(len(tokens) - 1, -1, -1):
            if tokens[place] != pad:
                return place
        return 0  # nothing but padding: there Transformers reads the first token
    return len(tokens) - 1


class RewardModel(nn.Module):
    """Scores rows of tokens with an `AutoModelForSequenceClassification` of one label, in LoRA or not.

    The score is a linear function, in float32, of the body's hidden state at the last token. Rows may be
    packed, so that shared prefixes are computed once, or padded; the scores are the same.
    """

    def __init__(self, classifier: PreTrainedModel) -> None:
        super().__init__()
        self.classifier = classifier
        self.reads_last = hasattr(self.inner, "score")
        """Whether the score is read at the last token; Transformers pools an encoder in its own way."""
        if self.reads_last:
            cast(nn.Module, self.inner.score).float()

    @property
    def inner(self) -> PreTrainedModel:
        """The Transformers model inside the adapters, if there are any."""
        unwrap = getattr(self.classifier, "get_base_model", None)
        return cast(PreTrainedModel, unwrap() if unwrap else self.classifier)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def pad(self) -> int | None:
        """The padding token that the body's configuration names."""
        return cast("int | None", self.inner.config.get_text_config().pad_token_id)

    def forward(self, packs: Sequence[Pack] | None, rows: Sequence[Tokens]) -> Tensor:
        """Return the rows' raw logits, [R], float32; from packs that hold all of them, or padded without."""
        if packs is None:
            return self.forward_padded(rows)
        order = torch.from_numpy(np.concatenate([part.rows for part in packs])).to(self.device)
        scores = torch.cat([self.read(part) for part in packs])
        return scores.new_zeros(len(rows)).index_copy(0, order, scores)

    def read(self, rows: Pack) -> Tensor:
        """Return the raw logits of a pack's rows in the pack's own order, [R], float32."""
        return self.read_masked(rows, packed_mask(rows, self.device, self._attention_dtype()))

    def read_masked(self, rows: Pack, mask: PackedMask) -> Tensor:
        """Return what `read` does, by a mask that is there already."""
        output = self.inner.base_model(
            input_ids=torch.from_numpy(rows.tokens)[None].to(self.device),
            position_ids=torch.from_numpy(rows.positions)[None].to(self.device),
            use_cache=False,
            packed=mask,
        )
        hidden = cast(Tensor, output.last_hidden_state)
        return self._head(hidden[0, torch.from_numpy(rows.last).to(hidden.device)])

    def _attention_dtype(self) -> torch.dtype:
        kind = self.device.type
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.inner.dtype

    def _head(self, hidden: Tensor) -> Tensor:
        """Apply the head in float32 whatever the body's format; [R, hidden] -> [R]."""
        with torch.autocast(hidden.device.type, enabled=False):
            head = cast(nn.Module, self.inner.score)
            return cast(Tensor, head(hidden.float()))[:, 0]

    def forward_padded(self, rows: Sequence[Tokens]) -> Tensor:
        """Return the raw logits of rows padded on the right, [R], float32; any body can be given them."""
        longest = max(len(row) for row in rows)
        ids = torch.full((len(rows), longest), 0 if self.pad is None else self.pad)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.as_tensor(row)
            mask[number, : len(row)] = 1
        ids, mask = ids.to(self.device), mask.to(self.device)
        if not self.reads_last:
            return cast(Tensor, self.inner(input_ids=ids, attention_mask=mask).logits)[:, 0].float()
        output = self.inner.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
        last = torch.tensor([len(row) - 1 for row in rows], device=self.device)
        return self._head(output.last_hidden_state[torch.arange(len(rows), device=self.device), last])


def prepare_for_packing(model: RewardModel) -> bool:
    """Switch a body to packed attention if it can; return whether it could.

    A body that is bidirectional or recurrent, or counts its positions itself, gives other scores when rows
    are packed: it is recognised by trying a few short rows both ways, and left as it was. So is a body with
    layers that mix tokens without our attention, where weights that are still small may hide the difference.
    """
    inner = model.inner
    before = inner.config._attn_implementation
    if not model.reads_last or not inner._supports_sdpa:
        return False
    size = min(inner.config.get_text_config().vocab_size, 97)
    row = [number * 7 % size for number in range(1, 25)]
    rows = [row, [*row[:20], 3 % size, 5 % size], [*row[:12], 2 % size]]
    training = model.training
    model.eval()
    with torch.no_grad():
        plain = model.forward_padded(rows)
        try:
            inner.set_attn_implementation(NAME)
            (part,) = pack(rows, 1 << 20, 1)
            mask = packed_mask(part, model.device, model._attention_dtype())
            packed = model.read_masked(part, mask)
            # Half precision rounds far above the tolerance, so that there a rough agreement has to do.
            tolerance = TOLERANCE if inner.dtype == torch.float32 else 0.05
            same = torch.allclose(plain[part.rows], packed, rtol=tolerance, atol=tolerance)
            same = same and len(mask.layers) == inner.config.get_text_config().num_hidden_layers
        except (TypeError, ValueError, RuntimeError):
            same = False
    model.train(training)
    if not same:
        inner.set_attn_implementation(before)
    return same


def can_pack(config: Any, longest: int) -> bool:  # noqa: ANN401  # configurations differ by architecture
    """Return whether rows of this length see their whole past, so that a prefix may be shared."""
    text = config.get_text_config()
    windows = [getattr(text, name, None) for name in ("sliding_window", "attention_chunk_size")]
    if getattr(text, "use_sliding_window", True) is False:
        windows[0] = None
    return all(window is None or longest <= window for window in windows)
