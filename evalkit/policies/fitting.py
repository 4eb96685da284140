"""What fitting a policy to responses and to pairs shares: examples, what is held out, what is reported."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from evalkit.policies.checkpoint import save_policy
from evalkit.policies.language_model import LanguageModel
from evalkit.policies.response_rows import ResponseEncoder
from rewards.config import TrainingConfig
from rewards.errors import DataError
from rewards.training.examples import Prompted, Split, hold_out, refuse_shared_prompts
from rewards.training.fitting import PRETRAINED_RATE, Fitted, fit_examples
from rewards.training.trainer import Objective, Probe

E = TypeVar("E", bound=Prompted)


@dataclass(frozen=True)
class Prepared(Generic[E]):
    """Records as examples, and what became of the rest.

    Attributes:
        examples: What there is to learn from.
        longest: Tokens of the longest row.
        counts: How many responses or pairs were `truncated`, `dropped` as over-long, `cut` (they have no
            ending to learn), without anything to learn, and of the same tokens.
        left_out: What an error calls each record that is no example, and why.
    """

    examples: tuple[E, ...]
    longest: int
    counts: Counter[str]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class PolicyFit:
    """What a training run of a policy did.

    Attributes:
        steps: Updates made.
        train: Batch elements trained on.
        held_out: Batch elements held out.
        counts: What became of the responses or pairs of the training data, as `Prepared` counts it.
        held_out_counts: The same of held-out data given beside.
        learning_rate: The peak learning rate.
        evaluation: Held-out loss and metrics at the end, and those of the probe.
        packed: Whether shared prompts were computed once.
        left_out: What an error calls each record that was not used, and why.
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


@dataclass(frozen=True)
class Parts(Generic[E]):
    """Examples to train on and held-out ones."""

    train: list[E]
    evaluation: list[E]


def divide(prepared: Prepared[E], beside: Prepared[E] | None, training: TrainingConfig) -> Parts[E]:
    """Return the examples to train on and the held-out ones: those given beside, or a share of the prompts.

    Raises:
        DataError: There is nothing to train on or, of those given beside, to evaluate on; or a prompt would
            be on both sides.
    """
    _require(prepared, "train on")
    if beside is None:
        return Parts(*hold_out(prepared.examples, training.evaluation_share, training.seed))
    _require(beside, "evaluate on")
    refuse_shared_prompts(prepared.examples, beside.examples)
    return Parts(list(prepared.examples), list(beside.examples))


def _require(prepared: Prepared[E], what: str) -> None:
    if prepared.examples:
        return
    number = len(prepared.left_out)
    why = f": {number} left out; the first is {prepared.left_out[0]}" if number else ""
    raise DataError(f"nothing to {what}: no record is left after screening and over-long rows{why}")


def fit_policy(
    model: LanguageModel,
    encoder: ResponseEncoder,
    objective: Objective[E],
    parts: Parts[E],
    prepared: Sequence[Prepared[E] | None],
    training: TrainingConfig,
    out: Path,
    about: Mapping[str, object],
    probe: Probe | None = None,
) -> PolicyFit:
    """Train a policy, resuming where an earlier call with the same arguments was killed, and save it.

    Args:
        model: The policy; its weights change.
        encoder: Text to tokens; its tokenizer is saved with the policy.
        objective: What is learnt.
        parts: The examples.
        prepared: What they were made of: the data, and the held-out data beside where there are any.
        training: The knobs; a learning rate of 0 is 1e-5.
        out: Folder that receives the policy, `policy.json` last; checkpoints meanwhile, which the caller
            removes once the run is recorded as finished.
        about: What `policy.json` says beside what is done here.
        probe: Looks at the policy meanwhile.
    """
    training = replace(training, learning_rate=training.learning_rate or PRETRAINED_RATE)
    longest = max((one.longest for one in prepared if one), default=0)
    fitted: Fitted[LanguageModel] = fit_examples(
        model, objective, Split(parts.train, parts.evaluation, longest), training, out, probe
    )
    done: dict[str, Any] = {
        "training": asdict(fitted.config),
        "steps": fitted.steps,
        "trained_on": len(parts.train),
    }
    save_policy(fitted.model.classifier, encoder.tokenizer, out, {**about, **done})
    data, beside = prepared
    return PolicyFit(
        steps=fitted.steps,
        train=len(parts.train),
        held_out=len(parts.evaluation),
        counts=dict(data.counts) if data else {},
        held_out_counts=dict(beside.counts) if beside else {},
        learning_rate=fitted.config.learning_rate,
        evaluation=fitted.evaluation,
        packed=fitted.packed,
        left_out=(*(data.left_out if data else ()), *(beside.left_out if beside else ())),
    )
