"""Answers of people on each screen: checked, and mapped between the order shown and the task's order."""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

from judges.judge import WINNERS, Winner
from rewards.errors import DataError
from rewards.records import Span

StepLabel = Literal["positive", "neutral", "negative"]

STEP_LABELS: tuple[str, ...] = get_args(StepLabel)
BEST_RATING = 5
LONGEST_NOTE = 10_000
"""Characters of a comment, or of one thing that is missing."""


class AnswerError(DataError):
    """A post that is no valid answer to its task; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class PairwiseAnswer:
    """Which of two is better."""

    winner: Winner


@dataclass(frozen=True, slots=True)
class BestAnswer:
    """Which of K is best, and how good each is (Liu et al. 2023, RSO, ask people so)."""

    best: int
    """Its index from 0."""
    ratings: tuple[int, ...] = ()
    """Quality of each from 1 to 5, 5 best; empty only in a planted check."""


@dataclass(frozen=True, slots=True)
class RankingAnswer:
    """The order of K."""

    ranks: tuple[int, ...]
    """1 is best, equal ranks are ties; a tie of two at 1 is followed by 3."""


@dataclass(frozen=True, slots=True)
class StepsAnswer:
    """How good each step is, up to the first that is wrong (Lightman et al. 2023, PRM800K)."""

    labels: tuple[StepLabel | None, ...]
    """None behind the first negative step only."""


@dataclass(frozen=True, slots=True)
class SpansAnswer:
    """What is wrong where, and what is missing (Wu et al. 2023, fine-grained feedback)."""

    spans: tuple[Span, ...]
    """By character offsets in the response; `label` is 1 where the aspect begins with +, a praise, else 0."""
    missing: tuple[str, ...] = ()
    """What the response leaves out, each in the annotator's words."""


Answer: TypeAlias = PairwiseAnswer | BestAnswer | RankingAnswer | StepsAnswer | SpansAnswer


def answer_of(screen: str, payload: Mapping[str, object]) -> Answer:
    """Return the answer that JSON holds; it is checked by itself, `check_answer` holds it against its task.

    Raises:
        AnswerError: It is none for this screen.
    """
    readers: dict[str, Callable[[Mapping[str, object]], Answer]] = {
        "pairwise": _pairwise, "best": _best, "ranking": _ranking, "steps": _steps, "spans": _spans,
    }  # fmt: skip
    return readers[screen](payload)


def as_payload(answer: Answer) -> dict[str, object]:
    """Return an answer as what JSON can hold; `answer_of` reads it back."""
    match answer:
        case PairwiseAnswer():
            return {"winner": answer.winner}
        case BestAnswer():
            return {"best": answer.best, "ratings": list(answer.ratings)}
        case RankingAnswer():
            return {"ranks": list(answer.ranks)}
        case StepsAnswer():
            return {"labels": list(answer.labels)}
        case SpansAnswer():
            spans = [
                {"start": span.start, "end": span.end, "aspect": span.aspect, "label": span.label}
                for span in answer.spans
            ]
            return {"spans": spans, "missing": list(answer.missing)}


def check_answer(
    answer: Answer, responses: Sequence[str], steps: Sequence[str] = (), aspects: Sequence[str] = ()
) -> None:
    """Check an answer against its task's responses, steps and aspects.

    Raises:
        AnswerError: It speaks of what the task does not have, or leaves out what it asks.
    """
    match answer:
        case BestAnswer():
            if not 0 <= answer.best < len(responses):
                raise AnswerError(f"best is one of {len(responses)} answers, got {answer.best}")
            _check_length("ratings", answer.ratings, len(responses))
        case RankingAnswer():
            _check_length("ranks", answer.ranks, len(responses))
        case StepsAnswer():
            _check_length("labels", answer.labels, len(steps))
        case SpansAnswer():
            for span in answer.spans:
                if not span.start < span.end <= len(responses[0]):
                    raise AnswerError(
                        f"a span lies in the answer's {len(responses[0])} characters, got {span.start} to "
                        f"{span.end}"
                    )
                if span.aspect not in aspects or span.label != float(span.aspect.startswith("+")):
                    raise AnswerError(f"a span is one of {', '.join(aspects)}, got {span.aspect!r}")


def as_given(answer: Answer, shown: Sequence[int]) -> Answer:
    """Turn an answer to what was shown into one to the task as it was given.

    Args:
        answer: As the annotator saw the responses.
        shown: For each place on the page, the index of the response in the task.
    """
    match answer:
        case PairwiseAnswer(winner) if tuple(shown) == (1, 0):
            return PairwiseAnswer(_opposite(winner))
        case BestAnswer():
            ratings = tuple(_placed(answer.ratings, shown)) if answer.ratings else ()
            return BestAnswer(shown[answer.best], ratings)
        case RankingAnswer():
            return RankingAnswer(tuple(_placed(answer.ranks, shown)))
    return answer


def as_shown(answer: Answer, shown: Sequence[int]) -> Answer:
    """Turn an answer to the task as it was given into one to what was shown; undoes `as_given`."""
    places = [shown.index(place) for place in range(len(shown))]
    return as_given(answer, places)


def said(answer: Answer) -> Hashable:
    """Return what two annotators must say alike to agree; None for spans, on which none agree exactly."""
    match answer:
        case PairwiseAnswer():
            return answer.winner
        case BestAnswer():
            return answer.best
        case RankingAnswer():
            return answer.ranks
        case StepsAnswer():
            return first_error(answer)
        case SpansAnswer():
            return None


