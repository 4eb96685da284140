"""A hash of a training run's arguments, kept in its checkpoints: only the same run resumes them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import torch

from rewards.errors import OutputExistsError

PLAIN = {str, int, float, bool, type(None)}


def arguments_hash(*arguments: object) -> str:
    """Return a hash of settings and records: plain values, arrays, and dataclasses and collections of these.

    Of any other object, such as a model, the type alone counts.
    """
    digest = hashlib.sha256()
    _feed(digest, arguments)
    return digest.hexdigest()[:16]


def _feed(digest: "hashlib._Hash", value: object) -> None:
    if isinstance(value, list | tuple) and PLAIN.issuperset(map(type, value)):
        digest.update(repr(tuple(value)).encode("utf-8", "surrogatepass"))
    elif is_dataclass(value) and not isinstance(value, type):
        digest.update(type(value).__qualname__.encode())
        for one in fields(value):
            _feed(digest, getattr(value, one.name))
    elif isinstance(value, Mapping):
        _feed(digest, [part for key in sorted(value, key=str) for part in (str(key), value[key])])
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        digest.update(f"[{len(value)}]".encode())
        for part in value:
            _feed(digest, part)
    elif isinstance(value, torch.Tensor):
        _feed(digest, value.detach().cpu().double().numpy())
    elif isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif type(value) in PLAIN or isinstance(value, np.generic | Path):
        digest.update(repr(value).encode("utf-8", "surrogatepass"))
    else:
        digest.update(type(value).__qualname__.encode())


def check_same_run(checkpoint: Path, begun: str, arguments: str) -> None:
    """Refuse to resume a checkpoint of another run.

    Args:
        checkpoint: The checkpoint's folder.
        begun: Hash of the arguments of the run that wrote it.
        arguments: Hash of the arguments now.

    Raises:
        OutputExistsError: They differ.
    """
    if begun != arguments:
        raise OutputExistsError(
            f"{checkpoint}: a checkpoint of a run with other data, settings or start weights; repeat that "
            "run to finish it, or name another folder"
        )
