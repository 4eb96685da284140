"""The experiment of process against outcome supervision: every seed, then tables and figures."""

from pathlib import Path

import torch

from evalkit.experiments.process_vs_outcome.config import ProcessVsOutcome
from evalkit.experiments.process_vs_outcome.figures import draw_curves, draw_labels
from evalkit.experiments.process_vs_outcome.steps import steps
from evalkit.experiments.process_vs_outcome.tables import write_tables
from evalkit.experiments.process_vs_outcome.world import GOLD, ProcessTrial
from evalkit.runs.settings import settings_of, write_settings
from evalkit.runs.steps import run_steps
from evalkit.runs.terminal import say


def run(config: ProcessVsOutcome) -> None:
    """Run every seed, or what is left of it, and write the tables and the figures."""
    torch.set_num_threads(1)  # matrices this small gain nothing from a second
    for seed in config.seeds:
        trial = ProcessTrial(config, seed)
        run_steps(steps(trial), trial.folder)
    measured, out = write_tables(config), Path(config.out)
    draw_curves(measured, out / "accuracy.png")
    labelled = next(one for one in measured if one.size == config.automatic)
    draw_labels(labelled, out / "first_errors.csv", out / "labels.png")
    write_settings(out, settings_of(config), world=GOLD.hash)
    say(f"Results are in {out}")
