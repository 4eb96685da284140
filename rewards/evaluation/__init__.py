"""How good a scorer is: report cards, calibration, accuracy against N, first errors, aspects. Pure.

- `accuracy.py`: Accuracy of the answer chosen from N samples, against N: by scores, by votes, by luck;
  numpy only
- `aspects.py`: Aspects against their labels, and with each other: accuracy, correlations and errors with
  intervals
- `calibration.py`: Calibration of a reward model's score differences: calibration error, log loss,
  temperature
- `first_errors.py`: Whether step scores find the first wrong step: ProcessBench's F1, and the threshold
  of the highest F1
- `length_bias.py`: Length bias of a score: its correlation with length, and its accuracy where the
  shorter is better
- `mistakes.py`: Error analysis of step scores: errors marked early, late or never, and right answers by
  wrong steps
- `preferences.py`: A scorer on preferences and rankings: its scores beside features of null baselines,
  and its report card
- `process.py`: A scorer of steps on labelled solutions: its steps' scores, and metrics of them against
  the labels
- `rankings.py`: Rankings of K responses: their untied pairs, top-1 and best-of-k accuracy, Kendall's tau
- `report_card.py`: A reward model's report card: accuracy beside null baselines, calibration, per source
- `steps.py`: How well step scores separate right steps from wrong ones: ROC curve and calibration
- `votes.py`: How often a vote among N of a prompt's samples is right, over subsets: equal sums share the
  vote
"""

from typing import TYPE_CHECKING

from rewards.lazy import names_on_demand

if TYPE_CHECKING:
    from rewards.evaluation.preferences import evaluate
    from rewards.evaluation.process import ProcessFindings, evaluate_steps
    from rewards.evaluation.report_card import ReportCard

__all__ = ["ProcessFindings", "ReportCard", "evaluate", "evaluate_steps"]

__getattr__ = names_on_demand(
    __name__,
    {
        "rewards.evaluation.preferences": ("evaluate",),
        "rewards.evaluation.process": ("ProcessFindings", "evaluate_steps"),
        "rewards.evaluation.report_card": ("ReportCard",),
    },
)
__dir__ = __all__.copy  # what a notebook completes
