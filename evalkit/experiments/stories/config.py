"""Settings of the stories experiment: the model, and how much of everything."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stories:
    """Improve a story teller by two rewards and four methods, and write tables, samples and figures."""

    model: str
    """Folder of the language model."""
    work: str = "runs/stories"
    """Folder for models and samples; what is finished there is used again."""
    out: str = "results/stories"
    """Folder for commands.sh, tables, samples and figures."""
    seed: int = 0
    """Seed of prompts, samples and training."""
    reward_prompts: int = 128
    """Prompts to whose stories the reward models' labels are."""
    prompts: int = 160
    """Prompts that policies learn from."""
    held_out: int = 64
    """Prompts on which everything is measured."""
    samples: int = 16
    """Stories to each prompt."""
    tokens: int = 64
    """Most tokens in a story."""
    episodes: int = 2048
    """Stories that PPO learns from."""
    buffer: int = 256
    """Stories in a round of PPO."""
    rso_samples: int = 24
    """Stories to each prompt from which RSO accepts."""
    rso_updates: int = 70
    """Updates of RSO, about as many as DPO makes; how many pairs it has is up to the reward's ties."""
    rounds: int = 2
    """Rounds of best-of-n."""
    epochs: int = 2
    """Passes of DPO over its pairs."""
    reward_epochs: int = 3
    """Passes of the reward models over their labels."""
    shown: int = 6
    """Held-out prompts of which samples.jsonl has a story before and after."""
