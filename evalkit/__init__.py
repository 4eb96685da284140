"""What happens when a reward is optimised: policies, curves, testbeds and the command line."""

from typing import TYPE_CHECKING

from rewards import __version__
from rewards.lazy import names_on_demand

if TYPE_CHECKING:
    from evalkit.policies.policy import Policy, load_policy

__all__ = ["Policy", "__version__", "load_policy"]

__getattr__ = names_on_demand(__name__, {"evalkit.policies.policy": ("Policy", "load_policy")})
__dir__ = __all__.copy  # what a notebook completes
