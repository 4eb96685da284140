"""Objectives of reward models: rankings, graded steps, graded responses, aspects; examples to losses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from rewards.encoding.packs import Integers, Pack, Tokens, pack
from rewards.losses import aspect_losses, ranking_losses, step_losses
from rewards.training.examples import RankingExample, TokenExample

PACK_TOKENS = 8192
"""Tokens packed into one sequence in training."""


def _tokens(rows: Sequence[Tokens], packed: bool) -> dict[str, list[Pack] | Sequence[Tokens] | None]:
    """Return rows for a batch, packed or plain, hidden from Trainer, which would traverse every number."""
    return {"packs": list(pack(rows, PACK_TOKENS)), "rows": ()} if packed else {"packs": None, "rows": rows}


@dataclass(frozen=True, slots=True)
class RankingObjective:
    """K-way Bradley-Terry over all responses of a prompt; an item is a prompt."""

    tallies_training: ClassVar[bool] = False
    margin: bool = False
    label_smoothing: float = 0.0
    centering: float = 0.0

    def collate(self, examples: Sequence[RankingExample], packed: bool) -> dict[str, Any]:
        """Return a batch of prompts with all their responses."""
        rows = [row for example in examples for row in example.rows]
        sizes = torch.tensor([len(example.rows) for example in examples])
        return {
            **_tokens(rows, packed),
            "ranks": torch.tensor([rank for example in examples for rank in example.ranks]),
            "groups": torch.repeat_interleave(torch.arange(len(examples)), sizes),
            "margins": torch.tensor([example.margin for example in examples]),
            "items": torch.tensor(len(examples)),
        }

    def losses(self, model: torch.nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return each prompt's loss, [prompts], and each response's raw logit, [R]."""
        scores = model(inputs["packs"], inputs["rows"])
        losses = ranking_losses(
            scores,
            inputs["ranks"],
            inputs["groups"],
            len(inputs["margins"]),
            inputs["margins"] if self.margin else 0.0,
            self.label_smoothing,
            self.centering,
        )
        return losses, scores

    def tally(self, inputs: dict[str, Any], outputs: Tensor) -> dict[str, float]:
        """Return how many pairs there are, and how many are ordered right; ties are wrong."""
        same = inputs["groups"][:, None] == inputs["groups"][None, :]
        better = same & (inputs["ranks"][:, None] < inputs["ranks"][None, :])
        right = better & (outputs[:, None] > outputs[None, :])
        return {"right": int(right.sum()), "pairs": int(better.sum())}

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return the share of pairs ordered right, where there are pairs."""
        return {"eval_accuracy": sums["right"] / sums["pairs"]} if sums["pairs"] else {}


def _token_batch(examples: Sequence[TokenExample], packed: bool) -> dict[str, Any]:
    rows = [example.row for example in examples]
    positions: list[Integers] = [np.array(example.positions, dtype=np.int64) for example in examples]
    labels = torch.tensor([label for example in examples for label in example.labels], dtype=torch.float32)
    return {**_tokens(rows, packed), "positions": positions, "labels": labels}


@dataclass(frozen=True, slots=True)
class StepObjective:
    """Cross-entropy on the separator tokens of labelled steps; an item is a labelled step, by its weight."""

    tallies_training: ClassVar[bool] = False
    wrong_weight: float = 1.0
    label_smoothing: float = 0.0

    def collate(self, examples: Sequence[TokenExample], packed: bool) -> dict[str, Any]:
        """Return a batch of solutions."""
        batch = _token_batch(examples, packed)
        labels = batch["labels"][:, 0]
        weights = (labels + (1 - labels) * self.wrong_weight).sum()
        return {**batch, "labels": labels, "items": weights}

    def losses(self, model: torch.nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return each labelled step's weighted loss, [M], and its two raw logits, [M, 2]."""
        logits = model(inputs["packs"], inputs["rows"], inputs["positions"])
        losses, _ = step_losses(logits, _smoothed(inputs["labels"], self.label_smoothing), self.wrong_weight)
        return losses, logits

    def tally(self, inputs: dict[str, Any], outputs: Tensor) -> dict[str, float]:
        """Return how many steps there are, and how many are classified right, by kind."""
        right = inputs["labels"] >= 0.5
        predicted = outputs[:, 1] > outputs[:, 0]
        return {
            "right": int(right.sum()),
            "right_hits": int((right & predicted).sum()),
            "wrong": int((~right).sum()),
            "wrong_hits": int((~right & ~predicted).sum()),
        }

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return the shares of steps classified right: of all, of right ones, of wrong ones."""
        metrics = {}
        if steps := sums["right"] + sums["wrong"]:
            metrics["eval_accuracy"] = (sums["right_hits"] + sums["wrong_hits"]) / steps
        for kind in ("right", "wrong"):
            if sums[kind]:
                metrics[f"eval_accuracy_{kind}"] = sums[f"{kind}_hits"] / sums[kind]
        return metrics


@dataclass(frozen=True, slots=True)
class CorrectnessObjective:
    """Binary cross-entropy of whether the answer is right, at each read token; an item is a token.

    "Let's Verify Step by Step" (2305.20050, appendix E) and Cobbe et al. (2110.14168, section 4.2) train
    outcome models so at every token of the solution, and read the last.
    """

    tallies_training: ClassVar[bool] = False
    label_smoothing: float = 0.0

    def collate(self, examples: Sequence[TokenExample], packed: bool) -> dict[str, Any]:
        """Return a batch of solutions."""
        batch = _token_batch(examples, packed)
        ends = np.cumsum([len(example.positions) for example in examples]) - 1
        return {
            **batch,
            "labels": batch["labels"][:, 0],
            "ends": torch.from_numpy(ends),
            "items": torch.tensor(len(batch["labels"])),
        }

    def losses(self, model: torch.nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return each token's loss, [M], and its raw logit, [M]."""
        logits = model(inputs["packs"], inputs["rows"], inputs["positions"])[:, 0]
        losses, _ = step_losses(logits, _smoothed(inputs["labels"], self.label_smoothing))
        return losses, logits

    def tally(self, inputs: dict[str, Any], outputs: Tensor) -> dict[str, float]:
        """Return how many solutions there are, and how many are classified right at their last token."""
        hits = (outputs > 0)[inputs["ends"]] == (inputs["labels"] >= 0.5)[inputs["ends"]]
        return {"solutions": len(hits), "hits": int(hits.sum())}

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return the share of solutions classified right."""
        return {"eval_accuracy": sums["hits"] / sums["solutions"]} if sums["solutions"] else {}


@dataclass(frozen=True, slots=True)
class AspectObjective:
    """Squared error, or cross-entropy of no fault, of each aspect's head; an item is a label."""

    tallies_training: ClassVar[bool] = False
    names: tuple[str, ...]
    error: bool = False
    by_token: bool = False
    label_smoothing: float = 0.0
    """Of faults alone; a number has no other side."""

    def collate(self, examples: Sequence[TokenExample], packed: bool) -> dict[str, Any]:
        """Return a batch of responses."""
        batch = _token_batch(examples, packed)
        return {**batch, "items": (~batch["labels"].isnan()).sum()}

    def losses(self, model: torch.nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return each label's loss, [M, K], 0 where there is none, and the raw outputs, [M, K]."""
        where = (inputs["positions"],) if self.by_token else ()
        outputs = model(inputs["packs"], inputs["rows"], *where)
        labels = _smoothed(inputs["labels"], self.label_smoothing) if self.error else inputs["labels"]
        losses, _ = aspect_losses(outputs, labels, "error" if self.error else "regression")
        return losses, outputs

    def tally(self, inputs: dict[str, Any], outputs: Tensor) -> dict[str, float]:
        """Return for each aspect the sums for its error and the variance of its labels."""
        sums: dict[str, float] = {}
        for column, name in enumerate(self.names):
            labels = inputs["labels"][:, column]
            there = ~labels.isnan()
            label, output = labels[there].double(), outputs[there, column].double()
            sums[f"{name} n"] = int(there.sum())
            sums[f"{name} label"] = float(label.sum())
            sums[f"{name} label2"] = float((label**2).sum())
            sums[f"{name} right"] = int(((output > 0) == (label > 0.5)).sum())
            sums[f"{name} error2"] = float(((output - label) ** 2).sum())
        return sums

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return each aspect's accuracy, or the share of its labels' variance that is explained."""
        metrics = {}
        for name in self.names:
            n = sums[f"{name} n"]
            if not n:
                continue
            if self.error:
                metrics[f"eval_accuracy_{name}"] = sums[f"{name} right"] / n
                continue
            variance = sums[f"{name} label2"] - sums[f"{name} label"] ** 2 / n
            if variance > 1e-9 * n:
                metrics[f"eval_r2_{name}"] = 1 - sums[f"{name} error2"] / variance
        return metrics


def _smoothed(labels: Tensor, smoothing: float) -> Tensor:
    return labels * (1 - smoothing) + (1 - labels) * smoothing
