"""The panels of the training figure of a policy, and the curves of each."""

from dataclasses import dataclass
from typing import Literal

PROBE, ROLLOUT = "probe_", "rollout_"
"""Prefixes of the panel on held-out prompts, and on those that PPO learns from."""


@dataclass(frozen=True)
class PlotCurve:
    """One line of a panel: its key without a prefix, its name, and how it is drawn."""

    key: str
    label: str
    colour: int = 0
    style: Literal["-", "--", ":"] = "-"
    error: bool = True
    """Draw two standard errors about it, from `KEY_se`."""
    quantiles: bool = False
    """Draw the quantiles about it in two bands."""


@dataclass(frozen=True)
class PlotPanel:
    """One pair of axes: its title, its curves, and whether they are of samples or of the training itself."""

    title: str
    curves: tuple[PlotCurve, ...]
    of_samples: bool = True
    """Look for the keys under the prefixes; else as they are."""
    share: bool = False
    """The values are proportions."""
    fixed: bool = False
    """Not drawn where its values never change."""


PANELS = (
    PlotPanel("proxy reward", (PlotCurve("proxy", "mean", quantiles=True),)),
    PlotPanel("gold reward", (PlotCurve("gold", "mean", 1, quantiles=True),)),
    PlotPanel(
        "KL to the reference, nats a response",
        (PlotCurve("kl", "k1"), PlotCurve("kl_k3", "k3", 1, "--")),
        share=False,
    ),
    PlotPanel(
        "length, tokens",
        (PlotCurve("length", "mean"), PlotCurve("length_q95", "95th percentile", 4, ":", error=False)),
    ),
    PlotPanel(
        "perplexity",
        (
            PlotCurve("perplexity", "under the reference"),
            PlotCurve("policy_perplexity", "under the policy", 1, "--", error=False),
        ),
    ),
    PlotPanel("entropy, nats a token", (PlotCurve("entropy", "entropy"),)),
    PlotPanel(
        "repeated 3-grams, finished responses",
        (PlotCurve("finished", "finished", 2), PlotCurve("repetition", "repeated", 3, "--")),
        share=True,
    ),
    PlotPanel(
        "loss",
        (
            PlotCurve("loss", "training", 4, error=False),
            PlotCurve("eval_loss", "held out", 1, error=False),
            PlotCurve("policy_loss", "policy", 0, error=False),
        ),
        of_samples=False,
    ),
    PlotPanel(
        "held-out and training accuracy of pairs",
        (PlotCurve("train_accuracy", "training", 4, error=False), PlotCurve("eval_accuracy", "held out", 1)),
        of_samples=False,
        share=True,
    ),
    PlotPanel(
        "clipped share of ratios and values",
        (
            PlotCurve("clip_fraction", "ratios", 0, error=False),
            PlotCurve("value_clip_fraction", "values", 1, "--", error=False),
        ),
        of_samples=False,
    ),
    PlotPanel(
        "value error (root mean square)",
        (PlotCurve("value_error", "critic", 0, error=False),),
        of_samples=False,
    ),
    PlotPanel(
        "KL coefficient",
        (PlotCurve("kl_coefficient", "in the reward", 0, error=False),),
        of_samples=False,
        fixed=True,
    ),
)
"""What a run's figure shows, each where the run has it."""
