"""`evalkit labels export` and `evalkit labels import`: human labels to rows, and back."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.annotation.config import LabelsExport, LabelsImport
from evalkit.runs import say
from judges.human.figures.compact import by_task, compact_label, compact_task
from judges.human.figures.measured import measured
from judges.human.labels import Label
from judges.human.rows.export import (
    label_verdicts,
    preference_rows,
    ranking_rows,
    rating_rows,
    span_label_rows,
    step_label_rows,
    why_nothing,
)
from judges.human.rows.importing import read_labels
from judges.human.rows.label_rows import label_row
from judges.verdicts.reading import verdict_row
from rewards.errors import ConfigError, DataError, OutputExistsError
from rewards.files import write_rows
from rewards.files.writing import WRITERS

if TYPE_CHECKING:  # imported where it is used: it needs the extra `web`
    from judges.human.store import Store

JSON_LINES = (".jsonl", ".jsonl.gz")
LEANING = "these lean to what was brought forward, or asked again to break ties; --fair true takes the others"
OVERALL = "overall"
"""What the axis without a name is called."""

NEUTRAL: Mapping[str, float | None] = {"right": 1.0, "half": 0.5, "wrong": 0.0, "none": None}

Rows = Iterator[dict[str, object]]


def run_export(config: LabelsExport) -> None:
    """Write labels as rows of one form, and print how many were left out and why.

    Raises:
        MissingFileError: There is no such store.
        ConfigError: The output's suffix is unknown, or there is no such annotator.
        DataError: The labels are on several axes, or there is nothing to write.
        OutputExistsError: The output exists and `overwrite` is not set.
    """
    from judges.human.store import Store

    _check_out(config)
    with Store(config.db, create=False) as store:
        _check_names(store, config.annotators)
        chosen = _Chosen(config, _fair(store) if config.fair else None)
        rows = _rows(config, chosen.of(store.labels()), chosen.left_out)
        first = next(rows, None)
        left_out = [f"{count:,} left out: {reason}" for reason, count in sorted(chosen.left_out.items())]
        if first is None:
            why = (
                "; ".join(left_out) or f"it holds no labels; evalkit annotate --db {store.name} asks for them"
            )
            raise DataError(f"{store.name}: nothing to write as {config.form}: {why}")
        written = write_rows(config.out, chain([first], rows), config.overwrite)
        leaning = not config.fair and _leans(store)
    left_out = [f"{count:,} left out: {reason}" for reason, count in sorted(chosen.left_out.items())]
    made = "labels" if config.form == "labels" else f"{config.form} of {chosen.taken:,} labels"
    if leaning and config.form != "labels":
        left_out.append(LEANING)
    lines = [f"{written:,} {made}", *left_out, f"written to {config.out}"]
    say("\n".join(lines))


def run_import(config: LabelsImport) -> None:
    """Add labels to a store, with missing tasks and annotators; nothing is replaced.

    Raises:
        MissingFileError: There is no such file of rows.
        DataError: A row is no label (nothing is added then), there are no rows, or the store is invalid.
    """
    now = time.time()
    passed: Counter[str] = Counter()
    read = sum(1 for _ in read_labels(config.data, config.annotator, now, passed))
    lines = [f"{count:,} passed over: {reason}" for reason, count in sorted(passed.items())]
    if not read:
        raise DataError(f"{config.data}: no labels to import: {'; '.join(lines)}")
    from judges.human.store import Store

    with Store(config.db) as store:
        added = store.import_labels(read_labels(config.data, config.annotator, now, Counter()))
        name = store.name
    lines.insert(0, f"{added.new:,} labels added, {added.known:,} were there already")
    if added.kept:
        why = "a label of that person stands on that task already, and stays"
        lines.append(f"{added.kept:,} not added: {why}")
    lines.append(f"kept in {name}; evalkit labels status --db {name}")
    say("\n".join(lines))


def _fair(store: "Store") -> Callable[[Label], bool]:
    """Return a test of whether a label enters win rates, or skips one of their tasks."""
    states, overlap = store.task_states(), store.study().overlap
    tasks = {number: compact_task(number, task) for number, task in store.tasks()}
    labels = [compact_label(label) for label in store.labels() if label.task_id in tasks]
    first: dict[int, set[str]] = {}
    for group in measured(states, by_task(labels, tasks), tasks, overlap):
        for number in group.sample:
            first[number] = {answer.annotator for answer in group.answers.get(number, ())}

    def fair(label: Label) -> bool:
        sample = first.get(label.task_id)
        return sample is not None and (label.answer is None or label.annotator in sample)

    return fair


def _leans(store: "Store") -> bool:
    """Return whether disagreement made some tasks be answered earlier or more often."""
    proper, study = [state for state in store.task_states() if not state.gold], store.study()
    unlike = len({state.priority for state in proper}) > 1 and study.needed_every > 0
    early = unlike and any(state.answers < state.wanted for state in proper)
    return early or any(state.answers > study.overlap < state.wanted for state in proper)


class _Chosen:
    """The labels that a configuration selects, and counts of the others by reason."""

    def __init__(self, config: LabelsExport, fair: Callable[[Label], bool] | None) -> None:
        self._config = config
        self._fair = fair
        self.taken = 0
        self.left_out: Counter[str] = Counter()

    def of(self, labels: Iterable[Label]) -> Iterator[Label]:
        """Yield the selected labels."""
        for label in labels:
            reason = self._reason(label)
            if reason:
                self.left_out[reason] += 1
            else:
                self.taken += 1
                yield label

    def _reason(self, label: Label) -> str:
        """Return why a label is left out; empty if selected."""
        config = self._config
        if config.annotators and label.annotator not in config.annotators:
            return "of other people"
        if config.axis and (label.task.axis or OVERALL) != config.axis:
            return "on another axis"
        if label.task.gold is not None and not config.gold and config.form != "labels":
            return "of planted checks, which --gold true takes too"
        if self._fair is not None and label.task.gold is None and not self._fair(label):
            return "outside the fair sample"
        return ""


def _rows(config: LabelsExport, labels: Iterator[Label], left_out: Counter[str]) -> Rows:
    forms: dict[str, Callable[[], Rows]] = {
        "labels": lambda: map(label_row, labels),
        "verdicts": lambda: _verdict_rows(labels, left_out),
        "preferences": partial(preference_rows, labels, left_out),
        "rankings": partial(ranking_rows, labels, left_out, config.each),
        "steps": partial(step_label_rows, labels, left_out, NEUTRAL[config.neutral]),
        "spans": partial(span_label_rows, labels, left_out),
        "ratings": partial(rating_rows, labels, left_out),
    }
    return forms[config.form]()


def _verdict_rows(labels: Iterator[Label], left_out: Counter[str]) -> Rows:
    for label in labels:
        verdicts = label_verdicts(label)
        if not verdicts:
            left_out[why_nothing("pairs", label)] += 1
        yield from map(verdict_row, verdicts)


def _check_names(store: "Store", names: Iterable[str]) -> None:
    there = [annotator.name for annotator in store.annotators()]
    for name in names:
        if name not in there:
            known = ", ".join(there) or "nobody"
            raise ConfigError(f"{store.name}: there is no annotator {name!r}; there are {known}")


def _check_out(config: LabelsExport) -> None:
    out = Path(config.out)
    endings = JSON_LINES if config.form == "labels" else tuple(WRITERS)  # no column holds any task's extra
    if not out.name.endswith(endings):
        raise ConfigError(f"{out}: {config.form} are written to a name that ends in {', '.join(endings)}")
    if out.resolve() == Path(config.db).resolve():
        raise ConfigError(f"{out}: holds the labels themselves; give another --out")
    if out.is_dir():
        raise ConfigError(f"{out}: is a folder; give a file as --out")
    if out.exists() and not config.overwrite:  # before many labels are read
        raise OutputExistsError(f"{out}: exists and is finished; --overwrite replaces it")
