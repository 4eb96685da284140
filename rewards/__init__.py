"""What is a good answer: records, scorers, reward models, selection. Imports nothing of judges or evalkit.

- `config.py`: Settings of scoring and reward-model training: frozen dataclasses, independent of the
  command line
- `display.py`: How results print: numbers as text, a summary for `print`, tables as data frames, HTML in
  notebooks
- `errors.py`: Every error a user can cause, each also a standard library error
- `intervals.py`: Means over rows with percentile intervals from resampled prompts
- `lazy.py`: Names of a package imported when first used, so that importing the package costs nothing
- `losses.py`: K-way Bradley-Terry, step-wise and aspect losses: tensors in, tensors out
- `progress.py`: Progress of a long computation: a bar on a terminal, elsewhere a line every 30 seconds or
  5 %
- `records.py`: Generation, Preference, Ranking, StepLabels, SpanLabels, Score: frozen, tensor-free
- `scorer.py`: Scorer, the protocol that grades; its optional attributes; and loading a scorer by name
- `specs.py`: A specification, the one string that names a scorer, judge or policy, and how its loader is
  found
- `data/`: Public data sets as records, one file each, and the recognition of their columns
- `encoding/`: Text to tokens: prompts with responses, steps, spans and pieces, and packs of rows that
  share prefixes
- `evaluation/`: How good a scorer is: report cards, calibration, accuracy against N, first errors,
  aspects. Pure
- `files/`: Rows in and out: JSON lines, csv, Parquet, folders and Hub names; records from rows and back
- `models/`: Heads on Transformers bodies, and loading and saving their checkpoints
- `scorers/`: What gives scores: rules, ensembles, and models of outcomes, steps and aspects
- `selection/`: Choosing among scored responses: best of n, statistical rejection sampling, votes, pairs,
  aspects. Pure
- `solutions/`: A solution's steps and its final answer
- `training/`: Fitting reward models: outcome, correctness, process, aspects
"""

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
