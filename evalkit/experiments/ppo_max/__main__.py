"""PPO-max against plain PPO in the world of facts, and PPO-max with each of its parts left out.

    python -m evalkit.experiments.ppo_max

PPO-max is the recipe of Secrets of RLHF I (Zheng et al. 2023, 2307.04964, sections 5.2 to 5.4). A policy is
optimised against a reward model that learnt from 1000 noisy labels, and gold, KL, perplexity and length are
looked at on held-out prompts. All variants share models, episodes, updates and learning rates within a seed.

About 40 seconds of processor time a run, and 45 runs. Expected: gold rises from -0.6 to about 0 within 1000
episodes and stays there; plain PPO falls far below on its way in two of three seeds and comes back, unless
its critic is trained first; without the KL penalty gold is lower in every seed. No other part, left out of
PPO-max, moves gold by more than chance.
"""

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from jsonargparse import auto_cli

from evalkit.experiments.ppo_max.figures import draw_ends, draw_panel
from evalkit.experiments.ppo_max.steps import FULL, VARIANTS, Course, steps
from evalkit.experiments.ppo_max.tables import Row, agreement, curve_rows, summary_rows
from evalkit.policies.ppo.config import PpoConfig
from evalkit.quickstart.config import Quickstart
from evalkit.report.csv import write_csv
from evalkit.runs.files import atomic_write, json_text
from evalkit.runs.provenance import provenance
from evalkit.testbeds.facts import FactsWorld
from rewards.errors import ConfigError

SETTINGS = "settings.json"
"""In the work folder: with what its models were made."""
LARGEST_BUFFER = 512


@dataclass(frozen=True)
class PpoMax:
    """Run every variant for every seed, and write tables and figures."""

    work: str = "runs/ppo-max"
    """Folder for models and runs; what is finished there is used again."""
    out: str = "results/ppo_max"
    """Folder for config.json, tables and figures."""
    seeds: list[int] = field(default_factory=lambda: [30, 31, 32])
    """Seeds of models, labels, prompts and runs. The settings were chosen on seed 0."""
    variants: list[str] = field(default_factory=lambda: [*VARIANTS])
    """Variants by name; PPO-max, which the others are held against, among them."""
    labels: int = 1000
    """Labelled pairs that the reward model learns from."""
    episodes: int = 10240
    """Responses that each policy learns from."""
    learning_rate: float = 1e-3
    """Rate of policy and critic throughout, the same for all variants."""
    kl_coefficient: float = 0.05
    """Weight of the KL penalty, where there is one."""
    epochs: int = 2
    """Passes over a round's responses."""
    batch: int = 32
    """Responses in one update."""
    prompts: int = 128
    """Held-out prompts."""
    samples: int = 2
    """Responses to each in a look."""
    looks: int = 10
    """Looks at each run beside that at its start; as many as make looks fall between the largest rounds."""
    questions: int = 2000
    """Prompts that PPO samples for."""
    texts: int = 4000
    """Answers of the corpus for the mixed-in loss."""
    updates: int = 1000
    """Most updates of a language model; it stops before, once it knows the world's facts."""

    def __post_init__(self) -> None:
        if FULL not in self.variants or not set(self.variants) <= set(VARIANTS):
            raise ConfigError(f"variants are of {', '.join(VARIANTS)}, {FULL} with them; got {self.variants}")
        if self.looks < 1 or self.episodes % (self.looks * LARGEST_BUFFER):
            raise ConfigError(
                f"episodes are a multiple of {LARGEST_BUFFER} for each of {self.looks} looks, so that all "
                f"variants are looked at after the same; got {self.episodes}"
            )


def main(config: PpoMax) -> None:
    """Run the experiment, or what is left of it."""
    torch.set_num_threads(1)  # as in the quickstart: matrices this small gain nothing from a second
    _check_settings(config)
    courses = [_course(config, seed) for seed in config.seeds]
    for course in courses:
        _make(course)
    _report(config, courses)


def _course(config: PpoMax, seed: int) -> Course:
    models = Quickstart(
        out=str(Path(config.work) / f"seed-{seed}"),
        seed=seed,
        prompts=config.prompts,
        labels=config.labels,
        updates=config.updates,
    )
    settings = PpoConfig(
        episodes=config.episodes,
        epochs=config.epochs,
        batch=config.batch,
        learning_rate=config.learning_rate,
        schedule="constant",
        kl_coefficient=config.kl_coefficient,
        max_new_tokens=FactsWorld().max_tokens,
    )
    variants = {name: variant for name, variant in VARIANTS.items() if name in config.variants}
    return Course(models, settings, variants, config.questions, config.texts, config.samples, config.looks)


def _check_settings(config: PpoMax) -> None:
    """Refuse a work folder whose models were made with other settings.

    Raises:
        ConfigError: It was; the message names the settings.
    """
    path, mine = Path(config.work) / SETTINGS, _settings(config)
    for name in ("seeds", "variants"):
        mine.pop(name)  # each has a folder of its own
    if path.exists():
        begun = json.loads(path.read_text(encoding="utf-8"))
        other = [name for name in mine if begun.get(name) != mine[name]]
        if other:
            told = ", ".join(f"{name} {begun.get(name)}, not {mine[name]}" for name in other)
            raise ConfigError(f"{config.work}: was begun with {told}; name another --work")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(json_text(mine))


def _make(course: Course) -> None:
    course.folder.mkdir(parents=True, exist_ok=True)
    with (course.folder / "log.txt").open("a", encoding="utf-8") as log:
        for step in steps(course):
            if not step.made.exists():
                sys.stdout.write(f"{course.folder}: {step.title}\n")
                sys.stdout.flush()
                with redirect_stdout(log), redirect_stderr(log):
                    step.make()


def _report(config: PpoMax, courses: list[Course]) -> None:
    out, variants = Path(config.out), courses[0].variants
    curves: list[Row] = [row for course in courses for row in curve_rows(course)]
    summary = [*summary_rows(curves, [*variants], config.seeds)]
    write_csv(out / "curves.csv", curves)
    write_csv(out / "summary.csv", summary)
    draw_panel(curves, variants, out / "panel.png")
    draw_ends(summary, variants, config.seeds, out / "ends.png")
    with atomic_write(out / "config.json") as file:
        agreements = {str(course.config.seed): agreement(course) for course in courses}
        common = {name: value for name, value in asdict(courses[0].settings).items() if name != "seed"}
        file.write(
            json_text(
                {
                    "configuration": _settings(config),
                    "variants": {
                        name: {**asdict(one), "changes": dict(one.changes)} for name, one in variants.items()
                    },
                    "common_settings": common,
                    "world": FactsWorld().hash,
                    "agreement_of_reward_models": agreements,
                    **provenance(),
                }
            )
        )
    sys.stdout.write(f"Results are in {out}\n")


def _settings(config: PpoMax) -> dict[str, object]:
    return {name: value for name, value in asdict(config).items() if name not in ("work", "out")}


if __name__ == "__main__":
    main(auto_cli(PpoMax, as_positional=False))
