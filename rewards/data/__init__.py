"""Public data sets as records, one file each, and the recognition of their columns."""

from typing import TYPE_CHECKING

from rewards.lazy import names_on_demand

if TYPE_CHECKING:
    from rewards.data.gsm8k import load_gsm8k
    from rewards.data.preferences import load_preferences
    from rewards.data.spans import load_span_labels
    from rewards.data.steps import load_step_labels

__all__ = ["load_gsm8k", "load_preferences", "load_span_labels", "load_step_labels"]

__getattr__ = names_on_demand(
    __name__,
    {
        "rewards.data.gsm8k": ("load_gsm8k",),
        "rewards.data.preferences": ("load_preferences",),
        "rewards.data.spans": ("load_span_labels",),
        "rewards.data.steps": ("load_step_labels",),
    },
)
__dir__ = __all__.copy  # what a notebook completes
