"""Next tokens from logits: temperature, top-k, top-p, and the inverse distribution function."""

import torch


def token_weights(
    logits: torch.Tensor, temperature: float, top_k: int = 0, top_p: float = 1.0
) -> torch.Tensor:
    """Return the distribution that tokens are sampled from, up to a factor per row.

    Args:
        logits: Shape [rows, vocabulary].
        temperature: Above 0; divides the logits.
        top_k: Keep exactly this many of the likeliest tokens; 0 keeps all. Of tokens equally likely the
            lowest-numbered come first.
        top_p: Of what is left, renormalised, keep the fewest likeliest tokens whose probability reaches this.

    Returns:
        Weights from 0 to 1, where 1 is the likeliest token and 0 one that is not kept; float64, same shape.
    """
    logits = logits.double()
    weights = torch.exp((logits - logits.amax(dim=-1, keepdim=True)) / temperature)
    if 0 < top_k < weights.shape[-1]:
        weights = weights * _among_top(weights, top_k)
    if top_p < 1:
        ranked, order = torch.sort(weights, dim=-1, descending=True, stable=True)
        before = ranked.cumsum(dim=-1) - ranked
        kept = before < top_p * ranked.sum(dim=-1, keepdim=True)
        weights = weights * torch.zeros_like(kept).scatter_(-1, order, kept)
    return weights


def draw(weights: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Return the token at which the cumulative weight, in order of token number, passes `uniform * total`.

    Args:
        weights: Shape [rows, vocabulary], float64, not negative.
        uniforms: Shape [rows], float64, in [0, 1).

    Returns:
        Token numbers, shape [rows], int64; never one of weight 0.
    """
    cumulative = weights.cumsum(dim=-1)
    target = uniforms[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, target, right=True).squeeze(-1)


def likeliest(logits: torch.Tensor) -> torch.Tensor:
    """Return the token of the highest logit, the lowest-numbered of equals; shape [rows], int64."""
    highest = logits == logits.amax(dim=-1, keepdim=True)
    # argmax may return any of several maxima; the first True is where the count of them turns 1.
    return (highest.to(torch.int32).cumsum(dim=-1) < 1).sum(dim=-1)


def token_log_probs(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return the untempered log-probability of one token a row, in nats; shape [rows], float32."""
    logits = logits.float()
    return logits.gather(-1, tokens[:, None]).squeeze(-1) - torch.logsumexp(logits, dim=-1)


def _among_top(weights: torch.Tensor, k: int) -> torch.Tensor:
    """Return which are the k largest of each row, of equals the first; shape of `weights`, bool."""
    least = torch.topk(weights, k, dim=-1).values[:, -1:]
    above, equal = weights > least, weights == least
    room = k - above.sum(dim=-1, keepdim=True)
    return above | (equal & (equal.cumsum(dim=-1) <= room))
