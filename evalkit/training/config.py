"""Configurations of the commands that train reward models."""

from dataclasses import dataclass, field
from typing import Literal

from rewards.config import AspectsConfig, BodyConfig, ProcessConfig, TrainingConfig, check_ranges
from rewards.data.preferences import PreferenceFormat
from rewards.data.prm800k import NeutralRule
from rewards.data.spans import SpanFormat
from rewards.data.steps import StepFormat
from rewards.errors import ConfigError
from rewards.files import ScreeningConfig


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
class TrainProcess:
    """Train a process reward model on labelled steps: the probability that each step is right."""

    data: str
    """File, folder or Hub name of labelled steps: prompt, completions, labels; or a public set's format."""
    out: str
    """Folder for the trained model."""
    evaluation_data: str = ""
    """Held-out labelled steps; empty holds out `training.evaluation_share` of the prompts."""
    format: StepFormat = "auto"
    """Format of the data; auto recognises it by its columns."""
    neutral: NeutralRule = "right"
    """What a neutral step of PRM800K counts as; the paper says right."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    limit: int = 0
    """Use the first solutions only; 0 uses all."""
    process: ProcessConfig = field(default_factory=ProcessConfig)
    """Separator, class weights, aggregation, threshold."""
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
class TrainCorrectness:
    """Train an outcome reward model on graded solutions: the probability that the final answer is right."""

    data: str
    """File, folder or Hub name of rows {prompt, response, LABEL} or {prompt, responses, LABELs}."""
    out: str
    """Folder for the trained model."""
    label: str = "correct"
    """Column that says whether a response is right: true or false, or a number in [0, 1]."""
    tokens: Literal["all", "last"] = "all"
    """Tokens that learn the label: all of the response, as in Let's Verify, or the last alone."""
    evaluation_data: str = ""
    """Held-out graded solutions; empty holds out `training.evaluation_share` of the prompts."""
    rename: dict[str, str] = field(default_factory=dict)
    """Columns of the data by our names, such as {"question": "prompt"}."""
    limit: int = 0
    """Use the first solutions only; 0 uses all."""
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
        if not self.label:
            raise ConfigError("label names the column that says whether a response is right; it is empty")
