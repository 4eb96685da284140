"""`evalkit combine`: combines the aspects of scored rows to one score, by weights and bounds."""

import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalkit.pipeline.config import Combine
from evalkit.report.text import counted, listed
from evalkit.runs.terminal import say
from rewards.errors import ConfigError, DataError, OutputExistsError
from rewards.files import Row, read_rows, write_rows
from rewards.records import prompt_hash
from rewards.selection.aspects import (
    AspectTable,
    Booleans,
    Floats,
    pareto_front,
    rank_behind,
    violations,
    weighted_sum,
)

Integers = NDArray[np.int64]


def run(config: Combine) -> None:
    """Write the rows of a file with the combination of their aspects, and print a summary.

    The file is read twice; memory holds the aspects and 16 bytes for each prompt.

    Raises:
        ConfigError: An aspect is unknown, or has no weight where the Pareto front goes by weights.
        DataError: A row has no aspects, or other ones than the first, or the new column already.
        OutputExistsError: The output exists and `overwrite` is not set.
    """
    combined = _combine(config)
    written = write_rows(config.out, _output(config, combined), overwrite=config.overwrite)
    lines = [*_lines(config, combined), ("rows written", f"{written}")]
    text = "\n".join(f"{name:<24}{value}" for name, value in lines)
    say(f"{text}\nwritten to {config.out}")


@dataclass(frozen=True, slots=True, eq=False)
class Combined:
    """The combined scores of a file's responses, in the order of the file: [n]."""

    table: AspectTable
    """The aspects used, as in the file."""
    constant: tuple[str, ...]
    """Aspects that do not vary."""
    prompts: Integers
    """A number for each prompt."""
    score: Floats
    missed: Floats
    """By how much each response violates the bounds; 0 where they are met."""
    floor: float | None
    """A score below every response that meets the bounds; None where all do."""
    pareto: Booleans | None


def _combine(config: Combine) -> Combined:
    if Path(config.out).exists() and not config.overwrite:  # now, rather than after the work
        raise OutputExistsError(f"{config.out} is there already; --overwrite replaces it")
    table, prompts = _read(config)
    deviation = table.values.std(axis=0)
    # What rounding leaves of a constant is no variation.
    varies = deviation > 1e-12 * np.abs(table.values).max(axis=0)
    scale = np.where(varies, deviation, 1.0) if config.standardize else np.ones(len(table.names))
    scaled = AspectTable(table.names, table.values / scale)
    of = dict(zip(table.names, scale.tolist(), strict=True))
    missed = violations(
        scaled,
        {name: bound / of[name] for name, bound in config.at_least.items()},
        {name: bound / of[name] for name, bound in config.at_most.items()},
    )
    score, floor = rank_behind(weighted_sum(scaled, config.weights), missed)
    constant = tuple(name for name, moves in zip(table.names, varies.tolist(), strict=True) if not moves)
    pareto = _fronts(config, table, prompts) if config.pareto else None
    return Combined(table, constant, prompts, score, missed, floor, pareto)


def _read(config: Combine) -> tuple[AspectTable, Integers]:
    """Read the numbers of the aspects that are used, and which responses share a prompt."""
    numbers, prompts = array("d"), array("q")
    places: dict[bytes, int] = {}
    names: tuple[str, ...] = ()
    for row in _rows(config):
        key = prompt_hash(row.prompt(), 16)
        place = places.setdefault(key, len(places))
        for field, aspects in _aspects(row, config.score):
            names = names or _used(config, row, field, aspects)
            numbers.extend(_numbers(row, field, aspects, names, exactly=not config.weights))
            prompts.append(place)
    values = np.frombuffer(numbers, dtype=np.float64).reshape(-1, len(names))
    return AspectTable(names, values), np.frombuffer(prompts, dtype=np.int64)


def _rows(config: Combine) -> Iterator[Row]:
    return read_rows(config.data, rename=config.rename or None)


def _is_listed(row: Row) -> bool:
    return row.values.get("response") is None and row.values.get("responses") is not None


def _aspects(row: Row, score: str) -> list[tuple[str, Mapping[str, object]]]:
    """Return the aspects of each response of a row, with their field."""
    listed_ = _is_listed(row)
    candidates = (f"{score}s_aspects", f"{score}_aspects") if listed_ else (f"{score}_aspects",)
    field = next((name for name in candidates if name in row.values), "")
    if not field:
        wanted = " or ".join(map(repr, candidates))
        raise DataError(
            f"{row.where}: no column {wanted}, only {', '.join(row.values)}; `evalkit score` writes it where "
            "the scorer has aspects, and --score names another score's"
        )
    values = row.list_in(field) if listed_ else [row.values[field]]
    if listed_ and len(values) != len(row.list_in("responses")):
        raise row.expected(field, f"{len(row.list_in('responses'))} objects", values)
    aspects: list[tuple[str, Mapping[str, object]]] = []
    for value in values:
        if not isinstance(value, dict) or not value:
            raise row.expected(field, "aspects of the form {name: number}", value)
        # Parquet gives every response the aspects of any; those that are null are not there.
        aspects.append((field, {name: number for name, number in value.items() if number is not None}))
    return aspects


