"""`evalkit evaluate`: a scorer's report card on preferences or rankings."""

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import blake2b
from itertools import islice
from typing import Any, TypeAlias

from evalkit import runs
from evalkit.evaluation.config import Evaluate
from evalkit.evaluation.reliability_figure import draw_reliability
from evalkit.evaluation.report_card_text import card_tables
from evalkit.runs.files import atomic_write, configuration_hash, fingerprint, spec_fingerprint
from evalkit.runs.outputs import ResumableRows
from evalkit.runs.terminal import progress, say, show
from rewards.data.hh import ASSISTANT, final_turn
from rewards.data.preferences import load_preferences
from rewards.errors import ConfigError, DataError, EvalkitError
from rewards.evaluation.rankings import ranked_pairs
from rewards.evaluation.report_card import ReportCard, ScoredRanking, report_card
from rewards.files import Screen, ScreeningConfig, read_rows
from rewards.intervals import Resampling
from rewards.records import Generation, Message, Preference, Prompt, Ranking, prompt_key
from rewards.scorer import Scorer, Standardized, load_scorer, truncated
from rewards.scorers.rules import Pattern

CHUNK = 1024
"""Rows scored and written at a time; fixed, so that no result depends on where a restart fell."""

REPORT, ROWS, FIGURE = "report.json", "rows.jsonl", "reliability.png"

LIST_ITEMS = Pattern(r"(?m)^[ \t]*(?:[-*+\u2022]|\d{1,3}[.)])[ \t]+\S", count=True)
"""Counts the lines that begin as an item of a list does."""

PROMPT_BLIND = "prompt-blind"

SCREENING = ScreeningConfig(identical="keep", no_comparison="drop")
"""A pair of identical responses stays in, as a tie; a row that compares nothing is left out and counted."""

Record: TypeAlias = Preference | Ranking


def run(config: Evaluate) -> None:
    """Score the responses, write report.json, rows.jsonl and reliability.png, and print the report card.

    Raises:
        EvalkitError: The data, the scorer or the output folder cannot be used.
    """
    resampling = Resampling(config.level, config.bootstrap, config.seed)
    if config.bins < 1:
        raise ConfigError(f"bins is 1 or more, got {config.bins}")
    scorer, screen = load_scorer(config.scorer), Screen(SCREENING)
    records = load_preferences(config.data, config.format, config.rename, screen)
    inputs = {"data": fingerprint(config.data), "scorer": spec_fingerprint(config.scorer)}
    with runs.run(config, inputs, done=REPORT) as folder:
        rows = folder / ROWS
        if rows.exists():  # a kill came between the last row and the report
            deque(records, maxlen=0)
        else:
            key = {"configuration": configuration_hash(replace(config, overwrite=False)), **inputs}
            with ResumableRows(rows, key, config.overwrite) as writer:
                _score_rows(config, scorer, records, writer)
        card = report_card(
            [_scored(row.values) for row in read_rows(rows)],
            scorer.logit_scale if isinstance(scorer, Standardized) else 1.0,
            config.bins,
            resampling,
        )
        notes = list(_notes(config, scorer, screen, card))
        draw_reliability(card.calibration, f"{config.scorer} on {config.data}", folder / FIGURE)
        report = {
            "scorer": config.scorer,
            "data": config.data,
            "notes": notes,
            "screening": screen.report.as_dict(),
        }
        with atomic_write(folder / REPORT) as file:
            json.dump({**report, **asdict(card)}, file, indent=2, allow_nan=False)
    show(*card_tables(card, config.scorer, notes))
    say(f"Results are in {folder}: {REPORT}, {ROWS}, {FIGURE}")


def _score_rows(config: Evaluate, scorer: Scorer, records: Iterator[Record], writer: ResumableRows) -> None:
    """Write one row of scores and baseline features for each record, or continue where a kill came."""
    deque(islice(records, writer.rows_done), maxlen=0)
    with progress("scoring", done=writer.rows_done, unit="rows") as shown:
        for rows in _chunks(config, scorer, records, writer.rows_done):
            writer.append(rows, len(rows))
            shown.advance(len(rows))
    writer.finish()
    if cut := truncated(scorer):
        say(f"{cut} prompts were cut to what the model can hold.")


def _chunks(
    config: Evaluate, scorer: Scorer, records: Iterator[Record], done: int
) -> Iterator[list[dict[str, object]]]:
    """Yield the rows of one chunk of records after another; `done` records came before."""
    blind = config.prompt_blind
    while chunk := list(islice(records, CHUNK)):
        names = [record.id or f"row {number}" for number, record in enumerate(chunk, done + 1)]
        answers = [_generations(record, name) for record, name in zip(chunk, names, strict=True)]
        scores = _score(scorer, answers)
        parts = zip(chunk, names, answers, scores, strict=True)
        rows = [_row(record, name, row, values, config.source) for record, name, row, values in parts]
        if blind:
            try:
                blind_scores = _score(scorer, [[_without_prompt(each) for each in row] for row in answers])
                for row, without in zip(rows, blind_scores, strict=True):
                    row[PROMPT_BLIND] = without
            except EvalkitError as error:
                blind = False
                say(f"The {PROMPT_BLIND} baseline is left out: {error}")
        yield rows
        done += len(chunk)


def _generations(record: Record, name: str) -> list[Generation]:
    """Return a record's responses, the chosen one first, each with the columns that are its own.

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
    # Its columns go too, for they may tell what was asked.
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
        "prompt": blake2b(
            prompt_key(record.prompt).encode("utf-8", "surrogatepass"), digest_size=8
        ).hexdigest(),
        "scores": list(scores),
        "ranks": list(ranks),
        "pairs": len(right),
        "right": sum(right),
        "lengths": [len(answer.response) for answer in answers],
        "list_items": [int(score.value) for score in LIST_ITEMS.score(answers)],
        "margin": record.margin if isinstance(record, Preference) else None,
        "source": str(record.extra[source]) if source else "",
    }


def _scored(row: Mapping[str, Any]) -> ScoredRanking:
    features = {"more list items": row["list_items"]}
    if PROMPT_BLIND in row:
        features[PROMPT_BLIND] = row[PROMPT_BLIND]
    return ScoredRanking(
        row["prompt"], row["scores"], row["ranks"], row["lengths"], features, row["source"], row["margin"]
    )


def _notes(config: Evaluate, scorer: Scorer, screen: Screen, card: ReportCard) -> Iterator[str]:
    found = {**screen.report.found, **{f"dropped as {name}": n for name, n in screen.report.dropped.items()}}
    if found:
        yield "rows found in the data: " + ", ".join(f"{name} {count}" for name, count in found.items())
    if config.prompt_blind and PROMPT_BLIND not in [baseline.name for baseline in card.baselines]:
        yield f"there is no {PROMPT_BLIND} baseline, for the scorer gave no score without the prompt"
    if not isinstance(scorer, Standardized):
        yield "the scorer has no logit_scale, so its unit counts as one logit in the calibration error"
