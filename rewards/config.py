"""Settings of scoring and reward-model training: frozen dataclasses, independent of the command line."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rewards.errors import ConfigError
from rewards.solutions.steps import Aggregation

RANGES: Mapping[str, Callable[[float], bool]] = {
    "above 0": lambda value: 0 < value < math.inf,
    "0 or more": lambda value: 0 <= value < math.inf,
    "1 or more": lambda value: 1 <= value < math.inf,
    "in [0, 1]": lambda value: 0 <= value <= 1,
    "in [0, 1)": lambda value: 0 <= value < 1,
    "in [0, 0.5)": lambda value: 0 <= value < 0.5,
    "from 0 to 4294967295": lambda value: 0 <= value < 2**32,
}
"""Ranges of numbers, in words and as a test; NaN and infinity pass none."""


def check_ranges(config: object, ranges: Mapping[str, str], group: str = "") -> None:
    """Refuse a configuration with a number outside its range.

    Args:
        config: The configuration.
        ranges: For each field, one of the keys of `RANGES`.
        group: Prefix of a field's name in the error, such as `lora.`.

    Raises:
        ConfigError: A number is out of range; the message names the field, its range and its value.
    """
    for name, allowed in ranges.items():
        value = getattr(config, name)
        if not RANGES[allowed](value):
            raise ConfigError(f"{group}{name} is {allowed}, got {value}")


class Checked:
    """The root of configurations that are made of several groups of options, each of which checks its own.

    Every `__post_init__` on the way here calls the next one, so that no group's checks are passed over.
    """

    def __post_init__(self) -> None:
        """Check nothing: here the groups' checks end."""


@dataclass(frozen=True)
class ScoringConfig:
    """Settings of scoring; in float32 none changes a score by more than 1e-5."""

    batch_tokens: int = 8192
    """Maximum tokens per batch. A longer row is a batch of its own."""
    share_prefixes: bool = True
    """Compute a shared prefix once, where the body allows it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto for the first one available."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Data type of the body; the head is always float32."""
    over_long: Literal["error", "truncate_left"] = "error"
    """A row longer than the model's context: refuse it, or truncate the prompt on the left and count it."""

    def __post_init__(self) -> None:
        check_ranges(self, {"batch_tokens": "1 or more"})


@dataclass(frozen=True)
class BodyConfig:
    """The Transformers model under the head."""

    name: str = ""
    """Folder or Hub id to start from. Empty makes a new model from `family` and the sizes below."""
    revision: str = "main"
    """Revision on the Hub."""
    family: str = "llama"
    """Transformers `model_type` of a new model, such as llama, qwen3, gpt2."""
    tokenizer: str = ""
    """Folder or Hub id of the tokenizer; empty takes the one beside `name`."""
    hidden_size: int = 256
    """Width of a new model."""
    layers: int = 4
    """Layers of a new model."""
    heads: int = 4
    """Attention heads of a new model."""
    intermediate_size: int = 0
    """Width of a new model's feed-forward layers; 0 takes 8/3 of the hidden size, rounded to 8."""
    context: int = 2048
    """Context length of a new model, in tokens."""

    def __post_init__(self) -> None:
        sizes = dict.fromkeys(("hidden_size", "layers", "heads", "context"), "1 or more")
        check_ranges(self, {**sizes, "intermediate_size": "0 or more"}, "body.")


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters in place of full training; the head is trained whole and saved with them."""

    rank: int = 0
    """Rank of the adapters; 0 trains all weights."""
    alpha: int = 32
    """Adapter scale; the update is multiplied by alpha / rank."""
    dropout: float = 0.0
    """Dropout on the adapters' input, in [0, 1)."""
    targets: str = "all-linear"
    """Names of the adapted layers, comma separated, or all-linear."""
    merge: bool = True
    """Fold the adapters into the saved weights, so that any tool loads the folder."""

    def __post_init__(self) -> None:
        check_ranges(self, {"rank": "0 or more", "alpha": "1 or more", "dropout": "in [0, 1)"}, "lora.")


@dataclass(frozen=True)
class ProcessConfig:
    """How a process reward model is trained on steps, and how step scores are aggregated."""

    separator: str = "\n"
    """Text that ends each step; it must always be the same single token. Step scores are read there."""
    add_token: bool = False
    """Make the separator a token of its own in the vocabulary, if it is not one."""
    wrong_weight: float = 1.0
    """Weight of a wrong step in the loss, against 1 for a right one; 0 balances the two classes."""
    until_error: bool = False
    """Ignore labels after the first step labelled below 0.5, where PRM800K's labels stop; for data that label
    every step, such as rollout-based labels."""
    aggregation: Aggregation = "product"
    """How the steps' probabilities become a solution's score: product, min, mean, last or sum_logits."""
    calibrate: bool = True
    """Choose the threshold of a wrong step on the held-out solutions; if off, it is 0.5."""

    def __post_init__(self) -> None:
        check_ranges(self, {"wrong_weight": "0 or more"}, "process.")
        if not self.separator:
            raise ConfigError("process.separator is a text that ends a step; it is empty")


Density: TypeAlias = Literal["sub-sentence", "sentence", "whole"]
"""Granularity of the pieces in which an aspect is scored."""


