"""The core of all training runs: learning rate, packing, adapters, the trainer, and saving the model."""

import json
import shutil
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import torch

from rewards.config import LoraConfig, TrainingConfig
from rewards.encoding.encoder import Encoder
from rewards.errors import ConfigError, DataError, MissingExtraError
from rewards.models.checkpoint import save, weights_hash
from rewards.models.head import HeadedModel, can_pack, prepare_for_packing
from rewards.models.hub import quiet
from rewards.models.sidecar import Scale, Sidecar, write_sidecar
from rewards.training.examples import TrainingSplit
from rewards.training.resuming import arguments_hash, check_same_run
from rewards.training.trainer import ARGUMENTS, CHECKPOINTS, Objective, PackedTrainer, Probe, ShowProgress

PRETRAINED_RATE, NEW_RATE = 1e-5, 1e-3
"""Learning rates where none is given: 1e-5 tunes a body that was read from somewhere, and leaves one that
starts from chance where it is."""

E = TypeVar("E")
M = TypeVar("M", bound=HeadedModel)


@dataclass(frozen=True)
class FitResult:
    """The result of a training run.

    Attributes:
        steps: Updates made.
        train_prompts: Batch elements trained on, one for each record.
        held_out_prompts: Records held out.
        truncated: Records whose prompt was truncated.
        dropped: Records left out as over-long.
        held_out_truncated: Records of separate held-out data whose prompt was truncated.
        held_out_dropped: Those left out as over-long.
        learning_rate: The peak learning rate, configured or the default for the body.
        evaluation: Held-out loss and accuracy at the end (of the best weights with early stopping).
        scale: Mean and standard deviation of the logits on training responses.
        packed: Whether shared prefixes were computed once.
        labels: Counts of labels, by kind.
        threshold: A step with a lower score counts as wrong; None if no threshold was chosen.
        left_out: Records neither trained on nor held out, each with its place and the reason; preferences
            and rankings are only counted.
    """

    steps: int
    train_prompts: int
    held_out_prompts: int
    truncated: int
    dropped: int
    held_out_truncated: int
    held_out_dropped: int
    learning_rate: float
    evaluation: Mapping[str, float]
    scale: Scale
    packed: bool
    labels: Mapping[str, int] = field(default_factory=dict)
    threshold: float | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fitted(Generic[M]):
    """A fitted model and the facts of its training.

    Attributes:
        model: The model, in adapters where there are any.
        config: The training settings, with the learning rate used.
        steps: Updates made.
        evaluation: Held-out loss and metrics at the end.
        packed: Whether shared prefixes were computed once.
    """

    model: M
    config: TrainingConfig
    steps: int
    evaluation: Mapping[str, float]
    packed: bool


def fit_examples(
    model: M,
    objective: Objective[E],
    split: TrainingSplit[E],
    config: TrainingConfig,
    out: Path,
    probe: Probe | None = None,
) -> Fitted[M]:
    """Fit a model, resuming from the last checkpoint of a call with the same arguments.

    Args:
        model: The model; its weights change.
        objective: The training objective.
        split: Examples to train on and held-out ones.
        config: The training settings.
        out: Folder for checkpoints and metrics.
        probe: Measures the model at every evaluation, at the start and at the end.

    Raises:
        DataError: There is nothing to train on.
        ConfigError: Settings that contradict each other.
        OutputExistsError: The last checkpoint is of a call with other arguments.
    """
    if not split.train:
        raise DataError("nothing to train on: no record is left after screening and over-long rows")
    if config.early_stopping and not split.held_out:
        raise ConfigError("early_stopping needs held-out prompts")
    rate = config.learning_rate or (PRETRAINED_RATE if model.inner.name_or_path else NEW_RATE)
    config = replace(config, learning_rate=rate)
    arguments = arguments_hash(config, split.train, split.held_out, objective, weights_hash(model))
    begun = last_complete(out / CHECKPOINTS)
    if begun:
        check_same_run(Path(begun), _arguments_of(Path(begun)), arguments)
    if not config.dropout:
        remove_dropout(model)
    packed = can_pack(model.inner.config, split.longest) and prepare_for_packing(model)
    if config.lora.rank:
        adapted = add_adapters(
            model.inner, config.lora, config.seed, model.head if model.new_head else "", model.adapter_task
        )
        model = type(model)(cast(Any, adapted))  # type: ignore[call-arg]  # its kinds know their head
    out.mkdir(parents=True, exist_ok=True)
    trainer = PackedTrainer(
        model, objective, split, config, out, packed=packed, probe=probe, arguments=arguments
    )
    # A resumed run probes when an uninterrupted one would, which need not be where it resumes.
    trainer.args.eval_on_start = trainer.args.eval_on_start and begun is None
    with quiet(), ExitStack() as shown:  # Trainer remarks on the file system at each checkpoint
        trainer.add_callback(ShowProgress(shown))
        if not (begun and probe and trainer.stopped_at(begun, probe)):
            trainer.train(resume_from_checkpoint=begun)
    final = trainer.measure() if split.held_out or probe else {}
    model.eval()
    return Fitted(model, config, trainer.state.global_step, final, packed)


