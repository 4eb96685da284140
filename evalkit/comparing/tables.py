"""A comparison of policies as terminal tables and csv rows."""

from collections.abc import Iterator

from rich.box import SIMPLE
from rich.table import Table

from evalkit.comparing.findings import ComparisonFindings, PolicyPair, Standing
from evalkit.report.text import NONE, decimal, interval_text, percent, reasons
from judges.statistics.paired import PairedDifference
from rewards.intervals import Estimate

MARK = " *"
"""What stands behind a significant difference."""


def tables(findings: ComparisonFindings) -> list[Table]:
    """Return the tables of win rates, of rewards and lengths, and of tests."""
    return [_win_rates(findings), _means(findings), _tests(findings)]


def _win_rates(findings: ComparisonFindings) -> Table:
    table = _table(
        f"Win rate against {findings.baseline}: {findings.prompts:,} prompts with {findings.samples:,} "
        f"response{'s' if findings.samples > 1 else ''} each; intervals at {findings.level:.0%}",
        "policy", *findings.criteria, *(["verdicts missing"] if findings.judges else []),
    )  # fmt: skip
    for policy in findings.standings[:-1]:
        cells = []
        for by in findings.criteria:
            test = findings.pair(by, "win rate", policy.name, findings.baseline)
            cells.append(interval_text(policy.win_rates[by]) + (MARK if findings.significant(test) else ""))
        if findings.judges:
            cells.append(_missing(policy))
        table.add_row(policy.name, *cells)
    table.caption = (
        f"*: differs from {findings.baseline} by a paired test, after Holm's correction for all pairs; ties "
        "are half a win"
    )
    return table


def _missing(one: Standing) -> str:
    told = [f"{by} {reasons(dict(missing))}" for by, missing in one.missing.items() if missing]
    return "; ".join(told) or "0"


def _means(findings: ComparisonFindings) -> Table:
    rewards = [f"{name} reward" for name in findings.scorers]
    table = _table("Rewards and lengths", "policy", *rewards, "tokens", "characters", "unfinished")
    for policy in findings.standings:
        cells = [_mean_text(policy.rewards[by], 3) for by in findings.scorers]
        lengths = [_mean_text(policy.tokens, 1), _mean_text(policy.characters, 1)]
        table.add_row(policy.name, *cells, *lengths, percent(policy.unfinished.mean))
    return table


def _mean_text(estimate: Estimate, digits: int) -> str:
    mean = decimal(estimate.mean, digits)
    if estimate.low is None or estimate.high is None:
        return mean
    return f"{mean} ({decimal(estimate.low, digits)} to {decimal(estimate.high, digits)})"


def _tests(findings: ComparisonFindings) -> Table:
    table = _table(
        "Differences of win rates, in points, with corrected p-values", "policies", *findings.criteria
    )
    rows: dict[tuple[str, str], list[str]] = {}
    for pair in findings.pairs:
        if pair.quantity == "win rate":
            text = _test_text(pair.test) + (MARK if findings.significant(pair.test) else "")
            rows.setdefault((pair.first, pair.second), []).append(text)
    for (first, second), cells in rows.items():
        table.add_row(f"{first} - {second}", *cells)
    return table


def _test_text(test: PairedDifference | None) -> str:
    if test is None:
        return NONE
    chance = "p < 0.001" if test.adjusted < 0.001 else f"p = {test.adjusted:.3f}"
    return f"{decimal(100 * test.difference, 1, sign=True)}, {chance}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left", box=SIMPLE)
    for name in columns:
        table.add_column(name, overflow="fold")  # wrapped where a terminal is narrow; cut, a number lies
    return table


def table_rows(findings: ComparisonFindings) -> Iterator[dict[str, object]]:
    """Yield a row for each policy, the baseline last, for table.csv."""
    for policy in findings.standings:
        row: dict[str, object] = {
            "policy": policy.name,
            "baseline": policy.name == findings.baseline,
            "prompts": findings.prompts,
            "samples": findings.samples,
        }
        for by in findings.scorers:
            row |= _estimate_columns(f"{by}_reward", policy.rewards[by])
        for by in findings.criteria:
            rate = policy.win_rates.get(by)
            names = {"mean": f"{by}_win_rate", "low": f"{by}_win_rate_low", "high": f"{by}_win_rate_high"}
            names |= {name: f"{by}_{name}" for name in ("wins", "ties", "losses", "missing")}
            row |= {name: None if rate is None else getattr(rate, own) for own, name in names.items()}
            test = findings.pair(by, "win rate", policy.name, findings.baseline)
            row[f"{by}_adjusted_p"] = None if test is None else test.adjusted
        for by in findings.judges:
            row[f"{by}_verdicts"] = policy.verdicts.get(by)
            missing = policy.missing.get(by)
            row[f"{by}_missing_verdicts"] = None if missing is None else sum(missing.values())
        for name in ("tokens", "characters", "unfinished"):
            row |= _estimate_columns(name, getattr(policy, name))
        yield row


def _estimate_columns(name: str, estimate: Estimate) -> dict[str, object]:
    return {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


PAIR_COLUMNS = (
    "difference", "standard_error", "low", "high", "p_value", "adjusted", "test", "sign_test", "better",
    "worse", "n", "missing", "prompts",
)  # fmt: skip
"""Fields of a test in pairwise.csv."""


def pair_row(pair: PolicyPair) -> dict[str, object]:
    """Return a pair's row for pairwise.csv, empty where there is no test."""
    row: dict[str, object] = {
        "by": pair.by, "quantity": pair.quantity, "first": pair.first, "second": pair.second,
    }  # fmt: skip
    return row | {name: None if pair.test is None else getattr(pair.test, name) for name in PAIR_COLUMNS}
