"""Shared by all `evalkit train` commands: reading data, the run's folder, the report."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from evalkit.runs import fingerprint, run, say, write_json
from evalkit.training.config import TrainRewardModel
from rewards.errors import ConfigError
from rewards.files import Screen
from rewards.training.fitting import FitResult
from rewards.training.labelled import Labelled

R = TypeVar("R")

RESULT = "result.json"


def read_both(
    config: TrainRewardModel, read: Callable[[str, Screen], Iterator[R]]
) -> tuple[Labelled[R], Labelled[R] | None]:
    """Read the training data, and the held-out data if given.

    Args:
        config: The command's configuration.
        read: Yields the records of a source that pass the screen.
    """

    def labelled(source: str, limit: int) -> Labelled[R]:
        screen = Screen(config.screening)
        return read_labelled(read(source, screen), screen, source, limit)

    data = labelled(config.data, config.limit)
    return data, labelled(config.evaluation_data, 0) if config.evaluation_data else None


def read_labelled(records: Iterator[R], screen: Screen, source: str, limit: int) -> Labelled[R]:
    """Read the records of a source, at most `limit` unless that is 0, and print the counts of its rows."""
    kept: list[R] = []
    names: list[str] = []
    for record in itertools.islice(records, limit) if limit else records:
        kept.append(record)
        names.append(screen.where)
    say(f"{source}: {screen.report}")
    return Labelled(kept, names, {**fingerprint(source), "screening": screen.report.as_dict()})


def train_in_folder(config: TrainRewardModel, fit: Callable[[Path], FitResult]) -> FitResult:
    """Fit a model in a run's folder, resuming after a kill, and write the result.

    Args:
        config: The command's configuration.
        fit: Trains in the folder.

    Raises:
        EvalkitError: The settings cannot be used, or the folder is another run's; a folder in which nothing
            was made is removed.
    """
    lora = config.training.lora
    if lora.rank and not lora.merge and not config.body.name:
        raise ConfigError("training.lora.merge false keeps adapters of --body.name, and none is given")
    inputs = {
        "data": fingerprint(config.data),
        "evaluation_data": fingerprint(config.evaluation_data),
        "body": fingerprint(config.body.name),
    }
    with run(config, inputs, done=RESULT) as folder:
        result = fit(folder)
        write_json(folder / RESULT, asdict(result))
    return result


def report_counts(result: FitResult, config: TrainRewardModel, records: str) -> None:
    """Print the number of updates and of records, and which were left out."""
    say(
        f"{result.steps} updates on {result.train_prompts} {records} "
        f"({result.truncated} with a shortened prompt, {result.dropped} left out as too long), "
        f"learning rate {result.learning_rate:g}"
    )
    if result.held_out_truncated or result.held_out_dropped:
        say(
            f"{config.evaluation_data}: {result.held_out_truncated} with a shortened prompt, "
            f"{result.held_out_dropped} left out as too long"
        )
    if result.left_out:
        say(
            f"Left out: {len(result.left_out)} {records}, all told in {config.out}/{RESULT}; the first: "
            f"{result.left_out[0]}"
        )


def report_place(out: str, what: str) -> None:
    """Print the model's folder, and how to score with it."""
    say(f"The {what} is in {out}")
    say(f"Score with it: evalkit score --scorer {out} --data FILE --out FILE")
