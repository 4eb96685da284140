"""Settings of the exact tilt: seeds, beta, and how much of everything."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tilt:
    """Train every method on every world, and write distances, a figure and the settings."""

    out: str = "results/exact_tilt"
    """Folder for config.json, distances.csv, ppo.csv, rejection.csv and exact_tilt.png."""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    """Seeds of worlds, models and samples."""
    beta: float = 1.0
    """Strength of the pull to the reference, in units of the reward."""
    episodes: int = 30720
    """Responses that PPO samples in all."""
    buffer: int = 384
    """Responses of a round of PPO."""
    batch: int = 128
    """Responses of an update."""
    learning_rate: float = 2e-3
    """PPO's, which falls to 0."""
    updates: int = 300
    """Updates on pairs or accepted samples; each sees all of them."""
    sizes: list[int] = field(default_factory=lambda: [100, 1000, 10000])
    """Accepted samples, and pairs, of each question."""
    records: int = 8000
    """Pairs that `fit_dpo` reads one by one."""
    rso_n: int = 16
    """Samples from which RSO's pairs are made at a time."""
    rso_k: int = 4
    """Accepted among them."""
    times: int = 4000
    """Runs of each simulated rejection sampling."""
