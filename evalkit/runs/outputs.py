"""Output rows of a command: resumed after a kill, overwritten only with `overwrite`."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from evalkit.runs.files import atomic_write, configuration_hash
from evalkit.runs.locks import lock
from rewards.errors import ConfigError, OutputExistsError
from rewards.files import read_rows, write_rows
from rewards.files.writing import json_line


class ResumableRows:
    """Rows written such that a killed command resumes where it stopped.

    Rows gather in `OUT.partial`, beside a state file with the configuration and the numbers of complete input
    rows and output bytes. A half-written rest is cut off on resume.
    """

    def __init__(self, out: str | Path, key: Mapping[str, object], overwrite: bool) -> None:
        self.out = Path(out)
        self.rows_done = 0
        """Input rows whose results are on disk."""
        self._partial = self.out.with_name(self.out.name + ".partial")
        self._state = self.out.with_name(self.out.name + ".partial.json")
        self._hash = configuration_hash(dict(key))
        if not self.out.name.endswith((".jsonl", ".jsonl.gz", ".parquet")):
            raise ConfigError(f"{self.out}: an output ends in .jsonl, .jsonl.gz or .parquet")
        self._refuse_finished(overwrite)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self._bytes = 0
        self._file = self._partial.open("ab")
        try:
            lock(self._file.fileno(), self._partial)
            self._refuse_finished(overwrite)  # another process may have finished it meanwhile
            if self._state.exists() and os.fstat(self._file.fileno()).st_size:
                self._continue(overwrite)
        except OutputExistsError:
            self._file.close()
            raise
        self._file.truncate(self._bytes)

    def _refuse_finished(self, overwrite: bool) -> None:
        if self.out.is_dir():
            raise OutputExistsError(f"{self.out}: is a folder; the output of this command is a file")
        if self.out.exists() and not overwrite:
            raise OutputExistsError(f"{self.out}: exists and is finished; --overwrite replaces it")

    def _continue(self, overwrite: bool) -> None:
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            begun, rows, size = state["configuration"], int(state["rows"]), int(state["bytes"])
        except (ValueError, KeyError, TypeError):
            begun, rows, size = "", 0, 0
        if begun == self._hash and size <= os.fstat(self._file.fileno()).st_size:
            self.rows_done, self._bytes = rows, size
        elif not overwrite:
            raise OutputExistsError(
                f"{self._partial}: begun with another configuration or input; repeat that to finish it, "
                "or --overwrite to start anew"
            )

    def append(self, rows: Iterable[Mapping[str, object]], consumed: int) -> None:
        """Write the results of the next `consumed` input rows; they are on disk when this returns.

        Raises:
            DataError: A row holds NaN, or a value that JSON cannot represent.
        """
        first = self.rows_done + 1
        lines = [json_line(row, f"{self.out} row {number}") for number, row in enumerate(rows, first)]
        self._file.write(b"".join(lines))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._bytes = self._file.tell()
        self.rows_done += consumed
        state = {"configuration": self._hash, "rows": self.rows_done, "bytes": self._bytes}
        with atomic_write(self._state) as file:
            json.dump(state, file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Close the file: appended rows are kept for the next start; an empty file is removed."""
        if not self.rows_done:
            self._partial.unlink(missing_ok=True)
            self._state.unlink(missing_ok=True)
        self._file.close()

    def finish(self) -> None:
        """Move the rows to their final name, in the format of its suffix."""
        if self.out.suffix == ".jsonl":
            self._partial.replace(self.out)
        else:
            rows = read_rows(self._partial, form="jsonl") if self._bytes else ()
            write_rows(self.out, (row.values for row in rows), overwrite=True)
            self._partial.unlink()
        self._state.unlink(missing_ok=True)
        self._file.close()  # only now does the lock end
