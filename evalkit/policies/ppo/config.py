"""The configuration of `evalkit train ppo`, and the recipes with the defaults of its switches."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from rewards.config import LoraConfig, check_ranges
from rewards.errors import ConfigError

KlKind = Literal["k1", "k2", "k3"]
"""Estimators of KL(policy || reference) from samples; `policies.losses.kl_estimate` has the formulas."""


CHANGEABLE = (
    "kl_limit",
    "learning_rate",
    "critic_learning_rate",
    "max_gradient_norm",
    "reward_clip",
    "empty_reward",
    "unfinished_reward",
)
"""Settings with which a run may be resumed changed: else what stopped it would stop it again."""


@dataclass(frozen=True)
class PpoConfig:
    """How PPO optimises a reward; a None takes the value of `recipe`."""

    recipe: Literal["plain", "ppo-max"] = "plain"
    """Defaults of the switches below: usual PPO (plain), or Secrets of RLHF I (PPO-max)."""
    reward_normalise: bool | None = None
    """Normalise rewards by the running mean and standard deviation of all rewards so far."""
    reward_clip: float | None = None
    """Clip rewards (normalised ones, where they are; each piece of one that is paid in pieces) to plus and
    minus this; 0 leaves them. Without `reward_normalise`, rewards above it are all equal."""
    critic_pretraining: int | None = None
    """Rounds of sampling in which the critic learns alone before the policy moves."""
    ptx_coefficient: float | None = None
    """Weight of the language-modelling loss on `ptx_data`, added to the policy's; 0 is none."""
    max_gradient_norm: float | None = None
    """Clip the gradient norm of policy and of critic to this; 0 does not clip."""
    buffer: int | None = None
    """Responses sampled before each round of updates; a small buffer keeps them near the policy."""
    value_clip: float | None = None
    """Clip range of the value loss around the old values; 0 does not clip."""
    kl_target: float | None = None
    """Target KL to the reference, nats per response, of the adaptive coefficient; 0 keeps it fixed."""
    kl_coefficient: float = 0.05
    """Coefficient of the KL penalty; its first value where it adapts."""
    kl_horizon: int = 10000
    """Horizon of the adaptive coefficient, in responses."""
    kl_kind: KlKind = "k1"
    """Estimator of the penalty: k1 for the reward; in the loss k2 has the gradient of each token's KL."""
    kl_in: Literal["reward", "loss"] = "reward"
    """Subtract the penalty from each token's reward, or add it to the policy's loss, where its gradient is
    exact on samples of the policy itself, and from a round's second update on nearly so."""
    episodes: int = 10000
    """Responses that the policy trains on, in whole buffers; those of the critic's rounds are extra."""
    samples: int = 1
    """Responses to each prompt in a round."""
    epochs: int = 4
    """Passes over a round's responses."""
    batch: int = 32
    """Responses in one update."""
    micro_batch: int = 0
    """Responses computed at once; 0 is all of `batch`. Gradients are summed: only memory changes."""
    learning_rate: float = 1e-5
    """Peak learning rate of the policy (AdamW)."""
    value_coefficient: float = 0.1
    """Weight of the critic's loss in the policy's, where they share a body."""
    critic_learning_rate: float = 0.0
    """Peak learning rate of the critic; 0 takes the policy's."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    warmup_ratio: float = 0.0
    """Share of the updates over which the learning rates rise, in [0, 1]."""
    schedule: Literal["linear", "constant"] = "linear"
    """Fall to 0 over the run, or stay."""
    objective: Literal["clip", "penalty"] = "clip"
    """Clip the ratio of new to old policy, or penalise their KL with a weight that adapts to its target."""
    clip: float = 0.2
    """Clip range of the probability ratio around 1, of objective clip."""
    penalty: float = 1.0
    """First weight of the KL between old and new policy, of objective penalty."""
    penalty_target: float = 0.01
    """That KL, in nats per token, to which the weight is halved or doubled (Schulman et al. 2017, sec. 4)."""
    advantage: Literal["gae", "k-step"] = "gae"
    """Generalised advantages (GAE), or k rewards and then the critic's value."""
    k: int = 1
    """Steps of the k-step advantage."""
    gamma: float = 1.0
    """Discount per token."""
    lam: float = 0.95
    """Lambda of GAE."""
    whiten_advantages: bool = True
    """Whiten a round's advantages to mean 0 and standard deviation 1; it changes what the coefficient of a KL
    in the loss is worth, which is not among them."""
    entropy_coefficient: float = 0.0
    """Coefficient of the entropy bonus."""
    unfinished_reward: float | None = None
    """Reward of a truncated response (no EOS), in place of its score; None scores it as it is."""
    empty_reward: float | None = None
    """Reward of an empty response, in place of its score; scorers of steps have none for it."""
    kl_limit: float = 0.0
    """Stop where KL to the reference exceeds this many nats per response; 0 never."""
    temperature: float = 1.0
    """Temperature of policy and reference, in sampling and in training alike."""
    max_new_tokens: int = 256
    """Most tokens in a response."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Mixed precision of the transformers; heads and losses are float32."""
    checkpoint_rounds: int = 0
    """Rounds between checkpoints to resume from; 0 saves ten times in the run."""
    seed: int = 0
    """Seed of the prompts' order, the samples, the batches and the critic's new head, below 2^32."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """LoRA adapters of the policy; the reference is then the policy without them."""

    def __post_init__(self) -> None:
        check_ranges(self, PPO_RANGES, "ppo.")
        resolved = {name: value for name, value in _switches(self).items() if name != "reward_normalise"}
        for name, value in resolved.items():
            least = 1 if name == "buffer" else 0
            if not least <= value < float("inf"):
                raise ConfigError(f"ppo.{name} is {least} or more, got {value}")
        if resolved["buffer"] % self.samples or resolved["buffer"] % self.batch:
            raise ConfigError(
                f"ppo.buffer {resolved['buffer']} is no multiple of ppo.samples {self.samples} and ppo.batch "
                f"{self.batch}"
            )
        if resolved["kl_target"] and resolved["buffer"] >= 5 * self.kl_horizon:
            raise ConfigError(
                f"ppo.kl_horizon is above a fifth of ppo.buffer {resolved['buffer']}, or a round could "
                f"take the whole coefficient; got {self.kl_horizon}"
            )
        for name in ("unfinished_reward", "empty_reward"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ConfigError(f"ppo.{name} is a finite number, got {value}")
        self._check_adapters()
        self._check_objective(resolved["buffer"])
        if self.micro_batch and self.batch % self.micro_batch:
            raise ConfigError(f"ppo.batch {self.batch} is no multiple of ppo.micro_batch {self.micro_batch}")

    def _check_objective(self, buffer: int) -> None:
        if self.objective == "penalty" and self.epochs * buffer == self.batch:
            raise ConfigError(
                "ppo.objective penalty adapts its weight by the KL before a round's last update, and there "
                "is one update; more ppo.epochs or a smaller ppo.batch make more"
            )

    def _check_adapters(self) -> None:
        if self.lora.rank and self.lora.dropout:
            raise ConfigError(
                f"ppo.lora.dropout is 0, got {self.lora.dropout}: old and new policy would differ by chance"
            )
        if self.lora.rank and not self.lora.merge:
            raise ConfigError(
                "ppo.lora.merge false keeps adapters apart; a policy is saved with them merged, so that it "
                "loads as a plain model"
            )


PPO_RANGES = {
    "kl_coefficient": "0 or more",
    "kl_horizon": "1 or more",
    "episodes": "1 or more",
    "samples": "1 or more",
    "epochs": "1 or more",
    "batch": "1 or more",
    "micro_batch": "0 or more",
    "learning_rate": "above 0",
    "critic_learning_rate": "0 or more",
    "value_coefficient": "0 or more",
    "weight_decay": "0 or more",
    "warmup_ratio": "in [0, 1]",
    "clip": "above 0",
    "penalty": "0 or more",
    "penalty_target": "above 0",
    "k": "1 or more",
    "gamma": "in [0, 1]",
    "lam": "in [0, 1]",
    "entropy_coefficient": "0 or more",
    "kl_limit": "0 or more",
    "temperature": "above 0",
    "max_new_tokens": "1 or more",
    "checkpoint_rounds": "0 or more",
    "seed": "from 0 to 4294967295",
}

RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "plain": {
            "reward_normalise": False,
            "reward_clip": 0.0,
            "critic_pretraining": 0,
            "ptx_coefficient": 0.0,
            "max_gradient_norm": 0.0,
            "buffer": 512,
            "value_clip": 0.0,
            "kl_target": 0.0,
        },
        "ppo-max": {
            "reward_normalise": True,
            "reward_clip": 0.8,
            "critic_pretraining": 10,
            "ptx_coefficient": 0.1,
            "max_gradient_norm": 1.0,
            "buffer": 128,
            "value_clip": 0.2,
            "kl_target": 0.0,
        },
    }
)
"""What each recipe sets. PPO-max: Zheng et al. 2023, 2307.04964, sections 5.2 to 5.4; it keeps the KL
coefficient fixed at 0.05, so that an adapted one is a switch beside it."""


def _switches(config: PpoConfig) -> dict[str, Any]:
    """Return the value of each switch: its own, or the recipe's."""
    defaults = RECIPES[config.recipe]
    given = {name: getattr(config, name) for name in defaults}
    return {name: defaults[name] if value is None else value for name, value in given.items()}


def resolve_recipe(config: PpoConfig) -> PpoConfig:
    """Return the configuration with every unset switch taken from its recipe."""
    return replace(config, **_switches(config))
