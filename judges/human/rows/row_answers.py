"""The prompt, the answers and their systems in a row's columns, whichever of the known ones it has."""

from typing import NamedTuple

from judges.human.tasks import Screen
from rewards.errors import DataError
from rewards.files import Row, preference
from rewards.records import Prompt

NEEDED = (
    "pairwise needs prompt with first and second, chosen and rejected, or two responses; best and ranking "
    "need prompt with responses; steps needs prompt with completions, steps or response; spans needs prompt "
    "with response, and --aspects"
)
"""Columns of each screen."""

PAIRS = (("first", "second"), ("chosen", "rejected"))
"""How columns of two answers are called."""


class Answers(NamedTuple):
    """What a row holds of what a task shows."""

    prompt: Prompt
    responses: tuple[str, ...]
    steps: tuple[str, ...]
    systems: tuple[str, ...]
    columns: frozenset[str]
    """Those that were read."""


def several_answers(row: Row) -> Answers:
    """Return a row's answers to be compared.

    Raises:
        DataError: It has none, or an empty one.
    """
    values = row.values
    if {"first", "second"} <= values.keys():
        prompt, first = row.answer("first")
        other, second = row.answer("second")
        if prompt != other:
            raise DataError(f"{row.where}: fields 'first' and 'second' do not answer the same prompt")
        return _pair(row, prompt, (first, second), PAIRS[0])
    if {"chosen", "rejected"} <= values.keys():
        pair = preference(row)
        made = _pair(row, pair.prompt, (pair.chosen, pair.rejected), PAIRS[1])
        # So that the win rate of the first says how often people agree with who chose.
        return made._replace(systems=made.systems or PAIRS[1])
    if "responses" not in values:
        raise unfit(row)
    responses = tuple(row.response("responses", item) for item in row.list_in("responses"))
    for response in responses:
        _check_not_empty(row, "responses", response)
    systems = row.texts_in("systems") if says(row, "systems") else ()
    return Answers(row.prompt(), responses, (), systems, frozenset({"responses", "systems"}))


def _pair(row: Row, prompt: Prompt, responses: tuple[str, str], names: tuple[str, str]) -> Answers:
    for name, response in zip(names, responses, strict=True):
        _check_not_empty(row, name, response)
    columns = tuple(f"{name}_system" for name in names)
    systems = tuple(row.values.get(column) for column in columns)
    known = tuple(system for system in systems if isinstance(system, str) and system)
    read = {*names, *columns} if len(known) == 2 or not any(systems) else set(names)
    return Answers(prompt, responses, (), known if len(known) == 2 else (), frozenset(read))


def one_answer(row: Row, screen: Screen, separator: str) -> Answers:
    """Return a row's one answer, and on the screen `steps` its steps, split where the row has none.

    Raises:
        DataError: It has none, an empty one, an empty step, or steps that do not join to it.
    """
    values = row.values
    name = next((name for name in ("steps", "completions") if says(row, name)), "")
    if not name or says(row, "response"):
        if "response" not in values:
            raise unfit(row)
        prompt, response = row.answer("response")
        _check_not_empty(row, "response", response)
    else:
        prompt, response = row.prompt(), "".join(row.texts_in(name))
    steps = row.texts_in(name) if name else split_nonblank_steps(response, separator)
    for step in steps:
        _check_not_empty(row, name or "response", step)
    if not steps or "".join(steps) != response:
        raise row.expected(name, "steps that join to the response", list(steps))
    column = values.get("system")
    systems = (column,) if isinstance(column, str) and column else ()
    read = frozenset({"response", *([name] if name else []), *(["system"] if systems else [])})
    return Answers(prompt, (response,), steps if screen == "steps" else (), systems, read)


def split_nonblank_steps(response: str, separator: str) -> tuple[str, ...]:
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


def says(row: Row, name: str) -> bool:
    """Say whether a column is there and holds something; an empty field of csv does not."""
    return row.values.get(name) not in (None, "")


def unfit(row: Row) -> DataError:
    """Return the error of a row whose columns hold no answers, for the caller to raise."""
    there = ", ".join(row.values)
    return DataError(f"{row.where}: no screen fits the columns {there}; {NEEDED}; --rename maps a name")


def _check_not_empty(row: Row, name: str, text: str) -> None:
    if not text.strip():
        raise row.expected(name, "an answer, not an empty text", text)
