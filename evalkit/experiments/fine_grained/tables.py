"""What the fine-grained experiment measures: gold of the chosen answers, trade-offs, fronts and bounds."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.experiments.fine_grained.config import CHARGED, Arm
from evalkit.experiments.fine_grained.steps import FineGrainedTrial, bound_name
from evalkit.testbeds.facts import ASPECTS
from rewards.files import read_rows
from rewards.intervals import Estimate, Resampling, clustered_mean
from rewards.selection.aspects import trade_off
from rewards.selection.best_of_n import expected_best_of_n_batch

Floats = NDArray[np.float64]
Row = dict[str, object]

MEASURED = ("gold", *ASPECTS, "words")
"""What is measured of an answer: gold and its aspects, and how long it is."""
GOLD, RANDOM = "gold", "random"
"""The ends of the scale: chosen by gold itself, and by chance."""
WEIGHTS = tuple(np.linspace(0, 1, 21).round(2).tolist())
"""Weights of factuality against relevance."""
FIRST, SECOND = "relevance", "factuality"
"""The aspects that the weight moves between."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPool:
    """The answers of one seed, S to each of P prompts, measured and scored."""

    seed: int
    prompts: tuple[str, ...]
    measured: Floats
    """[P, S, 5] by `MEASURED`."""
    scores: Mapping[str, Floats]
    """[P, S] by the name of an arm, or gold, or random."""
    aspects: Mapping[str, Floats]
    """[P, S, 3] by the name, where it has aspects."""

    def chosen(self, name: str, n: int) -> Floats:
        """Return what is measured of the best of n by a scorer, in expectation, [P, 5]."""
        return _chosen(self.scores[name], self.measured, n)


def read_pool(trial: FineGrainedTrial) -> ScoredPool:
    """Read the scored answers of a seed."""
    folder = trial.folder
    prompts, responses = [], []
    for row in read_rows(folder / "answers.jsonl"):
        prompts.append(str(row.column("prompt")))
        responses.append(row.texts_in("responses"))
    scores, aspects = {}, {}
    for name in (GOLD, *(arm.name for arm in trial.arms)):
        values: list[dict[str, Any]] = [
            dict(row.values) for row in read_rows(folder / f"scored-{name}.jsonl")
        ]
        scores[name] = np.array([value["scores"] for value in values], dtype=np.float64)
        if "scores_aspects" in values[0] and set(ASPECTS) <= set(values[0]["scores_aspects"][0]):
            aspects[name] = np.array(
                [[[one[aspect] for aspect in ASPECTS] for one in value["scores_aspects"]] for value in values]
            )
    for arm in trial.arms:
        if arm.method.objective == "error":
            charged = CHARGED.arm(arm.answers, arm.exact).name
            aspects[charged] = _charged(folder / f"scored-{arm.name}.jsonl")
            scores[charged] = aspects[charged].sum(axis=2)
    scores[RANDOM] = np.zeros_like(scores[GOLD])
    words = np.array([[len(answer.split()) for answer in row] for row in responses], dtype=np.float64)
    measured = np.concatenate([scores[GOLD][:, :, None], aspects[GOLD], words[:, :, None]], axis=2)
    return ScoredPool(trial.seed, tuple(prompts), measured, scores, aspects)


def quality_rows(
    pools: Sequence[ScoredPool], arms: Sequence[Arm], n: int, resampling: Resampling
) -> Iterator[Row]:
    """Yield for each scorer and measure the mean over seeds and prompts, its interval, and each seed's."""
    for who, name in _scorers(arms):
        per_seed = [pool.chosen(name, n) for pool in pools]
        yield from _measures(who, pools, per_seed, resampling)


