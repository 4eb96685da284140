"""The configuration of `evalkit compare`: several policies from one start, by every reward and judge."""

from dataclasses import dataclass, field
from pathlib import Path

from evalkit.pipeline.config import SampledPrompts
from evalkit.runs.config import Planned, Resampled
from evalkit.runs.files import refuse_own_input
from rewards.config import check_ranges
from rewards.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Compare(Planned, SampledPrompts, Resampled):
    """Compare policies with a baseline: rewards, and win rates against it with paired tests."""

    policies: dict[str, str]
    """Policies by the names of the table, such as {"DPO": "runs/dpo", "PPO": "runs/ppo"}."""
    baseline: str
    """Model folder or Hub id of the baseline policy, such as their start; win rates are against it."""
    data: str
    """File, folder or Hub name of held-out prompts; scorers see the columns beside them."""
    out: str
    """Folder for samples, scores, verdicts, the tables, report.json and the figure."""
    scorers: dict[str, str] = field(default_factory=dict)
    """Rewards by the names of the table, such as {"proxy": "runs/rm", "gold": "testbed:facts"}."""
    judges: dict[str, str] = field(default_factory=dict)
    """Judges by the names of the table, such as {"RM judge": "reward:runs/rm2"}."""
    baseline_name: str = "SFT"
    """Name of the baseline in the table."""
    samples: int = 1
    """Responses of each policy to a prompt; the j-th of one is compared with the j-th of the other."""
    both_orders: bool = True
    """Ask a judge about each pair in both orders, and take verdicts that contradict each other for a tie;
    else in one seeded order. People are asked once."""
    seed: int = 0
    """Seed of the samples, shared by all policies, and of the bootstrap."""
    ledger: str = ""
    """SQLite file that keeps every reply; empty takes OUT.ledger, beside the folder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"samples": "1 or more", "seed": "from 0 to 4294967295"})
        if not self.policies:
            raise ConfigError("policies names the policies to compare; none is given")
        if not self.scorers and not self.judges:
            raise ConfigError("scorers or judges say by what policies are compared; none is given")
        _check_names("policies", [*self.policies, self.baseline_name])
        _check_names("scorers and judges", [*self.scorers, *self.judges])
        rewards = [spec.removeprefix("reward:") for spec in self.judges.values()]
        models = (self.baseline, *self.policies.values(), *self.scorers.values(), *rewards)
        refuse_own_input(self.out, self.data, *models)
        if self.ledger and Path(self.ledger).resolve().is_relative_to(Path(self.out).resolve()):
            raise ConfigError(
                f"ledger {self.ledger}: lies in {self.out}, which --overwrite replaces, and what was paid "
                "for would be lost; name a file elsewhere"
            )


def _check_names(what: str, names: list[str]) -> None:
    """Refuse names that are no file's or that tell nothing apart; each names a file of the output.

    Raises:
        ConfigError: A name is empty, begins with a dot, is long, holds a slash or a line's end, or comes
            twice, be it in capitals and small letters, which some file systems take for one.
    """
    for name in names:
        if not name.strip() or name.startswith(".") or len(name) > 80 or not name.isprintable():
            raise ConfigError(
                f"{what} have names of 1 to 80 characters that do not begin with a dot, got {name!r}"
            )
        if "/" in name or "\\" in name:
            raise ConfigError(f"{what} have names without a slash, as files are named by them; got {name!r}")
    known: dict[str, str] = {}
    for name in names:
        if name.casefold() in known:
            raise ConfigError(
                f"{what} have names of their own, the baseline among them; got "
                f"{known[name.casefold()]!r} and {name!r}"
            )
        known[name.casefold()] = name
