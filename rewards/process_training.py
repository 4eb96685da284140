"""fit_process(model, records, config): train a process reward model on labelled steps."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from rewards.config import ProcessConfig, ScoringConfig, TrainingConfig
from rewards.encoding import Encoder, OverLong
from rewards.engines.computing import Engine
from rewards.errors import ConfigError, DataError
from rewards.examples import hold_out, refuse_shared_prompts
from rewards.fitting import FitResult, fit_examples, save_fitted
from rewards.models.sidecar import Scale, Sidecar, tokenizer_hash
from rewards.models.tokens import RIGHT, TokenModel
from rewards.objectives import PlacedExample, StepObjective
from rewards.process_evaluation import choose_threshold, true_first_error
from rewards.records import StepLabels, prompt_key
from rewards.step_encoding import StepEncoder
from rewards.steps import probabilities

UNCALIBRATED = 0.5
"""The threshold of a wrong step where none could be chosen on held-out solutions."""


@dataclass(frozen=True, slots=True)
class EncodedSteps:
    """Labelled solutions as examples, and counts of what became of the rest."""

    examples: tuple[PlacedExample, ...]
    counts: Mapping[str, int]


def encode_steps(
    records: Sequence[StepLabels], encoder: StepEncoder, over_long: OverLong, names: Sequence[str]
) -> EncodedSteps:
    """Encode labelled solutions; unlabelled steps are read by the model but not learnt.

    Counted are `truncated` and `dropped` solutions by over-long rows, `unlabelled solutions`, which are left
    out, and steps by label: `right` (0.5 and up), `wrong`, `unlabelled`.

    Args:
        records: The solutions.
        encoder: Text to tokens.
        over_long: What becomes of a row longer than the model takes.
        names: What an error calls each solution.

    Raises:
        DataError: A solution has no steps; its separator is not its own token; or it is too long and
            `over_long` is error.
    """
    for record, name in zip(records, names, strict=True):
        if not record.steps:
            raise DataError(f"{name}: a solution without steps")
    prompts = [record.prompt for record in records]
    solutions = encoder.encode(prompts, [record.steps for record in records], names) if records else []
    counts: Counter[str] = Counter()
    examples: list[PlacedExample] = []
    for record, solution, name in zip(records, solutions, names, strict=True):
        tokens = encoder.encoder.limit(list(solution.tokens), record.prompt, over_long, name)
        if tokens is None:
            counts["dropped"] += 1
            continue
        lost = len(solution.tokens) - len(tokens)
        counts["truncated"] += int(lost > 0)
        labelled = [
            (place - lost, label)
            for place, label in zip(solution.places, record.labels, strict=True)
            if label is not None
        ]
        counts["unlabelled"] += len(record.labels) - len(labelled)
        counts["right"] += sum(label >= 0.5 for _, label in labelled)
        counts["wrong"] += sum(label < 0.5 for _, label in labelled)
        if not labelled:
            counts["unlabelled solutions"] += 1
            continue
        places, labels = zip(*labelled, strict=True)
        row = tuple(tokens[: places[-1] + 1])  # what stands behind the last label changes nothing
        first = true_first_error(record.labels)
        examples.append(
            PlacedExample(row, places, tuple((label,) for label in labels), prompt_key(record.prompt), first)
        )
    return EncodedSteps(tuple(examples), counts)


def fit_process(
    model: TokenModel,
    encoder: Encoder,
    records: Sequence[StepLabels],
    process: ProcessConfig,
    config: TrainingConfig,
    out: Path,
    held_out: Sequence[StepLabels] | None = None,
    trained_on: Mapping[str, object] | None = None,
    names: Sequence[str] = (),
    held_out_names: Sequence[str] = (),
) -> FitResult:
    """Train a process reward model, resuming where an earlier call with the same arguments was killed.

    Args:
        model: A token classifier of two labels, wrong and right; its weights change.
        encoder: Text to tokens.
        records: Labelled solutions.
        process: Separator, class weights, aggregation, threshold.
        config: The knobs of training.
        out: Folder that receives the model, `evalkit.json` last; checkpoints meanwhile.
        held_out: Solutions to evaluate on; None holds out a share of the prompts.
        trained_on: What `evalkit.json` says of the data.
        names: What an error calls each record, such as `steps.jsonl:3`; none given numbers them.
        held_out_names: The same for `held_out`.

    Raises:
        ModelError: The separator is not one stable token.
        DataError: There is nothing to train on, a row is over-long and may not be cut, or a held-out prompt
            is also trained on.
        ConfigError: Settings that contradict each other, or that do not apply to steps.
    """
    refuse_pair_settings(config)
    steps = StepEncoder(encoder, process.separator)
    encoded = encode_steps(records, steps, config.over_long, record_names(records, names))
    beside: Mapping[str, int] = Counter()
    if held_out is None:
        train, evaluation = hold_out(encoded.examples, config.evaluation_share, config.seed)
    else:
        other = encode_steps(held_out, steps, config.over_long, record_names(held_out, held_out_names))
        train, evaluation, beside = list(encoded.examples), list(other.examples), other.counts
        refuse_shared_prompts(train, evaluation)
    longest = max((len(example.row) for example in [*train, *evaluation]), default=0)
    objective = StepObjective(process.wrong_weight or _balance(train), config.label_smoothing)
    fitted = fit_examples(model, objective, train, evaluation, longest, config, out)
    threshold = _threshold(fitted.model, encoder, evaluation) if process.calibrate else UNCALIBRATED
    sidecar = Sidecar(
        kind="process",
        append_eos=False,
        read_at="step separator",
        tokenizer_hash=tokenizer_hash(encoder.tokenizer),
        trained_on={**(trained_on or {}), "training": asdict(fitted.config), "solutions": len(train)},
        separator=process.separator,
        aggregation=process.aggregation,
        threshold=threshold,
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
        scale=Scale(),
        packed=fitted.packed,
        labels={
            kind: encoded.counts[kind] for kind in ("right", "wrong", "unlabelled", "unlabelled solutions")
        },
        threshold=threshold,
    )


def refuse_pair_settings(config: TrainingConfig) -> None:
    """Refuse settings that only pairs of responses have.

    Raises:
        ConfigError: One is set.
    """
    for name in ("margin", "centering"):
        if getattr(config, name):
            raise ConfigError(f"training.{name} is of pairs of responses, and does not apply here")


def record_names(records: Sequence[object], names: Sequence[str]) -> list[str]:
    """Return what errors call records: the names given, or their numbers and ids."""
    if names:
        return list(names)
    return [
        f"record {number}" + (f", id {name!r}" if (name := getattr(record, "id", "")) else "")
        for number, record in enumerate(records, 1)
    ]


def _balance(train: Sequence[PlacedExample]) -> float:
    """Return the weight of a wrong step that gives both classes the same weight in all."""
    labels = np.array([label for example in train for (label,) in example.labels])
    right, wrong = float(labels.sum()), float((1 - labels).sum())
    if not right or not wrong:
        raise ConfigError(
            f"process.wrong_weight 0 balances right and wrong steps; there are {right:g} and {wrong:g}"
        )
    return right / wrong


def _threshold(model: TokenModel, encoder: Encoder, evaluation: Sequence[PlacedExample]) -> float:
    """Return the threshold of the highest first-error F1 on held-out solutions whose first error is known."""
    known = [example for example in evaluation if example.first_error is not None]
    truth = [example.first_error for example in known]
    if len({first == -1 for first in truth}) < 2:  # without solutions of both kinds there is no F1
        return UNCALIBRATED
    engine = Engine(model, encoder, ScoringConfig())
    outputs = engine.outputs([example.row for example in known], [example.places for example in known])
    scores = [probabilities(logits[:, RIGHT] - logits[:, 1 - RIGHT]).tolist() for logits in outputs]
    return choose_threshold(scores, np.array(truth)).threshold
