"""Rows of tokens to packs: shared prefixes, row ends and attention patterns; no torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tokens = Sequence[int]
Integers = NDArray[np.int64]

MINIMUM_SAVING = 16
"""Tokens that sharing a prefix must save before it is computed apart from the rows that have it."""
UNIT_TOKENS = 256
"""Queries that attend together: siblings gather their ancestors' keys once for this many tokens."""
WASTE = 1.25
"""Padding accepted inside attention: padded area over real area of a bucket."""
BUCKET_AREA = 1 << 24
"""Most query-key pairs in a bucket, which bounds the memory of its mask."""


@dataclass(frozen=True, slots=True)
class SharedSegment:
    """A stretch of tokens that some rows have in common after their common ancestors."""

    row: int
    """A row that holds it."""
    begin: int
    """Its first token's place in the row."""
    end: int
    """Past its last token's place in the row."""
    parent: int
    """The segment it follows, -1 at the beginning."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Units of attention padded to one shape.

    Attributes:
        queries: Place of each query in the packed sequence, [units, queries]; padding repeats place 0.
        keys: Place of each key, [units, keys]; padding repeats place 0.
        allowed: Which query sees which key, [units, queries, keys]. A padded query sees key 0 alone, so
            that its softmax is defined; its result is never read.
        filled: Which queries are real, [units, queries].
        causal: Whether each query sees just the keys up to its own place, so that no mask is needed.
    """

    queries: Integers
    keys: Integers
    allowed: NDArray[np.bool_]
    filled: NDArray[np.bool_]
    causal: bool


@dataclass(frozen=True, slots=True)
class Pack:
    """Rows packed into one sequence in which a shared prefix stands once.

    Attributes:
        rows: The rows' numbers, [R].
        tokens: [S].
        positions: Each token's place in its row, [S].
        last: Where each row ends in the sequence, [R].
        buckets: The attention pattern.
        longest: Length of the longest row.
        segments: The stretches that the sequence is made of; a parent stands before its children.
        starts: Where each segment begins in the sequence, [segments].
        ends: The segment in which each row ends, [R].
    """

    rows: Integers
    tokens: Integers
    positions: Integers
    last: Integers
    buckets: tuple[Bucket, ...]
    longest: int
    segments: tuple[SharedSegment, ...]
    starts: Integers
    ends: Integers

    def places(self, members: Integers, positions: Integers) -> Integers:
        """Return the positions of row tokens in the packed sequence.

        Args:
            members: For each token its row's place in `rows`, not the row's number, [n].
            positions: The token's place in its row, from 0, [n].
        """
        begins = np.array([segment.begin for segment in self.segments], dtype=np.int64)
        parents = np.array([segment.parent for segment in self.segments], dtype=np.int64)
        # From the segment in which the row ends, back to the token's own.
        holding = self.ends[members]
        while (before := positions < begins[holding]).any():
            holding = np.where(before, parents[holding], holding)
        return np.asarray(self.starts[holding] + positions - begins[holding], dtype=np.int64)


def shared_prefixes(rows: Sequence[Tokens]) -> tuple[list[int], Integers]:
    """Sort rows so that those with a common beginning stand together.

    Returns:
        The rows' numbers in order, and how many tokens each shares with the one before it (the first: 0).
    """
    arrays = [np.asarray(row, dtype=">u4") for row in rows]
    keys = [array.tobytes() for array in arrays]  # big-endian bytes compare as the numbers do
    order = sorted(range(len(rows)), key=keys.__getitem__)
    common = np.zeros(len(rows), dtype=np.int64)
    for place in range(1, len(order)):
        common[place] = _common(arrays[order[place - 1]], arrays[order[place]])
    return order, common


def _common(first: NDArray[np.uint32], second: NDArray[np.uint32]) -> int:
    length = min(len(first), len(second))
    differ = first[:length] != second[:length]
    place = int(differ.argmax()) if length else 0
    return place if length and differ[place] else length


def pack(rows: Sequence[Tokens], budget: int, minimum_saving: int = MINIMUM_SAVING) -> Iterator[Pack]:
    """Group rows into packs of about `budget` tokens; a longer row is a pack of its own.

    Equal rows stand once in a pack. The rows of one prompt stay together as far as the budget allows.
    """
    order, common = shared_prefixes(rows)
    start, size = 0, 0
    for place, row in enumerate(order):
        added = len(rows[row]) - (int(common[place]) if place > start else 0)
        if place > start and size + added > budget:
            yield _pack(rows, order[start:place], common[start:place], minimum_saving)
            start, size, added = place, 0, len(rows[row])
        size += added
    if order:
        yield _pack(rows, order[start:], common[start:], minimum_saving)


def _pack(rows: Sequence[Tokens], order: list[int], common: Integers, minimum_saving: int) -> Pack:
    segments, ends = _segments(rows, order, common, minimum_saving)
    starts = np.cumsum([0] + [segment.end - segment.begin for segment in segments])
    tokens = np.concatenate(
        [np.asarray(rows[segment.row][segment.begin : segment.end], dtype=np.int64) for segment in segments]
    )
    positions = np.concatenate([np.arange(segment.begin, segment.end) for segment in segments])
    last = np.array([starts[segment] + len(rows[row]) - 1 - segments[segment].begin for row, segment in ends])
    return Pack(
        rows=np.array([row for row, _ in ends], dtype=np.int64),
        tokens=tokens,
        positions=positions,
        last=last.astype(np.int64),
        buckets=tuple(_buckets(_units(segments, starts))),
        longest=max(len(rows[row]) for row in order),
        segments=tuple(segments),
        starts=starts.astype(np.int64),
        ends=np.array([segment for _, segment in ends], dtype=np.int64),
    )


