"""DPO on HH pairs against TRL's DPOTrainer, the reference computed with each batch or before."""

import copy
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from evalkit.policies.config import DpoConfig
from evalkit.policies.response_rows import ResponseEncoder
from rewards.config import TrainingConfig
from rewards.data.preferences import load_preferences
from rewards.records import Preference
from tests.benchmarks.conftest import write_results
from tests.evalkit.policies.dpo_peer import Stopwatch, losses, our_trainer, trl_trainer

STEPS, PAIRS, WARM, CONTEXT, ROUNDS = 16, 8, 3, 768, 2
TRAINING = TrainingConfig(
    learning_rate=1e-4,
    warmup_ratio=0.0,
    batch_prompts=PAIRS,
    max_steps=STEPS,
    evaluation_share=0.0,
    checkpoint_steps=10 * STEPS,
    tensorboard=False,
)
TRAINERS = {"TRL 1.16 DPOTrainer": trl_trainer, "evalkit, shared prompts": our_trainer}


def policy() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
    )
    return AutoModelForCausalLM.from_config(config)


def fitting_pairs(path: Path, tokenizer: Any) -> list[Preference]:
    """The first pairs of HH that fit the context whole and are no pair of the same response."""
    encoder = ResponseEncoder(tokenizer, CONTEXT)
    pairs = (record for record in load_preferences(str(path)) if isinstance(record, Preference))
    short = (
        pair
        for pair in pairs
        if pair.chosen != pair.rejected
        and all(
            len(row.tokens) <= CONTEXT
            for row in encoder.encode([pair.prompt] * 2, [pair.chosen, pair.rejected], [False] * 2)
        )
    )
    return list(itertools.islice(short, STEPS * PAIRS))


@pytest.mark.benchmark
@pytest.mark.timeout(3000)
@pytest.mark.filterwarnings("default")
def test_hh_pairs_against_trl(hh: Path, stories_tokenizer: str, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(stories_tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    pairs, model = fitting_pairs(hh, tokenizer), policy()
    assert len(pairs) == STEPS * PAIRS
    rows = []
    for how in ("live", "precomputed"):
        dpo = DpoConfig(reference_log_probs=how)  # type: ignore[arg-type]  # one of both
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in TRAINERS}
        told: dict[str, list[float]] = {}
        # Rounds alternate, so that what else the machine does meets both alike.
        for turn, name in itertools.product(range(ROUNDS), TRAINERS):
            out = tmp_path / how / f"{turn} {name}"
            trainer = TRAINERS[name](copy.deepcopy(model), tokenizer, pairs, TRAINING, dpo, CONTEXT, out)
            watch = Stopwatch()
            trainer.add_callback(watch)
            trainer.train()
            told[name] = losses(trainer)
            seconds[name].append(
                tuple(float(np.median(np.diff(times[WARM:]))) for times in (watch.wall, watch.processor))  # type: ignore[arg-type]  # two of them
            )
        theirs, ours = (np.array(seconds[name]).min(axis=0) for name in TRAINERS)
        difference = np.abs(np.subtract(*told.values()))
        assert len(difference) == STEPS
        assert difference.max() < 1e-4
        for name, (wall, processor) in zip(TRAINERS, (theirs, ours), strict=True):
            rows.append(
                {
                    "trainer": name,
                    "reference": how,
                    "pairs_per_second": round(PAIRS / wall, 2),
                    "pairs_per_processor_second": round(PAIRS / processor, 2),
                    "against_trl": round(theirs[0] / wall, 2),
                    "largest_loss_difference": f"{difference.max():.1e}",
                    "steps": STEPS,
                }
            )
    write_results("dpo_training", rows)
    assert all(row["against_trl"] >= 1.5 for row in rows if "evalkit" in str(row["trainer"]))
