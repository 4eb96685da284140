"""`evalkit ledger export` and `evalkit ledger import`: a ledger's attempts as JSON lines, and back."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from evalkit.judging.config import LedgerExport, LedgerImport
from evalkit.runs import say
from judges.ledger.ledger import Ledger
from judges.questions.question import STATES
from rewards.errors import ConfigError, DataError, MissingFileError, OutputExistsError
from rewards.files import Row, read_rows, write_rows

JSON_LINES = (".jsonl", ".jsonl.gz")


def run_export(config: LedgerExport) -> None:
    """Write every attempt of a ledger, with its question, as a JSON line.

    Raises:
        MissingFileError: There is no such ledger.
        DataError: It is no ledger, or holds no attempts.
        ConfigError: The output is no JSON lines, or the ledger itself.
        OutputExistsError: The output exists and `overwrite` is not set.
    """
    ledger, out = Path(config.ledger), Path(config.out)
    if not out.name.endswith(JSON_LINES):  # a result has whatever keys it has, which no column of Parquet has
        raise ConfigError(f"{out}: attempts are written to a name that ends in {' or '.join(JSON_LINES)}")
    if not ledger.exists():
        raise MissingFileError(f"{ledger}: no such ledger")
    if out.resolve() == ledger.resolve():
        raise ConfigError(f"{out}: is the ledger itself; give another --out")
    if out.exists() and not config.overwrite:  # before a large ledger is read
        raise OutputExistsError(f"{out}: exists and is finished; --overwrite replaces it")
    with Ledger(ledger) as opened:
        written = write_rows(out, _attempts(opened), config.overwrite)
    say(f"{written:,} attempts of {ledger}\nwritten to {out}")


def run_import(config: LedgerImport) -> None:
    """Add exported attempts to a ledger; its own attempts and answers are not changed.

    Raises:
        MissingFileError: There is no such file of rows.
        DataError: A row is not an exported one, or the file is no ledger. What stands before the row may
            have been added by then, and is not added twice.
    """
    rows = read_rows(config.data)
    first = next(rows)  # what cannot be read makes no ledger
    read = _Counted(chain([first], rows))
    with Ledger(config.ledger) as ledger:
        added = ledger.import_rows(read)
        counts = ledger.counts()
    held = ", ".join(f"{counts[state]:,} {state}" for state in STATES if counts[state])
    say(f"{added:,} attempts added, {read.count - added:,} were there already")
    say(f"{config.ledger} now holds: {held}")


def _attempts(ledger: Ledger) -> Iterator[dict[str, object]]:
    rows = ledger.export_rows()
    first = next(rows, None)
    if first is None:
        raise DataError(f"{ledger.path}: holds no attempts, so that there is nothing to write")
    yield first
    yield from rows


class _Counted:
    """Rows that are counted as they pass."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows, self.count = rows, 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row
