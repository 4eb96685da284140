"""A pool of samples grouped by prompt, and their scores, cached beside the results."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evalkit.overoptimization.fits import Array
from evalkit.runs.files import atomic_write
from evalkit.runs.outputs import ResumableRows
from evalkit.runs.terminal import progress
from rewards.errors import DataError, EvalkitError, OutputExistsError
from rewards.files import generations, read_rows, to_row
from rewards.files.grouping import group_by_prompt
from rewards.records import Generation, prompt_key
from rewards.scorer import Scorer

SCORES, INPUTS = "scores.jsonl", "inputs.json"
CHUNK = 4096
"""Responses scored and saved at a time, whole prompts together."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Samples of the starting policy, prompts in the order of their first row."""

    groups: tuple[tuple[Generation, ...], ...]
    places: tuple[tuple[str, ...], ...]
    """File and line of each sample, for errors."""

    @property
    def names(self) -> list[str]:
        """Place of each prompt's first row and the prompt's beginning, to name it in messages."""
        return [
            f"{places[0]}: prompt {_short(prompt_key(group[0].prompt))!r}"
            for group, places in zip(self.groups, self.places, strict=True)
        ]

    @property
    def counts(self) -> list[int]:
        """Samples of each prompt."""
        return [len(group) for group in self.groups]

    def fingerprint(self) -> str:
        """Return a hash of everything that a scorer may read."""
        digest = hashlib.sha256()
        for generation in (item for group in self.groups for item in group):
            digest.update(repr(generation).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()[:16]


def read_pool(data: str, rename: Mapping[str, str]) -> Pool:
    """Read rows {prompt, responses}, or many rows {prompt, response} to a prompt.

    Raises:
        DataError: A row is not of that kind.
        MissingFileError: There is no such file.
    """
    rows = read_rows(data, rename=dict(rename) or None)
    samples = ((sample, row.where) for row in rows for sample in generations(row))
    placed = list(group_by_prompt(samples, lambda one: one[0].prompt))
    return Pool(
        tuple(tuple(sample for sample, _ in group) for group in placed),
        tuple(tuple(place for _, place in group) for group in placed),
    )


def score_pool(
    pool: Pool, scorers: Mapping[str, Scorer], folder: Path, inputs: Mapping[str, object]
) -> dict[str, list[Array]]:
    """Score every sample with every scorer, reusing the folder's scores of the same inputs.

    Args:
        pool: The samples.
        scorers: Scorers by the column of `scores.jsonl` that holds their scores.
        folder: Folder of `scores.jsonl`.
        inputs: Fingerprints of the scores' inputs.

    Returns:
        For each column, each prompt's scores.

    Raises:
        OutputExistsError: The folder's scores are of other inputs.
        ScoringError: A sample has no score; the message names its place.
    """
    path = folder / SCORES
    if (folder / INPUTS).exists() and not holds_scores_of(folder, inputs):
        raise OutputExistsError(f"{path}: made from other data or another model; --overwrite scores anew")
    if not path.exists():
        _score(pool, scorers, path, inputs)
    return _read_scores(path, pool, list(scorers))


def holds_scores_of(folder: Path, inputs: Mapping[str, object]) -> bool:
    """Return whether the folder's scores, finished or not, are of these inputs."""
    try:
        return bool(json.loads((folder / INPUTS).read_text(encoding="utf-8")) == dict(inputs))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _score(pool: Pool, scorers: Mapping[str, Scorer], path: Path, inputs: Mapping[str, object]) -> None:
    with atomic_write(path.with_name(INPUTS)) as file:
        json.dump(dict(inputs), file, indent=2)
    with ResumableRows(path, inputs, overwrite=False) as rows:
        before = sum(pool.counts[: rows.rows_done])
        with progress("scoring", sum(pool.counts), done=before, unit="responses") as shown:
            for start, chunk in _chunks(pool):
                if start >= rows.rows_done:
                    places = pool.places[start : start + len(chunk)]
                    rows.append(_scored(chunk, places, scorers), consumed=len(chunk))
                    shown.advance(sum(map(len, chunk)))
        rows.finish()


def _chunks(pool: Pool) -> Iterator[tuple[int, list[tuple[Generation, ...]]]]:
    """Yield chunks of whole prompts, each with the number of prompts before it."""
    chunk: list[tuple[Generation, ...]] = []
    start = held = 0
    for index, group in enumerate(pool.groups):
        if chunk and held + len(group) > CHUNK:
            yield start, chunk
            chunk, start, held = [], index, 0
        chunk.append(group)
        held += len(group)
    yield start, chunk


def _scored(
    chunk: list[tuple[Generation, ...]], places: Sequence[Sequence[str]], scorers: Mapping[str, Scorer]
) -> list[dict[str, object]]:
    samples = [sample for group in chunk for sample in group]
    values = {}
    for name, scorer in scorers.items():
        try:
            values[name] = [score.value for score in scorer.score(samples)]
        except EvalkitError:  # fails again, and names the sample by its place rather than by its text
            flat = (place for group in places for place in group)
            scorer.score([replace(sample, id=place) for sample, place in zip(samples, flat, strict=True)])
            raise
    return [
        {
            **to_row(Generation(sample.prompt, sample.response, id=sample.id)),
            **{name: column[index] for name, column in values.items()},
        }
        for index, sample in enumerate(samples)
    ]


def _read_scores(path: Path, pool: Pool, names: Sequence[str]) -> dict[str, list[Array]]:
    columns: dict[str, list[float]] = {name: [] for name in names}
    for row in read_rows(path):
        for name in names:
            columns[name].append(row.number_in(name))
    total, ends = sum(pool.counts), np.cumsum(pool.counts)[:-1]
    for name, column in columns.items():
        if len(column) != total:
            raise DataError(f"{path}: {len(column)} scores of {name} for {total} samples; delete the file")
    return {name: np.split(np.array(column), ends) for name, column in columns.items()}


def keep_scores(folder: Path, inputs: Mapping[str, object]) -> Path | None:
    """Move scores of these inputs out of a folder that is about to be replaced; None where there are none."""
    aside = folder.with_name(f".{folder.name}.scores")
    if holds_scores_of(folder, inputs):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for file in [folder / INPUTS, *folder.glob(f"{SCORES}*")]:
            file.replace(aside / file.name)
    # A kill may have left them aside already.
    return aside if holds_scores_of(aside, inputs) else None


def return_scores(aside: Path | None, folder: Path) -> None:
    """Move scores set aside by `keep_scores` back into the folder."""
    if aside is None or not aside.exists():
        return
    for file in aside.iterdir():
        file.replace(folder / file.name)
    aside.rmdir()


def drop_scores(folder: Path) -> None:
    """Remove the scores of other inputs from a folder."""
    for file in [folder / INPUTS, *folder.glob(f"{SCORES}*")]:
        file.unlink(missing_ok=True)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
