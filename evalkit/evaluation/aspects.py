"""`evalkit aspect-card`: a scorer's aspects, each against its labels, and their correlations."""

import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from evalkit import runs
from evalkit.evaluation.aspect_figures import draw_aspects, draw_correlations
from evalkit.evaluation.aspect_tables import aspect_rows, aspect_table, correlation_rows
from evalkit.evaluation.config import AspectCard
from evalkit.report.csv import write_csv
from evalkit.runs.files import configuration_hash, fingerprint, spec_fingerprint, write_json
from evalkit.runs.outputs import ResumableRows
from evalkit.runs.terminal import progress, say, show
from rewards.errors import DataError
from rewards.evaluation.aspects import AspectPair, AspectReport, correlation_table, report_aspect
from rewards.files import Screen, read_rows
from rewards.intervals import Floats, Resampling
from rewards.records import Generation, Score, Span, SpanLabels, prompt_hash
from rewards.scorer import Scorer, load_scorer, truncated

CHUNK = 1024
"""Rows scored and written at a time; fixed, so that no result depends on where a restart fell."""
REPORT, ROWS = "report.json", "rows.jsonl"
TABLES = ("aspects.csv", "correlations.csv")
FIGURES = ("aspects.png", "correlations.png")


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """Report card of a scorer's aspects on labelled responses, with the underlying columns."""

    responses: int
    prompts: int
    aspects: tuple[AspectReport, ...]
    correlations: tuple[AspectPair, ...]
    labels: Mapping[str, Floats]
    """[n] by aspect; NaN where a response has no label."""
    scores: Mapping[str, Floats]
    counted: tuple[str, ...]
    """Aspects whose label is minus the number of spans, all of which are labelled 0."""

    @property
    def without_labels(self) -> list[str]:
        """Aspects that the scorer alone has."""
        return [name for name in self.scores if name not in self.labels]

    @property
    def without_scores(self) -> list[str]:
        """Aspects that the labels alone have."""
        return [name for name in self.labels if name not in self.scores]

    @property
    def unlabelled(self) -> dict[str, int]:
        """Responses without a label of an aspect, where there are any."""
        missing = {name: int(np.isnan(column).sum()) for name, column in self.labels.items()}
        return {name: count for name, count in missing.items() if count}


def run(config: AspectCard) -> None:
    """Score the labelled responses, write the report, tables and figures, and print the report card.

    Raises:
        EvalkitError: The data, the scorer or the output folder cannot be used, or no aspect is in both.
    """
    resampling = Resampling(config.level, config.bootstrap, config.seed)
    scorer, screen = load_scorer(config.scorer), Screen()
    inputs = {"data": fingerprint(config.data), "scorer": spec_fingerprint(config.scorer)}
    title = f"{config.scorer} on {config.data}"
    with runs.run(config, inputs, done=REPORT) as folder:
        records, rows = _labelled(config, screen), folder / ROWS
        if rows.exists():  # a kill came between the last row and the report
            deque(records, maxlen=0)
        else:
            key = {"configuration": configuration_hash(replace(config, overwrite=False)), **inputs}
            with ResumableRows(rows, key, config.overwrite) as writer:
                _score_rows(scorer, records, writer)
        try:
            card = _card([row.values for row in read_rows(rows)], resampling, config)
        except DataError:
            rows.unlink()  # no card can be made of these scores, so a mended command starts anew
            raise
        notes = list(_notes(scorer, screen, card))
        write_csv(folder / TABLES[0], aspect_rows(card.aspects))
        write_csv(folder / TABLES[1], correlation_rows(card.correlations))
        draw_aspects(card.aspects, card.labels, card.scores, title, folder / FIGURES[0])
        draw_correlations(card.correlations, title, folder / FIGURES[1])
        write_json(folder / REPORT, _report(config, card, notes, screen, resampling))
    show(*aspect_table(card.aspects, title, notes))
    say(f"Results are in {folder}: {', '.join((REPORT, *TABLES, *FIGURES, ROWS))}")


def _labelled(config: AspectCard, screen: Screen) -> Iterator[SpanLabels]:
    from rewards.data.spans import load_span_labels

    return load_span_labels(config.data, config.format, config.rename or None, screen, tuple(config.columns))


def _score_rows(scorer: Scorer, records: Iterator[SpanLabels], writer: ResumableRows) -> None:
    """Write a row of labels and scores for each record, or continue where a kill came."""
    deque(islice(records, writer.rows_done), maxlen=0)
    with progress("scoring", done=writer.rows_done, unit="responses") as shown:
        while chunk := list(islice(records, CHUNK)):
            names = [
                record.id or f"row {number}" for number, record in enumerate(chunk, writer.rows_done + 1)
            ]
            scores = scorer.score(
                [_generation(record, name) for record, name in zip(chunk, names, strict=True)]
            )
            parts = zip(chunk, names, scores, strict=True)
            writer.append([_row(*part) for part in parts], len(chunk))
            shown.advance(len(chunk))
    writer.finish()


def _generation(record: SpanLabels, name: str) -> Generation:
    return Generation(record.prompt, record.response, (), name, record.extra)