def first_error(answer: StepsAnswer) -> int:
    """Return the index of the first negative step, or the number of steps where none is."""
    return next((n for n, label in enumerate(answer.labels) if label == "negative"), len(answer.labels))


def agrees_with(answer: Answer, gold: Answer) -> bool:
    """Return whether an answer to a planted check is right.

    Of the best of K the choice counts, of steps the place of the first error; spans are right where each
    known one is touched by one marked alike, and each one marked touches a known one.
    """
    if not isinstance(answer, SpansAnswer) or not isinstance(gold, SpansAnswer):
        return type(answer) is type(gold) and said(answer) == said(gold)
    return _covered(gold.spans, answer.spans) and _covered(answer.spans, gold.spans)


def _covered(spans: Sequence[Span], by: Sequence[Span]) -> bool:
    return all(
        any(s.aspect == o.aspect and s.start < o.end and o.start < s.end for o in by) for s in spans
    )  # fmt: skip


def _pairwise(payload: Mapping[str, object]) -> PairwiseAnswer:
    winner = _fields(payload, "winner")["winner"]
    if winner not in WINNERS:
        raise AnswerError(f"winner is one of {', '.join(WINNERS)}, got {winner!r}")
    return PairwiseAnswer(cast(Winner, winner))


def _best(payload: Mapping[str, object]) -> BestAnswer:
    given = _fields(payload, "best", "ratings")
    best = _whole("best", given["best"])
    ratings = tuple(_whole("ratings", rating) for rating in _list("ratings", given["ratings"]))
    if not all(1 <= rating <= BEST_RATING for rating in ratings):
        raise AnswerError(f"ratings are from 1 to {BEST_RATING}, got {ratings}")
    return BestAnswer(best, ratings)


def _ranking(payload: Mapping[str, object]) -> RankingAnswer:
    ranks = tuple(_whole("ranks", rank) for rank in _list("ranks", _fields(payload, "ranks")["ranks"]))
    ordered = sorted(ranks)  # and looked up, as comparing each with each would hold a server up for minutes
    if any(rank != 1 + bisect_left(ordered, rank) for rank in ranks):
        raise AnswerError(f"ranks count from 1, and equal ones take up places (1, 1, 3), got {ranks}")
    return RankingAnswer(ranks)


def _steps(payload: Mapping[str, object]) -> StepsAnswer:
    labels = _list("labels", _fields(payload, "labels")["labels"])
    for label in labels:
        if label is not None and label not in STEP_LABELS:
            raise AnswerError(f"labels are {', '.join(STEP_LABELS)} or null, got {label!r}")
    end = labels.index("negative") + 1 if "negative" in labels else len(labels)
    if None in labels[:end] or any(label is not None for label in labels[end:]):
        raise AnswerError(f"each step up to the first negative one has a label, none behind it, got {labels}")
    return StepsAnswer(tuple(cast("list[StepLabel | None]", labels)))


def _spans(payload: Mapping[str, object]) -> SpansAnswer:
    given = _fields(payload, "spans", "missing")
    spans = tuple(_span(item) for item in _list("spans", given["spans"]))
    missing = tuple(_note("missing", item) for item in _list("missing", given["missing"]))
    return SpansAnswer(spans, missing)


def _span(item: object) -> Span:
    if not isinstance(item, Mapping):
        raise AnswerError(f"a span is {{start, end, aspect, label}}, got {item!r}")
    given = _fields(item, "start", "end", "aspect", "label")
    start, end = (_whole(name, given[name]) for name in ("start", "end"))
    aspect, label = given["aspect"], given["label"]
    if not isinstance(aspect, str) or label not in (0, 1) or isinstance(label, bool):
        raise AnswerError(f"a span has an aspect and a label of 0 or 1, got {item!r}")
    if not 0 <= start <= end:
        raise AnswerError(f"a span has 0 <= start <= end, got {start} to {end}")
    return Span(start, end, aspect, float(cast(float, label)))


def _fields(payload: Mapping[str, object], *names: str) -> Mapping[str, object]:
    if not isinstance(payload, Mapping) or set(payload) != set(names):
        raise AnswerError(f"an answer here has the fields {', '.join(names)}, got {str(payload)[:80]}")
    return payload


def _whole(name: str, value: object) -> int:
    if type(value) is not int:
        raise AnswerError(f"{name}: expected a whole number, got {value!r}")
    return value


def _list(name: str, value: object) -> list[object]:
    if not isinstance(value, list | tuple):
        raise AnswerError(f"{name}: expected a list, got {value!r}")
    return list(value)


def _note(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NOTE:
        raise AnswerError(
            f"{name}: expected a text of 1 to {LONGEST_NOTE} characters, got {str(value)[:40]!r}"
        )
    return value


def _check_length(name: str, values: Sequence[object], count: int) -> None:
    if len(values) != count:
        raise AnswerError(f"{name}: expected {count}, one each, got {len(values)}")


def _placed(values: Sequence[int], shown: Sequence[int]) -> list[int]:
    placed = [0] * len(values)
    for value, place in zip(values, shown, strict=True):
        placed[place] = value
    return placed


def _opposite(winner: Winner) -> Winner:
    return cast(Winner, {"first": "second", "second": "first", "tie": "tie"}[winner])