def _segments(
    rows: Sequence[Tokens], order: list[int], common: Integers, minimum_saving: int
) -> tuple[list[SharedSegment], list[tuple[int, int]]]:
    """Build the tree of shared prefixes, and return the segment in which each row ends."""
    segments: list[SharedSegment] = []
    ends: list[tuple[int, int]] = []
    lengths = np.array([len(rows[row]) for row in order])
    copy = np.zeros(len(order), dtype=np.bool_)  # rows equal to the one before them
    copy[1:] = (common[1:] == lengths[1:]) & (lengths[1:] == lengths[:-1])
    stack = [(0, len(order), 0, -1)]  # rows order[low:high] agree up to `depth` and follow `parent`
    while stack:
        low, high, depth, parent = stack.pop()
        length = len(rows[order[low]])
        inner = common[low + 1 : high]
        shared = int(inner.min()) if high - low > 1 else length
        if shared == length == len(rows[order[high - 1]]):  # one row, or equal ones
            segments.append(SharedSegment(order[low], depth, length, parent))
            ends += [(order[place], len(segments) - 1) for place in range(low, high)]
            continue
        if (shared - depth) * (high - low - 1) >= minimum_saving:
            segments.append(SharedSegment(order[low], depth, shared, parent))
            parent, depth = len(segments) - 1, shared
            while low < high and len(rows[order[low]]) == shared:  # rows that end where the others go on
                ends.append((order[low], parent))
                low += 1
            inner = common[low + 1 : high]
        apart = (inner == shared) & ~copy[low + 1 : high]
        cuts = [low, *(low + 1 + np.flatnonzero(apart)).tolist(), high]
        stack += [(a, b, depth, parent) for a, b in zip(cuts[-2::-1], cuts[:0:-1], strict=True)]
    return segments, ends


@dataclass(frozen=True, slots=True)
class _Unit:
    """Sibling segments that attend together: their ancestors' keys are gathered once."""

    path: Integers
    own: Integers
    segment: Integers


def _units(segments: list[SharedSegment], starts: Integers) -> list[_Unit]:
    """Group siblings up to UNIT_TOKENS queries; a longer segment is a unit of its own."""
    places = [np.arange(starts[i], starts[i + 1]) for i in range(len(segments))]
    paths: list[Integers] = []
    children: dict[int, list[int]] = {}
    for number, segment in enumerate(segments):  # a parent stands before its children
        before = segment.parent
        paths.append(np.zeros(0, np.int64) if before < 0 else np.concatenate([paths[before], places[before]]))
        children.setdefault(before, []).append(number)
    units: list[_Unit] = []
    for parent, family in children.items():
        group: list[int] = []
        size = 0
        for number in [*family, -1]:
            added = len(places[number]) if number >= 0 else 0
            # Beginnings share no keys, so that grouping them would only add masked work.
            if group and (number < 0 or parent < 0 or size + added > UNIT_TOKENS):
                own = np.concatenate([places[member] for member in group])
                owner = np.repeat(group, [len(places[member]) for member in group])
                units.append(_Unit(paths[group[0]], own, owner))
                group, size = [], 0
            group.append(number)
            size += added
    return units


def _buckets(units: list[_Unit]) -> Iterator[Bucket]:
    """Pad units of like shape together; beginnings, which are causal, apart from the others."""
    units = sorted(
        units, key=lambda unit: (len(unit.path) > 0, len(unit.path) + len(unit.own), len(unit.own))
    )
    group: list[_Unit] = []
    area = queries = 0
    for unit in units:
        keys = len(unit.path) + len(unit.own)
        most = max(queries, len(unit.own))
        padded = (len(group) + 1) * most * keys
        real = area + len(unit.own) * keys
        mixed = bool(group) and (len(group[0].path) > 0) != (len(unit.path) > 0)
        if group and (mixed or padded > WASTE * real + 4096 or padded > BUCKET_AREA):
            yield _bucket(group)
            group, area, most, real = [], 0, len(unit.own), len(unit.own) * keys
        group.append(unit)
        area, queries = real, most
    yield _bucket(group)


def _bucket(units: list[_Unit]) -> Bucket:
    most_queries = max(len(unit.own) for unit in units)
    most_keys = max(len(unit.path) + len(unit.own) for unit in units)
    queries = np.zeros((len(units), most_queries), np.int64)
    keys = np.zeros((len(units), most_keys), np.int64)
    filled = np.zeros((len(units), most_queries), np.bool_)
    allowed = np.zeros((len(units), most_queries, most_keys), np.bool_)
    allowed[:, :, 0] = True
    for number, unit in enumerate(units):
        size, before = len(unit.own), len(unit.path)
        queries[number, :size] = unit.own
        filled[number, :size] = True
        keys[number, :before] = unit.path
        keys[number, before : before + size] = unit.own
        same = unit.segment[:, None] == unit.segment[None, :]
        allowed[number, :size, :before] = True
        allowed[number, :size, before : before + size] = same & np.tri(size, dtype=np.bool_)
    return Bucket(queries, keys, allowed, filled, causal=not any(len(unit.path) for unit in units))
