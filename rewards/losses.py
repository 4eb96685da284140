"""K-way Bradley-Terry, step-wise and aspect losses: tensors in, tensors out."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

IGNORED = -100
"""The label that torch's cross-entropy ignores, read as a missing label."""


def ranking_loss(
    scores: Tensor,
    ranks: Tensor | Sequence[int] | np.ndarray,
    margin: float | Tensor = 0.0,
    label_smoothing: float = 0.0,
    centering: float = 0.0,
) -> Tensor:
    """Return the Bradley-Terry loss of one prompt's K responses: the mean over its K (K - 1) / 2 pairs.

    A pair of differently ranked responses adds `-(1 - e) log sigmoid(h) - e log sigmoid(-h)`, where h is
    `r_better - r_worse - margin` and e the label smoothing. A tied pair counts as half a win each: e is 1/2
    and the margin 0. Centring adds `centering * (r_i + r_j)^2`.

    Args:
        scores: Raw logits, [K].
        ranks: 1 is best, equal ranks are ties, [K].
        margin: Target margin of the better response, in logits; a number or a scalar tensor.
        label_smoothing: Probability that a label is wrong, in [0, 0.5).
        centering: Weight of the squared sum of a pair's rewards, 0 or more.

    Returns:
        A scalar in float32; in float64 where the scores are.

    Raises:
        ValueError: `scores` and `ranks` are not both [K] with K of 2 or more, the margin is not one number,
            or the label smoothing is outside its range.

    Source: InstructGPT (arXiv 2203.02155), equation 1; margin: LLaMA 2 (2307.09288), equation 2; centring:
    Eisenstein et al. (2312.09244).
    """
    ranks = torch.as_tensor(ranks, device=scores.device)
    if scores.ndim != 1 or scores.shape != ranks.shape or len(scores) < 2:
        raise ValueError(
            f"scores and ranks are both [K], K >= 2; got {list(scores.shape)}, {list(ranks.shape)}"
        )
    if isinstance(margin, Tensor) and margin.ndim:
        raise ValueError(f"the margin of one prompt is a number or a scalar; got {list(margin.shape)}")
    groups = torch.zeros(len(scores), dtype=torch.long, device=scores.device)
    return ranking_losses(scores, ranks, groups, 1, margin, label_smoothing, centering)[0]


def ranking_losses(
    scores: Tensor,
    ranks: Tensor,
    groups: Tensor,
    prompts: int,
    margin: float | Tensor = 0.0,
    label_smoothing: float = 0.0,
    centering: float = 0.0,
) -> Tensor:
    """Return `ranking_loss` for several prompts at once, [prompts].

    Args:
        scores: Raw logits of all responses, [R].
        ranks: Their ranks within their prompt, [R].
        groups: The number of each response's prompt, 0 to prompts - 1, [R].
        prompts: How many prompts there are; each has two responses or more.
        margin: A number, or [prompts] for all pairs of a prompt.
        label_smoothing: As in `ranking_loss`.
        centering: As in `ranking_loss`.

    Raises:
        ValueError: The label smoothing is outside its range.
    """
    if not 0 <= label_smoothing < 0.5:
        raise ValueError(f"label_smoothing is in [0, 0.5), got {label_smoothing}")
    scores = scores if scores.dtype == torch.float64 else scores.float()
    first, second = _pairs(groups)
    better = torch.where(ranks[first] <= ranks[second], first, second)
    worse = first + second - better
    tied = ranks[first] == ranks[second]
    difference = scores[better] - scores[worse]
    prompt = groups[first]
    by = torch.as_tensor(margin, dtype=scores.dtype, device=scores.device).expand(prompts)[prompt]
    win = torch.where(tied, scores.new_tensor(0.5), 1.0 - label_smoothing)
    h = difference - torch.where(tied, 0.0, by)
    losses = -win * logsigmoid(h) - (1 - win) * logsigmoid(-h)
    if centering:
        losses = losses + centering * (scores[better] + scores[worse]) ** 2
    total = losses.new_zeros(prompts).index_add(0, prompt, losses)
    count = losses.new_zeros(prompts).index_add(0, prompt, torch.ones_like(losses))
    return total / count


def step_loss(logits: Tensor, labels: Tensor | Sequence[float | None], wrong_weight: float = 1.0) -> Tensor:
    """Return the mean cross-entropy of steps that are right or wrong, over the labelled ones.

    A step of label y and probability p of being right adds `-(y log p + w (1 - y) log(1 - p))`, and the sum
    is divided by the sum of `y + w (1 - y)`: token classification's cross-entropy with class weights (w, 1),
    for soft labels too.

    Args:
        logits: Two raw logits of each step, wrong then right, [..., 2]; or their difference, the log-odds
            that it is right, of the labels' own shape.
        labels: 1 right, 0 wrong, between for soft labels, [...]; NaN, -100 or None where there is none.
        wrong_weight: The weight w of a wrong step, 0 or more.

    Returns:
        A scalar in float32; in float64 where the logits are.

    Raises:
        ValueError: No step is labelled, a label is outside [0, 1], or the shapes do not agree.

    Source: Lightman et al. (arXiv 2305.20050), section 2.6; soft: Math-Shepherd (2312.08935), equation 2.
    """
    losses, weights = step_losses(logits, labels, wrong_weight)
    if not float(weights.sum()) > 0:
        raise ValueError("no step is labelled, or those that are weigh nothing, so that there is no loss")
    return losses.sum() / weights.sum()


