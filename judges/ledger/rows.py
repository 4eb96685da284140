"""Questions and attempts as a ledger's table rows, and as rows of JSON lines to carry elsewhere."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from judges.questions.question import STATES, Attempt, Question, State
from judges.usage import Usage
from rewards.errors import DataError
from rewards.files import Row

ATTEMPT_COLUMNS = "state, result, reply, detail, tokens_in, tokens_cached, tokens_out, cost, latency, time"

_UID = re.compile("[0-9a-f]{32}")
_TEXTS = ("reply", "detail", "time")
_COUNTS = ("tokens_in", "tokens_cached", "tokens_out")
_AMOUNTS = ("cost", "latency")


@dataclass(frozen=True, slots=True)
class Recorded:
    """An attempt with its question and the identity that it keeps wherever it is copied."""

    uid: str
    question: Question
    attempt: Attempt


def stored(text: str) -> str | bytes:
    """Return a text as SQLite takes it: half of a surrogate pair, which some models send, goes as bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def unstored(value: object) -> str:
    """Return the text that was stored."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else str(value)


def question_values(question: Question) -> tuple[object, ...]:
    """Return a question's key, judge, endpoint, characters and text for its table."""
    characters = sum(len(message.content) for message in question.messages)
    return question.key, question.judge, question.endpoint, characters, stored(question.text)


def attempt_values(attempt: Attempt) -> tuple[object, ...]:
    """Return an attempt's ATTEMPT_COLUMNS for its table."""
    usage = attempt.usage
    return (
        attempt.state,
        json.dumps(dict(attempt.result), sort_keys=True),
        stored(attempt.reply),
        stored(attempt.detail),
        usage.tokens_in,
        usage.tokens_cached,
        usage.tokens_out,
        usage.cost,
        usage.latency,
        attempt.time,
    )


def attempt_of(key: str, values: Sequence[object]) -> Attempt:
    """Return the attempt of a question's key and its ATTEMPT_COLUMNS.

    Raises:
        DataError: They are not an attempt's, as in a damaged file.
    """
    state, result, reply, detail, *usage, time = values
    try:
        return Attempt(
            key,
            state,  # type: ignore[arg-type]  # its table and its own class check it
            json.loads(unstored(result)),
            unstored(reply),
            unstored(detail),
            Usage(*usage),  # type: ignore[arg-type]  # columns with types
            str(time),
        )
    except ValueError as error:
        raise DataError(f"the attempt at question {key[:12]} is damaged: {error}") from None


def exported(uid: str, question: str, attempt: Attempt) -> dict[str, object]:
    """Return an attempt and its question's text as one row of JSON lines."""
    return {
        "id": uid,
        "question": json.loads(question) if _is_plain(question) else _escaped(question),
        "state": attempt.state,
        "result": dict(attempt.result),
        "reply": _carried(attempt.reply),
        "detail": _carried(attempt.detail),
        **asdict(attempt.usage),
        "time": attempt.time,
    }


def imported(row: Row) -> Recorded:
    """Return the attempt and question of a row.

    Raises:
        DataError: A field is missing or not what an exported row has.
    """
    uid = row.column("id")
    if not isinstance(uid, str) or not _UID.fullmatch(uid):
        raise row.expected("id", "32 hexadecimal digits", uid)
    question = _question(row)
    state, result = row.column("state"), row.column("result")
    if state not in STATES:
        raise row.expected("state", f"one of {', '.join(STATES)}", state)
    if not isinstance(result, Mapping):
        raise row.expected("result", "an object", result)
    reply, detail, time = (_text(row, name) for name in _TEXTS)
    usage = Usage(*(_count(row, name) for name in _COUNTS), *(_amount(row, name) for name in _AMOUNTS))
    kind: State = state  # type: ignore[assignment]  # one of STATES
    try:
        return Recorded(uid, question, Attempt(question.key, kind, result, reply, detail, usage, time))
    except DataError as error:
        raise DataError(f"{row.where}: {error}") from None


def _question(row: Row) -> Question:
    value = row.column("question")
    try:
        if isinstance(value, Mapping) and set(value) != {"json"}:
            return Question.from_text(json.dumps(value))
        return Question.from_text(_text(row, "question"))
    except DataError:
        raise row.expected("question", "a question", value) from None


def _is_plain(text: str) -> bool:
    return isinstance(stored(text), str)


def _escaped(text: str) -> dict[str, str]:
    return {"json": json.dumps(text)}


def _carried(text: str) -> object:
    """Return a text as JSON lines in UTF-8 can hold it: with half of a surrogate pair, escaped twice."""
    return text if _is_plain(text) else _escaped(text)


def _text(row: Row, name: str) -> str:
    value = row.column(name)
    inner = value.get("json") if isinstance(value, Mapping) else None
    if isinstance(inner, str):
        try:
            value = json.loads(inner)
        except ValueError:
            raise row.expected(name, "a text in JSON", inner) from None
    if not isinstance(value, str):
        raise row.expected(name, "a text", value)
    return value


def _count(row: Row, name: str) -> int:
    value = row.column(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise row.expected(name, "a whole number from 0", value)
    return value


def _amount(row: Row, name: str) -> float | None:
    value = row.column(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise row.expected(name, "a number from 0 or null", value)
    return float(value)
