"""`evalkit winrate`: win rates from files of verdicts, with intervals and corrections."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table

from evalkit import runs
from evalkit.judging.config import WinRates
from evalkit.judging.page.gathering import gather_comparisons
from evalkit.judging.page.verdict_page import write_verdict_page
from evalkit.judging.winrate.figures import draw_positions, draw_win_rates
from evalkit.judging.winrate.page import sections
from evalkit.report.plain import plain_values
from evalkit.report.text import NONE, counted, interval_text, percent
from evalkit.runs import atomic_write, fingerprint, say, show, write_json
from judges.statistics.win_rate import WinRate
from judges.verdicts.groups import read_verdict_tables
from judges.verdicts.table import VerdictTable
from judges.verdicts.win_rate_findings import WinRateFinding, WinRateOptions, win_rate_findings
from rewards.errors import DataError
from rewards.intervals import Resampling

CSV_COLUMNS = (
    "first", "second", "judge", "axis", "verdicts", "missing", "prompts", "win_rate", "standard_error", "low",
    "high", "worst_low", "worst_high", "wins", "ties", "losses", "shown_first", "shown_first_low",
    "shown_first_high", "consistency", "consistency_low", "consistency_high", "length_controlled",
    "length_controlled_low", "length_controlled_high", "human_corrected",
    "human_corrected_low", "human_corrected_high", "human_gain",
)  # fmt: skip


def run(config: WinRates) -> None:
    """Write winrate.json, winrate.csv, the figures and a page, and print the figures.

    Raises:
        EvalkitError: The files cannot be read, or hold no verdict.
    """
    sources = [config.verdicts] if isinstance(config.verdicts, str) else config.verdicts
    table = read_verdict_tables(sources)
    findings = _findings(config, table, ", ".join(sources))
    inputs = {"verdicts": [fingerprint(source) for source in sources], "human": fingerprint(config.human)}
    with runs.run(config, inputs, done="index.html") as folder:
        _write_csv(findings, folder / "winrate.csv")
        results = [finding_values(found) for found in findings]
        write_json(folder / "winrate.json", {"ties": config.ties, "results": results})
        draw_win_rates(findings, folder / "winrate.png")
        draw_positions(findings, folder / "position.png")
        browser = gather_comparisons(sources, table, config.shown)
        write_verdict_page(folder / "index.html", "Win rates", sections(findings, config, folder), browser)
    show(_printed(findings, config))
    for line in _notes(findings, config):
        say(line)
    made = "index.html, winrate.csv, winrate.json, winrate.png, position.png"
    say(f"Results are in {folder}: {made}")


def _findings(config: WinRates, table: VerdictTable, sources: str) -> list[WinRateFinding]:
    """Return the findings of each group.

    Raises:
        DataError: Nothing is left to tell a win rate by, or people judged nothing that the judge did.
    """
    people = read_verdict_tables(config.human) if config.human else None
    resampling = Resampling(config.level, config.bootstrap, config.seed)
    how = WinRateOptions(config.ties, resampling, config.width)
    findings = win_rate_findings(table, config.baseline, people, how)
    if people is not None and not any(found.human and found.human.comparisons for found in findings):
        raise DataError(
            f"{config.human}: holds no verdict on a comparison of {sources}; people's verdicts name the same "
            "systems (first_system, second_system) and have the same prompts"
        )
    if all(found.win_rate is None for found in findings):
        left_out = sum(found.left_out for found in findings)
        if left_out:
            raise DataError(
                f"{sources}: no comparison is won: {left_out:,} are ties or in disagreement, which --ties "
                "drop leaves out; take --ties half or disagree"
            )
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in table.missing().items())
        raise DataError(f"{sources}: none of {len(table):,} verdicts has a winner: {reasons}")
    return findings


def finding_values(found: WinRateFinding) -> dict[str, object]:
    """Return all figures of a finding as JSON can hold them."""
    return {
        "first": found.first,
        "second": found.second,
        "judge": found.judge,
        "axis": found.axis,
        "win_rate": plain_values(found.win_rate),
        "outcomes": plain_values(found.outcomes),
        "left_out": found.left_out,
        "missing": found.missing,
        "position": plain_values(found.position),
        "shown_first": plain_values(found.shown_first),
        "length_controlled": plain_values(found.length_controlled),
        "length_note": found.length_note,
        "enough_prompts": found.enough_prompts,
        "human": plain_values(found.human),
        "human_gain": None
        if found.human is None or not found.human.corrected
        else found.human.corrected.gain,
    }


def _write_csv(findings: Sequence[WinRateFinding], path: Path) -> None:
    with atomic_write(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        writer.writerows(map(_csv_row, findings))


def _csv_row(found: WinRateFinding) -> list[object]:
    rate, human = found.win_rate, None if found.human is None else found.human.corrected
    names = (found.first, found.second, found.judge, found.axis)
    missing = sum(found.missing.values())
    columns = ("n", "mean", "standard_error", "low", "high", "worst_low", "worst_high")
    n, *rest = (None if rate is None else getattr(rate, name) for name in columns)
    values: list[object] = [*names, n or 0, missing, None if rate is None else rate.prompts, *rest]
    values += found.outcomes.values()
    for estimate in (found.shown_first, _consistency(found), found.length_controlled, human):
        values += [None if estimate is None else getattr(estimate, end) for end in ("mean", "low", "high")]
    return [*values, None if human is None else human.gain]


def _printed(findings: Sequence[WinRateFinding], config: WinRates) -> Table:
    """Return the table for a terminal, without the columns that say nothing here."""
    cells = {
        "first": [one.first for one in findings],
        "second": [one.second for one in findings],
        "judge": [one.judged_by for one in findings],
        "win rate": [interval_text(one.win_rate) for one in findings],
        f"{_counted(config)}s": [f"{one.win_rate.n if one.win_rate else 0:,}" for one in findings],
        "missing": [
            f"{one.win_rate.missing if one.win_rate else sum(one.missing.values()):,}" for one in findings
        ],
        "shown first wins": [interval_text(one.shown_first) for one in findings],
        "orders agree": [interval_text(_consistency(one)) for one in findings],
        "at equal length": [interval_text(one.length_controlled) for one in findings],
    }
    title = f"Win rate of the first system; intervals at {config.level:.0%}"
    for column in ("second", "judge"):
        if len(set(cells[column])) == 1:
            title += f"; {column}: {cells.pop(column)[0]}"
    shown = {name: column for name, column in cells.items() if set(column) != {NONE}}
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for name in shown:
        table.add_column(name, overflow="fold")  # wrapped where a terminal is narrow; cut, a number lies
    for row in zip(*shown.values(), strict=True):
        table.add_row(*row)
    return table


def _consistency(found: WinRateFinding) -> WinRate | None:
    return None if found.position is None else found.position.consistency


def _counted(config: WinRates) -> str:
    """Return what the win rate counts: its tie policy makes one value of a verdict, or of a comparison."""
    return "comparison" if config.ties in ("disagree", "drop") else "verdict"


def _notes(findings: Sequence[WinRateFinding], config: WinRates) -> Iterator[str]:
    for found in findings:
        about = f"{found.first} against {found.second} by {found.judged_by}"
        rate = found.win_rate
        if rate is not None and rate.missing:
            ends = f"{percent(rate.worst_low)} to {percent(rate.worst_high)}"
            yield f"{about}: {counted(rate.missing, _counted(config))} missing; with them it is from {ends}"
        if found.left_out:
            yield f"{about}: {counted(found.left_out, 'comparison')} left out, tied or in disagreement"
        if found.human is not None and found.human.corrected is not None:
            corrected = found.human.corrected
            yield (
                f"{about}: corrected by {corrected.human:,} human verdicts {interval_text(corrected)}; "
                f"people alone {interval_text(corrected.human_only)}"
            )
