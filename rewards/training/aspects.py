"""fit_aspects: train a reward model of several aspects, of responses or their pieces."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rewards.config import AspectsConfig, AspectsTrainingConfig
from rewards.encoding.encoder import Encoder, OverLong
from rewards.encoding.segments import segment_targets
from rewards.encoding.span_encoder import SpanEncoder
from rewards.errors import ConfigError, DataError
from rewards.models.outcome import AspectModel, last_read
from rewards.models.sidecar import AspectFacts, Sidecar, tokenizer_hash
from rewards.models.tokens import TokenModel
from rewards.records import SpanLabels, prompt_key
from rewards.training.examples import Encoded, TokenExample, refuse_pair_settings, split_examples
from rewards.training.fitting import FitResult, fit_examples, result_of, save_fitted
from rewards.training.labelled import Data, Labelled, as_labelled
from rewards.training.objectives import AspectObjective

MISSING = float("nan")


def aspect_names(data: Data[SpanLabels], config: AspectsConfig) -> tuple[str, ...]:
    """Return the aspects of a model: those of the configuration, or else all aspects of the labels, sorted.

    Args:
        data: The labelled responses.
        config: The configured aspects.

    Raises:
        DataError: The labels have an aspect that is not configured, or none at all.
        ConfigError: A density or a weight is of an unknown aspect.
    """
    data = as_labelled(data)
    if config.names:
        _refuse_strangers(data, config.names)
    labelled = {span.aspect for record in data.records for span in record.spans}
    known = tuple(config.names) or tuple(sorted(labelled))
    if not known:
        raise DataError("no span of any aspect is labelled; there is nothing to learn")
    for given, of in ((config.density, "density"), (config.weights, "weights")):
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ConfigError(f"aspects.{of}: no aspect {unknown[0]!r}; there are {', '.join(known)}")
    return known


def _refuse_strangers(data: Labelled[SpanLabels], known: Sequence[str]) -> None:
    for record, name in zip(data.records, data.names, strict=True):
        for span in record.spans:
            if span.aspect not in known:
                raise DataError(f"{name}: aspect {span.aspect!r} is none of {', '.join(known)}")


def fit_aspects(
    model: AspectModel | TokenModel,
    encoder: Encoder,
    train: Data[SpanLabels],
    held_out: Data[SpanLabels] | None,
    config: AspectsTrainingConfig,
    out: str | Path,
) -> FitResult:
    """Train a reward model of several aspects, resuming from an interrupted call's checkpoint.

    Args:
        model: A sequence classifier for `level` sequence, a token classifier for span, with an output for
            each of `aspect_names(train, config.aspects)`; its weights change.
        encoder: Text to tokens.
        train: Responses with labelled spans. At level sequence an aspect without a span has no label; at
            level span it has no fault, or a sum of 0.
        held_out: Responses to evaluate on; None holds out a share of the prompts.
        config: The aspects, the objective, and the training settings.
        out: Folder for the model, `evalkit.json` last, and for checkpoints until then.

    Raises:
        DataError: There is nothing to train on, an aspect is not known, a row is over-long and may not be
            cut, or a held-out prompt is also trained on.
        ConfigError: Settings that contradict each other, or that do not apply.
    """
    training = config.training
    refuse_pair_settings(training)
    if training.label_smoothing and config.aspects.objective == "regression":
        raise ConfigError(
            "training.label_smoothing is of labels with two sides; aspects.objective regression has none"
        )
    data = as_labelled(train)
    aspects = replace(config.aspects, names=list(aspect_names(data, config.aspects)))
    encode = partial(
        encode_aspects, encoder=encoder, aspects=aspects, over_long=training.over_long, pad=model.pad
    )
    if held_out is not None:
        held_out = as_labelled(held_out)
        _refuse_strangers(held_out, aspects.names)
    split = split_examples(encode(data), None if held_out is None else encode(held_out), training)
    facts = _facts(split.train, aspects)
    if aspects.objective == "regression":
        train_examples, evaluation = (_standardized(part, facts) for part in (split.train, split.held_out))
        split = replace(split, train=train_examples, held_out=evaluation)
    objective = AspectObjective(
        tuple(aspects.names), aspects.objective == "error", aspects.level == "span", training.label_smoothing
    )
    fitted = fit_examples(model, objective, split, training, Path(out))
    sidecar = Sidecar(
        kind="spans" if aspects.level == "span" else "aspects",
        append_eos=encoder.append_eos and aspects.level == "sequence",
        read_at="end of each piece" if aspects.level == "span" else "last token",
        tokenizer_hash=tokenizer_hash(encoder.tokenizer),
        trained_on={**data.origin, "training": asdict(fitted.config), "responses": len(split.train)},
        objective=aspects.objective,
        aspects=facts,
    )
    save_fitted(fitted, encoder, Path(out), sidecar)
    labels = {name: split.counts.get(f"labels {name}", 0) for name in aspects.names}
    return result_of(fitted, split, labels)


def encode_aspects(
    data: Data[SpanLabels],
    encoder: Encoder,
    aspects: AspectsConfig,
    over_long: OverLong,
    pad: int | None,
) -> Encoded[TokenExample]:
    """Encode labelled responses; count `truncated` and `dropped` ones, and `labels NAME` of each aspect.

    Left out are over-long responses, those without a label, and at level span those without a piece, as of
    white space alone.

    Args:
        data: The responses.
        encoder: Text to tokens.
        aspects: The aspects, all named, and the objective.
        over_long: Rule for a row longer than the model's context.
        pad: The padding token, after which no score of a whole response is read.

    Raises:
        DataError: A row is too long and `over_long` is error.
    """
    data = as_labelled(data)
    counts: Counter[str] = Counter()
    examples: list[TokenExample] = []
    left_out: list[str] = []
    rows: list[_Row | None] = []
    if data.records:
        by_span = aspects.level == "span"
        rows = _pieces(data, encoder, aspects) if by_span else _wholes(data, encoder, aspects, pad)
    for record, name, read in zip(data.records, data.names, rows, strict=True):
        if read is None:
            left_out.append(f"{name}: the response {record.response[:40]!r} has no piece to be scored")
            continue
        row, positions, labels = read
        there = ~np.isnan(labels)
        if not there.any():
            left_out.append(f"{name}: no aspect has a label")
            continue
        kept = encoder.limit(row, record.prompt, over_long, name)
        if kept is None:
            counts["dropped"] += 1
            left_out.append(encoder.too_long(row, name))
            continue
        lost = len(row) - len(kept)
        counts["truncated"] += int(lost > 0)
        counts.update(
            {f"labels {aspect}": int(there[:, head].sum()) for head, aspect in enumerate(aspects.names)}
        )
        kept_positions = tuple(position - lost for position in positions)
        examples.append(
            TokenExample(
                tuple(kept[: kept_positions[-1] + 1]),
                kept_positions,
                tuple(map(tuple, labels.tolist())),
                prompt_key(record.prompt),
            )
        )
    longest = max((len(example.row) for example in examples), default=0)
    return Encoded(tuple(examples), longest, counts, tuple(left_out))


_Row: TypeAlias = tuple[list[int], Sequence[int], NDArray[np.float64]]
"""A row's tokens, which of them are read, and the labels there, [n, K]."""


