"""A run in its folder: recorded, locked, resumed after a kill, overwritten only with `overwrite`."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from evalkit.runs.files import atomic_write, configuration_hash
from evalkit.runs.locks import locked_folder
from evalkit.runs.provenance import provenance
from rewards.errors import OutputExistsError

RECORD = "run.json"
"""File of a run's configuration and versions, which also says that a folder is a run's."""


class RunConfig(Protocol):
    """The fields that the configuration of every command with an output folder has."""

    @property
    def out(self) -> str:
        """The folder."""
        ...

    @property
    def overwrite(self) -> bool:
        """Whether to replace a finished run, or one of another configuration."""
        ...


@contextmanager
def run(
    config: RunConfig,
    inputs: Mapping[str, object] | None = None,
    *,
    done: str,
    neutral: Sequence[str] = (),
    preliminary: Sequence[str] = (),
) -> Iterator[Path]:
    """Make or reopen the folder of a run, and lock it against other processes within the block.

    Configuration, versions, commit and seed are recorded in `run.json`. The block writes `done` last: a
    folder that holds it is finished. If the block ends otherwise, the folder stays for the same command to
    resume; if the run made nothing yet, it is as it was before, so that a mistake leaves no trace.

    Args:
        config: The command's configuration, a frozen dataclass.
        inputs: Fingerprints of the run's inputs; other inputs make another run.
        done: Name of the file whose presence says that the run is finished.
        neutral: Fields, such as `ppo.kl_limit`, that may change when a run resumes; their former values are
            kept in `run.json`.
        preliminary: Names of files that do not count as made by the run, and are removed with the folder.

    Raises:
        OutputExistsError: The folder holds a finished run, another configuration's run, or something else, or
            another process is in it.
    """
    given_empty = _is_empty_folder(Path(config.out))
    folder = _opened(Path(config.out), config, config.overwrite, done, inputs, neutral)
    with locked_folder(folder):
        try:
            yield folder
        except BaseException:  # an interrupt too; what was made is kept
            with suppress(OSError):  # what ended the run is what is reported
                _forget(folder, preliminary, keep_folder=given_empty)
            raise


def _opened(
    folder: Path,
    config: object,
    overwrite: bool,
    done: str,
    inputs: Mapping[str, object] | None,
    neutral: Sequence[str],
) -> Path:
    """Make or reopen a run's folder, and record the run in it; the arguments are those of `run`."""
    record = folder / RECORD
    values = asdict(config)  # type: ignore[call-overload]  # commands' configurations are dataclasses
    values.pop("overwrite", None)
    lasting = _without(values, neutral)
    mine = configuration_hash({**lasting, "inputs": inputs} if inputs else lasting)
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
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(record) as file:
        json.dump(
            {"configuration": values, "configuration_hash": mine, **provenance()},
            file,
            indent=2,
            default=str,
        )
    return folder


def _record_change(record: Path, values: dict[str, object]) -> None:
    """Record the former values where a run resumes with a changed configuration."""
    recorded = json.loads(record.read_text(encoding="utf-8"))
    plain = json.loads(json.dumps(values, default=str))
    if recorded["configuration"] != plain:
        before = [*recorded.get("configurations_before", ()), recorded["configuration"]]
        with atomic_write(record) as file:
            json.dump({**recorded, "configuration": plain, "configurations_before": before}, file, indent=2)


def _left_by_a_kill(path: Path) -> bool:
    """Return whether a file is an incomplete record that a killed command left."""
    return path.name.startswith(f".{RECORD}.") and path.name.endswith(".partial")


def _without(values: Mapping[str, object], names: Sequence[str]) -> dict[str, object]:
    """Return nested values without those named by dotted paths."""
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
    """Return the hash of the configuration that a folder's run started with.

    Raises:
        OutputExistsError: The folder is not a run's.
    """
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["configuration_hash"])
    except (OSError, ValueError, KeyError, TypeError):
        raise OutputExistsError(
            f"{record.parent}: holds files of something else; name an empty or a new folder"
        ) from None


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _forget(folder: Path, preliminary: Sequence[str], keep_folder: bool) -> None:
    """Remove the folder of a run that ended before it made anything; empty subfolders do not count.

    A folder that was there and empty before the run stays so.
    """
    files = [path for path in folder.rglob("*") if not path.is_dir() and not _left_by_a_kill(path)]
    if {path.relative_to(folder).as_posix() for path in files} <= {RECORD, *preliminary}:
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        if not keep_folder:
            folder.rmdir()
