"""Chooses among a prompt's solutions by score and by votes, and makes the output row."""

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.search.prompts import PromptSearch
from evalkit.search.trees import FINISHED
from rewards.errors import ConfigError, DataError
from rewards.files import Row
from rewards.selection.best_of_n import majority_vote, weighted_vote
from rewards.solutions.answers import final_answer, is_right, reference_answer
from rewards.solutions.steps import split_steps

REFERENCE = "answer"
"""Column of the reference answer, where the input has one."""
UNGRADED = f'--rename \'{{"{REFERENCE}": "note"}}\' keeps it by another name, ungraded'
CHOICES = ("best", "voted", "majority")
"""By the highest score, by the largest sum of scores, by the number of votes."""
WRITTEN = (
    *("best_response", "best_score", "best_answer", "voted_response", "voted_answer", "majority_answer"),
    *("best_correct", "voted_correct", "majority_correct"),
    *("responses", "scores", "scores_steps", "answers", "corrects", "steps", "finish_reasons"),
    *("token_counts", "budget"),
)
"""Columns of the output; from `responses` to `token_counts` lists with one element for each solution."""
AMBIGUOUS = ("response", "completions", *WRITTEN)
"""Columns that the input must not have: beside `responses` they would say something else."""


@dataclass(frozen=True, slots=True)
class SolutionChoice:
    """The choices among a prompt's solutions."""

    best: int
    """Index of the highest score, the first of equals; 0 where no solution has a score."""
    voted_answer: str | None
    """The answer whose solutions have the largest sum of scores; None where there is no answer."""
    voted: int | None
    """Index of the best solution with this answer."""
    majority_answer: str | None
    """The answer that most solutions give; ties go to the larger sum of scores."""
    majority: int | None
    """Index of the best solution with that answer."""


def choose(
    scores: Sequence[float | None], answers: Sequence[str | None], endings: Sequence[str]
) -> SolutionChoice:
    """Choose among the finished solutions; where there are none, among the truncated ones.

    An empty solution may have no score; then it is chosen only where there is no other.

    Args:
        scores: [S] with S of 1 or more, higher is better; None for an empty solution without one.
        answers: [S], None where there is none.
        endings: [S], `eos` for a finished solution.

    Raises:
        ConfigError: A score is not finite, so that votes cannot be weighted.
    """
    there = {index: score for index, score in enumerate(scores) if score is not None}
    if not there:
        return SolutionChoice(0, None, None, None, None)
    among = [index for index in there if endings[index] == FINISHED] or list(there)
    weights = [there[index] for index in among]
    given = [answers[index] for index in among]
    voted, majority = weighted_vote(given, weights), majority_vote(given, weights)

    def best(answer: str | None) -> int | None:
        voters = [index for index in among if answer is not None and answers[index] == answer]
        return max(voters, key=lambda index: there[index], default=None)  # of equals the first

    return SolutionChoice(
        max(among, key=lambda index: there[index]), voted, best(voted), majority, best(majority)
    )


def reference_of(row: Row, grader: str) -> str | None:
    """Return a row's reference answer verbatim; None where the row has no such column.

    Raises:
        DataError: The grader finds no answer in the column.
    """
    if REFERENCE not in row.values:
        return None
    value = row.values[REFERENCE]
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise row.expected(REFERENCE, f"a text or a number; {UNGRADED}", value)
    try:
        reference_answer(str(value), grader)
    except DataError as error:
        raise DataError(f"{row.where}: field {REFERENCE!r}: {error}; {UNGRADED}") from None
    return str(value)


def output_row(search: PromptSearch, separator: str, grader: str) -> dict[str, object]:
    """Return a prompt's row with its solutions, the choices among them and their budget.

    Raises:
        DataError: A score is not finite.
    """
    row, solutions = search.problem.row, search.ended()
    responses = [solution.text for solution in solutions]
    graded = [search.scores.get(text) for text in responses]
    scores = [None if score is None else score.value for score in graded]
    endings = [solution.ending for solution in solutions]
    answers = [final_answer(text, grader) for text in responses]
    try:
        choice = choose(scores, answers, endings)
    except ConfigError as error:
        raise DataError(f"{row.where}: {error}") from None
    output = {
        **row.values,
        "best_response": responses[choice.best],
        "best_score": scores[choice.best],
        "best_answer": answers[choice.best],
        "voted_response": None if choice.voted is None else responses[choice.voted],
        "voted_answer": choice.voted_answer,
        "majority_answer": choice.majority_answer,
        "responses": responses,
        "scores": scores,
        "answers": answers,
        "steps": [list(split_steps(text, separator)) for text in responses],
        "finish_reasons": endings,
        "token_counts": [solution.tokens for solution in solutions],
        "budget": search.budget.as_dict(),
    }
    if any(score is not None and score.steps for score in graded):
        output["scores_steps"] = [[] if score is None else list(score.steps) for score in graded]
    reference = reference_of(row, grader)
    if reference is not None:
        corrects = [is_right(text, reference, grader) for text in responses]
        chosen = {"best": choice.best, "voted": choice.voted, "majority": choice.majority}
        for name, index in chosen.items():
            output[f"{name}_correct"] = index is not None and corrects[index]
        output["corrects"] = corrects
    return output
