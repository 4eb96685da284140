"""The steps of process_vs_outcome for one seed: each makes a file, most by a command that a user has too."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from time import perf_counter

from evalkit.evaluation import accuracy
from evalkit.evaluation import process as process_eval
from evalkit.evaluation.config import Accuracy, ProcessEval
from evalkit.experiments.process_vs_outcome.labels import write_variants
from evalkit.experiments.process_vs_outcome.world import (
    EACH,
    GOLD,
    LEARNERS,
    WIDTH,
    Place,
    grade_pool,
    label,
    train,
    write_probabilities,
    write_prompts,
)
from evalkit.label_steps import command as labelling
from evalkit.label_steps.config import LabelSteps
from evalkit.pipeline import generate as generating
from evalkit.pipeline import score as scoring
from evalkit.pipeline.config import Generate, ScoreFile
from evalkit.runs.parsing import command_line
from evalkit.runs.steps import Step
from evalkit.search import command as searching
from evalkit.search.config import Search
from evalkit.testbeds.arithmetic_models import ROOM, TOP_P
from evalkit.testbeds.world_models import WORLD_FILE, check_world
from evalkit.training import steps as training_steps
from evalkit.training.config import TrainCorrectness, TrainProcess
from rewards.config import BodyConfig, ProcessConfig, TrainingConfig
from rewards.models.sidecar import read_sidecar

MOST_HELD_OUT = 1000
"""Solutions held out of a model's training at most; a tenth where that is less."""
METHODS = ("best-of-n", "beam", "dvts")


def steps(place: Place) -> Iterator[Step]:
    """Yield the steps of a seed in order; each reads files of those before it."""
    config = place.config
    yield Step("draw problems", Path(place.at("label-prompts.jsonl")), lambda: write_prompts(place))
    folder = Path(place.at("policy"))
    yield Step(
        "teach a policy", folder / WORLD_FILE, lambda: train(place), check=lambda: check_world(GOLD, folder)
    )
    yield _generate(place, "label-prompts", "label-samples", EACH, place.seed + 1_000)
    yield _generate(place, "prompts", "samples", config.samples, place.seed)
    yield Step("label by gold", Path(place.at("labelled.jsonl")), lambda: label(place))
    yield Step("grade the samples by gold", Path(place.at("pool.jsonl")), lambda: grade_pool(place))
    yield from _automatic_labels(place)
    for size, epochs in zip(config.sizes, config.epochs, strict=True):
        for name in place.scorers(size):
            yield _fit(place, name, size, epochs)
        yield from _score(place, size)
        yield _accuracy(place, size)
        for name in place.scorers(size):
            yield from _examine(place, name, size) if name != "orm" else ()
    for size in config.search_sizes:
        for n in config.search_n:
            yield from (_search(place, size, method, n) for method in METHODS)


def _command(title: str, name: str, config: object, made: str, run: Callable[[], None]) -> Step:
    return Step(title, Path(made), run, command_line(name, config))


def _generate(place: Place, prompts: str, out: str, n: int, seed: int) -> Step:
    config = Generate(
        policy=place.at("policy"),
        data=place.at(f"{prompts}.jsonl"),
        out=place.at(f"{out}.jsonl"),
        n=n,
        top_p=TOP_P,
        max_new_tokens=ROOM,
        seed=seed,
        batch_size=4096,
    )
    return _command(f"sample {n} a problem", "generate", config, config.out, lambda: generating.run(config))


def _automatic_labels(place: Place) -> Iterator[Step]:
    """Label by rollouts twice: all of them, and again, from the cache, only as many as decide a label."""
    config = place.config
    for name, early in (("rollouts", False), ("rollouts-early", True)):
        labels = LabelSteps(
            policy=place.at("policy"),
            data=place.at("to-label.jsonl"),
            out=place.at(f"{name}.jsonl"),
            n=config.rollouts,
            stop_early=early,
            top_p=TOP_P,
            max_new_tokens=ROOM,
            seed=place.seed,
            cache=place.at("rollouts.sqlite"),
            chunk_rows=500,
        )
        yield _command(f"label by {name}", "label-steps", labels, labels.out, partial(labelling.run, labels))
    yield Step(
        "write the automatic labels",
        Path(place.at("automatic-soft.jsonl")),
        lambda: write_variants(place.at("rollouts.jsonl"), place.folder),
    )


