"""From the runs of the fine-grained PPO experiment to tables: curves, ends, gold at equal KL, differences."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.experiments.fine_grained_ppo.config import AT_THE_END, BOUND, BOUND_DENSE, DENSE, HOLISTIC, WARM
from evalkit.experiments.fine_grained_ppo.steps import FineGrainedPpoTrial
from evalkit.experiments.ppo_max.tables import gold_at
from evalkit.testbeds.facts import ASPECTS

Row = dict[str, object]

LOOKED_AT = (
    "proxy", "proxy_se", *(f"proxy/{name}" for name in ASPECTS), "gold", "gold_se",
    *(f"gold/{name}" for name in ASPECTS), "kl", "kl_se", "kl_k3", "perplexity", "length", "entropy",
    "repetition", "finished",
)  # fmt: skip
"""Of each look at the held-out prompts; what a reward gives no aspects for stays empty."""
PROMISED = tuple(f"proxy_{name}" for name in ASPECTS)
"""What the reward itself says of each aspect."""
EQUAL_KL = (1.0, 2.0, 4.0)
"""Nats a response at which gold is compared."""
COMPARED = (
    (DENSE, AT_THE_END),
    (WARM, DENSE),
    (WARM, AT_THE_END),
    (BOUND_DENSE, BOUND),
    (DENSE, HOLISTIC),
    (AT_THE_END, HOLISTIC),
    (DENSE, "ratings"),
    (AT_THE_END, "ratings"),
)
"""What is told as a difference: the first less the second, seed by seed."""


def curve_rows(trial: FineGrainedPpoTrial) -> Iterator[Row]:
    """Yield a row a look of every run of a seed."""
    for name in trial.rewards:
        folder = Path(trial.run(name).out)
        episodes = {line["step"]: line["episodes"] for line in _lines(folder / "metrics.jsonl")}
        for look in _lines(folder / "probe.jsonl"):
            row: Row = {"reward": name, "seed": trial.seed, "step": look["step"]}
            row["episodes"] = episodes.get(look["step"], 0)
            for key in LOOKED_AT:
                told = look.get(f"probe_{key}")
                row[key.removeprefix("gold/").replace("/", "_")] = None if told is None else _rounded(told)
            yield row


def summary_rows(curves: Sequence[Row], rewards: Sequence[str], seeds: Sequence[int]) -> Iterator[Row]:
    """Yield a row for each reward and measure: mean over its seeds, and each seed's."""
    for name in rewards:
        for measure, own in _measured(curves, name, seeds).items():
            yield {"reward": name, "measure": measure, **_over_seeds(own)}


def difference_rows(curves: Sequence[Row], rewards: Sequence[str], seeds: Sequence[int]) -> Iterator[Row]:
    """Yield for each comparison and measure the difference, seed by seed, as both share a seed's models."""
    for name, beyond in COMPARED:
        if not {name, beyond} <= set(rewards):
            continue
        first, second = (_measured(curves, one, seeds) for one in (name, beyond))
        for measure, own in first.items():
            gaps = {seed: value - second[measure][seed] for seed, value in own.items()}
            yield {"reward": name, "beyond": beyond, "measure": measure, **_over_seeds(gaps)}


def _measured(curves: Sequence[Row], name: str, seeds: Sequence[int]) -> dict[str, dict[int, float]]:
    """Return what is compared, by measure and then by seed, of the seeds that a reward was optimised on."""
    found: dict[str, dict[int, float]] = {}
    for seed in seeds:
        looks = [row for row in curves if (row["reward"], row["seed"]) == (name, seed)]
        for measure, value in (_measures(looks) if looks else {}).items():
            found.setdefault(measure, {})[seed] = value
    return found


def _measures(looks: Sequence[Row]) -> dict[str, float]:
    """Return what is compared of one run; NaN where it has none."""
    gold, kl = (np.array([_number(row, key) for row in looks]) for key in ("gold", "kl"))
    ends = ("gold", *ASPECTS, "proxy", *PROMISED, "kl", "length", "entropy", "repetition")
    return {
        "start_gold": float(gold[0]),
        **{f"final_{key}": _number(looks[-1], key) for key in ends},
        "best_gold": float(gold.max()),
        "mean_gold": float(gold[1:].mean()),
        **{f"gold_at_kl_{level:g}": gold_at(kl, gold, level) for level in EQUAL_KL},
    }


def _over_seeds(values: Mapping[int, float]) -> Row:
    """Return the mean and each seed's value; a measure that a seed lacks has no mean."""
    mean = float(np.mean(list(values.values())))
    return {"mean": _rounded(mean), **{f"seed_{seed}": _rounded(value) for seed, value in values.items()}}


def _lines(path: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _number(row: Row, name: str) -> float:
    value = row.get(name)
    return math.nan if value is None else float(str(value))


def _rounded(value: float) -> float | None:
    """Return a number as tables have it; None for one that is none."""
    return None if math.isnan(value) else float(f"{value:.5g}")
