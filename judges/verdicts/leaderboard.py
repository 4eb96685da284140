"""A leaderboard for each axis and judge: strengths, ranks, ties, win rates, missing verdicts, style, Elo."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from judges.statistics.bradley_terry import BradleyTerry, NotIdentifiedError, Ties, bradley_terry
from judges.statistics.elo import Elo, elo
from judges.statistics.pair_sums import read_contests
from judges.statistics.strength_ranks import StrengthRanks, prior_covariance, rank_strengths
from judges.statistics.style import StyleControlled, count_differences, style_controlled
from judges.statistics.ties import TIE_MODELS
from judges.statistics.win_rate import WinRate, win_rate
from judges.verdicts.members import JURY
from judges.verdicts.table import VerdictTable
from rewards.errors import ConfigError, DataError
from rewards.intervals import Resampling

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ALL_JUDGES = "all judges"
ELO_GAMES = 10_000_000
"""Games that Elo's shuffled orders play in all, at most some ten seconds."""


@dataclass(frozen=True)
class RankOptions:
    """How systems are ranked."""

    resampling: Resampling = field(default_factory=Resampling)
    ties: Ties = "half"
    """A tie is half a win each, or has a strength of its own (Davidson 1970)."""
    prior: float | None = None
    """Standard deviation of a normal prior on strengths, natural log; None takes none."""
    style: Sequence[str] = ()
    """Features at which systems are held equal, beside the plain strengths; see `judges.statistics.style`."""
    elo: bool = False
    """Whether to compute Elo ratings too."""


DEFAULTS = RankOptions()


@dataclass(frozen=True, eq=False)
class AtEqualStyle:
    """Strengths where no answer differs in style, and their ranks."""

    fit: StyleControlled
    ranks: StrengthRanks


@dataclass(frozen=True, eq=False)
class Board:
    """The leaderboard of one axis, by one judge or by all; [systems] as in `fit`."""

    axis: str
    judge: str
    """Empty where the file names none; ALL_JUDGES where several are taken together."""
    fit: BradleyTerry
    ranks: StrengthRanks
    against_average: Floats
    """[systems], the expected win rate against the others, each met equally often."""
    win_rates: tuple[WinRate | None, ...]
    """[systems], over the verdicts there are; None without any."""
    pair_rates: Floats
    """[systems, systems], the row's mean outcome against the column; NaN where they never met."""
    pair_counts: Integers
    """[systems, systems], verdicts behind `pair_rates`."""
    missing: dict[str, int]
    """Verdicts without a winner, by reason."""
    system_missing: tuple[dict[str, int], ...]
    """[systems], the same of each system's verdicts."""
    same: int
    """Verdicts left out since they compare a system with itself."""
    style: AtEqualStyle | None
    elo: Elo | None

    @property
    def name(self) -> str:
        """Axis and judge of this board."""
        return ", ".join(part for part in (self.axis, self.judge) if part)


@dataclass(frozen=True)
class Unranked:
    """A judge whose verdicts by themselves determine no ranking, and why."""

    axis: str
    judge: str
    why: str


def leaderboards(
    table: VerdictTable, how: RankOptions = DEFAULTS, source: str = "the verdicts"
) -> tuple[list[Board], list[Unranked]]:
    """Return for each axis the board of all judges together, then those of each where there are several.

    Where there are juries, they are all judges: their members' verdicts have boards by themselves. So have
    those of people who stand beside what most of them say.

    Args:
        table: The verdicts, read with `style_of` where systems are held equal in style.
        how: Intervals, ties, prior, style and Elo.
        source: The files' names, for errors.

    Returns:
        The boards, and the judges whose verdicts by themselves determine no ranking.

    Raises:
        ConfigError: Systems are held equal in style, and the verdicts were read without it.
        DataError: The verdicts name no systems, or hold no texts to take style from.
        NotIdentifiedError: The verdicts of all judges on an axis do not determine the strengths.
    """
    _check(table, how, source)
    boards: list[Board] = []
    unranked: list[Unranked] = []
    for axis in _by_name(table.axes, table.axis):
        chosen = table.select(table.axis == axis)
        judges = list(_by_name(table.judges, chosen.judge))
        # A jury's members stand beside it in the file; their votes are in its verdicts already.
        juries = [judge for judge in judges if table.judges[judge].startswith(JURY)]
        held = set().union(*chosen.members.values())
        voices = juries or [judge for judge in judges if table.judges[judge] not in held]
        alone = table.judges[voices[0]] if len(voices) == 1 else ALL_JUDGES
        try:
            counted = chosen.select(np.isin(chosen.judge, voices))
            boards.append(_board(counted, table.axes[axis], alone, how))
        except (NotIdentifiedError, ConfigError) as error:
            where = ", ".join(filter(None, (source, table.axes[axis])))
            raise type(error)(f"{where}: {error}") from None
        for judge in judges if len(judges) > 1 else ():
            if voices == [judge]:
                continue
            try:
                only = chosen.select(chosen.judge == judge)
                boards.append(_board(only, table.axes[axis], table.judges[judge], how))
            except (NotIdentifiedError, ConfigError) as error:
                unranked.append(Unranked(table.axes[axis], table.judges[judge], str(error)))
    return boards, unranked


