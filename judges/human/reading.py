"""Rows -> tasks: which screen fits their columns, and what is wrong with a row, by its line."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from judges.human.answers import Answer, AnswerError
from judges.human.gold import EXPECTED, gold_answer
from judges.human.tasks import SCREENS, Screen, Task
from judges.verdicts import COLUMNS as VERDICT_COLUMNS
from rewards.errors import ConfigError, DataError
from rewards.files import Row, preference, read_rows
from rewards.records import Prompt
from rewards.writing import json_line

IDENTICAL = "of identical answers, which nobody can tell apart"

NEEDED = (
    "pairwise needs prompt with first and second, chosen and rejected, or two responses; best and ranking "
    "need prompt with responses; steps needs prompt with completions, steps or response; spans needs prompt "
    "with response, and --aspects"
)

_PAIRS = (("first", "second"), ("chosen", "rejected"))
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
        source: As for `rewards.files.read_rows`.
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
        answers = _several(row) if screen in _SEVERAL else _one(row, screen, reading.separator)
        task = _task(row, screen, answers, reading)
        if screen == "pairwise" and answers.responses[0] == answers.responses[1] and task.gold is None:
            if passed is not None:
                passed[IDENTICAL] += 1
        elif seen.new(task, row):
            yield task


class _Answers(NamedTuple):
    prompt: Prompt
    responses: tuple[str, ...]
    steps: tuple[str, ...]
    systems: tuple[str, ...]
    columns: frozenset[str]
    """Those that were read."""


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
    if any(set(pair) <= values.keys() for pair in _PAIRS):
        return "pairwise"
    if "responses" in values:
        return "pairwise" if len(row.list_in("responses")) == 2 else "ranking"
    if "spans" in values or (aspects and "response" in values):
        return "spans"
    if {"completions", "steps", "response"} & values.keys():
        return "steps"
    there = ", ".join(values)
    raise DataError(
        f"{row.where}: no screen fits the columns {there}; {NEEDED}; --rename maps a name to ours"
    )


def _several(row: Row) -> _Answers:
    values = row.values
    if {"first", "second"} <= values.keys():
        prompt, first = row.answer("first")
        other, second = row.answer("second")
        if prompt != other:
            raise DataError(f"{row.where}: fields 'first' and 'second' do not answer the same prompt")
        return _pair(row, prompt, (first, second), _PAIRS[0])
    if {"chosen", "rejected"} <= values.keys():
        pair = preference(row)
        made = _pair(row, pair.prompt, (pair.chosen, pair.rejected), _PAIRS[1])
        # So that the win rate of the first says how often people agree with who chose.
        return made._replace(systems=made.systems or _PAIRS[1])
    if "responses" not in values:
        raise _unfit(row)
    responses = tuple(row.response("responses", item) for item in row.list_in("responses"))
    for response in responses:
        _check_not_empty(row, "responses", response)
    systems = row.texts_in("systems") if _says(row, "systems") else ()
    return _Answers(row.prompt(), responses, (), systems, frozenset({"responses", "systems"}))


def _pair(row: Row, prompt: Prompt, responses: tuple[str, str], names: tuple[str, str]) -> _Answers:
    for name, response in zip(names, responses, strict=True):
        _check_not_empty(row, name, response)
    columns = tuple(f"{name}_system" for name in names)
    systems = tuple(row.values.get(column) for column in columns)
    known = tuple(system for system in systems if isinstance(system, str) and system)
    read = {*names, *columns} if len(known) == 2 else set(names)
    return _Answers(prompt, responses, (), known if len(known) == 2 else (), frozenset(read))


def _one(row: Row, screen: Screen, separator: str) -> _Answers:
    values = row.values
    name = next((name for name in ("steps", "completions") if _says(row, name)), "")
    if not name or _says(row, "response"):
        if "response" not in values:
            raise _unfit(row)
        prompt, response = row.answer("response")
        _check_not_empty(row, "response", response)
    else:
        prompt, response = row.prompt(), "".join(row.texts_in(name))
    steps = row.texts_in(name) if name else split_steps(response, separator)
    for step in steps:
        _check_not_empty(row, name or "response", step)
    if not steps or "".join(steps) != response:
        raise row.expected(name, "steps that join to the response", list(steps))
    column = values.get("system")
    systems = (column,) if isinstance(column, str) and column else ()
    read = frozenset({"response", *([name] if name else []), *(["system"] if systems else [])})
    return _Answers(prompt, (response,), steps if screen == "steps" else (), systems, read)


def split_steps(response: str, separator: str) -> tuple[str, ...]:
    """Split a response into steps that end with the separator and join to it again; no step is blank."""
    steps: list[str] = []
    pieces = response.split(separator)
    for number, piece in enumerate(pieces, 1):
        text = piece + (separator if number < len(pieces) else "")
        if steps and (not text.strip() or not steps[-1].strip()):
            steps[-1] += text
        elif text:
            steps.append(text)
    return tuple(steps)


def _task(row: Row, screen: Screen, answers: _Answers, reading: Reading) -> Task:
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


def _gold(row: Row, screen: Screen, answers: _Answers, aspects: Sequence[str]) -> Answer | None:
    if not _says(row, "gold"):
        return None
    value = row.values["gold"]
    try:
        return gold_answer(screen, value, answers.responses, answers.steps, aspects)
    except AnswerError as error:
        what = f"{EXPECTED[screen]}, or null ({error}; --rename it if it is no known answer)"
        raise row.expected("gold", what, value) from None


def _decoded(row: Row) -> Row:
    """Return a row whose lists are lists, which csv can only hold as JSON in a text."""
    names = [name for name in (*_LISTS, "gold") if str(row.values.get(name, "")).startswith("[")]
    texts = {name: text for name in names if isinstance(text := row.values[name], str)}
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


def _says(row: Row, name: str) -> bool:
    return row.values.get(name) not in (None, "")


def _unfit(row: Row) -> DataError:
    there = ", ".join(row.values)
    return DataError(f"{row.where}: no screen fits the columns {there}; {NEEDED}; --rename maps a name")


def _check_not_empty(row: Row, name: str, text: str) -> None:
    if not text.strip():
        raise row.expected(name, "an answer, not an empty text", text)
