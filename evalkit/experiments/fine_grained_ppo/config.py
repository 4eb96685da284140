"""Settings of the fine-grained PPO experiment: how much of everything, and the rewards it compares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from evalkit.experiments.fine_grained.config import ANSWERS_A_PAIR
from rewards.errors import ConfigError


@dataclass(frozen=True, slots=True)
class PaidReward:
    """A reward that PPO optimises, and where it is paid."""

    title: str
    method: str = ""
    """The way of labelling that its reward model learnt from; empty is gold itself."""
    credit: Literal["auto", "response"] = "response"
    """Pay pieces where they end, or the sum at the last token."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of the aspects; empty is 1 for each."""
    critic_rounds: int = 0
    """Rounds of sampling in which the critic learns alone, before the episodes that are counted."""


HOLISTIC, AT_THE_END, DENSE, WARM = "preferences", "spans-response", "spans", "spans-warm"
BOUND, BOUND_DENSE = "gold", "gold-spans"
REWARDS: Mapping[str, PaidReward] = MappingProxyType(
    {
        HOLISTIC: PaidReward("one preference for two answers", "preferences"),
        "ratings": PaidReward("one rating for an answer", "ratings"),
        AT_THE_END: PaidReward("spans, their sum at the end", "spans"),
        DENSE: PaidReward("spans, each where it ends", "spans", "auto"),
        WARM: PaidReward("spans where they end, critic first", "spans", "auto", critic_rounds=4),
        BOUND: PaidReward("gold, its sum at the end"),
        BOUND_DENSE: PaidReward("gold, each piece where it ends", credit="auto"),
    }
)
"""From the least that a label says to the most; pairs of the same model differ by where it is paid alone."""
EVEN = {"relevance": 1.0, "factuality": 1.0, "completeness": 1.0}
WEIGHTED: Mapping[str, PaidReward] = MappingProxyType(
    {
        f"{DENSE}-{name}": PaidReward(f"spans, {name} x 3", "spans", "auto", {**EVEN, name: 3.0})
        for name in ("relevance", "factuality")
    }
)
"""The same spans under other weights, on one seed."""
ALL: Mapping[str, PaidReward] = {**REWARDS, **WEIGHTED}


@dataclass(frozen=True)
class FineGrainedPpo:
    """Optimise every reward for every seed, and write tables and a figure."""

    work: str = "runs/fine-grained-ppo"
    """Folder for models and runs; what is finished there is used again."""
    out: str = "results/fine_grained_ppo"
    """Folder for config.json, tables and the figure."""
    seeds: list[int] = field(default_factory=lambda: [20, 21, 22])
    """Seeds of models, labels, prompts and runs. The settings were chosen on seed 0."""
    rewards: list[str] = field(default_factory=lambda: [*REWARDS])
    """Rewards by name."""
    weighted: list[str] = field(default_factory=lambda: [*WEIGHTED])
    """Rewards of other weights, optimised on the first seed alone."""
    answers: int = 3000
    """Labelled answers."""
    episodes: int = 5120
    """Responses that each policy learns from."""
    learning_rate: float = 1e-3
    """Of policy and critic throughout."""
    kl_coefficient: float = 0.05
    """Weight of the KL penalty beside rewards of a standard deviation of 1."""
    buffer: int = 256
    """Responses in a round."""
    batch: int = 32
    """Responses in one update."""
    epochs: int = 2
    """Passes over a round's responses."""
    prompts: int = 128
    """Held-out prompts."""
    samples: int = 2
    """Responses to each in a look."""
    looks: int = 10
    """Looks at each run beside that at its start."""
    questions: int = 2000
    """Prompts that PPO samples for."""
    updates: int = 1000
    """Most updates of the language model; it stops before, once it knows the world's facts."""

    def __post_init__(self) -> None:
        if not self.rewards or not set(self.rewards) <= set(REWARDS):
            raise ConfigError(f"rewards are of {', '.join(REWARDS)}; got {self.rewards}")
        if not set(self.weighted) <= set(WEIGHTED):
            raise ConfigError(f"weighted are of {', '.join(WEIGHTED)}; got {self.weighted}")
        if self.looks < 1 or self.episodes % (self.looks * self.buffer):
            raise ConfigError(
                f"episodes are a multiple of {self.buffer} for each of {self.looks} looks, got "
                f"{self.episodes}"
            )
        if self.answers % ANSWERS_A_PAIR:
            raise ConfigError(f"labelled answers come in pairs, got {self.answers}")
