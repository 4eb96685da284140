"""One row of a file and its fields, each checked for its type; an error names file, line and field."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rewards.errors import DataError
from rewards.records import Message, Prompt

NUMBERED_BY_LINE = (".json", ".jsonl", ".csv", ".gz", ".partial")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an input: its columns, and its place in the file.

    `number` counts from 1: the line in a text file, the row in Parquet and data sets. Every method that
    reads a field raises DataError where the column is missing or not of its type.
    """

    values: dict[str, object]
    source: str
    number: int

    @property
    def where(self) -> str:
        """Return the row's place, with which errors begin: `file.jsonl:12` or `file.parquet row 12`."""
        if self.source.endswith(NUMBERED_BY_LINE):
            return f"{self.source}:{self.number}"
        return f"{self.source} row {self.number}"

    def expected(self, field: str, what: str, got: object) -> DataError:
        """Return the error of a field whose value is not what was expected, for the caller to raise."""
        shown = "null" if got is None else repr(got)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        return DataError(f"{self.where}: field {field!r}: expected {what}, got {shown}")

    def column(self, name: str) -> object:
        """Return a column's value, of any type."""
        if name not in self.values:
            there = ", ".join(self.values) or "none"
            raise DataError(f"{self.where}: no column {name!r}, only {there}; --rename maps a name to ours")
        return self.values[name]

    def number_in(self, name: str) -> float:
        """Return a column's number, or the number that its text spells, as a csv file's columns do."""
        value = self.column(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        try:
            return float(value if isinstance(value, str) else "")
        except ValueError:
            raise self.expected(name, "a number", value) from None

    def list_in(self, name: str) -> list[object]:
        """Return a column's list."""
        value = self.column(name)
        if not isinstance(value, list):
            raise self.expected(name, "a list", value)
        return value

    def texts_in(self, name: str) -> tuple[str, ...]:
        """Return a column's list of texts."""
        return self.texts(name, self.column(name))

    def texts(self, field: str, value: object) -> tuple[str, ...]:
        """Return a value found in `field` as texts."""
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.expected(field, "a list of texts", value)
        return tuple(value)

    def prompt(self) -> Prompt:
        """Return the prompt: a text, or the messages of a conversation."""
        value = self.column("prompt")
        return value if isinstance(value, str) else self._messages("prompt", value)

    def answer(self, field: str) -> tuple[Prompt, str]:
        """Return a response and its prompt.

        The response may be the last message of a whole conversation, whose other messages are the prompt;
        they have to agree with the column `prompt` where there is one (all of it, or its last turn).
        """
        value = self.column(field)
        if not isinstance(value, list) or len(value) < 2:
            return self.prompt(), self.response(field, value)
        leading = self._messages(field, value[:-1])
        if "prompt" in self.values and self.prompt() not in (leading, leading[-1].content):
            raise DataError(f"{self.where}: field {field!r}: the conversation does not begin with the prompt")
        return leading, self.response(field, value[-1:])

    def response(self, field: str, value: object) -> str:
        """Return a value found in `field` as a response: a text, or one message of the assistant."""
        if isinstance(value, str):
            return value
        if not isinstance(value, list):
            raise self.expected(field, "a text", value)
        messages = self._messages(field, value)
        if len(messages) != 1 or messages[0].role != "assistant":
            raise self.expected(field, "a text or one message of the assistant", value)
        return messages[0].content

    def id(self) -> str:
        """Return the id, empty where there is none."""
        value = self.values.get("id")
        return value if type(value) is str else self.identity(value)

    def identity(self, value: object) -> str:
        """Return a value found in `id` as an id; a whole number becomes its digits, null nothing."""
        if isinstance(value, str):
            return value
        if value is None:
            return ""
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise self.expected("id", "a text or a whole number", value)

    def _messages(self, field: str, value: object) -> tuple[Message, ...]:
        if not isinstance(value, list) or not value:
            raise self.expected(field, "a text or a list of {role, content}", value)
        return tuple(self._message(field, item) for item in value)

    def _message(self, field: str, item: object) -> Message:
        if isinstance(item, dict):
            role, content = item.get("role"), item.get("content")
            # Parquet gives every message the keys of all messages; null ones are ignored.
            keys = {key for key, value in item.items() if value is not None}
            if isinstance(role, str) and isinstance(content, str) and keys == {"role", "content"}:
                return Message(role, content)
        raise self.expected(field, "messages of the form {role: text, content: text}", item)


def holds_no_number(value: object) -> bool:
    """Return whether NaN or an infinite number stands in a value, at any depth."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(holds_no_number(part) for part in value.values())
    return isinstance(value, list | tuple) and any(holds_no_number(part) for part in value)
