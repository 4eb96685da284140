"""Direct preference optimisation and its family: trains a policy on pairs, computing a prompt once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from evalkit.policies.checkpoint import refuse_finished
from evalkit.policies.config import DpoConfig, ProbeConfig
from evalkit.policies.fitting import PolicyFit, fit_policy, probe_of, start_facts
from evalkit.policies.language_model import LanguageModel, TokenStatistics
from evalkit.policies.losses.pairs import dpo_loss
from evalkit.policies.reference import Reference, frozen_copy, record_reference
from evalkit.policies.reference_log_probs import reference_log_probs
from evalkit.policies.response_rows import ResponseEncoder, ResponseRow, response_batch, was_cut
from rewards.config import TrainingConfig
from rewards.encoding.encoder import OverLong
from rewards.errors import ModelError
from rewards.models.head import can_pack
from rewards.records import Preference, prompt_key
from rewards.training.examples import Encoded, TrainingSplit, split_examples
from rewards.training.labelled import Data, as_labelled
from rewards.training.trainer import CHECKPOINTS, Probe

DEFAULT_DPO = DpoConfig()


@dataclass(frozen=True, slots=True)
class PairExample:
    """Two responses to one prompt, with the reference's log-probabilities where they are precomputed.

    Attributes:
        chosen: The preferred response.
        rejected: The dispreferred response.
        prompt: The prompt; pairs of one prompt are held out together.
        reference: Log-probabilities of both under the reference, summed over tokens, nats.
    """

    chosen: ResponseRow
    rejected: ResponseRow
    prompt: str
    reference: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class DpoObjective:
    """A pairwise loss (`evalkit.policies.losses.pairs.dpo_loss`); an item is a pair.

    Attributes:
        dpo: The loss.
        live: The reference where its log-probabilities are not precomputed: it runs with each batch.
    """

    dpo: DpoConfig
    live: Reference | None = None
    tallies_training: ClassVar[bool] = True

    def collate(self, examples: Sequence[PairExample], packed: bool) -> dict[str, Any]:
        """Return a batch of pairs, the chosen response of each before the rejected one."""
        rows = [row for example in examples for row in (example.chosen, example.rejected)]
        known = [example.reference for example in examples if example.reference is not None]
        return {
            **response_batch(rows, packed),
            "lengths": [row.length for row in rows],
            "reference": torch.tensor(known) if self.live is None else None,
            "items": torch.tensor(len(examples)),
        }

    def losses(self, model: torch.nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return each pair's loss, [B], and the log-probabilities of its responses, [B, 4].

        They are sums over tokens, in nats: policy on chosen and rejected, reference on chosen and rejected.
        """
        policy = _sums(model(inputs["packs"], inputs["rows"], inputs["starts"]), inputs["lengths"])
        reference = inputs["reference"]
        if self.live is not None:
            with torch.no_grad():
                packs = inputs["packs"] if self._packs(inputs["rows"]) else None
                statistics = self.live.model(packs, inputs["rows"], inputs["starts"])
            reference = _sums(statistics, inputs["lengths"])
        outputs = torch.cat([policy, reference.to(policy.device)], dim=1)
        chosen, rejected, reference_chosen, reference_rejected = outputs.unbind(1)
        losses = dpo_loss(
            chosen,
            rejected,
            reference_chosen,
            reference_rejected,
            self.dpo.beta,
            self.dpo.kind,
            self.dpo.label_smoothing,
        )
        return losses, outputs.detach()

    def _packs(self, rows: Sequence[Any]) -> bool:
        live = self.live
        return live is not None and live.packs and can_pack(live.model.inner.config, max(map(len, rows)))

    def tally(self, inputs: dict[str, Any], outputs: Tensor) -> dict[str, float]:
        """Return sums over the pairs of a batch, from which the metrics are made; a tie is half right."""
        chosen, rejected, reference_chosen, reference_rejected = outputs.double().cpu().unbind(1)
        up, down = chosen - reference_chosen, rejected - reference_rejected
        lengths = inputs["lengths"]
        return {
            "pairs": len(up),
            "right": float((up > down).sum() + 0.5 * (up == down).sum()),
            "margin": self.dpo.beta * float((up - down).sum()),
            "both_fall": int(((up < 0) & (down < 0)).sum()),
            "chosen_change": float(up.sum()),
            "rejected_change": float(down.sum()),
            "chosen_log_prob": float(chosen.sum()),
            "rejected_log_prob": float(rejected.sum()),
            "chosen_tokens": sum(lengths[::2]),
            "rejected_tokens": sum(lengths[1::2]),
        }

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return the training metrics.

        `accuracy` and `margin` are of implicit rewards, beta times the change against the reference; the
        changes are of log-probabilities in nats, per response and per token, for chosen and rejected;
        `both_fall` is the share of pairs both of whose responses became less likely.
        """
        pairs = sums["pairs"]
        means = (
            "margin",
            "both_fall",
            "chosen_change",
            "rejected_change",
            "chosen_log_prob",
            "rejected_log_prob",
        )
        metrics = {"eval_accuracy": sums["right"] / pairs} | {
            f"eval_{name}": sums[name] / pairs for name in means
        }
        for side in ("chosen", "rejected"):
            metrics[f"eval_{side}_change_per_token"] = sums[f"{side}_change"] / sums[f"{side}_tokens"]
        return metrics


def _sums(statistics: TokenStatistics, lengths: Sequence[int]) -> Tensor:
    """Return log-probabilities summed over each response's tokens, [pairs, 2]."""
    return torch.stack([part.sum() for part in torch.split(statistics.log_probs, list(lengths))]).view(-1, 2)


