"""Configurations of the commands that train reward models."""

from dataclasses import dataclass, field
from typing import Literal

from evalkit.runs.config import Limited, Renaming, Replacing
from rewards.config import AspectsConfig, BodyConfig, Checked, ProcessConfig, TrainingConfig
from rewards.data.preferences import PreferenceFormat
from rewards.data.prm800k import NeutralRule
from rewards.data.spans import SpanFormat
from rewards.data.steps import StepFormat
from rewards.errors import ConfigError
from rewards.files import ScreeningConfig


@dataclass(frozen=True, kw_only=True)
class HeldOut(Checked):
    """Options of training with held-out data."""

    evaluation_data: str = ""
    """Held-out data; empty holds out `training.evaluation_share` of the prompts."""
    screening: ScreeningConfig = field(default_factory=ScreeningConfig)
    """Screening of doubtful rows."""


@dataclass(frozen=True)
class TrainRewardModel(HeldOut, Replacing, Limited, Renaming):
    """Options of all commands that train reward models."""

    data: str
    """File, folder or Hub name of the training data."""
    out: str
    """Folder for the trained model."""
    body: BodyConfig = field(default_factory=BodyConfig, kw_only=True)
    """The base model under the head."""
    training: TrainingConfig = field(default_factory=TrainingConfig, kw_only=True)
    """Training hyperparameters."""


@dataclass(frozen=True)
class TrainOutcome(TrainRewardModel):
    """Train an outcome reward model on preferences or rankings (K-way Bradley-Terry)."""

    data: str
    """File, folder or Hub name of preferences: prompt, chosen, rejected; or prompt, responses, ranks."""
    format: PreferenceFormat = "auto"
    """Format of the data; auto recognises it by its columns."""


@dataclass(frozen=True)
class TrainAspects(TrainRewardModel):
    """Train a reward model of several aspects: of whole responses, or of spans."""

    data: str
    """Rows {prompt, response, spans}, {prompt, response, ASPECT, ASPECT, ...}, or QA-feedback's file."""
    format: SpanFormat = "auto"
    """Format of the data; auto recognises it by its columns."""
    aspects: AspectsConfig = field(default_factory=AspectsConfig)
    """Which aspects, at what density, and the training targets."""


@dataclass(frozen=True)
class TrainProcess(TrainRewardModel):
    """Train a process reward model on labelled steps: the probability that each step is right."""

    data: str
    """File, folder or Hub name of labelled steps: prompt, completions, labels; or a public set's format."""
    format: StepFormat = "auto"
    """Format of the data; auto recognises it by its columns."""
    neutral: NeutralRule = "right"
    """What a neutral step of PRM800K counts as; the paper says right."""
    process: ProcessConfig = field(default_factory=ProcessConfig)
    """Separator, class weights, aggregation, threshold."""


@dataclass(frozen=True)
class TrainCorrectness(TrainRewardModel):
    """Train an outcome reward model on graded solutions: the probability that the final answer is right."""

    data: str
    """File, folder or Hub name of rows {prompt, response, LABEL} or {prompt, responses, LABELs}."""
    label: str = "correct"
    """Column that says whether a response is right: true or false, or a number in [0, 1]."""
    tokens: Literal["all", "last"] = "all"
    """Tokens that learn the label: all of the response, as in Let's Verify, or the last alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.label:
            raise ConfigError("label names the column that says whether a response is right; it is empty")
