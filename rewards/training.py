"""fit(model, records, config): train an outcome reward model on preferences or rankings."""

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from rewards.batches import pack
from rewards.config import LoraConfig, TrainingConfig
from rewards.encoding import Encoder
from rewards.errors import ConfigError, DataError, MissingExtraError
from rewards.examples import Example, encode_examples, hold_out
from rewards.models.checkpoint import Scale, Sidecar, quiet, save, tokenizer_hash, write_sidecar
from rewards.models.outcome import RewardModel, can_pack, prepare_for_packing
from rewards.ranking_trainer import RankingTrainer, training_arguments
from rewards.records import Preference, Ranking

SCALE_PROMPTS = 2048
"""Training prompts whose responses give the score's mean and standard deviation."""
CHECKPOINTS = "checkpoints"
PRETRAINED_RATE, NEW_RATE = 1e-5, 1e-3
"""Learning rates where none is given: 1e-5 tunes a body that was read from somewhere, and leaves one that
starts from chance where it is."""


@dataclass(frozen=True)
class FitResult:
    """What a training run did.

    Attributes:
        steps: Updates made.
        train_prompts: Batch elements trained on, one for each record.
        held_out_prompts: Records held out.
        truncated: Records whose prompt was cut.
        dropped: Records left out as over-long.
        held_out_truncated: Of the held-out records given beside, those whose prompt was cut.
        held_out_dropped: Of them, those left out as over-long.
        learning_rate: The peak learning rate, as given or as the body asked for.
        evaluation: Held-out loss and pair accuracy at the end (of the best weights with early stopping).
        scale: Mean and standard deviation of the logits on training responses.
        packed: Whether shared prefixes were computed once.
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


def fit(
    model: RewardModel,
    encoder: Encoder,
    records: Sequence[Preference | Ranking],
    config: TrainingConfig,
    out: Path,
    held_out: Sequence[Preference | Ranking] | None = None,
    trained_on: Mapping[str, object] | None = None,
) -> FitResult:
    """Train a reward model, resuming where an earlier call with the same arguments was killed.

    Args:
        model: The model; its weights change.
        encoder: Text to tokens.
        records: Preferences (K = 2) or rankings; all responses of one are scored in one batch element.
        config: The knobs. A learning rate of 0 is 1e-5 where the model was read from a folder or the Hub, and
            1e-3 where it was made new, which Transformers' `name_or_path` tells.
        out: Folder that receives the model, `evalkit.json` last; checkpoints meanwhile.
        held_out: Records to evaluate on; None holds out a share of the prompts.
        trained_on: What `evalkit.json` says of the data.

    Raises:
        DataError: There is nothing to train on, a row is over-long and may not be cut, or a held-out prompt
            is also trained on.
        ConfigError: Settings that contradict each other.
    """
    encoded = encode_examples(records, encoder, config.over_long)
    train, evaluation, beside = _split(encoded.examples, held_out, encoder, config)
    given = config.learning_rate
    config = replace(
        config, learning_rate=given or (PRETRAINED_RATE if model.inner.name_or_path else NEW_RATE)
    )
    if not config.dropout:
        _remove_dropout(model)
    longest = max(len(row) for example in [*train, *evaluation] for row in example.rows)
    packed = can_pack(model.inner.config, longest) and prepare_for_packing(model)
    if config.lora.rank:
        model = RewardModel(cast(Any, add_adapters(model.inner, config.lora, config.seed)))
    checkpoints = out / CHECKPOINTS
    arguments = training_arguments(config, len(train), bool(evaluation), checkpoints)
    trainer = RankingTrainer(model, arguments, config, train, evaluation, packed, out)
    with quiet():  # Trainer remarks on the file system at each checkpoint
        trainer.train(resume_from_checkpoint=last_complete(checkpoints))
    final = trainer.measure() if evaluation else {}
    scale = _scale(model, train, packed, config.seed)
    sidecar = Sidecar(
        append_eos=encoder.append_eos,
        tokenizer_hash=tokenizer_hash(encoder.tokenizer),
        scale=scale,
        trained_on={**(trained_on or {}), "training": asdict(config), "prompts": len(train)},
    )
    _save(model, encoder, out, sidecar, config)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return FitResult(
        steps=trainer.state.global_step,
        train_prompts=len(train),
        held_out_prompts=len(evaluation),
        truncated=encoded.counts["truncated"],
        dropped=encoded.counts["dropped"],
        held_out_truncated=beside["truncated"],
        held_out_dropped=beside["dropped"],
        learning_rate=config.learning_rate,
        evaluation=final,
        scale=scale,
        packed=packed,
    )


def _split(
    examples: Sequence[Example],
    held_out: Sequence[Preference | Ranking] | None,
    encoder: Encoder,
    config: TrainingConfig,
) -> tuple[list[Example], list[Example], Mapping[str, int]]:
    """Return what to train on, what to evaluate on, and the counts of over-long rows in `held_out`."""
    counts: Mapping[str, int] = {"truncated": 0, "dropped": 0}
    if not examples:
        raise DataError("nothing to train on: no record is left after screening and over-long rows")
    if held_out is None:
        train, evaluation = hold_out(examples, config.evaluation_share, config.seed)
    else:
        beside = encode_examples(held_out, encoder, config.over_long)
        train, evaluation, counts = list(examples), list(beside.examples), beside.counts
        both = {example.prompt for example in train} & {example.prompt for example in evaluation}
        if both:
            raise DataError(
                f"{len(both)} held-out prompts are also trained on, such as {min(both)[:60]!r}; leave them "
                "out of one side"
            )
    if config.early_stopping and not evaluation:
        raise ConfigError("early_stopping needs held-out prompts")
    return train, evaluation, counts


def last_complete(checkpoints: Path) -> str | None:
    """Return the newest checkpoint that was written whole, and remove those that were not.

    A checkpoint's `trainer_state.json` is written last; one without it, or with half of it, was cut off.
    """
    found: list[tuple[int, Path]] = []
    for folder in checkpoints.glob("checkpoint-*"):
        try:
            found.append((json.loads((folder / "trainer_state.json").read_text())["global_step"], folder))
        except (OSError, ValueError, KeyError):
            shutil.rmtree(folder)
    return str(max(found)[1]) if found else None


def _remove_dropout(model: RewardModel) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]  # a plain number on attention layers


def add_adapters(classifier: torch.nn.Module, config: LoraConfig, seed: int) -> torch.nn.Module:
    """Wrap a classifier in LoRA adapters, with its head trained whole and saved beside them.

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
        task_type=peft.TaskType.SEQ_CLS,
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=targets,
        modules_to_save=["score"],
    )
    torch.manual_seed(seed)
    try:
        with quiet():
            return cast(torch.nn.Module, peft.get_peft_model(cast(Any, classifier), settings))
    except ValueError as error:
        raise ConfigError(f"lora.targets {config.targets!r}: {error}") from None


