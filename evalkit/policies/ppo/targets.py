"""Advantages and returns of every token of a rollout."""

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
    """The critic's values of a rollout before the round's updates.

    Attributes:
        rows: The responses in the critic's tokens.
        values: The value before each response token, [T] each.
    """

    rows: list[CriticRow]
    values: list[Tensor]


@dataclass(frozen=True)
class Targets:
    """Training targets of a round's tokens, [T] for each response.

    Attributes:
        advantages: Of each sampled token, whitened over the round if configured.
        returns: Regression targets of the critic.
        values: Its values before the updates.
        rewards: Scaled rewards before the KL penalty.
        critic_rows: The responses in the critic's tokens.
    """

    advantages: list[Tensor]
    returns: list[Tensor]
    values: list[Tensor]
    rewards: list[Tensor]
    critic_rows: list[CriticRow]

    def errors(self) -> dict[str, float]:
        """Return the critic's errors: root mean squared error, and the explained variance."""
        returns, values = torch.cat(self.returns).double(), torch.cat(self.values).double()
        spread = float(((returns - returns.mean()) ** 2).mean())
        error = float(((returns - values) ** 2).mean())
        metrics = {"value_error": error**0.5}
        return {**metrics, "explained_variance": 1 - error / spread} if spread > 0 else metrics


def make_targets(
    rollout: Rollout, estimates: Estimates, moments: RunningMoments, coefficient: float, config: PpoConfig
) -> Targets:
    """Return a round's advantages and returns.

    Args:
        rollout: The round.
        estimates: Of the critic, before the round's updates.
        moments: Running moments of the rewards, the round's included.
        coefficient: Weight of the KL penalty.
        config: The hyperparameters, every switch set.
    """
    values = estimates.values
    # One response that is paid at its end, such as an empty one, is not to have the mean taken off alone.
    whole = [all(rollout.whole)] * len(rollout.whole)
    scaled = [
        torch.tensor(rewards, dtype=torch.float32)
        for rewards in scaled_rewards(
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
    lengths = [len(rewards) for rewards in values]
    mask = torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]
    padded = pad_sequence(penalised, batch_first=True), pad_sequence(values, batch_first=True)
    if config.advantage == "gae":
        estimated = generalized_advantages(*padded, mask, config.gamma, config.lam)
    else:
        estimated = k_step_advantages(*padded, mask, config.k, config.gamma)
    advantages = whiten(estimated.advantages, mask) if config.whiten_advantages else estimated.advantages
    returns = _rows(estimated.returns, lengths)
    return Targets(_rows(advantages, lengths), returns, values, scaled, estimates.rows)


def _rows(padded: Tensor, lengths: Sequence[int]) -> list[Tensor]:
    return [row[:length] for row, length in zip(padded, lengths, strict=True)]


def totals(rollout: Rollout) -> np.ndarray:
    """Return each response's total reward, [N], before it is scaled."""
    return np.array([rewards.sum() for rewards in rollout.rewards])
