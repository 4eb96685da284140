"""`evalkit score`: scores every row of a file."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from evalkit.pipeline.config import ScoreFile
from evalkit.runs.files import fingerprint, spec_fingerprint
from evalkit.runs.outputs import ResumableRows
from evalkit.runs.terminal import progress, say, warn
from rewards.errors import ConfigError, DataError, EvalkitError
from rewards.files import Row, generations, read_rows
from rewards.records import Generation, Score
from rewards.scorer import Scorer, load_scorer, truncated


def run(config: ScoreFile) -> None:
    """Score a file in chunks with fixed boundaries, and write each input row with its score."""
    score_file(
        config.scorer,
        config.data,
        config.out,
        rename=config.rename,
        column=config.column,
        chunk_rows=config.chunk_rows,
        overwrite=config.overwrite,
    )


def score_file(
    scorer: str,
    data: str,
    out: str,
    *,
    rename: Mapping[str, str] | None = None,
    column: str = ScoreFile.column,
    chunk_rows: int = ScoreFile.chunk_rows,
    overwrite: bool = False,
) -> None:
    """Write each row of a file with its score; a repeated call goes on where a killed one stopped.

    Args:
        scorer: The scorer by name.
        data: File, folder or Hub name of rows {prompt, response} or {prompt, responses}.
        out: File of the rows with their scores.
        rename: Columns of the data by our names.
        column: Column of the score, with an s where a row has several responses.
        chunk_rows: Rows scored and written at a time.
        overwrite: Replace a finished output.

    Raises:
        EvalkitError: The scorer, the data or the output cannot be used.
    """
    if Path(out).resolve() == Path(data).resolve():
        raise ConfigError(f"{out}: is the input too; give another --out")
    key = {
        "command": "score",
        "scorer": spec_fingerprint(scorer),
        "rename": dict(rename or {}),
        "chunk_rows": chunk_rows,
        "column": column,
        "data": fingerprint(data),
    }
    with ResumableRows(out, key, overwrite) as output:
        if output.rows_done:
            warn(f"going on after row {output.rows_done}")
        loaded = load_scorer(scorer)
        rows = read_rows(data, output.rows_done, rename)
        with progress("scoring", done=output.rows_done, unit="rows") as shown:
            while chunk := list(itertools.islice(rows, chunk_rows)):
                output.append(score_rows(chunk, loaded, column), len(chunk))
                shown.advance(len(chunk))
        output.finish()
    cut = truncated(loaded)
    note = f"; {cut} responses with a shortened prompt" if cut else ""
    say(f"{output.rows_done} rows scored by {scorer}{note}; they are in {out}")


def score_rows(rows: Sequence[Row], scorer: Scorer, column: str = "score") -> Iterator[dict[str, object]]:
    """Score rows together, and yield each with its score in `column`, or `columns` where it has `responses`.

    Parts of a score (steps, spans, aspects) are columns `score_steps` and so on.

    Raises:
        DataError: A row is broken or has a score already.
        ScoringError: A row has no score; the message names its place.
    """
    responses = [generations(row) for row in rows]
    try:
        scores = iter(scorer.score(list(itertools.chain.from_iterable(responses))))
    except EvalkitError:  # fails again, and names the row by its place rather than by its text
        scorer.score(
            [
                replace(response, id=_place(row, response))
                for row, own in zip(rows, responses, strict=True)
                for response in own
            ]
        )
        raise
    for row, own in zip(rows, responses, strict=True):
        own_scores = [next(scores) for _ in own]
        if row.values.get("response") is None and row.values.get("responses") is not None:
            new = _several(own_scores, column)
        else:
            new = _one(own_scores[0], column)
        for name in new:
            if name in row.values:
                raise DataError(
                    f"{row.where}: field {name!r}: is there already and would be lost; name the new "
                    "one with --column NAME"
                )
        yield {**row.values, **new}


def _place(row: Row, generation: Generation) -> str:
    return row.where + (f", id {generation.id!r}" if generation.id else "")


def _one(score: Score, column: str) -> dict[str, object]:
    values: dict[str, object] = {column: score.value}
    if score.steps:
        values[f"{column}_steps"] = list(score.steps)
    if score.aspects:
        values[f"{column}_aspects"] = dict(score.aspects)
    if score.spans:
        values[f"{column}_spans"] = [asdict(span) for span in score.spans]
    return values


def _several(scores: Sequence[Score], column: str) -> dict[str, object]:
    values: dict[str, object] = {f"{column}s": [score.value for score in scores]}
    if any(score.steps for score in scores):
        values[f"{column}s_steps"] = [list(score.steps) for score in scores]
    if any(score.aspects for score in scores):
        values[f"{column}s_aspects"] = [dict(score.aspects) for score in scores]
    if any(score.spans for score in scores):
        values[f"{column}s_spans"] = [[asdict(span) for span in score.spans] for score in scores]
    return values
