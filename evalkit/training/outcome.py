"""`evalkit train outcome`: preferences in, a reward model out."""

from pathlib import Path

from rich.console import Console

from evalkit.training.config import TrainOutcome
from evalkit.training.run import (
    Labelled,
    encoder_for,
    placed,
    read_labelled,
    report_counts,
    report_place,
    train_in_folder,
)
from rewards.data.preferences import load_preferences
from rewards.files import Screen
from rewards.models.bodies import make_classifier
from rewards.models.outcome import RewardModel
from rewards.records import Preference, Ranking
from rewards.training.fitting import FitResult
from rewards.training.outcome import fit


def run(config: TrainOutcome) -> None:
    """Train, and print where the model is and how well it ranks held-out prompts.

    Raises:
        EvalkitError: The data, the body or the settings cannot be used.
    """
    console = Console()
    data = _read(config, config.data, config.limit, console)
    held_out = _read(config, config.evaluation_data, 0, console).records if config.evaluation_data else None

    def train(folder: Path, trained_on: dict[str, object]) -> FitResult:
        model, tokenizer = make_classifier(config.body, config.training.seed)
        encoder = encoder_for(model, tokenizer, config.training, append_eos=True)
        reward_model = RewardModel(placed(model))
        return fit(reward_model, encoder, data.records, config.training, folder, held_out, trained_on)

    _report(console, train_in_folder(config, data.screening, train), config)


def _read(config: TrainOutcome, source: str, limit: int, console: Console) -> Labelled[Preference | Ranking]:
    screen = Screen(config.screening)
    records = load_preferences(source, config.format, config.rename, screen)
    return read_labelled(records, screen, source, limit, console)


def _report(console: Console, result: FitResult, config: TrainOutcome) -> None:
    report_counts(console, result, config, "records")
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
    report_place(console, config.out, "reward model")
