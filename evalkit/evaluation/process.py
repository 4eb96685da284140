"""`evalkit process-eval`: how well step scores find the first wrong step of labelled solutions."""

import json
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

from evalkit import runs
from evalkit.evaluation.config import ProcessEval
from evalkit.evaluation.process_figures import draw_process
from evalkit.evaluation.process_tables import process_lines
from evalkit.runs.files import fingerprint, spec_fingerprint, write_json
from evalkit.runs.outputs import ResumableRows
from evalkit.runs.terminal import progress, say
from rewards.data.steps import load_step_labels
from rewards.errors import ConfigError
from rewards.evaluation.first_errors import ThresholdChoice, true_first_error
from rewards.evaluation.process import (
    ProcessFindings,
    ScoredSolution,
    process_findings,
    right_answer,
    step_scores,
    threshold_of,
)
from rewards.files import Screen, read_rows, to_row
from rewards.intervals import Resampling
from rewards.records import StepLabels, prompt_key, text_hash
from rewards.scorer import Scorer, Thresholded, load_scorer, truncated
from rewards.solutions.steps import first_error

CHUNK = 256
"""Solutions scored and written at a time; fixed, so that no result depends on where a restart fell."""
REPORT, STEPS, CALIBRATION, FIGURE = "report.json", "steps.jsonl", "calibration.jsonl", "process.png"

SolutionRow = Mapping[str, Any]


def run(config: ProcessEval) -> None:
    """Score labelled steps, print the metrics, and write the report where `out` names a folder.

    Raises:
        ConfigError: Prompts of the calibration data are in the data too, or a setting is not allowed.
        DataError: A row is not what was expected.
        ScoringError: The scorer gives a solution no score for each of its steps; it names the id.
        OutputExistsError: The folder holds a finished report, or one of another configuration.
    """
    resampling = Resampling(config.level, config.bootstrap, config.seed)
    if not math.isfinite(config.threshold):
        raise ConfigError(f"threshold is a finite number, got {config.threshold}")
    if config.calibration_data:
        _refuse_shared_prompts(config)
    sources = [config.data, *filter(None, [config.calibration_data])]
    inputs = {"data": [fingerprint(source) for source in sources], "scorer": spec_fingerprint(config.scorer)}
    scorer, screen = load_scorer(config.scorer), Screen()
    opened = runs.run(config, inputs, done=REPORT) if config.out else nullcontext()
    with opened as folder:
        chosen = _chosen(config, scorer, folder, inputs)
        threshold = config.threshold if chosen is None else chosen.threshold
        solutions = _scored(config, config.data, scorer, threshold, screen, folder, {**inputs, "file": STEPS})
        findings = process_findings(solutions, threshold, chosen, config.bins, resampling)
        lines = process_lines(findings, config.calibration_data, config.level)
        lines += _notes(scorer, screen)
        if folder is not None:
            _write(folder, config, findings, lines)
            lines.append(f"results are in {folder}: {REPORT}, {STEPS}, {FIGURE}")
    say("\n".join(lines))


def _refuse_shared_prompts(config: ProcessEval) -> None:
    """Refuse a threshold tuned on prompts of the test data."""
    seen = {_prompt_hash(one) for one in _records(config, config.calibration_data, Screen())}
    shared = seen & {_prompt_hash(one) for one in _records(config, config.data, Screen())}
    if shared:
        raise ConfigError(
            f"{config.calibration_data}: {len(shared)} of its {len(seen)} prompts are in {config.data} too; "
            "a threshold is chosen on other prompts than it is tested on"
        )


def _chosen(
    config: ProcessEval, scorer: Scorer, folder: Path | None, inputs: Mapping[str, object]
) -> ThresholdChoice | None:
    if not config.calibration_data:
        return None
    source = config.calibration_data
    held_out = _scored(config, source, scorer, None, Screen(), folder, {**inputs, "file": CALIBRATION})
    try:
        return threshold_of(held_out)
    except ConfigError as error:
        raise ConfigError(f"{config.calibration_data}: {error}") from None


