"""A scorer of steps on labelled solutions: its steps' scores, and metrics of them against the labels."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from rewards.errors import ScoringError
from rewards.evaluation.first_errors import (
    RIGHT,
    FirstErrorF1,
    FirstErrorIntervals,
    ThresholdChoice,
    choose_threshold,
    first_error_f1,
    first_error_intervals,
    true_first_error,
)
from rewards.evaluation.mistakes import Misses, StepCountResult, by_number_of_steps, misses
from rewards.evaluation.steps import StepCalibration, StepRoc, calibrate_steps, step_roc
from rewards.intervals import Resampling
from rewards.records import Generation, Score, StepLabels, prompt_key
from rewards.scorer import Scorer
from rewards.solutions.steps import first_error

NO_STEPS, NO_LABELS, GAP = "without steps", "without labels", "with an unlabelled step before any wrong one"
"""Why the first error of a solution cannot be told from its labels."""

ANSWER_COLUMNS = ("final_answer_correct", "correct")
"""Columns that may say whether the final answer is right."""

CHUNK = 256
"""Solutions scored at a time."""


@dataclass(frozen=True, slots=True)
class ScoredSolution:
    """The scores and labels of one solution's steps."""

    prompt: str
    """Key of the prompt."""
    scores: tuple[float, ...]
    labels: tuple[float | None, ...]
    right_answer: bool | None
    """Whether the final answer is right; None where the data do not say."""

    @property
    def truth(self) -> int | None:
        """Index of the first wrong step, -1 for none, None where the labels do not tell."""
        return true_first_error(self.labels)


@dataclass(frozen=True, slots=True)
class ProcessFindings:
    """Metrics of step scores on labelled solutions."""

    threshold: float
    """A step that scores below is marked as wrong."""
    chosen: ThresholdChoice | None
    """How the threshold was chosen; None where it was given."""
    solutions: int
    prompts: int
    first_error: FirstErrorF1
    """Over the solutions whose labels tell the first error."""
    intervals: FirstErrorIntervals
    untold: Mapping[str, int]
    """Solutions left out there, as their labels do not determine it, by reason."""
    soft: int
    """Solutions with a label between 0 and 1."""
    labelled_steps: int
    unlabelled_steps: int
    """Steps without a label, which are left out of what is said about single steps."""
    false_alarms: float | None
    """Share of the steps labelled right that are marked."""
    detections: float | None
    """Share of the steps labelled wrong that are marked."""
    roc: StepRoc
    calibration: StepCalibration | None
    """None where a score lies outside [0, 1], or no step is labelled."""
    misses: Misses
    by_steps: tuple[StepCountResult, ...]


def evaluate_steps(
    scorer: Scorer,
    records: Iterable[StepLabels],
    threshold: float = 0.5,
    bins: int = 10,
    resampling: Resampling | None = None,
) -> ProcessFindings:
    """Score the steps of labelled solutions, and return metrics of the scores.

    Args:
        scorer: A process reward model, or another scorer that gives each step a score.
        records: Labelled solutions; one without steps is not scored.
        threshold: A step that scores below is marked as wrong.
        bins: Bins of the calibration error.
        resampling: How intervals are made; by default at 95 % by 1,000 resamples of the prompts.

    Raises:
        ScoringError: The scorer gives a solution no finite score for each of its steps.
    """
    solutions: list[ScoredSolution] = []
    rest = iter(records)
    while chunk := list(islice(rest, CHUNK)):
        solutions += [
            ScoredSolution(prompt_key(record.prompt), scores, record.labels, right_answer(record))
            for record, scores in zip(chunk, step_scores(scorer, chunk), strict=True)
        ]
    return process_findings(solutions, threshold, None, bins, resampling or Resampling())


def step_scores(scorer: Scorer, records: Sequence[StepLabels]) -> list[tuple[float, ...]]:
    """Return the scores of each solution's steps; a solution without steps is not asked about and has none.

    Raises:
        ScoringError: The scorer gives a solution no finite score for each of its steps.
    """
    asked = [
        Generation(record.prompt, "".join(record.steps), record.steps, record.id, record.extra)
        for record in records
        if record.steps
    ]
    scores = iter(scorer.score(asked))
    return [_steps_of(next(scores), record) if record.steps else () for record in records]


