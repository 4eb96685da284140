"""A leaderboard's page: strengths, differences, ties, and the method."""

from collections.abc import Sequence
from pathlib import Path

from evalkit.judging.config import Rank
from evalkit.judging.page.verdict_page import Section, Table, VerdictBrowser, write_verdict_page
from evalkit.report.text import counted, decimal, listed, percent, reasons, span
from judges.statistics.pair_sums import Label
from judges.statistics.strength_ranks import RankRange
from judges.verdicts.leaderboard import ALL_JUDGES, Board, Unranked

NAMED = 4
"""Most systems of a tied group that are all named."""


STRENGTHS = (
    "Strengths are of Bradley and Terry's model, natural logs with mean 0: a system 1 stronger than another "
    "wins 73% of their comparisons. Beats others is the win rate that strengths imply if every other "
    "system is met equally often; win rate is that of the verdicts there are, whoever the opponents were."
)

TIES = {
    "half": "A tie is half a win for each.",
    "davidson": "A tie is an outcome of its own (Davidson 1970).",
}

INTERVALS = (
    "Intervals resample prompts {resamples:,} times (seed {seed}), each with all of its verdicts: both "
    "orders, repeats and judges of one prompt are not independent."
)

TIED = (
    "Two systems differ significantly where Wald's test of their difference in strength (covariance robust "
    "to verdicts that share a prompt, Student's t) says so after Holm's correction for all pairs: the chance "
    "of any false difference on a board is at most about {alpha:.2g}; others are tied, no proof that "
    "they are equal: more prompts may tell. A system's range of ranks is what significant differences leave "
    "open. "
    "The interval of a strength is of one system by itself, and not corrected."
)

MISSING = "Verdicts without a winner are left out and counted; none is taken for a tie."

PRIOR = (
    "A normal prior with standard deviation {prior:g} pulls strengths together, those of few verdicts most; "
    "intervals are of strengths so pulled. The tests behind ranks and ties count the pull as uncertainty."
)

TOGETHER = "All judges together: each verdict counts once, so a judge with more of them counts more."

UNIDENTIFIED = (
    "{count:,} of {resamples:,} resamples left a system without a win or without a loss. Intervals are wider "
    "for them, and endless (inf) where they are too many; a prior or more prompts helps. "
    "Ranks and ties rest on the tests, not on these intervals."
)


def write_leaderboard_page(
    path: Path,
    boards: Sequence[Board],
    unranked: Sequence[Unranked],
    config: Rank,
    shown: tuple[Section | None, VerdictBrowser],
) -> None:
    """Write the page of all boards, with the section on position and the comparisons shown behind them.

    The figure leaderboard.png is beside it.
    """
    whole = whole_boards(boards)
    sections = [_intervals_section(path.parent / "leaderboard.png", whole, config)]
    for board in whole:
        sections.append(_board_section(board))
        sections.append(_pairs_section(board))
        judges = [one for one in boards if one.axis == board.axis and one is not board]
        missing = [one for one in unranked if one.axis == board.axis]
        if judges or missing:
            sections.append(_judges_section(board, judges, missing))
        if board.style is not None:
            sections.append(_style_section(board, config))
        if board.elo is not None:
            sections.append(_elo_section(board))
    position, browser = shown
    sections += [position] if position else []
    sections.append(method_section(boards, config))
    write_verdict_page(path, "Leaderboard", sections, browser)


def facts(board: Board) -> str:
    """Return what a board is of."""
    fit = board.fit
    return (
        f"{counted(len(fit.systems), 'system')}, {counted(fit.n, 'verdict')} on "
        f"{counted(fit.prompts, 'prompt')}, missing {reasons(board.missing)}"
    )


def verdict_on(board: Board) -> str:
    """Return in a sentence who is first, and who is not clearly behind."""
    best, *others = board.ranks.places
    tied = [str(place.system) for place in others if place.tied_with_best]
    if not tied:
        return f"{best.system} is first, significantly ahead of every other system."
    does = "does" if len(tied) == 1 else "do"
    return f"{best.system} is first; {listed(tied)} {does} not differ significantly from it."


def header(board: Board) -> tuple[str, ...]:
    """Return the columns of `board_rows`."""
    level = f"{board.fit.settings.level:.0%}"
    more = ["at equal style"] if board.style else []
    more += ["Elo"] if board.elo else []
    names = ("rank", "system", "strength", f"{level} interval", "beats others", "win rate")
    return (*names, f"{level} interval", "verdicts", "missing", *more)