def difference_rows(
    pools: Sequence[ScoredPool], arms: Sequence[Arm], baselines: Sequence[str], n: int, resampling: Resampling
) -> Iterator[Row]:
    """Yield for each arm and measure what it has beyond each baseline, prompt by prompt.

    A baseline is a method, taken on as many answers, or the name of one arm, taken for all.
    """
    named: dict[tuple[object, object, object], str] = {
        (arm.method.name, arm.answers, arm.exact): arm.name for arm in arms
    }
    for baseline, (who, name) in product(baselines, list(_scorers(arms))):
        alone = baseline if any(arm.name == baseline for arm in arms) else None
        other = named.get((baseline, who["answers"], who["exact"]), alone)
        if other is not None and other != name:
            per_seed = [pool.chosen(name, n) - pool.chosen(other, n) for pool in pools]
            yield from _measures({**who, "beyond": baseline}, pools, per_seed, resampling)


def curve_rows(pools: Sequence[ScoredPool], arms: Sequence[Arm]) -> Iterator[Row]:
    """Yield for each seed, scorer and n what is measured of the best of n."""
    for pool in pools:
        for who, name in _scorers(arms):
            for n in (2**power for power in range(pool.measured.shape[1].bit_length())):
                means = pool.chosen(name, n).mean(axis=0)
                yield {"seed": pool.seed, **who, "n": n, **_rounded(means)}


def agreement_rows(pools: Sequence[ScoredPool], arms: Sequence[Arm]) -> Iterator[Row]:
    """Yield for each seed and arm how its score correlates within prompts with each thing measured."""
    for pool in pools:
        deviations = pool.measured - pool.measured.mean(axis=1, keepdims=True)
        for who, name in _scorers(arms):
            if name == RANDOM:
                continue
            score = pool.scores[name] - pool.scores[name].mean(axis=1, keepdims=True)
            together = (score[:, :, None] * deviations).sum(axis=(0, 1))
            spread = np.sqrt((score**2).sum() * (deviations**2).sum(axis=(0, 1)))
            found = np.divide(together, spread, out=np.full(len(MEASURED), np.nan), where=spread > 0)
            yield {"seed": pool.seed, **who, **_rounded(found)}


def trade_off_rows(pools: Sequence[ScoredPool], arms: Sequence[Arm], n: int) -> Iterator[Row]:
    """Yield for each seed, scorer of aspects and weight what is measured of the best of n."""
    first, second = ASPECTS.index(FIRST), ASPECTS.index(SECOND)
    for pool in pools:
        prompts = np.repeat(np.arange(len(pool.prompts)), pool.measured.shape[1])
        for who, name in _scorers(arms):
            if name not in pool.aspects:
                continue
            table = pool.aspects[name].reshape(-1, len(ASPECTS))
            means = trade_off(
                table[:, first],
                table[:, second],
                prompts,
                pool.measured.reshape(-1, len(MEASURED)),
                WEIGHTS,
                n,
            )
            for weight, row in zip(WEIGHTS, means, strict=True):
                yield {"seed": pool.seed, **who, "weight": weight, **_rounded(row)}


def front_rows(pools: Sequence[ScoredPool], trials: Sequence[FineGrainedTrial]) -> Iterator[Row]:
    """Yield for each seed and scorer of aspects the share of answers on its Pareto front, and on gold's."""
    for pool, trial in zip(pools, trials, strict=True):
        gold = _column(trial.folder / f"front-{GOLD}.jsonl", "combineds_pareto").astype(bool)
        for who, name in _scorers(trial.arms):
            path = trial.folder / f"front-{name}.jsonl"
            if not path.exists():
                continue
            front = _column(path, "combineds_pareto").astype(bool)
            yield {
                "seed": pool.seed,
                **who,
                "share_on_front": round(float(front.mean()), 4),
                "of_these_on_gold_front": round(float(gold[front].mean()), 4),
                **_rounded(pool.measured[front].mean(axis=0)),
            }


