"""Settings of the simulation of studies."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AnnotationCoverage:
    """Simulate studies, and count how often each interval holds the truth."""

    out: str = "results/annotation_study/coverage.csv"
    """File for the shares."""
    studies: int = 500
    """Studies of either kind."""
    workers: int = 2
    """Processes."""
    seed: int = 0
    """Seed of the first study; each has the next."""
