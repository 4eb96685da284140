"""Which answer is better: pairwise verdicts and their statistics. Imports rewards only."""

from typing import TYPE_CHECKING

from rewards import __version__
from rewards.lazy import names_on_demand

if TYPE_CHECKING:
    from judges.judge import Comparison, Judge, Verdict, ask_both_orders, load_judge
    from judges.statistics.bradley_terry import bradley_terry
    from judges.statistics.win_rate import win_rate

__all__ = [
    "Comparison",
    "Judge",
    "Verdict",
    "__version__",
    "ask_both_orders",
    "bradley_terry",
    "load_judge",
    "win_rate",
]

__getattr__ = names_on_demand(
    __name__,
    {
        "judges.judge": ("Comparison", "Judge", "Verdict", "ask_both_orders", "load_judge"),
        "judges.statistics.bradley_terry": ("bradley_terry",),
        "judges.statistics.win_rate": ("win_rate",),
    },
)
__dir__ = __all__.copy  # what a notebook completes
