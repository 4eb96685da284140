"""fit_aspects(model, records, config): a reward model of aspects, of responses or their pieces."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rewards.config import AspectsConfig, TrainingConfig
from rewards.encoding.encoder import Encoder
from rewards.encoding.segments import segment_targets
from rewards.encoding.span_encoder import SpanEncoder
from rewards.errors import ConfigError, DataError
from rewards.models.outcome import AspectModel, last_read
from rewards.models.sidecar import AspectFacts, Sidecar, tokenizer_hash
from rewards.models.tokens import TokenModel
from rewards.records import SpanLabels, prompt_key
from rewards.training.examples import (
    Encoded,
    PlacedExample,
    longest_row,
    record_names,
    refuse_pair_settings,
    split,
)
from rewards.training.fitting import FitResult, fit_examples, result_of, save_fitted
from rewards.training.objectives import AspectObjective

MISSING = float("nan")


def aspect_names(
    records: Sequence[SpanLabels], config: AspectsConfig, names: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the aspects of a model: those that the configuration names, or all that the labels have, sorted.

    Args:
        records: The labelled responses.
        config: Which aspects there are.
        names: What an error calls each record; none given numbers them.

    Raises:
        DataError: The labels have an aspect that is not named, or none at all.
        ConfigError: A density or a weight is of an aspect that there is not.
    """
    if config.names:
        _refuse_strangers(records, config.names, names)
    known = tuple(config.names) or tuple(sorted({span.aspect for record in records for span in record.spans}))
    if not known:
        raise DataError("no span of any aspect is labelled; there is nothing to learn")
    for given, of in ((config.density, "density"), (config.weights, "weights")):
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ConfigError(f"aspects.{of}: no aspect {unknown[0]!r}; there are {', '.join(known)}")
    return known


def _refuse_strangers(records: Sequence[SpanLabels], known: Sequence[str], names: Sequence[str]) -> None:
    for record, name in zip(records, record_names(records, names), strict=True):
        for span in record.spans:
            if span.aspect not in known:
                raise DataError(f"{name}: aspect {span.aspect!r} is none of {', '.join(known)}")


def fit_aspects(
    model: AspectModel | TokenModel,
    encoder: Encoder,
    records: Sequence[SpanLabels],
    aspects: AspectsConfig,
    config: TrainingConfig,
    out: Path,
    held_out: Sequence[SpanLabels] | None = None,
    trained_on: Mapping[str, object] | None = None,
    names: Sequence[str] = (),
    held_out_names: Sequence[str] = (),
) -> FitResult:
    """Train a reward model of several aspects, resuming where a killed call stopped.

    Args:
        model: A sequence classifier for `level` sequence, a token classifier for span, with an output for
            each of `aspect_names(records, aspects)`; its weights change.
        encoder: Text to tokens.
        records: Responses with labelled spans. At level sequence an aspect without a span has no label; at
            level span it has no fault, or a sum of 0.
        aspects: Which aspects, and what is learnt of them.
        config: The knobs of training.
        out: Folder that receives the model, `evalkit.json` last; checkpoints meanwhile.
        held_out: Responses to evaluate on; None holds out a share of the prompts.
        trained_on: What `evalkit.json` says of the data.
        names: What an error calls each record; none given numbers them.
        held_out_names: The same for `held_out`.

    Raises:
        DataError: There is nothing to train on, an aspect is not known, a row is over-long and may not be
            cut, or a held-out prompt is also trained on.
        ConfigError: Settings that contradict each other, or that do not apply.
    """
    refuse_pair_settings(config)
    if config.label_smoothing and aspects.objective == "regression":
        raise ConfigError(
            "training.label_smoothing is of labels with two sides; aspects.objective regression has none"
        )
    known = aspect_names(records, aspects, names)
    encoded = encode_aspects(records, encoder, known, aspects, config, names, model.pad)
    beside = None
    if held_out is not None:
        _refuse_strangers(held_out, known, held_out_names)
        beside = encode_aspects(held_out, encoder, known, aspects, config, held_out_names, model.pad)
    train, evaluation = split(encoded, beside, config)
    facts = _facts(train, known, aspects)
    if aspects.objective == "regression":
        train, evaluation = _standardized(train, facts), _standardized(evaluation, facts)
    objective = AspectObjective(
        known, aspects.objective == "error", aspects.level == "span", config.label_smoothing
    )
    fitted = fit_examples(model, objective, train, evaluation, longest_row(train, evaluation), config, out)
    sidecar = Sidecar(
        kind="spans" if aspects.level == "span" else "aspects",
        append_eos=encoder.append_eos and aspects.level == "sequence",
        read_at="end of each piece" if aspects.level == "span" else "last token",
        tokenizer_hash=tokenizer_hash(encoder.tokenizer),
        trained_on={**(trained_on or {}), "training": asdict(fitted.config), "responses": len(train)},
        objective=aspects.objective,
        aspects=facts,
    )
    save_fitted(fitted, encoder, out, sidecar)
    labels = {name: encoded.count(f"labels {name}") for name in known}
    return result_of(fitted, train, evaluation, encoded, beside, labels)


