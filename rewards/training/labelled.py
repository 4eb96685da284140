"""Labelled: records to learn from, what an error calls each, and where they come from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True)
class Labelled(Generic[R_co]):
    """Records to learn from; every `fit_*` function takes these, or a plain sequence of records.

    Attributes:
        records: The records.
        names: What an error calls each, such as `pairs.jsonl:3`; none given numbers them.
        origin: Where they come from, which is recorded beside the model: the file's fingerprint, say, and
            what became of its doubtful rows.
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
"""What a `fit_*` function learns from."""


def as_labelled(data: Labelled[R] | Iterable[R]) -> Labelled[R]:
    """Return records with what errors call them: as they were given, or by their numbers and ids."""
    return data if isinstance(data, Labelled) else Labelled(list(data))


def _numbered(records: Sequence[object]) -> list[str]:
    """Return names of records by their numbers and, where they have them, ids."""
    return [
        f"record {number}" + (f", id {name!r}" if (name := getattr(record, "id", "")) else "")
        for number, record in enumerate(records, 1)
    ]