def _check(table: VerdictTable, how: RankOptions, source: str) -> None:
    if "" in table.systems:
        nameless = (table.first_system == table.systems.index("")) | (
            table.second_system == table.systems.index("")
        )
        raise DataError(
            f"{source}: {int(nameless.sum())} of {len(table)} verdicts do not name both systems; a ranking "
            "needs columns first_system and second_system"
        )
    if len(table.systems) < 2:
        raise DataError(
            f"{source}: a ranking needs two systems, and all verdicts are on {table.systems[0]!r}"
        )
    if how.style:
        if not table.first_measures.shape[1]:
            raise ConfigError("style needs verdicts that were read with style_of as their measure")
        untold = np.isnan(table.first_measures).any(axis=1) | np.isnan(table.second_measures).any(axis=1)
        if untold.any():
            raise DataError(
                f"{source}: {int(untold.sum())} of {len(table)} verdicts hold no texts (columns first and "
                "second), from which style is taken; leave out style"
            )


def _by_name(names: tuple[str, ...], codes: NDArray[np.int32]) -> Iterator[int]:
    """Yield the codes that occur, by their names."""
    yield from sorted(np.unique(codes).tolist(), key=lambda code: names[code])


@dataclass(frozen=True, eq=False)
class _Games:
    """Verdicts [n] on two different systems each, with the systems' names and places in sorted order."""

    table: VerdictTable
    first: NDArray[np.object_]
    second: NDArray[np.object_]
    first_place: Integers
    second_place: Integers

    def of(self, place: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return where a system is the first [n] and where it is the second [n]."""
        return self.first_place == place, self.second_place == place


def _games(table: VerdictTable) -> _Games:
    names = np.array(table.systems, object)
    first, second = names[table.first_system], names[table.second_system]
    systems, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    if len(systems) < 2:
        raise NotIdentifiedError("no verdict compares two different systems")
    return _Games(table, first, second, *places.reshape(2, -1))


def _board(table: VerdictTable, axis: str, judge: str, how: RankOptions) -> Board:
    same = table.first_system == table.second_system
    games = _games(table.select(~same))
    table = games.table
    fit = bradley_terry(
        games.first,
        games.second,
        table.outcome,
        table.prompts,
        level=how.resampling.level,
        resamples=how.resampling.resamples,
        seed=how.resampling.seed,
        prior=how.prior,
        ties=how.ties,
    )
    contests = read_contests(games.first, games.second, table.outcome, table.prompts)
    pulled = prior_covariance(fit, contests)
    places = range(len(fit.systems))
    rates, counts = _pair_rates(games, len(places))
    return Board(
        axis,
        judge,
        fit,
        rank_strengths(
            fit.systems, fit.strengths, fit.covariance + pulled, fit.prompts, 1 - how.resampling.level
        ),
        _against_average(fit),
        tuple(_win_rate(games, place, how.resampling) for place in places),
        rates,
        counts,
        table.missing(),
        tuple(table.select(np.logical_or(*games.of(place))).missing() for place in places),
        int(same.sum()),
        _at_equal_style(games, pulled, how) if how.style else None,
        _elo(games, how) if how.elo else None,
    )


def _against_average(fit: BradleyTerry) -> Floats:
    model, count = TIE_MODELS[fit.settings.ties], len(fit.systems)
    differences = (fit.strengths[:, None] - fit.strengths[None, :]).ravel()
    eta = np.full(differences.shape, fit.parameters[count] if model.parameters else 0.0)
    expected = model.expected(differences, eta).reshape(count, count)
    np.fill_diagonal(expected, 0)
    return np.asarray(expected.sum(axis=1) / (count - 1))


def _win_rate(games: _Games, place: int, how: Resampling) -> WinRate | None:
    outcome, prompts = games.table.outcome, games.table.prompts
    ours, theirs = games.of(place)
    values = np.concatenate([outcome[ours], 1 - outcome[theirs]])
    if np.isnan(values).all():
        return None
    clusters = np.concatenate([prompts[ours], prompts[theirs]])
    return win_rate(values, clusters, how.level, how.seed, how.resamples)


def _pair_rates(games: _Games, count: int) -> tuple[Floats, Integers]:
    present = ~np.isnan(games.table.outcome)
    first, second = games.first_place[present], games.second_place[present]
    outcome = games.table.outcome[present]
    cells = np.concatenate([first * count + second, second * count + first])
    counts = np.bincount(cells, minlength=count * count)
    sums = np.bincount(cells, weights=np.concatenate([outcome, 1 - outcome]), minlength=count * count)
    rates = np.divide(sums, counts, out=np.full(count * count, np.nan), where=counts > 0)
    return rates.reshape(count, count), counts.reshape(count, count).astype(np.int64)


def _at_equal_style(games: _Games, pulled: Floats, how: RankOptions) -> AtEqualStyle:
    differences = count_differences(games.table.first_measures, games.table.second_measures)
    fit = style_controlled(
        games.first,
        games.second,
        games.table.outcome,
        {name: differences[name] for name in how.style},
        games.table.prompts,
        level=how.resampling.level,
        prior=how.prior,
        covariate_prior=how.prior,
    )
    count = len(fit.systems)
    covariance = fit.covariance[:count, :count] + pulled
    ranks = rank_strengths(fit.systems, fit.strengths, covariance, fit.prompts, 1 - how.resampling.level)
    return AtEqualStyle(fit, ranks)


def _elo(games: _Games, how: RankOptions) -> Elo:
    permutations = max(10, min(100, ELO_GAMES // max(1, len(games.table))))
    return elo(
        games.first, games.second, games.table.outcome, seed=how.resampling.seed, permutations=permutations
    )
