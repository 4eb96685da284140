"""Training on HH pairs against TRL's RewardTrainer, and K = 8 rankings against padded batches."""

import copy
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from rewards.config import BodyConfig, TrainingConfig
from rewards.data.preferences import load_preferences
from rewards.encoding.encoder import Encoder
from rewards.models.bodies import make_classifier
from rewards.models.head import prepare_for_packing
from rewards.models.outcome import RewardModel
from rewards.records import Preference, Ranking
from rewards.training.examples import TrainingSplit, encode_preferences
from rewards.training.objectives import RankingObjective
from rewards.training.trainer import PackedTrainer
from tests.benchmarks.conftest import write_results

STEPS, PAIRS, WARM = 20, 8, 3
BODY = BodyConfig(hidden_size=256, layers=4, heads=4, context=768)
TRAINING = TrainingConfig(
    learning_rate=1e-4,
    warmup_ratio=0.0,
    batch_prompts=PAIRS,
    max_steps=STEPS,
    evaluation_share=0.0,
    checkpoint_steps=10 * STEPS,
    tensorboard=False,
)


class Stopwatch(TrainerCallback):
    """When each step ended, in wall and processor seconds."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.processor: list[float] = []

    def on_step_end(self, *_: object, **__: object) -> None:
        self.wall.append(time.perf_counter())
        self.processor.append(time.process_time())

    def per_second(self, pairs: int) -> tuple[float, float]:
        """Pairs in a wall second and in a processor second, after the first steps; medians over steps."""
        return tuple(pairs / float(np.median(np.diff(times[WARM:]))) for times in (self.wall, self.processor))


def losses(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def fitting_pairs(path: Path, encoder: Encoder, number: int) -> list[Preference]:
    """The first pairs of HH that fit the context whole, since TRL leaves out longer ones."""
    pairs = (record for record in load_preferences(str(path)) if isinstance(record, Preference))
    short = (
        pair
        for pair in pairs
        if max(map(len, encoder.encode([pair.prompt] * 2, [pair.chosen, pair.rejected])))
        <= encoder.max_length
    )
    return list(itertools.islice(short, number))


def ours(model: Any, encoder: Encoder, records: list[Any], packed: bool, out: Path) -> tuple[Any, Stopwatch]:
    watch = Stopwatch()
    reward_model = RewardModel(model)
    if packed:
        assert prepare_for_packing(reward_model)
    examples = encode_preferences(records, encoder, "error").examples
    trainer = PackedTrainer(
        reward_model, RankingObjective(), TrainingSplit(examples), TRAINING, out, packed=packed
    )
    trainer.add_callback(watch)
    trainer.train()
    return trainer, watch


def trl(model: Any, tokenizer: Any, pairs: list[Preference], length: int, out: Path) -> tuple[Any, Stopwatch]:
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    watch = Stopwatch()
    rows = [{"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected} for pair in pairs]
    arguments = RewardConfig(
        output_dir=str(out),
        learning_rate=TRAINING.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=0,
        max_steps=STEPS,
        per_device_train_batch_size=PAIRS,
        max_length=length,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        seed=TRAINING.seed,
        data_seed=TRAINING.seed,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = RewardTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )
    trainer.add_callback(watch)
    trainer.train()
    return trainer, watch


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("default")
def test_hh_pairs_against_trl(hh: Path, stories_tokenizer: str, tmp_path: Path) -> None:
    body = BodyConfig(**{**vars(BODY), "tokenizer": stories_tokenizer})
    model, tokenizer = make_classifier(body, 0)
    encoder = Encoder(tokenizer, append_eos=True, max_length=BODY.context)
    pairs = fitting_pairs(hh, encoder, STEPS * PAIRS)
    theirs, their_watch = trl(copy.deepcopy(model), tokenizer, pairs, BODY.context, tmp_path / "trl")
    mine, my_watch = ours(model, encoder, pairs, True, tmp_path / "ours")
    difference = np.abs(np.subtract(losses(mine), losses(theirs)))
    assert len(difference) == STEPS
    assert difference.max() < 1e-4
    (their_wall, their_processor), (my_wall, my_processor) = (
        watch.per_second(PAIRS) for watch in (their_watch, my_watch)
    )
    rows = [
        ("TRL 1.16 RewardTrainer", their_wall, their_processor),
        ("evalkit, shared prefixes", my_wall, my_processor),
    ]
    write_results(
        "training_pairs",
        [
            {
                "trainer": name,
                "pairs_per_second": round(wall, 2),
                "pairs_per_processor_second": round(processor, 2),
                "against_trl": round(wall / their_wall, 2),
                "largest_loss_difference": f"{difference.max():.1e}",
                "steps": STEPS,
            }
            for name, wall, processor in rows
        ],
    )


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("default")
def test_rankings_of_eight_against_padded_batches(hh: Path, stories_tokenizer: str, tmp_path: Path) -> None:
    body = BodyConfig(**{**vars(BODY), "tokenizer": stories_tokenizer})
    model, tokenizer = make_classifier(body, 0)
    encoder = Encoder(tokenizer, append_eos=True, max_length=BODY.context)
    pairs = fitting_pairs(hh, encoder, 4 * 40 * PAIRS)
    rng = np.random.default_rng(0)
    answers = [pair.chosen for pair in pairs if len(pair.chosen) < 300]
    rankings = []
    for pair in pairs:  # a real prompt, its own answer and seven of other prompts
        prompt = encoder.encode([pair.prompt], [""])[0]
        if len(prompt) <= BODY.context - 310:
            others = [answers[place] for place in rng.choice(len(answers), 7, replace=False)]
            rankings.append(Ranking(pair.prompt, (pair.chosen[:300], *others), (1, *range(2, 9))))
    rankings = rankings[: STEPS * PAIRS]
    padded, padded_watch = ours(copy.deepcopy(model), encoder, rankings, False, tmp_path / "padded")
    packed, packed_watch = ours(model, encoder, rankings, True, tmp_path / "packed")
    difference = np.abs(np.subtract(losses(packed), losses(padded)))
    assert difference.max() < 1e-4
    rates = {"padded": padded_watch.per_second(PAIRS), "shared prefixes": packed_watch.per_second(PAIRS)}
    write_results(
        "training_rankings",
        [
            {
                "batches": name,
                "rankings_per_second": round(wall, 3),
                "rankings_per_processor_second": round(processor, 3),
                "against_padded": round(wall / rates["padded"][0], 2),
                "largest_loss_difference": f"{difference.max():.1e}",
                "steps": STEPS,
            }
            for name, (wall, processor) in rates.items()
        ],
    )
    assert torch.isfinite(torch.tensor(losses(packed))).all()
