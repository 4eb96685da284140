"""Fitting reward models: outcome, correctness, process, aspects.

`start_*(body, config)` gives a model and its encoder; `fit_*(model, encoder, train, held_out, config, out)`
trains it, and saves a folder that `load_scorer` and Transformers load. `train` and `held_out` are records, or
`Labelled` records with their names in errors; `held_out=None` holds out a share of the prompts.
"""

from typing import TYPE_CHECKING

from rewards.lazy import names_on_demand

if TYPE_CHECKING:
    from rewards.config import (
        AspectsTrainingConfig,
        BodyConfig,
        CorrectnessTrainingConfig,
        ProcessTrainingConfig,
        TrainingConfig,
    )
    from rewards.training.aspects import aspect_names, fit_aspects
    from rewards.training.correctness import GradedSolution, fit_correctness
    from rewards.training.fitting import FitResult
    from rewards.training.labelled import Labelled
    from rewards.training.outcome import fit_outcome
    from rewards.training.process import fit_process
    from rewards.training.start import start_aspects, start_correctness, start_outcome, start_process

__all__ = [
    "AspectsTrainingConfig",
    "BodyConfig",
    "CorrectnessTrainingConfig",
    "FitResult",
    "GradedSolution",
    "Labelled",
    "ProcessTrainingConfig",
    "TrainingConfig",
    "aspect_names",
    "fit_aspects",
    "fit_correctness",
    "fit_outcome",
    "fit_process",
    "start_aspects",
    "start_correctness",
    "start_outcome",
    "start_process",
]

__getattr__ = names_on_demand(
    __name__,
    {
        "rewards.config": (
            "AspectsTrainingConfig", "BodyConfig", "CorrectnessTrainingConfig", "ProcessTrainingConfig",
            "TrainingConfig",
        ),
        "rewards.training.aspects": ("aspect_names", "fit_aspects"),
        "rewards.training.correctness": ("GradedSolution", "fit_correctness"),
        "rewards.training.fitting": ("FitResult",),
        "rewards.training.labelled": ("Labelled",),
        "rewards.training.outcome": ("fit_outcome",),
        "rewards.training.process": ("fit_process",),
        "rewards.training.start": ("start_aspects", "start_correctness", "start_outcome", "start_process"),
    },
)  # fmt: skip
__dir__ = __all__.copy  # what a notebook completes
