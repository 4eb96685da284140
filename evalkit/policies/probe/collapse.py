"""Detects the known signs of policy collapse and overoptimization in a run's panels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Panel = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class CollapseThresholds:
    """Thresholds at which a change since the start of the run is a sign of collapse.

    The signs are those that Secrets of RLHF I (Zheng et al. 2023, 2307.04964, section 5.2) watches: longer
    responses, lower perplexity, a long-tailed reward, beside KL; and overoptimization as Gao et al. 2022
    (2210.10760) measure it. None gives numbers: these are far outside what probes of 64 prompts vary by, and
    inside what collapsed runs show.
    """

    noise: float = 3.0
    """Standard errors that a difference must exceed, where the panels have them: the errors are those of
    a few dozen responses of uneven length themselves, and eight signs are looked for in every probe."""
    gold_noise: float = 2.0
    """The same for gold and proxy, which both have to move, and apart; probes share prompts and random
    numbers, so that their differences vary by less than their errors say."""
    longer: float = 1.5
    """Length over that of the start: the usual effect of a reward's length bias."""
    shorter: float = 0.5
    """Length over that of the start: degenerate short answers."""
    cross_entropy: float = 0.6
    """Log-perplexity under the reference over that of the start: text that predictable is formulaic.
    Of the logarithm, as a third of perplexity is little at 100 and all there is at 1.5."""
    tail: float = 2.5
    """The further of q05 and q95 from the median, over q75 - q25: 1.2 if normal, 2.1 if exponential."""
    tail_growth: float = 1.5
    """That ratio over the start's: some rewards have a tail from the first."""
    kl_floor: float = 10.0
    """Nats per response below which KL is never a sign: best of 10,000 costs 8."""
    kl_per_token: float = 1.0
    """Nats per token: the reference gives every such token 1/e of the policy's probability."""
    entropy: float = 0.25
    """Entropy over that of the start: too little is left to explore."""
    repetition: float = 0.2
    """Rise of the share of repeated 3-grams; stories and answers have a few hundredths."""
    finished: float = 0.5
    """Share of responses that end by EOS over that of the start."""


DEFAULT = CollapseThresholds()


def signs_of_collapse(history: Sequence[Panel], thresholds: CollapseThresholds = DEFAULT) -> list[str]:
    """Return the signs of collapse at a run's latest step, in words, each with its numbers.

    The text before the first colon names the sign; numbers come after it.

    Args:
        history: Panels (`evalkit.policies.probe.panel.panel`) over the run, the first of its start; `step` in
            them is named where present, and a sign whose keys are missing is skipped.
        thresholds: The thresholds.
    """
    if len(history) < 2:
        return []
    first, last = history[0], history[-1]
    signs = [
        _length(first, last, thresholds),
        _perplexity(first, last, thresholds),
        _tail(history, thresholds),
        _kl(history, thresholds),
        _overoptimized(history, thresholds),
        _entropy(first, last, thresholds),
        _repetition(first, last, thresholds),
        _unfinished(first, last, thresholds),
    ]
    return [sign for sign in signs if sign]


def _length(first: Panel, last: Panel, thresholds: CollapseThresholds) -> str:
    if not _moved("length", first, last, thresholds.noise) or not first["length"]:
        return ""
    growth = last["length"] / first["length"]
    change = f"{first['length']:.4g} to {last['length']:.4g} tokens{_when(first, last)}"
    if growth >= thresholds.longer:
        return f"responses grow longer: {change}; see whether the reward pays for length"
    if growth <= thresholds.shorter:
        return f"responses grow shorter: {change}"
    return ""


def _perplexity(first: Panel, last: Panel, thresholds: CollapseThresholds) -> str:
    if not _moved("perplexity", first, last, thresholds.noise) or first["perplexity"] <= 1:
        return ""
    if math.log(last["perplexity"]) > thresholds.cross_entropy * math.log(first["perplexity"]):
        return ""
    return (
        f"perplexity under the reference falls: {first['perplexity']:.4g} to "
        f"{last['perplexity']:.4g}{_when(first, last)}; responses become formulaic"
    )


def _tail(history: Sequence[Panel], thresholds: CollapseThresholds) -> str:
    """Return a sign if the last two panels have a long tail: quantiles of a few dozen responses are noisy."""
    before, previous, after = (_tail_ratio(panel) for panel in (history[0], history[-2], history[-1]))
    if before is None or previous is None or after is None:
        return ""
    if min(previous, after) < max(thresholds.tail, thresholds.tail_growth * before):
        return ""
    return (
        f"the reward grows a long tail: its far end is {before:.2f} to {after:.2f} times as far from the "
        f"median as the quartiles from each other{_when(history[0], history[-1])}"
    )


