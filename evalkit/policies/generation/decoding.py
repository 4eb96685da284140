"""Decoding: one prefill a prompt, its KV cache shared by the samples; finished rows leave the batch."""

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel

from evalkit.policies.generation.cache import cache_argument, growing_cache
from evalkit.policies.generation.randomness import uniforms
from evalkit.policies.policy import SamplingConfig
from rewards.errors import ModelError

COMPACTION = 0.875
"""Finished rows leave once at most this share of a batch still writes; sooner, copying would cost more."""


@dataclass(slots=True)
class Sample:
    """One response being decoded: its prompt's index in the prefill, its random key, its tokens so far."""

    place: int
    key: np.uint64
    limit: int
    tokens: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    finish_reason: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """When a response ends: at one of `tokens`, or when `stopped` says that its prompt and tokens do."""

    tokens: frozenset[int]
    stopped: Callable[[Sequence[Sequence[int]], Sequence[Sequence[int]]], list[bool]] | None = None


@dataclass(frozen=True, slots=True)
class Prefill:
    """Prefilled prompts: their keys and values, and the logits of the next token.

    `prompts` are padded on the left to one length; `mask` [prompts, length] is None where none needs it.
    """

    prompts: list[list[int]]
    cache: DynamicCache
    logits: torch.Tensor
    mask: torch.Tensor | None


@torch.inference_mode()
def prefill(model: PreTrainedModel, prompts: list[list[int]]) -> Prefill:
    """Run the prompts through the model once.

    Args:
        model: A causal language model.
        prompts: Tokens of each; of one length where `can_pad` is false.
    """
    longest = max(map(len, prompts))
    padded = [[0] * (longest - len(prompt)) + prompt for prompt in prompts]
    mask = None
    if any(len(prompt) < longest for prompt in prompts):
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
        mask = (torch.arange(longest, device=model.device) >= longest - lengths[:, None]).long()
    cache = growing_cache(model.config)
    logits = _forward(model, torch.tensor(padded, device=model.device), cache, mask)
    return Prefill(prompts, cache, logits, mask)


@torch.inference_mode()
def decode(
    model: PreTrainedModel,
    prefilled: Prefill,
    samples: list[Sample],
    ending: Ending,
    settings: SamplingConfig,
) -> None:
    """Decode samples as a batch until all end; each gets its tokens, log-probabilities and finish reason.

    Args:
        model: The model that read the prompts.
        prefilled: The prompts; not changed, so that other samples can start from it.
        samples: Empty samples of those prompts.
        ending: When a response ends, beside its most tokens.
        settings: How tokens are chosen.

    Raises:
        ModelError: The model's logits are NaN or infinite.
    """
    places = torch.tensor([sample.place for sample in samples], device=model.device)
    cache = copy.deepcopy(prefilled.cache)
    _take(cache, places)
    logits = prefilled.logits[places]
    mask = None if prefilled.mask is None else prefilled.mask[places]
    rows: list[Sample] = list(samples)
    step = 0
    while True:
        tokens, log_probs = _choose(logits, rows, step, settings)
        _write(rows, tokens.tolist(), log_probs, ending, prefilled.prompts)
        step += 1
        live = [i for i, row in enumerate(rows) if not row.finish_reason]
        if not live:
            return
        if len(live) <= COMPACTION * len(rows):
            kept = torch.tensor(live, device=model.device)
            _take(cache, kept)
            tokens = tokens[kept]
            mask = None if mask is None else mask[kept]
            rows = [rows[i] for i in live]
        if mask is not None:
            mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        logits = _forward(model, tokens[:, None], cache, mask)


def _take(cache: DynamicCache, rows: torch.Tensor) -> None:
    """Set row i of the cache to the former row `rows[i]`; rows may repeat or be left out."""
    cache.reorder_cache(rows)  # type: ignore[arg-type]  # an index of dtype int64 is what a LongTensor is


def _forward(
    model: PreTrainedModel, tokens: torch.Tensor, cache: DynamicCache, mask: torch.Tensor | None
) -> torch.Tensor:
    """Return the logits after the last token [rows, vocabulary] and extend the cache."""
    accepted = inspect.signature(model.forward).parameters
    knobs: dict[str, object] = {cache_argument(model): cache}
    if "logits_to_keep" in accepted:
        knobs["logits_to_keep"] = 1
    if mask is not None:
        knobs["attention_mask"] = mask
        if "position_ids" in accepted:
            positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)
            knobs["position_ids"] = positions[:, -tokens.shape[1] :]
    output = model(input_ids=tokens, use_cache=True, **knobs)
    logits: torch.Tensor = output.logits[:, -1]
    return logits


def _choose(
    logits: torch.Tensor, rows: Sequence[Sample], step: int, settings: SamplingConfig
) -> tuple[torch.Tensor, list[float]]:
    """Return each row's next token, and its log-probability if requested."""
    if settings.temperature == 0:
        tokens = likeliest(logits)
    else:
        keys: NDArray[np.uint64] = np.array([row.key for row in rows], dtype=np.uint64)
        chances = torch.from_numpy(uniforms(keys, step)).to(logits.device)
        weights = token_weights(logits, settings.temperature, settings.top_k, settings.top_p)
        tokens = draw(weights, chances)
    if int(tokens.max()) >= logits.shape[-1]:  # every comparison with NaN is false, so nothing is chosen
        raise ModelError("the model's logits are not numbers; load it with ?dtype=float32")
    return tokens, token_log_probs(logits, tokens).tolist() if settings.log_probs else []


def _write(
    rows: Sequence[Sample],
    tokens: Sequence[int],
    log_probs: Sequence[float],
    ending: Ending,
    prompts: Sequence[Sequence[int]],
) -> None:
    """Append each unfinished row's token, and finish the rows that it ends."""
    writing = []
    for i, (row, token) in enumerate(zip(rows, tokens, strict=True)):
        if row.finish_reason:
            continue
        row.tokens.append(token)
        if log_probs:
            row.log_probs.append(log_probs[i])
        if token in ending.tokens:
            row.finish_reason = "eos"
        else:
            writing.append(row)
    if ending.stopped is not None and writing:
        stops = ending.stopped([prompts[row.place] for row in writing], [row.tokens for row in writing])
        for row, stops_here in zip(writing, stops, strict=True):
            row.finish_reason = "stop" if stops_here else ""
    for row in writing:
        if not row.finish_reason and len(row.tokens) >= row.limit:
            row.finish_reason = "length"


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