def _fit(place: Place, name: str, size: int, epochs: float) -> Step:
    training = TrainingConfig(
        learning_rate=1e-3,
        weight_decay=0.05,
        epochs=epochs,
        batch_prompts=64,
        early_stopping=10,  # evaluations, of which there are ten: all are made, and the best weights kept
        evaluation_share=min(0.1, MOST_HELD_OUT / size),
        tensorboard=False,
        seed=place.seed,
    )
    data = place.at("labelled.jsonl" if name in LEARNERS else f"automatic-{name}.jsonl")
    out, body = place.at(f"{name}-{size}"), BodyConfig(name=place.at("policy"))
    made = str(Path(out) / "result.json")
    title = f"train {name} on {size} solutions"
    if name == "orm":
        graded = TrainCorrectness(data=data, out=out, limit=size, body=body, training=training)
        return _command(
            title, "train correctness", graded, made, lambda: training_steps.run_correctness(graded)
        )
    labelled = TrainProcess(
        data=data, out=out, limit=size, process=ProcessConfig(), body=body, training=training
    )
    return _command(title, "train process", labelled, made, lambda: training_steps.run_process(labelled))


def _score(place: Place, size: int) -> Iterator[Step]:
    """Add the models' scores one after another; the last file has them all."""
    data = place.at("pool.jsonl")
    for name in place.scorers(size):
        config = ScoreFile(
            scorer=place.at(f"{name}-{size}"),
            data=data,
            out=place.at(f"scored-{size}-{name}.jsonl"),
            column=name,
            chunk_rows=16,
        )
        yield _command(
            f"score by {name} of {size}",
            "score",
            config,
            config.out,
            partial(scoring.run, config),
        )
        data = config.out
    yield Step(
        f"make the outcome score of {size} a probability",
        Path(place.scored(size)),
        partial(write_probabilities, place, size, data),
    )


def _accuracy(place: Place, size: int) -> Step:
    config = Accuracy(
        data=place.scored(size),
        out=place.at(f"accuracy-{size}"),
        score=place.scorers(size),
        correct="correct",
        seed=place.seed,
    )
    made = str(Path(config.out) / accuracy.REPORT)
    return _command(f"accuracy at {size}", "accuracy", config, made, lambda: accuracy.run(config))


def _examine(place: Place, name: str, size: int) -> Iterator[Step]:
    """Seek first errors below 0.5, and below the threshold that training chose on its held-out solutions."""
    for how in ("plain", "calibrated"):
        out = place.at(f"process-eval-{name}-{size}-{how}")

        def run(how: str = how, out: str = out) -> None:
            process_eval.run(_examination(place, name, size, how, out))

        yield Step(f"first errors by {name} of {size}, {how}", Path(out) / process_eval.REPORT, run)


def _examination(place: Place, name: str, size: int, how: str, out: str) -> ProcessEval:
    model = place.at(f"{name}-{size}")
    sidecar = read_sidecar(model)
    threshold = 0.5 if how == "plain" or sidecar is None else sidecar.threshold
    return ProcessEval(
        scorer=model, data=place.at("examined.jsonl"), threshold=threshold, out=out, seed=place.seed
    )


def _search(place: Place, size: int, method: str, n: int) -> Step:
    config = Search(
        policy=place.at("policy"),
        scorer=place.at(f"prm-{size}"),
        data=place.at("prompts.jsonl"),
        out=place.at(f"search-{size}-{method}-{n}.jsonl"),
        method=method,  # type: ignore[arg-type]  # one of METHODS
        n=n,
        width=WIDTH,
        top_p=TOP_P,
        max_new_tokens=ROOM,
        seed=place.seed + 2_000,
        chunk_prompts=max(1, 1024 // n),
    )
    title = f"search by {method} of {n} with prm of {size}"
    return _command(title, "search", config, config.out, lambda: searching.run(config))


def make(todo: Sequence[Step], folder: Path) -> None:
    """Do the steps that are not done; what the commands print goes to a log."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        for step in todo:
            if step.made.exists():
                step.check()
                continue
            began = perf_counter()
            with redirect_stdout(log), redirect_stderr(log):
                sys.stdout.write(f"\n# {step.title}\n{step.command}\n")
                step.make()
            seconds = perf_counter() - began
            sys.stdout.write(f"{folder}: {step.title}: {seconds:.1f} s\n")
            sys.stdout.flush()
            with (folder / "seconds.jsonl").open("a", encoding="utf-8") as times:
                times.write(json.dumps({"step": step.title, "seconds": round(seconds, 1)}) + "\n")
