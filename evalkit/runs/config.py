"""Options that many commands share; a command's configuration inherits these and adds its own."""

from dataclasses import dataclass, field

from judges.asking.config import AskingConfig
from rewards.config import Checked, check_ranges
from rewards.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Renaming(Checked):
    """Data whose columns may have other names."""

    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""


@dataclass(frozen=True, kw_only=True)
class Limited(Checked):
    """Data that may be limited to its first rows."""

    limit: int = 0
    """Use the first rows only; 0 uses all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"limit": "0 or more"})


@dataclass(frozen=True, kw_only=True)
class Seeded(Checked):
    """Samples drawn from a seed."""

    seed: int = 0
    """Seed of the samples and of all other random draws."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"seed": "from 0 to 4294967295"})


@dataclass(frozen=True, kw_only=True)
class Intervals(Checked):
    """Confidence intervals."""

    level: float = 0.95
    """Level of the confidence intervals; tests are at one minus it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.level < 1:
            raise ConfigError(f"level is between 0 and 1, got {self.level!r}")


@dataclass(frozen=True, kw_only=True)
class Resampled(Intervals):
    """Bootstrap confidence intervals over prompts."""

    bootstrap: int = 1000
    """Bootstrap resamples of the prompts."""
    seed: int = 0
    """Seed of the bootstrap."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"bootstrap": "1 or more", "seed": "0 or more"})


@dataclass(frozen=True, kw_only=True)
class Replacing(Checked):
    """An output that may be replaced."""

    overwrite: bool = False
    """Replace a finished output; what a ledger holds is never asked again."""


@dataclass(frozen=True, kw_only=True)
class Planned(AskingConfig, Replacing):
    """Judges asked for verdicts, or only a plan of it."""

    plan: bool = False
    """Print the questions' number and cost, and ask the judges nothing."""
