"""From a round of experience to what PPO learns of it: advantages and returns of every token."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from evalkit.policies.losses.advantages import (
    generalized_advantages,
    k_step_advantages,
    penalised_rewards,
    whiten,
)
from evalkit.policies.losses.ppo import kl_estimate
from evalkit.policies.ppo.config import PpoConfig
from evalkit.policies.ppo.critic import CriticRow
from evalkit.policies.rollout.reward_scale import RunningMoments, scaled_rewards
from evalkit.policies.rollout.rollout import Rollout


@dataclass(frozen=True)
class Estimates:
    """What the critic says of a rollout before it learns from it.

    Attributes:
        rows: The responses as the critic reads them.
        values: The value before each response token, [T] each.
    """

    rows: list[CriticRow]
    values: list[Tensor]


@dataclass(frozen=True)
class Targets:
    """What a round's tokens are trained to, [T] for each response.

    Attributes:
        advantages: Of each token taken, whitened over the round where that is asked for.
        returns: What the critic learns.
        values: What it said before.
        rewards: Scaled rewards before the KL penalty.
        critic_rows: The responses as the critic reads them.
    """

    advantages: list[Tensor]
    returns: list[Tensor]
    values: list[Tensor]
    rewards: list[Tensor]
    critic_rows: list[CriticRow]

    def errors(self) -> dict[str, float]:
        """Return how far the critic was off: root mean squared error, and the share of variance explained."""
        returns, values = torch.cat(self.returns).double(), torch.cat(self.values).double()
        spread = float(((returns - returns.mean()) ** 2).mean())
        error = float(((returns - values) ** 2).mean())
        told = {"value_error": error**0.5}
        return {**told, "explained_variance": 1 - error / spread} if spread > 0 else told


def make_targets(
    rollout: Rollout, estimates: Estimates, moments: RunningMoments, coefficient: float, config: PpoConfig
) -> Targets:
    """Return a round's advantages and returns.

    Args:
        rollout: The round.
        estimates: Of the critic, before it learns from the round.
        moments: Of the rewards so far, the round's included.
        coefficient: Weight of the KL penalty.
        config: The algorithm, its switches set.
    """
    values = estimates.values
    # One response that is paid at its end, such as an empty one, is not to have the mean taken off alone.
    whole = [all(rollout.whole)] * len(rollout.whole)
    scaled = [
        torch.tensor(one, dtype=torch.float32)
        for one in scaled_rewards(
            rollout.rewards, moments, bool(config.reward_normalise), config.reward_clip or 0.0, whole
        )
    ]
    penalised = scaled
    if config.kl_in == "reward":
        penalised = [
            penalised_rewards(reward, kl_estimate(mine, theirs, config.kl_kind), coefficient)
            for reward, mine, theirs in zip(
                scaled, rollout.log_probs, rollout.reference_log_probs, strict=True
            )
        ]
    lengths = [len(one) for one in values]
    mask = torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]
    padded = pad_sequence(penalised, batch_first=True), pad_sequence(values, batch_first=True)
    if config.advantage == "gae":
        found = generalized_advantages(*padded, mask, config.gamma, config.lam)
    else:
        found = k_step_advantages(*padded, mask, config.k, config.gamma)
    advantages = whiten(found.advantages, mask) if config.whiten_advantages else found.advantages
    return Targets(_rows(advantages, lengths), _rows(found.returns, lengths), values, scaled, estimates.rows)


def _rows(padded: Tensor, lengths: Sequence[int]) -> list[Tensor]:
    return [row[:length] for row, length in zip(padded, lengths, strict=True)]


def totals(rollout: Rollout) -> np.ndarray:
    """Return what each response earns in all, [N], before it is scaled."""
    return np.array([rewards.sum() for rewards in rollout.rewards])
