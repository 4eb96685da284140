"""Settings of the study of people's labels."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AnnotationStudy:
    """Label, judge, correct, export and train; hold every figure against the truth."""

    out: str = "results/annotation_study"
    """Folder for the table and the figure."""
    work: str = "runs/annotation_study"
    """Folder for all that the commands read and write."""
    comparisons: int = 1000
    """Comparisons that the judge sees."""
    labelled: int = 200
    """Of these, drawn at random, that people see."""
    checks: int = 50
    """Planted checks."""
    held_out: int = 500
    """Pairs on which the reward models are measured."""
    level: float = 0.95
    """Level of the intervals."""
    studies: int = 5
    """Studies, each in a world of its own."""
    seed: int = 0
    """Seed of the first world and of all who err in it; each study has the next."""
    overwrite: bool = False
    """Replace a finished study."""
