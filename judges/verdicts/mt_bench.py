"""MT-bench's judgments: pairs in both orders, votes of people, and grades of which pairs are made."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from judges.judge import Comparison, Verdict
from judges.verdicts.annotation import (
    API_ERROR,
    NOTHING_SHOWN,
    Marks,
    annotated,
    judge_in,
    name_in,
    prompt_or,
    shown_between,
    systems,
    text_in,
)
from rewards.files import Row

TIE_MARGIN = 0.1
"""Grades no further apart than this are a tie, as FastChat counts them (TIE_DELTA of its common.py)."""

_WINNERS = {"model_1": 1.0, "tie": 0.5, "model_2": 0.0, "error": None}

_ANSWERS = (
    "[The Start of Assistant A's Answer]",
    "[The End of Assistant A's Answer]",
    "[The Start of Assistant B's Answer]",
    "[The End of Assistant B's Answer]",
)
_MARKS = (
    Marks("[User Question]", "[The Start of Reference Answer]", *_ANSWERS),
    Marks("[User Question]", "[The Start of Assistant A's Answer]", *_ANSWERS),
)


def read_pairs(rows: Iterable[Row]) -> Iterator[Verdict]:
    """Read gpt-4_pair.jsonl: game 1 showed model_1 first, game 2 model_2; winners are already by model.

    Rows made of two grades (with m1_score) were not asked about twice and give one verdict.
    """
    for row in rows:
        question, turn = name_in(row, "question_id"), row.values.get("turn", 1)
        judge, template = judge_in(row)
        graded = "m1_score" in row.values
        for game in (1,) if graded else (1, 2):
            winner = row.column(f"g{game}_winner")
            if not isinstance(winner, str) or winner not in _WINNERS:
                raise row.expected(f"g{game}_winner", "model_1, model_2, tie or error", winner)
            shown = NOTHING_SHOWN
            if not graded:
                shown = shown_between(row.values.get(f"g{game}_user_prompt"), _MARKS)
            shown = shown.swap() if game == 2 else shown
            models = (text_in(row, "model_1"), text_in(row, "model_2"))
            extra = systems(*models, question, turn=turn, judge_prompt=template)
            comparison = Comparison(
                prompt_or(shown, question), shown.first, shown.second, f"{question}:{turn}", extra
            )
            yield annotated(
                comparison,
                _WINNERS[winner],
                judge=judge,
                swapped=None if graded else game == 2,
                reply=row.values.get(f"g{game}_judgment"),
            )


def read_votes(rows: Iterable[Row]) -> Iterator[Verdict]:
    """Read mt_bench_human_judgments, or an arena's votes: winner is model_a, model_b or some kind of tie."""
    for row in rows:
        question, turn = name_in(row, "question_id"), row.values.get("turn") or 1
        judge, template = judge_in(row)
        winner = text_in(row, "winner")
        value = {"model_a": 1.0, "model_b": 0.0}.get(winner)
        if value is None:
            if not winner.startswith("tie"):  # tie (bothbad), tie (inconsistent)
                raise row.expected("winner", "model_a, model_b or tie", winner)
            value = 0.5
        prompt, first = _conversation(row.values.get("conversation_a"), question)
        _, second = _conversation(row.values.get("conversation_b"), question)
        more = {"turn": turn, **({"judge_prompt": template} if template else {})}
        extra = systems(text_in(row, "model_a"), text_in(row, "model_b"), question, **more)
        comparison = Comparison(prompt, first, second, f"{question}:{turn}", extra)
        detail = winner if winner not in ("model_a", "model_b", "tie") else ""
        yield annotated(comparison, value, judge=judge, swapped=None, detail=detail)


def _conversation(turns: object, question: str) -> tuple[str, str]:
    """Return the first message, and all that follow as one text."""
    if not isinstance(turns, list):
        return question, ""
    said = [turn for turn in turns if isinstance(turn, dict) and isinstance(turn.get("content"), str)]
    if not said:
        return question, ""
    prompt, *rest = said
    if len(rest) == 1:
        return prompt["content"], rest[0]["content"]
    return prompt["content"], "\n\n".join(f"{turn.get('role', '')}: {turn['content']}" for turn in rest)


class Graded(NamedTuple):
    """One model's grade; None where there is none, with whatever the judge said."""

    model: str
    grade: float | None
    reply: str


def read_grades(rows: Iterable[Row]) -> Iterator[Verdict]:
    """Read gpt-4_single.jsonl and compare the grades of every two models on a question's turn.

    Grades within TIE_MARGIN of each other are a tie; -1, or null, is no grade, and so no verdict on the
    model's pairs. A model graded again on the same turn gives another repeat. Models stand in the order of
    the file.
    """
    graded: dict[tuple[str, object, str, int], list[Graded]] = defaultdict(list)
    seen: Counter[tuple[str, object, str, str]] = Counter()
    for row in rows:
        question, turn, model = name_in(row, "question_id"), row.column("turn"), text_in(row, "model")
        judge, _ = judge_in(row)
        repeat = seen[question, turn, judge, model]
        seen[question, turn, judge, model] += 1
        failed = row.values.get("judgment") == API_ERROR
        graded[question, turn, judge, repeat].append(Graded(model, _grade(row), API_ERROR if failed else ""))
    for (question, turn, judge, repeat), models in graded.items():
        for first, second in itertools.combinations(models, 2):
            grades = {"first_score": first.grade, "second_score": second.grade}
            known = {name: grade for name, grade in grades.items() if grade is not None}
            extra = systems(first.model, second.model, question, turn=turn, **known)
            yield _compared(
                Comparison(question, "", "", f"{question}:{turn}", extra), first, second, judge, repeat
            )


def _compared(comparison: Comparison, first: Graded, second: Graded, judge: str, repeat: int) -> Verdict:
    value = None
    if first.grade is not None and second.grade is not None:
        difference = first.grade - second.grade
        value = 0.5 if abs(difference) <= TIE_MARGIN else float(difference > 0)
    verdict = annotated(comparison, value, judge=judge, swapped=None, reply=first.reply or second.reply)
    return replace(verdict, repeat=repeat)


def _grade(row: Row) -> float | None:
    value = row.column("score")
    if value is None:
        return None
    number = row.number_in("score")
    return None if number < 0 or number != number else number
