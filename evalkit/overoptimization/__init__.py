"""Overoptimization: how far a proxy can be optimised before the true quality turns."""

from typing import TYPE_CHECKING

from rewards.lazy import names_on_demand

if TYPE_CHECKING:
    from evalkit.overoptimization.curve import Curve, best_of_n_curve
    from evalkit.overoptimization.figures import overoptimization_figure, scaling_figure
    from evalkit.overoptimization.fits import ScalingFit, fit_best_of_n, fit_rl

__all__ = [
    "Curve",
    "ScalingFit",
    "best_of_n_curve",
    "fit_best_of_n",
    "fit_rl",
    "overoptimization_figure",
    "scaling_figure",
]

__getattr__ = names_on_demand(
    __name__,
    {
        "evalkit.overoptimization.curve": ("Curve", "best_of_n_curve"),
        "evalkit.overoptimization.figures": ("overoptimization_figure", "scaling_figure"),
        "evalkit.overoptimization.fits": ("ScalingFit", "fit_best_of_n", "fit_rl"),
    },
)
__dir__ = __all__.copy  # what a notebook completes
