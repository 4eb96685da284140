"""`evalkit train outcome`: preferences in, a reward model out."""

import itertools
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

from rich.console import Console

from evalkit.config import TrainOutcome
from evalkit.data.load import load_preferences
from evalkit.locks import locked_folder
from evalkit.runs import atomic_write, fingerprint, forget_run, json_text, run_folder
from rewards.encoding import Encoder
from rewards.engines.local import context_length, device
from rewards.errors import ConfigError, EvalkitError
from rewards.models.bodies import make_classifier
from rewards.models.outcome import RewardModel
from rewards.records import Preference, Ranking
from rewards.screening import Screen
from rewards.training import FitResult, fit

Records: TypeAlias = list[Preference | Ranking]

RESULT = "result.json"


def run(config: TrainOutcome) -> None:
    """Train, and print where the model is and how well it ranks held-out prompts.

    Raises:
        EvalkitError: The data, the body or the settings cannot be used.
    """
    lora = config.training.lora
    if lora.rank and not lora.merge and not config.body.name:
        raise ConfigError("training.lora.merge false keeps adapters of --body.name, and none is given")
    console = Console()
    screen = Screen(config.screening)
    rows = load_preferences(config.data, config.format, config.rename, screen)
    records = list(_first(rows, config.limit))
    console.print(f"{config.data}: {screen.report}")
    held_out = _held_out(config, console)
    inputs = {
        "data": fingerprint(config.data),
        "evaluation_data": fingerprint(config.evaluation_data),
        "body": fingerprint(config.body.name),
    }
    folder = run_folder(config.out, config, config.overwrite, RESULT, inputs)
    with locked_folder(folder):
        try:
            trained_on = {**inputs["data"], "screening": screen.report.as_dict()}
            result = _train(config, records, held_out, folder, trained_on)
        except EvalkitError:
            forget_run(folder)
            raise
        with atomic_write(folder / RESULT) as file:
            file.write(json_text(asdict(result)))
    _report(console, result, config)


def _train(
    config: TrainOutcome,
    records: Records,
    held_out: Records | None,
    folder: Path,
    trained_on: dict[str, object],
) -> FitResult:
    model, tokenizer = make_classifier(config.body, config.training.seed)
    length = context_length(model.config, tokenizer)
    if config.training.max_length > length:
        raise ConfigError(
            f"training.max_length {config.training.max_length}: the model takes {length} tokens"
        )
    encoder = Encoder(tokenizer, append_eos=True, max_length=config.training.max_length or length)
    reward_model = RewardModel(model.to(device("auto")))  # type: ignore[arg-type]  # Transformers' own stub
    return fit(reward_model, encoder, records, config.training, folder, held_out, trained_on)


def _first(records: Iterator[Preference | Ranking], limit: int) -> Iterator[Preference | Ranking]:
    return itertools.islice(records, limit) if limit else records


def _held_out(config: TrainOutcome, console: Console) -> Records | None:
    if not config.evaluation_data:
        return None
    screen = Screen(config.screening)
    records = list(load_preferences(config.evaluation_data, config.format, config.rename, screen))
    console.print(f"{config.evaluation_data}: {screen.report}")
    return records


def _report(console: Console, result: FitResult, config: TrainOutcome) -> None:
    console.print(
        f"{result.steps} updates on {result.train_prompts} records "
        f"({result.truncated} with a shortened prompt, {result.dropped} left out as too long), "
        f"learning rate {result.learning_rate:g}"
    )
    if result.evaluation:
        accuracy = result.evaluation.get("eval_accuracy")
        right = f", ranks {accuracy:.1%} of their pairs right" if accuracy is not None else ""
        loss = result.evaluation["eval_loss"]
        console.print(f"{result.held_out_prompts} held-out records: loss {loss:.4f}{right}")
        if accuracy is not None and accuracy <= 0.5:
            console.print(
                "Warning: that is no better than chance; look at the labels, and try more data, more epochs "
                "or another --training.learning_rate"
            )
    if result.held_out_truncated or result.held_out_dropped:
        console.print(
            f"{config.evaluation_data}: {result.held_out_truncated} with a shortened prompt, "
            f"{result.held_out_dropped} left out as too long"
        )
    console.print(f"The reward model is in {config.out}")
    console.print(
        f"Score with it: evalkit score --scorer {config.out} --data FILE --out FILE", soft_wrap=True
    )
