"""Columns of very many verdicts for statistics, without their texts."""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judges.judge import REASONS, Verdict
from judges.verdicts.annotation import ORDER, PROMPT_ID
from judges.verdicts.members import members_in
from judges.verdicts.reading import read_verdicts
from rewards.errors import ConfigError
from rewards.records import prompt_hash

Measure = Callable[[str], Sequence[float]]
"""Numbers of a response, such as its counts of headers, list items and bold words."""

_SIDES = {
    "first_system": "second_system",
    "first_characters": "second_characters",
    "first_measures": "second_measures",
}


@dataclass(frozen=True, eq=False)
class VerdictTable:
    """Columns of n verdicts, oriented alike: `outcome` and `preference` are of `first`."""

    ids: NDArray[np.object_]
    prompts: NDArray[np.int64]
    """64 bits of a hash of the prompt's text, the same in every file: equal ones are one cluster."""
    systems: tuple[str, ...]
    """Names in the order met, to which `first_system` and `second_system` point."""
    first_system: NDArray[np.int32]
    second_system: NDArray[np.int32]
    judges: tuple[str, ...]
    judge: NDArray[np.int32]
    axes: tuple[str, ...]
    axis: NDArray[np.int32]
    repeat: NDArray[np.int32]
    swapped: NDArray[np.int8]
    """1 where the judge saw `second` first, 0 where `first`, -1 where the file does not say."""
    outcome: NDArray[np.float64]
    """1 where `first` won, 0.5 tie, 0 where `second` won, NaN where there is no verdict."""
    preference: NDArray[np.float64]
    """The judge's probability that `first` is better, NaN where it gave none."""
    reason: NDArray[np.int8]
    """Index in REASONS of why there is no verdict, -1 where there is one."""
    identical: NDArray[np.bool_]
    """Whether both responses are one text, of which no verdict tells anything of position."""
    first_characters: NDArray[np.float64]
    """Length of the response, NaN where the file holds neither it nor its text."""
    second_characters: NDArray[np.float64]
    first_measures: NDArray[np.float64]
    """[n, k] numbers of each response, as asked for; k is 0 where none were."""
    second_measures: NDArray[np.float64]
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By judge whose verdicts are made of others' votes (a jury, or several people), who those are."""

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def value(self) -> NDArray[np.float64]:
        """Return the judge's probability for `first` where it gave one, else the outcome; NaN is missing."""
        return np.where(np.isnan(self.preference), self.outcome, self.preference)

    def missing(self) -> dict[str, int]:
        """Return the number of missing verdicts, by reason."""
        counts = np.bincount(self.reason[self.reason >= 0], minlength=len(REASONS))
        return {reason: int(count) for reason, count in zip(REASONS, counts, strict=True) if count}

    def select(self, chosen: ArrayLike) -> Self:
        """Return the verdicts of a mask or of indices."""
        index = np.asarray(chosen)
        columns = {
            name: column[index] for name, column in vars(self).items() if isinstance(column, np.ndarray)
        }
        return replace(self, **columns)

    def turned(self, mask: ArrayLike) -> Self:
        """Return the table with the verdicts of a mask oriented from the other side."""
        turn = np.asarray(mask, bool)
        columns: dict[str, Any] = {}
        for first, second in _SIDES.items():
            ours, theirs = getattr(self, first), getattr(self, second)
            where = turn[:, None] if ours.ndim == 2 else turn
            columns |= {first: np.where(where, theirs, ours), second: np.where(where, ours, theirs)}
        known = turn & (self.swapped >= 0)
        return replace(
            self,
            **columns,
            swapped=np.where(known, 1 - self.swapped, self.swapped).astype(np.int8),
            outcome=np.where(turn, 1 - self.outcome, self.outcome),
            preference=np.where(turn, 1 - self.preference, self.preference),
        )

    def sorted_sides(self) -> Self:
        """Return every verdict oriented from the system whose name sorts first, to set files side by side."""
        names = np.array(self.systems, object)
        return self.turned(names[self.first_system] > names[self.second_system])

    def between(self, first: str, second: str) -> Self:
        """Return the verdicts on two systems, all oriented with the same one as `first`.

        Raises:
            ConfigError: There is no such system.
        """
        ours, theirs = (self._system(name) for name in (first, second))
        given = (self.first_system == ours) & (self.second_system == theirs)
        other = (self.first_system == theirs) & (self.second_system == ours)
        chosen = given | other
        return self.select(chosen).turned(other[chosen])

    def _system(self, name: str) -> int:
        if name not in self.systems:
            raise ConfigError(f"no system is named {name!r}; there are {', '.join(self.systems)}")
        return self.systems.index(name)


def read_table(
    source: str | Path, rename: Mapping[str, str] | None = None, measure: Measure | None = None
) -> VerdictTable:
    """Read a file of verdicts of any known format into columns; texts are dropped as they pass.

    Args:
        source: As for `judges.verdicts.reading.read_verdicts`.
        rename: The file's column names and ours.
        measure: Counts each response that has a text; where a file has none, its numbers are NaN.

    Raises:
        DataError: As for `read_verdicts`.
    """
    return make_table(read_verdicts(source, rename), measure)


