"""Attention over packed rows, so that a prefix many rows share is computed once, exactly."""

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from rewards.encoding.packs import Pack

NAME = "evalkit_packed"
"""Name under which the attention is registered with Transformers."""


@dataclass(frozen=True)
class PackedMask:
    """A pack's buckets as tensors on the model's device.

    Attributes:
        queries: Places of all buckets' queries in the sequence, end to end.
        keys: Places of all buckets' keys, end to end.
        shapes: Units, queries and keys of each bucket.
        masks: Additive masks, [units, 1, queries, keys]; None where a bucket is causal.
        inverse: Where each token's result stands in the buckets' results laid end to end, [S].
        longest: Length of the longest row in tokens.
        layers: The attention layers that have used it, by `id`; a body with others mixes rows there.
    """

    queries: Tensor
    keys: Tensor
    shapes: tuple[tuple[int, int, int], ...]
    masks: tuple[Tensor | None, ...]
    inverse: Tensor
    longest: int
    layers: set[int] = field(default_factory=set)


def packed_mask(pack: Pack, device: torch.device, dtype: torch.dtype) -> PackedMask:
    """Return a pack's buckets as tensors; masks are 0 where a query sees a key and -inf where not."""
    masks: list[Tensor | None] = []
    for bucket in pack.buckets:
        hidden = torch.from_numpy(~bucket.allowed)
        mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, float("-inf"))
        masks.append(None if bucket.causal else mask[:, None].to(device))
    queries = np.concatenate([bucket.queries.ravel() for bucket in pack.buckets])
    keys = np.concatenate([bucket.keys.ravel() for bucket in pack.buckets])
    filled = np.flatnonzero(np.concatenate([bucket.filled.ravel() for bucket in pack.buckets]))
    inverse = np.empty(len(pack.tokens), dtype=np.int64)
    inverse[queries[filled]] = filled
    return PackedMask(
        queries=torch.from_numpy(queries).to(device),
        keys=torch.from_numpy(keys).to(device),
        shapes=tuple((*bucket.queries.shape, bucket.keys.shape[1]) for bucket in pack.buckets),
        masks=tuple(masks),
        inverse=torch.from_numpy(inverse).to(device),
        longest=pack.longest,
    )


class _Gather(torch.autograd.Function):
    """Rows of a matrix by number; adding flat rows up goes back several times faster than index_select."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, places: Tensor) -> Tensor:  # noqa: ANN401  # autograd's own type
        ctx.save_for_backward(places)
        ctx.rows = states.shape[0]
        return states.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401  # as above
        (places,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.rows, gradient.shape[1]).index_add_(0, places, gradient), None


def _rows(matrix: Tensor, places: Tensor) -> Tensor:
    apply: Any = _Gather.apply
    return cast(Tensor, apply(matrix, places))


def _gather(states: Tensor, places: Tensor) -> Tensor:
    """Take tokens from [1, heads, S, D]; returns [places, heads, D]."""
    heads, size = states.shape[1], states.shape[3]
    flat = states[0].transpose(0, 1).reshape(-1, heads * size)
    return _rows(flat, places).view(-1, heads, size)


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    packed: PackedMask | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,  # noqa: ANN401  # what Transformers passes differs by architecture
) -> tuple[Tensor, None]:
    """Attend within packed rows; without `packed`, as Transformers' own `sdpa` does.

    Args:
        module: The attention layer.
        query: [1, heads, S, D].
        key: [1, key heads, S, D].
        value: [1, key heads, S, D].
        attention_mask: For `sdpa`; packed rows need none.
        packed: The attention pattern.
        dropout: Share of attention weights dropped.
        scaling: Factor on the scores; None is 1 / sqrt(D).
        **kwargs: For `sdpa`.

    Returns:
        [1, S, heads, D] and no weights.
    """
    if packed is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    # A mask of the body's own, capped scores and sinks are more than the pattern that we keep.
    more = attention_mask is not None or any(kwargs.get(name) is not None for name in ("softcap", "s_aux"))
    if more or (kwargs.get("sliding_window") or packed.longest) < packed.longest:
        raise ValueError("this body's attention cannot be packed")  # the engine has asked `can_pack` before
    packed.layers.add(id(module))
    repeats = query.shape[1] // key.shape[1]
    gathered = _gather(query, packed.queries), _gather(key, packed.keys), _gather(value, packed.keys)
    results = []
    query_at = key_at = 0
    for (units, queries, keys), mask in zip(packed.shapes, packed.masks, strict=True):
        sizes = ((query_at, queries), (key_at, keys), (key_at, keys))
        q, k, v = (
            states[at : at + units * size].view(units, size, *states.shape[1:]).transpose(1, 2)
            for states, (at, size) in zip(gathered, sizes, strict=True)
        )
        if repeats > 1:
            k, v = k.repeat_interleave(repeats, dim=1), v.repeat_interleave(repeats, dim=1)
        result = scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=dropout, scale=scaling, is_causal=mask is None
        )
        results.append(result.transpose(1, 2).reshape(units * queries, -1))
        query_at, key_at = query_at + units * queries, key_at + units * keys
    attended = _rows(torch.cat(results), packed.inverse)
    return attended.view(1, attended.shape[0], query.shape[1], -1), None


AttentionInterface.register(NAME, packed_attention)
