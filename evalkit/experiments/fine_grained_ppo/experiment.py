"""The fine-grained PPO experiment: every reward for every seed, then tables and a figure."""

from dataclasses import asdict
from pathlib import Path

import torch

from evalkit.experiments.fine_grained.steps import gate
from evalkit.experiments.fine_grained_ppo.config import ALL, FineGrainedPpo
from evalkit.experiments.fine_grained_ppo.figures import draw_curves
from evalkit.experiments.fine_grained_ppo.steps import FineGrainedPpoTrial, steps
from evalkit.experiments.fine_grained_ppo.tables import Row, curve_rows, difference_rows, summary_rows
from evalkit.report.csv import write_csv
from evalkit.runs.settings import settings_of, write_settings
from evalkit.runs.steps import run_steps
from evalkit.runs.terminal import say
from evalkit.testbeds.facts import FactsWorld


def run(config: FineGrainedPpo) -> None:
    """Run the experiment, or what is left of it."""
    torch.set_num_threads(1)  # as in the quickstart: matrices this small gain nothing from a second
    trials = [FineGrainedPpoTrial(config, seed) for seed in config.seeds]
    for trial in trials:
        run_steps(steps(trial), trial.folder)
    _report(config, trials)


def _report(config: FineGrainedPpo, trials: list[FineGrainedPpoTrial]) -> None:
    out, names = Path(config.out), [*config.rewards, *config.weighted]
    curves: list[Row] = [row for trial in trials for row in curve_rows(trial)]
    write_csv(out / "curves.csv", curves)
    write_csv(out / "summary.csv", [*summary_rows(curves, names, config.seeds)])
    write_csv(out / "differences.csv", [*difference_rows(curves, names, config.seeds)])
    draw_curves(curves, config.rewards, config.weighted, config.seeds[0], out / "curves.png")
    own = ("seed", "critic_pretraining")
    write_settings(
        out,
        settings_of(config),
        rewards={name: {**asdict(ALL[name]), "weights": dict(ALL[name].weights)} for name in names},
        ppo={name: value for name, value in asdict(trials[0].settings).items() if name not in own},
        methods=[asdict(arm.method) for arm in trials[0].arms],
        world=FactsWorld().hash,
        language_models={str(trial.seed): gate(trial.folder) for trial in trials},
    )
    say(f"Results are in {out}")
