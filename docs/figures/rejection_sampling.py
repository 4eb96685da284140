"""The figures of docs/rejection-sampling.md, drawn, and every number that it quotes, printed.

Run from the project's root: python docs/figures/rejection_sampling.py
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rewards.selection import acceptance_probabilities, best_of_n, rejection_sample

FOLDER = Path(__file__).parent
BLUE, VERMILION, GREEN, GREY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#8c8c8c",
)  # Okabe and Ito's, safe for all eyes
SIZE, CHOSEN = 64, 8
BETAS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
TABLE_BETAS = (0.05, 0.2, 0.5, 1.0, 2.0, 10.0)
PROMPTS = 1000
Array = NDArray[np.float64]


class Pass(NamedTuple):
    """One pass of Algorithm 1 over the candidates that remain."""

    rewards: Array
    draws: Array
    accepted: NDArray[np.bool_]
    after_stop: NDArray[np.bool_]
    """Candidates that the early stop left unlooked at."""


class Sweep(NamedTuple):
    """Means over prompts at one beta."""

    beta: float
    reward: float
    acceptance: float
    expected: float
    effective: float
    passes: float


def main() -> None:
    """Print the numbers and draw the three figures."""
    for line in numbers():
        sys.stdout.write(line + "\n")
    mpl.rcParams.update({"font.size": 12, "axes.spines.top": False, "axes.spines.right": False})
    draw_curve()
    draw_passes()
    draw_sweep()


def numbers() -> Iterator[str]:
    """Yield every number that the text quotes."""
    x, height = throw()
    grid = np.linspace(0, 1, 100_001)
    below = int((height < hill(x)).sum())
    yield f"points under the curve   {below} of {len(x)}; the area is {hill(grid).mean():.3f}"
    for number, one in enumerate(passes(), 1):
        found = f"{len(one.rewards)} candidates, highest {one.rewards.max():.2f}"
        left = f", {one.after_stop.sum()} not looked at" if one.after_stop.any() else ""
        yield f"pass {number}                   {found}, accepted {one.accepted.sum()}{left}"
    one_prompt = rejection_sample(candidates(), CHOSEN, 0.5, np.random.default_rng(1))
    accepted = f"{one_prompt.acceptance:.4f} of the first pass, {one_prompt.expected_acceptance:.4f} expected"
    yield f"acceptance               {accepted}"
    yield f"effective sample size    {one_prompt.effective_sample_size:.1f}"
    yield f"passes                   {one_prompt.passes}"
    yield f"tried                    {one_prompt.tried} to choose {CHOSEN}"
    target, got = tilted()
    yield f"target, three responses  {' '.join(f'{share:.3f}' for share in target)}"
    yield f"accepted, of 20000       {' '.join(f'{share:.3f}' for share in got)}"
    yield f"best {CHOSEN} of {SIZE}, mean       {best_mean():.2f}"
    for row in sweep(TABLE_BETAS):
        reward = f"{1 / row.beta:.2f} | {row.reward:.2f}"
        rates = f"{row.acceptance:.3f} | {row.expected:.3f}"
        yield f"| {row.beta:g} | {reward} | {rates} | {row.effective:.1f} | {row.passes:.1f} |"


def hill(x: Array) -> Array:
    """Return a curve with two hills over [0, 1], 1 at its highest."""
    return np.exp(-(((x - 0.3) / 0.12) ** 2)) + 0.55 * np.exp(-(((x - 0.72) / 0.1) ** 2))


def throw() -> tuple[Array, Array]:
    """Throw 1000 points evenly into the unit square."""
    points = np.random.default_rng(0).random((1000, 2))
    return points[:, 0], points[:, 1]


def candidates() -> Array:
    """Return the rewards of one prompt's candidates: standard normal, as a centred reward model's are."""
    return np.random.default_rng(7).normal(size=SIZE)


def passes(beta: float = 0.5, seed: int = 1) -> list[Pass]:
    """Replay the passes of `rejection_sample` with its own draws, and check that they end the same."""
    rewards, rng = candidates(), np.random.default_rng(seed)
    remaining = np.arange(SIZE)
    chosen: list[int] = []
    made: list[Pass] = []
    while len(chosen) < CHOSEN:
        draws = rng.random(len(remaining))
        low = np.flatnonzero(draws < acceptance_probabilities(rewards[remaining], beta))[
            : CHOSEN - len(chosen)
        ]
        accepted = np.isin(np.arange(len(remaining)), low)
        chosen.extend(remaining[low].tolist())
        stopped = len(chosen) == CHOSEN
        after = np.arange(len(remaining)) > (low[-1] if stopped else len(remaining))
        made.append(Pass(rewards[remaining], draws, accepted, after))
        remaining = remaining[~accepted]
    sample = rejection_sample(rewards, CHOSEN, beta, np.random.default_rng(seed))
    if chosen != sample.indices.tolist():
        raise AssertionError("the replay and rejection_sample disagree")
    return made


def tilted() -> tuple[Array, Array]:
    """Return pi(y) exp(r/beta) / Z for three responses, and the shares of what was accepted."""
    policy, reward, beta = np.array([0.5, 0.3, 0.2]), np.array([0.0, 0.7, 1.5]), 0.8
    target = policy * np.exp(reward / beta)
    rng, counts = np.random.default_rng(0), np.zeros(3)
    for _ in range(2000):
        kinds = rng.choice(3, size=100, p=policy)
        accepted = rejection_sample(reward[kinds], 10, beta, rng).indices
        counts += np.bincount(kinds[accepted], minlength=3)
    return target / target.sum(), counts / counts.sum()


def best_mean() -> float:
    """Return the mean reward of the best 8 of 64, over the prompts of the sweep."""
    return float(np.mean([rewards[best_of_n(rewards, CHOSEN)].mean() for rewards in pool()]))


def pool() -> Array:
    """Return [PROMPTS, SIZE] standard normal rewards."""
    return np.random.default_rng(3).normal(size=(PROMPTS, SIZE))


def sweep(betas: tuple[float, ...]) -> list[Sweep]:
    """Select 8 of 64 for every prompt at each beta."""
    rows, rewards = [], pool()
    for beta in betas:
        rng = np.random.default_rng(4)
        samples = [rejection_sample(one, CHOSEN, beta, rng) for one in rewards]
        reward = np.mean([one[sample.indices].mean() for one, sample in zip(rewards, samples, strict=True)])
        means = np.mean(
            [(s.acceptance, s.expected_acceptance, s.effective_sample_size, s.passes) for s in samples],
            axis=0,
        )
        rows.append(Sweep(beta, float(reward), *means.tolist()))
    return rows


def draw_curve() -> None:
    """Points under a curve, and where the accepted lie."""
    x, height = throw()
    below = height < hill(x)
    grid = np.linspace(0, 1, 400)
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(7.2, 5.6), sharex=True, height_ratios=[2, 1], layout="constrained"
    )
    top.scatter(x[~below], height[~below], s=9, color=GREY, alpha=0.55, linewidths=0)
    top.scatter(x[below], height[below], s=11, color=BLUE, linewidths=0)
    top.plot(grid, hill(grid), color="black", linewidth=2)
    top.set(ylim=(0, 1.02), xlim=(0, 1), ylabel="height of the point")
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.9, "pad": 2}
    top.text(0.3, 0.45, "below: kept", color=BLUE, ha="center", weight="bold", bbox=box)
    top.text(0.82, 0.86, "above: thrown away", color="#555555", ha="center", weight="bold", bbox=box)
    bottom.hist(x[below], bins=40, range=(0, 1), color=BLUE, alpha=0.7)
    bottom.plot(grid, hill(grid) / hill(grid).mean() * below.sum() / 40, color="black", linewidth=2)
    bottom.text(0.47, bottom.get_ylim()[1] * 0.8, "where the kept points lie\nfollows the curve", va="top")
    bottom.set(xlabel="x", ylabel="kept")
    save(figure, "points-under-a-curve")


def draw_passes() -> None:
    """Algorithm 1 on one prompt's candidates, pass by pass."""
    made = passes()
    size = (4.6 * len(made), 4.6)
    figure, panels = plt.subplots(
        1, len(made), figsize=size, sharey=True, sharex=True, layout="constrained", squeeze=False
    )
    for number, (axes, one) in enumerate(zip(panels[0], made, strict=True), 1):
        draw_pass(axes, one)
        axes.set_title(f"pass {number}: {one.accepted.sum()} accepted", fontsize=13, weight="bold")
    panels[0][0].set(ylabel="u, the candidate's draw", ylim=(0, 1.3), yticks=(0, 0.5, 1))
    save(figure, "algorithm-1")


