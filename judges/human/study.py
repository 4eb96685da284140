"""Study, the settings by which tasks are handed out and shown; kept in the store beside the labels."""

from dataclasses import dataclass

from rewards.errors import ConfigError

MOST_ANSWERS = 1_000_000
"""To one task: a database counts only so far."""


@dataclass(frozen=True, slots=True)
class Study:
    """Settings of a study: how its tasks are assigned and shown."""

    seed: int = 0
    """Seed of the order of responses and of tasks."""
    overlap: int = 1
    """Annotators who answer each task."""
    tiebreak: int = 0
    """Further answers to a task on which annotators disagree."""
    gold_every: int = 10
    """One planted check in about this many tasks, as long as there are checks; 0 gives none."""
    needed_every: int = 2
    """Once in this many tasks the most needed one is next, else the next in random order; 0 never."""
    most: int = 0
    """Maximum tasks per annotator; 0 sets no limit."""
    lease: float = 900.0
    """Seconds for which a task is reserved for an inactive annotator."""
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
