"""Rows -> tasks: which screen fits their columns, and what is wrong with a row, by its line."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from judges.human.answers import Answer, AnswerError
from judges.human.rows.gold import EXPECTED, gold_answer
from judges.human.rows.row_answers import PAIRS, Answers, one_answer, says, several_answers, unfit
from judges.human.tasks import SCREENS, Screen, Task
from judges.verdicts.reading import COLUMNS as VERDICT_COLUMNS
from rewards.errors import ConfigError, DataError
from rewards.files import Row, read_rows
from rewards.files.writing import json_line

IDENTICAL = "of identical answers, which nobody can tell apart"

_SEVERAL = ("pairwise", "best", "ranking")
_LISTS = ("responses", "systems", "completions", "steps")


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows are read as tasks.

    With the screen `auto` the first row's columns decide: `first` and `second`, `chosen` and `rejected`, or
    `responses` of which there are two, ask which of the two is better; more `responses` ask for their order,
    which tells the best and every pair too (`best` asks for less, and for each one's quality); `completions`
    or `steps` ask about steps; a `response` is marked with the aspects where there are any, and else split
    into steps.
    """

    screen: Screen | Literal["auto"] = "auto"
    axis: str = ""
    """The quality to judge; empty takes the rows' column `axis`, or overall where they have none."""
    aspects: tuple[str, ...] = ()
    """What a span may be marked as."""
    separator: str = "\n\n"
    """What ends a step, where a row has a response and no steps."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """The rows' column names and ours."""

    def __post_init__(self) -> None:
        if self.screen not in ("auto", *SCREENS):
            raise ConfigError(f"unknown screen {self.screen!r}; there are auto, {', '.join(SCREENS)}")
        if self.screen == "spans" and not self.aspects:
            raise ConfigError("the screen spans needs aspects, such as --aspects [irrelevant,unfactual]")
        if self.aspects and self.screen not in ("auto", "spans"):
            raise ConfigError(f"aspects go with the screen spans, not with {self.screen}")
        if not all(self.aspects) or len(set(self.aspects)) < len(self.aspects):
            raise ConfigError(f"aspects are different names, got {', '.join(map(repr, self.aspects))}")
        if not self.separator:
            raise ConfigError("separator is a text that ends a step, got an empty one")


AUTO = Reading()


def read_tasks(
    source: str | Path, reading: Reading = AUTO, passed: Counter[str] | None = None
) -> Iterator[Task]:
    """Stream the tasks of rows; memory holds a digest of each, to find what is there twice.

    A column `gold` that is not null makes a planted check; `judges.human.gold.EXPECTED` says what it holds.
    Columns that are none of ours travel in `extra`. A file of verdicts gives one task for each comparison,
    however many judges, orders and repeats there are; the verdicts themselves are left out.

    Args:
        source: As for `rewards.files.reading.read_rows`.
        reading: The screen, the axis, the aspects and how columns are called.
        passed: Where rows that make no task are counted, by reason.

    Raises:
        MissingFileError: There is no such file.
        ConfigError: Aspects are missing, or there for nothing.
        DataError: While iterating: a row is no task, or is there twice; it names file, line and field.
    """
    return _tasks(read_rows(source, rename=reading.rename or None), reading, passed)


def _tasks(rows: Iterator[Row], reading: Reading, passed: Counter[str] | None) -> Iterator[Task]:
    screen: Screen | None = None
    seen = _Seen()
    for row in map(_decoded, rows):
        screen = screen or _screen(row, reading)
        task = row_task(row, screen, reading)
        if screen == "pairwise" and task.responses[0] == task.responses[1] and task.gold is None:
            if passed is not None:
                passed[IDENTICAL] += 1
        elif seen.new(task, row):
            yield task


