"""Settings of the outcome reward model of GSM8K's solutions."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Gsm8kOutcome:
    """Train on all folds but one, score that one, and hold the scores against baselines."""

    data: str
    """The example solutions, `example_model_solutions.jsonl`."""
    problems: str
    """The worked problems that the small body reads, `train.jsonl`."""
    others: list[str] = field(default_factory=list)
    """Folders of other pretrained bodies with rotary positions, tuned beside the small one."""
    work: str = "runs/gsm8k-outcome"
    """Folder for rows, bodies and models; what is finished there is used again."""
    out: str = "results/gsm8k_outcome"
    """Folder for config.json, figures.csv, accuracy.csv and outcome.png."""
    views: list[str] = field(default_factory=lambda: ["both", "solution", "question"])
    """What the small body sees: question and solution, or for comparison one of them alone."""
    folds: int = 4
    """Parts of the problems, each held out once."""
    held_out: int = 0
    """Hold out this many parts only; 0 is all."""
    limit: int = 0
    """Use the first problems only; 0 uses all."""
    calculations: bool = False
    """Keep the calculator's notes in the solutions; without them rows are a seventh shorter."""
    vocabulary: int = 2048
    """Tokens of the small body."""
    hidden: int = 64
    """Its width."""
    layers: int = 4
    """Its layers."""
    readings: float = 1.0
    """Its passes over the worked problems."""
    epochs: float = 1.0
    """Passes over the graded solutions."""
    learning_rate: float = 1e-3
    """Peak learning rate on the graded solutions."""
    batch: int = 16
    """Solutions in one update."""
    bootstrap: int = 1000
    """Resamples of the problems."""
    seed: int = 0
    """Seed of the folds, the bodies, the training and the resamples."""
