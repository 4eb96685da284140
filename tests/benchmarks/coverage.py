"""Coverage by simulation: how often each 95 % interval of judges.statistics holds the truth.

    python tests/benchmarks/coverage.py --out results/coverage

Every simulated data set has prompts that differ (so that verdicts on one prompt depend on each other), a
judge who favours a position, both orders, and ties. The truth is computed by quadrature, not simulated.
"""

import argparse
import csv
import itertools
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from judges.statistics.bradley_terry import bradley_terry
from judges.statistics.correction import human_corrected_win_rate
from judges.statistics.length_control import length_controlled_win_rate
from judges.statistics.win_rate import win_rate

Floats = NDArray[np.float64]
STRENGTHS = np.array([0.8, 0.4, 0.0, -0.4, -0.8])
PAIRS = np.array(list(itertools.combinations(range(len(STRENGTHS)), 2)))
SYSTEM_SPREAD = 0.8  # of a system's quality over prompts
LENGTH_EFFECT = 1.0
COMPARISONS = 1000  # prompts that the model judges in the correction's world
SELF_PREFERENCE = 0.6  # how far that model favours first where people do not


@dataclass(frozen=True)
class World:
    """One cell of the table."""

    statistic: str
    prompts: int
    verdicts: int
    """On each prompt, half of them in each order."""
    position: float
    """What the first place is worth, in log-odds."""
    threshold: float
    """Half the width, in log-odds, of what the judge calls a tie."""
    advantage: float
    """The mean over prompts of how much better first is, in log-odds."""
    spread: float = 1.2
    """Its standard deviation over prompts."""


Ends = tuple[float, float]
Simulation = Callable[[np.random.Generator, World], list[tuple[str, float, Ends, Ends]]]


def expected(advantage: Floats | float, position: float, threshold: float) -> Floats:
    """The mean verdict in one order: wins and half the ties, of advantage + position + logistic noise."""
    middle = np.asarray(advantage) + position
    return (expit(middle - threshold) + expit(middle + threshold)) / 2


