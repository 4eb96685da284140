"""What all `evalkit train` commands share: records with their places, the run's folder, the report."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from rich.console import Console

from evalkit.runs.files import atomic_write, fingerprint, json_text
from evalkit.runs.folder import forget_run, run_folder
from evalkit.runs.locks import locked_folder
from rewards.config import BodyConfig, TrainingConfig
from rewards.encoding.encoder import Encoder
from rewards.errors import ConfigError, EvalkitError
from rewards.files import Screen
from rewards.scorers.loading import context_length, device
from rewards.training.fitting import FitResult

R = TypeVar("R")

RESULT = "result.json"


class TrainConfig(Protocol):
    """What the configurations of all `evalkit train` commands have."""

    @property
    def data(self) -> str:
        """What is trained on."""
        ...

    @property
    def evaluation_data(self) -> str:
        """What is held out; empty holds out a share."""
        ...

    @property
    def out(self) -> str:
        """Folder for the model."""
        ...

    @property
    def body(self) -> BodyConfig:
        """The model under the head."""
        ...

    @property
    def training(self) -> TrainingConfig:
        """How it is fitted."""
        ...

    @property
    def overwrite(self) -> bool:
        """Whether a finished model is replaced."""
        ...


@dataclass(frozen=True)
class Labelled(Generic[R]):
    """Records, what an error calls each (its file, line and id), and what became of doubtful rows."""

    records: list[R]
    names: list[str]
    screening: Mapping[str, object]


def read_labelled(
    records: Iterator[R], screen: Screen, source: str, limit: int, console: Console
) -> Labelled[R]:
    """Read the records of a source, at most `limit` unless that is 0, and say what was found in it."""
    found: list[R] = []
    names: list[str] = []
    for record in itertools.islice(records, limit) if limit else records:
        found.append(record)
        names.append(screen.where)
    console.print(f"{source}: {screen.report}", highlight=False, markup=False, soft_wrap=True)
    return Labelled(found, names, screen.report.as_dict())


def train_in_folder(
    config: TrainConfig,
    screening: Mapping[str, object],
    fit: Callable[[Path, dict[str, object]], FitResult],
) -> FitResult:
    """Fit a model in a run's folder, which a killed command is found again by, and write the result.

    Args:
        config: The command's configuration.
        screening: What became of the doubtful rows that are trained on.
        fit: Trains in the folder; also given what `evalkit.json` says of the data.

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
    folder = run_folder(config.out, config, config.overwrite, RESULT, inputs)
    with locked_folder(folder):
        try:
            result = fit(folder, {**inputs["data"], "screening": screening})
        except EvalkitError:
            forget_run(folder)
            raise
        with atomic_write(folder / RESULT) as file:
            file.write(json_text(asdict(result)))
    return result


def encoder_for(model: Any, tokenizer: Any, config: TrainingConfig, append_eos: bool) -> Encoder:  # noqa: ANN401  # Transformers' own
    """Return the encoder that training and scoring of a model share.

    Raises:
        ConfigError: More tokens are asked for than the model takes.
    """
    length = context_length(model.config, tokenizer)
    if config.max_length > length:
        raise ConfigError(f"training.max_length {config.max_length}: the model takes {length} tokens")
    return Encoder(tokenizer, append_eos=append_eos, max_length=config.max_length or length)


def placed(model: Any) -> Any:  # noqa: ANN401  # Transformers' own
    """Return a model on the first accelerator, or where there is none on the processor."""
    return model.to(device("auto"))


def report_counts(console: Console, result: FitResult, config: TrainConfig, records: str) -> None:
    """Print the updates made, on how many records, and which were left out."""
    console.print(
        f"{result.steps} updates on {result.train_prompts} {records} "
        f"({result.truncated} with a shortened prompt, {result.dropped} left out as too long), "
        f"learning rate {result.learning_rate:g}"
    )
    if result.held_out_truncated or result.held_out_dropped:
        console.print(
            f"{config.evaluation_data}: {result.held_out_truncated} with a shortened prompt, "
            f"{result.held_out_dropped} left out as too long"
        )
    if result.left_out:
        console.print(
            f"Left out: {len(result.left_out)} {records}, all told in {config.out}/{RESULT}; the first: "
            f"{result.left_out[0]}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def report_place(console: Console, out: str, what: str) -> None:
    """Print where the model is, and how to score with it."""
    console.print(f"The {what} is in {out}")
    console.print(f"Score with it: evalkit score --scorer {out} --data FILE --out FILE", soft_wrap=True)
