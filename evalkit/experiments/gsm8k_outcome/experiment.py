"""The experiment on GSM8K's graded solutions: every fold held out once, beside baselines."""

import json
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import torch

from evalkit.evaluation import accuracy
from evalkit.evaluation.config import Accuracy
from evalkit.experiments.gsm8k_outcome.bodies import READING
from evalkit.experiments.gsm8k_outcome.config import Gsm8kOutcome
from evalkit.experiments.gsm8k_outcome.figures import draw
from evalkit.experiments.gsm8k_outcome.steps import Values, all_folds, bodies, body_steps, fold_steps
from evalkit.experiments.gsm8k_outcome.tables import Solutions, baselines, by_author, measure
from evalkit.report.csv import write_csv
from evalkit.runs.files import fingerprint
from evalkit.runs.settings import check_settings, settings_of, write_settings
from evalkit.runs.steps import LOG, run_steps
from evalkit.runs.terminal import say
from rewards.data.gsm8k import MODELS, load_gsm8k
from rewards.errors import DataError
from rewards.files import read_rows, write_rows
from rewards.intervals import Resampling

ADDED = ("views", "others", "held_out")
"""Settings that may be enlarged later, and what is made already stays as it is."""


def run(config: Gsm8kOutcome) -> None:
    """Run the experiment, or what is left of it.

    Raises:
        ConfigError: The work folder is of other settings.
    """
    torch.set_num_threads(1)
    lasting = {name: value for name, value in _settings(config).items() if name not in ADDED}
    sources = {"data": _file(config.data), "problems": _file(config.problems)}
    check_settings(config.work, {**lasting, **sources})
    rows = _rows(config)
    run_steps(body_steps(config), Path(config.work))
    scores: dict[str, list[list[float]]] = {}
    held_out: dict[int, Sequence[int]] = {}
    for fold in all_folds(config, len(rows)):
        folder = fold.folder(config)
        run_steps(fold_steps(config, fold, rows), folder)
        held_out[fold.number] = fold.held_out
        own = scores.setdefault(fold.name, [[] for _ in rows])
        for place, row in zip(fold.held_out, read_rows(folder / "scored.jsonl"), strict=True):
            own[place] = row.values["scores"]  # type: ignore[call-overload]  # as `score` writes them
    _report(config, rows, list(held_out.values()), scores)


def _settings(config: Gsm8kOutcome) -> dict[str, object]:
    """Return what the models depend on, without the paths of this machine."""
    others = [Path(name).name for name in config.others]
    return {**settings_of(config, "data", "problems", "bootstrap"), "others": others}


def _rows(config: Gsm8kOutcome) -> Sequence[Values]:
    file = Path(config.work) / "graded.jsonl"
    if not file.exists():
        write_rows(str(file), load_gsm8k(config.data, config.calculations))
    rows = [row.values for row in read_rows(file)]
    if "responses" not in rows[0]:
        raise DataError(f"{config.data}: expected graded solutions, and these are worked problems")
    return rows[: config.limit or None]


def _report(
    config: Gsm8kOutcome,
    rows: Sequence[Values],
    held_out: Sequence[Sequence[int]],
    scores: Mapping[str, Sequence[Sequence[float]]],
) -> None:
    """Write the tables, the figure and the configuration, and print the figures."""
    out = Path(config.out)
    resampling = Resampling(resamples=config.bootstrap, seed=config.seed)
    fold = np.full(len(rows), -1)
    for number, part in enumerate(held_out):
        fold[list(part)] = number
    right = np.array([row["corrects"] for row in rows], dtype=bool)
    held: list[int] = np.flatnonzero(fold >= 0).tolist()
    learnt = {name: np.array([values[place] for place in held]) for name, values in scores.items()}
    nulls = {name: values[held] for name, values in baselines(rows, right, fold).items()}
    solutions = Solutions(right[held], fold[held], {**learnt, **nulls})
    values, differences = measure(solutions, resampling, next(iter(learnt)))
    write_csv(out / "figures.csv", [_rounded(row) for row in values])
    write_csv(out / "differences.csv", [_rounded(row) for row in differences])
    authors = by_author(solutions, MODELS, resampling)
    write_csv(out / "authors.csv", [_rounded(row) for row in authors])
    draw(values, list(learnt), out / "outcome.png")
    _choose(config, [rows[place] for place in held], solutions, out)
    sources = {"solutions": config.data, "problems": config.problems}
    write_settings(
        out,
        {**_settings(config), "bootstrap": config.bootstrap},
        data={name: _file(source) for name, source in sources.items()},
        problems=len(rows),
        right=dict(zip(MODELS, right.sum(axis=0).tolist(), strict=True)),
        held_out=[len(part) for part in held_out],
        bodies={
            name: json.loads((Path(config.work) / name / READING).read_text()) for name in bodies(config)
        },
    )
    for row in values:
        say(f"{row['figure']:15} {row['scorer']:17} {_interval(row)}")
    say(f"Results are in {out}")


def _choose(config: Gsm8kOutcome, rows: Sequence[Values], solutions: Solutions, out: Path) -> None:
    """Let `evalkit accuracy` choose among the four solutions by every score, and keep its table."""
    pooled = Path(config.work) / "pooled.jsonl"
    scored = [
        {**row, **{f"{name}s": values[place].tolist() for name, values in solutions.scores.items()}}
        for place, row in enumerate(rows)
    ]
    write_rows(str(pooled), scored, overwrite=True)
    folder = Path(config.work) / "accuracy"
    with (Path(config.work) / LOG).open("a", encoding="utf-8") as log, redirect_stdout(log):
        accuracy.run(
            Accuracy(
                str(pooled),
                str(folder),
                score=list(solutions.scores),
                bootstrap=config.bootstrap,
                seed=config.seed,
                overwrite=True,
            )
        )
    write_csv(out / "accuracy.csv", [row.values for row in read_rows(folder / "accuracy.csv")])


def _file(source: str) -> dict[str, object]:
    return {**fingerprint(source), "source": Path(source).name}


def _rounded(row: Values) -> dict[str, object]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


def _interval(row: Values) -> str:
    if row["low"] is None:
        return f"{row['value']:.3f}"
    return f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
