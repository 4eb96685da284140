"""Process against outcome supervision in the world of arithmetic ("Let's Verify Step by Step", figure 3).

    python -m evalkit.experiments.process_vs_outcome

About 12 minutes a seed. Expected, over three seeds: with 32,000 labelled solutions the process model's best
of 128 is always right, the outcome model's in 64 to 82 %, and the majority in 55 %: the paper's order. With
1,000 and 4,000 the outcome model falls below the majority as N grows.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from jsonargparse import auto_cli

from evalkit.experiments.process_vs_outcome.figures import draw_curves, draw_labels
from evalkit.experiments.process_vs_outcome.steps import make, steps
from evalkit.experiments.process_vs_outcome.tables import write_tables
from evalkit.experiments.process_vs_outcome.world import GOLD, Place, ProcessVsOutcome, check
from evalkit.runs.files import atomic_write
from evalkit.runs.provenance import provenance


def main(config: ProcessVsOutcome) -> None:
    """Run every seed, or what is left of it, and write the tables and the figures.

    Raises:
        ConfigError: Sizes, epochs and candidates that do not fit each other.
    """
    check(config)
    torch.set_num_threads(1)  # matrices this small gain nothing from a second
    for seed in config.seeds:
        place = Place(config, seed)
        make([*steps(place)], place.folder)
    measured, out = write_tables(config), Path(config.out)
    draw_curves(measured, out / "accuracy.png")
    labelled = next(one for one in measured if one.size == config.automatic)
    draw_labels(labelled, out / "first_errors.csv", out / "labels.png")
    with atomic_write(out / "config.json") as file:
        settings = {name: value for name, value in asdict(config).items() if name not in ("work", "out")}
        json.dump({"configuration": settings, "world": GOLD.hash, **provenance()}, file, indent=2)
        file.write("\n")
    sys.stdout.write(f"Results are in {out}\n")


if __name__ == "__main__":
    main(auto_cli(ProcessVsOutcome, as_positional=False))
