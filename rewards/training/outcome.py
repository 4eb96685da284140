"""fit_outcome: train an outcome reward model on preferences or rankings."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from rewards.config import TrainingConfig
from rewards.encoding.encoder import Encoder
from rewards.encoding.packs import Tokens, pack
from rewards.models.head import HeadedModel
from rewards.models.outcome import RewardModel
from rewards.models.sidecar import Scale, Sidecar, tokenizer_hash
from rewards.records import Preference, Ranking
from rewards.training.examples import encode_preferences, split_examples
from rewards.training.fitting import FitResult, fit_examples, result_of, save_fitted
from rewards.training.labelled import Data, as_labelled
from rewards.training.objectives import RankingObjective

E = TypeVar("E")

SCALE_PROMPTS = 2048
"""Training prompts whose responses give the score's mean and standard deviation."""


def fit_outcome(
    model: RewardModel,
    encoder: Encoder,
    train: Data[Preference | Ranking],
    held_out: Data[Preference | Ranking] | None,
    config: TrainingConfig,
    out: str | Path,
) -> FitResult:
    """Train a reward model, resuming from an interrupted call's checkpoint.

    Args:
        model: The model; its weights change.
        encoder: Text to tokens.
        train: Preferences (K = 2) or rankings; all responses of one are scored in one batch element.
        held_out: Records to evaluate on; None holds out a share of the prompts.
        config: The training settings. A learning rate of 0 is 1e-5 where the model was read from a folder or
            the Hub, and 1e-3 where it is new, by Transformers' `name_or_path`.
        out: Folder for the model, `evalkit.json` last, and for checkpoints until then.

    Raises:
        DataError: There is nothing to train on, a row is over-long and may not be cut, or a held-out prompt
            is also trained on.
        ConfigError: Settings that contradict each other.
    """
    data = as_labelled(train)
    encode = partial(encode_preferences, encoder=encoder, over_long=config.over_long)
    split = split_examples(encode(data), None if held_out is None else encode(held_out), config)
    objective = RankingObjective(config.margin, config.label_smoothing, config.centering)
    fitted = fit_examples(model, objective, split, config, Path(out))
    rows = [row for example in sampled(split.train, config.seed) for row in example.rows]
    scale = logit_scale(fitted.model, rows, fitted.packed)
    sidecar = Sidecar(
        append_eos=encoder.append_eos,
        tokenizer_hash=tokenizer_hash(encoder.tokenizer),
        scale=scale,
        trained_on={**data.origin, "training": asdict(fitted.config), "prompts": len(split.train)},
    )
    save_fitted(fitted, encoder, Path(out), sidecar)
    return result_of(fitted, split, {}, scale)


def sampled(train: Sequence[E], seed: int) -> list[E]:
    """Return the training examples whose logits give the scale: `SCALE_PROMPTS` of them, in their order."""
    number = min(SCALE_PROMPTS, len(train))
    chosen = np.random.default_rng(seed).choice(len(train), number, replace=False)
    return [train[place] for place in sorted(chosen)]


@torch.no_grad()
def logit_scale(model: HeadedModel, rows: Sequence[Tokens], packed: bool) -> Scale:
    """Return mean and standard deviation (ddof 0) of the first logits of rows."""
    logits: list[float] = []
    if packed:
        for part in pack(rows, 8192):
            logits += model.packed_logits(part)[:, 0].tolist()
    else:
        ordered = sorted(rows, key=len)
        for start in range(0, len(rows), 32):
            logits += model.padded_logits(ordered[start : start + 32])[:, 0].tolist()
    sd = float(np.std(logits))
    # Logits that are all equal have no scale; 1 leaves them unchanged.
    return Scale(float(np.mean(logits)), sd if sd > 0 and math.isfinite(sd) else 1.0)