def encode_pairs(
    data: Data[Preference], encoder: ResponseEncoder, over_long: OverLong
) -> Encoded[PairExample]:
    """Encode pairs; those with nothing to learn are left out and counted.

    A response whose `chosen_finish_reason` or `rejected_finish_reason` is `length` was truncated: no EOS.
    Where a tokenizer merges the prompt's last letters with a response's first, and the two responses begin at
    different tokens, both start at the earlier one: what they share cancels in the loss.

    Raises:
        DataError: A row is too long and `over_long` is error.
    """
    data = as_labelled(data)
    records = data.records
    prompts = [record.prompt for record in records for _ in range(2)]
    responses = [response for record in records for response in (record.chosen, record.rejected)]
    sides = ("chosen_finish_reason", "rejected_finish_reason")
    cut = [was_cut(record.extra, side) for record in records for side in sides]
    encoded = encoder.encode(prompts, responses, cut) if records else []
    counts = Counter(truncated=0, dropped=0, cut=sum(cut), unlearnable=0, identical=0)
    examples: list[PairExample] = []
    left_out: list[str] = []
    for number, (record, name) in enumerate(zip(records, data.names, strict=True)):
        both = encoded[2 * number : 2 * number + 2]
        start = min(row.start for row in both)
        both = [replace(row, start=start) for row in both]
        kept: list[ResponseRow] | None = None
        if reason := _unlearnable(both):
            counts[reason[0]] += 1
            left_out.append(f"{name}: {reason[1]}")
        elif (kept := encoder.limit(both, over_long, name)) is None:
            counts["dropped"] += 1
            longest = max(len(row.tokens) for row in both)
            left_out.append(f"{name}: has {longest} tokens and the model takes {encoder.max_length}")
        if kept is not None:
            counts["truncated"] += kept[0].start < start
            examples.append(PairExample(kept[0], kept[1], prompt_key(record.prompt)))
    longest = max((len(row.tokens) for pair in examples for row in (pair.chosen, pair.rejected)), default=0)
    return Encoded(tuple(examples), longest, counts, tuple(left_out))


def _unlearnable(both: Sequence[ResponseRow]) -> tuple[str, str] | None:
    """Return the count and the reason of a pair from which nothing can be learnt; None of any other."""
    if not both[0].start:
        return "unlearnable", "there is no token before the responses"
    if not all(row.length for row in both):
        return "unlearnable", "a response has no tokens"
    if both[0].tokens == both[1].tokens:
        return "identical", "both responses are the same tokens, of which none is better"
    return None


def fit_dpo(
    model: LanguageModel,
    encoder: ResponseEncoder,
    train: Data[Preference],
    held_out: Data[Preference] | None,
    config: TrainingConfig,
    out: str | Path,
    *,
    dpo: DpoConfig = DEFAULT_DPO,
    reference: Reference | None = None,
    probe: ProbeConfig | Probe | None = None,
    keep_checkpoints: bool = False,
) -> PolicyFit:
    """Train a policy on preferences, resuming where an earlier call with the same arguments was killed.

    Args:
        model: The policy; its weights change.
        encoder: Text to tokens.
        train: The preferences; one of them is a batch element.
        held_out: Preferences to evaluate on; None holds out a share of the prompts.
        config: The hyperparameters. A learning rate of 0 is 1e-5.
        out: Folder that receives the policy, `policy.json` last, and checkpoints until then.
        dpo: The loss, and when the reference's log-probabilities are computed. Computed before, they are kept
            in `out`.
        reference: The reference policy, another object than the policy; None takes the policy before
            training.
        probe: The probe on held-out prompts, or its settings.
        keep_checkpoints: Whether the checkpoints stay at the end. The same call then resumes the last one
            and trains no more, until the caller has recorded the run as finished and removes them.

    Raises:
        DataError: There is nothing to learn, a row is over-long and may not be cut, or a held-out prompt is
            also trained on.
        ModelError: The reference is the policy itself, or gives no log-probabilities.
        ConfigError: Settings that contradict each other.
        OutputExistsError: The folder holds a finished policy, or checkpoints of a call with other arguments.
    """
    out = Path(out)
    if not keep_checkpoints:
        refuse_finished(out, out / CHECKPOINTS)
    if reference is not None and reference.model.inner is model.inner:
        raise ModelError(
            "the reference is the policy itself, and would change with it; load it a second time"
        )
    reference = reference or frozen_copy(model)
    record_reference(out, reference)
    held_to = {"name": reference.name, "hash": reference.hash}
    start = start_facts(model, train)
    about = {"method": "dpo", "beta": dpo.beta, **start, "reference": held_to}
    probe = probe_of(probe, encoder, reference, out, about)
    split = split_examples(
        encode_pairs(train, encoder, config.over_long),
        None if held_out is None else encode_pairs(held_out, encoder, config.over_long),
        config,
    )
    objective = DpoObjective(dpo, reference)
    if dpo.reference_log_probs == "precomputed":
        split, objective = _with_reference(split, reference, config, out), DpoObjective(dpo)
    loss = {"method": "dpo", "kind": dpo.kind, "beta": dpo.beta, "label_smoothing": dpo.label_smoothing}
    facts = {**loss, "reference": held_to, **about}
    return fit_policy(
        model,
        encoder,
        objective,
        split,
        config,
        out,
        about=facts,
        probe=probe,
        keep_checkpoints=keep_checkpoints,
    )


def _with_reference(
    split: TrainingSplit[PairExample], reference: Reference, config: TrainingConfig, out: Path
) -> TrainingSplit[PairExample]:
    pairs = [*split.train, *split.held_out]
    known = reference_log_probs(reference, pairs, config, out)
    done = [replace(pair, reference=log_probs) for pair, log_probs in zip(pairs, known, strict=True)]
    return replace(split, train=done[: len(split.train)], held_out=done[len(split.train) :])