def draw_pass(axes: Axes, one: Pass) -> None:
    """One panel: each candidate at its reward and its draw, and the curve it has to be under."""
    highest = float(one.rewards.max())
    grid = np.linspace(float(candidates().min()), highest, 300)
    axes.plot(grid, np.exp((grid - highest) / 0.5), color="black", linewidth=2)
    axes.plot([highest, highest], [0, 1], color="black", linewidth=1, linestyle=":")
    refused, unseen = ~one.accepted & ~one.after_stop, one.after_stop
    axes.scatter(one.rewards[refused], one.draws[refused], s=28, color=GREY, linewidths=0, clip_on=False)
    axes.scatter(one.rewards[unseen], one.draws[unseen], s=34, facecolors="none", edgecolors=VERMILION)
    axes.scatter(
        one.rewards[one.accepted], one.draws[one.accepted], s=54, color=BLUE, zorder=3, clip_on=False
    )
    axes.annotate(f"m = {highest:.2f}", (highest, 1.0), (8, 6), textcoords="offset points", ha="right")
    axes.text(-2.5, 1.23, "grey: refused", color="#555555", weight="bold")
    axes.text(-2.5, 1.14, "blue: accepted", color=BLUE, weight="bold")
    if unseen.any():
        axes.text(-2.5, 1.05, "rings: after the stop", color=VERMILION, weight="bold")
    axes.set(xlabel="reward r")


