"""Verdicts of files by two systems, one judge and one axis, and both orders of a comparison side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judges.statistics.position_bias import PositionBias, position_bias, shown_first_rate
from judges.statistics.win_rate import TiePolicy, TiesSettled, WinRate, settle_ties
from judges.verdicts.table import Measure, VerdictTable, join_tables, read_table
from rewards.errors import ConfigError
from rewards.intervals import Resampling

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class VerdictGroup:
    """The verdicts of one judge on two systems, all oriented with the same one as `first`."""

    first: str
    second: str
    judge: str
    axis: str
    table: VerdictTable

    @property
    def name(self) -> str:
        """Systems, judge and axis of this group."""
        by = "".join(f", {part}" for part in (self.judge, self.axis) if part)
        return f"{self.first} against {self.second}{by}"


@dataclass(frozen=True, eq=False)
class Orders:
    """Verdicts [m] on comparisons, both orders side by side; NaN is missing, or was never asked."""

    given: Floats
    """Told from `first`, which was shown first; where the order is not known, the verdict there is."""
    swapped: Floats
    """Told from `first`, which was shown second."""
    asked: NDArray[np.bool_]
    """[m, 2] whether an order was asked at all."""
    prompts: Integers

    @property
    def both(self) -> NDArray[np.bool_]:
        """Comparisons that were asked in both orders."""
        return self.asked[:, 0] & self.asked[:, 1]

    def settled(self, policy: TiePolicy) -> TiesSettled:
        """Return one value a comparison under a tie policy; one asked in one order alone has that verdict."""
        given = np.where(self.asked[:, 0], self.given, self.swapped)
        swapped = np.where(self.asked[:, 1], self.swapped, self.given)
        return settle_ties(given, swapped, policy)


def read_verdict_tables(sources: Sequence[str] | str, measure: Measure | None = None) -> VerdictTable:
    """Read one or more files of verdicts as one table.

    Raises:
        ConfigError: No file is named, or one twice.
    """
    names = [sources] if isinstance(sources, str) else list(sources)
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"verdicts are one file or several different ones, got {names}")
    return join_tables([read_table(name, measure=measure) for name in names])


def groups_of(table: VerdictTable, baseline: str = "") -> list[VerdictGroup]:
    """Return the verdicts by pair of systems, axis and judge, the baseline being the second of its pairs.

    Without a baseline a pair is told as it was first given.

    Raises:
        ConfigError: No verdict is about the baseline.
    """
    if baseline and baseline not in table.systems:
        raise ConfigError(f"no system is named {baseline!r}; there are {', '.join(table.systems)}")
    groups = []
    for first, second in _pairs(table):
        if table.systems[first] == baseline:
            first, second = second, first
        names = (table.systems[first] or "first", table.systems[second] or "second")
        verdicts = verdicts_on(table, table.systems[first], table.systems[second])
        for axis in np.unique(verdicts.axis):
            for judge in np.unique(verdicts.judge[verdicts.axis == axis]):
                chosen = verdicts.select((verdicts.axis == axis) & (verdicts.judge == judge))
                groups.append(VerdictGroup(*names, table.judges[judge], table.axes[axis], chosen))
    return groups


def orders_of(table: VerdictTable, values: Floats) -> Orders:
    """Put both orders of each comparison side by side.

    Verdicts belong together by prompt, id, systems, judge, axis and repetition; where such a key comes
    several times in one order, the first of one order goes with the first of the other, and so on, so that
    none is lost.

    Args:
        table: Verdicts, those on the same two systems told alike.
        values: [n] in [0, 1], NaN where missing: the table's outcomes, or its values.
    """
    turned = table.swapped == 1
    keys = _codes(
        table.prompts,
        table.ids,
        table.first_system,
        table.second_system,
        table.judge,
        table.axis,
        table.repeat,
    )
    occurrence = np.where(turned, _occurrence(keys, turned), _occurrence(keys, ~turned))
    comparison, place = np.unique(np.column_stack([keys, occurrence]), axis=0, return_inverse=True)
    place = place.reshape(-1)
    count = len(comparison)
    sides = np.full((count, 2), np.nan)
    asked = np.zeros((count, 2), dtype=bool)
    sides[place, turned.astype(int)] = values
    asked[place, turned.astype(int)] = True
    prompts = np.zeros(count, dtype=np.int64)
    prompts[place] = table.prompts
    return Orders(sides[:, 0], sides[:, 1], asked, prompts)


def position_of(table: VerdictTable, resampling: Resampling) -> tuple[WinRate | None, PositionBias | None]:
    """Return how often the side shown first wins, and the position bias, of verdicts oriented alike.

    Identical responses, of which no verdict tells anything of position, are left aside.
    """
    table = table.select(~table.identical)
    known = table.select(table.swapped >= 0)
    if np.isnan(known.value).all():
        return None, None
    shown = shown_first_rate(known.value, known.swapped == 1, known.prompts, resampling)
    orders, likely = orders_of(table, table.outcome), orders_of(table, table.value)
    both = orders.both
    if not both.any():
        return shown, None
    probabilities = likely.given[both], likely.swapped[both]
    return shown, position_bias(
        orders.given[both], orders.swapped[both], orders.prompts[both], resampling, probabilities
    )


def comparison_codes(table: VerdictTable) -> Integers:
    """Return a number for each verdict's comparison [n]: equal prompt, id and systems, whoever judges."""
    systems = np.sort(np.column_stack([table.first_system, table.second_system]), axis=1)
    return _codes(table.prompts, table.ids, systems[:, 0], systems[:, 1])


def verdicts_on(table: VerdictTable, first: str, second: str) -> VerdictTable:
    """Return the verdicts on two systems, oriented alike; those that name none stay as they are.

    Raises:
        ConfigError: There is no such system.
    """
    if first != second:
        return table.between(first, second)
    code = table.systems.index(first)
    return table.select((table.first_system == code) & (table.second_system == code))


def _pairs(table: VerdictTable) -> Iterator[tuple[int, int]]:
    """Yield the pairs of systems in the order in which they come, oriented as they come first."""
    pairs = np.column_stack([table.first_system, table.second_system])
    _, first = np.unique(np.sort(pairs, axis=1), axis=0, return_index=True)
    for place in np.sort(first):
        yield int(pairs[place, 0]), int(pairs[place, 1])


def _codes(*columns: ArrayLike) -> Integers:
    """Return one number for each distinct row of columns [n]."""
    codes = [np.unique(np.asarray(column), return_inverse=True)[1] for column in columns]
    return np.unique(np.column_stack(codes), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _occurrence(keys: Integers, chosen: NDArray[np.bool_]) -> Integers:
    """Return, for the chosen rows [n], how many chosen ones of the same key came before; 0 elsewhere."""
    rows = np.flatnonzero(chosen)
    order = rows[np.argsort(keys[rows], kind="stable")]
    sorted_keys = keys[order]
    starts = np.flatnonzero(np.r_[True, sorted_keys[1:] != sorted_keys[:-1]]) if len(order) else order
    lengths = np.diff(np.r_[starts, len(order)])
    occurrence = np.zeros(len(keys), dtype=np.int64)
    occurrence[order] = np.arange(len(order)) - np.repeat(starts, lengths)
    return occurrence
