"""Math-Shepherd: solutions whose every step was labelled by whether completions from it reach the answer.

Source: `peiyi9979/Math-Shepherd` on the Hub or its `math-shepherd.jsonl`; MIT licence. Wang et al. 2023,
"Math-Shepherd: Verify and Reinforce LLMs Step-by-step without Human Annotations" (2312.08935), section 3.3: a
step is right (hard estimation) where any of N completions from it ends in the right answer.
"""

import re
from typing import NamedTuple

from rewards.data.streams import id_of
from rewards.errors import DataError
from rewards.files import Row
from rewards.records import StepLabels

TAG = "ки"
"""Tag that ends each step in `input`, two Cyrillic letters; `label` has + or - instead of it."""

MARKS = {"+": 1.0, "-": 0.0}

_FIRST_STEP = re.compile(r"step 1:", re.IGNORECASE)


class _Marked(NamedTuple):
    """A stretch of `input` that ends in a tag: its offsets, and the label's mark for it."""

    start: int
    end: int
    mark: str


def math_shepherd_steps(row: Row) -> StepLabels:
    r"""Return the labelled steps of a row `{input, label, task}`.

    The prompt is the question without white space around it. It ends where "Step 1:" begins, in either
    case; in the few rows without it, behind the first question mark. A step is the text before its tag
    without the white space between them, and ends with the white space that follows the tag, so that the
    steps ("Step 1: ...\n", ..., "Step 3: ...") join to the solution. Labels do not stop at the first error:
    every step was labelled on its own. `extra` holds `task`, and in the few rows whose question holds a tag
    `question_marks`, the marks that belong to no step.

    Raises:
        DataError: A column is missing or not of its type, `input` and `label` differ elsewhere than at the
            tags, text follows the last tag, or no question or no step is found.
    """
    text, label = _text(row, "input"), _text(row, "label")
    marked = _marked(row, text, label)
    begin = _question_end(row, text, marked)
    steps = [part for part in marked if part.end > begin]
    in_question = [part.mark for part in marked if part.end <= begin]
    if not steps:
        raise row.expected("input", f"a step that ends in {TAG!r} behind the question", text[-60:])
    if in_question:
        begin = max(begin, _after_space(text, marked[len(in_question) - 1].end + len(TAG)))
    # White space behind a tag ends that tag's step; the last step of a solution has none.
    starts = [begin, *(_after_space(text, part.start) for part in steps[1:])]
    pieces = [text[start : part.end].rstrip() for start, part in zip(starts, steps, strict=True)]
    gaps = [text[part.end + len(TAG) : start] for part, start in zip(steps[:-1], starts[1:], strict=True)]
    joined = tuple(piece + gap for piece, gap in zip(pieces, [*gaps, ""], strict=True))
    extra = {name: value for name, value in row.values.items() if name not in ("id", "input", "label")}
    if in_question:
        extra["question_marks"] = in_question
    question = text[:begin].replace(TAG, "").strip()
    labels = tuple(MARKS[part.mark] for part in steps)
    try:
        return StepLabels(question, joined, labels, id_of(row), extra)
    except DataError as error:
        raise DataError(f"{row.where}: {error}") from None


def _text(row: Row, field: str) -> str:
    value = row.column(field)
    if not isinstance(value, str):
        raise row.expected(field, "a text", value)
    return value


def _marked(row: Row, text: str, label: str) -> list[_Marked]:
    """Return the stretches of `input` up to each tag, checked against `label`."""
    stretches, start, place = [], 0, 0
    *parts, rest = text.split(TAG)
    for part in parts:
        mark = label[place + len(part) : place + len(part) + 1]
        if not label.startswith(part, place) or mark not in MARKS:
            raise row.expected("label", f"{(part[-30:] + TAG)!r} of field 'input' with + or -", label[place:])
        stretches.append(_Marked(start, start + len(part), mark))
        start += len(part) + len(TAG)
        place += len(part) + 1
    if rest.strip():
        raise row.expected("input", f"nothing behind the last {TAG!r}", rest)
    if label[place:].strip():
        raise row.expected("label", "nothing behind the last mark", label[place:])
    return stretches


def _question_end(row: Row, text: str, marked: list[_Marked]) -> int:
    """Return where the first step begins."""
    first = _FIRST_STEP.search(text)
    if first:
        return first.start()
    end = text.find("?", 0, marked[0].end if marked else len(text)) + 1
    if not end:
        raise row.expected("input", "a question, then 'Step 1:' (or a question mark)", text)
    return _after_space(text, end)


def _after_space(text: str, place: int) -> int:
    while text[place : place + 1].isspace():
        place += 1
    return place
