"""One frozen configuration per command about aspects: to train on them, combine them, tell them apart."""

import math
from dataclasses import dataclass, field
from typing import Literal

from evalkit.config import refuse_own_input
from rewards.config import AspectsConfig, BodyConfig, TrainingConfig, check_ranges
from rewards.errors import ConfigError
from rewards.screening import ScreeningConfig

SpanFormat = Literal["auto", "spans", "columns", "qa-feedback"]
"""How labels of aspects are written; auto recognises them by the first row's columns."""


@dataclass(frozen=True)
class TrainAspects:
    """Train a reward model of several aspects: of whole responses, or of spans."""

    data: str
    """Rows {prompt, response, spans}, {prompt, response, ASPECT, ASPECT, ...}, or QA-feedback's file."""
    out: str
    """Folder for the trained model."""
    evaluation_data: str = ""
    """Held-out rows; empty holds out `training.evaluation_share` of the prompts."""
    format: SpanFormat = "auto"
    """Format of the data; auto recognises it by its columns."""
    aspects: AspectsConfig = field(default_factory=AspectsConfig)
    """Which aspects, at what density, and what is learnt of them."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    limit: int = 0
    """Use the first rows only; 0 uses all."""
    body: BodyConfig = field(default_factory=BodyConfig)
    """The model under the heads."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is fitted."""
    screening: ScreeningConfig = field(default_factory=ScreeningConfig)
    """What happens to doubtful rows."""
    overwrite: bool = False
    """Replace a finished model."""

    def __post_init__(self) -> None:
        check_ranges(self, {"limit": "0 or more"})


@dataclass(frozen=True)
class Combine:
    """Combine the aspects of scored rows to one score, by weights and under bounds, without scoring again."""

    data: str
    """Rows scored with aspects: {prompt, response, score_aspects} or {prompt, responses, scores_aspects}."""
    out: str
    """The same rows with the new score."""
    weights: dict[str, float] = field(default_factory=dict)
    """Weight of each aspect; one that is not named has none. Empty weighs all alike."""
    at_least: dict[str, float] = field(default_factory=dict)
    """Lowest value that each aspect may have. What misses a bound ranks behind all that meets them, by how
    much it misses (summed over the bounds), whatever its aspects; `COLUMN_met` says which do."""
    at_most: dict[str, float] = field(default_factory=dict)
    """Highest value that each aspect may have, such as a cost's bound."""
    standardize: bool = False
    """Divide each aspect by its standard deviation over the file first, so that weights compare."""
    pareto: bool = False
    """Also write, as `COLUMN_pareto`, whether no other response to the prompt is better in one aspect and as
    good in all that have a weight; where the weight is negative, less is better."""
    score: str = "score"
    """Column whose aspects are combined."""
    column: str = "combined"
    """Name of the new column, with an s where a row has several responses."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    overwrite: bool = False
    """Replace a finished output."""

    def __post_init__(self) -> None:
        if self.column == self.score or not self.column:
            raise ConfigError(f"column {self.column!r} is no new name; give one other than {self.score!r}")
        for name, given in (
            ("weights", self.weights),
            ("at_least", self.at_least),
            ("at_most", self.at_most),
        ):
            if not all(map(math.isfinite, given.values())):
                raise ConfigError(f"{name} are finite numbers, got {given}")
        for name in self.at_least:
            if self.at_least[name] > self.at_most.get(name, math.inf):
                bounds = f"{self.at_least[name]:g} and at most {self.at_most[name]:g}"
                raise ConfigError(f"no {name} is at least {bounds}")
        refuse_own_input(self.out, self.data)


@dataclass(frozen=True)
class AspectCard:
    """Report card of a scorer's aspects: each against its labels, and how they go together."""

    scorer: str
    """Scorer that gives aspects or spans."""
    data: str
    """Rows with labels of aspects: {prompt, response, spans} or a column for each aspect."""
    out: str
    """Folder for report.json, aspects.csv, correlations.csv and figures."""
    format: SpanFormat = "auto"
    """Format of the data; auto recognises it by its columns."""
    columns: list[str] = field(default_factory=list)
    """Columns that hold the aspects' labels, where they stand in columns."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    level: float = 0.95
    """Level of the intervals."""
    bootstrap: int = 1000
    """Resamples of the prompts."""
    seed: int = 0
    """Seed of the resamples."""
    overwrite: bool = False
    """Replace a finished report."""

    def __post_init__(self) -> None:
        check_ranges(self, {"bootstrap": "1 or more", "seed": "0 or more"})
        refuse_own_input(self.out, self.data, self.scorer)
