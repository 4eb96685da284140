"""K-way Bradley-Terry: tensors in, tensors out."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


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
        margin: By how much the better should win, in logits; a number or a scalar tensor.
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


def _pairs(groups: Tensor) -> tuple[Tensor, Tensor]:
    """Return the indices of every pair of responses to one prompt, each pair once."""
    same = torch.triu(groups[:, None] == groups[None, :], diagonal=1)
    first, second = same.nonzero(as_tuple=True)
    return first, second
