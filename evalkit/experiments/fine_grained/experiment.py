"""The fine-grained experiment: every reward model for every seed, then tables and figures."""

from dataclasses import asdict
from pathlib import Path

import torch

from evalkit.experiments.fine_grained.config import BASELINE, CHARGED, SHORTER, FineGrained
from evalkit.experiments.fine_grained.figures import draw_curves, draw_quality, draw_trade_off
from evalkit.experiments.fine_grained.steps import FineGrainedTrial, gate, steps
from evalkit.experiments.fine_grained.tables import (
    Row,
    agreement_rows,
    bound_rows,
    card_rows,
    curve_rows,
    difference_rows,
    front_rows,
    quality_rows,
    read_pool,
    trade_off_rows,
)
from evalkit.report.csv import write_csv
from evalkit.runs.settings import settings_of, write_settings
from evalkit.runs.steps import run_steps
from evalkit.runs.terminal import say
from rewards.intervals import Resampling


def run(config: FineGrained) -> None:
    """Run the experiment, or what is left of it."""
    torch.set_num_threads(1)  # as in the quickstart: matrices this small gain nothing from a second
    trials = [FineGrainedTrial(config, seed) for seed in config.seeds]
    for trial in trials:
        run_steps(steps(trial), trial.folder)
    _report(config, trials)


def _report(config: FineGrained, trials: list[FineGrainedTrial]) -> None:
    out, resampling = Path(config.out), Resampling()
    pools, arms, methods = [read_pool(trial) for trial in trials], trials[0].arms, trials[0].methods
    quality = [*quality_rows(pools, arms, config.n, resampling)]
    trade_offs = [*trade_off_rows(pools, arms, config.n)]
    curves = [*curve_rows(pools, arms)]
    baselines = [BASELINE, SHORTER, "ratings", *(arm.name for arm in arms if arm.answers == config.more)]
    tables: dict[str, list[Row]] = {
        "quality": quality,
        "differences": [*difference_rows(pools, arms, baselines, config.n, resampling)],
        "trade_off": trade_offs,
        "curves": curves,
        "agreement": [*agreement_rows(pools, arms)],
        "fronts": [*front_rows(pools, trials)],
        "bounds": [*bound_rows(pools, trials, config.n, resampling)],
        "cards": [*card_rows(trials)],
    }
    for name, rows in tables.items():
        write_csv(out / f"{name}.csv", rows)
    noisy = [[row for row in rows if _is_drawn(row)] for rows in (quality, trade_offs, curves)]
    sizes = sorted({*config.answers, *filter(None, [config.more])})
    charged = [CHARGED] if any(method.objective == "error" for method in methods) else []
    draw_quality(noisy[0], [*methods, *charged], sizes, config.n, out / "quality.png")
    draw_trade_off(noisy[1], noisy[0], methods, config.answers, config.more, out / "trade_off.png")
    draw_curves(noisy[2], [*methods, *charged], config.answers, out / "curves.png")
    write_settings(
        out,
        settings_of(config),
        methods=[*map(asdict, methods)],
        language_models={str(trial.seed): gate(trial.folder) for trial in trials},
    )
    say(f"Results are in {out}")


def _is_drawn(row: Row) -> bool:
    """Tell whether a row is of noisy labels, or of the ends of the scale, which have none."""
    return row["answers"] is None or not row["exact"]
