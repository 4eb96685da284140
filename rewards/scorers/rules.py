"""Scorers without a model: length, exact answer, pattern, constant (baselines and fakes)."""

import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from numbers import Real
from typing import Literal, TypeAlias, get_args

from rewards.errors import ConfigError, DataError, ScoringError, SpecError
from rewards.files import GenerationsLike, as_generations
from rewards.records import Generation, Score, prompt_key, text_hash
from rewards.scorer import Scorer
from rewards.solutions.answers import GRADERS, is_right, reference_text
from rewards.specs import Spec

Unit: TypeAlias = Literal["characters", "words"]


@dataclass(frozen=True, slots=True)
class Length:
    """Scores a response by its length; a negative weight prefers the shorter."""

    unit: Unit = "characters"
    """`words` are what white space separates."""
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise ConfigError(f"unit is characters or words, got {self.unit!r}")
        _check_finite("weight", self.weight)

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return weight times length for each response."""
        return [
            Score(self.weight * self._length(generation.response))
            for generation in as_generations(generations)
        ]

    def _length(self, response: str) -> int:
        return len(response) if self.unit == "characters" else len(response.split())


@dataclass(frozen=True, slots=True)
class Exact:
    """Scores 1 where the response is the reference answer, white space around both aside, and else 0."""

    column: str = "answer"

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return 1 or 0 for each response.

        Raises:
            ScoringError: A generation has no reference, or one that is neither text nor a whole number.
        """
        return [
            Score(float(generation.response.strip() == self._reference(generation)))
            for generation in as_generations(generations)
        ]

    def _reference(self, generation: Generation) -> str:
        reference = generation.extra.get(self.column)
        # A float is refused, for 42.0 would silently never equal the text 42.
        if isinstance(reference, str) or (isinstance(reference, int) and not isinstance(reference, bool)):
            return str(reference).strip()
        wanted = f"column {self.column!r} holds the reference answer, a text or a whole number"
        raise ScoringError(f"{row_name(generation)}: {wanted}, {_got(generation, self.column)}")


@dataclass(frozen=True, slots=True)
class RightAnswer:
    """Scores 1 where the final answer is right by a grader of `rewards.solutions.answers`, and else 0."""

    grader: str = "numeric"
    column: str = "answer"

    def __post_init__(self) -> None:
        if self.grader not in GRADERS:
            raise ConfigError(f"grader is one of {', '.join(GRADERS)}; got {self.grader!r}")

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return 1 or 0 for each response; one without a final answer is 0.

        Raises:
            ScoringError: A generation has no reference, or one that the grader cannot read.
        """
        return [Score(float(self._is_right(one))) for one in as_generations(generations)]

    def _is_right(self, generation: Generation) -> bool:
        with suppress(DataError):
            reference = reference_text(generation.extra.get(self.column), self.grader)
            return is_right(generation.response, reference, self.grader)
        wanted = f"column {self.column!r} holds the reference answer, which the {self.grader} grader can read"
        raise ScoringError(f"{row_name(generation)}: {wanted}, {_got(generation, self.column)}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Scores 1 where a regular expression matches anywhere in the response and else 0, or its match count."""

    pattern: str
    count: bool = False
    """Score the number of matches that do not overlap, rather than 1 for any."""
    weight: float = 1.0
    _compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "_compiled", re.compile(self.pattern))
        except re.error as error:
            raise ConfigError(f"pattern {self.pattern!r} is no regular expression: {error}") from None
        _check_finite("weight", self.weight)

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return weight times 1 or 0, or times the count, for each response."""
        return [
            Score(self.weight * self._matches(generation.response))
            for generation in as_generations(generations)
        ]

    def _matches(self, response: str) -> int:
        if self.count:
            return sum(1 for _ in self._compiled.finditer(response))
        return int(self._compiled.search(response) is not None)


@dataclass(frozen=True, slots=True)
class Constant:
    """Scores every response and every step alike: an uninformative reward."""

    value: float

    def __post_init__(self) -> None:
        _check_finite("value", self.value)

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return the value for each response and for each of its steps."""
        return [
            Score(self.value, (self.value,) * len(generation.steps))
            for generation in as_generations(generations)
        ]


