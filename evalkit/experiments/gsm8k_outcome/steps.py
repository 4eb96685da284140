"""The steps of the GSM8K experiment: a body that has read worked problems, and a model and scores a fold."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.experiments.gsm8k_outcome.bodies import lengthen, make_reader
from evalkit.experiments.gsm8k_outcome.config import Gsm8kOutcome
from evalkit.pipeline import score as scoring
from evalkit.pipeline.config import ScoreFile
from evalkit.runs.parsing import command_line
from evalkit.runs.steps import Step
from evalkit.training.config import TrainCorrectness
from evalkit.training.run import RESULT
from evalkit.training.steps import run_correctness
from rewards.config import BodyConfig, TrainingConfig
from rewards.data.gsm8k import load_gsm8k
from rewards.errors import ConfigError
from rewards.files import write_rows

Values = Mapping[str, object]

SMALL = "small"
"""The body that is made here."""
UNSEEN = "A:"
"""Stands for every solution where the question alone is learnt."""


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


def bodies(config: Gsm8kOutcome) -> list[str]:
    """Return the names of the bodies, the small one first.

    Raises:
        ConfigError: Two have one name.
    """
    names = [SMALL, *(Path(other).name for other in config.others)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"others: two bodies are called {twice[0]!r}")
    return names


def body_steps(config: Gsm8kOutcome) -> Iterator[Step]:
    """Yield the steps that make the bodies."""
    work = Path(config.work)
    for name, source in zip(bodies(config), ["", *config.others], strict=True):
        title = f"lengthen {name}" if source else "read the worked problems"
        yield Step(title, work / name, _body(config, work / name, source))


def _body(config: Gsm8kOutcome, folder: Path, source: str) -> Callable[[], None]:
    def make() -> None:
        if source:
            lengthen(source, folder)
            return
        problems = load_gsm8k(config.problems, config.calculations)
        texts = [f"{row['prompt']}{row['response']}" for row in problems]
        size = (config.vocabulary, config.hidden, config.layers)
        make_reader(texts, folder, *size, config.readings, config.seed)

    return make


@dataclass(frozen=True)
class Fold:
    """A body tuned on a view of all problems but a part, and its scores of that part.

    Attributes:
        body: Name of the body.
        view: What it sees: both, the solution or the question alone.
        number: Of the part.
        held_out: Problems of the part, in rising order.
    """

    body: str
    view: str
    number: int
    held_out: Sequence[int]

    @property
    def name(self) -> str:
        """What the scores are called."""
        return self.body if self.view == "both" else f"{self.body}-{self.view}"

    def folder(self, config: Gsm8kOutcome) -> Path:
        """Return where its files are."""
        return Path(config.work) / f"fold-{self.number}" / f"{self.body}-{self.view}"


def all_folds(config: Gsm8kOutcome, count: int) -> Iterator[Fold]:
    """Yield every model to train, for so many problems."""
    parts = folds(count, config.folds, config.seed)[: config.held_out or None]
    names = bodies(config)
    for body, view in [(SMALL, view) for view in config.views] + [(name, "both") for name in names[1:]]:
        for number, part in enumerate(parts):
            yield Fold(body, view, number, part)


def fold_steps(config: Gsm8kOutcome, fold: Fold, rows: Sequence[Values]) -> Iterator[Step]:
    """Yield the steps to the scores of a fold's held-out problems, [problems, 4]."""
    folder = fold.folder(config)
    train, test = folder / "train.jsonl", folder / "test.jsonl"

    def split() -> None:
        learnt = sorted(set(range(len(rows))) - set(fold.held_out))
        write_rows(str(train), [seen(rows[place], fold.view) for place in learnt], overwrite=True)
        write_rows(str(test), [seen(rows[place], fold.view) for place in fold.held_out], overwrite=True)

    fitting = TrainCorrectness(
        str(train),
        str(folder / "model"),
        body=BodyConfig(name=str(Path(config.work) / fold.body)),
        training=TrainingConfig(
            learning_rate=config.learning_rate,
            epochs=config.epochs,
            batch_prompts=config.batch,
            over_long="error",
            evaluation_share=0.0,
            tensorboard=False,
            seed=config.seed,
        ),
    )
    scored = ScoreFile(fitting.out, str(test), str(folder / "scored.jsonl"))
    yield Step("hold problems out", test, split)
    yield Step(
        "training on all others",
        Path(fitting.out) / RESULT,
        lambda: run_correctness(fitting),
        command_line("train correctness", fitting),
    )
    yield Step("score them", Path(scored.out), lambda: scoring.run(scored), command_line("score", scored))
