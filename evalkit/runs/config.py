"""Options that many commands share; a command's configuration is made of these and its own."""

from dataclasses import dataclass, field

from rewards.config import check_ranges


@dataclass(frozen=True, kw_only=True)
class Renaming:
    """Data whose columns may have names of their own."""

    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""


@dataclass(frozen=True, kw_only=True)
class Limited:
    """Data of which the first rows may be enough."""

    limit: int = 0
    """Use the first rows only; 0 uses all."""

    def __post_init__(self) -> None:
        check_ranges(self, {"limit": "0 or more"})


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """Intervals by resampling prompts."""

    level: float = 0.95
    """Level of the intervals."""
    bootstrap: int = 1000
    """Resamples of the prompts."""
    seed: int = 0
    """Seed of the resamples."""


@dataclass(frozen=True, kw_only=True)
class Replacing:
    """An output that may be replaced."""

    overwrite: bool = False
    """Replace a finished output."""
