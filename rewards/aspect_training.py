"""fit_aspects(model, records, config): a reward model of aspects, of responses or their pieces."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rewards.config import AspectsConfig, TrainingConfig
from rewards.encoding import Encoder
from rewards.errors import ConfigError, DataError
from rewards.examples import hold_out, refuse_shared_prompts
from rewards.fitting import FitResult, fit_examples, save_fitted
from rewards.models.outcome import AspectModel, last_read
from rewards.models.sidecar import AspectFacts, Scale, Sidecar, tokenizer_hash
from rewards.models.tokens import TokenModel
from rewards.objectives import AspectObjective, PlacedExample
from rewards.process_training import record_names, refuse_pair_settings
from rewards.records import SpanLabels, prompt_key
from rewards.segments import segment_targets
from rewards.span_encoding import SpanEncoder

MISSING = float("nan")


@dataclass(frozen=True, slots=True)
class EncodedAspects:
    """Labelled responses as examples, their labels in their own units, and counts of the rest."""

    examples: tuple[PlacedExample, ...]
    counts: Mapping[str, int]


def aspect_names(records: Sequence[SpanLabels], config: AspectsConfig) -> tuple[str, ...]:
    """Return the aspects of a model: those that the configuration names, or all that the labels have, sorted.

    Raises:
        DataError: The labels have an aspect that is not named, or none at all.
        ConfigError: A density or a weight is of an aspect that there is not.
    """
    for record in records:
        for span in record.spans:
            if config.names and span.aspect not in config.names:
                name = record.id or repr(record.response[:40])
                raise DataError(
                    f"id {name}: aspect {span.aspect!r} is none of aspects.names: {', '.join(config.names)}"
                )
    names = tuple(config.names) or tuple(sorted({span.aspect for record in records for span in record.spans}))
    if not names:
        raise DataError("no span of any aspect is labelled; there is nothing to learn")
    for given, of in ((config.density, "density"), (config.weights, "weights")):
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise ConfigError(f"aspects.{of}: no aspect {unknown[0]!r}; there are {', '.join(names)}")
    return names


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
    known = aspect_names(records, aspects)
    encoded = encode_aspects(records, encoder, known, aspects, config, names, model.pad)
    beside: Mapping[str, int] = Counter()
    if held_out is None:
        train, evaluation = hold_out(encoded.examples, config.evaluation_share, config.seed)
    else:
        aspect_names(held_out, replace(aspects, names=list(known)))
        other = encode_aspects(held_out, encoder, known, aspects, config, held_out_names, model.pad)
        train, evaluation, beside = list(encoded.examples), list(other.examples), other.counts
        refuse_shared_prompts(train, evaluation)
    longest = max((len(example.row) for example in [*train, *evaluation]), default=0)
    facts = _facts(train, known, aspects)
    if aspects.objective == "regression":
        train, evaluation = _standardized(train, facts), _standardized(evaluation, facts)
    objective = AspectObjective(known, aspects.objective == "error", aspects.level == "span")
    fitted = fit_examples(model, objective, train, evaluation, longest, config, out)
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
        labels={name: encoded.counts[f"labels {name}"] for name in known},
    )


def encode_aspects(
    records: Sequence[SpanLabels],
    encoder: Encoder,
    known: Sequence[str],
    aspects: AspectsConfig,
    config: TrainingConfig,
    names: Sequence[str],
    pad: int | None,
) -> EncodedAspects:
    """Encode labelled responses; count `truncated` and `dropped` ones, and `labels NAME` of each aspect.

    Raises:
        DataError: A response has no piece, or a row is too long and `config.over_long` is error.
    """
    called = record_names(records, names)
    read = _read_pieces if aspects.level == "span" else _read_wholes
    counts: Counter[str] = Counter()
    examples = []
    found = read(records, encoder, known, aspects, called, pad) if records else []
    for record, name, (row, places, labels) in zip(records, called, found, strict=True):
        kept = encoder.limit(row, record.prompt, config.over_long, name)
        if kept is None:
            counts["dropped"] += 1
            continue
        lost = len(row) - len(kept)
        counts["truncated"] += int(lost > 0)
        there = ~np.isnan(labels)
        if not there.any():
            counts["unlabelled"] += 1
            continue
        counts.update({f"labels {one}": int(there[:, head].sum()) for head, one in enumerate(known)})
        moved = tuple(place - lost for place in places)
        told = tuple(map(tuple, labels.tolist()))
        examples.append(PlacedExample(tuple(kept[: moved[-1] + 1]), moved, told, prompt_key(record.prompt)))
    return EncodedAspects(tuple(examples), counts)


Read = tuple[list[int], Sequence[int], NDArray[np.float64]]
"""A row's tokens, which of them are read, and the labels there, [n, K]."""


def _read_wholes(
    records: Sequence[SpanLabels],
    encoder: Encoder,
    known: Sequence[str],
    aspects: AspectsConfig,
    _: Sequence[str],
    pad: int | None,
) -> list[Read]:
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
) -> list[Read]:
    densities = [aspects.density.get(name, "sentence") for name in known]
    prompts, responses = [record.prompt for record in records], [record.response for record in records]
    found: list[Read] = []
    encoded = SpanEncoder(encoder, densities).encode(prompts, responses, called)
    for record, pieces in zip(records, encoded, strict=True):
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
    if not train:
        raise DataError("nothing to train on: no record is left after screening and over-long rows")
    labels = np.concatenate([np.array(example.labels) for example in train])
    facts = []
    for head, name in enumerate(known):
        own = labels[~np.isnan(labels[:, head]), head]
        if not len(own):
            raise DataError(f"aspect {name!r}: no response that is trained on has a label of it")
        scaled = aspects.objective == "regression" and float(own.std()) > 0
        density = aspects.density.get(name, "sentence") if aspects.level == "span" else "whole"
        mean, sd = (float(own.mean()), float(own.std())) if scaled else (0.0, 1.0)
        facts.append(AspectFacts(name, density, aspects.weights.get(name, 1.0), mean, sd))
    return tuple(facts)


def _standardized(examples: Sequence[PlacedExample], facts: Sequence[AspectFacts]) -> list[PlacedExample]:
    mean, sd = np.array([(one.mean, one.sd) for one in facts]).T
    return [
        replace(example, labels=tuple(map(tuple, ((np.array(example.labels) - mean) / sd).tolist())))
        for example in examples
    ]
