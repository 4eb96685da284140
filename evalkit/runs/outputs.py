"""A run's outputs: written atomically, continued after a kill, never overwritten unasked."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Self

from evalkit.runs.files import atomic_write, configuration_hash
from evalkit.runs.locks import lock, locked_folder
from evalkit.runs.provenance import provenance
from rewards.errors import ConfigError, OutputExistsError
from rewards.files import read_rows, write_rows
from rewards.files.writing import json_line

RECORD = "run.json"
"""File of a run's configuration and versions, which also says that a folder is a run's."""


class ResumableRows:
    """Rows written so that a killed command goes on where it stopped.

    Rows gather in `OUT.partial`, beside a state file that says how many input rows and output bytes are
    complete and under which configuration. What a kill left half-written after that point is cut off.
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
        """Write the results of the next `consumed` input rows; they are safe when this returns.

        Raises:
            DataError: A row holds NaN, or what JSON cannot say.
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
        """Let go of the file: what was appended is kept for the next start; an empty file leaves no trace."""
        if not self.rows_done:
            self._partial.unlink(missing_ok=True)
            self._state.unlink(missing_ok=True)
        self._file.close()

    def finish(self) -> None:
        """Move the rows to their final name, in the format its suffix says."""
        if self.out.suffix == ".jsonl":
            self._partial.replace(self.out)
        else:
            rows = read_rows(self._partial, form="jsonl") if self._bytes else ()
            write_rows(self.out, (row.values for row in rows), overwrite=True)
            self._partial.unlink()
        self._state.unlink(missing_ok=True)
        self._file.close()  # only now does the lock end


def run_folder(
    out: str | Path,
    config: object,
    overwrite: bool,
    done: str,
    inputs: Mapping[str, object] | None = None,
    neutral: Sequence[str] = (),
) -> Path:
    """Make or reopen a run's folder, and record configuration, versions, commit and seed in `run.json`.

    Args:
        out: The folder.
        config: The command's configuration, a frozen dataclass.
        overwrite: Replace a finished run, or one of another configuration.
        done: Name of the file whose presence says that the run is finished.
        inputs: Fingerprints of what the run reads; a run of other inputs is another run.
        neutral: Fields, such as `ppo.kl_limit`, with which a run may go on changed; what they were before is
            kept in `run.json`.

    Raises:
        OutputExistsError: The folder holds a finished run, another configuration's run, or something else, or
            another process is in it.
    """
    folder = Path(out)
    record = folder / RECORD
    values = asdict(config)  # type: ignore[call-overload]  # commands' configurations are dataclasses
    values.pop("overwrite", None)
    telling = _without(values, neutral)
    mine = configuration_hash({**telling, "inputs": inputs} if inputs else telling)
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder}: is a file; the output of this command is a folder")
    if folder.exists() and not all(map(_left_by_a_kill, folder.iterdir())):
        with locked_folder(folder):
            begun = _begun(record)
            finished = (folder / done).exists()
            if overwrite and (finished or begun != mine):
                shutil.rmtree(folder)
            elif finished:
                raise OutputExistsError(f"{folder}: exists and is finished; --overwrite replaces it")
            elif begun == mine:
                _record_change(record, values)
                return folder
            elif any(path != record for path in folder.iterdir()):
                raise OutputExistsError(
                    f"{folder}: begun with another configuration or input; repeat that command to finish it, "
                    "or --overwrite to start anew"
                )
    told = {"configuration": values, "configuration_hash": mine, **provenance()}
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(record) as file:
        json.dump(told, file, indent=2, default=str)
    return folder


def _record_change(record: Path, values: dict[str, object]) -> None:
    """Keep beside a run's configuration what it was before, where the run goes on with another."""
    told = json.loads(record.read_text(encoding="utf-8"))
    plain = json.loads(json.dumps(values, default=str))
    if told["configuration"] != plain:
        before = [*told.get("configurations_before", ()), told["configuration"]]
        with atomic_write(record) as file:
            json.dump({**told, "configuration": plain, "configurations_before": before}, file, indent=2)


def _left_by_a_kill(path: Path) -> bool:
    """Return whether a file is a record half-written by a command that was killed, and says nothing."""
    return path.name.startswith(f".{RECORD}.") and path.name.endswith(".partial")


def _without(values: Mapping[str, object], names: Sequence[str]) -> dict[str, object]:
    """Return nested values without some, each named by its path with dots."""
    here = {name for name in names if "." not in name}
    below: dict[str, list[str]] = {}
    for name in names:
        group, dot, rest = name.partition(".")
        if dot:
            below.setdefault(group, []).append(rest)
    return {
        name: _without(value, below[name]) if name in below and isinstance(value, Mapping) else value
        for name, value in values.items()
        if name not in here
    }


def _begun(record: Path) -> str:
    """Return the hash of the configuration with which a folder's run was begun.

    Raises:
        OutputExistsError: The folder is not a run's.
    """
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["configuration_hash"])
    except (OSError, ValueError, KeyError, TypeError):
        raise OutputExistsError(
            f"{record.parent}: holds files of something else; name an empty or a new folder"
        ) from None


def forget_run(folder: Path) -> None:
    """Remove the folder of a run that failed before it made anything."""
    if [path.name for path in folder.iterdir()] == [RECORD]:
        (folder / RECORD).unlink()
        folder.rmdir()