def _tail_ratio(panel: Panel) -> float | None:
    """Return the larger distance of q05 and q95 of the proxy from its median, in interquartile ranges.

    Its standard error is subtracted: q95 of a normal distribution has 2.1 times that of the mean.
    """
    if "proxy_q50" not in panel:
        return None
    middle = panel["proxy_q75"] - panel["proxy_q25"]
    far = max(panel["proxy_q95"] - panel["proxy_q50"], panel["proxy_q50"] - panel["proxy_q05"])
    return (far - 2.1 * panel.get("proxy_se", 0.0)) / middle if middle > 0 else None


def _kl(history: Sequence[Panel], thresholds: CollapseThresholds) -> str:
    first, last = history[0], history[-1]
    if not _moved("kl", first, last, thresholds.noise) or last["kl"] < thresholds.kl_floor:
        return ""
    sign = f"KL explodes: {first['kl']:.4g} to {last['kl']:.4g} nats a response{_when(first, last)}"
    per_token = last["kl"] / last["length"] if last.get("length") else 0.0
    if per_token >= thresholds.kl_per_token:
        return f"{sign}, {per_token:.2f} a token"
    before = [panel["kl"] for panel in history[:-1] if "kl" in panel]
    leap = last["kl"] - max(before)
    # Two probes that grew before it: the first leap from 0 is how every run begins.
    if len(before) >= 3 and leap > thresholds.kl_floor and leap > max(before) - before[0]:
        return f"{sign}, of which {leap:.4g} since the last look"
    return ""


def _overoptimized(history: Sequence[Panel], thresholds: CollapseThresholds) -> str:
    """Return a sign if gold is below its peak while the proxy is above its value there."""
    known = [panel for panel in history if {"gold", "gold_se", "proxy", "proxy_se"} <= panel.keys()]
    if len(known) < 2 or known[-1] is not history[-1]:
        return ""
    peak, last = max(known, key=lambda panel: panel["gold"]), known[-1]
    noise = thresholds.gold_noise
    moved = _moved("gold", peak, last, noise) and _moved("proxy", peak, last, noise)
    if not moved or last["proxy"] <= peak["proxy"]:
        return ""
    return (
        f"gold falls while the proxy rises: gold {peak['gold']:.4g} to {last['gold']:.4g}, proxy "
        f"{peak['proxy']:.4g} to {last['proxy']:.4g}{_when(peak, last)}; the proxy is overoptimised"
    )


def _entropy(first: Panel, last: Panel, thresholds: CollapseThresholds) -> str:
    if not _moved("entropy", first, last, thresholds.noise) or first["entropy"] <= 0:
        return ""
    if last["entropy"] > thresholds.entropy * first["entropy"]:
        return ""
    change = f"{first['entropy']:.3g} to {last['entropy']:.3g} nats a token{_when(first, last)}"
    return f"entropy is gone: {change}"


def _repetition(first: Panel, last: Panel, thresholds: CollapseThresholds) -> str:
    if not _moved("repetition", first, last, thresholds.noise):
        return ""
    if last["repetition"] - first["repetition"] < thresholds.repetition:
        return ""
    return (
        f"responses repeat themselves: {first['repetition']:.0%} to {last['repetition']:.0%} of 3-grams "
        f"stood in them before{_when(first, last)}"
    )


def _unfinished(first: Panel, last: Panel, thresholds: CollapseThresholds) -> str:
    if not _moved("finished", first, last, thresholds.noise):
        return ""
    if last["finished"] > thresholds.finished * first["finished"]:
        return ""
    return (
        f"responses do not end by themselves: {first['finished']:.0%} to {last['finished']:.0%} "
        f"do{_when(first, last)}"
    )


def _moved(name: str, before: Panel, after: Panel, noise: float) -> bool:
    """Return whether a metric is in both panels and changed by more than so many standard errors."""
    if name not in before or name not in after:
        return False
    errors = [panel.get(f"{name}_se", 0.0) for panel in (before, after)]
    return abs(after[name] - before[name]) > noise * math.hypot(*errors)


def _when(before: Panel, after: Panel) -> str:
    if "step" not in before or "step" not in after:
        return ""
    return f" (steps {before['step']:.0f} to {after['step']:.0f})"
