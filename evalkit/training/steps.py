"""`evalkit train process` and `evalkit train correctness`: train on step labels or graded solutions."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from numbers import Real
from pathlib import Path

from evalkit.runs import say
from evalkit.training.config import TrainCorrectness, TrainProcess
from evalkit.training.run import read_both, report_counts, report_place, train_in_folder
from rewards.data.steps import load_step_labels
from rewards.data.streams import screened
from rewards.errors import DataError
from rewards.files import Row, Screen, generations, read_rows
from rewards.records import Generation, StepLabels
from rewards.training import (
    CorrectnessTrainingConfig,
    FitResult,
    GradedSolution,
    ProcessTrainingConfig,
    fit_correctness,
    fit_process,
    start_correctness,
    start_process,
)
from rewards.training.process import UNCALIBRATED


def run_process(config: TrainProcess) -> None:
    """Train a process reward model, and print its folder and its metrics on held-out steps.

    Raises:
        EvalkitError: The data, the body, the separator or the settings cannot be used.
    """

    def read(source: str, screen: Screen) -> Iterator[StepLabels]:
        return load_step_labels(source, config.format, config.rename, screen, config.neutral)

    data, held_out = read_both(config, read)

    fitting = ProcessTrainingConfig(config.process, config.training)

    def train(folder: Path) -> FitResult:
        model, encoder = start_process(config.body, fitting)
        return fit_process(model, encoder, data, held_out, fitting, folder)

    result = train_in_folder(config, train)
    report_counts(result, config, "solutions")
    _report_steps(result)
    if result.threshold is not None:
        threshold = f"{result.threshold:.4g}, the threshold of the highest first-error F1 where held out"
    else:
        threshold = f"{UNCALIBRATED:g}; " + (
            "none was chosen, for want of held-out solutions both with and without an error"
            if config.process.calibrate
            else "none was to be chosen"
        )
    say(f"A step counts as wrong below {threshold}")
    report_place(config.out, "process reward model")


def _report_steps(result: FitResult) -> None:
    steps = result.labels
    alone = f"; {steps['unlabelled solutions']} solutions have none" if steps["unlabelled solutions"] else ""
    say(
        f"Steps: {steps['right']} right, {steps['wrong']} wrong, {steps['unlabelled']} without a label{alone}"
    )
    if result.evaluation:
        shares = [
            f"{result.evaluation[f'eval_accuracy_{kind}']:.1%} of the {kind} ones"
            for kind in ("right", "wrong")
            if f"eval_accuracy_{kind}" in result.evaluation
        ]
        say(
            f"{result.held_out_prompts} held-out solutions: loss {result.evaluation['eval_loss']:.4f}, "
            f"tells {' and '.join(shares)} among their steps"
        )


def run_correctness(config: TrainCorrectness) -> None:
    """Train an outcome reward model on graded solutions, and print its folder and metrics.

    Raises:
        EvalkitError: The data, the body or the settings cannot be used.
    """
    data, held_out = read_both(config, partial(_graded, config))
    fitting = CorrectnessTrainingConfig(config.tokens, config.training)

    def train(folder: Path) -> FitResult:
        model, encoder = start_correctness(config.body, fitting)
        return fit_correctness(model, encoder, data, held_out, fitting, folder)

    result = train_in_folder(config, train)
    report_counts(result, config, "solutions")
    say(f"Solutions: {result.labels['right']} right, {result.labels['wrong']} wrong")
    if result.evaluation:
        say(
            f"{result.held_out_prompts} held-out solutions: loss {result.evaluation['eval_loss']:.4f}, "
            f"{result.evaluation['eval_accuracy']:.1%} told right at their last token"
        )
    report_place(config.out, "outcome reward model")


def _graded(config: TrainCorrectness, source: str, screen: Screen) -> Iterator[GradedSolution]:
    """Yield the graded solutions of a source that pass the screen."""

    def convert(row: Row) -> list[Generation]:
        own = generations(row)
        return [
            replace(
                one,
                # The responses of a row have its id in common, which is not to count as one met before.
                id=f"{one.id}#{number}" if one.id and len(own) > 1 else one.id,
                extra={config.label: _label(row, one, config.label)},
            )
            for number, one in enumerate(own, 1)
        ]

    for generation in screened(read_rows(source, rename=config.rename), convert, screen):
        label = generation.extra[config.label]
        yield GradedSolution(generation, float(label))  # type: ignore[arg-type]  # `_label` made it a number


def _label(row: Row, generation: Generation, name: str) -> float:
    """Return whether a response is right: its own column, or its element of the plural's list.

    Raises:
        DataError: There is no such column, or it holds no share from 0 to 1.
    """
    column = name if name in generation.extra else f"{name}s"
    if column not in generation.extra:
        there = ", ".join(row.values)
        raise DataError(
            f"{row.where}: no column {name!r} or {name + 's'!r} that says whether a response is right, only "
            f"{there}; evalkit score --scorer 'rule:answer?grader=numeric' --column {name} makes it"
        )
    value = generation.extra[column]
    if isinstance(value, str):  # as a csv file spells it
        spelled = {"true": "1", "false": "0"}.get(value.strip().lower(), value)
        with suppress(ValueError):
            value = float(spelled)
    if isinstance(value, Real) and 0 <= float(value) <= 1:
        return float(value)
    raise row.expected(column, "true, false or a number in [0, 1]", value)
