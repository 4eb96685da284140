"""Fitting reward models: outcome, correctness, process, aspects.

Every `fit_*(model, encoder, train, held_out, config, out)` trains a model and saves it as a folder that
`load_scorer` and Transformers load. `train` and `held_out` are records, or `Labelled` records with the names
by which errors call them; `held_out=None` holds out a share of the prompts.
"""

from typing import TYPE_CHECKING

from rewards.lazy import names_on_demand

__all__ = [
    "FitResult",
    "GradedSolution",
    "Labelled",
    "aspect_names",
    "fit_aspects",
    "fit_correctness",
    "fit_outcome",
    "fit_process",
]

if TYPE_CHECKING:
    from rewards.training.aspects import aspect_names, fit_aspects
    from rewards.training.correctness import GradedSolution, fit_correctness
    from rewards.training.fitting import FitResult
    from rewards.training.labelled import Labelled
    from rewards.training.outcome import fit_outcome
    from rewards.training.process import fit_process
else:
    __getattr__ = names_on_demand(
        __name__,
        {
            "rewards.training.aspects": ["aspect_names", "fit_aspects"],
            "rewards.training.correctness": ["GradedSolution", "fit_correctness"],
            "rewards.training.fitting": ["FitResult"],
            "rewards.training.labelled": ["Labelled"],
            "rewards.training.outcome": ["fit_outcome"],
            "rewards.training.process": ["fit_process"],
        },
    )