@torch.no_grad()
def _scale(model: RewardModel, train: Sequence[Example], packed: bool, seed: int) -> Scale:
    """Return mean and standard deviation (ddof 0) of the logits of training responses."""
    number = min(SCALE_PROMPTS, len(train))
    chosen = np.random.default_rng(seed).choice(len(train), number, replace=False)
    rows = [row for place in sorted(chosen) for row in train[place].rows]
    model.eval()
    logits: list[float] = []
    if packed:
        for part in pack(rows, 8192):
            logits += model.read(part).tolist()
    else:
        ordered = sorted(rows, key=len)
        for start in range(0, len(rows), 32):
            logits += model.forward_padded(ordered[start : start + 32]).tolist()
    sd = float(np.std(logits))
    # Logits that are all equal have no scale; 1 leaves them as they are.
    return Scale(float(np.mean(logits)), sd if sd > 0 and math.isfinite(sd) else 1.0)


def _save(model: RewardModel, encoder: Encoder, out: Path, sidecar: Sidecar, config: TrainingConfig) -> None:
    if config.lora.rank and not config.lora.merge:
        cast(Any, model.classifier).save_pretrained(out)
        encoder.tokenizer.save_pretrained(out)
        write_sidecar(out, sidecar)
    else:
        save(model, encoder.tokenizer, out, sidecar)
