"""Knobs of scoring and reward-model training; frozen dataclasses that know nothing of the command line."""

from dataclasses import dataclass, field
from typing import Literal

from rewards.errors import ConfigError


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
        if self.batch_tokens < 1:
            raise ConfigError(f"batch_tokens is 1 or more, got {self.batch_tokens}")


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


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters in place of full training; the head is trained whole and saved with them."""

    rank: int = 0
    """Rank of the adapters; 0 trains all weights."""
    alpha: int = 32
    """Adapter scale; the update is multiplied by alpha / rank."""
    dropout: float = 0.0
    """Dropout on the adapters' input."""
    targets: str = "all-linear"
    """Names of the adapted layers, comma separated, or all-linear."""
    merge: bool = True
    """Fold the adapters into the saved weights, so that any tool loads the folder."""

    def __post_init__(self) -> None:
        if self.rank < 0:
            raise ConfigError(f"lora rank is 0 or more, got {self.rank}")


@dataclass(frozen=True)
class TrainingConfig:
    """How a reward model is fitted."""

    learning_rate: float = 1e-5
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Decay of the learning rate after warm-up; constant keeps it."""
    warmup_ratio: float = 0.03
    """Share of the steps over which the learning rate rises."""
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
    """Gradients are scaled down to this norm."""
    dropout: bool = False
    """Keep the body's dropout. Off, as a reward should not depend on chance."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Mixed precision of the body; the head and the loss are float32."""
    seed: int = 0
    """Seed of the head, of the split and of the order."""
    tensorboard: bool = True
    """Write TensorBoard curves beside metrics.jsonl."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Low-rank adapters."""

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 0.5:
            raise ConfigError(f"label_smoothing is in [0, 0.5), got {self.label_smoothing}")
        if not 0 <= self.evaluation_share < 1:
            raise ConfigError(f"evaluation_share is in [0, 1), got {self.evaluation_share}")
        if self.batch_prompts < 1 or self.micro_batch_prompts < 0:
            raise ConfigError(f"batch_prompts is 1 or more, got {self.batch_prompts}")
        if self.learning_rate <= 0:
            raise ConfigError(f"learning_rate is above 0, got {self.learning_rate}")
        if self.centering < 0:
            raise ConfigError(f"centering is 0 or more, got {self.centering}")
