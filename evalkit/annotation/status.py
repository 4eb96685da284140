"""`evalkit labels status`: how far a study of people's labels is, and what it says so far."""

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
    """Print the figures of a study, and write them as JSON where a file is named.

    Raises:
        EvalkitError: There is no such store, verdicts cannot be read, or the output is there already.
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
    """Return all figures as JSON can hold them; of the tasks on which people disagree their numbers."""
    told = plain_values(numbers)
    assert isinstance(told, dict)  # of a dataclass
    told["counts"]["tasks"] = numbers.counts.tasks
    for one, compared in zip(told["compared"], numbers.compared, strict=True):
        for judge, beside in zip(one["judges"], compared.judges, strict=True):
            judge["gain"] = None if beside.corrected is None else beside.corrected.gain
    return told


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
    if any(one.judges for one in numbers.compared):
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
    for one in numbers.annotators:
        checks = (
            NONE
            if one.checks is None
            else f"{one.checks.count} of {one.checks.n}: {interval_text(one.checks)}"
        )
        table.add_row(
            Text(one.name),
            f"{one.answers:,}",
            f"{one.skips:,}",
            duration(one.seconds),
            checks,
            interval_text(one.shown_first),
        )
    return table


def _agreement(numbers: Numbers) -> Table:
    table = _table("Agreement between people", ("on", "coefficient", "value", "items"))
    for one in numbers.agreement:
        of = ", ".join(filter(None, (one.of, one.axis)))
        table.add_row(of, one.coefficient, _coefficient(one), f"{one.found.n:,}" if one.found else "0")
    return table


def _compared(numbers: Numbers) -> Table:
    columns = ("first", "second", "axis", "win rate of the first", "read from", f"for +-{numbers.width:g}")
    table = _table("Win rate so far, by people", columns)
    for one in numbers.compared:
        rate = one.why if one.rate is None else interval_text(one.rate)
        read = f"{one.measured:,} of {one.tasks:,} tasks"
        table.add_row(Text(one.first), Text(one.second), one.axis or NONE, rate, read, _more(one))
    return table


def _judges(numbers: Numbers) -> Table:
    columns = (
        "judge", "first", "second", "corrected by people", "uncorrected", "says what people say", "kappa",
        f"for +-{numbers.width:g}",
    )  # fmt: skip
    table = _table("Judges beside people", columns)
    for one in numbers.compared:
        for judge in one.judges:
            table.add_row(Text(judge.judge), Text(one.first), Text(one.second), *_beside(judge))
    return table


def _beside(one: JudgeBeside) -> Iterator[str]:
    yield one.why if one.corrected is None else interval_text(one.corrected)
    yield NONE if one.corrected is None else percent(one.corrected.model_mean)
    agreed = one.agreement
    yield NONE if agreed is None else f"{percent(agreed.percent.value)} of {agreed.percent.n:,}"
    yield NONE if agreed is None else decimal(agreed.kappa.value)
    yield NONE if one.more_labels is None else f"{one.more_labels:,} more answers"


def _qualities(numbers: Numbers) -> Table:
    table = _table("Systems shown together", ("system", "axis", "best", "quality 1 to 5", "tasks"))
    for one in numbers.qualities:
        quality = NONE
        if one.quality is not None:
            ends = f" ({decimal(one.quality.low)} to {decimal(one.quality.high)})"
            quality = decimal(one.quality.mean) + (ends if one.quality.low is not None else "")
        table.add_row(Text(one.system), one.axis or NONE, interval_text(one.best), quality, f"{one.best.n:,}")
    return table


def _remarks(numbers: Numbers) -> Iterator[str]:
    for one in numbers.compared:
        if one.rate is not None and one.why:
            yield f"{one.first} against {one.second}: {one.why}"
    if numbers.splits:
        yield f"People disagree on {counted(len(numbers.splits), 'task')}; the admin page shows them"


def _more(one: SystemsCompared) -> str:
    if one.more_labels is None:
        return one.more_why if one.rate is not None else NONE
    return ", ".join(filter(None, (f"{one.more_labels:,} more answers", one.more_why)))


def _coefficient(one: PeopleAgreement) -> str:
    found = one.found
    if found is None or found.value is None:
        return one.why
    ends = "" if found.low is None else f" ({decimal(found.low)} to {decimal(found.high)})"
    return decimal(found.value) + ends


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for name in columns:
        table.add_column(name, overflow="fold")  # wrapped where a terminal is narrow; cut, a number lies
    return table
