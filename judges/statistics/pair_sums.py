"""Verdicts between named systems as sums over pairs, in all and prompt by prompt."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from judges.statistics.bootstrap import codes_of
from rewards.errors import ConfigError

Label = str | int
Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Contests:
    """Verdicts that are there, one a row, with systems and prompts as places in their sorted labels."""

    systems: tuple[Label, ...]
    """Every system named, sorted, those without a verdict included."""
    first: Places
    second: Places
    outcome: Floats
    """[n], from 1 (first wins) to 0 (second wins)."""
    prompt: Places
    prompts: int
    """Distinct prompts among the rows; rows, where no prompts were given."""
    kept: NDArray[np.bool_]
    """Which of the given rows are here."""

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.outcome)

    @property
    def missing(self) -> int:
        """Rows left out because their outcome is NaN."""
        return int(np.count_nonzero(~self.kept))


def read_contests(
    first: ArrayLike, second: ArrayLike, outcome: ArrayLike, prompts: ArrayLike | None
) -> Contests:
    """Check and number verdicts [n] between first [n] and second [n]; NaN outcomes are left out and counted.

    Raises:
        ConfigError: The lengths differ, an outcome is outside [0, 1], a system meets itself, there are fewer
            than two systems, systems are neither all text nor all whole numbers, or a prompt has no label.
    """
    outcome = np.asarray(outcome, dtype=np.float64)
    firsts, seconds = _listed(first), _listed(second)
    groups = None if prompts is None else codes_of(prompts)
    lengths = {
        "first": len(firsts),
        "second": len(seconds),
        "prompts": len(outcome if groups is None else groups),
    }
    for name, length in lengths.items():
        if outcome.shape != (length,):
            raise ConfigError(f"{name} has {length} entries, but outcome has the shape {outcome.shape}")
    kept = ~np.isnan(outcome)
    bad = np.flatnonzero(kept & ~((outcome >= 0) & (outcome <= 1)))
    if len(bad):
        raise ConfigError(f"an outcome is between 0 and 1 or NaN, got {outcome[bad[0]]} in row {bad[0]}")
    systems = _sorted_labels(firsts + seconds)
    if len(systems) < 2:
        raise ConfigError(f"a comparison needs two systems, got {systems}")
    place: dict[Hashable, int] = {label: index for index, label in enumerate(systems)}
    first_places, second_places = _placed(firsts, place), _placed(seconds, place)
    same = np.flatnonzero(first_places == second_places)
    if len(same):
        raise ConfigError(f"row {same[0]} compares {firsts[same[0]]!r} with itself; leave such rows out")
    prompt = np.arange(np.count_nonzero(kept))
    if groups is not None and len(groups):
        _, prompt = _renumbered(groups[kept], int(groups.max()) + 1)
    count = int(prompt.max()) + 1 if len(prompt) else 0
    return Contests(
        tuple(systems), first_places[kept], second_places[kept], outcome[kept], prompt, count, kept
    )


def _listed(values: ArrayLike) -> list[Hashable]:
    # Through a list, since numpy would make text of a list that mixes text and numbers.
    return values.tolist() if hasattr(values, "tolist") else list(values)  # type: ignore[arg-type]


def _sorted_labels(values: Iterable[Hashable]) -> list[Label]:
    distinct = set(values)
    if all(isinstance(value, str) for value in distinct):
        return sorted(map(str, distinct))
    if all(isinstance(value, Integral) for value in distinct):  # numpy's own are no int
        return sorted(map(int, distinct))  # type: ignore[arg-type]
    odd = next(value for value in distinct if not isinstance(value, str))
    raise ConfigError(f"systems are named all by text or all by whole numbers, got {odd!r}")


def _placed(values: list[Hashable], place: dict[Hashable, int]) -> Places:
    return np.fromiter(map(place.__getitem__, values), dtype=np.intp, count=len(values))


def _renumbered(places: Places, limit: int) -> tuple[Places, Places]:
    """Return the distinct places below limit, sorted, and each one's rank among them, without sorting."""
    present = np.zeros(limit, dtype=np.bool_)
    present[places] = True
    return np.flatnonzero(present), (np.cumsum(present) - 1)[places]


@dataclass(frozen=True, slots=True, eq=False)
class PairSums:
    """Outcomes summed over each pair of systems that met, m kinds of outcome and P pairs.

    The kinds are the lower system's wins and losses (m = 2), or its wins, the ties and its losses (m = 3).
    """

    systems: int
    lower: Places
    """[P], the place of the pair's first system in sorted order."""
    upper: Places
    totals: Floats
    """[m, P]."""
    by_prompt: sparse.csr_array
    """[kinds of prompt, m * P], the sums of one prompt of the kind."""
    multiplicity: NDArray[np.int64]
    """[kinds of prompt], how many prompts have the same sums."""

    @property
    def prompts(self) -> int:
        """Prompts in all."""
        return int(self.multiplicity.sum())


def sum_pairs(contests: Contests, ties: bool) -> PairSums:
    """Sum contests, of which there is at least one, over pairs and prompts.

    Args:
        contests: The verdicts.
        ties: Whether ties are a kind of their own; else an outcome y is y of a win and 1 - y of a loss.
    """
    lower = np.minimum(contests.first, contests.second)
    upper = np.maximum(contests.first, contests.second)
    won = np.where(contests.first < contests.second, contests.outcome, 1 - contests.outcome)
    systems = len(contests.systems)
    codes, pair = _renumbered(lower * systems + upper, systems**2)
    kinds = np.stack([won == 1, won == 0.5, won == 0] if ties else [won, 1 - won]).astype(np.float64)
    kind, row = np.nonzero(kinds)
    by_prompt = sparse.coo_array(
        (kinds[kind, row], (contests.prompt[row], kind * len(codes) + pair[row])),
        shape=(contests.prompts, len(kinds) * len(codes)),
    ).tocsr()
    totals = np.asarray(by_prompt.sum(axis=0), dtype=np.float64).reshape(len(kinds), len(codes))
    by_prompt, multiplicity = _merge_alike(by_prompt)
    return PairSums(systems, codes // systems, codes % systems, totals, by_prompt, multiplicity)


def _merge_alike(by_prompt: sparse.csr_array) -> tuple[sparse.csr_array, NDArray[np.int64]]:
    """Keep one prompt of each kind; a million prompts of two verdicts are but a few thousand kinds."""
    halves = 2 * by_prompt.data
    if np.any(halves != np.round(halves)):
        # Probabilities: hardly two prompts are alike. They are sorted by what they say, or else the order of
        # rows or the names of prompts would decide which are drawn.
        order = np.argsort(by_prompt @ np.random.default_rng(0).random(by_prompt.shape[1]), kind="stable")
        return by_prompt[order], np.ones(len(order), dtype=np.int64)
    # Equal sums have equal signatures; unequal ones share 64 random bits less than once in ten million times
    # a million prompts.
    codes = np.random.default_rng(0).integers(0, 2**64, by_prompt.shape[1], dtype=np.uint64)
    signature = np.add.reduceat(halves.astype(np.uint64) * codes[by_prompt.indices], by_prompt.indptr[:-1])
    _, example, counts = np.unique(signature, return_index=True, return_counts=True)
    return by_prompt[example], counts.astype(np.int64)
