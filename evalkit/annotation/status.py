"""`evalkit labels status`: progress and results so far of an annotation study."""

import os
from collections.abc import Iterator
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from evalkit.annotation.config import LabelsStatus
from evalkit.report.plain import plain_values
from evalkit.report.text import NONE, counted, decimal, interval_text, percent
from evalkit.runs import say, show, write_json
from judges.human.figures.numbers import JudgeBeside, Numbers, Precision, SystemsCompared
from judges.human.figures.people_agreement import PeopleAgreement
from judges.human.figures.progress import Counts
from judges.human.figures.study_numbers import StudyNumbers
from judges.human.web.admin_words import duration
from rewards.errors import ConfigError, OutputExistsError


def run(config: LabelsStatus) -> None:
    """Print the statistics of a study, and write them as JSON where a file is named.

    Raises:
        EvalkitError: There is no such store, verdicts cannot be read, or the output exists.
    """
    from judges.human.store import Store

    out = Path(config.out) if config.out else None
    if out is not None:
        _check_free(out, config)
    precision = Precision(config.width, config.level, config.bootstrap, config.seed)
    with Store(config.db, create=False) as store:
        numbers = StudyNumbers(store, config.verdicts, precision)()
    _print(numbers)
    if out is not None:
        write_json(out, status_json(numbers))
        say(f"The figures are in {out}")


def status_json(numbers: Numbers) -> dict[str, object]:
    """Return all statistics as JSON values; tasks on which annotators disagree by their numbers."""
    values = plain_values(numbers)
    assert isinstance(values, dict)  # of a dataclass
    values["counts"]["tasks"] = numbers.counts.tasks
    for pair, compared in zip(values["compared"], numbers.compared, strict=True):
        for judge, beside in zip(pair["judges"], compared.judges, strict=True):
            judge["gain"] = None if beside.corrected is None else beside.corrected.gain
    return values


def _check_free(out: Path, config: LabelsStatus) -> None:
    if out.resolve() == Path(config.db).resolve():
        raise ConfigError(f"{out}: holds the labels themselves; give another --out")
    if out.is_dir():
        raise OutputExistsError(f"{out}: is a folder; the output of this command is a file")
    if os.path.lexists(out) and not config.overwrite:
        raise OutputExistsError(f"{out}: exists and is finished; --overwrite replaces it")


def _print(numbers: Numbers) -> None:
    say(numbers.title)
    for line in (*_lines(numbers.counts), *numbers.notes):
        say(line)
    if numbers.annotators:
        show(_people(numbers))
    if numbers.agreement:
        show(_agreement(numbers))
    if numbers.compared:
        show(_compared(numbers))
    if any(pair.judges for pair in numbers.compared):
        show(_judges(numbers))
    if numbers.qualities:
        show(_qualities(numbers))
    for line in _remarks(numbers):
        say(line)


def _lines(counts: Counts) -> Iterator[str]:
    yield (
        f"{counted(counts.tasks, 'task')}: {counts.done:,} done, {counts.in_hand:,} in somebody's hands, "
        f"{counts.begun:,} begun, {counts.untouched:,} untouched; {counted(counts.checks, 'planted check')}"
    )
    yield f"{counts.answers:,} of {counts.wanted:,} answers wanted; {counts.skips:,} skipped"
    if counts.per_hour is not None:
        left = duration(None if counts.hours_left is None else 3600 * counts.hours_left)
        yield f"{counts.per_hour:,.0f} answers an hour lately; at this speed {left} left"


def _people(numbers: Numbers) -> Table:
    columns = ("name", "answers", "skips", "median time", "checks right", "chose the left")
    table = _table(f"People; intervals at {numbers.level:.0%}", columns)
    for annotator in numbers.annotators:
        checks = (
            NONE
            if annotator.checks is None
            else f"{annotator.checks.count} of {annotator.checks.n}: {interval_text(annotator.checks)}"
        )
        table.add_row(
            Text(annotator.name),
            f"{annotator.answers:,}",
            f"{annotator.skips:,}",
            duration(annotator.seconds),
            checks,
            interval_text(annotator.shown_first),
        )
    return table


def _agreement(numbers: Numbers) -> Table:
    table = _table("Agreement between people", ("on", "coefficient", "value", "items"))
    for agreement in numbers.agreement:
        of = ", ".join(filter(None, (agreement.of, agreement.axis)))
        table.add_row(
            of,
            agreement.coefficient,
            _coefficient(agreement),
            f"{agreement.found.n:,}" if agreement.found else "0",
        )
    return table


def _compared(numbers: Numbers) -> Table:
    columns = ("first", "second", "axis", "win rate of the first", "read from", f"for +-{numbers.width:g}")
    table = _table("Win rate so far, by people", columns)
    for pair in numbers.compared:
        rate = pair.why if pair.rate is None else interval_text(pair.rate)
        read = f"{pair.measured:,} of {pair.tasks:,} tasks"
        table.add_row(Text(pair.first), Text(pair.second), pair.axis or NONE, rate, read, _more(pair))
    return table


def _judges(numbers: Numbers) -> Table:
    columns = (
        "judge", "first", "second", "corrected by people", "uncorrected", "says what people say", "kappa",
        f"for +-{numbers.width:g}",
    )  # fmt: skip
    table = _table("Judges beside people", columns)
    for pair in numbers.compared:
        for judge in pair.judges:
            table.add_row(Text(judge.judge), Text(pair.first), Text(pair.second), *_beside(judge))
    return table


def _beside(judge: JudgeBeside) -> Iterator[str]:
    yield judge.why if judge.corrected is None else interval_text(judge.corrected)
    yield NONE if judge.corrected is None else percent(judge.corrected.model_mean)
    agreed = judge.agreement
    yield NONE if agreed is None else f"{percent(agreed.percent.value)} of {agreed.percent.n:,}"
    yield NONE if agreed is None else decimal(agreed.kappa.value)
    yield NONE if judge.more_labels is None else f"{judge.more_labels:,} more answers"


def _qualities(numbers: Numbers) -> Table:
    table = _table("Systems shown together", ("system", "axis", "best", "quality 1 to 5", "tasks"))
    for rated in numbers.qualities:
        quality = NONE
        if rated.quality is not None:
            ends = f" ({decimal(rated.quality.low)} to {decimal(rated.quality.high)})"
            quality = decimal(rated.quality.mean) + (ends if rated.quality.low is not None else "")
        table.add_row(
            Text(rated.system), rated.axis or NONE, interval_text(rated.best), quality, f"{rated.best.n:,}"
        )
    return table


def _remarks(numbers: Numbers) -> Iterator[str]:
    for pair in numbers.compared:
        if pair.rate is not None and pair.why:
            yield f"{pair.first} against {pair.second}: {pair.why}"
    if numbers.splits:
        yield f"People disagree on {counted(len(numbers.splits), 'task')}; the admin page shows them"


def _more(pair: SystemsCompared) -> str:
    if pair.more_labels is None:
        return pair.more_why if pair.rate is not None else NONE
    return ", ".join(filter(None, (f"{pair.more_labels:,} more answers", pair.more_why)))


def _coefficient(agreement: PeopleAgreement) -> str:
    estimate = agreement.found
    if estimate is None or estimate.value is None:
        return agreement.why
    ends = "" if estimate.low is None else f" ({decimal(estimate.low)} to {decimal(estimate.high)})"
    return decimal(estimate.value) + ends


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for name in columns:
        table.add_column(name, overflow="fold")  # wrapped where a terminal is narrow; cut, a number lies
    return table
