"""Overoptimization: how far a proxy can be optimised before the true quality turns.

- `config.py`: Configurations of `evalkit overopt` and `evalkit fit`
- `curve.py`: Gold and proxy under best-of-n from one pool of samples, with bootstrap bands and fits
- `figures.py`: Figures of overoptimization: gold and proxy against distance, and coefficients against
  size
- `fit.py`: `evalkit fit`: scaling laws for a user's own table of measured points
- `fits.py`: Scaling laws of overoptimization: d(alpha - beta d) and d(alpha - beta ln d), fitted through
  the origin
- `kl.py`: Distance from the starting policy: d = sqrt(KL), in nats, and the n of best-of-n at that
  distance
- `overopt.py`: `evalkit overopt`: proxy and gold against distance under best-of-n, with a fitted curve
- `pool.py`: A pool of samples grouped by prompt, and their scores, cached beside the results
- `tables.py`: Terminal tables of overoptimization curves and scaling fits
"""

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
