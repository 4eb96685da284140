"""The page of agreement: each two judges, each with the rest, all of them, and each with itself."""

from collections.abc import Sequence
from pathlib import Path

from evalkit.judging.agreement.raters import AxisAgreement, Compared, Together
from evalkit.judging.config import Agree
from evalkit.judging.page.verdict_page import Section, Table, VerdictBrowser, write_verdict_page
from evalkit.report.text import counted, decimal, percent, reasons, span
from judges.statistics.agreement import Agreement
from judges.statistics.raters import RaterAgreement

UNDEFINED = "undefined"
MOST_TABLES = 3
"""Most pairs of judges whose labels are counted against each other on the page."""

METHOD = (
    "A judge has one label for a comparison: what both orders say, a tie where they disagree, and none where "
    "an order that was asked has no verdict. Of several repetitions it is the label of more than half, else "
    "a tie. Judges are held against each other on the comparisons for which they have labels; comparisons "
    "match by prompt, id and the names of the systems. One whose verdicts are made of others' votes (a jury, "
    "several people) is neither held against those others nor counted among all: no vote counts twice.",
    "Percent agreement is the share of comparisons with the same label. Kappa (Cohen for two judges, Fleiss "
    "for all) and Krippendorff's alpha take off what judges with these shares of labels would agree on by "
    "chance: 1 is full agreement, 0 that of chance. Ordinal alpha counts a tie as between the two sides, so "
    "that a win against a tie is less of a disagreement than a win against a loss.",
)
RESAMPLED = (
    "Intervals resample prompts {resamples:,} times (seed {seed}), each with all of its comparisons. "
    "Verdicts without a winner are no labels, and are counted."
)
BY_ITSELF = (
    "How often a judge says the same when asked the same: with the sides exchanged, and again in the same "
    "order. It can hardly be expected to agree with others more than with itself."
)


def write_agreement_page(
    path: Path,
    found: Sequence[AxisAgreement],
    notes: Sequence[str],
    config: Agree,
    shown: tuple[Section | None, VerdictBrowser],
) -> None:
    """Write the page; the figure agreement.png is beside it."""
    caption = (
        "Cohen's kappa of each two judges, with what they make of the same comparisons, and the "
        f"{config.level:.0%} intervals over prompts."
    )
    sections = [
        Section(
            "In short",
            tuple(f"{one.axis}: {in_short(one)}" if one.axis else in_short(one) for one in found),
            figures=((path.parent / "agreement.png", caption),),
            notes=tuple(notes),
        )
    ]
    for one in found:
        sections += _axis_sections(one, f"{config.level:.0%} interval")
    position, browser = shown
    sections += [position] if position else []
    lines = (*METHOD, RESAMPLED.format(resamples=config.bootstrap, seed=config.seed))
    sections.append(Section("How this was computed", lines))
    write_verdict_page(path, "Agreement", sections, browser)


def in_short(one: AxisAgreement) -> str:
    """Return in a sentence how far the judges agree."""
    if len(one.judged) == 2:
        pair = one.pairs[0].agreement
        return (
            f"{pair.first} and {pair.second} agree on {percent(pair.percent.value)} of "
            f"{counted(pair.percent.n, 'comparison')}; Cohen's kappa is {with_interval(pair.kappa)}."
        )
    alpha = next(each for each in one.together if each.name == "Krippendorff's alpha, nominal")
    several = counted(len(one.judged) - len(one.members), "judge")
    words = f"{several}: Krippendorff's alpha is {together_value(alpha)}."
    known = [pair.agreement for pair in one.pairs if pair.agreement.kappa.value is not None]
    if not known:
        return words
    low, high = (choose(known, key=_kappa) for choose in (min, max))
    if low is high:
        return words
    return (
        f"{words} {high.first} and {high.second} agree most (kappa {decimal(high.kappa.value)}), "
        f"{low.first} and {low.second} least ({decimal(low.kappa.value)})."
    )


def _kappa(pair: RaterAgreement) -> float:
    return -2.0 if pair.kappa.value is None else pair.kappa.value


def with_interval(found: Agreement) -> str:
    """Return a coefficient with its interval."""
    if found.value is None:
        return UNDEFINED
    if found.low is None:
        return decimal(found.value, 3)
    return f"{decimal(found.value, 3)} ({decimal(found.low, 3)} to {decimal(found.high, 3)})"


