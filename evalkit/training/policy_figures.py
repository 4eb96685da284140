"""Figures of policies in training: the panels of one run, or of several runs in comparison."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from evalkit.report.style import COLOURS, PLAIN_TEXT
from evalkit.training.policy_panels import PANELS, PROBE, ROLLOUT, PlotCurve, PlotPanel

PANEL_PNG = "panel.png"
COLUMNS = 3
_INK, _GRID = "#404040", "#E6E6E6"

Line = Mapping[str, Any]


@rc_context(PLAIN_TEXT)
def draw_policy_run(folder: Path) -> None:
    """Draw a run's `panel.png` from its logs; without logs there is none.

    Held-out prompts (`probe_...`) are drawn strong, the prompts learnt from (`rollout_...`) thin behind them.

    Args:
        folder: The run's, with probe.jsonl, metrics.jsonl or both.
    """
    looks, metrics = _lines(folder / "probe.jsonl"), _lines(folder / "metrics.jsonl")
    lines = [*metrics, *looks]
    shown = [panel for panel in PANELS if _is_shown(panel, lines)]
    if not shown:
        return
    signs = _signs(looks)
    figure, every = _canvas(len(shown), 0.24 * len(signs))
    for axes, panel in zip(every, shown, strict=True):
        _draw(axes, panel, looks, metrics)
        _finish(axes, panel.title, panel.share)
        best = _best(looks)
        if best is not None and panel.of_samples:
            axes.axvline(best, color=COLOURS[2], linewidth=1.1, linestyle=(0, (1, 1.5)), zorder=0.5)
    _explain(figure, looks, lines)
    if signs:
        figure.supxlabel("\n".join(signs), fontsize=9, color=COLOURS[1], x=0.01, ha="left")
    _save(figure, folder / PANEL_PNG)


@rc_context(PLAIN_TEXT)
def draw_panels(runs: Mapping[str, Sequence[Line]], keys: Sequence[str], path: Path) -> None:
    """Plot several runs in the same axes, one pair of axes for each key.

    Args:
        runs: Lines by the name of the run, each with its `step`. Several lines of a step are its seeds: their
            mean is drawn, and a band from the lowest to the highest.
        keys: What is drawn of the lines, such as `probe_gold`; what no run has is left out.
        path: A file whose suffix Matplotlib knows.
    """
    shown = [key for key in keys if any(_has(lines, key) for lines in runs.values())]
    if not shown:
        return
    figure, every = _canvas(len(shown), 0.3)
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(runs)}
    for axes, key in zip(every, shown, strict=True):
        for name, lines in runs.items():
            steps, values = _seeds(lines, key)
            if not steps:
                continue
            low, high = (np.array([choose(one) for one in values]) for choose in (min, max))
            axes.fill_between(steps, low, high, color=colours[name], alpha=0.15, linewidth=0)
            _plot(axes, steps, [float(np.mean(one)) for one in values], colours[name])
        _finish(axes, _title(key), share=False)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour, linewidth=2, label=name) for name, colour in colours.items()
    ]
    if any(len(one) > 1 for lines in runs.values() for key in shown for one in _seeds(lines, key)[1]):
        handles.append(Patch(color=_INK, alpha=0.15, label="lowest to highest seed"))
    figure.legend(handles=handles, loc="outside upper left", ncols=4, frameon=False, fontsize=10)
    _save(figure, path)


def _lines(path: Path) -> list[Line]:
    """Return a file's lines, without one that a kill left half-written."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _is_shown(panel: PlotPanel, lines: Sequence[Line]) -> bool:
    prefixes = (PROBE, ROLLOUT) if panel.of_samples else ("",)
    keys = [prefix + curve.key for prefix in prefixes for curve in panel.curves]
    values = {line[key] for line in lines for key in keys if key in line}
    return len(values) > (1 if panel.fixed else 0)


def _has(lines: Sequence[Line], key: str) -> bool:
    return any(key in line for line in lines)


def _draw(axes: Axes, panel: PlotPanel, looks: Sequence[Line], metrics: Sequence[Line]) -> None:
    sources: list[tuple[Sequence[Line], str, bool]] = [(metrics, "", True)]
    if panel.of_samples:
        probed = _has(looks, PROBE + panel.curves[0].key)
        sources = [(metrics, ROLLOUT, not probed), (looks or metrics, PROBE, True)]
    names: dict[str, Line2D] = {}
    for lines, prefix, strong in sources:
        for curve in panel.curves:
            steps, values = _series(lines, prefix + curve.key)
            if not steps:
                continue
            colour = COLOURS[curve.colour]
            if strong:
                _bands(axes, curve, lines, prefix)
            _plot(axes, steps, values, colour, curve.style, strong)
            names[curve.label] = Line2D([], [], color=colour, linestyle=curve.style, linewidth=2)
    if len(names) > 1:
        axes.legend(list(names.values()), list(names), frameon=False, fontsize=8.5, loc="best")