def _used(config: Combine, row: Row, field: str, aspects: Mapping[str, object]) -> tuple[str, ...]:
    """Return the aspects that are weighted or bounded, or all of the first row where no weights are given."""
    given = {"weights": config.weights, "at_least": config.at_least, "at_most": config.at_most}
    for option, by_aspect in given.items():
        for name in by_aspect:
            if name not in aspects:
                there = ", ".join(aspects)
                raise ConfigError(f"{option}: no aspect {name!r}; {row.where} has {there} in {field!r}")
    if not config.weights:
        return tuple(aspects)
    named = {name for by_aspect in given.values() for name in by_aspect}
    return tuple(name for name in aspects if name in named)


def _numbers(
    row: Row, field: str, aspects: Mapping[str, object], names: tuple[str, ...], exactly: bool
) -> list[float]:
    if not set(names) <= set(aspects) or (exactly and len(aspects) > len(names)):
        there = ", ".join(aspects) or "none"
        raise DataError(f"{row.where}: field {field!r}: expected the aspects {', '.join(names)}, got {there}")
    numbers = []
    for name in names:
        number = aspects[name]
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise row.expected(field, f"a finite number of {name!r}", number)
        numbers.append(float(number))
    return numbers


def _fronts(config: Combine, table: AspectTable, prompts: Integers) -> Booleans:
    """Return which responses are on their prompt's Pareto front; of a negative weight, less is better."""
    weights = config.weights or dict.fromkeys(table.names, 1.0)
    weighted = [name for name in table.names if weights.get(name, 0.0)]
    if not weighted:
        raise ConfigError(
            "the Pareto front goes by the aspects that have a weight other than 0, and none has"
        )
    points = np.column_stack([np.sign(weights[name]) * table.column(name) for name in weighted])
    front = np.zeros(len(points), dtype=bool)
    order = np.argsort(prompts, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(prompts[order])) + 1):
        front[group] = pareto_front(points[group])
    return front


def _output(config: Combine, combined: Combined) -> Iterator[dict[str, object]]:
    bounded = bool(config.at_least or config.at_most)
    columns: dict[str, list[object]] = {"": combined.score.tolist()}
    if bounded:
        columns["_met"] = (combined.missed == 0).tolist()
    if combined.pareto is not None:
        columns["_pareto"] = combined.pareto.tolist()
    begin = 0
    for row in _rows(config):
        several = _is_listed(row)
        end = begin + (len(row.list_in("responses")) if several else 1)
        if end > len(combined.score):
            raise DataError(f"{row.where}: {config.data} has changed while it was read")
        stem = config.column + "s" * several
        new = {
            stem + name: values[begin:end] if several else values[begin] for name, values in columns.items()
        }
        for name in new:
            if name in row.values:
                raise DataError(
                    f"{row.where}: field {name!r}: is there already and would be lost; name the new one "
                    "with --column NAME"
                )
        yield {**row.values, **new}
        begin = end
    if begin < len(combined.score):
        raise DataError(f"{config.data}: has changed while it was read")


def _lines(config: Combine, combined: Combined) -> Iterator[tuple[str, str]]:
    prompts = int(combined.prompts.max()) + 1
    yield "responses", f"{len(combined.score)} to {counted(prompts, 'prompt')}"
    for name in combined.table.names:
        weight = config.weights.get(name, 0.0) if config.weights else 1.0
        values = combined.table.column(name)
        yield f"  {name}", f"weight {weight:g}; mean {values.mean():.4g}, sd {values.std():.4g}"
    if config.standardize:
        still = f"; {listed(list(combined.constant))} does not vary and is not" if combined.constant else ""
        yield "standardized", f"each aspect divided by its sd{still}"
    if config.at_least or config.at_most:
        yield from _bound_lines(config, combined, prompts)
    if combined.pareto is not None:
        yield "on the Pareto front", f"{int(combined.pareto.sum())} of {len(combined.score)} responses"


def _bound_lines(config: Combine, combined: Combined, prompts: int) -> Iterator[tuple[str, str]]:
    met = combined.missed == 0
    hopeless = prompts - len(np.unique(combined.prompts[met]))
    none = (
        f"; {counted(hopeless, 'prompt')} of {prompts} with no response that meets them" if hopeless else ""
    )
    yield "bounds missed", f"by {int((~met).sum())} of {len(met)} responses{none}"
    for word, bounds in (("at least", config.at_least), ("at most", config.at_most)):
        for name, bound in bounds.items():
            values = combined.table.column(name)
            missed = int((values < bound).sum() if word == "at least" else (values > bound).sum())
            yield f"  {name}", f"{word} {bound:g}: missed by {missed}"
    if combined.floor is not None:
        yield (
            "  their score",
            f"{combined.floor:.6g} minus what they miss by, behind all that meet the bounds",
        )
