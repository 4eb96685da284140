"""The report card of a scorer as terminal tables."""

from collections.abc import Iterable, Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rewards.evaluation.length_bias import Correlation
from rewards.evaluation.report_card import Group, ReportCard
from rewards.intervals import Estimate


def card_tables(card: ReportCard, scorer: str, notes: Iterable[str]) -> Iterator[RenderableType]:
    """Yield a report card: accuracy with its interval beside the baselines, then details."""
    yield Text(scorer, style="bold")
    yield _accuracy_table(card)
    for title, groups in (("by source", card.by_source), (f"by {card.margin}", card.by_margin)):
        if groups:
            yield _group_table(title, groups)
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(card):
        facts.add_row(Text(name, style="bold"), Text(value))
    yield facts
    for note in notes:
        yield Text(f"Note: {note}")


def _accuracy_table(card: ReportCard) -> Table:
    pairs = card.pairs
    title = f"{pairs.accuracy.n} pairs of {card.rows} rows, {card.prompts} prompts"
    interval = _interval_name(pairs.accuracy)
    table = _table(title, "", "accuracy", interval, "lead", interval)
    table.add_row("scorer", _percent(pairs.accuracy.mean), _interval(pairs.accuracy))
    for baseline in card.baselines:
        lead = baseline.advantage
        table.add_row(
            f"baseline: {baseline.name}",
            _percent(baseline.accuracy.mean),
            _interval(baseline.accuracy),
            f"{100 * lead.mean:+.2f}",
            _interval(lead, sign="+"),
        )
    table.caption = "lead: the scorer's accuracy minus the baseline's on the same pairs, in points"
    return table


def _group_table(title: str, groups: Iterable[Group]) -> Table:
    groups = list(groups)
    table = _table(title, "", "accuracy", _interval_name(groups[0].accuracy), "pairs")
    for group in groups:
        accuracy = group.accuracy
        # Text, for a source may hold what rich would read as markup.
        table.add_row(
            Text(group.name or "(none)"), _percent(accuracy.mean), _interval(accuracy), str(accuracy.n)
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=None, pad_edge=False)
    table.title_justify = table.caption_justify = "left"
    name, *numbers = columns
    table.add_column(name, overflow="fold")  # a long name is folded before a number is cut
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _facts(card: ReportCard) -> Iterable[tuple[str, str]]:
    pairs = card.pairs
    yield "ties", f"{pairs.ties} (counted as wrong)"
    if pairs.missing:
        bounds = f"{_percent(pairs.if_missing_wrong)} to {_percent(pairs.if_missing_right)}"
        yield "missing", f"{pairs.missing} pairs without scores; accuracy with them {bounds}"
    calibration, fitted = card.calibration, card.calibration.temperature
    after = f"; no temperature can be fitted: {fitted.reason}"
    if fitted.value is not None:
        after = f"; {fitted.error:.3f} at the fitted temperature {fitted.value:.3g}"
    yield "calibration error", f"{calibration.error:.3f}{after}"
    yield (
        "log loss, Brier",
        f"{calibration.log_loss:.3f} nats (guessing 0.693), {calibration.brier:.3f} (0.25)",
    )
    yield "score and length", _correlation(card.length)
    yield "  within a prompt", _correlation(card.length_within_prompt)
    split = card.length_accuracy
    yield "where chosen is longer", _accuracy(split.chosen_longer)
    yield "where it is shorter", _accuracy(split.chosen_shorter)
    yield "length-controlled", _accuracy(split.controlled)
    if card.rankings is not None:
        rankings = card.rankings
        yield "top 1 of K", _accuracy(rankings.top_1)
        yield "best of K", f"{_accuracy(rankings.best_of_k)}; chance {_percent(rankings.chance)}"
        tau = rankings.kendall_tau
        yield "Kendall's tau", "none" if tau is None else f"{tau.mean:.3f} over {tau.n} rows"


def _accuracy(estimate: Estimate | None) -> str:
    if estimate is None:
        return "none"
    interval = "" if estimate.low is None else f" ({_interval(estimate)})"
    return f"{_percent(estimate.mean)}{interval}, n = {estimate.n}"


def _correlation(correlation: Correlation) -> str:
    pearson = "none" if correlation.pearson is None else f"{correlation.pearson:+.3f}"
    spearman = "none" if correlation.spearman is None else f"{correlation.spearman:+.3f}"
    return f"Pearson {pearson}, Spearman {spearman}"


def _interval_name(estimate: Estimate) -> str:
    return f"{100 * estimate.level:g} % interval"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _interval(estimate: Estimate, sign: str = "") -> str:
    if estimate.low is None or estimate.high is None:
        return "-"
    return f"{100 * estimate.low:{sign}.2f} to {100 * estimate.high:{sign}.2f}"
