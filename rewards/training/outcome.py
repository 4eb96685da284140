"""fit(model, records, config): train an outcome reward model on preferences or rankings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from rewards.config import TrainingConfig
from rewards.encoding.encoder import Encoder
from rewards.encoding.packs import Tokens, pack
from rewards.models.head import HeadedModel
from rewards.models.outcome import RewardModel
from rewards.models.sidecar import Scale, Sidecar, tokenizer_hash
from rewards.records import Preference, Ranking
from rewards.training.examples import Example, encode_examples, hold_out, refuse_shared_prompts
from rewards.training.fitting import FitResult, fit_examples, save_fitted
from rewards.training.objectives import RankingObjective

SCALE_PROMPTS = 2048
"""Training prompts whose responses give the score's mean and standard deviation."""


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
    longest = max((len(row) for example in [*train, *evaluation] for row in example.rows), default=0)
    objective = RankingObjective(config.margin, config.label_smoothing, config.centering)
    fitted = fit_examples(model, objective, train, evaluation, longest, config, out)
    scale = _scale(fitted.model, train, fitted.packed, config.seed)
    sidecar = Sidecar(
        append_eos=encoder.append_eos,
        tokenizer_hash=tokenizer_hash(encoder.tokenizer),
        scale=scale,
        trained_on={**(trained_on or {}), "training": asdict(fitted.config), "prompts": len(train)},
    )
    save_fitted(fitted, encoder, out, sidecar)
    return FitResult(
        steps=fitted.steps,
        train_prompts=len(train),
        held_out_prompts=len(evaluation),
        truncated=encoded.counts["truncated"],
        dropped=encoded.counts["dropped"],
        held_out_truncated=beside["truncated"],
        held_out_dropped=beside["dropped"],
        learning_rate=fitted.config.learning_rate,
        evaluation=fitted.evaluation,
        scale=scale,
        packed=fitted.packed,
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
        return [], [], counts  # which fitting refuses
    if held_out is None:
        train, evaluation = hold_out(examples, config.evaluation_share, config.seed)
    else:
        beside = encode_examples(held_out, encoder, config.over_long)
        train, evaluation, counts = list(examples), list(beside.examples), beside.counts
        refuse_shared_prompts(train, evaluation)
    return train, evaluation, counts


def _scale(model: RewardModel, train: Sequence[Example], packed: bool, seed: int) -> Scale:
    """Return mean and standard deviation (ddof 0) of the logits of training responses."""
    number = min(SCALE_PROMPTS, len(train))
    chosen = np.random.default_rng(seed).choice(len(train), number, replace=False)
    rows = [row for place in sorted(chosen) for row in train[place].rows]
    return logit_scale(model, rows, packed)


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
    # Logits that are all equal have no scale; 1 leaves them as they are.
    return Scale(float(np.mean(logits)), sd if sd > 0 and math.isfinite(sd) else 1.0)
