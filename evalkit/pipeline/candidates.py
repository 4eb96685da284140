"""Candidate responses for `select`: with score or answer, grouped by prompt, duplicates merged."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evalkit.pipeline.config import Select
from rewards.errors import DataError
from rewards.files import Row, generations, read_rows, to_row
from rewards.files.grouping import group_by_prompt
from rewards.records import Generation

Answer = str | int | float | None

SAME_SCORE = 1e-4
"""Scores of one text further apart than this are counted as a conflict; rounding does not explain them."""


ENDING = "finish_reason"
SAMPLED = (ENDING, "token_count")
"""What `evalkit generate` says of each sample, in columns with an s behind these."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A response to select from."""

    generation: Generation
    score: float
    """Its reward; 1 in a majority vote, where all votes weigh the same."""
    answer: Answer
    """The answer it votes for; None where it does not vote."""
    where: str
    """File and line, for errors."""

    def refusal(self, problem: str) -> DataError:
        """Return an error with this candidate's row and prompt, for the caller to raise."""
        prompt = self.generation.prompt
        text = prompt if isinstance(prompt, str) else prompt[-1].content
        shown = repr(text if len(text) <= 60 else text[:57] + "...")
        return DataError(f"{self.where}: prompt {shown} {problem}")


class Merged(NamedTuple):
    """Candidates of distinct texts, and counts of merged duplicates."""

    candidates: list[Candidate]
    copies: int
    """Candidates that repeat an earlier text."""
    conflicts: int
    """Copies whose score differs from the kept one."""


def candidates_by_prompt(config: Select) -> Iterator[list[Candidate]]:
    """Yield each prompt's candidates, prompts and candidates in the order of the file.

    Raises:
        DataError: A row without a finite score or its answer, or a prompt that reappears after the window.
    """
    rows = (_candidates(row, config) for row in read_rows(config.data, rename=config.rename or None))
    groups = group_by_prompt(rows, lambda candidates: candidates[0].generation.prompt, config.window)
    for group in groups:
        yield [candidate for candidates in group for candidate in candidates]


def merge_copies(candidates: Sequence[Candidate]) -> Merged:
    """Keep the first candidate of each text, with its score.

    Rejection sampling would accept duplicates, and count a text as often as it was sampled.
    """
    kept: dict[str, Candidate] = {}
    conflicts = 0
    for candidate in candidates:
        first = kept.setdefault(candidate.generation.response, candidate)
        conflicts += not math.isclose(first.score, candidate.score, rel_tol=SAME_SCORE, abs_tol=SAME_SCORE)
    return Merged(list(kept.values()), len(candidates) - len(kept), conflicts)


def pair_row(better: Candidate, worse: Candidate) -> dict[str, object]:
    """Return the row of a pair: the two texts, their difference in reward, and how each ended, where known.

    A truncated response has no EOS, and training must not teach one.
    """
    winner, loser = to_row(better.generation), to_row(worse.generation)
    # Not `margin`: training would take it for the margin of its loss, which is in raw logits.
    difference = better.score - worse.score
    row = {
        "prompt": winner["prompt"],
        "chosen": winner["response"],
        "rejected": loser["response"],
        "reward_margin": difference,
    }
    if ENDING in winner and ENDING in loser:
        row |= {f"chosen_{ENDING}": winner[ENDING], f"rejected_{ENDING}": loser[ENDING]}
    return row


def _candidates(row: Row, config: Select) -> list[Candidate]:
    """Return a row's candidates; list columns of a row of `responses` become columns of one response."""
    listed = row.values.get("response") is None and row.values.get("responses") is not None
    scored, voting = config.method != "majority-vote", config.method.endswith("vote")
    score_column = _column(row, config.score, listed, "score") if scored else ""
    answer_column = _column(row, config.answer, listed, "answer") if voting else ""
    made = []
    for generation in generations(row):
        extra = dict(generation.extra)
        score: float = 1.0
        answer: Answer = None
        if scored:
            score = extra[config.score] = _number(row, score_column, _taken(row, extra, score_column))
        if voting and answer_column in ("response", "responses"):
            answer = generation.response
        elif voting:
            answer = extra[config.answer] = _answer(row, answer_column, _taken(row, extra, answer_column))
        if listed:
            extra = _in_singular(row, extra, (config.score, config.answer, *SAMPLED))
        plain = Generation(generation.prompt, generation.response, generation.steps, generation.id, extra)
        made.append(Candidate(plain, score, answer, row.where))
    return made


def _in_singular(row: Row, extra: dict[str, object], names: tuple[str, ...]) -> dict[str, object]:
    """Rename one response's elements of `scores` and the like to the names of a single response.

    `scores` becomes `score`, and `scores_aspects` becomes `score_aspects`. Other lists with an
    element for each response keep their names, since their singular is unknown.
    """
    count = len(row.list_in("responses"))
    named = {}
    for column, value in extra.items():
        single, whole = column, row.values.get(column)
        for name in names:
            ours = column == f"{name}s" or column.startswith(f"{name}s_")
            if ours and isinstance(whole, list) and len(whole) == count:
                single = name + column[len(name) + 1 :]
        named[column if single in extra else single] = value
    return named


def _column(row: Row, name: str, listed: bool, option: str) -> str:
    """Return the column of `name`; for a list of responses also its plural."""
    names = (f"{name}s", name) if listed else (name,)
    for column in names:
        if column in row.values:
            if listed and len(row.list_in(column)) != len(row.list_in("responses")):
                raise row.expected(column, f"{len(row.list_in('responses'))} values", row.values[column])
            return column
    there = ", ".join(row.values)
    raise DataError(
        f"{row.where}: no column {' or '.join(map(repr, names))}, only {there}; --{option} names another"
    )


def _taken(row: Row, extra: dict[str, object], column: str) -> object:
    if column not in extra:
        raise DataError(f"{row.where}: column {column!r} says what the row is, not how good; name another")
    return extra.pop(column)


def _number(row: Row, column: str, value: object) -> float:
    try:
        # Every column of a csv file is text.
        number = (
            float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
        )
    except ValueError:
        number = None
    if number is None or not math.isfinite(number):
        raise row.expected(column, "a finite number", value)
    return number


def _answer(row: Row, column: str, value: object) -> Answer:
    if value is None or isinstance(value, str | int | float):
        return value
    raise row.expected(column, "a text, a number or null", value)
