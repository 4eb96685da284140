"""`evalkit train aspects`: trains a multi-aspect reward model on labelled spans or aspects."""

from collections.abc import Iterator
from pathlib import Path

from evalkit.runs import say
from evalkit.training.config import TrainAspects
from evalkit.training.run import read_both, report_counts, report_place, train_in_folder
from rewards.data.spans import load_span_labels
from rewards.files import Screen
from rewards.records import SpanLabels
from rewards.training import AspectsTrainingConfig, FitResult, aspect_names, fit_aspects, start_aspects


def run(config: TrainAspects) -> None:
    """Train, and print the model's folder and its accuracy on each aspect of held-out responses.

    Raises:
        EvalkitError: The data, the body or the settings cannot be used.
    """

    def read(source: str, screen: Screen) -> Iterator[SpanLabels]:
        return load_span_labels(source, config.format, config.rename, screen, config.aspects.names)

    data, held_out = read_both(config, read)
    names = aspect_names(data, config.aspects)
    fitting = AspectsTrainingConfig(config.aspects, config.training)

    def train(folder: Path) -> FitResult:
        model, encoder = start_aspects(config.body, fitting, names)
        return fit_aspects(model, encoder, data, held_out, fitting, folder)

    result = train_in_folder(config, train)
    report_counts(result, config, "responses")
    for name in names:
        _report_aspect(name, result, config.aspects.objective == "error")
    if result.evaluation:
        loss = result.evaluation["eval_loss"]
        say(f"{result.held_out_prompts} held-out responses: loss {loss:.4f}")
    report_place(config.out, "reward model of aspects")


def _report_aspect(name: str, result: FitResult, error: bool) -> None:
    quality = ""
    if error and (share := result.evaluation.get(f"eval_accuracy_{name}")) is not None:
        quality = f"; {share:.1%} of the held-out ones told right"
    elif (share := result.evaluation.get(f"eval_r2_{name}")) is not None:
        quality = f"; explains {share:.1%} of their variance where held out"
    say(f"  {name}: {result.labels[name]} labels{quality}")
