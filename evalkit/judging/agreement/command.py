"""`evalkit agreement`: inter-rater agreement and self-consistency of judges, human or not."""

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from evalkit import runs
from evalkit.judging.agreement.figures import draw_agreement
from evalkit.judging.agreement.labels import RatedAxis, Rater, rated_axes, raters_of, read_tables
from evalkit.judging.agreement.page import (
    in_short,
    pair_header,
    pair_rows,
    together_value,
    write_agreement_page,
)
from evalkit.judging.agreement.raters import AxisAgreement, agreement_on
from evalkit.judging.config import Agree
from evalkit.judging.page.gathering import gather_comparisons
from evalkit.judging.page.position_panel import position_section
from evalkit.report.csv import write_csv
from evalkit.report.text import listed
from evalkit.runs import fingerprint, say, show, write_json
from judges.statistics.agreement import Agreement
from judges.statistics.raters import RaterAgreement
from judges.verdicts.table import join_tables
from rewards.errors import DataError
from rewards.intervals import Resampling

SHOWN_COLUMNS = (0, 1, 2, 4, 5, 7)
"""Columns of the page's table of pairs that fit a terminal."""
SHOWN_PAIRS = 15
"""Most pairs of judges that the terminal shows."""


def run(config: Agree) -> None:
    """Write agreement.csv, agreement.json, a figure and a page, and print how far judges agree.

    Raises:
        EvalkitError: The files cannot be read, or no two judges judged a comparison in common.
    """
    sources = [config.verdicts] if isinstance(config.verdicts, str) else config.verdicts
    tables = read_tables(sources)
    raters = raters_of(tables, sources)
    resampling = Resampling(config.level, config.bootstrap, config.seed)
    rated = rated_axes(raters)
    every = [(one, agreement_on(one, resampling)) for one in rated]
    found = [agreed for _, agreed in every if agreed is not None]
    if not found:
        raise DataError("; ".join([_nothing_shared(sources, raters), *_made_of_votes(rated)]))
    notes = [_left_out(one) for one, agreed in every if agreed is None] + _made_of_votes(rated)
    inputs = {"verdicts": [fingerprint(source) for source in sources]}
    with runs.run(config, inputs, done="index.html") as folder:
        rows = [row for one in found for row in agreement_rows(one)]
        write_csv(folder / "agreement.csv", rows)
        settings = {"level": config.level, "bootstrap": config.bootstrap, "seed": config.seed}
        axes = [_axis_json(one) for one in found]
        write_json(
            folder / "agreement.json", {**settings, "axes": axes, "coefficients": rows, "notes": notes}
        )
        draw_agreement(found, folder / "agreement.png")
        table = join_tables(tables)
        shown = (position_section(table, resampling), gather_comparisons(sources, table, config.shown))
        write_agreement_page(folder / "index.html", found, notes, config, shown)
    _print(found, notes, config)
    say(f"Results are in {folder}: index.html, agreement.csv, agreement.json, agreement.png")


def _nothing_shared(sources: Sequence[str], raters: Sequence[Rater]) -> str:
    return (
        f"{', '.join(sources)}: no comparison was judged by two of {listed([one.name for one in raters])}; "
        "comparisons match by prompt, id, axis and the systems' names, which have to be the same in each file"
    )


def _left_out(rated: RatedAxis) -> str:
    by = listed(list(rated.labels))
    return f"{rated.axis or 'overall'}: no comparison was judged by two judges; there are verdicts of {by}."


def _made_of_votes(rated: Sequence[RatedAxis]) -> list[str]:
    """Return lines on judges whose verdicts aggregate others' votes."""
    members: dict[str, frozenset[str]] = {}
    for one in rated:
        for name, voices in one.members.items():
            members[name] = members.get(name, frozenset()) | voices
    return [
        f"{name} is made of the votes of {listed(sorted(voices))}: it is held against others only."
        for name, voices in members.items()
    ]


def agreement_rows(one: AxisAgreement) -> Iterator[Mapping[str, object]]:
    """Yield a row for each coefficient: of each two judges, each and the rest, all, and each by itself."""
    for pair in one.pairs:
        yield from _pair_rows(one.axis, "two judges", pair.agreement)
    for each in one.rest:
        yield from _pair_rows(one.axis, "judge and rest", each)
    for together in one.together:
        if together.found is not None:
            yield _row(one.axis, "all judges", "", "", together.found)
    for kind, found in (("sides exchanged", one.order), ("asked again", one.repeats)):
        for name, itself in found.items():
            yield _row(one.axis, kind, name, name, itself)


def _pair_rows(axis: str, kind: str, each: RaterAgreement) -> Iterator[Mapping[str, object]]:
    for found in (each.percent, each.kappa):
        yield _row(axis, kind, each.first, each.second, found)


def _row(axis: str, kind: str, first: str, second: str, found: Agreement) -> Mapping[str, object]:
    return {
        "axis": axis,
        "of": kind,
        "first": first,
        "second": second,
        "coefficient": found.coefficient,
        "metric": found.metric,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "missing": found.missing,
        "prompts": found.prompts,
    }


def _axis_json(one: AxisAgreement) -> Mapping[str, object]:
    return {
        "axis": one.axis,
        "systems": one.systems,
        "judges": [
            {
                "judge": name,
                "comparisons": count,
                "without_label": one.without[name],
                "missing_verdicts": one.missing[name],
            }
            for name, count in one.judged.items()
        ],
        "labels": [
            {
                "first": pair.agreement.first,
                "second": pair.agreement.second,
                "order": ["second", "tie", "first"],
                "counts": pair.counts.tolist(),
                "opposite": pair.opposite,
            }
            for pair in one.pairs
        ],
        "undefined": {each.name: each.why for each in one.together if each.why},
    }


def _print(found: Sequence[AxisAgreement], notes: Sequence[str], config: Agree) -> None:
    for one in found:
        say(f"{one.axis}: {in_short(one)}" if one.axis else in_short(one))
        table = Table(box=None, pad_edge=False)
        columns, rows = pair_header(f"{config.level:.0%} interval"), pair_rows(one)
        for at in SHOWN_COLUMNS:
            table.add_column(columns[at], justify="left" if at < 2 else "right", overflow="fold")
        for row in rows[:SHOWN_PAIRS]:
            table.add_row(*(Text(row[at]) for at in SHOWN_COLUMNS))
        show(table)
        if len(rows) > SHOWN_PAIRS:
            say(f"... and {len(rows) - SHOWN_PAIRS} more pairs in agreement.csv")
        for each in one.together:
            say(f"{each.name}: {together_value(each)}")
    for note in notes:
        say(note)
