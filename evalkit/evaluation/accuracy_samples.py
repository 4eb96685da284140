"""Scored and graded samples of `evalkit accuracy`, grouped by prompt, without their texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rewards.errors import DataError
from rewards.evaluation.accuracy import PromptSamples
from rewards.files import Row, read_rows
from rewards.records import prompt_key

Answer = str | int | float


@dataclass(slots=True)
class _Gathered:
    where: str
    correct: list[float] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)
    answers: list[Answer | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The samples of every prompt, prompts in the order of their first row."""

    prompts: tuple[PromptSamples, ...]
    names: tuple[str, ...]
    """Place of each prompt's first row, and how the prompt begins."""
    voting: bool
    """Whether the rows hold answers."""
    silent: int
    """Samples that do not vote: their answer is null or empty."""
    mixed: int
    """Answers that the grader marks right in some samples of a prompt and wrong in others."""


def read_samples(
    data: str, rename: Mapping[str, str], scores: Sequence[str], correct: str, answer: str
) -> Samples:
    """Read rows {prompt, responses, SCOREs, CORRECTs[, ANSWERs]}, or one row for each response.

    A column may have an s behind its name where it holds one value for each of `responses`.

    Args:
        data: A file, a folder or a data set of the Hub.
        rename: The user's column names and ours.
        scores: Columns of scores.
        correct: Column that says whether a response is right.
        answer: Column of the answer that a response votes for; `response` is the response itself. Where the
            first row has none, there are no votes.

    Raises:
        DataError: A row lacks a column or holds something else in it, or only some rows have answers.
        MissingFileError: There is no such file.
    """
    groups: dict[str, _Gathered] = {}
    voting: bool | None = None
    for row in read_rows(data, rename=dict(rename) or None):
        listed = row.values.get("response") is None and row.values.get("responses") is not None
        count = len(row.list_in("responses")) if listed else None
        prompt = prompt_key(row.prompt())
        group = groups.setdefault(prompt, _Gathered(f"{row.where}: prompt {_short(prompt)}"))
        group.correct += [_truth(row, correct, value) for value in _values(row, correct, count, "correct")]
        for name in scores:
            found = [_number(row, name, value) for value in _values(row, name, count, "score")]
            group.scores.setdefault(name, []).extend(found)
        answered = _column(row, answer, count) is not None
        if voting is None:
            voting = answered
        if voting != answered:
            raise DataError(f"{row.where}: only some rows have a column {answer!r}; --answer names another")
        if voting:
            group.answers += [_answer(row, answer, value) for value in _values(row, answer, count, "answer")]
    gathered = list(groups.values())
    return Samples(
        prompts=tuple(_samples(one, bool(voting)) for one in gathered),
        names=tuple(one.where for one in gathered),
        voting=bool(voting),
        silent=sum(value is None for one in gathered for value in one.answers),
        mixed=sum(_mixed(one) for one in gathered),
    )


def _samples(group: _Gathered, voting: bool) -> PromptSamples:
    numbers: dict[Answer, int] = {}
    answers = [-1 if value is None else numbers.setdefault(value, len(numbers)) for value in group.answers]
    return PromptSamples(
        correct=np.array(group.correct),
        scores={name: np.array(values) for name, values in group.scores.items()},
        answers=np.array(answers, dtype=np.int64) if voting else None,
    )


def _mixed(group: _Gathered) -> int:
    truths: dict[Answer, set[float]] = {}
    for value, truth in zip(group.answers, group.correct[: len(group.answers)], strict=True):
        if value is not None:
            truths.setdefault(value, set()).add(truth)
    return sum(len(each) > 1 for each in truths.values())


def _column(row: Row, name: str, count: int | None) -> str | None:
    """Return the column of `name`; where a row has a list of responses also its plural."""
    names = (name,) if count is None else (f"{name}s", name)
    return next((found for found in names if found in row.values), None)


def _values(row: Row, name: str, count: int | None, option: str) -> list[object]:
    """Return one value for each response of a row."""
    column = _column(row, name, count)
    if column is None:
        there = ", ".join(row.values)
        plural = "" if count is None else f" or {f'{name}s'!r}"
        raise DataError(f"{row.where}: no column {name!r}{plural}, only {there}; --{option} names another")
    value = row.values[column]
    if count is None:
        return [value]
    if not isinstance(value, list) or len(value) != count:
        raise row.expected(column, f"{count} values, one for each response", value)
    return value


def _truth(row: Row, name: str, value: object) -> float:
    # Every column of a csv file is text.
    plain = value.strip().lower() if isinstance(value, str) else value
    if plain in (True, 1, "true", "1"):
        return 1.0
    if plain in (False, 0, "false", "0"):
        return 0.0
    raise row.expected(name, "true or false, or 1 or 0", value)


def _number(row: Row, name: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        number = None
    if number is None or isinstance(value, bool) or not np.isfinite(number):
        raise row.expected(name, "a finite number", value)
    return number


def _answer(row: Row, name: str, value: object) -> Answer | None:
    if isinstance(value, str):
        return value.strip() or None
    if value is None or isinstance(value, int | float):
        return value
    raise row.expected(name, "a text, a number or null", value)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
