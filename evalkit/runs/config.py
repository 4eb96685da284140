"""Options that many commands share; a command's configuration inherits these and adds its own."""

from dataclasses import dataclass, field

from rewards.config import check_ranges


@dataclass(frozen=True, kw_only=True)
class Renaming:
    """Data whose columns may have other names."""

    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""


@dataclass(frozen=True, kw_only=True)
class Limited:
    """Data that may be limited to its first rows."""

    limit: int = 0
    """Use the first rows only; 0 uses all."""

    def __post_init__(self) -> None:
        check_ranges(self, {"limit": "0 or more"})


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """Bootstrap confidence intervals over prompts."""

    level: float = 0.95
    """Level of the confidence intervals."""
    bootstrap: int = 1000
    """Bootstrap resamples of the prompts."""
    seed: int = 0
    """Seed of the bootstrap."""


@dataclass(frozen=True, kw_only=True)
class Replacing:
    """An output that may be replaced."""

    overwrite: bool = False
    """Replace a finished output."""