def _steps_of(score: Score, record: StepLabels) -> tuple[float, ...]:
    if len(score.steps) != len(record.steps):
        raise ScoringError(
            f"id {record.id!r}: the scorer gives {len(score.steps)} step scores for its "
            f"{len(record.steps)} steps; one for each is needed, as a process reward model gives"
        )
    if not all(map(math.isfinite, score.steps)):
        raise ScoringError(f"id {record.id!r}: a step's score is finite, got {list(score.steps)}")
    return score.steps


def right_answer(record: StepLabels) -> bool | None:
    """Return whether a column says that the final answer is right; None where none does."""
    for column in ANSWER_COLUMNS:
        value = record.extra.get(column)
        if isinstance(value, bool) or value in (0, 1):
            return bool(value)
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
    return None


def threshold_of(solutions: Sequence[ScoredSolution]) -> ThresholdChoice:
    """Choose the threshold of the highest F1 on the solutions whose labels tell their first error.

    Raises:
        ConfigError: None of them is erroneous, or none correct.
    """
    told = [(one.scores, one.truth) for one in solutions if one.truth is not None]
    return choose_threshold([scores for scores, _ in told], np.array([truth for _, truth in told], dtype=int))


def process_findings(
    solutions: Sequence[ScoredSolution],
    threshold: float,
    chosen: ThresholdChoice | None,
    bins: int,
    resampling: Resampling,
) -> ProcessFindings:
    """Evaluate step scores on first errors and on single steps.

    Args:
        solutions: With the scores and labels of their steps.
        threshold: A step that scores below is marked as wrong.
        chosen: How it was chosen, if it was.
        bins: Bins of the calibration error.
        resampling: Settings of the confidence intervals.
    """
    told = [(one, truth) for one in solutions if (truth := one.truth) is not None]
    truths = np.array([truth for _, truth in told], dtype=np.int64)
    predicted = np.array([first_error(one.scores, threshold) for one, _ in told], dtype=np.int64)
    groups = np.array([one.prompt for one, _ in told], dtype=np.str_)
    steps = [
        (score, label, one.prompt)
        for one in solutions
        for score, label in zip(one.scores, one.labels, strict=True)
        if label is not None
    ]
    scores = np.array([score for score, _, _ in steps], dtype=np.float64)
    labels = np.array([label for _, label, _ in steps], dtype=np.float64)
    marked = scores < threshold
    return ProcessFindings(
        threshold=threshold,
        chosen=chosen,
        solutions=len(solutions),
        prompts=len({one.prompt for one in solutions}),
        first_error=first_error_f1(predicted, truths),
        intervals=first_error_intervals(predicted, truths, groups, resampling),
        untold=dict(Counter(_why_untold(one) for one in solutions if one.truth is None)),
        soft=sum(any(label not in (0, 1, None) for label in one.labels) for one in solutions),
        labelled_steps=len(steps),
        unlabelled_steps=sum(len(one.labels) for one in solutions) - len(steps),
        false_alarms=_share(marked[labels >= RIGHT]),
        detections=_share(marked[labels < RIGHT]),
        roc=step_roc(scores, labels, np.array([prompt for *_, prompt in steps], dtype=np.str_), resampling),
        calibration=calibrate_steps(scores, labels, bins),
        misses=misses(
            [one.scores for one, _ in told],
            [one.labels for one, _ in told],
            predicted,
            truths,
            [one.right_answer for one, _ in told],
        ),
        by_steps=by_number_of_steps([len(one.scores) for one, _ in told], predicted, truths),
    )


def _why_untold(solution: ScoredSolution) -> str:
    if not solution.labels:
        return NO_STEPS
    return NO_LABELS if all(label is None for label in solution.labels) else GAP


def _share(marked: NDArray[np.bool_]) -> float | None:
    return float(marked.mean()) if len(marked) else None
