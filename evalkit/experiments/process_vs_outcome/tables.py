"""The tables of process_vs_outcome: curves, paired differences, first errors, labels, search, training."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.evaluation.process import REPORT
from evalkit.experiments.process_vs_outcome.config import ProcessVsOutcome
from evalkit.experiments.process_vs_outcome.labels import agreement
from evalkit.experiments.process_vs_outcome.samples import (
    MAJORITY,
    PASS,
    Curves,
    SolutionPool,
    Way,
    by_aggregation,
    curves,
    diagnose,
    read_pool,
    sizes_up_to,
)
from evalkit.experiments.process_vs_outcome.steps import METHODS
from evalkit.experiments.process_vs_outcome.world import LEARNERS, ProcessTrial
from evalkit.report.csv import write_csv
from evalkit.search.budget import Budget
from rewards.files import read_rows

Rows = list[dict[str, object]]
DIGITS = 4
MIDDLE = 16
"""Differences are told at this N, and at the largest."""


def write_tables(config: ProcessVsOutcome) -> list[Curves]:
    """Write every table of a finished run, and return the curves."""
    out = Path(config.out)
    trials = [ProcessTrial(config, seed) for seed in config.seeds]
    measured, aggregations, diagnoses = [], [], []
    for size in config.sizes:
        pools = {one.seed: read_pool(one.scored(size), one.scorers(size)) for one in trials}
        measured.append(curves(size, pools))
        aggregations += _aggregations(size, pools)
        diagnoses += _diagnoses(size, pools)
    tables = {
        "curves": [row for one in measured for row in _curve_rows(one, config.seeds)],
        "differences": [row for one in measured for row in _difference_rows(one, config.seeds)],
        "aggregations": aggregations,
        "choices": diagnoses,
        "first_errors": [row for trial in trials for row in _first_errors(trial)],
        "automatic_labels": [row for trial in trials for row in _agreements(trial)],
        "search": [row for trial in trials for row in _searches(trial)],
        "training": [row for trial in trials for row in _trainings(trial)],
    }
    for name, rows in tables.items():
        write_csv(out / f"{name}.csv", [_rounded(row) for row in rows])
    return measured


def _rounded(row: Mapping[str, object]) -> dict[str, object]:
    return {name: round(value, DIGITS) if isinstance(value, float) else value for name, value in row.items()}


def _curve_rows(measured: Curves, seeds: Sequence[int]) -> Iterator[dict[str, object]]:
    """Yield accuracies of each seed, and their mean over seeds with its interval."""
    for way, means in measured.means.items():
        about = {"solutions": measured.size, **asdict(way)}
        ends = measured.interval(way)
        for place, n in enumerate(measured.n):
            low, high = ends[place]
            mean = float(means[:, place].mean())
            yield {**about, "n": n, "seed": "all", "accuracy": mean, "low": low, "high": high}
            for seed, value in zip(seeds, means[:, place], strict=True):
                yield {**about, "n": n, "seed": seed, "accuracy": float(value)}


def compared(ways: Mapping[Way, object]) -> list[tuple[Way, Way]]:
    """Return the pairs whose differences are told."""
    prm, orm = (Way("best-of-n", name) for name in LEARNERS)
    prm_vote, orm_vote = (Way("weighted-majority", name) for name in LEARNERS)
    pairs = [(prm, orm), (prm, MAJORITY), (orm, MAJORITY), (prm_vote, MAJORITY), (orm_vote, MAJORITY)]
    pairs += [(prm_vote, orm_vote), (prm, prm_vote), (orm, orm_vote), (PASS, prm)]
    pairs += [(Way("best-of-n", "prm", "sound"), Way("best-of-n", "orm", "sound"))]
    others = [way for way in ways if way.kind == "best-of-n" and way.score not in LEARNERS]
    for way in others:
        if way.measure == "answer":
            pairs += [(prm, way), (way, MAJORITY)]
    return pairs


def _difference_rows(measured: Curves, seeds: Sequence[int]) -> Iterator[dict[str, object]]:
    last = measured.n[-1]
    for first, second in compared(measured.means):
        gaps = measured.means[first] - measured.means[second]
        ends = measured.interval(first, second)
        for n in sorted({min(MIDDLE, last), last}):
            place = measured.n.index(n)
            yield {
                "solutions": measured.size,
                "n": n,
                "measure": first.measure,
                "first": str(first),
                "second": str(second),
                "difference": float(gaps[:, place].mean()),
                "low": ends[place][0],
                "high": ends[place][1],
                **{f"seed_{seed}": float(gap) for seed, gap in zip(seeds, gaps[:, place], strict=True)},
            }


def _aggregations(size: int, pools: Mapping[int, SolutionPool]) -> Rows:
    found = [(seed, by_aggregation(pool), sizes_up_to(pool.correct.shape[1])) for seed, pool in pools.items()]
    return [
        {"solutions": size, "seed": seed, "aggregation": how, "n": n, "accuracy": float(value)}
        for seed, swept, sizes in found
        for how, values in swept.items()
        for n, value in zip(sizes, values, strict=True)
    ]


def _diagnoses(size: int, pools: Mapping[int, SolutionPool]) -> Rows:
    return [
        {"solutions": size, "seed": seed, "scorer": name, **asdict(diagnose(pool, name))}
        for seed, pool in pools.items()
        for name in pool.scores
    ]


def _first_errors(trial: ProcessTrial) -> Iterator[dict[str, object]]:
    for size in trial.config.sizes:
        for name in trial.scorers(size):
            if name == "orm":
                continue
            for how in ("plain", "calibrated"):
                report = _json(Path(trial.at(f"process-eval-{name}-{size}-{how}")) / REPORT)
                first, ends = report["first_error"], report["intervals"]
                yield {
                    "solutions": size,
                    "seed": trial.seed,
                    "scorer": name,
                    "which": how,
                    "threshold": report["threshold"],
                    "erroneous": first["erroneous"],
                    "erroneous_accuracy": first["erroneous_accuracy"],
                    "correct": first["correct"],
                    "correct_accuracy": first["correct_accuracy"],
                    "f1": first["f1"],
                    "low": ends["f1_low"],
                    "high": ends["f1_high"],
                    "roc_area": report["roc"]["auc"],
                }


def _agreements(trial: ProcessTrial) -> Iterator[dict[str, object]]:
    files = (trial.at(f"{name}.jsonl") for name in ("rollouts", "rollouts-early", "labelled"))
    yield from ({"seed": trial.seed, **row} for row in agreement(*files))


def _searches(trial: ProcessTrial) -> Iterator[dict[str, object]]:
    """Yield what a search found and spent, a problem on average."""
    config = trial.config
    for size in config.search_sizes:
        for n in config.search_n:
            for method in METHODS:
                rows = list(read_rows(trial.at(f"search-{size}-{method}-{n}.jsonl")))
                budget = Budget()
                for row in rows:
                    budget.add(row.column("budget"))  # type: ignore[arg-type]  # the command wrote it
                spent = {
                    name: count / len(rows)
                    for name, count in budget.as_dict().items()
                    if isinstance(count, int)
                }
                chosen = {
                    choice: float(np.mean([bool(row.column(f"{choice}_correct")) for row in rows]))
                    for choice in ("best", "voted", "majority")
                }
                yield {
                    "solutions": size,
                    "seed": trial.seed,
                    "method": method,
                    "n": n,
                    **chosen,
                    "any_right": float(np.mean([any(row.list_in("corrects")) for row in rows])),
                    "tokens_sampled": spent["tokens_sampled"],
                    "steps_scored": spent["steps_scored"],
                    "policy_calls": spent["policy_calls"],
                }


def _trainings(trial: ProcessTrial) -> Iterator[dict[str, object]]:
    policy = _json(Path(trial.at("policy")) / "world.json")["report"]
    yield {"seed": trial.seed, "model": "policy", "updates": policy["updates"], **{
        name: policy[name] for name in ("distance", "slips", "parameters")
    }}  # fmt: skip
    for size in trial.config.sizes:
        for name in trial.scorers(size):
            result = _json(Path(trial.at(f"{name}-{size}")) / "result.json")
            held = result["evaluation"]
            yield {
                "seed": trial.seed,
                "model": name,
                "solutions": size,
                "updates": result["steps"],
                "trained_on": result["train_prompts"],
                "labels_right": result["labels"]["right"],
                "labels_wrong": result["labels"]["wrong"],
                "held_out_loss": held.get("eval_loss"),
                "threshold": result["threshold"],
            }


def _json(path: Path) -> Any:  # noqa: ANN401  # what a command wrote
    return json.loads(path.read_text(encoding="utf-8"))
