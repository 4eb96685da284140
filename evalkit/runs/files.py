"""Files of a run: atomic writes, fingerprints of inputs, and no input is overwritten."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote

from judges.asking.config import AskingConfig
from rewards.errors import ConfigError
from rewards.files.states import file_states

EDGE = 1 << 25
"""Bytes hashed at either end of an input file; one of 64 MiB or less is hashed whole."""
ASKING = {one.name for one in fields(AskingConfig)} - {"base_url"}
"""Options of a judge that say how it is asked, and change none of its answers."""


@contextmanager
def atomic_write(path: str | Path) -> Iterator[TextIO]:
    """Open a text file for atomic writing: it appears under its name when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def json_text(values: object) -> str:
    """Return values as indented JSON; a NaN is refused, since JSON has none."""
    return json.dumps(values, indent=2, default=str, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: str | Path, values: object) -> None:
    """Write values as indented JSON, atomically; a NaN is refused, since JSON has none."""
    with atomic_write(path) as file:
        file.write(json_text(values))


def refuse_own_input(out: str, data: str, *specifications: str) -> None:
    """Refuse an output that would overwrite an input, or add to a folder of data.

    Raises:
        ConfigError: The output is or contains the data or a model, or lies in the folder of data.
    """
    bodies = [text.partition("?")[0] for text in specifications]
    models = [unquote(part) for body in bodies for part in body.removeprefix("ensemble:").split(",")]
    place = Path(out).resolve()
    for source in filter(None, (data, *models)):
        path = Path(source).resolve()
        if path.exists() and (path.is_relative_to(place) or (source == data and place.is_relative_to(path))):
            raise ConfigError(
                f"{out}: {source} is an input and would be changed; give the output another name"
            )


def configuration_hash(config: object) -> str:
    """Return a hash of all values of a configuration (a dataclass or a mapping)."""
    values = asdict(config) if is_dataclass(config) and not isinstance(config, type) else config
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def fingerprint(source: str) -> dict[str, object]:
    """Return a fingerprint of an input: a file's size and bytes, of a large file those of its two ends.

    For a folder it is the files' names, sizes and times; for a Hub id or other name, the name alone.
    """
    path = Path(source)
    if source and path.is_dir():  # an empty name is no folder, though Path makes it the working one
        return {"source": source, "files": _listing(path)}
    if not path.is_file():
        return {"source": source}
    digest = hashlib.sha256()
    size = path.stat().st_size
    with path.open("rb") as file:
        digest.update(file.read(EDGE))
        file.seek(max(EDGE, size - EDGE))
        digest.update(file.read(EDGE))
    return {"source": source, "bytes": size, "edges": digest.hexdigest()[:16]}


def spec_fingerprint(spec: str) -> dict[str, object]:
    """Return a specification and a hash of its files' sizes and times, to notice a retrained model.

    Options of a judge that do not change its verdicts are left out: a run may resume with
    another budget, and a ledger changes while it is written.
    """
    body, _, query = spec.partition("?")
    kept = [pair for pair in query.split("&") if pair and pair.partition("=")[0] not in ASKING]
    spec = f"{body}?{'&'.join(kept)}" if kept else body
    files = {
        part: _listing(Path(part)) for part in re.split(r"[:,?&=]", spec) if part and Path(part).exists()
    }
    return {"spec": spec, "files": configuration_hash(files) if files else None}


def _listing(path: Path) -> str:
    return configuration_hash({name: [size, time] for name, size, time in file_states(path)})
