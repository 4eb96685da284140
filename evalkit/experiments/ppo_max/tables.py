"""From the runs of the PPO-max experiment to tables: curves, ends and bests, gold at equal KL."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from evalkit.experiments.ppo_max.config import FULL
from evalkit.experiments.ppo_max.steps import PpoMaxTrial
from rewards.files import preference, read_rows
from rewards.records import Generation
from rewards.scorer import load_scorer

Row = dict[str, object]
Line = Mapping[str, Any]

LOOKED_AT = (
    "proxy", "proxy_se", "gold", "gold_se", "kl", "kl_se", "kl_k3", "kl_k3_se", "perplexity",
    "policy_perplexity", "length", "length_q95", "entropy", "repetition", "finished",
)  # fmt: skip
"""Of each look at the held-out prompts."""
LEARNT = (
    "value_error", "explained_variance", "clip_fraction", "old_new_kl", "policy_loss", "value_loss",
    "ptx_loss", "gradient_norm", "critic_gradient_norm", "kl_coefficient", "reward_scaled",
)  # fmt: skip
"""Of the rounds since the look before, in which the policy learnt: their means."""
LATE = ("gold", "proxy", "kl", "perplexity", "length", "entropy", "repetition")
"""Of which the mean over the second half of a run's looks is told: one look at few responses is noisy."""
EQUAL_KL = (1.0, 1.5, 2.0, 5.0, 10.0)
"""Nats a response at which gold is compared."""
LEVEL = 0.95


def curve_rows(trial: PpoMaxTrial) -> Iterator[Row]:
    """Yield a row a look of every run of a seed."""
    for name in trial.variants:
        folder = trial.folder / name
        rounds = [line for line in _lines(folder / "metrics.jsonl") if line["phase"] == "policy"]
        before = 0
        for look in _lines(folder / "probe.jsonl"):
            step = int(look["step"])
            since = [line for line in rounds if before < line["step"] <= step]
            row: Row = {"variant": name, "seed": trial.seed, "step": step}
            row["episodes"] = since[-1]["episodes"] if since else 0
            row |= {key: _rounded(look[f"probe_{key}"]) for key in LOOKED_AT if f"probe_{key}" in look}
            row |= {key: _mean([line[key] for line in since if key in line]) for key in LEARNT}
            row["first_value_error"] = _rounded(since[0]["value_error"]) if since and not before else None
            row["warnings"] = "; ".join(text.partition(":")[0] for text in look["warnings"])
            yield row
            before = step


def summary_rows(curves: Sequence[Row], variants: Sequence[str], seeds: Sequence[int]) -> Iterator[Row]:
    """Yield a row for each variant and measure: mean and spread over seeds, and the difference to PPO-max.

    The interval of the difference is Student's over the seeds' own differences: each seed has its own models,
    which both variants share. A measure that a seed lacks, as gold at a KL not reached, has no mean.
    """
    found = {
        (name, seed): _measures([row for row in curves if row["variant"] == name and row["seed"] == seed])
        for name in variants
        for seed in seeds
    }
    for name in variants:
        for measure in found[name, seeds[0]]:
            own = [found[name, seed][measure] for seed in seeds]
            row: Row = {"variant": name, "measure": measure, **_spread(own)}
            if name != FULL and FULL in variants:
                gaps = [value - found[FULL, seed][measure] for value, seed in zip(own, seeds, strict=True)]
                row |= _interval(gaps)
            yield row | {f"seed_{seed}": _rounded(value) for seed, value in zip(seeds, own, strict=True)}


def agreement(folder: Path, model: str) -> float:
    """Return the share of a folder's held-out pairs that a reward model orders as gold does."""
    pairs = [preference(row) for row in read_rows(folder / "gold-pairs.jsonl")]
    scorer = load_scorer(model)
    chosen = scorer.score([Generation(pair.prompt, pair.chosen) for pair in pairs])
    rejected = scorer.score([Generation(pair.prompt, pair.rejected) for pair in pairs])
    return float(np.mean([good.value > bad.value for good, bad in zip(chosen, rejected, strict=True)]))


def _measures(looks: Sequence[Row]) -> dict[str, float]:
    """Return what is compared of one run; NaN where it has none."""
    curves = {key: np.array([_number(row, key) for row in looks]) for key in LATE}
    gold, kl = curves["gold"], curves["kl"]
    half = 1 + (len(looks) - 1) // 2
    best = int(gold.argmax())
    return {
        "start_gold": float(gold[0]),
        "best_gold": float(gold[best]),
        "best_episodes": _number(looks[best], "episodes"),
        "best_kl": float(kl[best]),
        "lowest_gold": float(gold[1:].min()),
        **{f"late_{key}": float(curve[half:].mean()) for key, curve in curves.items()},
        **{f"final_{key}": float(curve[-1]) for key, curve in curves.items()},
        "final_d": math.sqrt(max(0.0, float(kl[-1]))),
        "first_value_error": _number(looks[1], "first_value_error"),
        "mean_clip_fraction": float(np.mean([_number(row, "clip_fraction") for row in looks[1:]])),
        **{f"gold_at_kl_{level:g}": gold_at(kl, gold, level) for level in EQUAL_KL},
    }


def gold_at(kl: np.ndarray, gold: np.ndarray, level: float) -> float:
    """Return gold where KL first reaches a level, linear in d = sqrt(KL) between two looks; NaN if never.

    Args:
        kl: Of each look, [n], nats a response.
        gold: Of each look, [n].
        level: Above 0.
    """
    d = np.sqrt(np.maximum(kl, 0.0))
    wanted = math.sqrt(level)
    for place in range(1, len(d)):
        if d[place - 1] < wanted <= d[place]:
            share = (wanted - d[place - 1]) / (d[place] - d[place - 1])
            return float(gold[place - 1] + share * (gold[place] - gold[place - 1]))
    return math.nan


def _spread(values: Sequence[float]) -> Row:
    """Return mean, standard deviation (ddof 1) and ends over seeds."""
    measures: Mapping[str, Callable[[Sequence[float]], Any]] = {
        "mean": np.mean,
        "sd": lambda all_of: np.std(all_of, ddof=1) if len(all_of) > 1 else math.nan,
        "low": min,
        "high": max,
    }
    known = not any(map(math.isnan, values))
    return {name: _rounded(float(tell(values))) if known else None for name, tell in measures.items()}


def _interval(gaps: Sequence[float]) -> Row:
    """Return a mean difference and its interval over seeds; one seed has none."""
    mean = float(np.mean(gaps))
    error = float(np.std(gaps, ddof=1)) / math.sqrt(len(gaps)) if len(gaps) > 1 else math.nan
    half = float(t.ppf((1 + LEVEL) / 2, max(1, len(gaps) - 1))) * error
    return {
        "difference": _rounded(mean),
        "difference_low": _rounded(mean - half),
        "difference_high": _rounded(mean + half),
    }


def _lines(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _mean(values: Sequence[float]) -> float | None:
    return _rounded(float(np.mean(values))) if values else None


def _number(row: Row, name: str) -> float:
    value = row.get(name)
    return math.nan if value is None else float(str(value))


def _rounded(value: float) -> float | None:
    """Return a number as tables have it; None for one that is none."""
    return None if math.isnan(value) else float(f"{value:.5g}")
