"""PRM800K: steps rated by people, in its original format: a solution's path, and the steps tried beside it.

Source: `phase1_train.jsonl`, `phase2_train.jsonl` and the `test` files of the repository `openai/prm800k`;
MIT licence. Lightman et al. 2023, "Let's Verify Step by Step" (2305.20050).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from rewards.data.streams import id_of
from rewards.errors import DataError
from rewards.files import Row
from rewards.records import StepLabels

NeutralRule = Literal["right", "wrong", "unlabelled"]
"""How PRM800K's rating 0 (neutral) counts; in the paper as right."""


NEUTRAL: Mapping[NeutralRule, float | None] = {"right": 1.0, "wrong": 0.0, "unlabelled": None}
"""The label of a step rated 0, by rule; the paper counts it as right, others who convert it as wrong."""

_WITHOUT_RATING = "completions without a rating, which are no alternatives"
_BEHIND = "rated completions behind a step where none was chosen"
_NO_STEP = "rows without a step"


class RatedCompletion(NamedTuple):
    """A candidate for a step: its text, and its human rating: -1, 0, 1, or None if it has none."""

    text: str
    rating: int | None
    flagged: bool


@dataclass(frozen=True, slots=True)
class RatedStep:
    """A step's candidates, and the one with which the solution continues."""

    completions: tuple[RatedCompletion, ...]
    chosen: int | None
    """Index of the completion that is on the path."""
    human: RatedCompletion | None
    """The step written by the labeller if no completion was chosen."""

    @property
    def on_path(self) -> RatedCompletion | None:
        """Return the path's step, or None if the path has ended."""
        return self.human if self.chosen is None else self.completions[self.chosen]


@dataclass(frozen=True, slots=True)
class RatingCounts:
    """How many rows, steps and ratings there are; `ratings` counts all completions, also those not chosen."""

    rows: int
    steps: int
    ratings: Mapping[int | None, int]


def prm800k_steps(
    row: Row, neutral: NeutralRule = "right", left_out: Counter[str] | None = None
) -> Iterator[StepLabels]:
    """Yield the labelled steps of a row `{question, label: {steps, finish_reason}, ...}` of either phase.

    First comes the path of the solution: at each step the chosen completion, or the step written by the
    labeller where none was chosen, which has no rating and so no label. Where phase 2 ends at the first
    error, nothing is chosen; the path then ends with the wrong step of the solution that was labelled
    (`pre_generated_steps`). Every other rated completion gives a record of its own: the path before it
    without labels, and its own label last, so that each rating is counted once.

    Ratings 1, -1 and null become labels 1, 0 and None; `neutral` decides on rating 0. Labels stop at the
    first error: after a step of the path rated -1, all are None, on the path and beside it. A neutral step
    that counts as wrong ends nothing, as later steps were rated on their own.

    `extra` holds `answer` (the reference), `phase` (1 or 2, where known), `part` (`path` or
    `alternative`), `finish_reason`, `total_time` (milliseconds), `flagged` (indices of the steps flagged as
    unclear), the row's other columns (`generation`, the quality-control flags, the labeller, ...) and the
    question's others. Ids are the row's or the place, `phase1_train.jsonl:3`; an alternative's is followed
    by its step and index, `phase1_train.jsonl:3:5:0`.

    Args:
        row: A row of either phase.
        neutral: How a rating of 0 counts.
        left_out: Counter of what yields no record, by reason.

    Raises:
        DataError: A column is missing or not of its type, or a rating or a chosen index is not one.
    """
    left_out = Counter() if left_out is None else left_out
    question = row.column("question")
    if not isinstance(question, dict) or not isinstance(question.get("problem"), str):
        raise row.expected("question", "an object of the form {problem: text, ...}", question)
    steps = _steps(row)
    path = _path(steps, question)
    extra = _extra(row, question)
    problem, name = question["problem"], id_of(row)
    if path:
        labels = _stopped([_label(step.rating, neutral) for step in path], path)
        yield _record(row, problem, path, labels, name, {**extra, "part": "path"})
    elif not any(step.completions for step in steps):
        left_out[_NO_STEP] += 1
    end = next((place for place, step in enumerate(steps) if step.on_path is None), len(steps))
    for place, step in enumerate(steps):
        if place > end:
            left_out[_BEHIND] += sum(completion.rating is not None for completion in step.completions)
            continue
        before = path[:place]
        wrong_before = any(earlier.rating == -1 for earlier in before)
        for index, completion in enumerate(step.completions):
            if place < len(path) and completion is path[place]:
                continue
            if completion.rating is None:
                left_out[_WITHOUT_RATING] += 1
                continue
            label = None if wrong_before else _label(completion.rating, neutral)
            labels = [*(None for _ in before), label]
            columns = {**extra, "part": "alternative"}
            yield _record(row, problem, [*before, completion], labels, f"{name}:{place}:{index}", columns)


