"""KL-penalised rewards, advantage estimators (GAE, k-step) and whitening: tensors in, tensors out."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from evalkit.policies.losses.shapes import alike, masked
from rewards.errors import ConfigError


class Advantages(NamedTuple):
    """Advantages, and the returns that the critic's values are regressed to; both [B, T]."""

    advantages: Tensor
    returns: Tensor


def generalized_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float = 1.0, lam: float = 0.95
) -> Advantages:
    """Return generalised advantages (GAE) and the returns `A + V`, not whitened and without gradient.

    `A_t = delta_t + gamma lam A_(t+1)` with `delta_t = r_t + gamma V_(t+1) - V_t`; after a row's last token
    A and V are 0 (Schulman et al. 2016, arXiv 1506.02438, eq. 16).

    Args:
        rewards: Reward of each token, [B, T]; values where the mask is 0 are not read.
        values: The critic's value before each token's reward, [B, T].
        mask: 1 where there is a token, 0 where not, [B, T], bool or int. Zeros may stand before, behind and
            between the ones: the token after t is then the row's next one.
        gamma: Discount per token, in [0, 1].
        lam: 0 is the temporal difference, 1 the return less the value; in [0, 1].

    Returns:
        Both [B, T], 0 where the mask is.

    Raises:
        ConfigError: The shapes are not one [B, T], or gamma or lam is outside its range.
    """
    rewards, values, places = _gathered(rewards, values, mask, gamma)
    if not 0 <= lam <= 1:
        raise ConfigError(f"lam is in [0, 1], got {lam}")
    later = rewards.new_zeros(len(rewards))
    columns: list[Tensor] = []
    deltas = rewards + gamma * _shifted(values, 1) - values
    for t in reversed(range(rewards.shape[1])):
        later = deltas[:, t] + gamma * lam * later
        columns.append(later)
    advantages = torch.stack(columns[::-1], 1) if columns else deltas
    return _scattered(advantages, values, places)


def k_step_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, k: int, gamma: float = 1.0
) -> Advantages:
    """Return advantages of k rewards and then the critic, and the returns `A + V`, without gradient.

    `A_t = sum_(i<k) gamma^i r_(t+i) + gamma^k V_(t+k) - V_t`, with 0 after a row's last token (Mnih et al.
    2016, arXiv 1602.01783, section 4). k = 1 is `generalized_advantages` of lam 0; k >= T that of lam 1.

    Args:
        rewards: As in `generalized_advantages`.
        values: As there.
        mask: As there.
        k: 1 or more.
        gamma: Discount per token, in [0, 1].

    Raises:
        ConfigError: The shapes are not one [B, T], or k or gamma is outside its range.
    """
    rewards, values, places = _gathered(rewards, values, mask, gamma)
    if k < 1:
        raise ConfigError(f"k is 1 or more, got {k}")
    advantages = gamma**k * _shifted(values, k) - values
    for i in range(min(k, rewards.shape[1])):
        advantages = advantages + gamma**i * _shifted(rewards, i)
    return _scattered(advantages, values, places)


def whiten(x: Tensor, mask: Tensor, centred: bool = True) -> Tensor:
    """Scale the masked items to standard deviation 1 (unbiased) and mean 0 or their own; without gradient.

    Fewer than two items, and ones that differ by no more than rounding, have no spread: they become the
    mean, which is 0 where centred.

    Args:
        x: Any shape.
        mask: 1 where there is an item, of that shape, bool or int.
        centred: False keeps the mean.

    Returns:
        Of that shape, 0 where the mask is.

    Raises:
        ConfigError: The shapes differ.
    """
    there, x = masked(mask, x=x.detach())
    items = x[there].double()
    result = torch.zeros_like(x)
    if not len(items):
        return result
    mean = items.mean()
    rounding = 8 * torch.finfo(x.dtype).eps * items.abs().max()
    spread = bool(items.max() - items.min() > rounding)
    from_mean = (items - mean) / items.std(correction=1) if spread else torch.zeros_like(items)
    result[there] = (from_mean if centred else from_mean + mean).to(x.dtype)
    return result


def penalised_rewards(rewards: Tensor, kl: Tensor, coefficient: float, clip: float = 0.0) -> Tensor:
    """Return `clip(r, -c, c) - coefficient * kl` of every token, [B, T].

    Args:
        rewards: Rewards at the tokens that earned them, 0 at others, [B, T]; each is clipped by itself.
        kl: Estimates in nats, [B, T]; k1 is the one for rewards (see `kl_estimate`).
        coefficient: Weight of the KL.
        clip: c; 0 does not clip.

    Raises:
        ConfigError: The shapes differ, or the clip is negative.
    """
    rewards, kl = alike(rewards=rewards, kl=kl)
    if not clip >= 0:
        raise ConfigError(f"clip is 0 or more, got {clip}")
    return (rewards.clamp(-clip, clip) if clip else rewards) - coefficient * kl


def adapted_coefficient(coefficient: float, kl: float, target: float, n: int, horizon: int) -> float:
    """Return `coefficient * (1 + clip(kl / target - 1, -0.2, 0.2) * n / horizon)`.

    Args:
        coefficient: Present weight of the KL.
        kl: Measured KL, nats per response.
        target: Target KL, above 0, in the same unit.
        n: Responses since the coefficient was last adapted.
        horizon: Responses, more than n / 5: the coefficient could else fall to 0 or below.

    Raises:
        ConfigError: A number is outside what is said here, or the KL is NaN.

    Source: Ziegler et al. 2019, arXiv 1909.08593.
    """
    if math.isnan(kl) or not target > 0 or not 0 <= n < 5 * horizon:
        raise ConfigError(
            "kl is a number, target above 0 and horizon above n / 5; "
            f"got kl {kl}, target {target}, n {n}, horizon {horizon}"
        )
    return coefficient * (1 + min(max(kl / target - 1, -0.2), 0.2) * n / horizon)


def _gathered(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float) -> list[Tensor]:
    """Return rewards and values left-aligned in each row, zero-padded, and the indices of their tokens."""
    there, rewards, values = masked(mask, rewards=rewards.detach(), values=values.detach())
    if there.ndim != 2:
        raise ConfigError(f"rewards, values and mask are [B, T], got {list(there.shape)}")
    if not 0 <= gamma <= 1:
        raise ConfigError(f"gamma is in [0, 1], got {gamma}")
    places = (~there).to(torch.uint8).argsort(dim=1, stable=True)
    return [rewards.gather(1, places), values.gather(1, places), places]


def _shifted(x: Tensor, by: int) -> Tensor:
    """Return the values `by` positions later in each row, 0 beyond its end, [B, T]."""
    by = min(by, x.shape[1])
    return torch.cat([x[:, by:], x.new_zeros(len(x), by)], 1)


def _scattered(advantages: Tensor, values: Tensor, places: Tensor) -> Advantages:
    """Return advantages and returns at the original positions of each row's tokens."""
    both = (advantages, advantages + values)
    return Advantages(*(torch.zeros_like(x).scatter(1, places, x) for x in both))
