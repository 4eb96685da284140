import copy

import numpy as np
import pytest
import torch

from evalkit.policies.config import DpoConfig
from rewards.config import TrainingConfig
from rewards.records import Preference
from tests.evalkit.annotation.words import word_policy, word_tokenizer
from tests.evalkit.policies.dpo_peer import losses, our_trainer, trl_trainer

WORDS, BATCH = 40, 4


def pairs(count):
    rng = np.random.default_rng(0)

    def text(low, high):
        return " ".join(f"w{token}" for token in rng.integers(3, WORDS, rng.integers(low, high + 1)))

    return [Preference(text(3, 20) + " ", text(1, 12), text(1, 12)) for _ in range(count)]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("dpo", "steps"),
    [
        (DpoConfig(), 20),
        (DpoConfig(beta=0.5, kind="hinge", reference_log_probs="live"), 5),
        (DpoConfig(beta=0.2, kind="robust", label_smoothing=0.1), 5),
    ],
)
def test_every_update_loses_what_trl_loses(dpo, steps, tmp_path):
    training = TrainingConfig(
        learning_rate=3e-3,
        warmup_ratio=0.0,
        batch_prompts=BATCH,
        max_steps=steps,
        evaluation_share=0.0,
        checkpoint_steps=1000,
        tensorboard=False,
    )
    records, model, tokenizer = pairs(steps * BATCH), word_policy(WORDS), word_tokenizer(WORDS)
    theirs = trl_trainer(copy.deepcopy(model), tokenizer, records, training, dpo, 64, tmp_path / "trl")
    theirs.train()
    ours = our_trainer(model, tokenizer, records, training, dpo, 64, tmp_path / "ours")
    ours.train()
    assert len(losses(ours)) == len(losses(theirs)) == steps
    difference = np.abs(np.subtract(losses(ours), losses(theirs)))
    assert difference.max() < 1e-4
    assert len(set(losses(ours))) == steps
    for name, weight in ours.reward_model.inner.state_dict().items():
        torch.testing.assert_close(weight, theirs.model.state_dict()[name], atol=1e-4, rtol=0)