def bound_rows(
    pools: Sequence[ScoredPool], trials: Sequence[FineGrainedTrial], n: int, resampling: Resampling
) -> Iterator[Row]:
    """Yield for each bound of factuality what the best of n by relevance under it is, in gold's terms."""
    for bound in (-math.inf, *trials[0].config.bounds):
        chosen, predicted = [], []
        for pool, trial in zip(pools, trials, strict=True):
            path = trial.folder / f"bounded-{bound_name(bound)}.jsonl"
            meets = pool.measured[:, :, MEASURED.index(SECOND)] >= bound - 1e-9
            values = np.concatenate([pool.measured, meets[:, :, None]], axis=2)
            chosen.append(_chosen(_column(path, "combineds"), values, n))
            if not math.isinf(bound):
                predicted.append(float(_column(path, "combineds_met").mean()))
        prompts = [prompt for pool in pools for prompt in pool.prompts]
        stacked = np.concatenate(chosen)
        row: Row = {"bound": bound_name(bound)}
        row["answers_said_to_meet"] = round(float(np.mean(predicted)), 4) if predicted else None
        for place, name in enumerate((*MEASURED, "chosen_that_meet")):
            estimate = clustered_mean(stacked[:, place], prompts, resampling)
            row |= _spread(name, estimate)
        yield row


def card_rows(trials: Sequence[FineGrainedTrial]) -> Iterator[Row]:
    """Yield the rows of all report cards, each with its seed, method and number of answers."""
    for trial in trials:
        for who, name in _scorers(trial.arms):
            path = trial.folder / f"card-{name}" / "aspects.csv"
            if path.exists():
                with path.open(encoding="utf-8", newline="") as file:
                    for row in csv.DictReader(file):
                        yield {"seed": trial.seed, **who, **row}


def _scorers(arms: Sequence[Arm]) -> Iterator[tuple[Row, str]]:
    yield {"method": GOLD, "answers": None, "exact": True}, GOLD
    yield {"method": RANDOM, "answers": None, "exact": True}, RANDOM
    for arm in arms:
        for method in (arm.method, CHARGED) if arm.method.objective == "error" else (arm.method,):
            who: Row = {"method": method.name, "answers": arm.answers, "exact": arm.exact}
            yield who, method.arm(arm.answers, arm.exact).name


def _charged(path: Path) -> Floats:
    """Return minus the expected number of faults in each aspect, [P, S, 3].

    A span's label is 2 p - 1 for a chance p of no fault, so (label - 1) / 2 is minus that of one.
    """
    found = []
    for row in read_rows(path):
        spans: list[list[dict[str, Any]]] = dict(row.values)["scores_spans"]  # type: ignore[assignment]  # as `score` wrote it
        for own in spans:
            sums = dict.fromkeys(ASPECTS, 0.0)
            for span in own:
                sums[span["aspect"]] += (span["label"] - 1) / 2
            found.append([*sums.values()])
    rows = sum(1 for _ in read_rows(path))
    return np.array(found, dtype=np.float64).reshape(rows, -1, len(ASPECTS))


def _measures(
    who: Row, pools: Sequence[ScoredPool], per_seed: Sequence[Floats], resampling: Resampling
) -> Iterator[Row]:
    prompts = [prompt for pool in pools for prompt in pool.prompts]
    stacked = np.concatenate(per_seed)
    for place, name in enumerate(MEASURED):
        estimate = clustered_mean(stacked[:, place], prompts, resampling)
        seeds = {
            f"seed_{pool.seed}": round(float(values[:, place].mean()), 4)
            for pool, values in zip(pools, per_seed, strict=True)
        }
        yield {**who, "measure": name, **_spread("", estimate), **seeds}


def _spread(name: str, estimate: Estimate) -> Row:
    ends = (("mean", estimate.mean), ("low", estimate.low), ("high", estimate.high))
    return {f"{name}_{end}".lstrip("_"): None if value is None else round(value, 4) for end, value in ends}


def _chosen(scores: Floats, measured: Floats, n: int) -> Floats:
    columns = [
        expected_best_of_n_batch(scores, measured[:, :, place], [n])[:, 0]
        for place in range(measured.shape[2])
    ]
    return np.stack(columns, axis=1)


def _rounded(values: Floats) -> Row:
    """Return what is measured by name; None where it is undefined."""
    found = zip(MEASURED, values.tolist(), strict=True)
    return {name: None if math.isnan(value) else round(value, 4) for name, value in found}


def _column(path: Path, name: str) -> NDArray[Any]:
    """Return a column [P, S] of a file whose rows hold several responses each."""
    return np.array([row.values[name] for row in read_rows(path)])
