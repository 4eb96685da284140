"""One frozen configuration for each pipeline command."""

import math
from dataclasses import dataclass, field
from typing import Literal

from evalkit.policies.config import Drawing
from evalkit.runs.config import Limited, Renaming, Replacing
from evalkit.runs.files import refuse_own_input
from rewards.config import check_ranges
from rewards.errors import ConfigError


@dataclass(frozen=True)
class Generate(Drawing, Renaming, Limited, Replacing):
    """Sample responses to prompts from a policy."""

    policy: str
    """Model folder or Hub id."""
    data: str
    """File, folder or Hub name with a prompt column."""
    out: str
    """File of rows {prompt, responses}."""
    n: int = 1
    """Samples for each prompt."""
    log_probs: bool = False
    """Keep each token's log-probability."""
    seed: int = 0
    """Seed of the samples."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, {"n": "1 or more"})
        refuse_own_input(self.out, self.data, self.policy)


@dataclass(frozen=True, kw_only=True)
class SampledPrompts(Renaming, Limited):
    """Prompts to which a command samples responses first."""

    data: str
    """File, folder or Hub name with a prompt column."""
    drawing: Drawing = field(default_factory=Drawing)
    """How responses are sampled."""


@dataclass(frozen=True)
class ScoreFile(Renaming, Replacing):
    """Score every row of a file."""

    scorer: str
    """Model folder or Hub id, rule:length, column:NAME, ensemble:A,B, testbed:facts."""
    data: str
    """File, folder or Hub name of rows {prompt, response} or {prompt, responses}."""
    out: str
    """The same rows with `score` (or `scores`)."""
    column: str = "score"
    """Name of the new column, plural where a row has several responses."""
    chunk_rows: int = 4096
    """Rows scored and written at a time; they share prefixes, and a restart continues by chunks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chunk_rows < 1:
            raise ConfigError(f"chunk_rows is 1 or more, got {self.chunk_rows}")


@dataclass(frozen=True)
class Select(Renaming, Replacing):
    """Choose among scored responses: best of n, statistical rejection sampling, or a vote."""

    data: str
    """Scored rows: {prompt, responses, scores} or {prompt, response, score}."""
    out: str
    """File for the selected rows, or pairs."""
    method: Literal["best-of-n", "rejection", "majority-vote", "weighted-vote"] = "best-of-n"
    """Selection method."""
    n: int = 0
    """Use the first n samples of each prompt; 0 uses all."""
    k: int = 1
    """Responses selected for each prompt."""
    beta: float = 0.5
    """Temperature in units of reward: near 0 selects the best, large selects uniformly."""
    pairs: Literal["none", "first-round", "tournament", "all"] = "none"
    """Write preference pairs of the selected responses instead of rows."""
    too_few: Literal["error", "keep", "drop"] = "error"
    """Where a prompt has fewer than k distinct responses: stop, keep them, or leave the prompt out."""
    score: str = "score"
    """Column of the reward; for `responses` this name or its plural."""
    answer: str = "answer"
    """Column of the answer to vote on; for `responses` likewise."""
    vote_weight: Literal["score", "sigmoid", "tilted"] = "score"
    """Weight of a vote: the score (from 0 up), 1 / (1 + exp(-score)), or exp(score / beta)."""
    window: int = 0
    """Rows of one prompt lie within this many rows; 0 groups the whole file in memory."""
    seed: int = 0
    """Seed for ties, acceptance and matching."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise ConfigError(f"k is 1 or more, got {self.k}")
        for name in ("n", "window", "seed"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is 0 or more, got {getattr(self, name)}")
        if self.n and self.n < self.k:
            raise ConfigError(f"k is at most n, got k = {self.k} of n = {self.n}")
        if not self.beta > 0:
            raise ConfigError(f"beta is above 0, got {self.beta}; --method best-of-n is the limit at 0")
        if self.method.endswith("vote") and (self.k > 1 or self.pairs != "none"):
            raise ConfigError(f"{self.method} gives one answer for each prompt; k and pairs do not apply")
        if self.pairs != "none" and self.k < 2:
            raise ConfigError(f"a pair is made of 2 chosen responses, so k is 2 or more; got {self.k}")
        refuse_own_input(self.out, self.data)


@dataclass(frozen=True)
class Combine(Renaming, Replacing):
    """Combine the aspects of scored rows to one score, by weights and under bounds, without scoring again."""

    data: str
    """Rows scored with aspects: {prompt, response, score_aspects} or {prompt, responses, scores_aspects}."""
    out: str
    """The same rows with the new score."""
    weights: dict[str, float] = field(default_factory=dict)
    """Weight of each aspect; unnamed ones have none. Empty weighs all equally."""
    at_least: dict[str, float] = field(default_factory=dict)
    """Lowest value that each aspect may have. A response that violates a bound ranks below all that meet
    them, by its total violation; `COLUMN_met` says which meet them."""
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

    def __post_init__(self) -> None:
        super().__post_init__()
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