def _bands(axes: Axes, curve: PlotCurve, lines: Sequence[Line], prefix: str) -> None:
    """Draw quantiles, or two standard errors, about a curve."""
    colour, name = COLOURS[curve.colour], prefix + curve.key
    if curve.quantiles:
        for low, high, alpha in (("05", "95", 0.12), ("25", "75", 0.18)):
            steps, lowest = _series(lines, f"{name}_q{low}")
            _, highest = _series(lines, f"{name}_q{high}")
            axes.fill_between(steps, lowest, highest, color=colour, alpha=alpha, linewidth=0)
    if curve.error:
        known = [line for line in lines if f"{name}_se" in line]
        steps, values = _series(known, name)
        _, errors = _series(known, f"{name}_se")
        style: dict[str, Any] = {"fmt": "none", "ecolor": colour, "elinewidth": 1.1, "capsize": 2}
        if len(steps) <= 40:
            axes.errorbar(steps, values, 2 * np.array(errors), **style)
        else:  # so many bars would be a band of stripes
            spread = 2 * np.array(errors)
            axes.fill_between(
                steps,
                np.array(values) - spread,
                np.array(values) + spread,
                color=colour,
                alpha=0.2,
                linewidth=0,
            )


def _series(lines: Sequence[Line], key: str) -> tuple[list[float], list[float]]:
    """Return steps and values of a key; of lines of one step, as PPO's critic makes alone, the last."""
    values = {float(line["step"]): float(line[key]) for line in lines if key in line}
    steps = sorted(values)
    return steps, [values[step] for step in steps]


def _seeds(lines: Sequence[Line], key: str) -> tuple[list[float], list[list[float]]]:
    found: dict[float, list[float]] = {}
    for line in lines:
        if key in line:
            found.setdefault(float(line["step"]), []).append(float(line[key]))
    steps = sorted(found)
    return steps, [found[step] for step in steps]


def _plot(
    axes: Axes,
    steps: Sequence[float],
    values: Sequence[float],
    colour: str,
    style: Literal["-", "--", ":"] = "-",
    strong: bool = True,
) -> None:
    marker = "o" if strong and len(steps) <= 40 else ""
    axes.plot(
        steps,
        values,
        linestyle=style,
        color=colour,
        linewidth=1.9 if strong else 1.0,
        alpha=1.0 if strong else 0.45,
        marker=marker,
        markersize=3.2,
    )


def _canvas(count: int, extra: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with axes for so many panels, and `extra` inches for what is written about them."""
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(4.3 * columns, 2.7 * rows + 0.45 + extra), dpi=130, layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in every[count:]:
        axes.remove()
    return figure, every[:count]


def _finish(axes: Axes, title: str, share: bool) -> None:
    axes.set_title(title, fontsize=10.5, loc="left", color=_INK)
    axes.set_xlabel("updates", fontsize=9, color=_INK)
    axes.spines[["right", "top"]].set_visible(False)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.margins(x=0.03)
    if share:
        axes.set_ylim(-0.03, 1.03)


def _explain(figure: Figure, looks: Sequence[Line], lines: Sequence[Line]) -> None:
    """Write the legend of the line styles used."""
    handles: list[Line2D | Patch] = []
    learnt_from = any(key.startswith(ROLLOUT) for line in lines for key in line)
    if looks:
        handles.append(
            Line2D([], [], color=_INK, linewidth=1.9, marker="o", markersize=3.2, label="held-out prompts")
        )
    if learnt_from:
        width = 1.0 if looks else 1.9
        handles.append(Line2D([], [], color=_INK, linewidth=width, alpha=0.6, label="prompts learnt from"))
    if looks or learnt_from:
        handles.append(Patch(color=_INK, alpha=0.2, label="5-95% and 25-75% of responses"))
        handles.append(
            Line2D([], [], color=_INK, marker="|", markersize=9, linewidth=0, label="two standard errors")
        )
    if _best(looks) is not None:
        handles.append(
            Line2D(
                [], [], color=COLOURS[2], linewidth=1.1, linestyle=(0, (1, 1.5)), label="weights kept as best"
            )
        )
    if handles:
        figure.legend(
            handles=handles, loc="outside upper left", ncols=len(handles), frameon=False, fontsize=9
        )


def _best(looks: Sequence[Line]) -> float | None:
    """Return the step of the highest gold, or without it proxy; None without either."""
    for name in ("probe_gold", "probe_proxy"):
        known = [line for line in looks if name in line]
        if known:
            return float(max(known, key=lambda line: float(line[name]))["step"])
    return None


def _signs(looks: Sequence[Line]) -> list[str]:
    """Return the latest text of each sign of collapse, after a heading."""
    signs: dict[str, str] = {}
    for line in looks:
        for text in line.get("warnings", ()):
            signs[text.partition(":")[0]] = text
    return ["Signs of collapse that were told, each as of the last time:", *signs.values()] if signs else []


def _title(key: str) -> str:
    """Return a key's title: its panel's title, and its curve's name where there are several."""
    for panel in PANELS:
        for curve in panel.curves:
            prefix = key.removesuffix(curve.key)
            if prefix + curve.key == key and prefix in ((PROBE, ROLLOUT) if panel.of_samples else ("",)):
                name = panel.title if len(panel.curves) == 1 else f"{panel.title}: {curve.label}"
                return f"{name}, prompts learnt from" if prefix == ROLLOUT else name
    return key.removeprefix(PROBE).removeprefix(ROLLOUT).replace("_", " ")


def _save(figure: Figure, path: Path) -> None:
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    figure.savefig(partial)
    partial.replace(path)
