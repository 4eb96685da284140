"""A KV cache that grows in place: another token does not copy those before it."""

import inspect

import torch
from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from rewards.errors import ModelError

ROOM = 0.25
"""Share of the present length set aside for further tokens, and at least `LEAST_ROOM` of them."""
LEAST_ROOM = 16
PATIENCE = 4
"""Tokens after rows left before room is made: where rows leave all the time, it would never be used."""


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # untyped in Transformers
    """A cache layer whose keys and values [rows, heads, tokens, width] are views of larger tensors."""

    rooms: tuple[torch.Tensor, torch.Tensor] | None = None
    tokens_since_reorder = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append tokens and return all keys and values; the further arguments are for other layers."""
        self.tokens_since_reorder += key_states.shape[-2]
        if self.keys is None or self.values is None or self.tokens_since_reorder <= PATIENCE:
            return super().update(key_states, value_states)
        before = self.keys.shape[-2]
        after = before + key_states.shape[-2]
        if self.rooms is None or self.rooms[0].shape[-2] < after:
            self.rooms = (_with_room(self.keys, after), _with_room(self.values, after))
        for room, states in zip(self.rooms, (key_states, value_states), strict=True):
            room[..., before:after, :] = states
        self.keys, self.values = (room[..., :after, :] for room in self.rooms)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Set row i to the former row `beam_idx[i]`."""
        super().reorder_cache(beam_idx)
        self.rooms, self.tokens_since_reorder = None, 0


def growing_cache(config: PreTrainedConfig) -> DynamicCache:
    """Return an empty KV cache for a model, whose plain attention layers grow in place."""
    cache = DynamicCache(config=config)
    # Layers of other kinds, such as recurrent or sliding ones, keep less than all tokens: they stay.
    grows = [type(layer) is DynamicLayer for layer in cache.layers]
    cache.layers = [
        GrowingLayer() if grown else layer  # type: ignore[no-untyped-call]  # untyped in Transformers
        for grown, layer in zip(grows, cache.layers, strict=True)
    ]
    return cache


def cache_argument(model: PreTrainedModel) -> str:
    """Return the name by which a model takes its cache.

    Raises:
        ModelError: It takes none, so that every token would recompute all tokens before it.
    """
    accepted = inspect.signature(model.forward).parameters
    for name in ("past_key_values", "cache_params"):
        if name in accepted:
            return name
    raise ModelError(f"{type(model).__name__} takes no cache of Transformers, which sampling needs")


def can_pad(config: PreTrainedConfig) -> bool:
    """Return whether left padding leaves a model's results unchanged; it does not in recurrent layers."""
    layers = DynamicCache(config=config).layers
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)


def _with_room(states: torch.Tensor, length: int) -> torch.Tensor:
    """Return a copy of `states` in a tensor that holds `length` tokens and some more."""
    *shape, tokens, width = states.shape
    room = states.new_empty((*shape, length + max(LEAST_ROOM, int(ROOM * length)), width))
    room[..., :tokens, :] = states
    return room
