"""Figures of the fine-grained experiment: quality of the chosen answers, trade-offs, gold against n."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evalkit.experiments.fine_grained.config import Labelling
from evalkit.experiments.fine_grained.tables import GOLD, RANDOM, WEIGHTS, Floats, Row
from evalkit.report.style import COLOURS

GREY, INK = "#8A8A8A", "#303030"
PANELS = {
    "gold": "gold, all aspects",
    "relevance": "relevance",
    "factuality": "factuality",
    "completeness": "completeness",
}


def draw_quality(
    rows: Sequence[Row], methods: Sequence[Labelling], sizes: Sequence[int], n: int, path: Path
) -> None:
    """Draw for each measure a panel, for each method a group of dots with intervals, one for each size."""
    figure = Figure(figsize=(12.6, 0.8 * len(methods) + 1.9), dpi=140, layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    step = 0.62 / max(len(sizes), 2)
    for axes, (measure, title) in zip(panels, PANELS.items(), strict=True):
        found = {(row["method"], row["answers"]): row for row in rows if row["measure"] == measure}
        for name, text in ((RANDOM, "by\nchance"), (GOLD, "by\ngold")):
            end = _number(found[name, None], "mean")
            axes.axvline(end, color=GREY, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
            axes.annotate(
                text, (end, 1), xycoords=("data", "axes fraction"), xytext=(0, 4), textcoords="offset points",
                ha="center", va="bottom", fontsize=9, color="#606060",
            )  # fmt: skip
        for place, method in enumerate(methods):
            own = [size for size in sizes if (method.name, size) in found]
            for shift, size in enumerate(own):
                row = found[method.name, size]
                height = place + step * (shift - (len(own) - 1) / 2)
                _dot(axes, row, height, COLOURS[place], 0.35 + 0.65 * (shift + 1) / len(own))
                if measure == "gold":
                    axes.annotate(
                        f"{size:,}", (max(_number(row, "high"), *_seeds(row)), height), xytext=(5, 0),
                        textcoords="offset points", va="center", fontsize=8, color="#606060",
                    )  # fmt: skip
        axes.set_xlabel(title, fontsize=12)
        axes.spines[["right", "top", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="x", color="#ECECEC", linewidth=0.8)
        axes.set_axisbelow(True)
    panels[0].set_yticks(range(len(methods)), [_wrapped(method.title) for method in methods], fontsize=11)
    panels[0].invert_yaxis()
    figure.suptitle(
        f"What the best of {n} answers is worth, by the labels that its reward model learnt from\n",
        fontsize=13, color=INK, x=0.01, ha="left",
    )  # fmt: skip
    figure.supxlabel(
        "mean over prompts and seeds, with 95 % intervals over prompts; small ticks are the seeds; grey "
        "numbers count labelled answers",
        fontsize=9.5, color="#606060",
    )  # fmt: skip
    figure.savefig(path)


def draw_trade_off(
    rows: Sequence[Row],
    quality: Sequence[Row],
    methods: Sequence[Labelling],
    sizes: Sequence[int],
    more: int,
    path: Path,
) -> None:
    """Draw gold factuality against gold relevance as the weight moves, a panel for each size.

    What was learnt of faults is left out: its curve is far from all others.
    """
    figure = Figure(figsize=(5.3 * len(sizes) + 0.4, 5.2), dpi=140, layout="constrained")
    panels = figure.subplots(1, len(sizes), sharex=True, sharey=True, squeeze=False)[0]
    found = {(row["method"], row["answers"], row["measure"]): _number(row, "mean") for row in quality}
    for axes, size in zip(panels, sizes, strict=True):
        ends = {GOLD: _curve(axes, rows, GOLD, None, INK)}
        colours = {GOLD: INK}
        for place, method in enumerate(methods):
            if method.objective == "error":
                continue
            curved = any(row["method"] == method.name for row in rows)
            if curved:
                ends[method.name] = _curve(axes, rows, method.name, size, COLOURS[place])
                colours[method.name] = COLOURS[place]
            for answers in (size, more):
                if (method.name, answers, "relevance") in found:
                    point = tuple(
                        found[method.name, answers, aspect] for aspect in ("relevance", "factuality")
                    )
                    axes.plot(*point, "D" if curved else "s", color=COLOURS[place], markersize=8,
                              markeredgecolor="white", zorder=7)  # fmt: skip
                    if not curved:
                        text = method.name + (f", {answers:,}" if answers != size else "")
                        if method.labels == "pairs":
                            _name(axes, text, point, COLOURS[place], (8, -3))
                        else:
                            _name(axes, text, point, COLOURS[place], (-8, 4), "right")
        heights = _apart({name: end[1] for name, end in ends.items()}, 0.12)
        for name, end in ends.items():
            _name(axes, name, (end[0], heights[name]), colours[name], (-8, -3), "right")
        start = found[RANDOM, None, "relevance"], found[RANDOM, None, "factuality"]
        axes.plot(*start, "x", color=GREY, markersize=8, markeredgewidth=2)
        _name(axes, "by chance", start, GREY, (8, -3))
        axes.set_title(f"{size:,} labelled answers", fontsize=12, loc="left")
        axes.set_xlabel("gold relevance of the chosen answers", fontsize=11)
        axes.spines[["right", "top"]].set_visible(False)
        axes.margins(x=0.12)
        axes.grid(color="#F0F0F0", linewidth=0.8)
        axes.set_axisbelow(True)
    panels[0].set_ylabel("gold factuality of the chosen answers", fontsize=11)
    figure.supxlabel(
        "each curve from factuality alone, where its name stands, to relevance alone (thin: the seeds)\n"
        "diamonds: all aspects alike; squares: one number an answer, which leaves no choice",
        fontsize=9.5, color="#606060",
    )  # fmt: skip
    figure.savefig(path)


def draw_curves(rows: Sequence[Row], methods: Sequence[Labelling], sizes: Sequence[int], path: Path) -> None:
    """Draw gold against n, a panel for each size: seeds thin, their mean thick and named at its end."""
    figure = Figure(figsize=(4.5 * len(sizes) + 0.4, 4.4), dpi=140, layout="constrained")
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axes, size in zip(panels, sizes, strict=True):
        ends = {}
        for place, method in enumerate(methods):
            per_seed = _by_seed(
                [row for row in rows if row["method"] == method.name and row["answers"] == size], "gold"
            )
            n = 2 ** np.arange(per_seed.shape[1])
            axes.plot(n, per_seed.T, color=COLOURS[place], linewidth=0.8, alpha=0.4)
            axes.plot(n, per_seed.mean(axis=0), "-o", color=COLOURS[place], linewidth=2.2, markersize=3.5)
            ends[method.name] = float(per_seed[:, -1].mean())
        low, high = axes.get_ylim()
        heights = _apart(ends, 0.055 * (high - low))
        for place, method in enumerate(methods):
            axes.annotate(
                method.name, (n[-1], heights[method.name]), xytext=(7, 0), textcoords="offset points",
                va="center", color=COLOURS[place], fontsize=10, annotation_clip=False,
            )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_xticks(n, [f"{one}" for one in n])
        axes.set_title(f"{size:,} labelled answers", fontsize=12, loc="left")
        axes.set_xlabel("n of best of n", fontsize=11)
        axes.spines[["right", "top"]].set_visible(False)
        axes.grid(axis="y", color="#ECECEC", linewidth=0.8)
    panels[0].set_ylabel("gold of the chosen answers", fontsize=11)
    figure.savefig(path)


def _dot(axes: Axes, row: Row, height: float, colour: str, strength: float) -> None:
    low, high, mean = (_number(row, name) for name in ("low", "high", "mean"))
    seeds = _seeds(row)
    axes.plot([low, high], [height] * 2, color=colour, alpha=strength, linewidth=2.2, solid_capstyle="round")
    axes.plot(seeds, [height] * len(seeds), "|", color=colour, alpha=strength, markersize=7)
    axes.plot(mean, height, "o", color="white", markersize=7.5, zorder=3)
    axes.plot(mean, height, "o", color=colour, alpha=strength, markersize=7.5, zorder=3)


def _seeds(row: Row) -> list[float]:
    return [_number(row, name) for name in row if name.startswith("seed_")]


def _curve(
    axes: Axes, rows: Sequence[Row], method: str, size: int | None, colour: str
) -> tuple[float, float]:
    """Draw a scorer's curve, and return where it ends: by factuality alone."""
    own = [row for row in rows if row["method"] == method and row["answers"] == size]
    across, up = _by_seed(own, "relevance"), _by_seed(own, "factuality")
    axes.plot(across.T, up.T, color=colour, linewidth=0.7, alpha=0.35)
    x, y = across.mean(axis=0), up.mean(axis=0)
    axes.plot(x, y, "-", color=colour, linewidth=2.4)
    axes.plot(x[[0, -1]], y[[0, -1]], "o", color=colour, markersize=5)
    last = WEIGHTS.index(1.0)
    return float(x[last]), float(y[last])


def _by_seed(rows: Sequence[Row], name: str) -> Floats:
    """Return what is measured, [seeds, rows of each]."""
    seeds: dict[object, list[float]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], []).append(_number(row, name))
    return np.array([*seeds.values()])


def _name(
    axes: Axes,
    text: str,
    point: tuple[float, ...],
    colour: str,
    offset: tuple[float, float],
    side: Literal["left", "right"] = "left",
) -> None:
    axes.annotate(
        text, (point[0], point[1]), ha=side, xytext=offset, textcoords="offset points", color=colour,
        fontsize=9.5, zorder=6,
        bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
    )  # fmt: skip


def _apart(heights: Mapping[str, float], least: float) -> dict[str, float]:
    """Return heights moved up as little as sets them apart."""
    moved: dict[str, float] = {}
    last = -np.inf
    for name in sorted(heights, key=lambda one: heights[one]):
        last = moved[name] = max(heights[name], last + least)
    return moved


def _wrapped(title: str) -> str:
    words = title.split()
    middle = (len(words) + 1) // 2
    return " ".join(words[:middle]) + "\n" + " ".join(words[middle:])


def _number(row: Row, name: str) -> float:
    value = row[name]
    return float("nan") if value is None else float(str(value))
