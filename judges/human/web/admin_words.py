"""Answers and figures in words, and as bars, for the admin view."""

from dataclasses import dataclass

from judges.human.answers import (
    Answer,
    BestAnswer,
    PairwiseAnswer,
    RankingAnswer,
    SpansAnswer,
    first_error,
)
from judges.human.tasks import Task

NONE = "-"
"""What stands where there is no number."""
NARROW = 0.1
"""Width of an interval below which a tenth of a percent says something."""
LONGEST_QUOTE = 120


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure with its interval, in words and as places on a scale from 0 to 100."""

    text: str
    interval: str
    """Its ends in words; empty where there are none."""
    mean: float
    low: float | None
    high: float | None


def bar(
    mean: float, low: float | None = None, high: float | None = None, ends: tuple[float, float] | None = None
) -> Bar:
    """Return a figure for a drawing: a share in percent, or with `ends` a number on that scale."""
    least, most = ends or (0.0, 1.0)
    narrow = low is not None and high is not None and high - low < NARROW
    digits = "{:.2f}" if ends else "{:.1%}" if narrow else "{:.0%}"
    words = "" if low is None or high is None else f"{digits.format(low)} to {digits.format(high)}"

    def place(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - least) / (most - least))), 2)

    return Bar(
        digits.format(mean),
        words,
        place(mean),
        None if low is None else place(low),
        None if high is None else place(high),
    )


def response_name(task: Task, place: int) -> str:
    """Return a response's name, with its system where that may be shown."""
    if len(task.responses) == 1:
        return next(filter(None, task.systems), "answer")
    letter = chr(ord("A") + place) if place < 26 else str(place + 1)
    return f"{letter} · {task.systems[place]}" if task.systems and task.systems[place] else letter


def names_of(task: Task) -> list[str]:
    """Return what a task's responses are called here."""
    return [response_name(task, place) for place in range(len(task.responses))]


def answer_words(task: Task, answer: Answer | None) -> str:
    """Return an answer in words."""
    names = names_of(task)
    match answer:
        case None:
            return "skipped it"
        case PairwiseAnswer("tie"):
            return "a tie"
        case PairwiseAnswer(winner):
            return f"{names[('first', 'second').index(winner)]} is better"
        case BestAnswer(best, ratings):
            rated = f"; quality {', '.join(map(str, ratings))} of 5" if ratings else ""
            return f"{names[best]} is best{rated}"
        case RankingAnswer(ranks):
            places = sorted(set(ranks))
            return " > ".join(
                " = ".join(name for name, rank in zip(names, ranks, strict=True) if rank == place)
                for place in places
            )
        case SpansAnswer():
            return _span_words(task, answer)
        case _:
            error = first_error(answer)
            return "no step is wrong" if error == len(task.steps) else f"step {error + 1} is wrong"


def duration(seconds: float | None) -> str:
    """Return a time in words."""
    if seconds is None:
        return NONE
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"


def _span_words(task: Task, answer: SpansAnswer) -> str:
    marked = [f"{span.aspect}: “{_quote(task.responses[0][span.start : span.end])}”" for span in answer.spans]
    missing = [f"missing: “{_quote(text)}”" for text in answer.missing]
    return "; ".join([*marked, *missing]) or "marked nothing"


def _quote(text: str) -> str:
    if len(text) <= LONGEST_QUOTE:
        return text
    return f"{text[: LONGEST_QUOTE // 2]} … {text[-LONGEST_QUOTE // 2 :]}"
