"""What happens when a reward is optimised: policies, curves, testbeds and the command line.

- `cli.py`: The table of commands
- `annotation/`: `evalkit annotate` and `evalkit labels`: annotation studies with people, from tasks to
  statistics
- `comparing/`: `evalkit compare`: policies against a baseline on the same held-out prompts
- `evaluation/`: `evalkit evaluate`, `process-eval`, `accuracy` and `aspect-card`: how good a scorer is
- `experiments/`: Whole experiments, each run by its own command; nothing else imports them
- `judging/`: `evalkit judge` and the commands that read its verdicts: winrate, rank, agreement, probe,
  pairs, ledger
- `label_steps/`: `evalkit label-steps`: step labels by Monte Carlo rollouts from each step
- `overoptimization/`: Overoptimization: how far a proxy can be optimised before the true quality turns
- `pipeline/`: `evalkit generate`, `score`, `select` and `combine`: from prompts to chosen responses
- `policies/`: Policies: what writes responses to prompts, and how one is trained
- `quickstart/`: `evalkit quickstart`: learns a reward in a small world, and optimises it until the gold
  reward falls
- `report/`: Figures and tables of measured results
- `runs/`: A run of a command: its arguments, folder, files, locks and printed output
- `search/`: Search for solutions step by step, guided by a process scorer, with one budget for all
  methods
- `testbeds/`: Testbeds: small synthetic worlds with a known gold reward
- `training/`: Every `evalkit train`: reward models and policies
"""

from typing import TYPE_CHECKING

from rewards import __version__
from rewards.lazy import names_on_demand

if TYPE_CHECKING:
    from evalkit.policies.policy import Policy, load_policy

__all__ = ["Policy", "__version__", "load_policy"]

__getattr__ = names_on_demand(__name__, {"evalkit.policies.policy": ("Policy", "load_policy")})
__dir__ = __all__.copy  # what a notebook completes
