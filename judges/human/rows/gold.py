"""Known answers of planted checks, from a column `gold`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from judges.human.answers import STEP_LABELS, Answer, AnswerError, BestAnswer, answer_of, check_answer
from judges.human.tasks import Screen

_STEP_LABELS_OF: Mapping[object, str] = {
    **{label: label for label in STEP_LABELS}, 1: "positive", 0.5: "neutral", 0: "negative"
}  # fmt: skip
"""As people say it, or as StepLabels holds it; true is 1 and false 0."""

_WINNERS = {"chosen": "first", "rejected": "second"}

EXPECTED: Mapping[Screen, str] = {
    "pairwise": "first, second or tie (chosen and rejected where the answers are called so)",
    "best": "the index of the best answer, from 0",
    "ranking": "one rank for each answer, 1 for the best, equal ones for ties",
    "steps": "one label for each step: positive, neutral or negative, or true, false, 1, 0.5 or 0",
    "spans": "a list of {start, end, aspect} by character offsets, empty where nothing is to be marked",
}
"""What `gold` holds on each screen."""


def gold_answer(
    screen: Screen,
    value: object,
    responses: Sequence[str],
    steps: Sequence[str] = (),
    aspects: Sequence[str] = (),
) -> Answer:
    """Return the known answer in a column `gold`; see EXPECTED.

    Ranks may leave no places free behind a tie (1, 1, 2), as `Ranking` has them. Labels of steps behind the
    first negative one are left out, as nobody is asked about those.

    Raises:
        AnswerError: It is no answer to such a task.
    """
    payloads: dict[Screen, Callable[[object], dict[str, object]]] = {
        "pairwise": _pairwise, "best": _best, "ranking": _ranking, "steps": _steps, "spans": _spans,
    }  # fmt: skip
    answer = answer_of(screen, payloads[screen](value))
    rated = replace(answer, ratings=(1,) * len(responses)) if isinstance(answer, BestAnswer) else answer
    check_answer(rated, responses, steps, aspects)  # of the best of K no rating is known
    return answer


def _pairwise(value: object) -> dict[str, object]:
    return {"winner": _WINNERS.get(value, value) if isinstance(value, str) else value}


def _best(value: object) -> dict[str, object]:
    return {"best": _whole(value), "ratings": []}


def _ranking(value: object) -> dict[str, object]:
    ranks = [_whole(rank) for rank in _list(value)]
    known = [rank for rank in ranks if isinstance(rank, int)]
    if len(known) < len(ranks):
        raise AnswerError("ranks are whole numbers")
    return {"ranks": [1 + sum(other < rank for other in known) for rank in known]}


def _steps(value: object) -> dict[str, object]:
    labels: list[object] = []
    for label in _list(value):
        if "negative" in labels:
            labels.append(None)
        elif isinstance(label, str | int | float) and label in _STEP_LABELS_OF:
            labels.append(_STEP_LABELS_OF[label])
        else:
            raise AnswerError(f"{label!r} is no label of a step")
    return {"labels": labels}


def _spans(value: object) -> dict[str, object]:
    spans = []
    for item in _list(value):
        if not isinstance(item, Mapping):
            raise AnswerError(f"a span is {{start, end, aspect}}, got {item!r}")
        told = {name: part for name, part in item.items() if part is not None}
        told = {name: _whole(part) if name in ("start", "end") else part for name, part in told.items()}
        praise = isinstance(told.get("aspect"), str) and str(told["aspect"]).startswith("+")
        spans.append({"label": int(praise), **told})
    return {"spans": spans, "missing": []}


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise AnswerError("it is no list")
    return value


def _whole(value: object) -> object:
    """Return the whole number that a column of floats or of text holds; anything else as it is."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and value.isdecimal() else value
