"""A scorer on preferences and rankings: its scores beside features of null baselines, and its report card."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

from rewards.data.hh import ASSISTANT, final_turn
from rewards.errors import DataError, EvalkitError
from rewards.evaluation.rankings import ranked_pairs
from rewards.evaluation.report_card import ReportCard, ScoredRanking, report_card
from rewards.intervals import Resampling
from rewards.records import Generation, Message, Preference, Prompt, Ranking, prompt_hash
from rewards.scorer import Scorer, Standardized
from rewards.scorers.rules import Pattern

LIST_ITEMS = Pattern(r"(?m)^[ \t]*(?:[-*+\u2022]|\d{1,3}[.)])[ \t]+\S", count=True)
"""Matches lines that begin like a list item."""


PROMPT_BLIND = "prompt-blind"
"""Key and name of the baseline that scores responses without their prompts."""

CHUNK = 1024
"""Records scored at a time, so that prompts which records share are computed once."""

Record: TypeAlias = Preference | Ranking


def evaluate(
    scorer: Scorer,
    records: Iterable[Record],
    bins: int = 10,
    resampling: Resampling | None = None,
    prompt_blind: bool = True,
    source: str = "",
) -> ReportCard:
    """Score preferences or rankings, and return the scorer's report card on them.

    Args:
        scorer: The scorer to evaluate; its `logit_scale`, if any, is used for the calibration.
        records: Preferences or rankings; ties count for neither side.
        bins: Bins of the calibration error.
        resampling: How intervals are made; by default at 95 % by 1,000 resamples of the prompts.
        prompt_blind: Also score responses without their prompts, as a baseline; left out for a scorer that
            cannot.
        source: Column by which the accuracy is split; empty does not split.

    Raises:
        ConfigError: No pair has an order and both scores.
        DataError: A record has no such column.
        ScoringError: A response has no score.
    """
    chunks = scored_chunks(scorer, records, source=source, prompt_blind=prompt_blind)
    rows = [scored_ranking(row) for chunk in chunks for row in chunk]
    logit_scale = scorer.logit_scale if isinstance(scorer, Standardized) else 1.0
    return report_card(rows, logit_scale, bins, resampling or Resampling())


def scored_chunks(
    scorer: Scorer,
    records: Iterable[Record],
    done: int = 0,
    source: str = "",
    prompt_blind: bool = True,
    without_baseline: Callable[[EvalkitError], None] = lambda _: None,
) -> Iterator[list[dict[str, object]]]:
    """Score records chunk by chunk; yield the report card's input for each, as JSON.

    Args:
        scorer: The scorer to evaluate.
        records: Preferences or rankings.
        done: Number of records before these, for numbering records without an id.
        source: Column with a record's source.
        prompt_blind: Also score responses without their prompts.
        without_baseline: Called with the error of a scorer that gives no score without a prompt; later rows
            have no such baseline.

    Raises:
        DataError: A record has no such column.
        ScoringError: A response has no score.
    """
    remaining = iter(records)
    while chunk := list(islice(remaining, CHUNK)):
        names = [record.id or f"row {number}" for number, record in enumerate(chunk, done + 1)]
        answers = [_generations(record, name) for record, name in zip(chunk, names, strict=True)]
        parts = zip(chunk, names, answers, _score(scorer, answers), strict=True)
        rows = [_row(record, name, row, values, source) for record, name, row, values in parts]
        if prompt_blind:
            try:
                blind_scores = _score(scorer, [[_without_prompt(each) for each in row] for row in answers])
                for row, without in zip(rows, blind_scores, strict=True):
                    row[PROMPT_BLIND] = without
            except EvalkitError as error:
                prompt_blind = False
                without_baseline(error)
        yield rows
        done += len(chunk)


def _generations(record: Record, name: str) -> list[Generation]:
    """Return a record's responses, the chosen one first, each with its own columns.

    A column `chosen_X` or `X_chosen` is the chosen response's `X`, and of a list as long as the responses
    each has its element, so that `column:X` finds the scores that a row already holds.
    """
    if isinstance(record, Preference):
        sides = (("chosen", record.chosen), ("rejected", record.rejected))
        columns = [_columns_of_side(record.extra, side) for side, _ in sides]
        responses: Sequence[str] = [response for _, response in sides]
    else:
        responses = record.responses
        columns = [_columns_of_place(record.extra, place, len(responses)) for place in range(len(responses))]
    return [
        Generation(*_last_turn(record.prompt, response), (), name, extra)
        for response, extra in zip(responses, columns, strict=True)
    ]


def _columns_of_side(extra: Mapping[str, object], side: str) -> dict[str, object]:
    own = {}
    for column, value in extra.items():
        name = column.removeprefix(f"{side}_").removesuffix(f"_{side}")
        if name != column:
            own[name] = value
    return {**extra, **own}


def _columns_of_place(extra: Mapping[str, object], place: int, count: int) -> dict[str, object]:
    return {
        column: value[place] if isinstance(value, list) and len(value) == count else value
        for column, value in extra.items()
    }


def _last_turn(prompt: Prompt, response: str) -> tuple[Prompt, str]:
    """Give the earlier turns of a response to its prompt, where HH's two dialogues part before the last."""
    if not isinstance(prompt, str) or not prompt.endswith(ASSISTANT):
        return prompt, response
    last = final_turn(response)
    return prompt + response[: len(response) - len(last)], last


def _without_prompt(generation: Generation) -> Generation:
    # Drop its columns too, as they may reveal the prompt.
    prompt: Prompt = "" if isinstance(generation.prompt, str) else (Message("user", ""),)
    return Generation(prompt, generation.response, (), generation.id)


def _score(scorer: Scorer, answers: Sequence[Sequence[Generation]]) -> list[list[float]]:
    scores = iter(scorer.score([generation for row in answers for generation in row]))
    return [[score.value for score in islice(scores, len(row))] for row in answers]


def _row(
    record: Record, name: str, answers: Sequence[Generation], scores: Sequence[float], source: str
) -> dict[str, object]:
    ranks = (1, 2) if isinstance(record, Preference) else record.ranks
    if source and source not in record.extra:
        known = ", ".join(record.extra) or "none"
        raise DataError(
            f"{name}: no column {source!r} to split the accuracy by; columns beside ours: {known}"
        )
    pairs = ranked_pairs([ranks])
    right = [
        scores[better] > scores[worse] for better, worse in zip(pairs.chosen, pairs.rejected, strict=True)
    ]
    return {
        "id": name,
        "prompt": prompt_hash(record.prompt).hex(),
        "scores": list(scores),
        "ranks": list(ranks),
        "pairs": len(right),
        "right": sum(right),
        "lengths": [len(answer.response) for answer in answers],
        "list_items": [int(score.value) for score in LIST_ITEMS.score(answers)],
        "margin": record.margin if isinstance(record, Preference) else None,
        "source": str(record.extra[source]) if source else "",
    }


def scored_ranking(row: Mapping[str, Any]) -> ScoredRanking:
    """Return a row as the input of `report_card`; its prompt-blind score is a baseline."""
    features = {"more list items": row["list_items"]}
    if PROMPT_BLIND in row:
        features[PROMPT_BLIND] = row[PROMPT_BLIND]
    return ScoredRanking(
        row["prompt"], row["scores"], row["ranks"], row["lengths"], features, row["source"], row["margin"]
    )
