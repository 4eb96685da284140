"""Settings of the PPO-max experiment: how much of everything, and the variants of PPO it compares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from rewards.errors import ConfigError

LARGEST_BUFFER = 512


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run PPO: what it is called in figures, and how it changes the common settings."""

    title: str
    recipe: str = "ppo-max"
    changes: Mapping[str, object] = field(default_factory=dict)
    reseeded: bool = False
    """Draw other random numbers: what such a run differs by is chance."""


FULL, AGAIN, PLAIN = "ppo-max", "ppo-max-again", "plain"
VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        PLAIN: Variant("plain PPO", "plain"),
        "plain-no-kl": Variant("plain PPO, no KL penalty", "plain", {"kl_coefficient": 0.0}),
        "plain-pretraining": Variant("plain PPO, critic pre-trained", "plain", {"critic_pretraining": 3}),
        "plain-small-buffer": Variant("plain PPO, buffer of 128", "plain", {"buffer": 128}),
        FULL: Variant("PPO-max"),
        AGAIN: Variant("PPO-max, other random numbers", reseeded=True),
        "no-normalise": Variant("no reward normalisation", changes={"reward_normalise": False}),
        "no-clip": Variant("no reward clip", changes={"reward_clip": 0.0}),
        "no-pretraining": Variant("no critic pre-training", changes={"critic_pretraining": 0}),
        "no-ptx": Variant("no ptx loss", changes={"ptx_coefficient": 0.0}),
        "no-gradient-clip": Variant("no gradient clipping", changes={"max_gradient_norm": 0.0}),
        "large-buffer": Variant("buffer of 512, not 128", changes={"buffer": 512}),
        "no-value-clip": Variant("no value clip", changes={"value_clip": 0.0}),
        "adaptive-kl": Variant("adaptive KL added", changes={"kl_target": 3.0, "kl_horizon": 2000}),
        "no-kl": Variant("no KL penalty", changes={"kl_coefficient": 0.0}),
    }
)
"""PPO-max with each of its parts left out, with one added, and twice the same; plain PPO beside it, and with
a part of PPO-max each. Three rounds of 512 pre-train a critic about as long as ten of 128."""


@dataclass(frozen=True)
class PpoMax:
    """Run every variant for every seed, and write tables and figures."""

    work: str = "runs/ppo-max"
    """Folder for models and runs; what is finished there is used again."""
    out: str = "results/ppo_max"
    """Folder for config.json, tables and figures."""
    seeds: list[int] = field(default_factory=lambda: [30, 31, 32])
    """Seeds of models, labels, prompts and runs. The settings were chosen on seed 0."""
    variants: list[str] = field(default_factory=lambda: [*VARIANTS])
    """Variants by name; PPO-max, which the others are held against, among them."""
    labels: int = 1000
    """Labelled pairs that the reward model learns from."""
    episodes: int = 10240
    """Responses that each policy learns from."""
    learning_rate: float = 1e-3
    """Rate of policy and critic throughout, the same for all variants."""
    kl_coefficient: float = 0.05
    """Weight of the KL penalty, where there is one."""
    epochs: int = 2
    """Passes over a round's responses."""
    batch: int = 32
    """Responses in one update."""
    prompts: int = 128
    """Held-out prompts."""
    samples: int = 2
    """Responses to each in a look."""
    looks: int = 10
    """Looks at each run beside that at its start; as many as make looks fall between the largest rounds."""
    questions: int = 2000
    """Prompts that PPO samples for."""
    texts: int = 4000
    """Answers of the corpus for the mixed-in loss."""
    updates: int = 1000
    """Most updates of a language model; it stops before, once it knows the world's facts."""

    def __post_init__(self) -> None:
        if FULL not in self.variants or not set(self.variants) <= set(VARIANTS):
            raise ConfigError(f"variants are of {', '.join(VARIANTS)}, {FULL} with them; got {self.variants}")
        if self.looks < 1 or self.episodes % (self.looks * LARGEST_BUFFER):
            raise ConfigError(
                f"episodes are a multiple of {LARGEST_BUFFER} for each of {self.looks} looks, so that all "
                f"variants are looked at after the same; got {self.episodes}"
            )
