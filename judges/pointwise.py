"""Grades by a language model, each answer by itself: as a judge that compares them, and as a scorer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from judges.asking.asker import Asker
from judges.asking.session import Session
from judges.instructions import (
    Instructions,
    check_options,
    comparison_name,
    judge_name,
    open_session,
    read_axis,
    read_instructions,
)
from judges.judge import Comparison, Reason, Verdict, Winner
from judges.questions.question import Attempt, Question
from rewards.errors import ScoringError, SpecError
from rewards.files import GenerationsLike, as_generations
from rewards.records import Prompt, Score
from rewards.scorers.rules import row_name
from rewards.specs import Spec

_ROUNDING = 1e-9
"""Two weighted means of the same grades may differ by this."""


@dataclass(frozen=True)
class Grader:
    """Asks a language model for the grades of single answers."""

    asker: Asker
    instructions: Instructions
    name: str
    """Its name in verdicts and errors."""

    def question(self, prompt: Prompt, response: str, extra: Mapping[str, object], row: str) -> Question:
        """Return the question about one answer.

        Raises:
            DataError: A reference is to be shown and the row has none.
        """
        return self.instructions.question(prompt, {"response": response}, extra, row)

    def grades(self, attempt: Attempt) -> dict[str, float]:
        """Return the grades by criterion of an attempt that is ok; `overall` where there is no rubric."""
        grades = cast(Mapping[str, int], attempt.result["grades"])
        return {name: float(grades[name]) for name in self.instructions.form.criteria or grades}

    def value(self, attempt: Attempt) -> float:
        """Return the grade of an attempt that is ok, the weighted mean of the criteria's."""
        grades, rubric = self.grades(attempt), self.instructions.rubric
        return rubric.value(grades) if rubric else grades["overall"]


@dataclass(frozen=True)
class PointwiseJudge:
    """Compares two answers by their grades; each answer is graded once, in all its comparisons."""

    grader: Grader
    margin: float = 0.0
    """Grades that differ by this or less are a tie."""
    axis: str = ""

    @property
    def asker(self) -> Asker:
        """The asker of its questions."""
        return self.grader.asker

    @property
    def name(self) -> str:
        """Its name in verdicts."""
        return self.grader.name

    def questions(self, comparison: Comparison) -> Sequence[Question]:
        """Return the questions about a comparison: the first's grade and the second's.

        Raises:
            DataError: A reference is to be shown and the comparison has none.
        """
        row, sides = comparison_name(comparison), (comparison.first, comparison.second)
        return [self.grader.question(comparison.prompt, side, comparison.extra, row) for side in sides]

    def compare(self, comparisons: Sequence[Comparison]) -> list[Verdict]:
        """Return one verdict for each comparison, in the order asked; none where either has no grade.

        Raises:
            DataError: A reference is to be shown and a comparison has none.
        """
        attempts = self.asker.answers(
            [question for comparison in comparisons for question in self.questions(comparison)]
        )
        return [
            self._verdict(*triple) for triple in zip(comparisons, attempts[::2], attempts[1::2], strict=True)
        ]

    def _verdict(self, comparison: Comparison, first: Attempt, second: Attempt) -> Verdict:
        sides = {"first": first, "second": second}
        failed = next((name for name, attempt in sides.items() if attempt.state != "ok"), None)
        return Verdict(
            comparison,
            None if failed else self._winner(first, second),
            None,
            cast(Reason, sides[failed].state) if failed else "",
            self.grader.name,
            self.axis,
            self.grader.instructions.repeat,
            detail=f"the {failed} has no grade: {sides[failed].detail}" if failed else "",
            reply="\n\n".join(f"{name}: {attempt.reply}" for name, attempt in sides.items()),
            usage=first.usage if first.key == second.key else first.usage + second.usage,
        )

    def _winner(self, first: Attempt, second: Attempt) -> Winner:
        lead = self.grader.value(first) - self.grader.value(second)
        if abs(lead) <= self.margin + _ROUNDING:
            return "tie"
        return "first" if lead > 0 else "second"


@dataclass(frozen=True)
class JudgeScorer:
    """Scores generations by the grades that a language model gives them."""

    grader: Grader

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return each generation's grade, on the scale of the rubric (1 to 10 without), criteria as aspects.

        All are asked for before the first failure is raised, so that what was received is in the ledger.

        Raises:
            ScoringError: A generation got no grade.
            DataError: A reference is to be shown and a generation has none.
        """
        generations = as_generations(generations)
        questions = [
            self.grader.question(one.prompt, one.response, one.extra, row_name(one)) for one in generations
        ]
        attempts = self.grader.asker.answers(questions)
        failed = [pair for pair in zip(generations, attempts, strict=True) if pair[1].state != "ok"]
        if failed:
            generation, attempt = failed[0]
            raise ScoringError(
                f"{row_name(generation)}: no grade from {self.grader.name}: {attempt.state}: "
                f"{attempt.detail} ({len(failed)} of {len(generations)} failed; what was received is in the "
                "ledger, retry_failed=true asks the others again)"
            )
        return [self._score(attempt) for attempt in attempts]

    def _score(self, attempt: Attempt) -> Score:
        return Score(
            self.grader.value(attempt),
            aspects=self.grader.grades(attempt) if self.grader.instructions.rubric else {},
        )


def load_pointwise_judge(spec: Spec, session: Session | None = None) -> PointwiseJudge:
    """Load `openai:MODEL?mode=pointwise&rubric=FILE&margin=0.5&...`.

    Raises:
        SpecError: An option is unknown, out of its range, or makes no sense with another.
        MissingFileError: There is no such prompt or rubric.
        DataError: The prompt or the rubric is not what was expected.
    """
    check_options(spec, "pointwise", "mode")
    margin = spec.option("margin", 0.0)
    if not 0 <= margin < math.inf:
        raise SpecError(f"{spec.text}: option margin is 0 or more, got {spec.options['margin']!r}")
    session = open_session(spec, session)
    return PointwiseJudge(_grader(spec, spec.rest, session), margin, read_axis(spec, session))


def load_judge_scorer(spec: Spec) -> JudgeScorer:
    """Load `judge:openai:MODEL?rubric=FILE&ledger=FILE&...`, a scorer; without a rubric, 1 to 10 overall.

    Raises:
        SpecError: It names no model that can grade; an option is unknown, out of its range, or makes no
            sense with another.
        MissingFileError: There is no such prompt or rubric.
        DataError: The prompt or the rubric is not what was expected.
    """
    scheme, colon, model = spec.rest.partition(":")
    if scheme != "openai" or not colon or not model:
        raise SpecError(f"{spec.text}: a judge that grades is judge:openai:MODEL, got {spec.rest!r}")
    for name in ("margin", "mode"):
        if name in spec.options:
            raise SpecError(f"{spec.text}: option {name} is for a judge that compares, not for a scorer")
    check_options(spec, "pointwise")
    return JudgeScorer(_grader(spec, model, open_session(spec, None)))


def _grader(spec: Spec, model: str, session: Session) -> Grader:
    instructions = read_instructions(spec, model, "pointwise", session)
    asker = Asker(session, model, spec.options.get("base_url", ""))
    return Grader(asker, instructions, judge_name(spec, model))