def draw_sweep() -> None:
    """From best of n to any response: reward on the left, the diagnostics on the right."""
    rows = sweep(BETAS)
    betas = np.array([row.beta for row in rows])
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.4), layout="constrained")
    left.axhline(best_mean(), color=GREEN, linestyle="--")
    left.text(30, best_mean() + 0.05, f"best {CHOSEN} of {SIZE}", color=GREEN, ha="right", weight="bold")
    left.axhline(0, color=GREY, linestyle="--")
    left.text(0.02, 0.05, "the policy as it is", color="#555555", weight="bold")
    shown = betas >= 0.42
    left.plot(betas[shown], 1 / betas[shown], color=VERMILION, linewidth=2, linestyle=":")
    left.text(0.62, 1.88, "target, 1/beta", color=VERMILION, weight="bold")
    left.plot(betas, [row.reward for row in rows], color=BLUE, marker="o", linewidth=2)
    left.text(0.021, 1.27, "rejection sampling", color=BLUE, weight="bold")
    left.set(xscale="log", xlabel="beta", ylabel="mean reward of the chosen", ylim=(-0.15, 2.15))
    right.axhline(CHOSEN, color=GREY, linestyle="--")
    right.text(30, CHOSEN + 1.2, f"k = {CHOSEN}", color="#555555", ha="right", weight="bold")
    right.plot(betas, [row.effective for row in rows], color=BLUE, marker="o", linewidth=2)
    right.text(0.8, 41, "effective\nsample size", color=BLUE, ha="right", weight="bold")
    right.plot(betas, [SIZE * row.expected for row in rows], color=VERMILION, marker="s", linewidth=2)
    right.text(3.4, 22, "accepted in one\npass, expected", color=VERMILION, weight="bold")
    right.set(xscale="log", xlabel="beta", ylabel=f"of {SIZE} candidates", ylim=(0, 66))
    for axes in (left, right):
        axes.set_xticks([0.02, 0.1, 0.5, 2, 10], ["0.02", "0.1", "0.5", "2", "10"])
        axes.minorticks_off()
    save(figure, "beta")


def save(figure: Figure, name: str) -> None:
    """Write a figure beside this script."""
    # Without the version of matplotlib the same drawing gives the same bytes.
    figure.savefig(FOLDER / f"rejection-sampling-{name}.png", dpi=110, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
