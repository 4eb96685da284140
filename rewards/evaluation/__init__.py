"""How good a scorer is: report cards, calibration, accuracy against N, first errors, aspects. Pure."""

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
