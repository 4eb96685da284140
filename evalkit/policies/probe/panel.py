"""The panel of metrics of a policy run: rewards, KL, length, perplexity, entropy and repetition."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rewards.errors import DataError, ModelError

Floats = NDArray[np.floating]
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of each reward, by linear interpolation between its sorted values."""
NGRAM = 3
"""Tokens of what counts as said again: two recur by grammar alone, and loops of a phrase have three."""


@dataclass(frozen=True, slots=True, eq=False)
class SampledResponse:
    """One response with its tokens' log-probabilities under policy and reference (nats, temperature 1)."""

    tokens: tuple[int, ...]
    """As sampled, EOS included."""
    log_probs: Floats
    """[T] under the policy."""
    reference_log_probs: Floats
    """[T] under the reference."""
    entropies: Floats
    """[T] of the policy's distribution of each token; empty where not known."""
    finished: bool
    """It ended by itself, and was not truncated."""


def panel(
    samples: Sequence[SampledResponse],
    rewards: Mapping[str, Sequence[float]],
    prompts: Sequence[int] | None = None,
) -> dict[str, float]:
    """Return the metrics of sampled responses; a key is left out where there is no number.

    | key | meaning |
    |---|---|
    | NAME, NAME_q05 .. NAME_q95 | mean and quantiles of each reward |
    | kl | sum over a response's tokens of log policy - log reference (k1), mean over responses, nats |
    | kl_k3 | the same of k3 = exp(-k1) - 1 + k1, which is never negative (Schulman, "Approximating KL") |
    | length, length_q95 | tokens of a response, the ending one included |
    | perplexity | exp(-total log-probability / total tokens) under the reference; falls in collapse |
    | policy_perplexity | the same under the policy |
    | entropy | of the policy's next-token distribution, mean over tokens, nats |
    | repetition | share of a response's 3-grams of tokens that occurred in it before; mean over responses |
    | finished | share of responses that ended by themselves |

    A response of fewer than 3 tokens repeats nothing: 0. `NAME_se`, `kl_se`, `kl_k3_se`, `length_se`,
    `perplexity_se`, `entropy_se`, `repetition_se` and `finished_se` are standard errors over prompts, from
    two prompts on. Both kinds of KL are unbiased where responses were sampled at temperature 1 from the whole
    distribution, and describe the samples where not.

    Args:
        samples: Responses, [n].
        rewards: By name, [n] each.
        prompts: Prompt index of each response, so that standard errors cluster by prompt; None gives each
            response a prompt of its own.

    Raises:
        DataError: Lengths differ.
        ModelError: A log-probability is NaN: the weights have diverged.
    """
    groups = np.arange(len(samples)) if prompts is None else np.unique(prompts, return_inverse=True)[1]
    _check(samples, rewards, len(groups))
    if not samples:
        return {}
    metrics: dict[str, float] = {}
    for name, values in rewards.items():
        reward = np.asarray(values, dtype=np.float64)
        metrics |= _mean(name, reward, groups)
        cuts = np.quantile(reward, QUANTILES).tolist()
        metrics |= {
            f"{name}_q{round(100 * share):02}": cut for share, cut in zip(QUANTILES, cuts, strict=True)
        }
    lengths = np.array([len(response.tokens) for response in samples], dtype=np.float64)
    ratios = [
        response.log_probs.astype(float) - response.reference_log_probs.astype(float) for response in samples
    ]
    with np.errstate(over="ignore"):  # a k3 beyond all numbers is left out below
        metrics |= _mean("kl", _sums(ratios), groups)
        metrics |= _mean("kl_k3", _sums([np.expm1(-ratio) + ratio for ratio in ratios]), groups)
    metrics |= _mean("length", lengths, groups)
    metrics["length_q95"] = float(np.quantile(lengths, 0.95))
    metrics |= _perplexity(
        "perplexity", _sums([response.reference_log_probs for response in samples]), lengths, groups
    )
    metrics |= _perplexity(
        "policy_perplexity", _sums([response.log_probs for response in samples]), lengths, groups
    )
    del metrics["policy_perplexity_se"]
    if all(len(response.entropies) == len(response.tokens) for response in samples):
        metrics |= _ratio("entropy", _sums([response.entropies for response in samples]), lengths, groups)
    metrics |= _mean("repetition", np.array([repetition(response.tokens) for response in samples]), groups)
    metrics |= _mean("finished", np.array([float(response.finished) for response in samples]), groups)
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def repetition(tokens: Sequence[int]) -> float:
    """Return the share of a response's 3-grams that occurred in it before; 0 of fewer than 3 tokens."""
    grams = [tuple(tokens[at : at + NGRAM]) for at in range(len(tokens) - NGRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _check(samples: Sequence[SampledResponse], rewards: Mapping[str, Sequence[float]], groups: int) -> None:
    for name, count in {"prompts": groups, **{name: len(values) for name, values in rewards.items()}}.items():
        if count != len(samples):
            raise DataError(f"{name}: {count} of {len(samples)} responses")
    for number, sample in enumerate(samples, 1):
        sizes = {len(sample.tokens), len(sample.log_probs), len(sample.reference_log_probs)}
        if len(sizes) > 1 or len(sample.entropies) not in (0, len(sample.tokens)):
            raise DataError(f"response {number}: {len(sample.tokens)} tokens, and another number of figures")
        if np.isnan(sample.log_probs).any() or np.isnan(sample.reference_log_probs).any():
            raise ModelError(
                f"response {number}: a log-probability is NaN, so that the weights of the policy or of its "
                "reference are no numbers any more; go on from an earlier checkpoint with a lower rate"
            )


def _sums(parts: Sequence[Floats]) -> NDArray[np.float64]:
    return np.array([part.sum(dtype=np.float64) for part in parts])


def _mean(name: str, values: NDArray[np.float64], groups: NDArray[np.int64]) -> dict[str, float]:
    return _ratio(name, values, np.ones(len(values)), groups)


def _perplexity(
    name: str, totals: NDArray[np.float64], lengths: NDArray[np.float64], groups: NDArray[np.int64]
) -> dict[str, float]:
    """Return exp of the mean negative log-probability; its standard error by the delta method."""
    log_perplexity = _ratio("", -totals, lengths, groups)
    with np.errstate(over="ignore"):
        value = float(np.exp(log_perplexity.get("", math.nan)))
    return {name: value, f"{name}_se": value * log_perplexity.get("_se", math.nan)}


def _ratio(
    name: str, totals: NDArray[np.float64], sizes: NDArray[np.float64], groups: NDArray[np.int64]
) -> dict[str, float]:
    """Return sum of totals / sum of sizes with its standard error over groups, by linearisation.

    With sizes 1 and groups of one, that is the mean and its usual standard error, sd (ddof 1) / sqrt(n).
    """
    if not sizes.sum():
        return {}
    value = totals.sum() / sizes.sum()
    if not np.isfinite(value):
        return {name: float(value)}
    residuals = np.bincount(groups, weights=totals - value * sizes)
    if len(residuals) < 2:
        return {name: float(value)}
    error = np.sqrt((residuals**2).sum() * len(residuals) / (len(residuals) - 1)) / sizes.sum()
    return {name: float(value), f"{name}_se": float(error)}