def make_table(verdicts: Iterable[Verdict], measure: Measure | None = None) -> VerdictTable:
    """Return verdicts as columns."""
    columns = _Columns(measure)
    for verdict in verdicts:
        columns.add(verdict)
    return columns.table()


def join_tables(tables: Sequence[VerdictTable]) -> VerdictTable:
    """Return the verdicts of several tables as one.

    Raises:
        ConfigError: There are no tables.
    """
    if not tables:
        raise ConfigError("no tables to join")
    columns: dict[str, Any] = {}
    for name, names in (("first_system", "systems"), ("judge", "judges"), ("axis", "axes")):
        every = tuple(dict.fromkeys(one for table in tables for one in getattr(table, names)))
        codes = {one: code for code, one in enumerate(every)}
        columns[names] = every
        for column in ("first_system", "second_system") if names == "systems" else (name,):
            parts = (
                np.array([codes[one] for one in getattr(table, names)], np.int32)[getattr(table, column)]
                for table in tables
            )
            columns[column] = np.concatenate(list(parts))
    for name, value in vars(tables[0]).items():
        if isinstance(value, np.ndarray) and name not in columns:
            columns[name] = np.concatenate([getattr(table, name) for table in tables])
    members: dict[str, frozenset[str]] = {}
    for table in tables:
        for judge, voices in table.members.items():
            members[judge] = members.get(judge, frozenset()) | voices
    return VerdictTable(**columns, members=members)


def prompt_code(verdict: Verdict) -> int:
    """Return 64 bits of a hash of a verdict's prompt: of `prompt_id` in its `extra`, else of its text."""
    name = verdict.comparison.extra.get(PROMPT_ID)
    digest = prompt_hash(verdict.comparison.prompt if name is None else str(name))
    return int.from_bytes(digest, "little", signed=True)


class _Columns:
    """Columns that grow by a verdict at a time."""

    def __init__(self, measure: Measure | None) -> None:
        self._measure = measure
        self._ids: list[str] = []
        self._last_id = ""
        self._codes: dict[str, dict[str, int]] = {"systems": {}, "judges": {}, "axes": {}}
        self._members: dict[str, frozenset[str]] = {}
        self._whole = {
            name: array("q")
            for name in ("prompts", "first_system", "second_system", "judge", "axis", "repeat")
        }
        self._small = {name: array("b") for name in ("swapped", "reason", "identical")}
        self._real = {
            name: array("d") for name in ("outcome", "preference", "first_characters", "second_characters")
        }
        self._measures = {"first_measures": array("d"), "second_measures": array("d")}
        self._width: int | None = None

    def add(self, verdict: Verdict) -> None:
        comparison, extra, whole, real = (
            verdict.comparison, verdict.comparison.extra, self._whole, self._real,
        )  # fmt: skip
        if comparison.id != self._last_id:  # both orders hold one id's text once
            self._last_id = comparison.id
        self._ids.append(self._last_id)
        whole["prompts"].append(prompt_code(verdict))
        for side in ("first_system", "second_system"):
            whole[side].append(self._code("systems", str(extra.get(side, ""))))
        whole["judge"].append(self._code("judges", verdict.judge))
        if names := members_in(verdict):
            self._members[verdict.judge] = self._members.get(verdict.judge, frozenset()) | names
        whole["axis"].append(self._code("axes", verdict.axis))
        whole["repeat"].append(verdict.repeat)
        self._small["swapped"].append(-1 if extra.get(ORDER) == "unknown" else verdict.swapped)
        self._small["reason"].append(REASONS.index(verdict.reason) if verdict.winner is None else -1)
        real["outcome"].append(_number(verdict.outcome()))
        real["preference"].append(_number(verdict.preference))
        has_text = bool(comparison.first or comparison.second)
        self._small["identical"].append(has_text and comparison.first == comparison.second)
        for side, text in (("first", comparison.first), ("second", comparison.second)):
            length = extra.get(f"{side}_characters", len(text) if has_text else None)
            real[f"{side}_characters"].append(_number(length))
            if self._measure:
                self._add_measures(f"{side}_measures", self._measure(text), has_text)

    def _add_measures(self, name: str, numbers: Sequence[float], has_text: bool) -> None:
        self._width = len(numbers) if self._width is None else self._width
        self._measures[name].extend(numbers if has_text else [np.nan] * self._width)

    def _code(self, names: str, name: str) -> int:
        codes = self._codes[names]
        return codes.setdefault(name, len(codes))

    def table(self) -> VerdictTable:
        whole = {
            name: np.array(column, np.int32) for name, column in self._whole.items() if name != "prompts"
        }
        small = {
            name: np.array(column, np.int8) for name, column in self._small.items() if name != "identical"
        }
        real = {name: np.array(column, np.float64) for name, column in self._real.items()}
        shape = (len(self._ids), self._width or 0)
        measures = {name: np.array(one, np.float64).reshape(shape) for name, one in self._measures.items()}
        names = {name: tuple(codes) for name, codes in self._codes.items()}
        prompts = np.array(self._whole["prompts"], np.int64)
        ids = np.array(self._ids, object)
        identical = np.array(self._small["identical"], bool)
        columns: dict[str, Any] = names | whole | small | real | measures
        return VerdictTable(
            ids=ids, prompts=prompts, identical=identical, members=dict(self._members), **columns
        )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
