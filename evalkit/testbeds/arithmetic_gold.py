"""The gold reward of arithmetic: grades each line of a solution, and its answer."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.testbeds.arithmetic import DIGITS, SEPARATOR, ArithmeticWorld, Problem, answer, apply
from evalkit.testbeds.arithmetic_theory import Achieved, vote_share
from rewards.errors import DataError, ScoringError
from rewards.files import GenerationsLike, as_generations
from rewards.records import Generation, Score
from rewards.solutions.steps import split_steps


@dataclass(frozen=True, slots=True)
class SolutionGrade:
    """Gold's judgement of a solution."""

    steps: tuple[str, ...]
    """The solution's steps; a step is one line."""
    locally_right: tuple[bool, ...]
    """Whether each step is right by itself, given the value that the one before it wrote."""
    answer: int | None
    """The answer, where the last line is one."""
    answer_right: bool
    """Whether the answer is the problem's true answer, whatever the steps."""
    well_formed: bool
    """Whether each operation asked has a line `a op c`, right or not, and `A c` follows and nothing else."""

    @property
    def labels(self) -> tuple[float | None, ...]:
        """Step labels of a process reward model: 1 up to the first error, 0 at it, None after it."""
        first = self.first_error
        if first < 0:
            return (1.0,) * len(self.steps)
        return (*(1.0,) * first, 0.0, *(None,) * (len(self.steps) - first - 1))

    @property
    def cumulative(self) -> tuple[float, ...]:
        """1 for each step that is right with all before it, else 0."""
        return tuple(1.0 if label == 1 else 0.0 for label in self.labels)

    @property
    def first_error(self) -> int:
        """The index of the first wrong step, from 0; -1 where none is wrong."""
        return next((place for place, right in enumerate(self.locally_right) if not right), -1)

    @property
    def all_right(self) -> bool:
        """Whether the answer is right, and every step."""
        return self.answer_right and self.first_error < 0

    @property
    def false_positive(self) -> bool:
        """Whether the answer is right although a step is wrong."""
        return self.answer_right and self.first_error >= 0


def grade(world: ArithmeticWorld, prompt: str, response: str, steps: Sequence[str] = ()) -> SolutionGrade:
    """Judge a solution; a malformed line is a wrong step, never an error.

    A step `a op c` is right if a is the value so far as written, op the operation whose turn it is, and c
    the true result of the two. The last step `A c` is right if all operations are done and c is the last
    value written. After a step that is neither, no value is carried on, so the next one is wrong too.

    Args:
        world: The world.
        prompt: A problem of it.
        response: The solution.
        steps: Its steps; without them it is cut after each line break.

    Raises:
        DataError: The prompt is no problem of this world.
    """
    problem = world.problem(prompt)
    steps = tuple(steps) or split_steps(response, SEPARATOR)
    reader = _Reader(problem)
    locally_right = tuple([reader.judge(step) for step in steps])
    given = _answer(response)
    return SolutionGrade(steps, locally_right, given, given == answer(problem), reader.finished)


class _Reader:
    """Judges the steps of one solution in order; whether a step is right depends on the one before it."""

    def __init__(self, problem: Problem) -> None:
        self.operations = problem.operations
        self.value: int | None = problem.start
        self.done = 0
        self.in_form = True
        self.finished = False
        """Whether all steps so far are a whole solution by their form."""

    def judge(self, step: str) -> bool:
        """Return whether the next step is right by itself."""
        words = _words(step)
        place = self.done
        self.done += 1
        if place == len(self.operations) and _is_answer(words):
            self.finished = self.in_form
            return DIGITS[words[1]] == self.value
        self.finished = False
        if len(words) != 3 or words[0] not in DIGITS or words[2] not in DIGITS:
            self.value, self.in_form = None, False
            return False
        carried, written = self.value, DIGITS[words[2]]
        self.value = written
        if place >= len(self.operations) or words[1] != self.operations[place]:
            self.in_form = False
            return False
        return DIGITS[words[0]] == carried and written == apply(DIGITS[words[0]], words[1])


def _words(line: str) -> list[str]:
    """Split at spaces; other white space within a line belongs to its words."""
    return [word for word in line.rstrip(" " + SEPARATOR).split(" ") if word]


def _is_answer(words: Sequence[str]) -> bool:
    return len(words) == 2 and words[0] == "A" and words[1] in DIGITS


def _answer(response: str) -> int | None:
    words = _words(response.rstrip(" " + SEPARATOR).rpartition(SEPARATOR)[2])
    return DIGITS[words[1]] if _is_answer(words) else None


def measure(world: ArithmeticWorld, samples: Iterable[tuple[str, Sequence[str]]]) -> tuple[Achieved, float]:
    """Return the accuracies of solutions, and the share of malformed ones.

    Args:
        world: The world.
        samples: Prompts, each with its solutions. `majority` is the vote among those; the others count each
            solution once. `steps_right` is the share of right ones among the steps that are no answer.

    Raises:
        DataError: A prompt is no problem of this world.
        ValueError: There are no solutions.
    """
    grades: list[SolutionGrade] = []
    votes = []
    for prompt, responses in samples:
        group = [grade(world, prompt, response) for response in responses]
        grades += group
        votes.append(_vote(group, answer(world.problem(prompt))))
    if not grades:
        raise ValueError("nothing is measured on no solutions")
    lines = [
        right
        for graded in grades
        for step, right in zip(graded.steps, graded.locally_right, strict=True)
        if not _is_answer(_words(step))
    ]
    right = sum(graded.answer_right for graded in grades)
    achieved = Achieved(
        pass_at_1=right / len(grades),
        steps_right=sum(lines) / len(lines) if lines else math.nan,
        all_right=sum(graded.all_right for graded in grades) / len(grades),
        false_positives=sum(graded.false_positive for graded in grades) / right if right else math.nan,
        majority=float(np.mean(votes)),
    )
    return achieved, sum(not graded.well_formed for graded in grades) / len(grades)


def _vote(grades: Sequence[SolutionGrade], truth: int) -> float:
    counts = Counter(graded.answer for graded in grades if graded.answer is not None)
    return vote_share(np.array([counts[value] for value in DIGITS.values()]), truth) if counts else 0.0


@dataclass(frozen=True, slots=True)
class ArithmeticScorer:
    """Grades generations by the truth of a world."""

    world: ArithmeticWorld

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return 1 for each right answer, else 0, with steps and aspects.

        A step scores 1 if it and all before it are right, else 0. The aspects are `answer`, as the value;
        `steps`, the share of steps that score 1 (0 where there are none); and `false_positive`, 1 for a
        right answer with a wrong step.

        Raises:
            ScoringError: A prompt is no problem of this world; the message names the row.
        """
        return [
            self._score(place, generation) for place, generation in enumerate(as_generations(generations))
        ]

    def _score(self, place: int, generation: Generation) -> Score:
        name = f"id {generation.id!r}" if generation.id else f"row {place + 1}"
        if not isinstance(generation.prompt, str):
            raise ScoringError(f"{name}: testbed:arithmetic reads prompts that are texts, got messages")
        try:
            graded = grade(self.world, generation.prompt, generation.response, generation.steps)
        except DataError as error:
            raise ScoringError(f"{name}: {error}") from None
        value, steps = float(graded.answer_right), graded.cumulative
        share = sum(steps) / len(steps) if steps else 0.0
        aspects = {"answer": value, "steps": share, "false_positive": float(graded.false_positive)}
        return Score(value, steps=steps, aspects=aspects)