def _wholes(
    data: Labelled[SpanLabels], encoder: Encoder, aspects: AspectsConfig, pad: int | None
) -> list[_Row | None]:
    """Return the rows of whole responses, each read at its last token."""
    records = data.records
    rows = encoder.encode([record.prompt for record in records], [record.response for record in records])
    return [
        (row, [last_read(row, pad)], np.array([_whole(record, aspects.names, aspects.objective)]))
        for record, row in zip(records, rows, strict=True)
    ]


def _pieces(data: Labelled[SpanLabels], encoder: Encoder, aspects: AspectsConfig) -> list[_Row | None]:
    """Return the rows of responses in pieces, each read where a piece ends; None for one without a piece."""
    densities = [aspects.density.get(name, "sentence") for name in aspects.names]
    prompts = [record.prompt for record in data.records]
    responses = [record.response for record in data.records]
    rows: list[_Row | None] = []
    encoded = SpanEncoder(encoder, densities).encode(prompts, responses, data.names)
    for record, pieces in zip(data.records, encoded, strict=True):
        if pieces is None:
            rows.append(None)
            continue
        labels = np.full((len(pieces.places), len(aspects.names)), MISSING)
        for head, (name, density) in enumerate(zip(aspects.names, densities, strict=True)):
            targets = segment_targets(record.response, record.spans, name, density, aspects.objective)
            labels[list(pieces.reads[head]), head] = _merged(targets, pieces.reads[head], aspects.objective)
        rows.append((list(pieces.tokens), pieces.places, labels))
    return rows


def _merged(targets: Sequence[float], reads: Sequence[int], objective: str) -> list[float]:
    """Return the target at each piece's token; pieces that end at one token share it."""
    shared: dict[int, list[float]] = {}
    for read, target in zip(reads, targets, strict=True):
        shared.setdefault(read, []).append(target)
    join = sum if objective == "regression" else min
    return [float(join(shared[read])) for read in reads]


def _whole(record: SpanLabels, known: Sequence[str], objective: str) -> list[float]:
    """Return a response's label in each aspect: its spans' sum, or if none is a fault; NaN without one."""
    labels = []
    for name in known:
        given = [span.label for span in record.spans if span.aspect == name]
        if not given:
            labels.append(MISSING)
        elif objective == "regression":
            labels.append(math.fsum(given))
        else:
            labels.append(float(min(given) > 0))
    return labels


def _facts(train: Sequence[TokenExample], aspects: AspectsConfig) -> tuple[AspectFacts, ...]:
    """Return each aspect's density and weight, and the scale of its labels; constant ones have sd 1."""
    labels = np.concatenate([np.array(example.labels) for example in train])
    facts = []
    for head, name in enumerate(aspects.names):
        own = labels[~np.isnan(labels[:, head]), head]
        if not len(own):
            raise DataError(f"aspect {name!r}: no response that is trained on has a label of it")
        density = aspects.density.get(name, "sentence") if aspects.level == "span" else "whole"
        mean, sd = 0.0, 1.0
        if aspects.objective == "regression":
            varies = own.min() < own.max()  # the deviation of equal numbers need not be 0, by rounding
            mean, sd = float(own.mean()), float(own.std()) if varies else 1.0
        facts.append(AspectFacts(name, density, aspects.weights.get(name, 1.0), mean, sd))
    return tuple(facts)


def _standardized(examples: Sequence[TokenExample], facts: Sequence[AspectFacts]) -> list[TokenExample]:
    mean, sd = np.array([(one.mean, one.sd) for one in facts]).T
    return [
        replace(example, labels=tuple(map(tuple, ((np.array(example.labels) - mean) / sd).tolist())))
        for example in examples
    ]