def _records(config: ProcessEval, source: str, screen: Screen) -> Iterator[StepLabels]:
    return load_step_labels(source, config.format, config.rename or None, screen, config.neutral)


def _scored(
    config: ProcessEval,
    source: str,
    scorer: Scorer,
    threshold: float | None,
    screen: Screen,
    folder: Path | None,
    key: Mapping[str, object],
) -> list[ScoredSolution]:
    """Score the solutions of a source; where there is a folder, through a file that survives a kill."""
    records = _records(config, source, screen)
    if folder is None:
        return [_solution(row) for rows in _chunks(records, scorer, threshold, 0) for row in rows]
    path = folder / str(key["file"])
    if path.exists():  # a kill came between the last row and the report
        deque(records, maxlen=0)
    else:
        with ResumableRows(path, key, config.overwrite) as writer:
            deque(islice(records, writer.rows_done), maxlen=0)
            for rows in _chunks(records, scorer, threshold, writer.rows_done):
                writer.append(rows, len(rows))
            writer.finish()
    return [_solution(row.values) for row in read_rows(path)]


def _chunks(
    records: Iterator[StepLabels], scorer: Scorer, threshold: float | None, done: int
) -> Iterator[list[SolutionRow]]:
    """Yield rows of solutions with their steps' scores, a chunk at a time; `done` solutions came before."""
    with progress("scoring", done=done, unit="solutions") as shown:
        while chunk := list(islice(records, CHUNK)):
            named = [
                replace(record, id=record.id or f"solution {number}")
                for number, record in enumerate(chunk, done + 1)
            ]
            scores = step_scores(scorer, named)
            yield [_row(record, steps, threshold) for record, steps in zip(named, scores, strict=True)]
            done += len(chunk)
            shown.advance(len(chunk))


def _row(record: StepLabels, scores: Sequence[float], threshold: float | None) -> SolutionRow:
    """Return a row that is labelled steps still, with their scores and both first errors beside them."""
    marked = {} if threshold is None else {"predicted": first_error(scores, threshold)}
    own = to_row(replace(record, extra={}))
    found = {"scores": list(scores), "first_error": true_first_error(record.labels), **marked}
    return {**own, **found, "right_answer": right_answer(record)}


def _solution(row: SolutionRow) -> ScoredSolution:
    prompt = row["prompt"]
    return ScoredSolution(
        prompt=text_hash(prompt if isinstance(prompt, str) else json.dumps(prompt)).hex(),
        scores=tuple(row["scores"]),
        labels=tuple(row["labels"]),
        right_answer=row["right_answer"],
    )


def _prompt_hash(record: StepLabels) -> str:
    # White space apart, a prompt is the same: data sets differ in how they end a line.
    return text_hash(" ".join(prompt_key(record.prompt).split())).hex()


def _notes(scorer: Scorer, screen: Screen) -> list[str]:
    report = screen.report
    found = {**report.found, **{f"dropped as {name}": count for name, count in report.dropped.items()}}
    notes = []
    if found:
        counts = ", ".join(f"{name} {count}" for name, count in found.items())
        notes.append(f"found in the data: {counts}")
    if cut := truncated(scorer):
        notes.append(f"{cut} solutions were scored with a shortened prompt")
    if isinstance(scorer, Thresholded) and scorer.threshold is not None:
        notes.append(f"the scorer's own threshold, as its training left it: {scorer.threshold:.6g}")
    return notes


def _write(folder: Path, config: ProcessEval, findings: ProcessFindings, lines: Sequence[str]) -> None:
    """Draw the figure and write the report, whose presence marks the run as finished."""
    draw_process(findings, f"{config.scorer} on {config.data}", folder / FIGURE)
    report = {
        "scorer": config.scorer,
        "data": config.data,
        "calibration_data": config.calibration_data or None,
        "level": config.level,
        **asdict(findings),
        "summary": list(lines),
    }
    write_json(folder / REPORT, report)
