"""An outcome reward model of real solutions: GSM8K's examples, every problem held out once, beside nulls.

    python -m evalkit.experiments.gsm8k_outcome --data example_model_solutions.jsonl --problems train.jsonl

The files are those of `openai/grade-school-math` (Cobbe et al. 2021, 2110.14168): 1,319 problems, each with a
solution of each of four models, and 7,473 worked problems that the body reads before. All is made by
`evalkit train correctness`, `score` and `accuracy`. About nine minutes of one core. Expected of a body this
small: an AUC of 0.65, as it sees how hard a problem is; of two solutions it cannot tell the right one.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from jsonargparse import auto_cli

from evalkit.evaluation import accuracy
from evalkit.evaluation.config import Accuracy
from evalkit.experiments.gsm8k_outcome.bodies import READING, lengthen, make_reader
from evalkit.experiments.gsm8k_outcome.tables import Solutions, baselines, by_author, draw, measure
from evalkit.pipeline import score as scoring
from evalkit.pipeline.config import ScoreFile
from evalkit.report.csv import write_csv
from evalkit.runs.files import atomic_write, fingerprint
from evalkit.runs.provenance import provenance
from evalkit.training.config import TrainCorrectness
from evalkit.training.run import RESULT
from evalkit.training.steps import run_correctness
from rewards.config import BodyConfig, TrainingConfig
from rewards.data.gsm8k import MODELS, load_gsm8k
from rewards.errors import ConfigError, DataError
from rewards.files import read_rows, write_rows
from rewards.intervals import Resampling

Values = Mapping[str, object]

ADDED = ("views", "others", "held_out")
"""Settings that may be enlarged later, and what is made already stays as it is."""
UNSEEN = "A:"
"""Stands for every solution where the question alone is learnt."""


@dataclass(frozen=True)
class Outcome:
    """Train on all folds but one, score that one, and hold the scores against baselines."""

    data: str
    """The example solutions, `example_model_solutions.jsonl`."""
    problems: str
    """The worked problems that the small body reads, `train.jsonl`."""
    others: list[str] = field(default_factory=list)
    """Folders of other pretrained bodies with rotary positions, tuned beside the small one."""
    work: str = "runs/gsm8k-outcome"
    """Folder for rows, bodies and models; what is finished there is used again."""
    out: str = "results/gsm8k_outcome"
    """Folder for config.json, figures.csv, accuracy.csv and outcome.png."""
    views: list[str] = field(default_factory=lambda: ["both", "solution", "question"])
    """What the small body sees: question and solution, or for comparison one of them alone."""
    folds: int = 4
    """Parts of the problems, each held out once."""
    held_out: int = 0
    """Hold out this many parts only; 0 is all."""
    limit: int = 0
    """Use the first problems only; 0 uses all."""
    calculations: bool = False
    """Keep the calculator's notes in the solutions; without them rows are a seventh shorter."""
    vocabulary: int = 2048
    """Tokens of the small body."""
    hidden: int = 64
    """Its width."""
    layers: int = 4
    """Its layers."""
    readings: float = 1.0
    """Its passes over the worked problems."""
    epochs: float = 1.0
    """Passes over the graded solutions."""
    learning_rate: float = 1e-3
    """Peak learning rate on the graded solutions."""
    batch: int = 16
    """Solutions in one update."""
    bootstrap: int = 1000
    """Resamples of the problems."""
    seed: int = 0
    """Seed of the folds, the bodies, the training and the resamples."""


def main(config: Outcome) -> None:
    """Run the experiment, or what is left of it."""
    torch.set_num_threads(1)
    work = Path(config.work)
    work.mkdir(parents=True, exist_ok=True)
    _same_settings(config, work / "settings.json")
    rows = _rows(config, work)
    bodies = _bodies(config, work)
    parts = folds(len(rows), config.folds, config.seed)[: config.held_out or None]
    scores: dict[str, list[list[float]]] = {}
    for body, view in [("small", view) for view in config.views] + [(name, "both") for name in bodies[1:]]:
        name = body if view == "both" else f"{body}-{view}"
        scores[name] = [[] for _ in rows]
        for number, part in enumerate(parts):
            found = _fold(config, rows, part, work / f"fold-{number}" / f"{body}-{view}", work / body, view)
            for place, values in zip(part, found, strict=True):
                scores[name][place] = values
    _report(config, rows, parts, scores, bodies)


def folds(count: int, number: int, seed: int) -> list[list[int]]:
    """Part the problems 0 to count - 1 at random into folds of nearly equal size, each in rising order.

    Raises:
        ConfigError: There are fewer problems than folds, or fewer than two folds.
    """
    if not 2 <= number <= count:
        raise ConfigError(f"folds are 2 or more and no more than the problems, got {number} of {count}")
    order = np.random.default_rng(seed).permutation(count)
    return [sorted(part.tolist()) for part in np.array_split(order, number)]


def seen(row: Values, view: str) -> dict[str, object]:
    """Return a row as a model of a view sees it: both, the solution or the question alone."""
    texts: list[str] = row["responses"]  # type: ignore[assignment]  # as the reader wrote it
    return {
        "prompt": "" if view == "solution" else row["prompt"],
        "responses": [UNSEEN] * len(texts) if view == "question" else texts,
        "corrects": row["corrects"],
    }


