"""Shared by SFT and DPO: the facts of the start, the probe, the training run and the saved folder."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from evalkit.policies.checkpoint import save_policy
from evalkit.policies.config import ProbeConfig
from evalkit.policies.language_model import LanguageModel
from evalkit.policies.probe.probe import make_probe
from evalkit.policies.reference import Reference
from evalkit.policies.response_rows import ResponseEncoder
from rewards.config import TrainingConfig
from rewards.models.checkpoint import weights_hash
from rewards.training.examples import Prompted, TrainingSplit
from rewards.training.fitting import PRETRAINED_RATE, Fitted, fit_examples
from rewards.training.labelled import Labelled
from rewards.training.trainer import CHECKPOINTS, Objective, Probe

E = TypeVar("E", bound=Prompted)


@dataclass(frozen=True)
class PolicyFit:
    """Results of a training run of a policy.

    Attributes:
        steps: Updates made.
        train: Batch elements trained on.
        held_out: Batch elements held out.
        counts: How many responses or pairs of the training data were `truncated`, `dropped` as over-long,
            `cut` (they have no EOS to learn), without anything to learn, and of the same tokens.
        held_out_counts: The same for separate held-out data.
        learning_rate: The peak learning rate.
        evaluation: Held-out loss and metrics at the end, and those of the probe.
        packed: Whether shared prompts were computed once.
        left_out: Name and reason of each record that was not used.
    """

    steps: int
    train: int
    held_out: int
    counts: Mapping[str, int]
    held_out_counts: Mapping[str, int]
    learning_rate: float
    evaluation: Mapping[str, float]
    packed: bool
    left_out: tuple[str, ...] = field(default=())


def start_facts(model: LanguageModel, train: object) -> dict[str, object]:
    """Return the entries of `policy.json` about the start of training.

    Args:
        model: The policy before training.
        train: The training data; `Labelled` records say where they come from.
    """
    facts: dict[str, object] = {"started_from": {"name": model.name, "hash": weights_hash(model.inner)}}
    origin = train.origin if isinstance(train, Labelled) else {}
    return {**facts, "data": dict(origin)} if origin else facts


def probe_of(
    probe: ProbeConfig | Probe | None,
    encoder: ResponseEncoder,
    reference: Reference,
    out: Path,
    about: Mapping[str, object],
) -> Probe | None:
    """Return the probe, made from its settings where these are given; None where they name no prompts.

    Args:
        probe: The probe or its settings.
        encoder: The policy's.
        reference: The reference policy of the KL.
        out: The run's folder.
        about: Contents of `policy.json` of the best weights.
    """
    if isinstance(probe, ProbeConfig):
        return make_probe(probe, None, encoder.tokenizer, reference, out, about)
    return probe


def fit_policy(
    model: LanguageModel,
    encoder: ResponseEncoder,
    objective: Objective[E],
    split: TrainingSplit[E],
    config: TrainingConfig,
    out: Path,
    *,
    about: Mapping[str, object],
    probe: Probe | None = None,
    keep_checkpoints: bool = False,
) -> PolicyFit:
    """Train a policy, resuming where an earlier call with the same arguments was killed, and save it.

    Args:
        model: The policy; its weights change.
        encoder: Text to tokens; its tokenizer is saved with the policy.
        objective: The training objective.
        split: Examples to train on and held-out ones.
        config: The hyperparameters; a learning rate of 0 is 1e-5.
        out: Folder that receives the policy, `policy.json` last, and checkpoints until then.
        about: Further entries of `policy.json`.
        probe: The probe on held-out prompts.
        keep_checkpoints: Whether the checkpoints stay at the end.

    Raises:
        OutputExistsError: The checkpoints are of a call with other arguments.
    """
    config = replace(config, learning_rate=config.learning_rate or PRETRAINED_RATE)
    fitted: Fitted[LanguageModel] = fit_examples(model, objective, split, config, out, probe)
    done: dict[str, Any] = {
        "training": asdict(fitted.config),
        "steps": fitted.steps,
        "trained_on": len(split.train),
    }
    save_policy(fitted.model.classifier, encoder.tokenizer, out, {**about, **done})
    if not keep_checkpoints:
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    return PolicyFit(
        steps=fitted.steps,
        train=len(split.train),
        held_out=len(split.held_out),
        counts=dict(split.counts),
        held_out_counts=dict(split.held_out_counts),
        learning_rate=fitted.config.learning_rate,
        evaluation=fitted.evaluation,
        packed=fitted.packed,
        left_out=split.left_out,
    )
