"""Scorers made of scorers: weighted sum, mean, worst case, mean minus variance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from rewards.errors import ConfigError, ScoringError, SpecError
from rewards.files import GenerationsLike, as_generations
from rewards.records import Generation, Score
from rewards.scorer import Scorer, load_scorer
from rewards.scorers.rules import row_name
from rewards.specs import Spec

Combination: TypeAlias = Literal["mean", "worst", "uwo", "sum"]


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Combines the scores r_1 .. r_m that its members give to one generation.

    - `mean`: their mean.
    - `worst`: min_j r_j, worst-case optimisation (Coste et al. 2310.02743, equation 3).
    - `uwo`: mean - penalty * variance, uncertainty-weighted optimisation (equation 4). The variance is the
      population's, sum_j (r_j - mean)^2 / m (ddof = 0), so that one member has variance 0.
    - `sum`: sum_j weight_j r_j.

    All but `sum` compare the members with each other and so need them on one scale. A learnt model's value
    is standardised by what its folder records; rules, columns and foreign folders are taken as they are.

    A score's `aspects` hold each member's score, to see where they disagree. Its `steps` are combined in the
    same way, step by step, if every member gives them.
    """

    members: tuple[Scorer, ...]
    combine: Combination = "mean"
    penalty: float = 0.5
    """The lambda of `uwo`, 0 or more; 0 is the mean."""
    weights: tuple[float, ...] = ()
    """One for each member, for `sum`; none given means 1 each."""
    names: tuple[str, ...] = ()
    """Each member's key in `aspects`; none given means `member 1`, `member 2`, ..."""

    def __post_init__(self) -> None:
        if not self.members:
            raise ConfigError("an ensemble needs a member")
        if self.combine not in get_args(Combination):
            raise ConfigError(f"combine is {', '.join(get_args(Combination))}, got {self.combine!r}")
        if not (np.isfinite(self.penalty) and self.penalty >= 0):
            raise ConfigError(f"lambda is 0 or more, got {self.penalty!r}")
        if self.weights and self.combine != "sum":
            raise ConfigError(f"weights are for combine=sum, got combine={self.combine}")
        for name, given in (("weights", self.weights), ("names", self.names)):
            if given and len(given) != len(self.members):
                raise ConfigError(f"{len(self.members)} members need as many {name}, got {len(given)}")
        if not np.isfinite(self.weights).all():
            raise ConfigError(f"weights are finite numbers, got {self.weights!r}")
        if len(set(self.names)) != len(self.names):
            raise ConfigError(f"names differ from each other, got {self.names!r}")

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return the members' scores, combined.

        Raises:
            ScoringError: A member has no score for a generation, an infinite one, or the wrong number of
                scores or steps.
        """
        generations = as_generations(generations)
        scores_of_members = [member.score(generations) for member in self.members]
        for name, scores in zip(self._names(), scores_of_members, strict=True):
            if len(scores) != len(generations):
                raise ScoringError(f"{name} gave {len(scores)} scores for {len(generations)} generations")
        by_generation = zip(generations, *scores_of_members, strict=True)
        return [self._combined(generation, scores) for generation, *scores in by_generation]

    def _combined(self, generation: Generation, scores: Sequence[Score]) -> Score:
        values = np.array([[score.value] for score in scores], dtype=np.float64)
        value = float(self._reduce(values, generation)[0])
        aspects = dict(zip(self._names(), values[:, 0].tolist(), strict=True))
        if not all(score.steps for score in scores):
            return Score(value, aspects=aspects)
        counts = [len(score.steps) for score in scores]
        if len(set(counts)) > 1:
            raise ScoringError(f"{row_name(generation)}: members scored different numbers of steps: {counts}")
        steps = np.array([score.steps for score in scores], dtype=np.float64)
        return Score(value, tuple(self._reduce(steps, generation).tolist()), aspects=aspects)

    def _reduce(self, values: NDArray[np.float64], generation: Generation) -> NDArray[np.float64]:
        """Combine scores [members, n] to [n]."""
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values).all(axis=1)))
            raise ScoringError(f"{row_name(generation)}: {self._names()[row]} gave an infinite score")
        if self.combine == "worst":
            combined = values.min(axis=0)
        elif self.combine == "sum":
            combined = np.array(self.weights or (1.0,) * len(self.members)) @ values
        else:
            combined = values.mean(axis=0)
            if self.combine == "uwo":
                combined = combined - self.penalty * values.var(axis=0, ddof=0)
        return cast(NDArray[np.float64], combined)

    def _names(self) -> tuple[str, ...]:
        return self.names or tuple(f"member {place}" for place in range(1, len(self.members) + 1))


def load_ensemble(spec: Spec) -> Scorer:
    """Load `ensemble:A,B,C?combine=mean|worst|uwo|sum&lambda=0.5&weights=1,2,3`.

    Members are specifications themselves; the `,` `?` `&` and `%` in one are percent-encoded, as in
    `ensemble:rule:random,rule:length%3Fweight=-1?combine=sum`. An ensemble may be a member.

    Raises:
        SpecError: There is no member, a member names nothing, or an option is unknown, unused or wrong.
    """
    combine = spec.options.get("combine", "mean")
    _allow_options(spec, combine)
    texts = [unquote(text) for text in spec.rest.split(",")]
    if not all(texts):
        raise SpecError(f"{spec.text}: name the members, as in ensemble:A,B")
    members = tuple(load_scorer(text) for text in texts)
    try:
        return Ensemble(
            members,
            cast(Combination, combine),  # Ensemble refuses any other
            spec.option("lambda", 0.5),
            _weights(spec),
            _distinct(texts),
        )
    except SpecError:
        raise
    except ConfigError as error:
        raise SpecError(f"{spec.text}: {error}") from None


def _allow_options(spec: Spec, combine: str) -> None:
    try:
        spec.allow("combine", "lambda", "weights")
    except SpecError as error:
        raise SpecError(f"{error}; a member's own options are percent-encoded, ? as %3F") from None
    for option, reader in (("lambda", "uwo"), ("weights", "sum")):
        if option in spec.options and combine != reader:
            raise SpecError(f"{spec.text}: option {option} is for combine={reader}, got combine={combine}")


def _weights(spec: Spec) -> tuple[float, ...]:
    text = spec.options.get("weights")
    if text is None:
        return ()
    try:
        return tuple(float(weight) for weight in text.split(","))
    except ValueError:
        raise SpecError(f"{spec.text}: option weights is numbers with commas, got {text!r}") from None


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Number the repetitions, so that each member keeps an aspect of its own."""
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(distinct)
