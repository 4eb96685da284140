"""What is a good answer: records, scorers, reward models, selection. Imports nothing of judges or evalkit."""

from typing import TYPE_CHECKING

from rewards.lazy import names_on_demand

if TYPE_CHECKING:
    from rewards.files import as_generations, read_rows, write_rows
    from rewards.records import (
        Generation,
        Message,
        Preference,
        Ranking,
        Score,
        Span,
        SpanLabels,
        StepLabels,
    )
    from rewards.scorer import Scorer, load_scorer
    from rewards.selection import best_of_n, expected_best_of_n, rejection_sample

__version__ = "0.1.0"

__all__ = [
    "Generation",
    "Message",
    "Preference",
    "Ranking",
    "Score",
    "Scorer",
    "Span",
    "SpanLabels",
    "StepLabels",
    "__version__",
    "as_generations",
    "best_of_n",
    "expected_best_of_n",
    "load_scorer",
    "read_rows",
    "rejection_sample",
    "write_rows",
]

__getattr__ = names_on_demand(
    __name__,
    {
        "rewards.files": ("as_generations", "read_rows", "write_rows"),
        "rewards.records": (
            "Generation", "Message", "Preference", "Ranking", "Score", "Span", "SpanLabels", "StepLabels",
        ),
        "rewards.scorer": ("Scorer", "load_scorer"),
        "rewards.selection": ("best_of_n", "expected_best_of_n", "rejection_sample"),
    },
)  # fmt: skip
__dir__ = __all__.copy  # what a notebook completes
