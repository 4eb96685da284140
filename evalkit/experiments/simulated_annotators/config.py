"""Settings of simulated annotators: who works where, how fast and for how long."""

from dataclasses import dataclass

PATIENCE = 60.0
"""Seconds for which a server that is away is waited for."""


@dataclass(frozen=True)
class Habits:
    """How annotators work."""

    seed: int = 0
    seconds: float = 0.0
    """For how long; 0 until all is done."""
    think: float = 0.0
    """Mean seconds between seeing a page and answering."""
    undo: float = 0.03
    """How often they first answer otherwise, and take it back."""
    patience: float = PATIENCE


@dataclass(frozen=True, kw_only=True)
class Crowd(Habits):
    """Let everybody who has a link work at once."""

    links: str
    """File of names and links."""
    out: str
    """File for what each of them did and was told."""
