"""Fitting reward models: outcome, correctness, process, aspects.

`start_*(body, config)` gives a model and its encoder; `fit_*(model, encoder, train, held_out, config, out)`
trains it, and saves a folder that `load_scorer` and Transformers load. `train` and `held_out` are records, or
`Labelled` records with their names in errors; `held_out=None` holds out a share of the prompts.

- `aspects.py`: fit_aspects: train a reward model of several aspects, of responses or their pieces
- `correctness.py`: fit_correctness: train an outcome reward model on graded solutions
- `examples.py`: Records to training examples: encoding, over-long rows, held-out prompts
- `fitting.py`: The core of all training runs: learning rate, packing, adapters, the trainer, and saving
  the model
- `labelled.py`: Labelled: training records, with their names in errors and their origin
- `objectives.py`: Objectives of reward models: rankings, graded steps, graded responses, aspects;
  examples to losses
- `outcome.py`: fit_outcome: train an outcome reward model on preferences or rankings
- `process.py`: fit_process: train a process reward model on labelled steps
- `resuming.py`: A hash of a training run's arguments, kept in its checkpoints: only the same run resumes
  them
- `start.py`: start_*: the model that a fit starts from, on the first accelerator, and its encoder
- `trainer.py`: Transformers' Trainer over packed rows, and its callbacks: early stopping, progress,
  metrics
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
