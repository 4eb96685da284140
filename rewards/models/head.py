"""A linear head on a Transformers body, read at given positions of packed or padded rows."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from rewards.encoding.packs import Integers, Pack, Tokens, pack
from rewards.models.attention import NAME, PackedMask, packed_mask
from rewards.models.hub import quiet

TOLERANCE = 1e-4
"""Packed and plain logits of a body that can be packed differ by less, in float32."""


class HeadedModel(nn.Module):
    """A Transformers classifier, in LoRA or not, whose outputs are read at chosen tokens of each row.

    An output is a linear function, in float32, of the body's hidden state at its token. Rows may be packed,
    so that shared prefixes are computed once, or padded; the outputs are the same.

    Args:
        classifier: A sequence or token classifier.
        head: Name of its linear head; empty where Transformers reads the body in a way of its own.
    """

    adapter_task = "SEQ_CLS"
    """peft's task type for this kind of model."""
    new_head = True
    """Whether the head is trained fully beside adapters, as a newly initialised head must be."""

    def __init__(self, classifier: PreTrainedModel, head: str) -> None:
        super().__init__()
        self.classifier = classifier
        self.head = head
        if head:
            cast(nn.Module, getattr(self.inner, head)).float()

    @property
    def inner(self) -> PreTrainedModel:
        """The Transformers model inside the adapters, if there are any."""
        return unwrapped(self.classifier)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.parameters()).device

    @property
    def pad(self) -> int | None:
        """The padding token that the body's configuration names."""
        return cast("int | None", self.inner.config.get_text_config().pad_token_id)

    def logits(
        self,
        packs: Sequence[Pack] | None,
        rows: Sequence[Tokens],
        positions: Sequence[Integers] | None = None,
    ) -> Tensor:
        """Return the head's outputs at tokens of the rows, [M, C], float32, row after row.

        Args:
            packs: Packs that hold all rows; None pads them.
            rows: Tokens of each row; ignored if there are packs.
            positions: Which tokens of each row are read, M in all; None reads the last of each.
        """
        if packs is None:
            return self.padded_logits(rows, positions)
        if positions is None:
            parts = [self.packed_logits(part) for part in packs]
            places = np.concatenate([part.rows for part in packs])
        else:
            parts = [self.packed_logits(part, [positions[row] for row in part.rows]) for part in packs]
            counts = np.array([len(one) for one in positions])
            begins = np.cumsum(counts) - counts
            order = np.concatenate([part.rows for part in packs])
            places = np.concatenate([begins[row] + np.arange(counts[row]) for row in order])
        outputs = torch.cat(parts)
        return outputs.new_zeros(outputs.shape).index_copy(
            0, torch.from_numpy(places).to(outputs.device), outputs
        )

    def packed_logits(
        self, rows: Pack, positions: Sequence[Integers] | None = None, mask: PackedMask | None = None
    ) -> Tensor:
        """Return the outputs at tokens of a pack's rows, in the pack's own order, [M, C], float32.

        A token that several rows share is read once.

        Args:
            rows: The pack.
            positions: Which tokens of each of its rows are read; None reads the last of each.
            mask: What attends to what, where it is there already.
        """
        states, inverse = self.packed_states(rows, positions, mask)
        return self._apply_head(states)[inverse]

    def packed_states(
        self, rows: Pack, positions: Sequence[Integers] | None = None, mask: PackedMask | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the body's hidden states at tokens of a pack's rows, a token that several share once.

        Args:
            rows: The pack.
            positions: Which tokens of each of its rows are read; None reads the last of each.
            mask: What attends to what, where it is there already.

        Returns:
            [distinct, hidden] states, and for each requested token, in the pack's order, its index into them.
        """
        places = rows.last
        if positions is not None:
            members = np.repeat(np.arange(len(positions)), [len(wanted) for wanted in positions])
            places = rows.places(members, np.concatenate(positions))
        distinct, inverse = np.unique(places, return_inverse=True)
        output = self.inner.base_model(
            input_ids=torch.from_numpy(rows.tokens)[None].to(self.device),
            position_ids=torch.from_numpy(rows.positions)[None].to(self.device),
            use_cache=False,
            packed=mask or packed_mask(rows, self.device, self.attention_dtype()),
        )
        hidden = cast(Tensor, output.last_hidden_state)[0]
        return (
            hidden[torch.from_numpy(distinct).to(hidden.device)],
            torch.from_numpy(inverse).to(hidden.device),
        )

    def attention_dtype(self) -> torch.dtype:
        """Return the number format in which attention is computed."""
        kind = self.device.type
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.inner.dtype

    def _apply_head(self, hidden: Tensor) -> Tensor:
        """Apply the head in float32 whatever the body's format; [M, hidden] -> [M, C]."""
        with torch.autocast(hidden.device.type, enabled=False):
            dropout = getattr(self.inner, "dropout", None)
            states = hidden.float()
            if isinstance(dropout, nn.Dropout):
                states = dropout(states)
            return cast(Tensor, cast(nn.Module, getattr(self.inner, self.head))(states))

    def padded_logits(self, rows: Sequence[Tokens], positions: Sequence[Integers] | None = None) -> Tensor:
        """Return the outputs at tokens of rows padded on the right, [M, C]; works for any body."""
        ids, mask = self._padded(rows)
        if not self.head and positions is None:
            return cast(Tensor, self.inner(input_ids=ids, attention_mask=mask).logits).float()
        wanted = [np.array([len(row) - 1]) for row in rows] if positions is None else positions
        if not self.head:
            output = cast(Tensor, self.inner(input_ids=ids, attention_mask=mask).logits)
            return output[self._places(wanted)].float()
        return self._apply_head(self.padded_states(rows, wanted))

    def padded_states(self, rows: Sequence[Tokens], positions: Sequence[Integers]) -> Tensor:
        """Return the body's hidden states at tokens of rows padded on the right, [M, hidden]."""
        ids, mask = self._padded(rows)
        output = self.inner.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
        return cast(Tensor, output.last_hidden_state)[self._places(positions)]

    def _padded(self, rows: Sequence[Tokens]) -> tuple[Tensor, Tensor]:
        longest = max(len(row) for row in rows)
        ids = torch.full((len(rows), longest), 0 if self.pad is None else self.pad)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.as_tensor(row)
            mask[number, : len(row)] = 1
        return ids.to(self.device), mask.to(self.device)

    def _places(self, positions: Sequence[Integers]) -> tuple[Tensor, Tensor]:
        """Return rows and columns of tokens, laid end to end."""
        rows = np.repeat(np.arange(len(positions)), [len(one) for one in positions])
        columns = np.concatenate(positions)
        return torch.from_numpy(rows).to(self.device), torch.from_numpy(columns).to(self.device)


def unwrapped(classifier: nn.Module) -> PreTrainedModel:
    """Return the Transformers model inside peft's adapters, or the model itself where there are none."""
    unwrap = getattr(classifier, "get_base_model", None)
    return cast(PreTrainedModel, unwrap() if unwrap else classifier)


def prepare_for_packing(model: HeadedModel) -> bool:
    """Switch a body to packed attention if it can; return whether it could.

    A body that is bidirectional or recurrent, or counts its positions itself, gives other scores when rows
    are packed: it is recognised by trying a few short rows both ways, and left as it was. So is a body with
    layers that mix tokens without our attention, where weights that are still small may hide the difference.
    """
    inner = model.inner
    before = inner.config._attn_implementation
    if not model.head or not inner._supports_sdpa:
        return False
    size = min(inner.config.get_text_config().vocab_size, 97)
    row = [number * 7 % size for number in range(1, 25)]
    rows = [row, [*row[:20], 3 % size, 5 % size], [*row[:12], 2 % size]]
    training = model.training
    model.eval()
    with torch.no_grad(), quiet():  # one of these rows may begin with what pads, on which some bodies remark
        # Read in the middle too: there alone one layer shows that it looks ahead.
        read = [np.array([3, len(row) - 1]) for row in rows]
        plain = model.padded_logits(rows, read)
        try:
            inner.set_attn_implementation(NAME)
            (part,) = pack(rows, 1 << 20, 1)
            mask = packed_mask(part, model.device, model.attention_dtype())
            order = [place for row in part.rows for place in (2 * row, 2 * row + 1)]
            packed = model.packed_logits(part, [read[row] for row in part.rows], mask)
            # Half precision rounds far above the tolerance, so that a looser one is used.
            tolerance = TOLERANCE if inner.dtype == torch.float32 else 0.05
            same = torch.allclose(plain[order], packed, rtol=tolerance, atol=tolerance)
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
