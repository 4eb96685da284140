"""One frozen configuration per command."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from rewards.config import BodyConfig, TrainingConfig, check_ranges
from rewards.errors import ConfigError
from rewards.screening import ScreeningConfig

PreferenceFormat = Literal[
    "auto", "preference", "ranking", "hh", "tldr", "ultrafeedback", "ultrafeedback-binarized", "qa-feedback"
]
"""How preferences are written; auto recognises them by the first row's columns."""


@dataclass(frozen=True)
class Quickstart:
    """Learn a reward in a small world, optimise it, and see where the true quality turns."""

    out: str = "runs/quickstart"
    """Folder for everything that is made."""
    seed: int = 0
    """Seed of the models, the labels and the samples; the world is always the same."""
    prompts: int = 64
    """Prompts on which best-of-n is measured."""
    samples: int = 512
    """Samples for each of them."""
    labels: int = 1500
    """Pairs of answers from which each reward model learns."""
    updates: int = 1000
    """Most updates of a small language model; it stops before, once it knows the world's facts."""
    overwrite: bool = False
    """Start anew where the folder holds a finished run, or another configuration's."""

    def __post_init__(self) -> None:
        for name, least, most in (("prompts", 1, 1000), ("samples", 2, 2**16), ("labels", 10, 10**6)):
            if not least <= getattr(self, name) <= most:
                raise ConfigError(f"{name} is from {least} to {most}, got {getattr(self, name)}")
        if self.seed < 0 or self.updates < 1:
            raise ConfigError(f"seed is 0 or more and updates 1 or more, got {self.seed} and {self.updates}")


@dataclass(frozen=True)
class TrainOutcome:
    """Train an outcome reward model on preferences or rankings (K-way Bradley-Terry)."""

    data: str
    """File, folder or Hub name of preferences: prompt, chosen, rejected; or prompt, responses, ranks."""
    out: str
    """Folder for the trained model."""
    evaluation_data: str = ""
    """Held-out preferences; empty holds out `training.evaluation_share` of the prompts."""
    format: PreferenceFormat = "auto"
    """Format of the data; auto recognises it by its columns."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    limit: int = 0
    """Use the first rows only; 0 uses all."""
    body: BodyConfig = field(default_factory=BodyConfig)
    """The model under the head."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is fitted."""
    screening: ScreeningConfig = field(default_factory=ScreeningConfig)
    """What happens to doubtful rows."""
    overwrite: bool = False
    """Replace a finished model."""

    def __post_init__(self) -> None:
        check_ranges(self, {"limit": "0 or more"})


@dataclass(frozen=True)
class Generate:
    """Sample responses to prompts from a policy."""

    policy: str
    """Model folder or Hub id."""
    data: str
    """File, folder or Hub name with a prompt column."""
    out: str
    """File of rows {prompt, responses}."""
    n: int = 1
    """Samples for each prompt."""
    temperature: float = 1.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    """Sample among the likeliest tokens that hold this much probability."""
    top_k: int = 0
    """Sample among this many likeliest tokens; 0 is all."""
    max_new_tokens: int = 256
    """Most tokens in a response."""
    stop: list[str] = field(default_factory=list)
    """Texts before which a response is cut."""
    log_probs: bool = False
    """Keep each token's log-probability."""
    seed: int = 0
    """Seed of the samples."""
    batch_size: int = 0
    """Responses sampled side by side; 0 takes what fits half a gibibyte."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    limit: int = 0
    """Use the first prompts only; 0 uses all."""
    overwrite: bool = False
    """Replace a finished output."""

    def __post_init__(self) -> None:
        refuse_own_input(self.out, self.data, self.policy)


@dataclass(frozen=True)
class ScoreFile:
    """Score every row of a file."""

    scorer: str
    """Model folder or Hub id, rule:length, column:NAME, ensemble:A,B, testbed:facts."""
    data: str
    """File, folder or Hub name of rows {prompt, response} or {prompt, responses}."""
    out: str
    """The same rows with `score` (or `scores`)."""
    column: str = "score"
    """Name of the new column, with an s where a row has several responses."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    chunk_rows: int = 4096
    """Rows scored and written at a time; within them shared prefixes are found and a restart continues."""
    overwrite: bool = False
    """Replace a finished output."""

    def __post_init__(self) -> None:
        if self.chunk_rows < 1:
            raise ConfigError(f"chunk_rows is 1 or more, got {self.chunk_rows}")


