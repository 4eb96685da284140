"""Labelled: training records, with their names in errors and their origin."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True)
class Labelled(Generic[R_co]):
    """Training records; every `fit_*` function takes these, or a plain sequence of records.

    Attributes:
        records: The records.
        names: Their names in errors, such as `pairs.jsonl:3`; none given numbers them.
        origin: Their origin, recorded beside the model: for instance the file's fingerprint and the counts of
            its screening.
    """

    records: Sequence[R_co]
    names: Sequence[str] = ()
    origin: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.names:
            object.__setattr__(self, "names", _numbered(self.records))
        elif len(self.names) != len(self.records):
            raise ValueError(f"{len(self.names)} names of {len(self.records)} records")


Data: TypeAlias = Labelled[R] | Sequence[R]
"""Training data of a `fit_*` function."""


def as_labelled(data: Labelled[R] | Iterable[R]) -> Labelled[R]:
    """Return records with their names in errors: the given names, or numbers and ids."""
    return data if isinstance(data, Labelled) else Labelled(list(data))


def _numbered(records: Sequence[object]) -> list[str]:
    """Return names of records by their numbers and, where they have them, ids."""
    return [
        f"record {number}" + (f", id {name!r}" if (name := getattr(record, "id", "")) else "")
        for number, record in enumerate(records, 1)
    ]
