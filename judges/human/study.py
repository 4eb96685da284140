"""Study, the settings by which tasks are handed out and shown; kept in the store beside the labels."""

from dataclasses import dataclass

from rewards.errors import ConfigError

MOST_ANSWERS = 1_000_000
"""To one task: a database counts only so far."""


@dataclass(frozen=True, slots=True)
class Study:
    """How the tasks of one store are handed out and shown."""

    seed: int = 0
    """Seed of who sees what first, and of the order in which tasks come."""
    overlap: int = 1
    """Annotators who answer each task."""
    tiebreak: int = 0
    """More answers to a task on which its annotators do not say the same."""
    gold_every: int = 10
    """A planted check comes about once in so many tasks, as long as there are checks; 0 gives none."""
    needed_every: int = 2
    """Once in so many tasks the one most needed comes first, else the next in random order; 0 never."""
    most: int = 0
    """Most tasks that one annotator answers; 0 sets no limit."""
    lease: float = 900.0
    """Seconds for which a task is held for an annotator who shows no sign of life."""
    title: str = "Which answer is better?"
    instructions: str = ""
    """Markdown that every annotator can read, with examples where they help."""

    def __post_init__(self) -> None:
        for name, least in (
            ("seed", 0), ("overlap", 1), ("tiebreak", 0), ("gold_every", 0), ("needed_every", 0), ("most", 0),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {least} or more, got {getattr(self, name)}")
        for name in ("overlap", "tiebreak"):
            if getattr(self, name) > MOST_ANSWERS:
                raise ConfigError(f"{name} is at most {MOST_ANSWERS}, got {getattr(self, name)}")
        if not self.lease > 0:
            raise ConfigError(f"lease is more than 0 seconds, got {self.lease}")
