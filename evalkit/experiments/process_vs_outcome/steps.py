"""The steps of process_vs_outcome for one seed: each makes a file, most by a command that a user has too."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from evalkit.evaluation import accuracy
from evalkit.evaluation import process as process_eval
from evalkit.evaluation.config import Accuracy, ProcessEval
from evalkit.experiments.process_vs_outcome.config import WIDTH
from evalkit.experiments.process_vs_outcome.labels import write_variants
from evalkit.experiments.process_vs_outcome.world import (
    EACH,
    GOLD,
    LEARNERS,
    ProcessTrial,
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


def steps(trial: ProcessTrial) -> Iterator[Step]:
    """Yield the steps of a seed in order; each reads files of those before it."""
    config = trial.config
    yield Step("draw problems", Path(trial.at("label-prompts.jsonl")), lambda: write_prompts(trial))
    folder = Path(trial.at("policy"))
    yield Step(
        "teach a policy", folder / WORLD_FILE, lambda: train(trial), check=lambda: check_world(GOLD, folder)
    )
    yield _generate(trial, "label-prompts", "label-samples", EACH, trial.seed + 1_000)
    yield _generate(trial, "prompts", "samples", config.samples, trial.seed)
    yield Step("label by gold", Path(trial.at("labelled.jsonl")), lambda: label(trial))
    yield Step("grade the samples by gold", Path(trial.at("pool.jsonl")), lambda: grade_pool(trial))
    yield from _automatic_labels(trial)
    for size, epochs in zip(config.sizes, config.epochs, strict=True):
        for name in trial.scorers(size):
            yield _fit(trial, name, size, epochs)
        yield from _score(trial, size)
        yield _accuracy(trial, size)
        for name in trial.scorers(size):
            yield from _examine(trial, name, size) if name != "orm" else ()
    for size in config.search_sizes:
        for n in config.search_n:
            yield from (_search(trial, size, method, n) for method in METHODS)


def _command(title: str, name: str, config: object, made: str, run: Callable[[], None]) -> Step:
    return Step(title, Path(made), run, command_line(name, config))


def _generate(trial: ProcessTrial, prompts: str, out: str, n: int, seed: int) -> Step:
    config = Generate(
        policy=trial.at("policy"),
        data=trial.at(f"{prompts}.jsonl"),
        out=trial.at(f"{out}.jsonl"),
        n=n,
        top_p=TOP_P,
        max_new_tokens=ROOM,
        seed=seed,
        batch_size=4096,
    )
    return _command(f"sample {n} a problem", "generate", config, config.out, lambda: generating.run(config))


def _automatic_labels(trial: ProcessTrial) -> Iterator[Step]:
    """Label by rollouts twice: all of them, and again, from the cache, only as many as decide a label."""
    config = trial.config
    for name, early in (("rollouts", False), ("rollouts-early", True)):
        labels = LabelSteps(
            policy=trial.at("policy"),
            data=trial.at("to-label.jsonl"),
            out=trial.at(f"{name}.jsonl"),
            n=config.rollouts,
            stop_early=early,
            top_p=TOP_P,
            max_new_tokens=ROOM,
            seed=trial.seed,
            cache=trial.at("rollouts.sqlite"),
            chunk_rows=500,
        )
        yield _command(f"label by {name}", "label-steps", labels, labels.out, partial(labelling.run, labels))
    yield Step(
        "write the automatic labels",
        Path(trial.at("automatic-soft.jsonl")),
        lambda: write_variants(trial.at("rollouts.jsonl"), trial.folder),
    )


def _fit(trial: ProcessTrial, name: str, size: int, epochs: float) -> Step:
    training = TrainingConfig(
        learning_rate=1e-3,
        weight_decay=0.05,
        epochs=epochs,
        batch_prompts=64,
        early_stopping=10,  # evaluations, of which there are ten: all are made, and the best weights kept
        evaluation_share=min(0.1, MOST_HELD_OUT / size),
        tensorboard=False,
        seed=trial.seed,
    )
    data = trial.at("labelled.jsonl" if name in LEARNERS else f"automatic-{name}.jsonl")
    out, body = trial.at(f"{name}-{size}"), BodyConfig(name=trial.at("policy"))
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


def _score(trial: ProcessTrial, size: int) -> Iterator[Step]:
    """Add the models' scores one after another; the last file has them all."""
    data = trial.at("pool.jsonl")
    for name in trial.scorers(size):
        config = ScoreFile(
            scorer=trial.at(f"{name}-{size}"),
            data=data,
            out=trial.at(f"scored-{size}-{name}.jsonl"),
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
        Path(trial.scored(size)),
        partial(write_probabilities, trial, size, data),
    )


def _accuracy(trial: ProcessTrial, size: int) -> Step:
    config = Accuracy(
        data=trial.scored(size),
        out=trial.at(f"accuracy-{size}"),
        score=trial.scorers(size),
        correct="correct",
        seed=trial.seed,
    )
    made = str(Path(config.out) / accuracy.REPORT)
    return _command(f"accuracy at {size}", "accuracy", config, made, lambda: accuracy.run(config))


def _examine(trial: ProcessTrial, name: str, size: int) -> Iterator[Step]:
    """Seek first errors below 0.5, and below the threshold that training chose on its held-out solutions."""
    for how in ("plain", "calibrated"):
        out = trial.at(f"process-eval-{name}-{size}-{how}")

        def run(how: str = how, out: str = out) -> None:
            process_eval.run(_examination(trial, name, size, how, out))

        yield Step(f"first errors by {name} of {size}, {how}", Path(out) / process_eval.REPORT, run)


def _examination(trial: ProcessTrial, name: str, size: int, how: str, out: str) -> ProcessEval:
    model = trial.at(f"{name}-{size}")
    sidecar = read_sidecar(model)
    threshold = 0.5 if how == "plain" or sidecar is None else sidecar.threshold
    return ProcessEval(
        scorer=model, data=trial.at("examined.jsonl"), threshold=threshold, out=out, seed=trial.seed
    )


def _search(trial: ProcessTrial, size: int, method: str, n: int) -> Step:
    config = Search(
        policy=trial.at("policy"),
        scorer=trial.at(f"prm-{size}"),
        data=trial.at("prompts.jsonl"),
        out=trial.at(f"search-{size}-{method}-{n}.jsonl"),
        method=method,  # type: ignore[arg-type]  # one of METHODS
        n=n,
        width=WIDTH,
        top_p=TOP_P,
        max_new_tokens=ROOM,
        seed=trial.seed + 2_000,
        chunk_prompts=max(1, 1024 // n),
    )
    title = f"search by {method} of {n} with prm of {size}"
    return _command(title, "search", config, config.out, lambda: searching.run(config))
