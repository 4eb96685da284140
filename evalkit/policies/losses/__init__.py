"""Policy losses: pairwise losses, PPO, advantages and KL estimators. Tensors in, tensors out.

- `advantages.py`: KL-penalised rewards, advantage estimators (GAE, k-step) and whitening: tensors in,
  tensors out
- `pairs.py`: Pairwise losses (DPO and its family) and implicit rewards: tensors in, tensors out
- `ppo.py`: Losses of PPO, and estimators of the KL between two policies
- `shapes.py`: Shape checks of tensors, and masked means
"""

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
