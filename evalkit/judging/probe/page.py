"""The page of `evalkit probe` in sections: which probes a judge passes, and every figure behind that."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from evalkit.judging.config import ProbeJudge
from evalkit.judging.page.verdict_page import Section, Table
from evalkit.judging.probe.findings import MOST_HARM, SWAPPED, ProbeFinding, fewest_prompts, overall
from evalkit.report.text import NONE, decimal, span
from judges.probes import IDENTICAL, INJECTION, NULL, PADDING

COLUMNS = (
    "probe",
    "kind",
    "figure",
    "value",
    "interval",
    "without, with",
    "n",
    "missing",
    "healthy",
    "passes at",
    "verdict",
)

MUCH = 0.25
"""Win rate of a worse answer from which a page speaks of it."""

ABOUT = {
    NULL: "A text that answers nothing, the same to every prompt, against the good answer.",
    INJECTION: "A worse answer with a verdict written into it, against the good answer, and beside it the "
    "same worse answer without. A letter named is that of the answer's own place, in either order.",
    PADDING: "The good answer with sentences that add nothing, against the good answer itself.",
    SWAPPED: "Every pair of these probes in both orders. A verdict should not change with the places.",
    IDENTICAL: "The good answer against itself.",
}
"""What each probe shows the judge."""


def headlines(findings: Sequence[ProbeFinding]) -> Iterator[tuple[str, str, str]]:
    """Yield each probe, its verdict, and its figures with the kind that decides it."""
    for probe in ABOUT:
        own = [one for one in findings if one.measure.probe == probe]
        health = overall(findings, probe)
        told = [f"{one.measure.name} {_value(one)}, {_interval(one)}" for one in own if not one.kind]
        kinds = [one for one in own if one.kind and one.health == health and one.estimate.value is not None]
        if kinds and health != "passes":
            worst = max(kinds, key=lambda one: one.estimate.value or 0.0)
            told.append(f"worst of kind '{worst.kind}': {_value(worst)}, {_interval(worst)}")
        yield probe, health, "; ".join(told)


def cells(finding: ProbeFinding) -> tuple[str, ...]:
    """Return a figure as a table's row says it."""
    found = finding.estimate
    measure = finding.measure
    return (
        measure.probe,
        finding.kind or "all",
        measure.name,
        _value(finding),
        _interval(finding),
        NONE if finding.without is None else f"{decimal(finding.without)}, {decimal(finding.injected)}",
        f"{found.n:,}",
        f"{found.missing:,}",
        measure.healthy,
        _range(finding),
        finding.health,
    )


def sections(findings: Sequence[ProbeFinding], config: ProbeJudge, made: str, figure: Path) -> list[Section]:
    """Return the page's sections.

    Args:
        findings: All figures.
        config: The command's configuration.
        made: Number of comparisons, in words.
        figure: The picture of the figures.
    """
    return [
        Section(
            "In short", (f"{made}.",), (Table(("probe", "verdict", "figures"), tuple(headlines(findings))),)
        ),
        Section(
            "The figures",
            (
                "A probe passes where all its intervals lie inside what passes, and fails where one lies "
                "outside; else it cannot tell at this number of prompts. Missing verdicts are held to be "
                "whatever would change that. A tie is half a win.",
            ),
            (Table(COLUMNS, tuple(map(cells, findings))),),
            ((figure, f"Figures with {config.level:.0%} intervals; the shaded band is what passes."),),
            (
                *notes(findings, config.level),
                "Intervals tell of other prompts like these, which are resampled whole. Where all agree, "
                "they reach as far as a few prompts unlike these could move the figure.",
            ),
        ),
        Section("What the judge was shown", tables=(Table(("probe", "the pair"), tuple(ABOUT.items())),)),
    ]


def notes(findings: Sequence[ProbeFinding], level: float) -> Iterator[str]:
    """Yield caveats for the reader."""
    fewest = fewest_prompts(level)
    if max(one.estimate.prompts for one in findings) < fewest:
        yield (
            f"To show that an attack changes no more than {MOST_HARM:.0%} of verdicts takes {fewest} prompts "
            "or more, even where none is changed (--limit, or more data)."
        )
    without = next((one.without for one in findings if one.without is not None), 0.0)
    if without > MUCH:
        yield (
            f"The worse answer has a win rate of {decimal(without)} with nothing injected, which leaves an "
            "injection that much less to gain: see first why this judge prefers it."
        )
    if not any(one.measure.name == "tie rate" for one in findings):
        yield "This judge may not call two answers equal, so an identical pair has no tie rate."


def _value(finding: ProbeFinding) -> str:
    return decimal(finding.estimate.value, 2, finding.measure.least < 0)


def _interval(finding: ProbeFinding) -> str:
    signed = finding.measure.least < 0
    found = finding.estimate
    return span(decimal(found.low, 2, signed), decimal(found.high, 2, signed)) if found.n else NONE


def _range(finding: ProbeFinding) -> str:
    measure = finding.measure
    if measure.low <= measure.least:
        return f"up to {measure.high:g}"
    return f"{measure.low:g} or more" if measure.high >= 1 else f"{measure.low:g} to {measure.high:g}"
