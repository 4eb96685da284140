"""The same pairs, policy and seed for TRL 1.16's DPOTrainer and for ours."""

import copy
import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from evalkit.policies.config import DpoConfig
from evalkit.policies.dpo import DpoObjective, PairExample, encode_pairs
from evalkit.policies.language_model import LanguageModel
from evalkit.policies.reference import Reference
from evalkit.policies.reference_log_probs import reference_log_probs
from evalkit.policies.response_rows import ResponseEncoder
from rewards.config import TrainingConfig
from rewards.models.head import prepare_for_packing
from rewards.records import Preference
from rewards.training.examples import TrainingSplit
from rewards.training.trainer import PackedTrainer


class Stopwatch(TrainerCallback):
    """When each step ended, in wall and processor seconds."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.processor: list[float] = []

    def on_step_end(self, *_: object, **__: object) -> None:
        self.wall.append(time.perf_counter())
        self.processor.append(time.process_time())


def losses(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def our_trainer(
    model: Any,
    tokenizer: Any,
    pairs: list[Preference],
    training: TrainingConfig,
    dpo: DpoConfig,
    length: int,
    out: Path,
) -> PackedTrainer[PairExample]:
    """Our trainer; the policy's own weights before training are the reference. Call `train`."""
    reference = LanguageModel(copy.deepcopy(model))
    reference.requires_grad_(False).eval()
    held = Reference("start", "", reference, prepare_for_packing(reference))
    policy = LanguageModel(model)
    assert prepare_for_packing(policy)
    assert held.packs
    prepared = encode_pairs(pairs, ResponseEncoder(tokenizer, length), "error")
    assert len(prepared.examples) == len(pairs)
    examples, objective = list(prepared.examples), DpoObjective(dpo, held)
    if dpo.reference_log_probs == "precomputed":
        out.mkdir(parents=True, exist_ok=True)
        known = reference_log_probs(held, examples, training, out)
        examples = [
            PairExample(one.chosen, one.rejected, one.prompt, found)
            for one, found in zip(examples, known, strict=True)
        ]
        objective = DpoObjective(dpo)
    return PackedTrainer(policy, objective, TrainingSplit(examples), training, out, packed=True)


def trl_trainer(
    model: Any,
    tokenizer: Any,
    pairs: list[Preference],
    training: TrainingConfig,
    dpo: DpoConfig,
    length: int,
    out: Path,
) -> Any:
    """TRL's trainer; call `train`."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    rows = [{"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected} for pair in pairs]
    arguments = DPOConfig(
        output_dir=str(out),
        beta=dpo.beta,
        loss_type=[dpo.kind],
        label_smoothing=dpo.label_smoothing,
        precompute_ref_log_probs=dpo.reference_log_probs == "precomputed",
        learning_rate=training.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=0,
        max_steps=training.max_steps,
        per_device_train_batch_size=training.batch_prompts,
        max_length=length,
        bf16=False,
        use_cpu=not torch.accelerator.is_available(),
        gradient_checkpointing=False,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        seed=training.seed,
        data_seed=training.seed,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    return DPOTrainer(
        model=model,
        ref_model=copy.deepcopy(model),
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
