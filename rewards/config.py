"""Knobs of scoring and reward-model training; frozen dataclasses that know nothing of the command line."""

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
"""What a number may be, in words and as a test; NaN and infinity pass none."""


def check_ranges(config: object, ranges: Mapping[str, str], group: str = "") -> None:
    """Refuse a configuration with a number outside its range.

    Args:
        config: The configuration.
        ranges: For each field, one of the keys of `RANGES`.
        group: What stands before a field's name in the error, such as `lora.`.

    Raises:
        ConfigError: A number is outside; it names the field, its range and its value.
    """
    for name, allowed in ranges.items():
        value = getattr(config, name)
        if not RANGES[allowed](value):
            raise ConfigError(f"{group}{name} is {allowed}, got {value}")


@dataclass(frozen=True)
class ScoringConfig:
    """How a reward model scores; none of these changes a score by more than 1e-5 in float32."""

    batch_tokens: int = 8192
    """Most tokens computed at once. A row longer than this is computed alone."""
    share_prefixes: bool = True
    """Compute a prefix that rows have in common once, where the body allows it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto for the first that is there."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the body; the head is always float32."""
    over_long: Literal["error", "truncate_left"] = "error"
    """A row longer than the model's context: refuse it, or cut the prompt's left and count it."""

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
    """Positions of a new model."""

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
    """What a process reward model learns of steps, and how their scores become one."""

    separator: str = "\n"
    """Text that ends each step; it must be the same one token wherever it stands, where steps are scored."""
    add_token: bool = False
    """Make the separator a token of its own in the vocabulary, if it is not one."""
    wrong_weight: float = 1.0
    """Weight of a wrong step in the loss, against 1 for a right one; 0 gives both classes the same weight."""
    until_error: bool = False
    """Learn no step behind the first that is labelled below 0.5, where PRM800K's labels stop; for labels of
    every step, such as those of rollouts."""
    aggregation: Aggregation = "product"
    """How the steps' probabilities become a solution's score: product, min, mean, last or sum_logits."""
    calibrate: bool = True
    """Choose the threshold of a wrong step on the held-out solutions; off, it is 0.5."""

    def __post_init__(self) -> None:
        check_ranges(self, {"wrong_weight": "0 or more"}, "process.")
        if not self.separator:
            raise ConfigError("process.separator is a text that ends a step; it is empty")


Density: TypeAlias = Literal["sub-sentence", "sentence", "whole"]
"""How finely a response is cut where an aspect is scored."""


@dataclass(frozen=True)
class AspectsConfig:
    """Which aspects a reward model has, where they are scored, and what is learnt of them."""

    names: list[str] = field(default_factory=list)
    """The aspects, in the order of the model's heads; empty takes all that the data name, sorted."""
    level: Literal["sequence", "span"] = "sequence"
    """One score an aspect for the whole response, or one for each piece of it."""
    density: dict[str, Density] = field(default_factory=dict)
    """For span models, how finely each aspect is scored: sub-sentence, sentence (the default) or whole."""
    objective: Literal["regression", "error"] = "regression"
    """Learn the labels' numbers (their sum in a piece), or whether it has a fault (a label of 0 or less)."""
    weights: dict[str, float] = field(default_factory=dict)
    """Weight of each aspect in the score, 1 where none is given; `?weights=` changes it without training."""

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
    """How a reward model is fitted."""

    learning_rate: float = 0.0
    """Peak learning rate of AdamW; 0 takes 1e-5 for a pretrained body and 1e-3 for a new one."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Decay of the learning rate after warm-up; constant keeps it."""
    warmup_ratio: float = 0.03
    """Share of the steps over which the learning rate rises, in [0, 1]."""
    epochs: float = 1.0
    """Passes over the training prompts."""
    max_steps: int = 0
    """Stop after this many updates; 0 lets `epochs` decide."""
    batch_prompts: int = 32
    """Prompts (with all their responses) in one update."""
    micro_batch_prompts: int = 0
    """Prompts computed at once; 0 is all of `batch_prompts`. Gradients are summed: only memory changes."""
    margin: bool = False
    """Use each pair's margin in the loss: -log sigmoid(r_chosen - r_rejected - margin)."""
    label_smoothing: float = 0.0
    """Probability that a label is the wrong way round, in [0, 0.5)."""
    centering: float = 0.0
    """Weight of (r_chosen + r_rejected)^2, which keeps rewards near 0; 0.01 is usual (arXiv 2312.09244)."""
    max_length: int = 0
    """Most tokens in a row, prompt and response; 0 takes the model's context."""
    over_long: Literal["truncate_left", "drop", "error"] = "truncate_left"
    """A longer row: cut the prompt's left (or drop it, where the response alone is too long), drop it, or
    stop. Each is counted."""
    evaluation_share: float = 0.1
    """Share of the prompts held out for evaluation; never a prompt on both sides."""
    evaluation_steps: int = 0
    """Updates between evaluations; 0 evaluates ten times in the run."""
    early_stopping: int = 0
    """Stop after this many evaluations without a lower held-out loss; 0 never. The best weights are kept."""
    checkpoint_steps: int = 0
    """Updates between checkpoints to resume from; 0 saves ten times in the run."""
    gradient_checkpointing: bool = False
    """Compute activations twice to save memory."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    dropout: bool = False
    """Keep the body's dropout. Off, as a reward should not depend on chance."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Mixed precision of the body; the head and the loss are float32."""
    seed: int = 0
    """Seed of the head, of the split and of the order, below 2^32."""
    tensorboard: bool = True
    """Write TensorBoard curves beside metrics.jsonl."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Low-rank adapters."""

    def __post_init__(self) -> None:
        check_ranges(self, TRAINING_RANGES)


@dataclass(frozen=True)
class ProcessTrainingConfig:
    """How a process reward model is fitted."""

    process: ProcessConfig = field(default_factory=ProcessConfig)
    """What is learnt of steps, and how their scores become one."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """The optimiser, the batches, what is held out."""


@dataclass(frozen=True)
class CorrectnessTrainingConfig:
    """How an outcome reward model is fitted to graded solutions."""

    tokens: Literal["all", "last"] = "all"
    """Tokens that learn the label: all of the response, as in Let's Verify, or the last alone."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """The optimiser, the batches, what is held out."""


@dataclass(frozen=True)
class AspectsTrainingConfig:
    """How a reward model of several aspects is fitted."""

    aspects: AspectsConfig = field(default_factory=AspectsConfig)
    """Which aspects, at what density, and what is learnt of them."""
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
