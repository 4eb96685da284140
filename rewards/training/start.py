"""start_*: the model that a fit starts from, on the first accelerator, and its encoder."""

from collections.abc import Sequence
from typing import Any

from rewards.config import (
    AspectsTrainingConfig,
    BodyConfig,
    CorrectnessTrainingConfig,
    ProcessTrainingConfig,
    TrainingConfig,
)
from rewards.encoding.encoder import Encoder
from rewards.errors import ConfigError
from rewards.models.bodies import make_classifier
from rewards.models.outcome import AspectModel, RewardModel
from rewards.models.tokens import STEP_CLASSES, TokenModel
from rewards.scorers.loading import context_length, device


def start_outcome(body: BodyConfig, config: TrainingConfig) -> tuple[RewardModel, Encoder]:
    """Return a reward model before `fit_outcome`, and its encoder.

    Args:
        body: The model under the head.
        config: The training settings.

    Raises:
        ConfigError: The sizes do not fit together, no tokenizer is named, or `max_length` exceeds the
            model's context.
        ModelError: The folder or Hub id cannot be used.
    """
    model, tokenizer = make_classifier(body, config.seed)
    return RewardModel(_on_device(model)), _encoder(model, tokenizer, config, append_eos=True)


def start_correctness(body: BodyConfig, config: CorrectnessTrainingConfig) -> tuple[RewardModel, Encoder]:
    """Return a reward model before `fit_correctness`, and its encoder; otherwise as `start_outcome`."""
    return start_outcome(body, config.training)


def start_process(body: BodyConfig, config: ProcessTrainingConfig) -> tuple[TokenModel, Encoder]:
    """Return a reward model before `fit_process`, and its encoder; otherwise as `start_outcome`."""
    added = [config.process.separator] if config.process.add_token else []
    model, tokenizer = make_classifier(body, config.training.seed, "process", STEP_CLASSES, added)
    return TokenModel(_on_device(model)), _encoder(model, tokenizer, config.training, append_eos=False)


def start_aspects(
    body: BodyConfig, config: AspectsTrainingConfig, names: Sequence[str]
) -> tuple[AspectModel | TokenModel, Encoder]:
    """Return a reward model before `fit_aspects`, and its encoder; otherwise as `start_outcome`.

    Args:
        body: The model under the heads.
        config: The training settings.
        names: The aspects, as `aspect_names` returns them.
    """
    by_span = config.aspects.level == "span"
    model, tokenizer = make_classifier(body, config.training.seed, "spans" if by_span else "aspects", names)
    head = TokenModel if by_span else AspectModel
    return head(_on_device(model)), _encoder(model, tokenizer, config.training, append_eos=not by_span)


def _encoder(model: Any, tokenizer: Any, config: TrainingConfig, append_eos: bool) -> Encoder:  # noqa: ANN401  # Transformers' own
    """Return the encoder that training and scoring of a model share."""
    length = context_length(model.config, tokenizer)
    if config.max_length > length:
        raise ConfigError(f"training.max_length {config.max_length}: the model takes {length} tokens")
    return Encoder(tokenizer, append_eos=append_eos, max_length=config.max_length or length)


def _on_device(model: Any) -> Any:  # noqa: ANN401  # Transformers' own
    return model.to(device("auto"))
