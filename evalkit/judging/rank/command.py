"""`evalkit rank`: systems by strength from verdicts, with intervals, and which of them are tied."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rich.table import Table
from rich.text import Text

from evalkit import runs
from evalkit.judging.config import Rank
from evalkit.judging.page.gathering import gather_comparisons
from evalkit.judging.page.position_panel import position_section
from evalkit.judging.rank.figures import draw_leaderboard
from evalkit.judging.rank.page import (
    board_rows,
    facts,
    header,
    verdict_on,
    whole_boards,
    write_leaderboard_page,
)
from evalkit.report.csv import write_csv
from evalkit.report.text import finite
from evalkit.runs import fingerprint, say, show, write_json
from judges.judge import REASONS
from judges.statistics.bradley_terry import NotIdentifiedError, StrengthEstimate
from judges.statistics.style import style_of
from judges.verdicts.groups import read_verdict_tables
from judges.verdicts.leaderboard import Board, RankOptions, Unranked, leaderboards
from judges.verdicts.table import VerdictTable
from rewards.errors import ConfigError, DataError
from rewards.intervals import Resampling

Row = Mapping[str, object]

SHOWN = (0, 1, 2, 3, 4, 7)
"""Columns of the page's table that fit a terminal."""


def run(config: Rank) -> None:
    """Write leaderboard.csv, leaderboard.json, pairs.csv, matrix.csv, a figure and a page, and print places.

    Raises:
        EvalkitError: The files cannot be read, or do not determine a ranking.
    """
    sources = [config.verdicts] if isinstance(config.verdicts, str) else config.verdicts
    table = read_verdict_tables(sources, style_of if config.style else None)
    inputs = {"verdicts": [fingerprint(source) for source in sources]}
    boards, unranked = _boards(config, table, ", ".join(sources))
    with runs.run(config, inputs, done="index.html") as folder:
        pairs = [row for board in boards for row in pair_rows(board)]
        write_csv(folder / "leaderboard.csv", [row for board in boards for row in system_rows(board)])
        write_csv(folder / "pairs.csv", pairs)
        write_csv(folder / "matrix.csv", [row for board in boards for row in matrix_rows(board)])
        write_json(folder / "leaderboard.json", as_json(boards, unranked, config) | {"pairs": pairs})
        draw_leaderboard(boards, folder / "leaderboard.png")
        position = position_section(table, Resampling(config.level, config.bootstrap, config.seed))
        browser = gather_comparisons(sources, table, config.shown)
        write_leaderboard_page(folder / "index.html", boards, unranked, config, (position, browser))
    _print(boards, unranked)
    made = "index.html, leaderboard.csv, leaderboard.json, leaderboard.png, pairs.csv, matrix.csv"
    say(f"Results are in {folder}: {made}")


def _boards(config: Rank, table: VerdictTable, sources: str) -> tuple[list[Board], list[Unranked]]:
    """Return the leaderboards, with errors and reasons that name the command's options."""
    resampling = Resampling(config.level, config.bootstrap, config.seed)
    how = RankOptions(resampling, config.ties, config.prior or None, config.style, config.elo)
    try:
        boards, unranked = leaderboards(table, how, sources)
    except (NotIdentifiedError, ConfigError, DataError) as error:
        raise type(error)(_in_options(str(error))) from None
    return boards, [replace(one, why=_in_options(one.why)) for one in unranked]


def _in_options(message: str) -> str:
    """Return the statistics' words with the command's option in them."""
    for theirs, ours in (
        ("a prior and a covariate_prior (standard deviations)", "a prior (--prior 1)"),
        ("give a covariate_prior", "give a prior (--prior 1)"),
        ("a prior (the standard deviation of strengths)", "a prior (--prior 1)"),
        ("use ties='half'", "use --ties half"),
        ("leave out style", "leave out --style"),
    ):
        message = message.replace(theirs, ours)
    return message


def system_rows(board: Board) -> Iterator[Row]:
    """Yield a row for each system, the strongest first; strengths are natural logs of mean 0."""
    fit = board.fit
    for place in board.ranks.places:
        at = fit.systems.index(place.system)
        rate, missing = board.win_rates[at], board.system_missing[at]
        yield {
            "axis": board.axis,
            "judge": board.judge,
            "rank": place.rank,
            "system": place.system,
            "highest_rank": place.highest_rank,
            "lowest_rank": place.lowest_rank,
            "tied_with_best": place.tied_with_best,
            "strength": finite(fit.strengths[at]),
            "standard_error": finite(fit.standard_errors[at]),
            "low": finite(fit.low[at]),
            "high": finite(fit.high[at]),
            "win_rate_against_average": finite(board.against_average[at]),
            "win_rate": None if rate is None else rate.mean,
            "win_rate_low": None if rate is None else rate.low,
            "win_rate_high": None if rate is None else rate.high,
            "n": 0 if rate is None else rate.n,
            "missing": sum(missing.values()),
            **{f"missing_{reason}": missing.get(reason, 0) for reason in REASONS},
            **_style_columns(board, at),
            **_elo_columns(board, at),
        }


