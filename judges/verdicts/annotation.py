"""Shared parts of the readers of other tools' annotations: making verdicts, and texts out of prompts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from judges.judge import Comparison, Verdict, Winner
from rewards.files import Row
from rewards.records import Prompt

PROMPT_ID = "prompt_id"
"""Column that says which verdicts share a prompt, where a file does not hold, or not always, its text."""

ORDER = "order"
"""Column that is `unknown` where a file does not say which side the judge saw first."""

API_ERROR = "$ERROR$"
"""FastChat's reply of a call that failed."""


class Shown(NamedTuple):
    """A prompt and two answers as the judge saw them; empty where they are not known."""

    prompt: str
    first: str
    second: str

    def swap(self) -> "Shown":
        """Return the answers exchanged."""
        return Shown(self.prompt, self.second, self.first)


NOTHING_SHOWN = Shown("", "", "")


class Marks(NamedTuple):
    """The words of a judge's template around the prompt and the answers, in their order."""

    prompt: str
    prompt_end: str
    first: str
    first_end: str
    second: str
    second_end: str


def shown_between(text: object, templates: tuple[Marks, ...]) -> Shown:
    """Return what stands between the marks of the first template that fits.

    A template fits where each mark stands exactly once, so that marks within an answer mislead nobody.
    """
    if not isinstance(text, str):
        return NOTHING_SHOWN
    for marks in templates:
        places = [text.find(mark) for mark in marks]
        if -1 in places or places != sorted(places) or any(text.count(mark) != 1 for mark in marks):
            continue
        ends = [place + len(mark) for place, mark in zip(places, marks, strict=True)]
        prompt, first, second = (text[ends[start] : places[start + 1]] for start in (0, 2, 4))
        # The template puts one line end on either side of an answer; others are the answer's own.
        answers = (answer.removeprefix("\n").removesuffix("\n") for answer in (first, second))
        return Shown(prompt.strip("\n"), *answers)
    return NOTHING_SHOWN


def annotated(
    comparison: Comparison,
    value: float | None,
    *,
    judge: str,
    swapped: bool | None = False,
    preference: float | None = None,
    reply: object = "",
    detail: str = "",
) -> Verdict:
    """Return a verdict.

    Args:
        comparison: As the verdict is told.
        value: 1 where `first` won, 0.5 for a tie, 0 where `second` won; between for a probability; None where
            there is no verdict, which is api_failed where the reply says so and else parse_failed.
        judge: The judge's name.
        swapped: Whether the judge saw `second` first; None if unknown.
        preference: The judge's probability, where it gave one.
        reply: The judge's reply; ignored if it is no text.
        detail: Details of the reason.
    """
    if swapped is None:
        comparison = in_order(comparison, known=False)
    words = reply if isinstance(reply, str) else ""
    winner: Winner | None = None
    if value is not None:
        winner = "tie" if value == 0.5 else "first" if value > 0.5 else "second"
    reason = ""
    if winner is None:
        reason = "api_failed" if words.strip() == API_ERROR else "parse_failed"
    return Verdict(
        comparison, winner, preference, reason, judge, swapped=bool(swapped), detail=detail, reply=words
    )


def in_order(comparison: Comparison, *, known: bool) -> Comparison:
    """Return a comparison that says, where that is so, that nobody knows which side the judge saw first."""
    extra = {name: value for name, value in comparison.extra.items() if name != ORDER}
    if not known:
        extra[ORDER] = "unknown"
    return replace(comparison, extra=extra)


def order_known(verdict: Verdict) -> bool:
    """Say whether it is known which side a judge saw first."""
    return verdict.comparison.extra.get(ORDER) != "unknown"


def systems(first: str, second: str, prompt_id: str, **more: object) -> Mapping[str, object]:
    """Return a comparison's `extra`: both systems' names, what names the prompt, and more."""
    return {"first_system": first, "second_system": second, PROMPT_ID: prompt_id, **more}


def text_in(row: Row, name: str) -> str:
    """Return a column's text.

    Raises:
        DataError: There is none.
    """
    value = row.column(name)
    if not isinstance(value, str):
        raise row.expected(name, "a text", value)
    return value


def name_in(row: Row, name: str) -> str:
    """Return a column's name of something, a text or a whole number.

    Raises:
        DataError: It is neither.
    """
    value = row.column(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_in(row, name)


def judge_in(row: Row) -> tuple[str, str]:
    """Return the name of the judge, and of its prompt where a row gives both as a list.

    Raises:
        DataError: The column holds neither a text nor a list of texts.
    """
    value = row.column("judge")
    if isinstance(value, str):
        return value, ""
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return str(value[0]), " ".join(map(str, value[1:]))
    raise row.expected("judge", "a text or a list of texts", value)


def prompt_or(shown: Shown, prompt_id: str) -> Prompt:
    """Return the prompt that was shown, or its name where its text is not known."""
    return shown.prompt or prompt_id
