"""`evalkit train aspects`: labelled spans or aspects in, a reward model of several aspects out."""

from pathlib import Path

from rich.console import Console

from evalkit.training.config import TrainAspects
from evalkit.training.run import (
    Labelled,
    encoder_for,
    placed,
    read_labelled,
    report_counts,
    report_place,
    train_in_folder,
)
from rewards.data.spans import load_span_labels
from rewards.files import Screen
from rewards.models.bodies import make_classifier
from rewards.models.outcome import AspectModel
from rewards.models.tokens import TokenModel
from rewards.records import SpanLabels
from rewards.training.aspects import aspect_names, fit_aspects
from rewards.training.fitting import FitResult


def run(config: TrainAspects) -> None:
    """Train, and print where the model is and how well it tells each aspect of held-out responses.

    Raises:
        EvalkitError: The data, the body or the settings cannot be used.
    """
    console = Console()
    data = _read(config, config.data, config.limit, console)
    beside = _read(config, config.evaluation_data, 0, console) if config.evaluation_data else None
    names = aspect_names(data.records, config.aspects, data.names)
    by_span = config.aspects.level == "span"

    def train(folder: Path, trained_on: dict[str, object]) -> FitResult:
        model, tokenizer = make_classifier(
            config.body, config.training.seed, "spans" if by_span else "aspects", names
        )
        encoder = encoder_for(model, tokenizer, config.training, append_eos=not by_span)
        return fit_aspects(
            (TokenModel if by_span else AspectModel)(placed(model)),
            encoder,
            data.records,
            config.aspects,
            config.training,
            folder,
            None if beside is None else beside.records,
            trained_on,
            data.names,
            () if beside is None else beside.names,
        )

    result = train_in_folder(config, data.screening, train)
    report_counts(console, result, config, "responses")
    for name in names:
        _report_aspect(console, name, result, config.aspects.objective == "error")
    if result.evaluation:
        loss = result.evaluation["eval_loss"]
        console.print(f"{result.held_out_prompts} held-out responses: loss {loss:.4f}")
    report_place(console, config.out, "reward model of aspects")


def _report_aspect(console: Console, name: str, result: FitResult, error: bool) -> None:
    told = ""
    if error and (share := result.evaluation.get(f"eval_accuracy_{name}")) is not None:
        told = f"; {share:.1%} of the held-out ones told right"
    elif (share := result.evaluation.get(f"eval_r2_{name}")) is not None:
        told = f"; explains {share:.1%} of their variance where held out"
    console.print(f"  {name}: {result.labels[name]} labels{told}", highlight=False)


def _read(config: TrainAspects, source: str, limit: int, console: Console) -> Labelled[SpanLabels]:
    screen = Screen(config.screening)
    records = load_span_labels(source, config.format, config.rename, screen, config.aspects.names)
    return read_labelled(records, screen, source, limit, console)
