"""Labels <-> rows that hold all of them, so that a store can be carried elsewhere and back."""

import re
from collections.abc import Mapping
from typing import cast

from judges.human.answers import Answer, AnswerError, answer_of, as_payload, check_answer
from judges.human.labels import Label
from judges.human.tasks import Task, task_of, task_row
from rewards.errors import DataError
from rewards.files import Row
from rewards.files.rows import holds_no_number

COLUMNS = ("task", "annotator", "answer", "shown", "comment", "seconds", "time", "nonce")
"""Columns of a label's row; `answer` is null where the task was skipped, `shown` empty where not known."""

_NONCE = re.compile("[!-~]{1,200}")


def label_row(label: Label) -> dict[str, object]:
    """Return a label as what JSON can hold; `label_of` reads it back."""
    return {
        "task": task_row(label.task),
        "annotator": label.annotator,
        "answer": None if label.answer is None else as_payload(label.answer),
        "shown": list(label.shown),
        "comment": label.comment,
        "seconds": label.seconds,
        "time": label.time,
        "nonce": label.nonce,
    }


def label_of(row: Row) -> Label:
    """Return the label of a row that `label_row` made; it has no task's number yet.

    Raises:
        DataError: A field is not what a label's has; it names file, line and field.
    """
    task = _task(row)
    names = {name: row.column(name) for name in ("annotator", "nonce", "comment")}
    for name, value in names.items():
        if not isinstance(value, str) or (not value and name != "comment"):
            raise row.expected(name, "a text", value)
    if not _NONCE.fullmatch(str(names["nonce"])):
        raise row.expected("nonce", "1 to 200 letters, digits and signs", names["nonce"])
    annotator, nonce, comment = cast("tuple[str, str, str]", tuple(names.values()))
    seconds, time = (_positive(row, name) for name in ("seconds", "time"))
    shown = _shown(row, len(task.responses))
    return Label(0, task, annotator, _answer(row, task), shown, comment, seconds, time, nonce, imported=True)


def _task(row: Row) -> Task:
    value = row.column("task")
    if not isinstance(value, Mapping) or holds_no_number(value):
        raise row.expected("task", "a task as `labels export` writes it", value)
    try:
        return task_of(value)
    except DataError as error:
        raise DataError(f"{row.where}: field 'task': {error}") from None


def _answer(row: Row, task: Task) -> Answer | None:
    value = row.column("answer")
    if value is None:
        return None
    try:
        answer = answer_of(task.screen, cast("Mapping[str, object]", value))
        check_answer(answer, task.responses, task.steps, task.aspects)
    except AnswerError as error:
        raise DataError(f"{row.where}: field 'answer': {error}") from None
    return answer


def _shown(row: Row, count: int) -> tuple[int, ...]:
    shown = row.list_in("shown")
    places = tuple(place for place in shown if type(place) is int)
    if len(places) < len(shown) or (shown and sorted(places) != list(range(count))):
        raise row.expected("shown", f"the numbers 0 to {count - 1} in the order shown", shown)
    return places


def _positive(row: Row, name: str) -> float:
    value = row.column(name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or holds_no_number(value) or cast(float, value) < 0:
        raise row.expected(name, "seconds, a number from 0", value)
    return float(cast(float, value))
