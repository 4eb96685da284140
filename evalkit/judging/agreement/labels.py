"""Labels of each judge in files of verdicts: one for each comparison, and those of repeated questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from judges.verdicts.groups import Floats, Integers, comparison_codes, orders_of
from judges.verdicts.table import VerdictTable, join_tables, read_table
from rewards.errors import ConfigError

LABELS = (0.0, 0.5, 1.0)
"""`second` is better, a tie, `first` is better: in this order for ordinal statistics."""


@dataclass(frozen=True, eq=False)
class Rater:
    """One judge's verdicts, all oriented from the system whose name sorts first."""

    name: str
    table: VerdictTable
    comparisons: Integers
    """[n], a number for each verdict's comparison, the same for every rater."""
    members: frozenset[str] = frozenset()
    """Raters whose votes make up this one's verdicts, as of a jury or of several people."""


@dataclass(frozen=True, eq=False)
class Again:
    """One rater's labels of repeated questions."""

    ratings: Floats
    """[times, questions] of LABELS, NaN where there is none."""
    prompts: Integers
    """[questions]."""


@dataclass(frozen=True, eq=False)
class RatedAxis:
    """The labels of all raters on one axis."""

    axis: str
    systems: tuple[str, ...]
    """Names of the systems compared, sorted."""
    labels: dict[str, Floats]
    """By rater, [items] of LABELS, NaN where there is none."""
    prompts: Integers
    """[items]."""
    both_orders: dict[str, Again]
    """By rater who was asked in both orders, the labels of each order."""
    repeats: dict[str, Again]
    """By rater who was asked in one order several times, the labels of each time."""
    without: dict[str, int]
    """By rater, comparisons that it was asked about and has no label for."""
    missing: dict[str, dict[str, int]]
    """By rater, verdicts without a winner, by reason."""
    members: dict[str, frozenset[str]]
    """By rater whose verdicts are made of the votes of raters here, who those are."""


def read_tables(sources: Sequence[str]) -> list[VerdictTable]:
    """Read files of verdicts.

    Raises:
        ConfigError: No file is named, or one twice.
    """
    if not sources or len(set(sources)) < len(sources):
        raise ConfigError(f"verdicts are one file or several different ones, got {list(sources)}")
    return [read_table(source) for source in sources]


def raters_of(tables: Sequence[VerdictTable], names: Sequence[str]) -> list[Rater]:
    """Return one rater for each judge named in files of verdicts, by name.

    A judge without a name has its file's. One that answers the same question in several files is a rater for
    each file, so that a judge's runs can be held against each other.

    Args:
        tables: The files' verdicts.
        names: The files.

    Raises:
        ConfigError: There is one rater only.
    """
    file = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    table = join_tables(tables).sorted_sides()
    codes = comparison_codes(table)
    questions = _questions(table, codes)
    raters = []
    called: dict[str, list[str]] = {}
    for judge in np.unique(table.judge).tolist():
        mine = table.judge == judge
        for name, chosen in _parts(table.judges[judge], mine, file, questions, names):
            called.setdefault(table.judges[judge], []).append(name)
            raters.append(Rater(name, table.select(chosen), codes[chosen]))
    for judge in table.members:
        voices = frozenset(name for one in _voices(judge, table.members) for name in called.get(one, ()))
        raters = [replace(one, members=voices) if one.name in called[judge] else one for one in raters]
    raters.sort(key=lambda rater: rater.name)
    if len(raters) < 2:
        raise ConfigError(
            f"agreement needs two judges or more, and {', '.join(names)} holds verdicts of one, "
            f"{raters[0].name}; name another's file too, as --verdicts [A,B]"
        )
    return raters


def _voices(judge: str, members: Mapping[str, frozenset[str]]) -> set[str]:
    """Return all whose votes a judge's verdicts aggregate: of a jury with people in it, these too."""
    found: set[str] = set()
    rest = [judge]
    while rest:
        new = members.get(rest.pop(), frozenset()) - found
        found |= new
        rest += new
    return found


def _questions(table: VerdictTable, codes: Integers) -> Integers:
    """Return a number for each verdict's question [n]: comparison, axis, order and repetition."""
    columns = np.column_stack([codes, table.axis, table.swapped, table.repeat])
    return np.asarray(np.unique(columns, axis=0, return_inverse=True)[1].reshape(-1))