def _settings(config: Outcome) -> dict[str, object]:
    """Return what the models depend on, without the paths of this machine."""
    named = {**asdict(config), "others": [Path(name).name for name in config.others]}
    return {
        name: named[name] for name in named if name not in ("data", "problems", "work", "out", "bootstrap")
    }


def _same_settings(config: Outcome, file: Path) -> None:
    """Refuse a folder of models that were made by other settings; more views and bodies may be added.

    Raises:
        ConfigError: The folder was made by others.
    """
    now = {name: value for name, value in _settings(config).items() if name not in ADDED}
    now |= {"data": _file(config.data), "problems": _file(config.problems)}
    if not file.exists():
        with atomic_write(file) as opened:
            json.dump(now, opened, indent=2)
    before = json.loads(file.read_text(encoding="utf-8"))
    if before != now:
        raise ConfigError(f"work: {file.parent} was made by other settings, {before}; give another folder")


def _rows(config: Outcome, work: Path) -> Sequence[Values]:
    file = work / "graded.jsonl"
    if not file.exists():
        write_rows(str(file), load_gsm8k(config.data, config.calculations))
    rows = [row.values for row in read_rows(file)]
    if "responses" not in rows[0]:
        raise DataError(f"{config.data}: expected graded solutions, and these are worked problems")
    return rows[: config.limit or None]


def _bodies(config: Outcome, work: Path) -> list[str]:
    if not (work / "small").exists():
        _tell(f"{work / 'small'}: reading the worked problems")
        problems = list(load_gsm8k(config.problems, config.calculations))
        texts = [f"{row['prompt']}{row['response']}" for row in problems]
        size = (config.vocabulary, config.hidden, config.layers)
        make_reader(texts, work / "small", *size, config.readings, config.seed)
    names = ["small"]
    for other in config.others:
        name = Path(other).name
        if name in names:
            raise ConfigError(f"others: two bodies are called {name!r}")
        names.append(name)
        if not (work / name).exists():
            lengthen(other, work / name)
    return names


def _fold(
    config: Outcome, rows: Sequence[Values], held_out: Sequence[int], folder: Path, body: Path, view: str
) -> list[list[float]]:
    """Train on all other problems, score the held-out ones, and return [problems, 4] scores."""
    folder.mkdir(parents=True, exist_ok=True)
    train, test, scored = (folder / name for name in ("train.jsonl", "test.jsonl", "scored.jsonl"))
    training = TrainingConfig(
        learning_rate=config.learning_rate,
        epochs=config.epochs,
        batch_prompts=config.batch,
        over_long="error",
        evaluation_share=0.0,
        tensorboard=False,
        seed=config.seed,
    )
    model = folder / "model"
    with (folder / "log.txt").open("a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        if not test.exists():
            learnt = sorted(set(range(len(rows))) - set(held_out))
            write_rows(str(train), [seen(rows[place], view) for place in learnt], overwrite=True)
            write_rows(str(test), [seen(rows[place], view) for place in held_out], overwrite=True)
        if not (model / RESULT).exists():
            _tell(f"{model}: training")
            asked = BodyConfig(name=str(body))
            run_correctness(TrainCorrectness(str(train), str(model), body=asked, training=training))
        if not scored.exists():
            scoring.run(ScoreFile(str(model), str(test), str(scored)))
    return [row.values["scores"] for row in read_rows(scored)]  # type: ignore[misc]  # as `score` writes them


def _report(
    config: Outcome,
    rows: Sequence[Values],
    parts: Sequence[Sequence[int]],
    scores: Mapping[str, Sequence[Sequence[float]]],
    bodies: Sequence[str],
) -> None:
    """Write the tables, the figure and the configuration, and print the figures."""
    out = Path(config.out)
    resampling = Resampling(resamples=config.bootstrap, seed=config.seed)
    fold = np.full(len(rows), -1)
    for number, part in enumerate(parts):
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
    result = {
        "configuration": {**_settings(config), "bootstrap": config.bootstrap},
        "data": {name: _file(source) for name, source in sources.items()},
        "problems": len(rows),
        "right": dict(zip(MODELS, right.sum(axis=0).tolist(), strict=True)),
        "held_out": [len(part) for part in parts],
        "bodies": {name: json.loads((Path(config.work) / name / READING).read_text()) for name in bodies},
        **provenance(),
    }
    with atomic_write(out / "config.json") as file:
        json.dump(result, file, indent=2)
    for row in values:
        sys.stdout.write(f"{row['figure']:15} {row['scorer']:17} {_interval(row)}\n")
    sys.stdout.write(f"Results are in {out}\n")


def _choose(config: Outcome, rows: Sequence[Values], solutions: Solutions, out: Path) -> None:
    """Let `evalkit accuracy` choose among the four solutions by every score, and keep its table."""
    pooled = Path(config.work) / "pooled.jsonl"
    scored = [
        {**row, **{f"{name}s": values[place].tolist() for name, values in solutions.scores.items()}}
        for place, row in enumerate(rows)
    ]
    write_rows(str(pooled), scored, overwrite=True)
    folder = Path(config.work) / "accuracy"
    with (Path(config.work) / "log.txt").open("a", encoding="utf-8") as log, redirect_stdout(log):
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


def _tell(text: str) -> None:
    sys.__stdout__.write(text + "\n") if sys.__stdout__ else None


if __name__ == "__main__":
    main(auto_cli(Outcome, as_positional=False))
