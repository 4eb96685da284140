"""Identifiability of Bradley-Terry strengths, and which systems prevent it."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import NegativeCycleError, bellman_ford, connected_components

from judges.statistics.pair_sums import Floats, Label, PairSums

SHOWN = 5


def is_identified(pairs: PairSums, totals: Floats, prior: bool, tie_parameter: bool) -> bool:
    """Say whether totals [m, P] have a finite maximum of the likelihood.

    Without a prior the graph of wins must be strongly connected, a tie being a win both ways (Ford 1957). A
    tie parameter needs a tie and a decided verdict, and no order of the systems in which all wins are
    over lower steps than all ties span.
    """
    if tie_parameter and not (totals[1].any() and totals[[0, 2]].any()):
        return False
    if prior:
        return True
    if _groups(pairs, totals, "strong").max() > 0:
        return False
    return not tie_parameter or not _is_ladder(pairs, totals)


def _wins(pairs: PairSums, totals: Floats, ties: bool) -> sparse.csr_array:
    """Return the graph with an edge from every system to those that it has beaten (or tied with)."""
    ahead, behind = totals[0], totals[-1]
    if ties and len(totals) == 3:
        ahead, behind = ahead + totals[1], behind + totals[1]
    winners = np.concatenate([pairs.lower[ahead > 0], pairs.upper[behind > 0]])
    losers = np.concatenate([pairs.upper[ahead > 0], pairs.lower[behind > 0]])
    shape = (pairs.systems, pairs.systems)
    return sparse.csr_array((np.ones(len(winners)), (winners, losers)), shape=shape)


def _groups(pairs: PairSums, totals: Floats, connection: Literal["weak", "strong"]) -> NDArray[np.int32]:
    """Return the number of each system's connected group [systems]."""
    _, groups = connected_components(_wins(pairs, totals, ties=True), connection=connection)
    return np.asarray(groups, dtype=np.int32)


def _is_ladder(pairs: PairSums, totals: Floats) -> bool:
    """Say whether strengths exist that differ by 1 or more for every win and by 1 or less for every tie.

    Then the likelihood grows for ever as these strengths and the tie parameter grow together.
    """
    decided = _wins(pairs, totals, ties=False)
    if connected_components(decided, connection="strong")[0] < pairs.systems:
        return False  # who has beaten whom goes round in a circle
    tied = totals[1] > 0
    edges = np.full((pairs.systems, pairs.systems), np.inf)
    lower, upper = pairs.lower[tied], pairs.upper[tied]
    edges[lower, upper] = edges[upper, lower] = 1.0
    winner, loser = decided.nonzero()
    # An edge u -> v of weight c stands for strength(v) - strength(u) <= c.
    edges[winner, loser] = -1.0
    edges[~np.isfinite(edges)] = 0.0
    try:
        bellman_ford(sparse.csr_array(edges))
    except NegativeCycleError:
        return False
    return True


def explain(pairs: PairSums, systems: Sequence[Label], tie_parameter: bool) -> str:
    """Say why the totals of pairs are not identified."""
    totals = pairs.totals
    if tie_parameter and not totals[1].any():
        return "no verdict is a tie, so that the tie parameter is not determined; use ties='half'"
    if tie_parameter and not totals[[0, 2]].any():
        return "every verdict is a tie, so that the tie parameter is not determined; use ties='half'"
    apart = _groups(pairs, totals, "weak")
    if apart.max() > 0:
        groups = [_named(systems, apart == group) for group in range(apart.max() + 1)]
        return f"these were never compared with each other: {_shortened(groups, ' | ')}"
    ranks = _groups(pairs, totals, "strong")
    if ranks.max() == 0:
        return "wins and ties fit one order too well to determine the tie parameter; use ties='half'"
    winner, loser = _wins(pairs, totals, ties=True).nonzero()
    between = ranks[winner] != ranks[loser]
    beaten, beating = set(ranks[loser[between]].tolist()), set(ranks[winner[between]].tolist())
    parts = []
    for ones, verb in ((beaten, "lose"), (beating, "win")):
        never = [group for group in range(ranks.max() + 1) if group not in ones]
        singles = [group for group in never if np.count_nonzero(ranks == group) == 1]
        if singles:
            names = _named(systems, np.isin(ranks, singles))
            parts.append(f"{names} never {verb}{'s' if len(singles) == 1 else ''}")
        parts += [
            f"{_named(systems, ranks == group)} never {verb} against the others"
            for group in never
            if group not in singles
        ]
    return "; ".join(parts)


def _named(systems: Sequence[Label], members: NDArray[np.bool_]) -> str:
    return _shortened([str(system) for system, member in zip(systems, members, strict=True) if member], ", ")


def _shortened(names: Sequence[str], separator: str) -> str:
    more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return separator.join([*names[:SHOWN], *more])
