"""The page of `evalkit winrate` in sections: win rates, position bias, length, people."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from evalkit.judging.config import WinRates
from evalkit.judging.page.position_panel import HEADER, MEANING, TITLE, position_cells
from evalkit.judging.page.verdict_page import Section, Table
from evalkit.report.text import NONE, decimal, interval_text, percent, reasons
from judges.statistics.position_bias import PolicyReadout
from judges.verdicts.win_rate_findings import WinRateFinding

POLICIES = {
    "half": "a tie is half a win",
    "disagree": "orders that disagree are a tie",
    "drop": "ties and disagreements left out",
    "preference": "mean of the judge's probabilities",
}
"""The tie policies in words."""

HEADLINE = {
    "half": "every verdict counts, a tie as half a win",
    "disagree": "one value a comparison: what both orders say, or a tie where they disagree",
    "drop": "one value a comparison; ties and orders that disagree are left out",
    "preference": "every verdict counts: the judge's probability if it gives one, else a tie as half a win",
}


def sections(findings: Sequence[WinRateFinding], config: WinRates, folder: Path) -> list[Section]:
    """Return the page's sections."""
    found = [_win_rates(findings, config, folder)]
    if any(one.shown_first for one in findings):
        found.append(_position(findings, folder))
    found.append(_length(findings))
    if config.human:
        found.append(_people(findings, config))
    return found


def _win_rates(findings: Sequence[WinRateFinding], config: WinRates, folder: Path) -> Section:
    rows = tuple(
        (
            one.first,
            one.second,
            one.judged_by,
            interval_text(one.win_rate),
            decimal(None if one.win_rate is None else one.win_rate.standard_error, 4),
            " / ".join(f"{count:,}" for count in one.outcomes.values()) if one.win_rate else NONE,
            f"{one.win_rate.prompts:,}" if one.win_rate else NONE,
            NONE if one.enough_prompts is None else f"{one.enough_prompts:,}",
            reasons(one.missing),
            _worst(one),
        )
        for one in findings
    )
    header = (
        "first", "second", "judge", "win rate of first", "standard error", "win / tie / lose", "prompts",
        f"prompts for +-{percent(config.width)}", "missing", "if all missing were losses, wins",
    )  # fmt: skip
    left = sum(one.left_out for one in findings)
    return Section(
        "How often the first system wins",
        (
            f"Ties: {HEADLINE[config.ties]}. Intervals are at {config.level:.0%}, from {config.bootstrap:,} "
            "resamples of the prompts: verdicts on one prompt, in either order or repeated, are drawn "
            "together, as they are not independent.",
        ),
        (Table(header, rows),),
        ((folder / "winrate.png", "Win rate of the first system, plain and corrected, with intervals"),),
        (f"{left:,} comparisons are left out as ties.",) if left else (),
    )


def _worst(one: WinRateFinding) -> str:
    if one.win_rate is None or not one.win_rate.missing:
        return NONE
    return f"{percent(one.win_rate.worst_low)}, {percent(one.win_rate.worst_high)}"


def _position(findings: Sequence[WinRateFinding], folder: Path) -> Section:
    rows = tuple(
        (_systems(one), one.judged_by, *position_cells(one.shown_first, one.position))
        for one in findings
        if one.shown_first
    )
    bias = Table(("systems", "judge", *HEADER), rows)
    policies = Table(
        (
            "systems",
            "judge",
            "ties",
            "win rate of first",
            "shown first wins",
            "both orders agree",
            "left out",
        ),
        tuple(row for one in findings for row in _policy_rows(one)),
    )
    notes = tuple(
        f"{_systems(one)} by {one.judged_by}: asked in one order only, so that 'shown first wins' tells "
        "bias of position only if chance chose the order."
        for one in findings
        if one.shown_first and one.position is None
    )
    tables = (bias, policies) if policies.rows else (bias,)
    figures = ((folder / "position.png", "What became of the comparisons that were asked in both orders"),)
    asked = any(one.position for one in findings)
    return Section(TITLE, (MEANING,), tables, figures if asked else (), notes)


def _policy_rows(one: WinRateFinding) -> Iterator[tuple[str, ...]]:
    for policy, readout in one.position.policies.items() if one.position else ():
        yield (_systems(one), one.judged_by, POLICIES[policy], *_readout(readout))


def _readout(readout: PolicyReadout) -> tuple[str, ...]:
    shown = (readout.win_rate, readout.shown_first, readout.consistency)
    return (*map(interval_text, shown), f"{readout.left_out:,}")


def _length(findings: Sequence[WinRateFinding]) -> Section:
    rows, notes = [], []
    for one in findings:
        controlled = one.length_controlled
        if one.length_note:
            notes.append(f"{_systems(one)} by {one.judged_by}: {one.length_note}.".replace("..", "."))
        if controlled is None:
            continue
        length = controlled.length
        rows.append(
            (
                _systems(one),
                one.judged_by,
                interval_text(controlled.uncontrolled),
                interval_text(controlled),
                NONE
                if length is None
                else f"{decimal(length.value, 2, sign=True)} ({_ends(length.low, length.high)})",
                interval_text(controlled.near_equal),
                NONE if length is None else percent(1 - length.share_below),
            )
        )
        notes += [f"{_systems(one)} by {one.judged_by}: {warning}" for warning in controlled.warnings]
    header = (
        "systems", "judge", "win rate", "at equal length", "effect of length (log-odds)",
        "where lengths are nearly equal", "first is longer",
    )  # fmt: skip
    lines = (
        "What the win rate would be if both answers were equally long: a logistic fit to the difference of "
        "lengths in characters, read where it is 0. With a positive effect the longer answer wins more.",
        "Where three systems or more are held against one, how hard a prompt was for the others is fitted.",
    )
    return Section(
        "Does length decide?", lines, (Table(header, tuple(rows)),) if rows else (), (), tuple(notes)
    )


def _ends(low: float | None, high: float | None) -> str:
    return f"{decimal(low, 2, sign=True)} to {decimal(high, 2, sign=True)}"


def _people(findings: Sequence[WinRateFinding], config: WinRates) -> Section:
    rows, notes = [], []
    for one in findings:
        check = one.human
        if check is None:
            notes.append(f"{_systems(one)} by {one.judged_by}: people judged none of it.")
            continue
        if check.alone:
            notes.append(
                f"{_systems(one)}: {check.alone:,} comparisons that only people judged are left out."
            )
        if check.corrected is None:
            notes.append(f"{_systems(one)} by {one.judged_by}: {check.note}.")
            continue
        corrected = check.corrected
        rows.append(
            (
                _systems(one),
                one.judged_by,
                percent(corrected.model_mean),
                interval_text(corrected.human_only),
                interval_text(corrected),
                f"{corrected.human:,}",
                decimal(corrected.weight, 2),
                decimal(corrected.gain, 2),
                NONE if check.more_labels is None else f"{check.more_labels:,}",
            )
        )
    header = (
        "systems", "judge", "judge alone", "people alone", "corrected", "human verdicts",
        "weight of the judge", "worth so many times the labels", f"more labels for +-{percent(config.width)}",
    )  # fmt: skip
    lines = (
        "People's verdicts on a part of the comparisons correct the judge's on all of them (prediction-"
        "powered inference): right on average however wrong the judge is, if the part was drawn at random.",
    )
    return Section("What people say", lines, (Table(header, tuple(rows)),) if rows else (), (), tuple(notes))


def _systems(one: WinRateFinding) -> str:
    return f"{one.first} against {one.second}"