def encode_aspects(
    records: Sequence[SpanLabels],
    encoder: Encoder,
    known: Sequence[str],
    aspects: AspectsConfig,
    config: TrainingConfig,
    names: Sequence[str],
    pad: int | None,
) -> Encoded:
    """Encode labelled responses; count `truncated` and `dropped` ones, and `labels NAME` of each aspect.

    Left out are over-long responses, those without a label, and at level span those without a piece, as of
    white space alone.

    Raises:
        DataError: A row is too long and `config.over_long` is error.
    """
    called = record_names(records, names)
    read = _read_pieces if aspects.level == "span" else _read_wholes
    counts: Counter[str] = Counter()
    examples: list[PlacedExample] = []
    left_out: list[str] = []
    found = read(records, encoder, known, aspects, called, pad) if records else []
    for record, name, one in zip(records, called, found, strict=True):
        if one is None:
            left_out.append(f"{name}: the response {record.response[:40]!r} has no piece to be scored")
            continue
        row, places, labels = one
        there = ~np.isnan(labels)
        if not there.any():
            left_out.append(f"{name}: no aspect has a label")
            continue
        kept = encoder.limit(row, record.prompt, config.over_long, name)
        if kept is None:
            counts["dropped"] += 1
            left_out.append(encoder.too_long(row, name))
            continue
        lost = len(row) - len(kept)
        counts["truncated"] += int(lost > 0)
        counts.update({f"labels {one}": int(there[:, head].sum()) for head, one in enumerate(known)})
        moved = tuple(place - lost for place in places)
        told = tuple(map(tuple, labels.tolist()))
        examples.append(PlacedExample(tuple(kept[: moved[-1] + 1]), moved, told, prompt_key(record.prompt)))
    return Encoded(tuple(examples), counts, tuple(left_out))


Read = tuple[list[int], Sequence[int], NDArray[np.float64]]
"""A row's tokens, which of them are read, and the labels there, [n, K]."""


def _read_wholes(
    records: Sequence[SpanLabels],
    encoder: Encoder,
    known: Sequence[str],
    aspects: AspectsConfig,
    _: Sequence[str],
    pad: int | None,
) -> list[Read | None]:
    rows = encoder.encode([record.prompt for record in records], [record.response for record in records])
    return [
        (row, [last_read(row, pad)], np.array([_whole(record, known, aspects.objective)]))
        for record, row in zip(records, rows, strict=True)
    ]


def _read_pieces(
    records: Sequence[SpanLabels],
    encoder: Encoder,
    known: Sequence[str],
    aspects: AspectsConfig,
    called: Sequence[str],
    _: int | None,
) -> list[Read | None]:
    densities = [aspects.density.get(name, "sentence") for name in known]
    prompts, responses = [record.prompt for record in records], [record.response for record in records]
    found: list[Read | None] = []
    encoded = SpanEncoder(encoder, densities).encode(prompts, responses, called)
    for record, pieces in zip(records, encoded, strict=True):
        if pieces is None:
            found.append(None)
            continue
        labels = np.full((len(pieces.places), len(known)), MISSING)
        for head, (name, density) in enumerate(zip(known, densities, strict=True)):
            targets = segment_targets(record.response, record.spans, name, density, aspects.objective)
            labels[list(pieces.reads[head]), head] = _merged(targets, pieces.reads[head], aspects.objective)
        found.append((list(pieces.tokens), pieces.places, labels))
    return found


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


def _facts(
    train: Sequence[PlacedExample], known: Sequence[str], aspects: AspectsConfig
) -> tuple[AspectFacts, ...]:
    """Return each aspect's density and weight, and the scale of its labels; constant ones have sd 1."""
    labels = np.concatenate([np.array(example.labels) for example in train])
    facts = []
    for head, name in enumerate(known):
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


def _standardized(examples: Sequence[PlacedExample], facts: Sequence[AspectFacts]) -> list[PlacedExample]:
    mean, sd = np.array([(one.mean, one.sd) for one in facts]).T
    return [
        replace(example, labels=tuple(map(tuple, ((np.array(example.labels) - mean) / sd).tolist())))
        for example in examples
    ]
