"""Settings of the overoptimization grid: seeds, labels and samples."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Grid:
    """Train every reward model of the grid for every seed, and write curves, fits and a figure."""

    work: str = "runs/facts-overoptimization"
    """Folder for models and samples; what is finished there is used again."""
    out: str = "results/overoptimization"
    """Folder for config.json, curves.csv, fits.csv and overoptimization.png."""
    seeds: list[int] = field(default_factory=lambda: [10, 11, 12])
    """Seeds of models, labels and samples. The settings were chosen on seeds 0 to 2."""
    labels: list[int] = field(default_factory=lambda: [500, 1500, 5000])
    """Numbers of labelled pairs; the smaller sets are the first of the larger."""
    samples: int = 512
    """Samples for each prompt."""
