"""Settings of sampling, of the probe and of DPO, for Python and the command line alike."""

from dataclasses import dataclass, field
from typing import Literal

from rewards.config import Checked, check_ranges
from rewards.errors import ConfigError

DpoKind = Literal["sigmoid", "hinge", "slic", "ipo", "cdpo", "robust"]
"""Losses of pairs; `evalkit.policies.losses.pairs.dpo_loss` gives their formulas."""


@dataclass(frozen=True, kw_only=True)
class Sampling(Checked):
    """How the tokens of a response are sampled."""

    temperature: float = 1.0
    """Divides the logits; 0 is greedy decoding."""
    top_p: float = 1.0
    """Sample from the likeliest tokens that together reach this probability (nucleus sampling)."""
    top_k: int = 0
    """Sample from this many likeliest tokens; 0 is all."""
    max_new_tokens: int = 256
    """Most tokens in a response."""


@dataclass(frozen=True, kw_only=True)
class Drawing(Sampling):
    """How responses are sampled from a policy."""

    stop: list[str] = field(default_factory=list)
    """Stop sequences: a response ends before the first of them."""
    batch_size: int = 0
    """Responses sampled at once; 0 takes as many as fit half a gibibyte of keys and values."""


@dataclass(frozen=True)
class ProbeConfig:
    """The probe on held-out prompts while a policy trains: scored samples, and their KL to the reference."""

    data: str = ""
    """File, folder or Hub name of held-out prompts; empty probes nothing (PPO holds prompts out)."""
    scorer: str = ""
    """Scorer of the proxy reward; PPO, RSO and best-of-n default to their own."""
    gold: str = ""
    """Scorer of the gold reward; the checkpoint with the highest one is kept in `OUT/best`."""
    prompts: int = 64
    """Number of prompts, the first of `data`."""
    samples: int = 1
    """Responses to each prompt."""
    every: int = 0
    """Updates between probes; 0 makes ten in the run. The run always starts and ends with a probe."""
    patience: int = 0
    """Stop after this many probes without a higher gold (of the proxy where there is no gold); 0 never."""
    temperature: float = 1.0
    """Sampling temperature; KL, perplexity and entropy are always computed at temperature 1."""
    max_new_tokens: int = 0
    """Most tokens in a response; 0 takes as many as the command samples, and 256 where it samples none."""
    seed: int = 0
    """Seed of the responses: every probe samples with the same random numbers."""

    def __post_init__(self) -> None:
        ranges = {"prompts": "1 or more", "samples": "1 or more"}
        others = dict.fromkeys(("every", "patience", "max_new_tokens", "seed"), "0 or more")
        check_ranges(self, {**ranges, **others}, "probe.")


@dataclass(frozen=True)
class DpoConfig:
    """The pairwise loss, and when the reference's log-probabilities are computed."""

    kind: DpoKind = "sigmoid"
    """Sigmoid (DPO, RSO's sigmoid-norm), hinge (hinge-norm), slic (without reference), ipo, cdpo, robust."""
    beta: float = 0.1
    """Strength of the KL constraint to the reference (gamma in RSO's paper); tau in ipo."""
    label_smoothing: float = 0.0
    """Probability that a pair's label is flipped, for cdpo and robust; in [0, 0.5)."""
    reference: str = ""
    """Model folder or Hub id of the reference policy; empty is the policy before training."""
    reference_log_probs: Literal["precomputed", "live"] = "precomputed"
    """Compute the reference's log-probabilities once before training, or for each batch."""

    def __post_init__(self) -> None:
        check_ranges(self, {"beta": "above 0", "label_smoothing": "in [0, 0.5)"}, "dpo.")
        if self.label_smoothing and self.kind not in ("cdpo", "robust"):
            raise ConfigError(f"dpo.label_smoothing is of cdpo and robust; dpo.kind {self.kind} has none")
