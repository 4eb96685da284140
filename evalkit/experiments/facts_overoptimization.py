"""Overoptimization against reward model size and labels in the world of facts (Gao et al. 2022, figures 1-3).

    python -m evalkit.experiments.facts_overoptimization

About 3 minutes of processor time a seed. Expected, over three seeds: the highest gold gain is about 0.5 with
500 labels, 0.7 to 1.1 with 1500 and 1.5 with 5000, nearly always at an n between 4 and 256, and gold falls
beyond it. More labels raise alpha. Unlike in the paper, size makes no consistent difference to beta.
"""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from jsonargparse import auto_cli
from matplotlib.figure import Figure

from evalkit.overoptimization.figures import DISTANCE
from evalkit.quickstart.config import Quickstart
from evalkit.quickstart.steps import Proxy, base_step, curve_step, label_steps, proxy_step, sample_step
from evalkit.report.style import COLOURS
from evalkit.runs.files import atomic_write
from evalkit.runs.provenance import provenance
from evalkit.runs.steps import Step
from rewards.files import preference, read_rows
from rewards.records import Generation
from rewards.scorer import load_scorer

BASES = {"S": "base-small", "M": "base-middle", "L": "policy"}


@dataclass(frozen=True)
class Grid:
    """Train every reward model of the grid for every seed, and write curves, fits and a figure."""

    work: str = "runs/facts-overoptimization"
    """Folder for models and samples; what is finished there is used again."""
    out: str = "results/overoptimization"
    """Folder for config.json, curves.csv, fits.csv and overoptimization.png."""
    seeds: list[int] = field(default_factory=lambda: [10, 11, 12])
    """Seeds of models, labels and samples. The settings were chosen on seeds 0 to 2."""
    labels: list[int] = field(default_factory=lambda: [500, 1500, 5000])
    """Numbers of labelled pairs; the smaller sets are the first of the larger."""
    samples: int = 512
    """Samples for each prompt."""


def main(grid: Grid) -> None:
    """Run the grid, or what is left of it."""
    torch.set_num_threads(1)  # as in the quickstart: matrices this small gain nothing from a second
    curves: list[dict[str, object]] = []
    fits: list[dict[str, object]] = []
    for seed in grid.seeds:
        folder = Path(grid.work) / f"seed-{seed}"
        config = Quickstart(out=str(folder), seed=seed, samples=grid.samples, labels=max(grid.labels))
        proxies = [
            Proxy(f"{size}-{labels}", size, BASES[size], labels) for labels in grid.labels for size in BASES
        ]
        folder.mkdir(parents=True, exist_ok=True)
        _make([*_steps(config, proxies)], folder)
        seed_curves, seed_fits = _read(folder, seed, proxies)
        curves += seed_curves
        fits += seed_fits
    out = Path(grid.out)
    _write_table(out / "curves.csv", curves)
    _write_table(out / "fits.csv", fits)
    _draw(curves, grid, out / "overoptimization.png")
    with atomic_write(out / "config.json") as file:
        settings = {name: value for name, value in asdict(grid).items() if name not in ("work", "out")}
        json.dump({"configuration": settings, **provenance()}, file, indent=2)
    sys.stdout.write(f"Results are in {out}\n")


def _steps(config: Quickstart, proxies: list[Proxy]) -> Iterator[Step]:
    for size, name in BASES.items():
        yield base_step(config, name, size, f"base {size}")
    yield from label_steps(config)
    for proxy in proxies:
        yield proxy_step(config, proxy)
    yield sample_step(config)
    yield curve_step(config, proxies)


def _make(steps: list[Step], folder: Path) -> None:
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        for step in steps:
            if not step.made.exists():
                sys.stdout.write(f"{folder}: {step.title}\n")
                with redirect_stdout(log), redirect_stderr(log):
                    step.make()


def _read(
    folder: Path, seed: int, proxies: list[Proxy]
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return the rows of a seed for the two tables."""
    records = json.loads((folder / "curves" / "fit.json").read_text(encoding="utf-8"))["curves"]
    named = {record["proxy"]: (proxy, record) for proxy, record in zip(proxies, records, strict=True)}
    curves = []
    with (folder / "curves" / "curve.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            proxy, record = named[row["scorer"]]
            curves.append(
                {
                    "seed": seed,
                    "size": proxy.size,
                    "labels": proxy.labels,
                    "n": int(row["n"]),
                    "d": round(float(row["d"]), 4),
                    "proxy_gain_in_sd": round(float(row["proxy"]) / record["proxy_sd"], 4),
                    "gold_gain": round(float(row["gold"]), 4),
                }
            )
    keys = ("gold_start", "alpha", "beta", "r2", "peak_n", "peak_share")
    fits = []
    for path, (proxy, record) in named.items():
        numbers = {key: None if record[key] is None else round(record[key], 4) for key in keys}
        best = {
            "best_n": record["best_measured"]["n"],
            "best_gold_gain": round(record["best_measured"]["gold"], 4),
        }
        who = {"seed": seed, "size": proxy.size, "labels": proxy.labels}
        fits.append({**who, "agreement": round(_agreement(folder, path), 4), **best, **numbers})
    return curves, fits


def _agreement(folder: Path, model: str) -> float:
    """Return the share of held-out pairs that a reward model orders as gold does."""
    pairs = [preference(row) for row in read_rows(folder / "gold-pairs.jsonl")]
    scorer = load_scorer(model)
    chosen = scorer.score([Generation(pair.prompt, pair.chosen) for pair in pairs])
    rejected = scorer.score([Generation(pair.prompt, pair.rejected) for pair in pairs])
    return float(np.mean([good.value > bad.value for good, bad in zip(chosen, rejected, strict=True)]))


def _write_table(path: Path, rows: list[dict[str, object]]) -> None:
    with atomic_write(path) as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _draw(curves: list[dict[str, object]], grid: Grid, path: Path) -> None:
    """Draw gold for each number of labels: seeds thin, their mean thick, sizes by colour."""
    figure = Figure(figsize=(12.5, 4.4), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(grid.labels), sharey=True, squeeze=False)[0]
    for axes, labels in zip(panels, grid.labels, strict=True):
        for colour, size in zip(COLOURS, BASES, strict=False):
            rows = [row for row in curves if row["size"] == size and row["labels"] == labels]
            d = sorted({float(str(row["d"])) for row in rows})
            gold = np.array(
                [[row["gold_gain"] for row in rows if row["seed"] == seed] for seed in grid.seeds]
            )
            axes.plot(d, gold.T, color=colour, linewidth=0.8, alpha=0.5)
            axes.plot(
                d, gold.mean(axis=0), "-o", color=colour, linewidth=2.4, markersize=4, label=f"size {size}"
            )
        axes.axhline(0, color="#404040", linewidth=0.8)
        axes.spines[["right", "top"]].set_visible(False)
        axes.set_title(f"{labels:,} labels")
        axes.set_xlim(left=0)
    panels[0].set_ylabel("gold, gain over the starting policy")
    panels[0].legend(frameon=False)
    figure.supxlabel(DISTANCE)
    figure.savefig(path)


if __name__ == "__main__":
    main(auto_cli(Grid, as_positional=False))
