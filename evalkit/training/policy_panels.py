"""Which panels the figure of a policy in training has, and which curves are in each."""

from dataclasses import dataclass
from typing import Literal

PROBE, ROLLOUT = "probe_", "rollout_"
"""Prefixes of the panel on held-out prompts, and on those that PPO learns from."""


@dataclass(frozen=True)
class Curve:
    """One line of a panel: its key without a prefix, its name, and how it is drawn."""

    key: str
    label: str
    colour: int = 0
    style: Literal["-", "--", ":"] = "-"
    error: bool = True
    """Draw two standard errors about it, where `KEY_se` tells them."""
    quantiles: bool = False
    """Draw the quantiles about it in two bands."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes: its title, its curves, and whether they are of samples or of the training itself."""

    title: str
    curves: tuple[Curve, ...]
    of_samples: bool = True
    """Look for the keys under the prefixes; else as they are."""
    share: bool = False
    """The values are shares of 1."""
    fixed: bool = False
    """Where its values never change there is nothing to draw."""


PANELS = (
    Panel("proxy reward", (Curve("proxy", "mean", quantiles=True),)),
    Panel("gold reward", (Curve("gold", "mean", 1, quantiles=True),)),
    Panel(
        "KL to the reference, nats a response",
        (Curve("kl", "k1"), Curve("kl_k3", "k3", 1, "--")),
        share=False,
    ),
    Panel(
        "length, tokens",
        (Curve("length", "mean"), Curve("length_q95", "95th percentile", 4, ":", error=False)),
    ),
    Panel(
        "perplexity",
        (
            Curve("perplexity", "under the reference"),
            Curve("policy_perplexity", "under the policy", 1, "--", error=False),
        ),
    ),
    Panel("entropy, nats a token", (Curve("entropy", "entropy"),)),
    Panel(
        "repeated 3-grams, finished responses",
        (Curve("finished", "finished", 2), Curve("repetition", "repeated", 3, "--")),
        share=True,
    ),
    Panel(
        "loss",
        (
            Curve("loss", "training", 4, error=False),
            Curve("eval_loss", "held out", 1, error=False),
            Curve("policy_loss", "policy", 0, error=False),
        ),
        of_samples=False,
    ),
    Panel(
        "held-out and training accuracy of pairs",
        (Curve("train_accuracy", "training", 4, error=False), Curve("eval_accuracy", "held out", 1)),
        of_samples=False,
        share=True,
    ),
    Panel(
        "clipped share of ratios and values",
        (
            Curve("clip_fraction", "ratios", 0, error=False),
            Curve("value_clip_fraction", "values", 1, "--", error=False),
        ),
        of_samples=False,
    ),
    Panel(
        "value error (root mean square)", (Curve("value_error", "critic", 0, error=False),), of_samples=False
    ),
    Panel(
        "KL coefficient",
        (Curve("kl_coefficient", "in the reward", 0, error=False),),
        of_samples=False,
        fixed=True,
    ),
)
"""What a run's figure shows, each where the run has it."""