def _parts(
    judge: str, mine: NDArray[np.bool_], file: Integers, questions: Integers, names: Sequence[str]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return the raters that a judge's verdicts are of: its name, and which verdicts."""
    held = [at for at in range(len(names)) if (mine & (file == at)).any()]
    asked = [np.unique(questions[mine & (file == at)]) for at in held]
    twice = sum(map(len, asked)) > len(np.unique(np.concatenate(asked)))
    if judge and not twice:
        return [(judge, mine)]
    stems = [Path(name).name for name in names]
    called = names if len(set(stems)) < len(stems) else stems
    return [(f"{judge} ({called[at]})" if judge else called[at], mine & (file == at)) for at in held]


def rated_axes(raters: Sequence[Rater]) -> list[RatedAxis]:
    """Return the labels of all raters, axis by axis.

    A rater's label for a comparison is what both orders say, a tie where they disagree, and missing where an
    order that was asked has no verdict; of several repetitions the label of more than half, else a tie.
    """
    names = sorted({rater.table.axes[axis] for rater in raters for axis in np.unique(rater.table.axis)})
    return [_rated(raters, name) for name in names]


def _rated(raters: Sequence[Rater], axis: str) -> RatedAxis:
    chosen = []
    for rater in raters:
        on_axis = np.array(rater.table.axes, object)[rater.table.axis] == axis
        if on_axis.any():
            own = rater.comparisons[on_axis]
            chosen.append(replace(rater, table=rater.table.select(on_axis), comparisons=own))
    every = np.unique(np.concatenate([rater.comparisons for rater in chosen]))
    prompts = np.zeros(len(every), dtype=np.int64)
    for rater in chosen:
        prompts[np.searchsorted(every, rater.comparisons)] = rater.table.prompts
    labels, both, repeats = {}, {}, {}
    for rater in chosen:
        places = np.searchsorted(every, rater.comparisons)
        # Both orders are put side by side by comparison, not by prompt.
        orders = orders_of(replace(rater.table, prompts=places), rater.table.outcome)
        labels[rater.name] = _voted(orders.prompts, orders.settled("disagree").values, len(every))
        if orders.both.any():
            ratings = np.stack([orders.given, orders.swapped])[:, orders.both]
            both[rater.name] = Again(ratings, prompts[orders.prompts[orders.both]])
        again = _repeated(places, rater.table)
        if len(again.ratings) > 1:
            repeats[rater.name] = again
    used = {
        rater.table.systems[system]
        for rater in chosen
        for system in np.union1d(rater.table.first_system, rater.table.second_system)
    }
    asked = {rater.name: len(np.unique(rater.comparisons)) for rater in chosen}
    without = {name: asked[name] - int(np.count_nonzero(~np.isnan(labels[name]))) for name in asked}
    missing = {rater.name: rater.table.missing() for rater in chosen}
    members = {rater.name: rater.members & labels.keys() for rater in chosen}
    members = {name: voices for name, voices in members.items() if voices}
    return RatedAxis(axis, tuple(sorted(used)), labels, prompts, both, repeats, without, missing, members)


def _voted(items: Integers, labels: Floats, count: int) -> Floats:
    """Return, for each of so many items, the label of more than half of the labels there are, else a tie."""
    present = ~np.isnan(labels)
    cells = items[present] * len(LABELS) + np.searchsorted(LABELS, labels[present])
    votes = np.bincount(cells, minlength=count * len(LABELS)).reshape(count, len(LABELS))
    total, most = votes.sum(axis=1), votes.max(axis=1)
    voted = np.where(2 * most > total, np.array(LABELS)[votes.argmax(axis=1)], 0.5)
    return np.where(total > 0, voted, np.nan)


def _repeated(items: Integers, table: VerdictTable) -> Again:
    """Return the verdicts on each item in each order, those given the same way below each other."""
    keys = np.column_stack([items, table.swapped])
    _, found, question, counts = np.unique(
        keys, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    question = question.reshape(-1)
    order = np.argsort(question, kind="stable")
    starts = np.cumsum(counts) - counts
    ratings = np.full((int(counts.max()), len(counts)), np.nan)
    ratings[np.arange(len(order)) - np.repeat(starts, counts), question[order]] = table.outcome[order]
    return Again(ratings, table.prompts[found])
