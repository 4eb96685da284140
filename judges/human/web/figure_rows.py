"""The rows of the admin view's tables: figures in words and as bars, or why there are none."""

from collections.abc import Sequence
from itertools import groupby

from judges.human.figures.numbers import JudgeBeside, Numbers, SystemsCompared
from judges.human.figures.people_agreement import PeopleAgreement
from judges.human.figures.progress import AnnotatorNumbers, Counts
from judges.human.figures.qualities import SystemQuality
from judges.human.web.admin_words import NONE, Bar, bar, duration
from judges.statistics.shares import Share

NO_ENDS = "too few prompts yet to tell an interval"
RATED = (1.0, 5.0)
"""Ends of the scale of quality."""
ALPHA = (0.0, 1.0)
"""Ends of the scale of Krippendorff's alpha as drawn; what is worse than chance stands at its left end."""


def tiles(counts: Counts) -> list[dict[str, str]]:
    """Return the figures that stand large at the top."""
    share = f"{counts.done / counts.tasks:.0%} of {counts.tasks:,}" if counts.tasks else "there are none yet"
    missing = max(0, counts.wanted - counts.answers)
    if not missing:
        left = ("none", "all answers wanted are there" if counts.wanted else "no answers are wanted yet")
    elif counts.hours_left is None:
        left = (NONE, "too few answers in the last hour to tell")
    else:
        left = (duration(3600 * counts.hours_left), f"for {missing:,} answers at this speed")
    lately = NONE if counts.per_hour is None else f"{counts.per_hour:,.0f}"
    return [
        {"label": "Tasks done", "value": f"{counts.done:,}", "note": share},
        {
            "label": "Answers",
            "value": f"{counts.answers:,}",
            "note": f"of {counts.wanted:,} wanted; {counts.skips:,} skipped",
        },
        {"label": "Answers an hour", "value": lately, "note": "over the last hour"},
        {"label": "Time left", "value": left[0], "note": left[1]},
    ]


def stages(counts: Counts) -> list[dict[str, object]]:
    """Return how many tasks are how far, with where each part of the bar begins and how wide it is."""
    named = (
        ("done", counts.done, "done"),
        ("in-hand", counts.in_hand, "in somebody's hands"),
        ("begun", counts.begun, "begun"),
        ("untouched", counts.untouched, "untouched"),
    )
    found: list[dict[str, object]] = []
    start = 0.0
    for name, count, words in named:
        width = 100 * count / counts.tasks if counts.tasks else 0.0
        found.append(
            {
                "name": name,
                "words": words,
                "count": f"{count:,}",
                "start": round(start, 2),
                "width": round(width, 2),
            }
        )
        start += width
    return found


def compared_rows(numbers: Numbers) -> list[dict[str, object]]:
    """Return the table's rows, one for each two systems."""
    return [_compared(one) for one in numbers.compared]


def quality_tables(qualities: Sequence[SystemQuality]) -> list[dict[str, object]]:
    """Return a table for each screen and axis on which K answers were shown together."""
    tables: list[dict[str, object]] = []
    for (screen, axis), group in groupby(qualities, key=lambda one: (one.screen, one.axis)):
        rows = [
            {
                "system": one.system,
                "tasks": f"{one.best.n:,}",
                "why": NO_ENDS if one.best.low is None else "",
                "best": bar(one.best.mean, one.best.low, one.best.high),
                "quality": None
                if one.quality is None
                else bar(one.quality.mean, one.quality.low, one.quality.high, RATED),
            }
            for one in group
        ]
        tables.append({"screen": screen, "axis": axis, "rows": rows})
    return tables


def agreement_rows(agreement: Sequence[PeopleAgreement]) -> list[dict[str, object]]:
    """Return the coefficients of agreement."""
    return [
        {
            "of": " · ".join(filter(None, (one.of, one.axis))),
            "coefficient": one.coefficient,
            "value": _coefficient(one),
            "tasks": "" if one.found is None else f"{one.found.n:,}",
            "why": one.why or (NO_ENDS if one.found is not None and one.found.low is None else ""),
        }
        for one in agreement
    ]


def annotator_rows(annotators: Sequence[AnnotatorNumbers]) -> list[dict[str, object]]:
    """Return what each annotator did."""
    return [
        {
            "name": one.name,
            "answers": f"{one.answers:,}",
            "skips": f"{one.skips:,}",
            "seconds": duration(one.seconds),
            "checks": _share(one.checks),
            "of_checks": "" if one.checks is None else f"{one.checks.count} of {one.checks.n}",
            "side": _share(one.shown_first),
            "leans": _leaning(one.shown_first),
        }
        for one in annotators
    ]


def _compared(one: SystemsCompared) -> dict[str, object]:
    rate = one.rate
    return {
        "first": one.first,
        "second": one.second,
        "axis": one.axis,
        "measured": f"{one.measured:,} of {one.tasks:,}",
        "rate": None if rate is None else bar(rate.mean, rate.low, rate.high),
        "outcomes": None if rate is None else f"{rate.wins:,} won, {rate.ties:,} tied, {rate.losses:,} lost",
        "why": one.why,
        "more": _more(one.more_labels, one.more_why),
        "judges": [_judge(judge) for judge in one.judges],
    }


def _judge(one: JudgeBeside) -> dict[str, object]:
    corrected, agreed = one.corrected, one.agreement
    return {
        "judge": one.judge or "judge",
        "shared": f"{one.shared:,}",
        "corrected": None if corrected is None else bar(corrected.mean, corrected.low, corrected.high),
        "alone": "" if corrected is None else f"{corrected.model_mean:.0%} uncorrected",
        "why": one.why,
        "more": _more(one.more_labels, ""),
        "agrees": None
        if agreed is None or agreed.percent.value is None
        else bar(agreed.percent.value, agreed.percent.low, agreed.percent.high),
        "kappa": ""
        if agreed is None or agreed.kappa.value is None
        else f"kappa {agreed.kappa.value:.2f}, {agreed.kappa.n:,} comparisons",
    }


def _more(labels: int | None, why: str) -> str:
    if labels is None:
        return why or NONE
    if labels == 0:
        return "reached"
    return f"about {labels:,} more{', ' if why else ''}{why}"


def _coefficient(one: PeopleAgreement) -> Bar | None:
    found = one.found
    if found is None or found.value is None:
        return None
    ends = None if found.coefficient == "percent" else ALPHA
    return bar(found.value, found.low, found.high, ends)


def _share(share: Share | None) -> Bar | None:
    return None if share is None else bar(share.mean, share.low, share.high)


def _leaning(share: Share | None) -> str:
    """Say whether a side is chosen more often than chance explains."""
    if share is None or share.low <= 0.5 <= share.high:
        return ""
    return "leans to the left" if share.mean > 0.5 else "leans to the right"
