"""`evalkit evaluate`: a scorer's report card on preferences or rankings."""

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice

from evalkit import runs
from evalkit.evaluation.config import Evaluate
from evalkit.evaluation.report_card_figures import draw_reliability
from evalkit.evaluation.report_card_tables import card_tables
from evalkit.runs.files import atomic_write, configuration_hash, fingerprint, spec_fingerprint
from evalkit.runs.outputs import ResumableRows
from evalkit.runs.terminal import progress, say, show
from rewards.data.preferences import load_preferences
from rewards.errors import ConfigError, EvalkitError
from rewards.evaluation.preferences import PROMPT_BLIND, Record, scored_chunks, scored_ranking
from rewards.evaluation.report_card import ReportCard, report_card
from rewards.files import Screen, ScreeningConfig, read_rows
from rewards.intervals import Resampling
from rewards.scorer import Scorer, Standardized, load_scorer, truncated

REPORT, ROWS, FIGURE = "report.json", "rows.jsonl", "reliability.png"

SCREENING = ScreeningConfig(identical="keep", no_comparison="drop")
"""A pair of identical responses stays in, as a tie; a row that compares nothing is left out and counted."""


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
            [scored_ranking(row.values) for row in read_rows(rows)],
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
        chunks = scored_chunks(
            scorer, records, writer.rows_done, config.source, config.prompt_blind, _tell_no_baseline
        )
        for rows in chunks:
            writer.append(rows, len(rows))
            shown.advance(len(rows))
    writer.finish()
    if cut := truncated(scorer):
        say(f"{cut} prompts were cut to what the model can hold.")


def _tell_no_baseline(error: EvalkitError) -> None:
    say(f"The {PROMPT_BLIND} baseline is left out: {error}")


def _notes(config: Evaluate, scorer: Scorer, screen: Screen, card: ReportCard) -> Iterator[str]:
    found = {**screen.report.found, **{f"dropped as {name}": n for name, n in screen.report.dropped.items()}}
    if found:
        yield "rows found in the data: " + ", ".join(f"{name} {count}" for name, count in found.items())
    if config.prompt_blind and PROMPT_BLIND not in [baseline.name for baseline in card.baselines]:
        yield f"there is no {PROMPT_BLIND} baseline, for the scorer gave no score without the prompt"
    if not isinstance(scorer, Standardized):
        yield "the scorer has no logit_scale, so its unit counts as one logit in the calibration error"