def board_rows(board: Board) -> list[tuple[str, ...]]:
    """Return a row for each system, the strongest first."""
    return [_row(board, place) for place in board.ranks.places]


def _row(board: Board, place: RankRange) -> tuple[str, ...]:
    fit = board.fit
    at = fit.systems.index(place.system)
    rate = board.win_rates[at]
    cells = [
        _rank(place),
        str(place.system),
        decimal(fit.strengths[at], sign=True),
        span(decimal(fit.low[at], sign=True), decimal(fit.high[at], sign=True)),
        percent(board.against_average[at]),
        percent(None if rate is None else rate.mean),
        span(percent(None if rate is None else rate.low), percent(None if rate is None else rate.high)),
        f"{0 if rate is None else rate.n:,}",
        f"{sum(board.system_missing[at].values()):,}",
    ]
    if board.style is not None:
        styled = next(one for one in board.style.ranks.places if one.system == place.system)
        cells.append(f"{decimal(board.style.fit.strengths[at], sign=True)}, rank {_rank(styled)}")
    if board.elo is not None:
        cells.append(decimal(board.elo.mean[at], 0))
    return tuple(cells)


def _rank(place: RankRange) -> str:
    if place.highest_rank == place.lowest_rank:
        return str(place.rank)
    return f"{place.rank} ({place.highest_rank} to {place.lowest_rank})"


def judge_table(board: Board, judges: Sequence[Board]) -> Table:
    """Return each judge's strengths and ranks, a column for each system."""
    order = [place.system for place in board.ranks.places]
    rows = []
    for one in judges:
        places = {place.system: place for place in one.ranks.places}
        cells = []
        for system in order:
            if system not in places:
                cells.append("-")
                continue
            strength = one.fit.strengths[one.fit.systems.index(system)]
            cells.append(f"{decimal(strength, sign=True)}, rank {_rank(places[system])}")
        rows.append((one.judge or "judge", f"{one.fit.n:,}", *cells))
    return Table(("judge", "verdicts", *map(str, order)), tuple(rows))


def whole_boards(boards: Sequence[Board]) -> list[Board]:
    """Return the board of each axis that is of all its judges, which comes before those of each."""
    return [board for at, board in enumerate(boards) if not at or boards[at - 1].axis != board.axis]


def _titled(board: Board, title: str) -> str:
    return f"{board.axis}: {title}" if board.axis else title


def _intervals_section(picture: Path, whole: Sequence[Board], config: Rank) -> Section:
    lines = tuple(_titled(board, verdict_on(board)) for board in whole)
    caption = (
        f"Strengths as log-odds against the average system, with {config.level:.0%} intervals over prompts. "
        "Systems in colour are first or do not differ significantly from the first; beats: the win rate that "
        "strengths imply against the others; ranks: those that significant differences leave open."
    )
    return Section("In short", lines, figures=((picture, caption),))


def _board_section(board: Board) -> Section:
    groups = [_group(board, group) for group in board.ranks.groups if len(group) > 1]
    tied = (
        f"Statistically tied, no two of a group differing significantly: {'; '.join(groups)}."
        if groups
        else "No two systems are statistically tied."
    )
    by = {"": "", ALL_JUDGES: ", by all judges together"}.get(board.judge, f", judged by {board.judge}")
    return Section(
        _titled(board, "Leaderboard"),
        (f"{facts(board)[0].upper()}{facts(board)[1:]}{by}.", tied),
        (Table(header(board), tuple(board_rows(board))),),
    )


def _group(board: Board, group: Sequence[Label]) -> str:
    """Return a tied group with its ranks; of a long one the first and the last, as they are neighbours."""
    ranks = {place.system: place.rank for place in board.ranks.places}
    names = [str(name) for name in group]
    named = listed(names) if len(names) <= NAMED else f"{names[0]} down to {names[-1]}"
    return f"{named} (ranks {ranks[group[0]]} to {ranks[group[-1]]})"


