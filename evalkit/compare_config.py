"""The configuration of `evalkit compare`: several policies from one start, by every reward and judge."""

from dataclasses import dataclass, field

from evalkit.config import refuse_own_input
from evalkit.policy_config import Drawing
from rewards.config import check_ranges
from rewards.errors import ConfigError


@dataclass(frozen=True)
class Compare:
    """Compare policies that started from one: rewards, and win rates against the start with paired tests."""

    policies: dict[str, str]
    """Policies by the names of the table, such as {"DPO": "runs/dpo", "PPO": "runs/ppo"}."""
    baseline: str
    """Model folder or Hub id of the policy that they started from; win rates are against it."""
    data: str
    """File, folder or Hub name of held-out prompts."""
    out: str
    """Folder for samples, scores, verdicts, table.csv, report.json and the figure."""
    scorers: dict[str, str] = field(default_factory=dict)
    """Rewards by the names of the table, such as {"proxy": "runs/rm", "gold": "testbed:facts"}."""
    judges: dict[str, str] = field(default_factory=dict)
    """Judges by the names of the table, such as {"RM judge": "reward:runs/rm2"}."""
    samples: int = 1
    """Responses of each policy to a prompt; the j-th of one is held against the j-th of the other."""
    drawing: Drawing = field(default_factory=Drawing)
    """How responses are drawn."""
    both_orders: bool = True
    """Ask a judge about each pair in both orders; verdicts that contradict each other are ties."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    limit: int = 0
    """Use the first prompts only; 0 uses all."""
    level: float = 0.95
    """Level of the intervals."""
    bootstrap: int = 1000
    """Resamples of the prompts."""
    seed: int = 0
    """Seed of the samples and the resamples."""
    overwrite: bool = False
    """Replace a finished comparison."""

    def __post_init__(self) -> None:
        check_ranges(self, {"limit": "0 or more", "samples": "1 or more", "bootstrap": "1 or more"})
        refuse_own_input(self.out, self.data, self.baseline, *self.policies.values(), *self.scorers.values())
        if not self.policies:
            raise ConfigError("policies names the policies to compare; none is given")
        if not self.scorers and not self.judges:
            raise ConfigError("scorers or judges say by what policies are compared; none is given")
