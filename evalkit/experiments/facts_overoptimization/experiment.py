"""The overoptimization grid: every reward model for every seed, then curves, fits and a figure."""

from collections.abc import Iterator
from pathlib import Path

import torch

from evalkit.experiments.facts_overoptimization.config import Grid
from evalkit.experiments.facts_overoptimization.figures import draw_grid
from evalkit.experiments.facts_overoptimization.tables import Row, curves_and_fits
from evalkit.quickstart.config import Quickstart
from evalkit.quickstart.steps import Proxy, base_step, curve_step, label_steps, proxy_step, sample_step
from evalkit.report.csv import write_csv
from evalkit.runs.settings import settings_of, write_settings
from evalkit.runs.steps import Step, run_steps
from evalkit.runs.terminal import say

BASES = {"S": "base-small", "M": "base-middle", "L": "policy"}
"""Folder of the language model of each size."""


def run(config: Grid) -> None:
    """Run the grid, or what is left of it."""
    torch.set_num_threads(1)  # as in the quickstart: matrices this small gain nothing from a second
    curves: list[Row] = []
    fits: list[Row] = []
    proxies = [
        Proxy(f"{size}-{labels}", size, BASES[size], labels) for labels in config.labels for size in BASES
    ]
    for seed in config.seeds:
        folder = Path(config.work) / f"seed-{seed}"
        models = Quickstart(out=str(folder), seed=seed, samples=config.samples, labels=max(config.labels))
        run_steps(_steps(models, proxies), folder)
        seed_curves, seed_fits = curves_and_fits(folder, seed, proxies)
        curves += seed_curves
        fits += seed_fits
    out = Path(config.out)
    write_csv(out / "curves.csv", curves)
    write_csv(out / "fits.csv", fits)
    draw_grid(curves, config, BASES, out / "overoptimization.png")
    write_settings(out, settings_of(config))
    say(f"Results are in {out}")


def _steps(models: Quickstart, proxies: list[Proxy]) -> Iterator[Step]:
    for size, name in BASES.items():
        yield base_step(models, name, size, f"base {size}")
    yield from label_steps(models)
    for proxy in proxies:
        yield proxy_step(models, proxy)
    yield sample_step(models)
    yield curve_step(models, proxies)
