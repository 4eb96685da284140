"""Supervised fine-tuning: the log-likelihood of responses given prompts, each prompt computed once."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from evalkit.policies.checkpoint import refuse_finished
from evalkit.policies.config import ProbeConfig
from evalkit.policies.fitting import PolicyFit, fit_policy, probe_of, start_facts
from evalkit.policies.language_model import LanguageModel, TokenStatistics
from evalkit.policies.reference import Reference, frozen_copy, record_reference
from evalkit.policies.response_rows import ResponseEncoder, ResponseRow, response_batch, was_cut
from rewards.config import TrainingConfig
from rewards.encoding.encoder import OverLong
from rewards.records import Generation, prompt_key
from rewards.training.examples import Encoded, split_examples
from rewards.training.labelled import Data, Labelled
from rewards.training.trainer import CHECKPOINTS, Probe


@dataclass(frozen=True, slots=True)
class Demonstration:
    """Responses to one prompt that share an update, so that the prompt is computed once."""

    rows: tuple[ResponseRow, ...]
    prompt: str


@dataclass(frozen=True, slots=True)
class SftObjective:
    """Negative log-likelihood of response tokens, EOS included; an item is a token."""

    tallies_training: ClassVar[bool] = False

    def collate(self, examples: Sequence[Demonstration], packed: bool) -> dict[str, Any]:
        """Return a batch of prompts with their responses."""
        rows = [row for example in examples for row in example.rows]
        return {**response_batch(rows, packed), "items": torch.tensor(sum(row.length for row in rows))}

    def losses(self, model: torch.nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return each response token's loss and its log-probability, nats, [M] both."""
        statistics: TokenStatistics = model(inputs["packs"], inputs["rows"], inputs["starts"])
        return -statistics.log_probs, statistics.log_probs

    def tally(self, inputs: dict[str, Any], outputs: Tensor) -> dict[str, float]:
        """Return the sum of the log-probabilities and the number of tokens."""
        return {"log_prob": float(outputs.double().sum()), "tokens": int(inputs["items"])}

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return the perplexity, `exp` of the mean loss over tokens, where that is a finite number."""
        loss = -sums["log_prob"] / sums["tokens"]
        return {"eval_perplexity": math.exp(loss)} if loss < 700 else {}


def encode_demonstrations(
    data: Data[Generation | Sequence[Generation]], encoder: ResponseEncoder, over_long: OverLong
) -> Encoded[Demonstration]:
    """Encode responses; each over-long one is truncated or dropped by itself.

    Args:
        data: Responses, or groups of them to one prompt; each is an element of a batch. A response
            whose `extra` says `finish_reason` (or `finish_reasons`) `length` was truncated: it has no EOS.
        encoder: Text to tokens.
        over_long: Whether rows that are too long are truncated, dropped or an error.

    Raises:
        DataError: A row is too long and `over_long` is error.
    """
    records = data.records if isinstance(data, Labelled) else data
    groups = [[one] if isinstance(one, Generation) else one for one in records]
    names = data.names if isinstance(data, Labelled) else Labelled([group[0] for group in groups]).names
    flat = [generation for group in groups for generation in group]
    cut = [was_cut(one.extra, "finish_reason", "finish_reasons") for one in flat]
    encoded = iter(
        encoder.encode([one.prompt for one in flat], [one.response for one in flat], cut) if flat else ()
    )
    counts = Counter(truncated=0, dropped=0, cut=sum(cut), unlearnable=0)
    examples: list[Demonstration] = []
    left_out: list[str] = []
    for group, name in zip(groups, names, strict=True):
        rows = []
        for number, _ in enumerate(group, 1):
            row = next(encoded)
            called = f"{name}, response {number}" if len(group) > 1 else name
            if not (row.start and row.length):
                counts["unlearnable"] += 1
                what = "the response has no tokens" if row.start else "there is no token before the response"
                left_out.append(f"{called}: {what}")
                continue
            kept = encoder.limit([row], over_long, called)
            if kept is None:
                counts["dropped"] += 1
                left_out.append(
                    f"{called}: has {len(row.tokens)} tokens and the model takes {encoder.max_length}"
                )
                continue
            counts["truncated"] += len(kept[0].tokens) < len(row.tokens)
            rows += kept
        if rows:
            examples.append(Demonstration(tuple(rows), prompt_key(group[0].prompt)))
    longest = max((len(row.tokens) for example in examples for row in example.rows), default=0)
    return Encoded(tuple(examples), longest, counts, tuple(left_out))


def fit_sft(
    model: LanguageModel,
    encoder: ResponseEncoder,
    train: Data[Generation | Sequence[Generation]],
    held_out: Data[Generation | Sequence[Generation]] | None,
    config: TrainingConfig,
    out: str | Path,
    *,
    reference: Reference | None = None,
    probe: ProbeConfig | Probe | None = None,
    keep_checkpoints: bool = False,
) -> PolicyFit:
    """Fine-tune a policy on responses, resuming where an earlier call with the same arguments was killed.

    Args:
        model: The policy; its weights change.
        encoder: Text to tokens.
        train: Responses, or groups of them to one prompt that is computed once.
        held_out: Responses to evaluate on; None holds out a share of the prompts.
        config: The hyperparameters; a batch element is a response or a group. A learning rate of 0 is 1e-5.
        out: Folder that receives the policy, `policy.json` last, and checkpoints until then.
        reference: The probe's reference policy; None takes the policy before training.
        probe: The probe on held-out prompts, or its settings.
        keep_checkpoints: Whether the checkpoints stay at the end. The same call then resumes the last one
            and trains no more, until the caller has recorded the run as finished and removes them.

    Raises:
        DataError: There is nothing to learn, a row is over-long and may not be cut, or a held-out prompt is
            also trained on.
        ConfigError: Settings that contradict each other.
        OutputExistsError: The folder holds a finished policy, or checkpoints of a call with other arguments.
    """
    out = Path(out)
    if not keep_checkpoints:
        refuse_finished(out, out / CHECKPOINTS)
    about = {"method": "sft", **start_facts(model, train)}
    if isinstance(probe, ProbeConfig) and probe.data:
        reference = reference or frozen_copy(model)
        record_reference(out, reference)
        probe = probe_of(probe, encoder, reference, out, about)
    elif isinstance(probe, ProbeConfig):
        probe = None
    split = split_examples(
        encode_demonstrations(train, encoder, config.over_long),
        None if held_out is None else encode_demonstrations(held_out, encoder, config.over_long),
        config,
    )
    return fit_policy(
        model,
        encoder,
        SftObjective(),
        split,
        config,
        out,
        about=about,
        probe=probe,
        keep_checkpoints=keep_checkpoints,
    )
