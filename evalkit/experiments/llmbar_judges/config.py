"""Settings of the comparison of LLMBar's judges."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LlmbarJudges:
    """Compare the models' verdicts in both orders."""

    data: str
    """File of verdicts: subset, evaluator, strategy, index, label, winner_noswap, winner_swap."""
    out: str = "results/llmbar_judges"
    """Folder for the figures and tables."""
    work: str = "runs/llmbar_judges.jsonl"
    """File for the verdicts as `evalkit judge` writes them."""
    strategy: str = "Vanilla"
    """The way of asking whose verdicts are taken."""
    overwrite: bool = False
    """Replace finished results."""
