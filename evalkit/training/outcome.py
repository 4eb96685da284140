"""`evalkit train outcome`: trains an outcome reward model on preferences."""

from collections.abc import Iterator
from pathlib import Path

from evalkit.runs import say
from evalkit.training.config import TrainOutcome
from evalkit.training.run import read_both, report_counts, report_place, train_in_folder
from rewards.data.preferences import load_preferences
from rewards.files import Screen
from rewards.records import Preference, Ranking
from rewards.training import FitResult, fit_outcome, start_outcome


def run(config: TrainOutcome) -> None:
    """Train, and print the model's folder and its accuracy on held-out prompts.

    Raises:
        EvalkitError: The data, the body or the settings cannot be used.
    """

    def read(source: str, screen: Screen) -> Iterator[Preference | Ranking]:
        return load_preferences(source, config.format, config.rename, screen)

    data, held_out = read_both(config, read)

    def train(folder: Path) -> FitResult:
        model, encoder = start_outcome(config.body, config.training)
        return fit_outcome(model, encoder, data, held_out, config.training, folder)

    _report(train_in_folder(config, train), config)


def _report(result: FitResult, config: TrainOutcome) -> None:
    report_counts(result, config, "records")
    if result.evaluation:
        accuracy = result.evaluation.get("eval_accuracy")
        right = f", ranks {accuracy:.1%} of their pairs right" if accuracy is not None else ""
        loss = result.evaluation["eval_loss"]
        say(f"{result.held_out_prompts} held-out records: loss {loss:.4f}{right}")
        if accuracy is not None and accuracy <= 0.5:
            say(
                "Warning: that is no better than chance; look at the labels, and try more data, more epochs "
                "or another --training.learning_rate"
            )
    report_place(config.out, "reward model")
