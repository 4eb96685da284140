"""Labelled solutions, and the same training of a process reward model by TRL 1.12 and by ours."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification

from rewards.config import TrainingConfig
from rewards.encoding.encoder import Encoder
from rewards.encoding.step_encoder import StepEncoder
from rewards.models.head import prepare_for_packing
from rewards.models.tokens import TokenModel
from rewards.records import StepLabels
from rewards.training.examples import TrainingSplit
from rewards.training.objectives import StepObjective
from rewards.training.process import encode_steps
from rewards.training.trainer import PackedTrainer

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "good", "bad")


def trl_folder() -> str:
    """The folder of TRL 1.12.0, which `.ci/trl-1.12` makes; without it a test is skipped, but not in CI."""
    folder = os.environ.get("EVALKIT_TEST_TRL", "")
    if not folder:
        if os.environ.get("CI"):
            pytest.fail("CI sets EVALKIT_TEST_TRL=$(.ci/trl-1.12)")
        pytest.skip("needs TRL 1.12.0: EVALKIT_TEST_TRL=$(.ci/trl-1.12)")
    return folder


def solutions(count: int, steps: tuple[int, int], words: tuple[int, int], each: int = 1) -> list[StepLabels]:
    """Labelled solutions, `each` to a prompt; TRL tokenises pieces apart, so words begin with a letter."""
    rng = np.random.default_rng(0)

    def text(low: int, high: int) -> str:
        return " ".join(WORDS[place] for place in rng.integers(len(WORDS), size=rng.integers(low, high + 1)))

    records = []
    for _ in range(count // each):
        prompt = f"{text(*words)}?\n"
        for _ in range(each):
            parts = tuple(text(*words) for _ in range(rng.integers(steps[0], steps[1] + 1)))
            labels = tuple(float(part.endswith(("good", "one", "two", "ten"))) for part in parts)
            records.append(StepLabels(prompt, parts, labels))
    return records


def train_with_trl(job: dict[str, Any], folder: Path) -> dict[str, list[float]]:
    """Train by TRL 1.12 in a process of its own; returns losses and the times at which steps ended."""
    path = folder / "job.json"
    path.write_text(json.dumps({**job, "out": str(folder / "trl")}), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("trl_prm.py")), str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": trl_folder(), "TRL_EXPERIMENTAL_SILENCE": "1"},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found: dict[str, list[float]] = json.loads(run.stdout.splitlines()[-1])
    return found


def job_of(model: Path, records: list[StepLabels], **settings: Any) -> dict[str, Any]:
    rows = [
        {"prompt": one.prompt, "completions": list(one.steps), "labels": [label == 1 for label in one.labels]}
        for one in records
    ]
    return {"model": str(model), "rows": rows, "separator": "\n", "seed": 0, "threads": 1} | settings


def our_trainer(
    job: dict[str, Any], tokenizer: Any, records: list[StepLabels], out: Path
) -> PackedTrainer[Any]:
    """Our trainer for the same job; call `train`."""
    config = TrainingConfig(
        learning_rate=job["learning_rate"],
        warmup_ratio=0.0,
        batch_prompts=job["batch"],
        max_steps=job["steps"],
        evaluation_share=0.0,
        checkpoint_steps=10 * job["steps"],
        tensorboard=False,
        seed=job["seed"],
    )
    torch.set_num_threads(job["threads"])
    classifier = AutoModelForTokenClassification.from_pretrained(job["model"], dtype=torch.float32)
    for module in classifier.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # as TRL's disable_dropout
    model = TokenModel(classifier)
    assert prepare_for_packing(model)
    encoder = StepEncoder(Encoder(tokenizer, append_eos=False, max_length=job["length"]), job["separator"])
    encoded = encode_steps(records, encoder, "error")
    assert len(encoded.examples) == len(records)
    return PackedTrainer(model, StepObjective(), TrainingSplit(encoded.examples), config, out, packed=True)