def _row(record: SpanLabels, name: str, score: Score) -> dict[str, object]:
    if not score.aspects and not score.spans:
        raise DataError(f"{name}: the scorer gives neither aspects nor spans; this card is about aspects")
    return {
        "id": name,
        "prompt": prompt_hash(record.prompt).hex(),
        "labels": _sums(record.spans),
        "spans": dict(Counter(span.aspect for span in record.spans)),
        "scores": dict(score.aspects) or _sums(score.spans),
        "scored": "whole" if score.aspects else "in spans",
    }


def _sums(spans: Sequence[Span]) -> dict[str, float]:
    given: dict[str, list[float]] = {}
    for span in spans:
        given.setdefault(span.aspect, []).append(span.label)
    return {aspect: math.fsum(values) for aspect, values in given.items()}


def _card(rows: Sequence[Mapping[str, Any]], resampling: Resampling, config: AspectCard) -> Card:
    prompts = np.array([row["prompt"] for row in rows])
    labels, counted = _labels(rows, _is_in_columns(config))
    scores = _scores(rows)
    both = [name for name in scores if name in labels]
    # In the scorer's order, so that tables and figures name the aspects of both alike.
    labels = {name: labels[name] for name in dict.fromkeys((*both, *labels))}
    if not both:
        raise DataError(
            f"{config.data}: no aspect has both labels and scores; labelled: {', '.join(labels) or 'none'}; "
            f"scored: {', '.join(scores)}"
        )
    reports = []
    for name in both:
        there = ~np.isnan(labels[name])
        reports.append(
            report_aspect(name, labels[name][there], scores[name][there], prompts[there], resampling)
        )
    return Card(
        len(rows),
        len(np.unique(prompts)),
        tuple(reports),
        correlation_table(labels, scores, prompts),
        labels,
        scores,
        counted,
    )


def _is_in_columns(config: AspectCard) -> bool:
    """Return whether labels stand in columns, where a number that is missing is no label of 0."""
    from rewards.data.spans import recognize_span_format

    if config.format != "auto":
        return config.format == "columns"
    first = next(read_rows(config.data, rename=config.rename or None))
    return recognize_span_format(first, config.columns) == "columns"


def _labels(rows: Sequence[Mapping[str, Any]], in_columns: bool) -> tuple[dict[str, Floats], tuple[str, ...]]:
    """Return each aspect's labels [n], the sum of a response's spans of it, and the aspects that are counted.

    Where spans mark faults alone, all with the label 0, their sum says nothing; the label then is minus
    their number. A response without a span of an aspect has 0, but none where labels stand in columns.
    """
    aspects = dict.fromkeys(name for row in rows for name in row["labels"])
    missing = float("nan") if in_columns else 0.0
    labels = {name: np.array([row["labels"].get(name, missing) for row in rows]) for name in aspects}
    counted = []
    for name in () if in_columns else aspects:
        if not labels[name].any():
            counted.append(name)
            labels[name] = np.array([-float(row["spans"].get(name, 0)) for row in rows])
    return labels, tuple(counted)


def _scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, Floats]:
    """Return each aspect's scores [n].

    A scorer that gives spans alone has 0 where it has none of an aspect.

    Raises:
        DataError: A scorer that gives aspects gave a response others than the rest.
    """
    aspects = dict.fromkeys(name for row in rows for name in row["scores"])
    for row in rows:
        if row["scored"] == "whole" and len(row["scores"]) < len(aspects):
            there = ", ".join(row["scores"])
            raise DataError(f"{row['id']}: scored in {there}, and other responses in {', '.join(aspects)}")
    return {name: np.array([float(row["scores"].get(name, 0.0)) for row in rows]) for name in aspects}


def _notes(scorer: Scorer, screen: Screen, card: Card) -> Iterator[str]:
    if card.without_labels:
        yield f"scored but not labelled: {', '.join(card.without_labels)}"
    if card.without_scores:
        yield f"labelled but not scored: {', '.join(card.without_scores)}"
    for name, count in card.unlabelled.items():
        yield f"{count} of {card.responses} responses have no label of {name} and are left out of it"
    if card.counted:
        names = ", ".join(card.counted)
        yield f"every span of {names} is labelled 0: a response's label there is minus the number of them"
    found = Counter(screen.report.found) + Counter(screen.report.dropped)
    if found:
        yield "rows found in the data: " + ", ".join(f"{name} {count}" for name, count in found.items())
    if cut := truncated(scorer):
        yield f"{cut} prompts were cut to what the model can hold"


def _report(
    config: AspectCard, card: Card, notes: Sequence[str], screen: Screen, resampling: Resampling
) -> dict[str, object]:
    return {
        "scorer": config.scorer,
        "data": config.data,
        "responses": card.responses,
        "prompts": card.prompts,
        "without_labels": card.without_labels,
        "without_scores": card.without_scores,
        "unlabelled": card.unlabelled,
        "counted": card.counted,
        "notes": notes,
        "screening": screen.report.as_dict(),
        "resampling": asdict(resampling),
        "aspects": [asdict(one) for one in card.aspects],
        "correlations": correlation_rows(card.correlations),
    }
