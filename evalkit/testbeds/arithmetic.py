"""arithmetic: a synthetic world of sums modulo ten, its problems, and its author's errors."""

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rewards.errors import ConfigError, DataError

MODULUS = 10
DIGITS: Mapping[str, int] = MappingProxyType({str(value): value for value in range(MODULUS)})
FACTORS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"+3": (1, 3), "+8": (1, 8), "-4": (1, -4), "*3": (3, 0), "*2": (2, 0), "*4": (4, 0)}
)
"""What each operation does: multiply, then add. *2 and *4 map two values to one, so errors cancel there."""
OPERATIONS = tuple(FACTORS)
SEPARATOR = "\n"


@dataclass(frozen=True, slots=True)
class Noise:
    """The author's error rates: most results are always right, each of the others has its own slips."""

    hard: float = 0.4
    """Share of the (value, operation) pairs whose result is sometimes wrong."""
    least_right: float = 0.3
    """A hard result is right with a probability drawn uniformly from here ..."""
    most_right: float = 0.75
    """... to here. Below 0.46 the first slip is likelier than the truth, and voting settles on it."""
    first_slip: float = 0.85
    """Share of a hard result's errors on one wrong value; the rest falls on another."""
    offsets: tuple[int, ...] = (1, -1, 5, 2, -2)
    """A slip is the true result plus one of these; a result's two slips have different ones."""

    def __post_init__(self) -> None:
        if not (0 <= self.hard <= 1 and 0 <= self.first_slip <= 1):
            raise ConfigError(f"shares of noise are in [0, 1], got {self.hard} and {self.first_slip}")
        if not 0 <= self.least_right <= self.most_right <= 1:
            raise ConfigError(f"right with p from {self.least_right} to {self.most_right}: not in [0, 1]")
        wrong = {offset % MODULUS for offset in self.offsets} - {0}
        if len(wrong) != len(self.offsets) or len(wrong) < 2:
            raise ConfigError(f"offsets are two or more, none 0, all different mod 10; got {self.offsets}")


@dataclass(frozen=True, slots=True)
class Cell:
    """The author's distribution of results for one value and operation.

    `outcomes` are results with their probabilities, which sum to 1: the true result first, then the slips.
    """

    outcomes: tuple[tuple[int, float], ...]

    def draw(self, uniform: float) -> int:
        """Return the result for a uniform number in [0, 1)."""
        for value, probability in self.outcomes[:-1]:
            if uniform < probability:
                return value
            uniform -= probability
        return self.outcomes[-1][0]


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem: a digit, and operations to apply to it in turn."""

    start: int
    operations: tuple[str, ...]


@dataclass(frozen=True)
class ArithmeticWorld:
    """A world: which results its author gets wrong, and how (by seed).

    A problem is `Q 7 +3 *2 ?`. Its solution has a line `a op c` for each operation, then `A c`. `hash`
    identifies the world: it is saved with all data and models of it.
    """

    seed: int = 0
    lengths: tuple[int, ...] = (4, 5, 6)
    """Numbers of operations of a problem, equally likely."""
    noise: Noise = field(default_factory=Noise)

    def __post_init__(self) -> None:
        if not self.lengths or min(self.lengths) < 1 or len(set(self.lengths)) < len(self.lengths):
            raise ConfigError(f"lengths are different whole numbers from 1, got {self.lengths}")

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits over the settings, the operations and the author's table itself."""
        cells = [(value, operation, cell.outcomes) for (value, operation), cell in _cells(self).items()]
        text = json.dumps([asdict(self), dict(FACTORS), MODULUS, cells], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def cell(self, value: int, operation: str) -> Cell:
        """Return the author's results of `value operation`."""
        return _cells(self)[value, operation]

    @property
    def table(self) -> NDArray[np.float64]:
        """P[a, operation, c], [10, 6, 10], read-only: how often the author writes c for `a operation`."""
        return _table(self)

    @property
    def problems(self) -> int:
        """How many different problems there are."""
        return sum(MODULUS * len(OPERATIONS) ** length for length in self.lengths)

    def prompt(self, problem: Problem) -> str:
        """Return a problem as text, such as `Q 7 +3 *2 -4 +8 ?` and a line break."""
        return " ".join(("Q", str(problem.start), *problem.operations, "?")) + "\n"

    def problem(self, prompt: str) -> Problem:
        """Read a prompt.

        Raises:
            DataError: The text is no problem of this world.
        """
        words = prompt.split()
        if len(words) < 3 or words[0] != "Q" or words[1] not in DIGITS or words[-1] != "?":
            raise DataError(f"a prompt of arithmetic reads 'Q DIGIT OPERATION... ?', got {prompt!r}")
        operations = tuple(words[2:-1])
        if not set(operations) <= set(OPERATIONS):
            raise DataError(f"operations are among {', '.join(OPERATIONS)}; got {' '.join(operations)}")
        if len(operations) not in self.lengths:
            allowed = ", ".join(map(str, self.lengths))
            raise DataError(f"a problem of this world has {allowed} operations, got {len(operations)}")
        return Problem(DIGITS[words[1]], operations)


def apply(value: int, operation: str) -> int:
    """Return the true result of an operation."""
    factor, term = FACTORS[operation]
    return (factor * value + term) % MODULUS


def answer(problem: Problem) -> int:
    """Return the true answer of a problem."""
    value = problem.start
    for operation in problem.operations:
        value = apply(value, operation)
    return value


@cache
def _cells(world: ArithmeticWorld) -> Mapping[tuple[int, str], Cell]:
    # Random.random is the one stream that Python promises never to change.
    draw = random.Random(f"arithmetic {world.seed}").random
    noise = world.noise
    pairs = [(value, operation) for value in range(MODULUS) for operation in OPERATIONS]
    hard = set(sorted(pairs, key=lambda _: draw())[: round(noise.hard * len(pairs))])
    cells = {}
    for pair in pairs:
        truth = apply(*pair)
        if pair not in hard:
            cells[pair] = Cell(((truth, 1.0),))
            continue
        right = noise.least_right + draw() * (noise.most_right - noise.least_right)
        first, second, *_ = sorted(noise.offsets, key=lambda _: draw())
        first_share = noise.first_slip * (1 - right)
        slips = ((first, first_share), (second, 1 - right - first_share))
        wrong = tuple(((truth + offset) % MODULUS, share) for offset, share in slips)
        cells[pair] = Cell(((truth, right), *wrong))
    return cells


@cache
def _table(world: ArithmeticWorld) -> NDArray[np.float64]:
    table = np.zeros((MODULUS, len(OPERATIONS), MODULUS))
    for (value, operation), cell in _cells(world).items():
        for result, probability in cell.outcomes:
            table[value, OPERATIONS.index(operation), result] += probability
    table.setflags(write=False)
    return table
