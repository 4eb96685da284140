"""fit_process: train a process reward model on labelled steps."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from rewards.config import ProcessTrainingConfig, ScoringConfig
from rewards.encoding.encoder import Encoder, OverLong
from rewards.encoding.step_encoder import StepEncoder
from rewards.errors import ConfigError, DataError
from rewards.evaluation.first_errors import choose_threshold, true_first_error
from rewards.models.sidecar import Sidecar, tokenizer_hash
from rewards.models.tokens import RIGHT, TokenModel
from rewards.records import StepLabels, prompt_key
from rewards.scorers.engine import Engine
from rewards.solutions.steps import probabilities, until_first_error
from rewards.training.examples import Encoded, TokenExample, refuse_pair_settings, split_examples
from rewards.training.fitting import FitResult, fit_examples, result_of, save_fitted
from rewards.training.labelled import Data, as_labelled
from rewards.training.objectives import StepObjective

UNCALIBRATED = 0.5
"""The threshold of a wrong step where none could be chosen on held-out solutions."""


def encode_steps(
    data: Data[StepLabels], encoder: StepEncoder, over_long: OverLong, until_error: bool = False
) -> Encoded[TokenExample]:
    """Encode labelled solutions, each up to its last label: a causal body needs no more.

    Earlier steps without a label are read by the model but have no loss. Counted are `truncated` and
    `dropped` solutions by over-long rows, `unlabelled solutions`, which are left out, and steps by label:
    `right` (0.5 and up), `wrong`, `unlabelled`.

    Args:
        data: The solutions.
        encoder: Text to tokens.
        over_long: Rule for a row longer than the model's context.
        until_error: Whether labels after the first wrong step are left out.

    Raises:
        DataError: A solution has no steps; its separator is not its own token; or it is too long and
            `over_long` is error.
    """
    data = as_labelled(data)
    records, names = data.records, data.names
    if until_error:
        records = [replace(record, labels=until_first_error(record.labels)) for record in records]
    for record, name in zip(records, names, strict=True):
        if not record.steps:
            raise DataError(f"{name}: a solution without steps")
    solutions = encoder.encode(
        [record.prompt for record in records], [record.steps for record in records], names
    )
    counts: Counter[str] = Counter()
    examples: list[TokenExample] = []
    left_out: list[str] = []
    for record, solution, name in zip(records, solutions, names, strict=True):
        labels = [
            (place, label)
            for place, label in zip(solution.places, record.labels, strict=True)
            if label is not None
        ]
        if not labels:
            counts["unlabelled solutions"] += 1
            counts["unlabelled"] += len(record.labels)
            left_out.append(f"{name}: no step has a label")
            continue
        row = list(solution.tokens[: labels[-1][0] + 1])
        kept = encoder.encoder.limit(row, record.prompt, over_long, name)
        if kept is None:
            counts["dropped"] += 1
            left_out.append(encoder.encoder.too_long(row, name))
            continue
        lost = len(row) - len(kept)
        counts["truncated"] += int(lost > 0)
        counts["unlabelled"] += len(record.labels) - len(labels)
        counts["right"] += sum(label >= 0.5 for _, label in labels)
        counts["wrong"] += sum(label < 0.5 for _, label in labels)
        examples.append(
            TokenExample(
                row=tuple(kept),
                positions=tuple(place - lost for place, _ in labels),
                labels=tuple((label,) for _, label in labels),
                prompt=prompt_key(record.prompt),
                first_error=true_first_error(record.labels),
            )
        )
    longest = max((len(example.row) for example in examples), default=0)
    return Encoded(tuple(examples), longest, counts, tuple(left_out))


def fit_process(
    model: TokenModel,
    encoder: Encoder,
    train: Data[StepLabels],
    held_out: Data[StepLabels] | None,
    config: ProcessTrainingConfig,
    out: str | Path,
) -> FitResult:
    """Train a process reward model, resuming from an interrupted call's checkpoint.

    Args:
        model: A token classifier of two labels, wrong and right; its weights change.
        encoder: Text to tokens.
        train: Labelled solutions.
        held_out: Solutions to evaluate on; None holds out a share of the prompts.
        config: Separator, class weights, aggregation and threshold, and the training settings.
        out: Folder for the model, `evalkit.json` last, and for checkpoints until then.

    Raises:
        ModelError: The separator is not one stable token.
        DataError: There is nothing to train on, a row is over-long and may not be cut, or a held-out prompt
            is also trained on.
        ConfigError: Settings that contradict each other, or that do not apply to steps.
    """
    process, training = config.process, config.training
    refuse_pair_settings(training)
    data, steps = as_labelled(train), StepEncoder(encoder, process.separator)
    encode = partial(
        encode_steps, encoder=steps, over_long=training.over_long, until_error=process.until_error
    )
    split = split_examples(encode(data), None if held_out is None else encode(held_out), training)
    objective = StepObjective(process.wrong_weight or _balance(split.train), training.label_smoothing)
    fitted = fit_examples(model, objective, split, training, Path(out))
    threshold = _threshold(fitted.model, encoder, split.held_out) if process.calibrate else None
    sidecar = Sidecar(
        kind="process",
        append_eos=False,
        read_at="step separator",
        tokenizer_hash=tokenizer_hash(encoder.tokenizer),
        trained_on={**data.origin, "training": asdict(fitted.config), "solutions": len(split.train)},
        separator=process.separator,
        separator_token=steps.token,
        aggregation=process.aggregation,
        threshold=UNCALIBRATED if threshold is None else threshold,
    )
    save_fitted(fitted, encoder, Path(out), sidecar)
    kinds = ("right", "wrong", "unlabelled", "unlabelled solutions")
    labels = {kind: split.counts.get(kind, 0) for kind in kinds}
    return result_of(fitted, split, labels, threshold=threshold)


def _balance(train: Sequence[TokenExample]) -> float:
    """Return the weight of a wrong step that balances the two classes."""
    labels = np.array([label for example in train for (label,) in example.labels])
    right, wrong = float(labels.sum()), float((1 - labels).sum())
    if not right or not wrong:
        raise ConfigError(
            f"process.wrong_weight 0 balances right and wrong steps; there are {right:g} and {wrong:g}"
        )
    return right / wrong


def _threshold(model: TokenModel, encoder: Encoder, held_out: Sequence[TokenExample]) -> float | None:
    """Return the threshold of the highest first-error F1 on held-out solutions whose first error is known.

    None unless there are both erroneous and correct solutions, without which there is no F1.
    """
    known = [example for example in held_out if example.first_error is not None]
    truth = [example.first_error for example in known]
    if len({first == -1 for first in truth}) < 2:
        return None
    engine = Engine(model, encoder, ScoringConfig())
    outputs = engine.outputs([example.row for example in known], [example.positions for example in known])
    scores = [probabilities(logits[:, RIGHT] - logits[:, 1 - RIGHT]).tolist() for logits in outputs]
    return choose_threshold(scores, np.array(truth)).threshold