class _Seen:
    """Finds ids and questions that were there before."""

    def __init__(self) -> None:
        self._places: dict[bytes, str] = {}
        self._ids: dict[str, str] = {}

    def new(self, task: Task, row: Row) -> bool:
        """Say whether a task is new; in a file of verdicts, one comparison may be there often."""
        key = bytes.fromhex(task.key)
        before = self._places.setdefault(key, row.where)
        if before != row.where and _is_verdict(row):
            return False
        if task.id and not _is_verdict(row):
            same = self._ids.setdefault(task.id, row.where)
            if same != row.where:
                raise DataError(f"{row.where}: field 'id': {task.id!r} is the id at {same} too")
        if before != row.where:
            raise DataError(f"{row.where}: asks the same as {before}; give ids where that is meant")
        return True


def _screen(row: Row, reading: Reading) -> Screen:
    screen = _fitting(row, bool(reading.aspects)) if reading.screen == "auto" else reading.screen
    if screen == "spans" and not reading.aspects:
        raise ConfigError(f"{row.where}: rows with spans need aspects, such as --aspects [irrelevant]")
    if reading.aspects and screen != "spans":
        raise ConfigError(f"{row.where}: aspects go with the screen spans, and the columns ask for {screen}")
    return screen


def _fitting(row: Row, aspects: bool) -> Screen:
    values = row.values
    if any(set(pair) <= values.keys() for pair in PAIRS):
        return "pairwise"
    if "responses" in values:
        return "pairwise" if len(row.list_in("responses")) == 2 else "ranking"
    if "spans" in values or (aspects and "response" in values):
        return "spans"
    if {"completions", "steps", "response"} & values.keys():
        return "steps"
    raise unfit(row)


def row_task(row: Row, screen: Screen, reading: Reading = AUTO) -> Task:
    """Return the task of one row on one screen, whatever other rows there are.

    Raises:
        DataError: It is none; it names file, line and field.
    """
    answers = several_answers(row) if screen in _SEVERAL else one_answer(row, screen, reading.separator)
    aspects = reading.aspects if screen == "spans" else ()
    own = {"id", "prompt", "gold", *answers.columns, *(VERDICT_COLUMNS if _is_verdict(row) else ())}
    axis = row.values.get("axis")
    if isinstance(axis, str):
        own.add("axis")
    named = reading.axis or (axis if isinstance(axis, str) else "")
    extra = {name: value for name, value in row.values.items() if name not in own}
    identity = row.id()
    gold = _gold(row, screen, answers, aspects)
    try:
        return Task(
            screen,
            answers.prompt,
            answers.responses,
            answers.steps,
            aspects,
            answers.systems,
            "" if named == "overall" else named,
            id=identity,
            # What a columnar file holds and JSON does not becomes what the files that are written have.
            extra=json.loads(json_line(extra, row.where)) if extra else extra,
            gold=gold,
        )
    except DataError as error:
        message = str(error)
        told = message if message.startswith(row.where) else f"{row.where}: {message}"
        raise DataError(told) from None


def _gold(row: Row, screen: Screen, answers: Answers, aspects: Sequence[str]) -> Answer | None:
    if not says(row, "gold"):
        return None
    value = row.values["gold"]
    try:
        return gold_answer(screen, value, answers.responses, answers.steps, aspects)
    except AnswerError as error:
        what = f"{EXPECTED[screen]}, or null ({error}; --rename it if it is no known answer)"
        raise row.expected("gold", what, value) from None


def _decoded(row: Row) -> Row:
    """Return a row whose lists are lists, which csv can only hold as JSON in a text."""
    held = {name: row.values.get(name) for name in (*_LISTS, "gold")}
    texts = {name: text for name, text in held.items() if isinstance(text, str) and text.startswith("[")}
    if not texts:
        return row
    decoded = {}
    for name, text in texts.items():
        try:
            decoded[name] = json.loads(text)
        except ValueError:
            raise row.expected(name, "a list, in csv as JSON", text) from None
    return Row(row.values | decoded, row.source, row.number)


def _is_verdict(row: Row) -> bool:
    return {"first", "second", "winner", "judge"} <= row.values.keys()