def step_losses(
    logits: Tensor, labels: Tensor | Sequence[float | None], wrong_weight: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return each step's weighted loss and its weight, of the labels' shape; both 0 where there is no label.

    Args:
        logits: As in `step_loss`.
        labels: As in `step_loss`.
        wrong_weight: As in `step_loss`.

    Raises:
        ValueError: A label is outside [0, 1], or the shapes do not agree.
    """
    if not 0 <= wrong_weight < math.inf:
        raise ValueError(f"wrong_weight is a number of 0 or more, got {wrong_weight}")
    logits = logits if logits.dtype == torch.float64 else logits.float()
    target = _labels(labels, logits)
    if logits.shape == (*target.shape, 2):
        log_odds = logits[..., 1] - logits[..., 0]
    elif logits.shape == target.shape:
        log_odds = logits
    else:
        raise ValueError(f"logits are [..., 2] or labels' shape; got {[*logits.shape]} and {[*target.shape]}")
    there = ~(target.isnan() | (target == IGNORED))
    known = torch.where(there, target, 0.0)
    if bool(((known < 0) | (known > 1)).any()):
        raise ValueError("a step's label is in [0, 1], or NaN, None or -100 where there is none")
    # A missing label and its logits must not put NaN into the gradient either.
    z = torch.where(there, log_odds, 0.0)
    losses = -(known * logsigmoid(z) + wrong_weight * (1 - known) * logsigmoid(-z)) * there
    return losses, (known + wrong_weight * (1 - known)) * there


def aspect_loss(
    outputs: Tensor,
    labels: Tensor | Sequence[Sequence[float | None]],
    objective: Literal["regression", "error"] = "regression",
) -> Tensor:
    """Return the mean loss of several aspects' heads, over the labels that are not missing.

    Args:
        outputs: Raw outputs, [..., K].
        labels: [..., K]; NaN or None where there is none. For `error`, 1 without a fault and 0 with one, or
            between.
        objective: `regression`: squared error. `error`: cross-entropy of the log-odds that there is no fault.

    Returns:
        A scalar in float32; in float64 where the outputs are.

    Raises:
        ValueError: There is no label, one is outside [0, 1] for `error`, or the shapes do not agree.
    """
    losses, there = aspect_losses(outputs, labels, objective)
    if not bool(there.any()):
        raise ValueError("no aspect is labelled, so that there is no loss")
    return losses.sum() / there.sum()


def aspect_losses(
    outputs: Tensor, labels: Tensor | Sequence[Sequence[float | None]], objective: str = "regression"
) -> tuple[Tensor, Tensor]:
    """Return each label's loss, 0 where it is missing, and the mask of present labels; both [..., K].

    Raises:
        ValueError: As in `aspect_loss`, but for labels that are all missing.
    """
    outputs = outputs if outputs.dtype == torch.float64 else outputs.float()
    target = _labels(labels, outputs)
    if outputs.shape != target.shape:
        raise ValueError(f"outputs and labels are both [..., K]; got {[*outputs.shape]}, {[*target.shape]}")
    present = ~target.isnan()
    known, predicted = torch.where(present, target, 0.0), torch.where(present, outputs, 0.0)
    if objective == "regression":
        return (predicted - known) ** 2 * present, present
    if objective != "error":
        raise ValueError(f"objective is regression or error, got {objective!r}")
    if bool(((known < 0) | (known > 1)).any()):
        raise ValueError("a label of objective error is in [0, 1]: 1 without a fault, 0 with one")
    return binary_cross_entropy_with_logits(predicted, known, reduction="none") * present, present


def _labels(labels: Tensor | Sequence[object], like: Tensor) -> Tensor:
    """Return labels as a tensor of another's format and device, NaN in place of None."""
    if isinstance(labels, Tensor):
        return labels.to(like)
    return torch.from_numpy(np.asarray(labels, dtype=object).astype(np.float64)).to(like)  # None becomes NaN


def _pairs(groups: Tensor) -> tuple[Tensor, Tensor]:
    """Return the indices of every pair of responses to one prompt, each pair once."""
    same = torch.triu(groups[:, None] == groups[None, :], diagonal=1)
    first, second = same.nonzero(as_tuple=True)
    return first, second
