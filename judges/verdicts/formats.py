"""Annotation files of AlpacaEval, Arena-Hard and MT-bench, read as they are; `first` is the system tested.

A row that a tool left without a verdict becomes a verdict without a winner, with the reason; none is dropped.
"""

import itertools
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from judges.judge import Comparison, Verdict
from judges.verdicts.annotation import (
    API_ERROR,
    NOTHING_SHOWN,
    PROMPT_ID,
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

ARENA_LABELS: Mapping[str, float] = {
    "A>>B": 1.0, "A>B": 1.0, "A=B": 0.5, "A<B": 0.0, "A<<B": 0.0,
    "B>>A": 0.0, "B>A": 0.0, "B=A": 0.5, "B<A": 1.0, "B<<A": 1.0,
}  # fmt: skip
"""What Arena-Hard's labels say of the answer shown first."""

_ARENA_MARKS = (
    Marks(
        "<|User Prompt|>",
        "<|The Start of Assistant A's Answer|>",
        "<|The Start of Assistant A's Answer|>",
        "<|The End of Assistant A's Answer|>",
        "<|The Start of Assistant B's Answer|>",
        "<|The End of Assistant B's Answer|>",
    ),
)

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


@dataclass(frozen=True)
class Format:
    """One kind of file."""

    name: str
    columns: frozenset[str]
    """Columns that a row of it has, by which it is recognised."""
    read: Callable[[Iterable[Row]], Iterator[Verdict]]


def alpaca_eval_shows_second_first(instruction: str) -> bool:
    """Say whether AlpacaEval showed output_2 before output_1: its order is drawn by the instruction alone.

    Source: `processors.RandomSwitchTwoColumnsProcessor` of tatsu-lab/alpaca_eval, with its seed of 0.
    """
    drawn = random.Random(f"is_switched_outputs{instruction}0").choices([False, True])
    return drawn[0]


def read_alpaca_eval(rows: Iterable[Row]) -> Iterator[Verdict]:
    """Read annotations.json: output_2 is the model, output_1 the baseline; preference 2 is for the model.

    A preference of 0, in older files, is a tie; null or NaN is no verdict.
    """
    for row in rows:
        instruction, baseline, model = (
            text_in(row, name) for name in ("instruction", "output_1", "output_2")
        )
        switched = row.values.get("is_switched_outputs")
        if not isinstance(switched, bool):
            switched = alpaca_eval_shows_second_first(instruction)
        dataset, judge = (str(row.values.get(name) or "") for name in ("dataset", "annotator"))
        extra = {"first_system": _system(row, 2), "second_system": _system(row, 1), "dataset": dataset}
        comparison = Comparison(instruction, model, baseline, row.id(), extra)
        value = _alpaca_preference(row)
        reply = row.values.get("raw_completion")
        words = reply if isinstance(reply, str | None) else json.dumps(reply)
        yield annotated(comparison, value, judge=judge, swapped=not switched, preference=value, reply=words)


def read_compact_alpaca_eval(rows: Iterable[Row]) -> Iterator[Verdict]:
    """Read the same as csv without texts: lengths in characters, and no telling what was seen first.

    The system is named by column `model` where there is one: one generator may have been annotated twice.
    """
    for row in rows:
        example = name_in(row, "example_index")
        extra = {
            "first_system": str(row.values.get("model") or text_in(row, "generator_2")),
            "second_system": text_in(row, "generator_1"),
            PROMPT_ID: example,
            "dataset": row.values.get("dataset", ""),
            "first_characters": row.number_in("len_output_2"),
            "second_characters": row.number_in("len_output_1"),
        }
        value = _alpaca_preference(row)
        judge = str(row.values.get("annotator") or "")
        comparison = Comparison(example, "", "", example, extra)
        yield annotated(comparison, value, judge=judge, swapped=None, preference=value)


def _alpaca_preference(row: Row) -> float | None:
    """Return the probability that output_2 is better."""
    given = row.column("preference")
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    number = row.number_in("preference")
    if math.isnan(number):
        return None
    if number == 0:
        return 0.5
    if not 1 <= number <= 2:
        raise row.expected("preference", "0, or a number from 1 to 2", given)
    return number - 1


def _system(row: Row, number: int) -> str:
    return str(row.values.get(f"generator_{number}") or f"output_{number}")


def read_arena_hard(rows: Iterable[Row]) -> Iterator[Verdict]:
    """Read v0.1 and v2: the first game shows the baseline first, the second the model.

    The label stays in column `label`, as Arena-Hard counts `>>` three times. Files of v0.1 do not name their
    baseline. A game that is null or has no label among the ten is no verdict.
    """
    for row in rows:
        uid = name_in(row, "uid" if "uid" in row.values else "question_id")
        judge, _ = judge_in(row)
        baseline = str(row.values.get("baseline") or "baseline")
        more = {"category": row.values["category"]} if row.values.get("category") else {}
        for number, game in enumerate(row.list_in("games")):
            if game is not None and not isinstance(game, dict):
                raise row.expected("games", "objects with score and judgment, or null", game)
            label, reply, shown = _game(row, game or {})
            shown = shown if number % 2 else shown.swap()  # told from the model's side
            value = ARENA_LABELS.get(label)
            if value is not None and number % 2 == 0:
                value = 1 - value
            extra = systems(text_in(row, "model"), baseline, uid, label=label, **more)
            comparison = Comparison(prompt_or(shown, uid), shown.first, shown.second, uid, extra)
            detail = "" if value is not None else f"label {label!r}" if label else "no label"
            yield annotated(
                comparison, value, judge=judge, swapped=number % 2 == 0, reply=reply, detail=detail
            )


def _game(row: Row, game: dict[str, Any]) -> tuple[str, object, Any]:
    label = game.get("score")
    if label is not None and not isinstance(label, str):
        raise row.expected("games", "a label such as A>B in score, or null", label)
    reply = game.get("judgment")
    if isinstance(reply, dict):
        reply = reply.get("answer")
    text = game.get("user_prompt")
    messages = game.get("prompt")
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        text = messages[-1].get("content")
    return label or "", reply, shown_between(text, _ARENA_MARKS) if text else NOTHING_SHOWN


def _format(name: str, read: Callable[[Iterable[Row]], Iterator[Verdict]], *columns: str) -> Format:
    return Format(name, frozenset(columns), read)


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


class ModelGrade(NamedTuple):
    """One model's grade; None where there is none, with the judge's reply."""

    model: str
    grade: float | None
    reply: str


def read_grades(rows: Iterable[Row]) -> Iterator[Verdict]:
    """Read gpt-4_single.jsonl and compare the grades of every two models on a question's turn.

    Grades within TIE_MARGIN of each other are a tie; -1, or null, is no grade, and so no verdict on the
    model's pairs. A model graded again on the same turn gives another repeat. Models stand in the order of
    the file.
    """
    graded: dict[tuple[str, object, str, int], list[ModelGrade]] = defaultdict(list)
    seen: Counter[tuple[str, object, str, str]] = Counter()
    for row in rows:
        question, turn, model = name_in(row, "question_id"), row.column("turn"), text_in(row, "model")
        judge, _ = judge_in(row)
        repeat = seen[question, turn, judge, model]
        seen[question, turn, judge, model] += 1
        failed = row.values.get("judgment") == API_ERROR
        graded[question, turn, judge, repeat].append(
            ModelGrade(model, _grade(row), API_ERROR if failed else "")
        )
    for (question, turn, judge, repeat), models in graded.items():
        for first, second in itertools.combinations(models, 2):
            grades = {"first_score": first.grade, "second_score": second.grade}
            known = {name: grade for name, grade in grades.items() if grade is not None}
            extra = systems(first.model, second.model, question, turn=turn, **known)
            yield _compared(
                Comparison(question, "", "", f"{question}:{turn}", extra), first, second, judge, repeat
            )


def _compared(
    comparison: Comparison, first: ModelGrade, second: ModelGrade, judge: str, repeat: int
) -> Verdict:
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


FORMATS = (
    _format("AlpacaEval", read_alpaca_eval, "instruction", "output_1", "output_2", "preference"),
    _format(
        "AlpacaEval without texts", read_compact_alpaca_eval,
        "example_index", "generator_1", "generator_2", "preference", "len_output_1", "len_output_2",
    ),
    _format("Arena-Hard v2", read_arena_hard, "uid", "model", "judge", "games"),
    _format("Arena-Hard v0.1", read_arena_hard, "question_id", "model", "judge", "games"),
    _format(
        "MT-bench pairs", read_pairs, "question_id", "model_1", "model_2", "g1_winner", "g2_winner", "judge"
    ),
    _format("MT-bench votes", read_votes, "question_id", "model_a", "model_b", "winner", "judge"),
    _format("MT-bench grades", read_grades, "question_id", "model", "judge", "score", "turn"),
)  # fmt: skip
"""Formats of other tools, tried in this order."""
