"""Inter-annotator agreement, on each screen by the coefficients that suit its answers."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from judges.human.answers import RankingAnswer, SpansAnswer, StepsAnswer, said
from judges.human.figures.compact import CompactLabel, CompactTask, kinds_of
from judges.statistics.agreement import Agreement, Coefficient, agreement
from rewards.intervals import Resampling

_SCALE = {"negative": 0, "neutral": 1, "positive": 2}

UNDEFINED = "all labels are the same, so that there is no chance agreement to correct for"
NOBODY_TWICE = "no task has the answers of two people yet"

Items = Mapping[int, dict[Hashable, list[Hashable]]]
"""By task, what its annotators said of each thing that they are asked about in it."""


@dataclass(frozen=True, slots=True)
class PeopleAgreement:
    """One coefficient over all annotators."""

    screen: str
    axis: str
    of: str
    """What they agree on, such as `better answer` or `aspect unfactual`."""
    coefficient: str
    found: Agreement | None
    """Its interval resamples prompts."""
    why: str
    """Why there is no value; empty where there is one."""


_COEFFICIENTS: Mapping[str, tuple[Coefficient, str]] = {
    "percent agreement": ("percent", "nominal"),
    "Krippendorff's alpha": ("krippendorff", "nominal"),
    "Krippendorff's alpha, ordinal": ("krippendorff", "ordinal"),
}


def people_agreement(
    answers: Mapping[int, Sequence[CompactLabel]], asked: Mapping[int, CompactTask], resampling: Resampling
) -> list[PeopleAgreement]:
    """Return the agreement of annotators by screen and axis.

    Of the better of two and the best of K it is on the choice; of rankings on each two responses, a tie
    halfway; of steps on each step that two labelled, and on the place of the first error; of spans on
    whether an aspect is marked at all. Krippendorff's alpha takes chance into account: 1 is full agreement,
    0 that of chance.
    """
    found = []
    for screen, axis in kinds_of(asked.values()):
        mine = {task: told for task, told in answers.items() if asked[task].kind == (screen, axis)}
        aspects = sorted({name for task in mine for name in asked[task].aspects})
        for of, items, names in _readings(screen, mine, aspects):
            for name in names:
                result, why = _coefficient(items, asked, name, resampling)
                found.append(PeopleAgreement(screen, axis, of, name, result, why))
    return found


def _readings(
    screen: str, answers: Mapping[int, Sequence[CompactLabel]], aspects: Sequence[str]
) -> Iterator[tuple[str, Items, Sequence[str]]]:
    percent, nominal, ordinal = _COEFFICIENTS
    if screen == "ranking":
        yield "order of each two", {task: _pairs(told) for task, told in answers.items()}, (percent, ordinal)
    elif screen == "steps":
        yield "each step", {task: _steps(told) for task, told in answers.items()}, (percent, ordinal)
        yield "first error", {task: _alike(told) for task, told in answers.items()}, (percent, nominal)
    elif screen == "spans":
        for aspect in aspects:
            marked = {task: _marked(told, aspect) for task, told in answers.items()}
            yield f"{aspect} is there", marked, (percent, nominal)
    else:
        of = "better answer" if screen == "pairwise" else "best answer"
        yield of, {task: _alike(told) for task, told in answers.items()}, (percent, nominal)


def _coefficient(
    items: Items, asked: Mapping[int, CompactTask], name: str, resampling: Resampling
) -> tuple[Agreement | None, str]:
    several = [
        (labels, asked[task].prompt)
        for task, told in items.items()
        for labels in told.values()
        if len(labels) > 1
    ]
    if not several:
        return None, NOBODY_TWICE
    # No coefficient here asks who said it, so that a row need not be one annotator's.
    table = np.full((max(len(labels) for labels, _ in several), len(several)), None, dtype=object)
    for item, (labels, _) in enumerate(several):
        table[: len(labels), item] = labels
    coefficient, metric = _COEFFICIENTS[name]
    prompts = np.array([prompt for _, prompt in several])
    found = agreement(table, coefficient, metric, prompts, resampling)
    return found, UNDEFINED if found.value is None else ""


def _alike(told: Sequence[CompactLabel]) -> dict[Hashable, list[Hashable]]:
    return {0: [said(one.answer) for one in told if one.answer is not None]}


def _pairs(told: Sequence[CompactLabel]) -> dict[Hashable, list[Hashable]]:
    found: dict[Hashable, list[Hashable]] = {}
    for one in told:
        if isinstance(one.answer, RankingAnswer):
            ranks = one.answer.ranks
            for a, b in combinations(range(len(ranks)), 2):
                outcome = 0.5 if ranks[a] == ranks[b] else float(ranks[a] < ranks[b])
                found.setdefault((a, b), []).append(outcome)
    return found


def _steps(told: Sequence[CompactLabel]) -> dict[Hashable, list[Hashable]]:
    found: dict[Hashable, list[Hashable]] = {}
    for one in told:
        if isinstance(one.answer, StepsAnswer):
            for step, label in enumerate(one.answer.labels):
                if label is not None:
                    found.setdefault(step, []).append(_SCALE[label])
    return found


def _marked(told: Sequence[CompactLabel], aspect: str) -> dict[Hashable, list[Hashable]]:
    answers = [one.answer for one in told if isinstance(one.answer, SpansAnswer)]
    return {0: [any(span.aspect == aspect for span in answer.spans) for answer in answers]}
