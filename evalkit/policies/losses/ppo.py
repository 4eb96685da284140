"""Losses of PPO, and estimators of the KL between two policies."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from evalkit.policies.losses.shapes import alike, masked, masked_mean
from rewards.errors import ConfigError


class ClippedLoss(NamedTuple):
    """A loss to be minimised, and the share of tokens whose gradient is clipped away; both scalars."""

    loss: Tensor
    clip_fraction: Tensor


class PenaltyLoss(NamedTuple):
    """A loss to be minimised, and the KL(old || new) in it, nats per token; both scalars."""

    loss: Tensor
    kl: Tensor


def kl_estimate(log_probs: Tensor, reference_log_probs: Tensor, kind: str = "k1") -> Tensor:
    """Return an estimate of KL(policy || reference) from each token sampled from the policy.

    With `l = log pi - log pi_ref`, k1 is `l`, k2 `l^2 / 2` and k3 `exp(-l) - 1 + l` (Schulman 2020,
    "Approximating KL divergence"). The means of k1 and k3 are the KL; k1 may be negative and is the noisier
    near the reference; k2 is biased, the less the nearer the policies are.

    In the reward, as a number, take k1: the policy gradient of its mean is the KL's. As a term of the loss
    that is differentiated, only k2 will do: on samples of the policy itself the mean gradient of k1 is 0,
    that of k2 is the gradient of KL(policy || reference), and that of k3 is the gradient of the other
    direction, KL(reference || policy). All this is of one draw: summed over the tokens of a response, k2 in
    the loss leaves out what a token does to the KL of those after it, which the reward has.

    Args:
        log_probs: Log-probabilities of the tokens under the policy that sampled them, nats, any shape.
        reference_log_probs: Those under the reference, of the same shape.
        kind: k1, k2 or k3.

    Returns:
        Nats, of that shape. k3 is infinite where `-l` passes 88 in float32.

    Raises:
        ConfigError: The kind is another, or the shapes differ.
    """
    policy, reference = alike(log_probs=log_probs, reference_log_probs=reference_log_probs)
    ratio = policy - reference
    match kind:
        case "k1":
            return ratio
        case "k2":
            return ratio**2 / 2
        case "k3":
            return torch.expm1(-ratio) + ratio
    raise ConfigError(f"kind is k1, k2 or k3, got {kind!r}")


def ppo_clip_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip: float = 0.2,
    items: int | None = None,
) -> ClippedLoss:
    """Return PPO's clipped loss, the mean of `-min(rho A, clip(rho, 1 - c, 1 + c) A)` over the mask's tokens.

    Args:
        log_probs: The policy's, with gradient, any shape.
        old_log_probs: Those of the policy that sampled the tokens, a constant, of the same shape.
        advantages: Constants, of the same shape.
        mask: 1 where there is a token, of the same shape, bool or int.
        clip: c, above 0.
        items: Divide the sums by this in place of the mask's: the results of a batch's parts, each divided
            by the whole batch's tokens, add up to the batch's.

    Raises:
        ConfigError: The shapes differ, the clip is not above 0, or there is nothing to divide by.

    Source: Schulman et al. 2017, arXiv 1707.06347, eq. 7.
    """
    log_ratio, advantages, there = _surrogate(log_probs, old_log_probs, advantages, mask)
    if not clip > 0:
        raise ConfigError(f"clip is above 0, got {clip}")
    # The smaller product is A times the ratio cut from one side, from which by A's sign. Cut before exp, a
    # ratio that is clipped cannot overflow and make the gradient 0 times infinity.
    high, low = math.log1p(clip), math.log1p(-clip) if clip < 1 else -math.inf
    better = advantages >= 0
    bounded = torch.where(better, log_ratio.clamp(max=high), log_ratio.clamp(min=low))
    clipped = ((advantages > 0) & (log_ratio > high)) | ((advantages < 0) & (log_ratio < low))
    share = masked_mean(clipped.to(advantages.dtype), there, items)
    return ClippedLoss(masked_mean(-bounded.exp() * advantages, there, items), share)


def ppo_penalty_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    penalty: float,
    items: int | None = None,
) -> PenaltyLoss:
    """Return PPO's penalised loss, the mean of `-rho A + penalty KL(old || new)` (1707.06347, eq. 8).

    The KL has the opposite direction of that to the reference: the samples are of the old policy, which the
    gradient does not move, so that the mean gradient of k3, `rho - 1 - log rho`, is the KL's own. (That of
    k1 would be as well, but with noise where old and new agree; k3 and its gradient are then 0.)

    Args:
        log_probs: As in `ppo_clip_loss`, as are the others.
        old_log_probs: A constant.
        advantages: Constants.
        mask: 1 where there is a token.
        penalty: Weight of the KL, 0 or more.
        items: As in `ppo_clip_loss`.

    Raises:
        ConfigError: The shapes differ, the penalty is negative, or there is nothing to divide by.
    """
    log_ratio, advantages, there = _surrogate(log_probs, old_log_probs, advantages, mask)
    if not penalty >= 0:
        raise ConfigError(f"penalty is 0 or more, got {penalty}")
    kl = masked_mean(kl_estimate(torch.zeros_like(log_ratio), log_ratio, "k3"), there, items)
    return PenaltyLoss(masked_mean(-log_ratio.exp() * advantages, there, items) + penalty * kl, kl.detach())


def value_loss(
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    clip: float = 0.0,
    items: int | None = None,
) -> ClippedLoss:
    """Return half the mean squared error of the values; with a clip, of the worse of them and the clipped.

    Args:
        values: The critic's, with gradient, any shape.
        old_values: Those at the time of sampling, constants, of the same shape.
        returns: Constants, of the same shape.
        mask: 1 where there is a token, of the same shape, bool or int.
        clip: Largest change of a value from its old one, in the reward's unit; 0 does not clip.
        items: As in `ppo_clip_loss`.

    Raises:
        ConfigError: The shapes differ, the clip is negative, or there is nothing to divide by.
    """
    there, values, old_values, returns = masked(mask, values=values, old_values=old_values, returns=returns)
    if not clip >= 0:
        raise ConfigError(f"clip is 0 or more, got {clip}")
    old_values, returns = old_values.detach(), returns.detach()
    error = (values - returns) ** 2
    bounded = (values.clamp(old_values - clip, old_values + clip) - returns) ** 2 if clip else error
    share = masked_mean((bounded > error).to(error.dtype), there, items)
    return ClippedLoss(0.5 * masked_mean(torch.maximum(error, bounded), there, items), share)


def _surrogate(log_probs: Tensor, old: Tensor, advantages: Tensor, mask: Tensor) -> list[Tensor]:
    """Return the log of the ratio of new to old policy, the advantages, and the mask as bool."""
    there, new, old, advantages = masked(mask, log_probs=log_probs, old_log_probs=old, advantages=advantages)
    return [new - old.detach(), advantages.detach(), there]