@dataclass(frozen=True, slots=True)
class Random:
    """Scores uniformly in [0, 1), by texts and seed: the same text has the same score in any order."""

    seed: int = 0

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return a number in [0, 1) for each response."""
        return [Score(self._uniform(one)) for one in as_generations(generations)]

    def _uniform(self, generation: Generation) -> float:
        # The prompt's length keeps its end apart from the response's beginning.
        prompt = prompt_key(generation.prompt)
        text = f"{self.seed} {len(prompt)} {prompt}{generation.response}"
        digest = text_hash(text)
        # A float holds 53 bits exactly; rounding 64 of them could give 1.
        return (int.from_bytes(digest, "big") >> 11) / 2.0**53


@dataclass(frozen=True, slots=True)
class Column:
    """Reads scores from a column of the data, as numbers or text; true and false are 1 and 0.

    If only the plural of `name` is present, as `scores` beside `responses`, it is read instead; it must
    hold this response's own number by then, not the whole list.
    """

    name: str

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return the number in the column for each generation.

        Raises:
            ScoringError: The column is missing, or holds no finite number.
        """
        return [Score(self._value(one)) for one in as_generations(generations)]

    def _value(self, generation: Generation) -> float:
        plural = f"{self.name}s"
        column = plural if self.name not in generation.extra and plural in generation.extra else self.name
        value = generation.extra.get(column)
        if isinstance(value, str):  # a csv file spells its numbers
            with suppress(ValueError):
                value = float(value)
        if isinstance(value, Real) and math.isfinite(value):
            return float(value)
        wanted = f"column {column!r} holds the score, a finite number"
        raise ScoringError(f"{row_name(generation)}: {wanted}, {_got(generation, column)}")


def load_rule(spec: Spec) -> Scorer:
    """Load `rule:NAME?option=value&...`; an option's reserved characters are percent-encoded.

    - `rule:length?unit=characters|words&weight=1`
    - `rule:exact?column=answer`
    - `rule:pattern?pattern=REGEX&count=false&weight=1`
    - `rule:constant?value=0`
    - `rule:random?seed=0`
    - `rule:answer?grader=numeric|exact|math-verify&column=answer`

    Raises:
        SpecError: The rule or an option is unknown, or an option's value is not what it should be.
    """
    if spec.rest not in _RULES:
        raise SpecError(f"{spec.text}: unknown rule {spec.rest!r}; known: {', '.join(_RULES)}")
    try:
        return _RULES[spec.rest](spec)
    except SpecError:
        raise
    except ConfigError as error:
        raise SpecError(f"{spec.text}: {error}") from None


def load_column(spec: Spec) -> Scorer:
    """Load `column:NAME`, which reads a score already in the data.

    Raises:
        SpecError: There is no name, or there is an option.
    """
    spec.allow()
    if not spec.rest:
        raise SpecError(f"{spec.text}: name a column, as in column:score")
    return Column(spec.rest)


def _load_length(spec: Spec) -> Scorer:
    spec.allow("unit", "weight")
    unit = spec.options.get("unit", "characters")
    if unit not in ("characters", "words"):
        raise SpecError(f"{spec.text}: option unit is characters or words, got {unit!r}")
    return Length("words" if unit == "words" else "characters", spec.option("weight", 1.0))


def _load_exact(spec: Spec) -> Scorer:
    spec.allow("column")
    return Exact(spec.options.get("column", "answer"))


def _load_answer(spec: Spec) -> Scorer:
    spec.allow("grader", "column")
    return RightAnswer(spec.options.get("grader", "numeric"), spec.options.get("column", "answer"))


def _load_pattern(spec: Spec) -> Scorer:
    spec.allow("pattern", "count", "weight")
    if not spec.options.get("pattern"):
        raise SpecError(f"{spec.text}: give the expression, as in rule:pattern?pattern=REGEX")
    return Pattern(spec.options["pattern"], spec.flag("count"), spec.option("weight", 1.0))


def _load_constant(spec: Spec) -> Scorer:
    spec.allow("value")
    return Constant(spec.option("value", 0.0))


def _load_random(spec: Spec) -> Scorer:
    spec.allow("seed")
    seed = spec.options.get("seed", "0")
    try:
        return Random(int(seed))
    except ValueError:
        raise SpecError(f"{spec.text}: option seed is a whole number, got {seed!r}") from None


_RULES: dict[str, Callable[[Spec], Scorer]] = {
    "length": _load_length,
    "exact": _load_exact,
    "pattern": _load_pattern,
    "constant": _load_constant,
    "random": _load_random,
    "answer": _load_answer,
}


def _check_finite(name: str, number: float) -> None:
    if not math.isfinite(number):
        raise ConfigError(f"{name} is a finite number, got {number!r}")


def row_name(generation: Generation) -> str:
    """Return a generation's name in an error: its id, or else the beginning of its prompt."""
    if generation.id:
        return f"id {generation.id!r}"
    prompt = prompt_key(generation.prompt)
    return f"prompt {prompt if len(prompt) <= 60 else prompt[:57] + '...'!r}"


def _got(generation: Generation, column: str) -> str:
    if column not in generation.extra:
        return f"but there are only {', '.join(map(repr, generation.extra)) or 'no columns'}"
    text = repr(generation.extra[column])
    return f"got {text if len(text) <= 60 else text[:57] + '...'}"
