"""Shape checks of tensors, and masked means."""

import torch
from torch import Tensor

from rewards.errors import ConfigError


def alike(**tensors: Tensor) -> list[Tensor]:
    """Return tensors of one shape as float32, or float64 where they are; refuse shapes that differ."""
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    if len({tuple(shape) for shape in shapes.values()}) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ConfigError(f"these should be of one shape: {listed}")
    return [x if x.dtype == torch.float64 else x.float() for x in tensors.values()]


def masked(mask: Tensor, **tensors: Tensor) -> list[Tensor]:
    """Return the mask as bool, and the tensors with 0 wherever it is 0, even over NaN."""
    alike(**tensors, mask=mask)
    there = mask.bool()
    return [there, *(torch.where(there, x, 0.0) for x in alike(**tensors))]


def masked_mean(x: Tensor, there: Tensor, items: int | None) -> Tensor:
    """Return the sum over the mask divided by `items`, or by the mask's own sum."""
    items = int(there.sum()) if items is None else items
    if items < 1:
        raise ConfigError("there is no token to take a mean over; with items, give 1 or more")
    return torch.where(there, x, 0.0).sum() / items