@dataclass(frozen=True)
class Select:
    """Choose among scored responses: best of n, statistical rejection sampling, or a vote."""

    data: str
    """Scored rows: {prompt, responses, scores} or {prompt, response, score}."""
    out: str
    """File for the selected rows, or pairs."""
    method: Literal["best-of-n", "rejection", "majority-vote", "weighted-vote"] = "best-of-n"
    """How responses are chosen."""
    n: int = 0
    """Use the first n samples of each prompt; 0 uses all."""
    k: int = 1
    """Responses chosen for each prompt."""
    beta: float = 0.5
    """Temperature in units of reward: near 0 takes the best, large takes any."""
    pairs: Literal["none", "first-round", "tournament", "all"] = "none"
    """Write pairs of the chosen responses instead of rows."""
    too_few: Literal["error", "keep", "drop"] = "error"
    """Where a prompt has fewer than k different responses: stop, keep what there is, or leave it out."""
    score: str = "score"
    """Column of the reward; `responses` have it under this name or with an s behind it."""
    answer: str = "answer"
    """Column of the answer that votes count; `responses` have it likewise."""
    vote_weight: Literal["score", "sigmoid", "tilted"] = "score"
    """Weight of a vote: the score (from 0 up), 1 / (1 + exp(-score)), or exp(score / beta)."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    window: int = 0
    """Rows of one prompt lie within this many rows; 0 groups the whole file in memory."""
    seed: int = 0
    """Seed for ties, acceptance and matching."""
    overwrite: bool = False
    """Replace a finished output."""

    def __post_init__(self) -> None:
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
class Evaluate:
    """A scorer's report card on preferences: accuracy beside null baselines, calibration, per source."""

    scorer: str
    """Model folder or Hub id, rule:length, column:NAME, ensemble:A,B, testbed:facts."""
    data: str
    """File, folder or Hub name of preferences or rankings."""
    out: str
    """Folder for report.json, rows.jsonl and reliability.png."""
    format: PreferenceFormat = "auto"
    """Format of the data; auto recognises it by its columns."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    source: str = ""
    """Column by which accuracy is split."""
    prompt_blind: bool = True
    """Also score responses without their prompts, as a baseline."""
    bins: int = 10
    """Bins of the calibration error."""
    level: float = 0.95
    """Level of the intervals."""
    bootstrap: int = 1000
    """Resamples of the prompts."""
    seed: int = 0
    """Seed of the resamples."""
    overwrite: bool = False
    """Replace a finished report."""

    def __post_init__(self) -> None:
        refuse_own_input(self.out, self.data, self.scorer)


@dataclass(frozen=True)
class Overopt:
    """Gold against proxy as best-of-n optimises the proxy harder, with a fitted curve."""

    data: str
    """Rows {prompt, responses}, or {prompt, response} with many rows to a prompt."""
    proxy: list[str] | str
    """Scorer that is optimised; a list, as [A,B], draws a curve for each."""
    gold: str
    """Scorer that tells the truth."""
    out: str
    """Folder for curve.png, curve.csv, fit.json and scores.jsonl."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    n: list[int] = field(default_factory=list)
    """Sizes n; empty takes the powers of two."""
    level: float = 0.95
    """Level of the intervals."""
    bootstrap: int = 1000
    """Resamples of the prompts."""
    seed: int = 0
    """Seed of the resamples."""
    overwrite: bool = False
    """Replace a finished run."""

    def __post_init__(self) -> None:
        proxies = [self.proxy] if isinstance(self.proxy, str) else self.proxy
        refuse_own_input(self.out, self.data, self.gold, *proxies)


@dataclass(frozen=True)
class Fit:
    """Fit the scaling law to a table of measured points."""

    data: str
    """Table with columns d or kl (nats), gold, and optionally weight and a group."""
    out: str
    """Folder for fit.json and fit.png."""
    form: Literal["best-of-n", "rl"] = "best-of-n"
    """d(alpha - beta d), or d(alpha - beta ln d)."""
    group: str = ""
    """Column that splits the points into curves; if numeric, alpha and beta are fitted to its logarithm."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"reward": "gold"}."""
    level: float = 0.95
    """Level of the intervals."""
    overwrite: bool = False
    """Replace a finished fit."""

    def __post_init__(self) -> None:
        refuse_own_input(self.out, self.data)


def refuse_own_input(out: str, data: str, *specifications: str) -> None:
    """Refuse an output that would replace one of its command's inputs, or add to a folder of data.

    Raises:
        ConfigError: It is, or as a folder holds, the data or a model; or it lies in the folder of data.
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