def _pairs_section(board: Board) -> Section:
    order = [board.fit.systems.index(place.system) for place in board.ranks.places]
    names = [str(board.fit.systems[at]) for at in order]
    rates, counts = board.pair_rates, board.pair_counts
    rows = tuple(
        (
            name,
            *(
                ""
                if at == row
                else f"{percent(rates[row, at], 0)} of {counts[row, at]:,}"
                if counts[row, at]
                else "never met"
                for at in order
            ),
        )
        for name, row in zip(names, order, strict=True)
    )
    line = "How often the system of a row wins against that of a column, of so many verdicts; a tie is half."
    return Section(_titled(board, "Pair by pair"), (line,), (Table(("", *names), rows),))


def _judges_section(board: Board, judges: Sequence[Board], unranked: Sequence[Unranked]) -> Section:
    notes = tuple(f"{one.judge or 'judge'} is not ranked by itself: {one.why}." for one in unranked)
    tables = (judge_table(board, judges),) if judges else ()
    line = "What each judge's verdicts say by themselves; a rank with a range has systems tied around it."
    return Section(_titled(board, "Judge by judge"), (line,), tables, notes=notes)


def _style_section(board: Board, config: Rank) -> Section:
    assert board.style is not None  # the caller asks only where there is one
    fit = board.style.fit
    rows = tuple(
        (
            place.system,
            _rank(place),
            decimal(fit.strengths[at], sign=True),
            span(decimal(fit.low[at], sign=True), decimal(fit.high[at], sign=True)),
        )
        for place in board.style.ranks.places
        for at in [fit.systems.index(place.system)]
    )
    worth = tuple(
        (
            name,
            decimal(fit.coefficients[at], sign=True),
            span(decimal(fit.coefficient_low[at], sign=True), decimal(fit.coefficient_high[at], sign=True)),
        )
        for at, name in enumerate(fit.covariates)
    )
    level = f"{config.level:.0%} interval"
    return Section(
        _titled(board, f"At equal style: {listed(list(fit.covariates))}"),
        (
            "Strengths if no answer differed from the other in style, and what style is worth to the judges: "
            "the log-odds that a usual difference of it (its root mean square) adds.",
        ),
        (
            Table(("system", "rank", "strength", level), tuple(tuple(map(str, row)) for row in rows)),
            Table(("feature", "worth", level), worth),
        ),
        notes=(
            "A style that goes with quality is held equal too: a system that writes longer because it says "
            "more loses by this.",
        ),
    )


def _elo_section(board: Board) -> Section:
    assert board.elo is not None  # the caller asks only where there is one
    elo = board.elo
    rows = tuple(
        (
            str(elo.systems[at]),
            decimal(elo.mean[at], 0),
            span(decimal(elo.low[at], 0), decimal(elo.high[at], 0)),
            decimal(elo.ratings[at], 0),
        )
        for at in sorted(range(len(elo.systems)), key=lambda at: -elo.mean[at])
    )
    columns = ("system", "Elo, mean of orders", "middle 95% of orders", "in the file's order")
    return Section(
        _titled(board, "Elo"),
        (f"K = {elo.k:g}, start {elo.initial:g}, scale {elo.scale:g}, {elo.permutations} shuffled orders.",),
        (Table(columns, rows),),
        notes=(
            "Elo depends on the order of the games, which means nothing for verdicts. The range is what the "
            "order alone does, no interval of the rating: rank by strengths, which have one.",
        ),
    )


def method_section(boards: Sequence[Board], config: Rank) -> Section:
    """Return how strengths, intervals and ties were computed, and what to keep in mind of these verdicts."""
    lines = [
        STRENGTHS,
        TIES[config.ties],
        INTERVALS.format(resamples=config.bootstrap, seed=config.seed),
        TIED.format(alpha=1 - config.level),
        MISSING,
    ]
    if config.prior:
        lines.append(PRIOR.format(prior=config.prior))
    if any(board.judge == ALL_JUDGES for board in boards):
        lines.append(TOGETHER)
    return Section("How this was computed", tuple(lines), notes=tuple(_warnings(boards)))


def _warnings(boards: Sequence[Board]) -> list[str]:
    notes = []
    for board in boards:
        named = f"{board.name}: " if board.name else ""
        fit = board.fit
        if fit.unidentified:
            words = UNIDENTIFIED.format(count=fit.unidentified, resamples=fit.settings.resamples)
            notes.append(f"{named}{words}")
        if fit.prompts < 2:
            notes.append(f"{named}one prompt alone gives no interval and no test.")
        if board.same:
            notes.append(f"{named}{counted(board.same, 'verdict')} on a system against itself left out.")
    return notes