def count_ratings(rows: Iterable[Row]) -> RatingCounts:
    """Count rows, steps and ratings of PRM800K, before any filtering.

    Raises:
        DataError: A column is missing or not of its type.
    """
    held, steps, ratings = 0, 0, Counter[int | None]()
    for row in rows:
        held += 1
        for step in _steps(row):
            steps += 1
            ratings.update(completion.rating for completion in step.completions)
    return RatingCounts(held, steps, dict(ratings))


def _steps(row: Row) -> list[RatedStep]:
    label = row.column("label")
    steps = label.get("steps") if isinstance(label, dict) else None
    if not isinstance(steps, list):
        raise row.expected("label", "an object of the form {steps: [...], ...}", label)
    return [_step(row, place, step) for place, step in enumerate(steps)]


def _step(row: Row, place: int, step: object) -> RatedStep:
    completions = step.get("completions") or [] if isinstance(step, dict) else None
    if not isinstance(step, dict) or not isinstance(completions, list):
        raise row.expected("label", f"{{completions: [...], chosen_completion, ...}} at step {place}", step)
    completed = tuple(_completion(row, place, completion) for completion in completions)
    chosen, human = step.get("chosen_completion"), step.get("human_completion")
    if chosen is not None and (type(chosen) is not int or not 0 <= chosen < len(completed)):
        what = (
            f"null or the index of one of {len(completed)} completions as chosen_completion of step {place}"
        )
        raise row.expected("label", what, chosen)
    return RatedStep(completed, chosen, None if human is None else _completion(row, place, human))


def _completion(row: Row, place: int, completion: object) -> RatedCompletion:
    if not isinstance(completion, dict) or not isinstance(completion.get("text"), str):
        raise row.expected("label", f"completions of the form {{text, rating}} at step {place}", completion)
    rating = completion.get("rating")
    if isinstance(rating, bool) or rating not in (None, -1, 0, 1):
        raise row.expected("label", f"a rating of -1, 0, 1 or null at step {place}", rating)
    return RatedCompletion(
        completion["text"], None if rating is None else int(rating), bool(completion.get("flagged"))
    )


def _path(steps: list[RatedStep], question: Mapping[str, object]) -> list[RatedCompletion]:
    path: list[RatedCompletion] = []
    for step in steps:
        here = step.on_path or _labelled_error(step, len(path), question)
        if here is None:
            break
        path.append(here)
        if step.on_path is None:
            break
    return path


def _labelled_error(step: RatedStep, place: int, question: Mapping[str, object]) -> RatedCompletion | None:
    """Return the completion that is the labelled solution's own step, where labelling ended with it."""
    solution = question.get("pre_generated_steps")
    if not isinstance(solution, list) or place >= len(solution):
        return None
    return next((own for own in step.completions if own.text == solution[place]), None)


def _label(rating: int | None, neutral: NeutralRule) -> float | None:
    return {None: None, 1: 1.0, 0: NEUTRAL[neutral], -1: 0.0}[rating]


def _stopped(labels: list[float | None], path: list[RatedCompletion]) -> list[float | None]:
    first = next((place for place, step in enumerate(path) if step.rating == -1), len(path))
    return [label if place <= first else None for place, label in enumerate(labels)]


def _extra(row: Row, question: dict[str, object]) -> dict[str, object]:
    label = row.values["label"]
    outcome = (
        {name: value for name, value in label.items() if name != "steps"} if isinstance(label, dict) else {}
    )
    others = {
        name: value
        for name, value in question.items()
        if name not in ("problem", "ground_truth_answer") and value is not None
    }
    columns = {name: row.values[name] for name in row.values if name not in ("id", "question", "label")}
    facts: dict[str, object] = {"answer": question.get("ground_truth_answer")}
    if columns.get("generation") is not None or "pre_generated_steps" in others:
        facts["phase"] = 2
    elif "generation" in columns:
        facts["phase"] = 1
    return {**columns, **others, **outcome, **facts}


def _record(
    row: Row,
    problem: str,
    steps: list[RatedCompletion],
    labels: list[float | None],
    name: str,
    extra: dict[str, object],
) -> StepLabels:
    flagged = [place for place, step in enumerate(steps) if step.flagged]
    texts = tuple(step.text for step in steps)
    try:
        return StepLabels(problem, texts, tuple(labels), name, {**extra, "flagged": flagged})
    except DataError as error:
        raise DataError(f"{row.where}: {error}") from None
