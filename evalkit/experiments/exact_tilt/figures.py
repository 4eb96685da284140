"""The figure of the exact experiment: how far each method ends, and how it gets there."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from evalkit.report.style import COLOURS

Row = Mapping[str, object]
GREY = "#8A8A8A"
LABEL = "total variation to the tilted policy"
FINITE = {"dpo": "DPO on pairs", "sft on accepted": "SFT on accepted samples"}


def draw_tilt(distances: Sequence[Row], paths: Sequence[Row], rejection: Sequence[Row], path: Path) -> None:
    """Draw the distance of each method, PPO on its way, and distance against the number of samples.

    Args:
        distances: Rows of distances.csv.
        paths: Rows of ppo.csv.
        rejection: Rows of rejection.csv.
        path: A .png.
    """
    figure = Figure(figsize=(15.5, 6.0), dpi=120, layout="constrained")
    ends, way, samples = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
    _draw_ends(ends, distances)
    _draw_way(way, paths)
    _draw_samples(samples, distances, rejection)
    for axes in (ends, way, samples):
        axes.spines[["right", "top"]].set_visible(False)
        axes.grid(color="#ECECEC", linewidth=0.8)
        axes.set_axisbelow(True)
    figure.savefig(path)


def _draw_ends(axes: Axes, distances: Sequence[Row]) -> None:
    found: dict[str, list[float]] = {}
    for row in distances:
        if row["method"] not in ("target", "samples of the reference"):
            method, size = str(row["method"]), row["size"]
            told = f", {size:,} a question" if isinstance(size, int) else ", all pairs"
            name = method if size == "" or method.startswith(("ppo", "rso")) else method + told
            found.setdefault(name, []).append(float(str(row["tv"])))
    for place, values in enumerate(found.values()):
        axes.plot(values, [place] * len(values), "o", color=COLOURS[0], alpha=0.55, markersize=6)
        axes.plot(np.mean(values), place, "|", color="#303030", markersize=16, markeredgewidth=2)
    axes.set_yticks(range(len(found)), list(found), fontsize=9)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"{LABEL}\ndots: seeds, bars: their mean")


def _draw_way(axes: Axes, paths: Sequence[Row]) -> None:
    methods = list(dict.fromkeys(str(row["method"]) for row in paths))
    for colour, method in zip(COLOURS, methods, strict=False):
        rows = [row for row in paths if row["method"] == method]
        seeds = list(dict.fromkeys(row["seed"] for row in rows))
        values = np.array([[float(str(row["tv"])) for row in rows if row["seed"] == seed] for seed in seeds])
        episodes = [float(str(row["episodes"])) for row in rows if row["seed"] == seeds[0]]
        axes.plot(episodes, values.T, color=colour, linewidth=0.8, alpha=0.45)
        axes.plot(episodes, values.mean(axis=0), color=colour, linewidth=2.2, label=method)
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("responses sampled by PPO")
    axes.set_ylabel(LABEL)
    axes.legend(frameon=False, fontsize=9)


def _draw_samples(axes: Axes, distances: Sequence[Row], rejection: Sequence[Row]) -> None:
    for colour, (method, label) in zip(COLOURS, FINITE.items(), strict=False):
        rows = [row for row in distances if row["method"] == method and row["size"] != "all"]
        _mean_line(axes, [(row["size"], row["tv"]) for row in rows], colour, f"{label} (their number)", "-o")
    exact = [
        (row["n"], row["tv"]) for row in rejection if row["how"] == "exact" and row["n"] != "without end"
    ]
    _mean_line(axes, exact, COLOURS[2], "first accepted of n, copies kept (n)", "-s")
    merged = [
        (row["k"], row["tv"])
        for row in rejection
        if row["how"] == "simulated" and row["candidates"] == "different texts" and row["n"] == 64
    ]
    _mean_line(axes, merged, COLOURS[3], "k accepted of 64, copies merged (k)", "-^")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(bottom=1e-3)
    axes.set_xlabel("samples of a question: see the legend")
    axes.set_ylabel(LABEL)
    axes.legend(frameon=False, fontsize=9)


def _mean_line(
    axes: Axes, points: Sequence[tuple[object, object]], colour: str, label: str, style: str
) -> None:
    places = list(dict.fromkeys(place for place, _ in points))
    numbers = [float(str(place)) for place in places]
    values = [[float(str(value)) for at, value in points if at == place] for place in places]
    axes.plot(numbers, [np.mean(one) for one in values], style, color=colour, label=label, linewidth=1.8)
    for number, own in zip(numbers, values, strict=True):
        axes.plot([number] * len(own), own, ".", color=colour, alpha=0.5)
