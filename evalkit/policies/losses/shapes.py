"""Tensors that must agree in shape, and means over those items that a mask holds."""

import torch
from torch import Tensor

from rewards.errors import ConfigError


def alike(**tensors: Tensor) -> list[Tensor]:
    """Return tensors of one shape in float32, in float64 where they are; refuse shapes that differ."""
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    if len({tuple(shape) for shape in shapes.values()}) > 1:
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ConfigError(f"these should be of one shape: {told}")
    return [x if x.dtype == torch.float64 else x.float() for x in tensors.values()]


def masked(mask: Tensor, **tensors: Tensor) -> list[Tensor]:
    """Return the mask as bool, and tensors of its shape with 0 where it is 0, whatever stood there."""
    alike(**tensors, mask=mask)
    there = mask.bool()
    return [there, *(torch.where(there, x, 0.0) for x in alike(**tensors))]


def masked_mean(x: Tensor, there: Tensor, items: int | None) -> Tensor:
    """Return the sum over the mask divided by `items`, or by the mask's own sum."""
    items = int(there.sum()) if items is None else items
    if items < 1:
        raise ConfigError("there is no token to take a mean over; with items, give 1 or more")
    return torch.where(there, x, 0.0).sum() / items
