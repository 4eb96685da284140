"""The PPO-max experiment: every variant for every seed, then tables and figures."""

from dataclasses import asdict
from pathlib import Path

import torch

from evalkit.experiments.ppo_max.config import PpoMax
from evalkit.experiments.ppo_max.figures import draw_ends, draw_panel
from evalkit.experiments.ppo_max.steps import PROXY, PpoMaxTrial, steps
from evalkit.experiments.ppo_max.tables import Row, agreement, curve_rows, summary_rows
from evalkit.report.csv import write_csv
from evalkit.runs.settings import check_settings, settings_of, write_settings
from evalkit.runs.steps import run_steps
from evalkit.runs.terminal import say
from evalkit.testbeds.facts import FactsWorld


def run(config: PpoMax) -> None:
    """Run the experiment, or what is left of it.

    Raises:
        ConfigError: The work folder is of other settings.
    """
    torch.set_num_threads(1)  # as in the quickstart: matrices this small gain nothing from a second
    check_settings(config.work, settings_of(config, "seeds", "variants"))  # each has a folder of its own
    trials = [PpoMaxTrial(config, seed) for seed in config.seeds]
    for trial in trials:
        run_steps(steps(trial), trial.folder)
    _report(config, trials)


def _report(config: PpoMax, trials: list[PpoMaxTrial]) -> None:
    out, variants = Path(config.out), trials[0].variants
    curves: list[Row] = [row for trial in trials for row in curve_rows(trial)]
    summary = [*summary_rows(curves, [*variants], config.seeds)]
    write_csv(out / "curves.csv", curves)
    write_csv(out / "summary.csv", summary)
    draw_panel(curves, variants, out / "panel.png")
    draw_ends(summary, variants, config.seeds, out / "ends.png")
    common = {name: value for name, value in asdict(trials[0].settings).items() if name != "seed"}
    write_settings(
        out,
        settings_of(config),
        variants={name: {**asdict(one), "changes": dict(one.changes)} for name, one in variants.items()},
        common_settings=common,
        world=FactsWorld().hash,
        agreement_of_reward_models={
            str(one.seed): agreement(one.folder, str(one.folder / PROXY)) for one in trials
        },
    )
    say(f"Results are in {out}")
