"""Configuration of `evalkit quickstart`."""

from dataclasses import dataclass

from evalkit.runs.config import Replacing
from rewards.errors import ConfigError


@dataclass(frozen=True)
class Quickstart(Replacing):
    """Learn a reward in a small world, optimise it, and see where the gold reward peaks."""

    out: str = "runs/quickstart"
    """Folder for all files."""
    seed: int = 0
    """Seed of the models, the labels and the samples; the world is always the same."""
    prompts: int = 64
    """Prompts on which best-of-n is measured."""
    samples: int = 512
    """Samples for each of them."""
    labels: int = 1500
    """Pairs of answers from which each reward model learns."""
    updates: int = 1000
    """Most updates of a small language model; training stops earlier, once it knows the world's facts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least, most in (("prompts", 1, 1000), ("samples", 2, 2**16), ("labels", 10, 10**6)):
            if not least <= getattr(self, name) <= most:
                raise ConfigError(f"{name} is from {least} to {most}, got {getattr(self, name)}")
        if self.seed < 0 or self.updates < 1:
            raise ConfigError(f"seed is 0 or more and updates 1 or more, got {self.seed} and {self.updates}")