def both_orders_expected(mean: float, spread: float, position: float, threshold: float) -> float:
    """The mean verdict over both orders and over prompts with normal advantages."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    advantages = mean + spread * nodes
    orders = [expected(advantages, sign * position, threshold) for sign in (1, -1)]
    return float(weights @ np.mean(orders, axis=0) / weights.sum())


def draw(rng: np.random.Generator, advantage: Floats, world: World, orders: Floats) -> Floats:
    """Verdicts [n] for advantages [n]; orders [n] are 1 where first stands first, -1 where second does."""
    latent = advantage + orders * world.position + rng.logistic(size=len(advantage))
    return np.where(np.abs(latent) < world.threshold, 0.5, (latent > 0).astype(float))


def layout(world: World, prompts: int) -> tuple[NDArray[np.int64], Floats]:
    """The prompt and the order of each verdict."""
    return np.repeat(np.arange(prompts), world.verdicts), np.tile([1.0, -1.0], prompts * world.verdicts // 2)


def simulate_win_rate(rng: np.random.Generator, world: World) -> list[tuple[str, float, Ends, Ends]]:
    prompts, orders = layout(world, world.prompts)
    advantage = rng.normal(world.advantage, world.spread, world.prompts)[prompts]
    values = draw(rng, advantage, world, orders)
    truth = both_orders_expected(world.advantage, world.spread, world.position, world.threshold)
    ours = win_rate(values, prompts)
    reach = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return [("win rate", truth, (ours.low, ours.high), (values.mean() - reach, values.mean() + reach))]


@cache
def true_strengths(position: float, threshold: float) -> Floats:
    """Bradley-Terry strengths of infinitely many verdicts on all pairs, ties half a win each."""
    apart, spread = STRENGTHS[PAIRS[:, 0]] - STRENGTHS[PAIRS[:, 1]], SYSTEM_SPREAD * np.sqrt(2)
    wins = np.array([both_orders_expected(gap, spread, position, threshold) for gap in apart])

    def loss(strengths: Floats) -> tuple[float, Floats]:
        logits = strengths[PAIRS[:, 0]] - strengths[PAIRS[:, 1]]
        residual = expit(logits) - wins
        gradient = np.zeros(len(STRENGTHS))
        np.add.at(gradient, PAIRS[:, 0], residual)
        np.add.at(gradient, PAIRS[:, 1], -residual)
        return float(np.sum(np.logaddexp(0, logits) - wins * logits)), gradient

    fitted = minimize(loss, STRENGTHS, jac=True, options={"gtol": 1e-10}).x
    return np.asarray(fitted - fitted.mean())


def simulate_bradley_terry(rng: np.random.Generator, world: World) -> list[tuple[str, float, Ends, Ends]]:
    prompts, orders = layout(world, world.prompts)
    quality = STRENGTHS + rng.normal(0, SYSTEM_SPREAD, (world.prompts, len(STRENGTHS)))
    # Which pairs a prompt compares is random, without repeats; both orders of each.
    pairs = np.argsort(rng.random((world.prompts, len(PAIRS))), axis=1)[:, : world.verdicts // 2]
    chosen = PAIRS[np.repeat(pairs.ravel(), 2)]
    advantage = quality[prompts, chosen[:, 0]] - quality[prompts, chosen[:, 1]]
    values = draw(rng, advantage, world, orders)
    truth = true_strengths(world.position, world.threshold)
    ours = bradley_terry(chosen[:, 0], chosen[:, 1], values, prompts)
    rows = bradley_terry(chosen[:, 0], chosen[:, 1], values, resamples=0)
    best = [fit.difference(0, 1) for fit in (ours, rows)]
    single = [
        ("Bradley-Terry strength", truth[k], (ours.low[k], ours.high[k]), (rows.low[k], rows.high[k]))
        for k in range(len(STRENGTHS))
    ]
    ends = [(estimate.low, estimate.high) for estimate in best]
    return [*single, ("Bradley-Terry difference", truth[0] - truth[1], ends[0], ends[1])]


def simulate_length_control(rng: np.random.Generator, world: World) -> list[tuple[str, float, Ends, Ends]]:
    prompts, orders = layout(world, world.prompts)
    # First is longer by 0.4 of the usual difference; a prompt's verdicts are on the same two responses.
    lengths = rng.normal(0.4, np.sqrt(1 - 0.4**2), world.prompts)
    advantage = rng.normal(world.advantage, world.spread, world.prompts) + LENGTH_EFFECT * np.tanh(lengths)
    values = draw(rng, advantage[prompts], world, orders)
    truth = both_orders_expected(world.advantage, world.spread, world.position, world.threshold)
    ours, rows = (
        length_controlled_win_rate(values, 400 * lengths[prompts], groups) for groups in (prompts, None)
    )
    return [("length-controlled win rate", truth, (ours.low, ours.high), (rows.low, rows.high))]


def simulate_correction(rng: np.random.Generator, world: World) -> list[tuple[str, float, Ends, Ends]]:
    prompts, orders = layout(world, COMPARISONS)
    people = rng.normal(world.advantage, world.spread, COMPARISONS)
    judge = people + SELF_PREFERENCE + rng.normal(0, 0.8, COMPARISONS)
    model = draw(rng, judge[prompts], world, orders)
    labelled = np.isin(prompts, rng.choice(COMPARISONS, world.prompts, replace=False))
    human = draw(rng, people[prompts[labelled]], world, np.zeros(labelled.sum()))
    truth = both_orders_expected(world.advantage, world.spread, 0.0, world.threshold)
    ours = human_corrected_win_rate(
        model, human, model[labelled], model_prompts=prompts, human_prompts=prompts[labelled]
    )
    rows = human_corrected_win_rate(model, human, model[labelled], included=True)
    return [("human-corrected win rate", truth, (ours.low, ours.high), (rows.low, rows.high))]


SIMULATIONS: dict[str, Simulation] = {
    "win rate": simulate_win_rate,
    "Bradley-Terry": simulate_bradley_terry,
    "length control": simulate_length_control,
    "human-corrected": simulate_correction,
}


def worlds() -> list[World]:
    """An even match with a mild judge, and an uneven one with a biased judge and many ties."""
    return [
        World(statistic, prompts, verdicts, *setting)
        for statistic in SIMULATIONS
        for prompts in (50, 200)
        for verdicts in ((6, 20) if statistic == "Bradley-Terry" else (2, 6))
        for setting in [(0.5, 0.3, 0.0), (1.5, 0.8, 1.0)]
    ]


def measure(world: World, simulations: int, seed: list[int]) -> list[dict[str, object]]:
    """Simulate one world; one row for each quantity whose interval is checked."""
    held: dict[str, list[tuple[bool, bool, bool, float, float]]] = {}
    truths: dict[str, float] = {}
    rng = np.random.default_rng(seed)
    for _ in range(simulations):
        for name, truth, (low, high), (row_low, row_high) in SIMULATIONS[world.statistic](rng, world):
            inside = row_low <= truth <= row_high
            held.setdefault(name, []).append(
                (truth < low, truth > high, inside, high - low, row_high - row_low)
            )
            truths[name] = truth
    rows: list[dict[str, object]] = []
    for name, checked in held.items():
        below, above, inside, width, row_width = np.mean(np.array(checked, dtype=float), axis=0)
        coverage = 1 - below - above
        rows.append(
            {
                "statistic": name,
                "prompts": world.prompts,
                "verdicts_per_prompt": world.verdicts,
                "position_log_odds": world.position,
                "tie_threshold_log_odds": world.threshold,
                # Strengths differ in truth, and five of one fit are one simulation.
                "truth": None if "strength" in name else round(truths[name], 4),
                "simulations": simulations,
                "coverage": round(float(coverage), 4),
                "monte_carlo_error": round(float(np.sqrt(coverage * (1 - coverage) / simulations)), 4),
                "truth_below": round(float(below), 4),
                "truth_above": round(float(above), 4),
                "row_level_coverage": round(float(inside), 4),
                "mean_width": round(float(width), 4),
                "row_level_mean_width": round(float(row_width), 4),
            }
        )
    return rows


def draw_figure(rows: list[dict[str, object]], path: Path) -> None:
    """Draw each cell's coverage, ours and at the level of rows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(str(row["statistic"]) for row in rows))
    figure, axes = pyplot.subplots(figsize=(8, 4.2), layout="constrained")
    axes.axhspan(0.93, 0.97, color="0.9", label="93-97 %")
    axes.axhline(0.95, color="0.6", linewidth=0.8)
    for way, colour, marker in (("coverage", "C0", "o"), ("row_level_coverage", "C3", "x")):
        places, values = [], []
        for place, name in enumerate(names):
            cells = [float(str(row[way])) for row in rows if row["statistic"] == name]
            places += list(place + np.linspace(-0.3, 0.3, len(cells)))
            values += cells
        label = "clustered by prompt" if way == "coverage" else "rows taken for independent"
        axes.plot(places, values, marker, color=colour, label=label)
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n", 1) for name in names], fontsize=8)
    axes.set_ylabel("share of 95 % intervals that hold the truth")
    figure.legend(loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    figure.savefig(path, dpi=140)
    pyplot.close(figure)


def main(arguments: list[str] | None = None) -> list[dict[str, object]]:
    """Simulate all worlds, write the table and the figure, and return the rows."""
    parser = argparse.ArgumentParser(description="Coverage of the 95 %% intervals by simulation.")
    parser.add_argument("--out", type=Path, required=True, help="folder for coverage.csv and coverage.png")
    parser.add_argument("--simulations", type=int, default=2000, help="of each world")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args(arguments)
    cells = worlds()
    seeds = [[chosen.seed, place] for place in range(len(cells))]
    # The longest first, so that no worker is left alone with one at the end.
    order = sorted(range(len(cells)), key=lambda place: cells[place].statistic != "Bradley-Terry")
    with ProcessPoolExecutor(chosen.workers, get_context("spawn")) as pool:
        waiting = {
            place: pool.submit(measure, cells[place], chosen.simulations, seeds[place]) for place in order
        }
        rows = [row for place in range(len(cells)) for row in waiting[place].result()]
    chosen.out.mkdir(parents=True, exist_ok=True)
    with (chosen.out / "coverage.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    draw_figure(rows, chosen.out / "coverage.png")
    return rows


if __name__ == "__main__":
    for row in main():
        sys.stdout.write(" ".join(str(value) for value in row.values()) + "\n")
