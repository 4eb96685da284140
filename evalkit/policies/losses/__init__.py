"""Policy losses: pairwise losses, PPO, advantages and KL estimators. Tensors in, tensors out."""

from evalkit.policies.losses.advantages import (
    Advantages,
    adapted_coefficient,
    generalized_advantages,
    k_step_advantages,
    penalised_rewards,
    whiten,
)
from evalkit.policies.losses.pairs import dpo_loss, dpo_rewards
from evalkit.policies.losses.ppo import (
    ClippedLoss,
    PenaltyLoss,
    kl_estimate,
    ppo_clip_loss,
    ppo_penalty_loss,
    value_loss,
)

__all__ = [
    "Advantages",
    "ClippedLoss",
    "PenaltyLoss",
    "adapted_coefficient",
    "dpo_loss",
    "dpo_rewards",
    "generalized_advantages",
    "k_step_advantages",
    "kl_estimate",
    "penalised_rewards",
    "ppo_clip_loss",
    "ppo_penalty_loss",
    "value_loss",
    "whiten",
]