def save_fitted(fitted: Fitted[M], encoder: Encoder, out: Path, sidecar: Sidecar) -> None:
    """Write the model's folder, `evalkit.json` last, and remove the checkpoints."""
    lora = fitted.config.lora
    if lora.rank and not lora.merge:
        with warnings.catch_warnings():  # embeddings of new tokens are saved too, and peft remarks on it
            warnings.filterwarnings("ignore", "Setting `save_embedding_layers`", UserWarning)
            cast(Any, fitted.model.classifier).save_pretrained(out)
        encoder.tokenizer.save_pretrained(out)
        write_sidecar(out, sidecar)
    else:
        save(fitted.model, encoder.tokenizer, out, sidecar)
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)


def result_of(
    fitted: Fitted[M],
    split: TrainingSplit[E],
    labels: Mapping[str, int],
    scale: Scale | None = None,
    threshold: float | None = None,
) -> FitResult:
    """Return the result of a training run.

    Args:
        fitted: The fitted model.
        split: Its training and held-out examples.
        labels: Counts of labels, by kind.
        scale: Mean and standard deviation of the logits, of a model whose score is standardised.
        threshold: A step with a lower score counts as wrong, if a threshold was chosen.
    """
    return FitResult(
        steps=fitted.steps,
        train_prompts=len(split.train),
        held_out_prompts=len(split.held_out),
        truncated=split.counts.get("truncated", 0),
        dropped=split.counts.get("dropped", 0),
        held_out_truncated=split.held_out_counts.get("truncated", 0),
        held_out_dropped=split.held_out_counts.get("dropped", 0),
        learning_rate=fitted.config.learning_rate,
        evaluation=fitted.evaluation,
        scale=scale or Scale(),
        packed=fitted.packed,
        labels=labels,
        threshold=threshold,
        left_out=split.left_out,
    )


def last_complete(checkpoints: Path) -> str | None:
    """Return the newest complete checkpoint, and remove incomplete ones.

    A checkpoint's `trainer_state.json` is written last; without a whole one it is incomplete.
    """
    complete: list[tuple[int, Path]] = []
    for folder in checkpoints.glob("checkpoint-*"):
        try:
            complete.append((json.loads((folder / "trainer_state.json").read_text())["global_step"], folder))
        except (OSError, ValueError, KeyError):
            shutil.rmtree(folder)
    return str(max(complete)[1]) if complete else None


def _arguments_of(checkpoint: Path) -> str:
    path = checkpoint / ARGUMENTS
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def remove_dropout(model: torch.nn.Module) -> None:
    """Switch a model's dropout off permanently, so that its outputs are deterministic."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]  # a plain number on attention layers


def add_adapters(
    model: torch.nn.Module, config: LoraConfig, seed: int, head: str = "score", task: str = "SEQ_CLS"
) -> torch.nn.Module:
    """Wrap a model in LoRA adapters, with its head trained whole and saved beside them.

    Args:
        model: A classifier or a causal language model.
        config: The adapters.
        seed: Seed of their weights.
        head: Name of a head to train fully; empty for none.
        task: peft's task type.

    Raises:
        MissingExtraError: peft is not installed.
    """
    try:
        import peft
    except ImportError:
        raise MissingExtraError("peft", "peft") from None
    targets: str | list[str] = config.targets
    if config.targets != "all-linear":
        targets = [name.strip() for name in config.targets.split(",")]
    settings = peft.LoraConfig(
        task_type=task,
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=targets,
        modules_to_save=[head] if head else None,
    )
    torch.manual_seed(seed)
    try:
        with quiet():
            return cast(torch.nn.Module, peft.get_peft_model(cast(Any, model), settings))
    except ValueError as error:
        raise ConfigError(f"lora.targets {config.targets!r}: {error}") from None
