"""Settings of process_vs_outcome: how much of everything, and what scores."""

from dataclasses import dataclass, field

from rewards.errors import ConfigError

WIDTH = 4
"""Next steps from each solution that a search keeps."""


@dataclass(frozen=True)
class ProcessVsOutcome:
    """Train process and outcome reward models on the same solutions, and let both choose among samples."""

    work: str = "runs/process-vs-outcome"
    """Folder for models and samples; what is finished there is used again."""
    out: str = "results/process_vs_outcome"
    """Folder for config.json, the tables and the figures."""
    seeds: list[int] = field(default_factory=lambda: [10, 11, 12])
    """Seeds of policies, problems, samples and heads. The settings were chosen on seed 100."""
    sizes: list[int] = field(default_factory=lambda: [1000, 4000, 32000])
    """Labelled solutions; the smaller sets are the first of the larger."""
    epochs: list[float] = field(default_factory=lambda: [8.0, 4.0, 1.5])
    """Passes over each of these sets, by both models."""
    problems: int = 200
    """Problems that both choose on; no model has seen them."""
    samples: int = 128
    """Samples of each."""
    automatic: int = 1000
    """Solutions labelled by rollouts too; one of the sizes."""
    rollouts: int = 8
    """Completions from each step."""
    search_sizes: list[int] = field(default_factory=lambda: [1000, 4000])
    """Searches are guided by the process models that learnt from so many solutions."""
    search_n: list[int] = field(default_factory=lambda: [4, 16])
    """Candidates of the searches; multiples of 4."""
    hidden: int = 128
    """Width of the policy, which is the body of both reward models."""

    def __post_init__(self) -> None:
        if len(self.epochs) != len(self.sizes):
            raise ConfigError(f"epochs has a number for each of the sizes {self.sizes}, got {self.epochs}")
        if self.automatic not in self.sizes:
            raise ConfigError(f"automatic is one of the sizes {self.sizes}, got {self.automatic}")
        if unknown := [size for size in self.search_sizes if size not in self.sizes]:
            raise ConfigError(f"search_sizes are among the sizes {self.sizes}, got {unknown[0]}")
        if odd := [n for n in self.search_n if n % WIDTH]:
            raise ConfigError(f"search_n are multiples of {WIDTH}, got {odd[0]}")
