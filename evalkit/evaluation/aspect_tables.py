"""A scorer's aspects against their labels as table rows, for csv files and the terminal."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from evalkit.report.text import NONE, decimal
from rewards.evaluation.aspects import AspectPair, AspectReport
from rewards.intervals import Estimate

ESTIMATES = (
    "accuracy",
    "pearson",
    "spearman",
    "pearson_within",
    "spearman_within",
    "mean_squared_error",
    "r2",
)


def aspect_rows(aspects: Sequence[AspectReport]) -> list[dict[str, object]]:
    """Return a row for each aspect: every estimate with its interval, None where there is none."""
    rows = []
    for one in aspects:
        row: dict[str, object] = {"aspect": one.aspect, "n": one.n, "prompts": one.prompts}
        for name in ESTIMATES:
            estimate: Estimate | None = getattr(one, name)
            row[name] = estimate and estimate.mean
            row[f"{name}_low"] = estimate and estimate.low
            row[f"{name}_high"] = estimate and estimate.high
        row |= {"pairs": one.accuracy.n if one.accuracy else 0, "ties": one.ties}
        row |= {"label_mean": one.label_mean, "label_sd": one.label_sd}
        rows.append({**row, "score_mean": one.score_mean, "score_sd": one.score_sd})
    return rows


def correlation_rows(pairs: Sequence[AspectPair]) -> list[dict[str, object]]:
    """Return a row for each two columns, with `kind` label, score, or score-label (the first is a score)."""
    return [
        {"kind": pair.kind, "first": pair.first, "second": pair.second, "n": pair.n, **asdict(pair.found)}
        for pair in pairs
    ]


def aspect_table(
    aspects: Sequence[AspectReport], title: str, notes: Iterable[str]
) -> Iterator[RenderableType]:
    """Yield a line for each aspect: accuracy within prompts, correlations and R2, then the notes."""
    level = f"{100 * aspects[0].mean_squared_error.level:g} %"
    yield Text(title, style="bold")
    table = Table(box=None, pad_edge=False)
    table.add_column("aspect", overflow="fold", min_width=8)  # a long name is folded before a number is cut
    for name in ("accuracy", level, "pairs", "ties", "Spearman", "within", "R2"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in aspects:
        table.add_row(
            Text(one.aspect),
            _mean(one.accuracy, 3),
            _interval(one.accuracy),
            f"{one.accuracy.n:,}" if one.accuracy else "0",
            f"{one.ties:,}",
            _mean(one.spearman),
            _mean(one.spearman_within),
            _mean(one.r2),
        )
    yield table
    yield Text("accuracy: of pairs of a prompt's responses that labels tell apart; ties are wrong")
    yield Text("within: Spearman's correlation within prompts")
    for note in notes:
        yield Text(f"Note: {note}")


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return NONE
    return f"{decimal(estimate.low)} to {decimal(estimate.high)}"


def _mean(estimate: Estimate | None, digits: int = 2) -> str:
    return NONE if estimate is None else decimal(estimate.mean, digits)