@dataclass(frozen=True)
class AspectsConfig:
    """The aspects of a reward model, where they are scored, and the training objective."""

    names: list[str] = field(default_factory=list)
    """The aspects, in the order of the model's heads; empty takes all aspects of the data, sorted."""
    level: Literal["sequence", "span"] = "sequence"
    """Per aspect, one score for the whole response or one for each piece of it."""
    density: dict[str, Density] = field(default_factory=dict)
    """For span models, how finely each aspect is scored: sub-sentence, sentence (the default) or whole."""
    objective: Literal["regression", "error"] = "regression"
    """Regress on the labels (their sum in a piece), or classify whether there is a fault (a label <= 0)."""
    weights: dict[str, float] = field(default_factory=dict)
    """Weight of each aspect in the score, 1 by default; `?weights=` changes it without retraining."""

    def __post_init__(self) -> None:
        for given in ("density", "weights"):
            unknown = sorted(set(getattr(self, given)) - set(self.names))
            if self.names and unknown:
                raise ConfigError(f"aspects.{given}: no aspect {unknown[0]!r} among {', '.join(self.names)}")
        if not all(map(math.isfinite, self.weights.values())):
            raise ConfigError(f"aspects.weights are finite numbers, got {self.weights}")
        if self.density and self.level == "sequence":
            raise ConfigError("aspects.density says where pieces end; aspects.level sequence has none")
        if len(set(self.names)) < len(self.names):
            raise ConfigError(f"aspects.names differ from each other, got {', '.join(self.names)}")


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of reward-model training: optimizer, batches, held-out split, checkpoints."""

    learning_rate: float = 0.0
    """Peak learning rate of AdamW; 0 takes 1e-5 for a pretrained body and 1e-3 for a new one."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Decay of the learning rate after warm-up; constant keeps it."""
    warmup_ratio: float = 0.03
    """Share of the updates used for learning-rate warm-up, in [0, 1]."""
    epochs: float = 1.0
    """Passes over the training prompts."""
    max_steps: int = 0
    """Maximum number of updates; 0 lets `epochs` decide."""
    batch_prompts: int = 32
    """Prompts per update, each with all its responses."""
    micro_batch_prompts: int = 0
    """Prompts per forward pass, with gradient accumulation; 0 takes `batch_prompts`. Only memory changes."""
    margin: bool = False
    """Use each pair's margin in the loss: -log sigmoid(r_chosen - r_rejected - margin)."""
    label_smoothing: float = 0.0
    """Assumed probability that a label is flipped, in [0, 0.5)."""
    centering: float = 0.0
    """Weight of (r_chosen + r_rejected)^2, which keeps rewards near 0; 0.01 is usual (arXiv 2312.09244)."""
    max_length: int = 0
    """Maximum tokens of prompt and response together; 0 takes the model's context length."""
    over_long: Literal["truncate_left", "drop", "error"] = "truncate_left"
    """A longer row: truncate the prompt on the left (or drop it, if the response alone is too long), drop it,
    or stop with an error. Each is counted."""
    evaluation_share: float = 0.1
    """Share of the prompts held out for evaluation; the split is by prompt."""
    evaluation_steps: int = 0
    """Updates between evaluations; 0 evaluates ten times in the run."""
    early_stopping: int = 0
    """Evaluations without a lower held-out loss before stopping; 0 never stops. Keeps the best weights."""
    checkpoint_steps: int = 0
    """Updates between checkpoints; 0 saves ten times in the run."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass to save memory."""
    max_gradient_norm: float = 1.0
    """Gradient clipping: maximum norm; 0 does not clip."""
    dropout: bool = False
    """Keep the body's dropout. Off by default, since a reward should be deterministic."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Mixed precision of the body; the head and the loss are float32."""
    seed: int = 0
    """Seed of the head, the split and the data order, below 2^32."""
    tensorboard: bool = True
    """Write TensorBoard curves beside metrics.jsonl."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Low-rank adapters."""

    def __post_init__(self) -> None:
        check_ranges(self, TRAINING_RANGES)


@dataclass(frozen=True)
class ProcessTrainingConfig:
    """Settings of process reward-model training."""

    process: ProcessConfig = field(default_factory=ProcessConfig)
    """Separator, class weights, aggregation and threshold."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """The optimiser, the batches, what is held out."""


@dataclass(frozen=True)
class CorrectnessTrainingConfig:
    """Settings of outcome reward-model training on graded solutions."""

    tokens: Literal["all", "last"] = "all"
    """Tokens with a loss: all of the response, as in Let's Verify, or the last alone."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """The optimiser, the batches, what is held out."""


@dataclass(frozen=True)
class AspectsTrainingConfig:
    """Settings of training a reward model of several aspects."""

    aspects: AspectsConfig = field(default_factory=AspectsConfig)
    """The aspects, their density and the objective."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """The optimiser, the batches, what is held out."""


TRAINING_RANGES = {
    "learning_rate": "0 or more",
    "weight_decay": "0 or more",
    "warmup_ratio": "in [0, 1]",
    "epochs": "above 0",
    "max_steps": "0 or more",
    "batch_prompts": "1 or more",
    "micro_batch_prompts": "0 or more",
    "label_smoothing": "in [0, 0.5)",
    "centering": "0 or more",
    "max_length": "0 or more",
    "evaluation_share": "in [0, 1)",
    "evaluation_steps": "0 or more",
    "early_stopping": "0 or more",
    "checkpoint_steps": "0 or more",
    "max_gradient_norm": "0 or more",
    "seed": "from 0 to 4294967295",
}