def together_value(one: Together) -> str:
    """Return a coefficient of all judges, or that it is undefined and why."""
    if one.found is None or one.found.value is None:
        return f"{UNDEFINED}: {one.why}"
    return with_interval(one.found)


def pair_header(level: str) -> tuple[str, ...]:
    """Return the columns of `pair_rows`."""
    return ("judge", "and", "agree", level, "kappa", level, "opposite winners", "comparisons")


def pair_rows(one: AxisAgreement) -> list[tuple[str, ...]]:
    """Return a row for each two judges."""
    return [
        (*_agreement_cells(each.agreement), percent(each.opposite), f"{each.agreement.percent.n:,}")
        for each in one.pairs
    ]


def _agreement_cells(each: RaterAgreement) -> tuple[str, ...]:
    kappa = each.kappa
    return (
        each.first,
        each.second,
        percent(each.percent.value),
        span(percent(each.percent.low), percent(each.percent.high)),
        UNDEFINED if kappa.value is None else decimal(kappa.value, 3),
        span(decimal(kappa.low, 3), decimal(kappa.high, 3)),
    )


def _axis_sections(one: AxisAgreement, level: str) -> list[Section]:
    prefix = f"{one.axis}: " if one.axis else ""
    judged = tuple(
        (name, f"{count:,}", f"{one.without[name]:,}", reasons(one.missing[name]))
        for name, count in one.judged.items()
    )
    sections = [
        Section(
            f"{prefix}Each two judges",
            tables=(Table(pair_header(level), tuple(pair_rows(one))),),
        )
    ]
    if len(one.pairs) <= MOST_TABLES:
        of_more = " Of two systems, first is the one whose name sorts first." if len(one.systems) != 2 else ""
        lines = (f"How often each two judges gave which labels; rows are the first one's.{of_more}",)
        tables = tuple(_label_table(pair, one.systems) for pair in one.pairs)
        sections.append(Section(f"{prefix}Label by label", lines, tables))
    if one.rest:
        sections.append(_rest_section(one, prefix, level))
    together = tuple(
        (each.name, together_value(each), "0" if each.found is None else f"{each.found.n:,}")
        for each in one.together
    )
    sections.append(
        Section(f"{prefix}All judges", tables=(Table(("", f"value ({level})", "comparisons"), together),))
    )
    if one.order or one.repeats:
        sections.append(_itself_section(one, prefix))
    columns = ("judge", "comparisons with a label", "without", "missing verdicts")
    sections.append(Section(f"{prefix}What was judged", tables=(Table(columns, judged),)))
    return sections


def _rest_section(one: AxisAgreement, prefix: str, level: str) -> Section:
    rows = tuple((*_agreement_cells(each), f"{each.percent.n:,}") for each in one.rest)
    columns = ("judge", "and", "agree", level, "kappa", level, "comparisons")
    lines = ("Comparisons on which the others have no majority are left out.",)
    return Section(f"{prefix}Each judge and the rest", lines, (Table(columns, rows),))


def _itself_section(one: AxisAgreement, prefix: str) -> Section:
    rows = []
    for name in one.judged:
        if name in one.order or name in one.repeats:
            cells = [_itself(each.get(name)) for each in (one.order, one.repeats)]
            rows.append((name, *cells))
    table = Table(("judge", "sides exchanged", "asked again"), tuple(rows))
    return Section(f"{prefix}Each judge and itself", (BY_ITSELF,), (table,))


def _itself(found: Agreement | None) -> str:
    if found is None or found.value is None:
        return "not asked"
    interval = span(percent(found.low), percent(found.high))
    return f"{percent(found.value)} ({interval}) of {found.n:,}"


def label_names(systems: Sequence[str]) -> tuple[str, str, str]:
    """Return what LABELS mean: of two systems by their names, of more by the order of names."""
    if len(systems) == 2:
        return f"{systems[1]} better", "tie", f"{systems[0]} better"
    return "second better", "tie", "first better"


def _label_table(pair: Compared, systems: Sequence[str]) -> Table:
    names = label_names(systems)[::-1]
    rows = tuple(
        (f"{pair.agreement.first}: {name}", *(f"{count:,}" for count in counts))
        for name, counts in zip(names, pair.counts[::-1, ::-1].tolist(), strict=True)
    )
    return Table(("", *(f"{pair.agreement.second}: {name}" for name in names)), rows)
