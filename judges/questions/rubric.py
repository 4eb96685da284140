"""Rubric: the criteria by which answers are graded, their weights and their scale, from a YAML file."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from judges.questions.yaml_file import read_yaml
from rewards.errors import DataError, MissingFileError

_NAME = re.compile(r"\w(?:[\w '/&().-]{0,58}[\w)])?")
"""Names allowed in the form of a reply, [[name: grade]]."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One quality that is graded by itself."""

    name: str
    description: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise DataError(
                "name is 1 to 60 letters, digits, spaces and _ - ' / & . ( ), beginning with a letter or "
                f"digit, got {self.name!r}"
            )
        if not isinstance(self.description, str) or not self.description.strip():
            raise DataError(f"description is a text, got {self.description!r}")
        number = isinstance(self.weight, int | float) and not isinstance(self.weight, bool)
        if not number or not math.isfinite(self.weight) or self.weight <= 0:
            raise DataError(f"weight is a number above 0, got {self.weight!r}")


@dataclass(frozen=True, slots=True)
class Rubric:
    """Criteria with one scale."""

    criteria: tuple[Criterion, ...]
    low: int = 1
    """Least grade."""
    high: int = 10
    """Greatest grade."""

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
                raise DataError(f"scale.{name} is a whole number from 0 to 100, got {value!r}")
        if self.low >= self.high:
            raise DataError(f"scale.low is below scale.high, got {self.low} and {self.high}")
        if not self.criteria:
            raise DataError("criteria is a list with an entry or more, got none")
        names = [one.name for one in self.criteria]
        if len({name.lower() for name in names}) < len(names):
            raise DataError(f"criteria have distinct names, got {', '.join(names)}")

    @classmethod
    def load(cls, path: str) -> "Rubric":
        """Read a YAML file: `criteria`, a list of {name, description, weight}, and `scale`, {low, high}.

        Weights are 1 and the scale 1 to 10 where the file does not say.

        Raises:
            MissingFileError: There is no such file.
            DataError: A field is missing, unknown or wrong; the message names file, field and value.
        """
        if not Path(path).is_file():
            raise MissingFileError(f"{path}: no such rubric")
        rubric = _fields(read_yaml(path), path, "a rubric", ("criteria",), ("scale",))
        scale = _fields(rubric.get("scale", {}), path, "scale", (), ("low", "high"))
        listed = rubric["criteria"]
        if not isinstance(listed, list):
            raise DataError(f"{path}: criteria is a list of name, description and weight, got {listed!r}")
        criteria = tuple(_criterion(one, path, place) for place, one in enumerate(listed, 1))
        try:
            return cls(criteria, **scale)  # type: ignore[arg-type]  # checked in __post_init__
        except DataError as error:
            raise DataError(f"{path}: {error}") from None

    def value(self, grades: Mapping[str, float]) -> float:
        """Return the mean of the criteria's grades, weighted."""
        total = math.fsum(one.weight for one in self.criteria)
        return math.fsum(one.weight * grades[one.name] for one in self.criteria) / total


def _criterion(read: object, path: str, place: int) -> Criterion:
    where = f"criteria, entry {place}"
    values = _fields(read, path, where, ("name", "description"), ("weight",))
    try:
        return Criterion(**values)  # type: ignore[arg-type]  # checked in __post_init__
    except DataError as error:
        raise DataError(f"{path}: {where}: {error}") from None


def _fields(
    read: object, path: str, what: str, required: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, object]:
    """Return a mapping's fields; refuse missing and unknown ones."""
    known = ", ".join((*required, *optional))
    if not isinstance(read, Mapping):
        raise DataError(f"{path}: {what} is a mapping with {known}, got {read!r}")
    for name in required:
        if name not in read:
            raise DataError(f"{path}: {what}: {name} is missing")
    for name in read:
        if name not in (*required, *optional):
            raise DataError(f"{path}: {what}: {name!r} is unknown; known: {known}")
    return dict(read)
