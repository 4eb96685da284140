"""fit_correctness(model, records, config): train an outcome reward model on graded solutions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from rewards.config import TrainingConfig
from rewards.encoding.encoder import Encoder
from rewards.encoding.packs import Integers, Pack, Tokens
from rewards.errors import ConfigError
from rewards.models.head import HeadedModel
from rewards.models.outcome import SequenceModel, last_read
from rewards.models.sidecar import Sidecar, tokenizer_hash
from rewards.records import Generation, prompt_key
from rewards.training.examples import (
    Encoded,
    PlacedExample,
    longest_row,
    record_names,
    refuse_pair_settings,
    split,
)
from rewards.training.fitting import FitResult, fit_examples, result_of, save_fitted
from rewards.training.objectives import CorrectnessObjective
from rewards.training.outcome import SCALE_PROMPTS, logit_scale


class ResponseTokens(SequenceModel):
    """An outcome reward model read at every token of the response while it learns."""

    def forward(
        self, packs: Sequence[Pack] | None, rows: Sequence[Tokens], positions: Sequence[Integers]
    ) -> Tensor:
        """Return the raw logits at tokens of the rows, [M, 1], float32, row after row."""
        return self.logits(packs, rows, positions)


@dataclass(frozen=True, slots=True)
class Graded:
    """A solution and whether it is right: 1, 0, or between where that is a share."""

    generation: Generation
    label: float


def fit_correctness(
    model: HeadedModel,
    encoder: Encoder,
    records: Sequence[Graded],
    tokens: Literal["all", "last"],
    config: TrainingConfig,
    out: Path,
    held_out: Sequence[Graded] | None = None,
    trained_on: Mapping[str, object] | None = None,
    names: Sequence[str] = (),
    held_out_names: Sequence[str] = (),
) -> FitResult:
    """Train an outcome reward model to tell right solutions, resuming where a killed call stopped.

    The folder is an outcome reward model's: its score is the logit at the last token, standardised.

    Args:
        model: A sequence classifier of one label that is read at the last token; its weights change.
        encoder: Text to tokens.
        records: Graded solutions.
        tokens: Tokens that learn the label: all from the response's first, or the last alone.
        config: The knobs of training.
        out: Folder that receives the model, `evalkit.json` last; checkpoints meanwhile.
        held_out: Solutions to evaluate on; None holds out a share of the prompts.
        trained_on: What `evalkit.json` says of the data.
        names: What an error calls each record; none given numbers them.
        held_out_names: The same for `held_out`.

    Raises:
        DataError: There is nothing to train on, a row is over-long and may not be cut, or a held-out prompt
            is also trained on.
        ConfigError: Settings that contradict each other, or that do not apply; or a body that is not read at
            its tokens, as an encoder.

    Source: "Let's Verify Step by Step" (2305.20050), appendix E; Cobbe et al. (2110.14168), section 4.2.
    """
    refuse_pair_settings(config)
    reading = ResponseTokens(model.classifier)
    if not reading.reads_last:
        raise ConfigError(
            f"{type(reading.inner).__name__} scores a response in a way of its own, not at its tokens, where "
            "graded solutions are learnt; take a body that reads forward, such as llama, qwen3 or gpt2"
        )
    encoded = encode_graded(records, encoder, tokens, config, names, model.pad)
    beside = None
    if held_out is not None:
        beside = encode_graded(held_out, encoder, tokens, config, held_out_names, model.pad)
    train, evaluation = split(encoded, beside, config)
    objective = CorrectnessObjective(config.label_smoothing)
    fitted = fit_examples(reading, objective, train, evaluation, longest_row(train, evaluation), config, out)
    number = min(SCALE_PROMPTS, len(train))
    chosen = sorted(np.random.default_rng(config.seed).choice(len(train), number, replace=False))
    scale = logit_scale(fitted.model, [train[place].row for place in chosen], fitted.packed)
    about = {
        **(trained_on or {}),
        "training": asdict(fitted.config),
        "tokens": tokens,
        "solutions": len(train),
    }
    sidecar = Sidecar(
        append_eos=encoder.append_eos,
        tokenizer_hash=tokenizer_hash(encoder.tokenizer),
        scale=scale,
        trained_on=about,
    )
    save_fitted(fitted, encoder, out, sidecar)
    labels = {kind: encoded.count(kind) for kind in ("right", "wrong")}
    return result_of(fitted, train, evaluation, encoded, beside, labels, scale)


def encode_graded(
    records: Sequence[Graded],
    encoder: Encoder,
    tokens: Literal["all", "last"],
    config: TrainingConfig,
    names: Sequence[str],
    pad: int | None,
) -> Encoded:
    """Encode graded solutions, and count `truncated`, `dropped`, `right` (0.5 and up) and `wrong` ones.

    Raises:
        DataError: A row is too long and `config.over_long` is error.
    """
    prompts = [record.generation.prompt for record in records]
    encoded = encoder.encode(prompts, [record.generation.response for record in records]) if records else []
    counts: Counter[str] = Counter()
    examples: list[PlacedExample] = []
    left_out: list[str] = []
    called = record_names([record.generation for record in records], names)
    for record, row, name in zip(records, encoded, called, strict=True):
        prompt = record.generation.prompt
        start = encoder.response_start(row, prompt) if tokens == "all" else len(row)
        kept = encoder.limit(row, prompt, config.over_long, name)
        if kept is None:
            counts["dropped"] += 1
            left_out.append(encoder.too_long(row, name))
            continue
        counts["truncated"] += int(len(kept) < len(row))
        start -= len(row) - len(kept)
        end = last_read(kept, pad)
        places = tuple(range(min(start, end), end + 1))
        counts["right" if record.label >= 0.5 else "wrong"] += 1
        examples.append(
            PlacedExample(
                tuple(kept[: end + 1]), places, ((record.label,),) * len(places), prompt_key(prompt)
            )
        )
    return Encoded(tuple(examples), counts, tuple(left_out))
