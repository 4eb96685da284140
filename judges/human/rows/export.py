"""Labels as verdicts, as preferences, rankings, step and span labels to train on, and as ratings."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations

from judges.human.answers import BestAnswer, PairwiseAnswer, RankingAnswer, SpansAnswer, StepsAnswer
from judges.human.labels import Label
from judges.human.tasks import Task, task_comparison, task_row
from judges.judge import Comparison, Verdict, Winner
from judges.usage import Usage
from judges.verdicts.annotation import in_order
from judges.verdicts.training_rows import verdict_preferences
from rewards.errors import DataError
from rewards.files import to_row
from rewards.files.conversions import COLUMNS
from rewards.records import Ranking, Record, SpanLabels, StepLabels

Rows = Iterator[dict[str, object]]
"""Rows as `rewards.files.reading` writes them."""

PERSON = "human:"
"""How the names of people begin where they are judges."""


def label_verdicts(label: Label) -> list[Verdict]:
    """Return a label as verdicts on pairs of responses, oriented as its task; empty where it decides none.

    A ranking tells all K (K - 1) / 2 pairs, a choice of the best its K - 1. Skipped, they tell none; a
    skipped pair is a verdict without a winner. Nobody gives a probability.
    """
    task, count = label.task, len(label.task.responses)
    if task.screen == "pairwise":
        winner = label.answer.winner if isinstance(label.answer, PairwiseAnswer) else None
        return [_verdict(label, task_comparison(task), (0, 1), winner)]
    ranks = _ranks(label)
    best = label.answer.best if isinstance(label.answer, BestAnswer) else None
    pairs = [pair for pair in combinations(range(count), 2) if best is None or best in pair]
    return [_verdict(label, _pair(task, *pair), pair, _higher(ranks, *pair)) for pair in pairs if ranks]


def preference_rows(labels: Iterable[Label], left_out: Counter[str]) -> Rows:
    """Yield a row of Preference for each pair of responses that the labels decide, all people averaged.

    Raises:
        DataError: The labels are on several axes.
    """
    verdicts = (verdict for label in labels for verdict in _counted_verdicts(label, left_out))
    export = verdict_preferences(verdicts)
    left_out.update(export.left_out)
    return map(to_row, export.records)


def ranking_rows(labels: Iterable[Label], left_out: Counter[str], each: bool = False) -> Rows:
    """Yield a row of Ranking for each task on which responses are chosen from or ranked.

    The responses are ranked by the mean of their places over people, where those that one person ties share
    the mean of their places; equal means are equal ranks. Whoever chooses the best ties all others behind
    it. Tasks that tell nothing apart are left out. Memory holds the tasks.

    Args:
        labels: Of any screens.
        left_out: Counter of labels without a row, by reason.
        each: Yield one row for each person's label, with their name in column `annotator`.

    Raises:
        DataError: The labels are on several axes.
    """
    people: dict[tuple[str, tuple[str, ...], str], tuple[Task, list[list[int]]]] = {}
    axes = set()
    for label in labels:
        ranks = _ranks(label)
        if not ranks:
            left_out[why_nothing("responses", label)] += 1
            continue
        task = label.task
        axes.add(task.axis)
        _, places = people.setdefault((task.key, task.responses, label.annotator if each else ""), (task, []))
        # Twice the mean place of a tie, which is whole, so that no rounding breaks one.
        places.append([2 * sum(other < rank for other in ranks) + ranks.count(rank) + 1 for rank in ranks])
    if len(axes) > 1:
        several = " and ".join(repr(axis or "overall") for axis in sorted(axes))
        raise DataError(f"labels on {several}: take one by --axis")
    for (_, _, annotator), (task, places) in people.items():
        total = [sum(column) for column in zip(*places, strict=True)]
        levels = sorted(set(total))
        if len(levels) == 1:
            left_out["tie"] += 1
            continue
        told: dict[str, object] = {"annotator": annotator} if each else {"labels": len(places)}
        extra = _extra(task, Ranking, {"systems": list(task.systems), **told})
        levelled = tuple(1 + levels.index(place) for place in total)
        yield to_row(Ranking(task.prompt, task.responses, levelled, task.id, extra))


def step_label_rows(labels: Iterable[Label], left_out: Counter[str], neutral: float | None = 1.0) -> Rows:
    """Yield a row of StepLabels for each person's label, with their name in column `annotator`.

    Args:
        labels: Of any screens.
        left_out: Counts what gives no row, by reason.
        neutral: What the label of a neutral step becomes. Lightman et al. (2023, PRM800K) count it as right;
            others who convert their data, as wrong. Steps behind the first wrong one have no label.
    """
    values = {"positive": 1.0, "neutral": neutral, "negative": 0.0, None: None}
    for label in labels:
        task, answer = label.task, label.answer
        if not isinstance(answer, StepsAnswer):
            left_out[why_nothing("steps", label)] += 1
            continue
        extra = _extra(task, StepLabels, {"annotator": label.annotator, "system": "".join(task.systems)})
        marks = tuple(values[mark] for mark in answer.labels)
        yield to_row(StepLabels(task.prompt, task.steps, marks, task.id, extra))


def span_label_rows(labels: Iterable[Label], left_out: Counter[str]) -> Rows:
    """Yield a row of SpanLabels for each person's label, with their name in column `annotator`.

    A span's label is 1 for praise, 0 for a fault. The columns `aspects` and `missing` say what could be
    marked and, in the person's words, what the response leaves out.
    """
    for label in labels:
        task, answer = label.task, label.answer
        if not isinstance(answer, SpansAnswer):
            left_out[why_nothing("spans", label)] += 1
            continue
        told = {"annotator": label.annotator, "system": "".join(task.systems)}
        extra = _extra(
            task, SpanLabels, {**told, "aspects": list(task.aspects), "missing": list(answer.missing)}
        )
        yield to_row(SpanLabels(task.prompt, task.responses[0], answer.spans, task.id, extra))


def rating_rows(labels: Iterable[Label], left_out: Counter[str]) -> Rows:
    """Yield {prompt, response, rating, annotator, system, axis, id} for each rated answer; 5 is best of 5."""
    for label in labels:
        task, answer = label.task, label.answer
        if not isinstance(answer, BestAnswer) or not answer.ratings:
            left_out[why_nothing("ratings", label)] += 1
            continue
        systems = task.systems or ("",) * len(task.responses)
        prompt = task_row(task)["prompt"]
        for response, rating, system in zip(task.responses, answer.ratings, systems, strict=True):
            told = {"annotator": label.annotator, "system": system, "axis": task.axis, "id": task.id}
            yield {"prompt": prompt, "response": response, "rating": rating} | told


def _counted_verdicts(label: Label, left_out: Counter[str]) -> list[Verdict]:
    verdicts = label_verdicts(label)
    if not verdicts:
        left_out[why_nothing("pairs", label)] += 1
    return verdicts


def why_nothing(what: str, label: Label) -> str:
    """Say why a label gives nothing of a kind."""
    return "skipped" if label.answer is None else f"of the screen {label.task.screen}, which has no {what}"


def _ranks(label: Label) -> tuple[int, ...]:
    """Return the ranks that a label gives the responses, none where it gives none."""
    count = len(label.task.responses)
    match label.answer:
        case PairwiseAnswer(winner):
            return {"first": (1, 2), "second": (2, 1), "tie": (1, 1)}[winner]
        case BestAnswer(best):
            return tuple(1 if place == best else 2 for place in range(count))
        case RankingAnswer(ranks):
            return ranks
    return ()


def _higher(ranks: tuple[int, ...], one: int, other: int) -> Winner:
    if ranks[one] == ranks[other]:
        return "tie"
    return "first" if ranks[one] < ranks[other] else "second"


def _pair(task: Task, one: int, other: int) -> Comparison:
    """Return two of a task's responses; where no systems tell pairs apart, their ids do."""
    systems = task.systems
    extra: dict[str, object] = dict(task.extra)
    if systems:
        extra |= {"first_system": systems[one], "second_system": systems[other]}
    name = task.id if systems else f"{task.id}:{one}-{other}"
    return Comparison(task.prompt, task.responses[one], task.responses[other], name, extra)


def _verdict(label: Label, comparison: Comparison, pair: tuple[int, int], winner: Winner | None) -> Verdict:
    one, other = (label.shown.index(place) if label.shown else 0 for place in pair)
    return Verdict(
        in_order(comparison, known=bool(label.shown)),
        winner,
        None,
        "" if winner else "skipped",
        PERSON + label.annotator,
        label.task.axis,
        label.task.repeat,
        swapped=one > other,
        detail=label.comment,
        usage=Usage(latency=label.seconds or None),
    )


def _extra(task: Task, record: type[Record], told: Mapping[str, object]) -> dict[str, object]:
    """Return the columns beside a record's own; one of the task's by a name that is taken is `data_NAME`."""
    told = {**told, "axis": task.axis, "repeat": task.repeat}
    taken = COLUMNS[record] | told.keys()
    return told | {f"data_{name}" if name in taken else name: value for name, value in task.extra.items()}