def _style_columns(board: Board, at: int) -> Row:
    if board.style is None:
        return {}
    fit = board.style.fit
    place = next(one for one in board.style.ranks.places if one.system == board.fit.systems[at])
    return {
        "styled_rank": place.rank,
        "styled_highest_rank": place.highest_rank,
        "styled_lowest_rank": place.lowest_rank,
        "styled_strength": finite(fit.strengths[at]),
        "styled_low": finite(fit.low[at]),
        "styled_high": finite(fit.high[at]),
    }


def _elo_columns(board: Board, at: int) -> Row:
    if board.elo is None:
        return {}
    elo = board.elo
    return {
        "elo": finite(elo.mean[at]),
        "elo_order_low": finite(elo.low[at]),
        "elo_order_high": finite(elo.high[at]),
        "elo_in_file_order": finite(elo.ratings[at]),
    }


def pair_rows(board: Board) -> Iterator[Row]:
    """Yield a row for each two systems, the stronger as `first`."""
    for pair in board.ranks.pairs:
        one, other = board.fit.systems.index(pair.first), board.fit.systems.index(pair.second)
        estimate: StrengthEstimate = board.fit.difference(pair.first, pair.second)
        chance = board.fit.win_probability(pair.first, pair.second)
        yield {
            "axis": board.axis,
            "judge": board.judge,
            "first": pair.first,
            "second": pair.second,
            "n": int(board.pair_counts[one, other]),
            "win_rate": finite(board.pair_rates[one, other]),
            "expected_win_rate": finite(chance.value),
            "expected_low": finite(chance.low),
            "expected_high": finite(chance.high),
            "difference": pair.difference,
            "difference_low": finite(estimate.low),
            "difference_high": finite(estimate.high),
            "standard_error": pair.standard_error,
            "p_value": pair.p_value,
            "adjusted_p_value": pair.adjusted,
            "differs": pair.differs,
        }


def matrix_rows(board: Board) -> Iterator[Row]:
    """Yield each system's win rate against each other, the strongest first."""
    order = [board.fit.systems.index(place.system) for place in board.ranks.places]
    for row in order:
        rates = {f"against {board.fit.systems[at]}": finite(board.pair_rates[row, at]) for at in order}
        yield {"axis": board.axis, "judge": board.judge, "system": board.fit.systems[row], **rates}


def as_json(boards: Sequence[Board], unranked: Sequence[Unranked], config: Rank) -> dict[str, object]:
    """Return all results, with how they were computed."""
    return {
        "ties": config.ties,
        "prior": config.prior or None,
        "level": config.level,
        "bootstrap": config.bootstrap,
        "seed": config.seed,
        "tied": "Holm-corrected Wald tests of all pairs, sandwich covariance over prompts",
        "boards": [_board_json(board) for board in boards],
        "not_ranked": [{"axis": one.axis, "judge": one.judge, "why": one.why} for one in unranked],
    }


def _board_json(board: Board) -> Row:
    fit = board.fit
    found: dict[str, object] = {
        "axis": board.axis,
        "judge": board.judge,
        "n": fit.n,
        "prompts": fit.prompts,
        "missing": board.missing,
        "same_system": board.same,
        "tie_parameter": fit.tie_parameter,
        "unidentified_resamples": fit.unidentified,
        "tied_groups": board.ranks.groups,
        "systems": list(system_rows(board)),
    }
    if board.style is not None:
        style = board.style.fit
        found["style"] = [
            {
                "feature": name,
                "coefficient": finite(style.coefficients[at]),
                "low": finite(style.coefficient_low[at]),
                "high": finite(style.coefficient_high[at]),
                "scale": finite(style.scales[at]),
            }
            for at, name in enumerate(style.covariates)
        ]
    return found


def _print(boards: Sequence[Board], unranked: Sequence[Unranked]) -> None:
    whole = whole_boards(boards)
    for board in whole:
        table = Table(box=None, pad_edge=False)
        for column in SHOWN:
            name = header(board)[column]
            table.add_column(name, justify="left" if name == "system" else "right", overflow="fold")
        for row in board_rows(board):
            table.add_row(*(Text(row[column]) for column in SHOWN))
        say(f"{board.name or 'leaderboard'}: {facts(board)}")
        show(table)
        say(verdict_on(board))
    for board in boards:
        if board not in whole:
            say(f"{board.name}: {verdict_on(board)}")
    for one in unranked:
        say(f"{one.judge or 'judge'}: not ranked by itself: {one.why}")
