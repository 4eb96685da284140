"""Span rewards of an aspects model against one holistic reward, and dense against final credit, under PPO.

    python -m evalkit.experiments.fine_grained_ppo

After Fine-Grained RLHF (Wu et al. 2023, 2306.01693) in the world of facts. Reward models learn from the same
labelled answers, as in `fine_grained`; PPO optimises each, and gold itself as the upper bound. The spans are
paid twice, once each where it ends and once their sum at the last token, so that what dense credit does is
told apart from what the labels do. On one seed the aspects are weighed otherwise.

About 30 s a run and 2 minutes for a seed's models on a free core, 23 runs. Expected, over three seeds, after
5120 episodes: a gold of about 2.1 by gold, 1.0 by ratings, 0.7 by spans paid at the end, 0.3 by spans paid
where they end and by preferences. Dense credit learns faster from gold, and loses with the learnt spans.
"""

import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from jsonargparse import auto_cli

from evalkit.experiments.fine_grained.steps import ANSWERS_A_PAIR, gate
from evalkit.experiments.fine_grained_ppo.figure import draw
from evalkit.experiments.fine_grained_ppo.steps import ALL, REWARDS, WEIGHTED, PpoCourse, steps
from evalkit.experiments.fine_grained_ppo.tables import Row, curve_rows, difference_rows, summary_rows
from evalkit.policies.ppo.config import PpoConfig
from evalkit.quickstart.config import Quickstart
from evalkit.report.csv import write_csv
from evalkit.runs.files import atomic_write, json_text
from evalkit.runs.provenance import provenance
from evalkit.testbeds.facts import FactsWorld
from rewards.errors import ConfigError

SPARE_PAIRS = 0.05
"""Share of labelled pairs beyond those learnt from, as pairs with an empty answer are left out."""


@dataclass(frozen=True)
class FineGrainedPpo:
    """Optimise every reward for every seed, and write tables and a figure."""

    work: str = "runs/fine-grained-ppo"
    """Folder for models and runs; what is finished there is used again."""
    out: str = "results/fine_grained_ppo"
    """Folder for config.json, tables and the figure."""
    seeds: list[int] = field(default_factory=lambda: [20, 21, 22])
    """Seeds of models, labels, prompts and runs. The settings were chosen on seed 0."""
    rewards: list[str] = field(default_factory=lambda: [*REWARDS])
    """Rewards by name."""
    weighted: list[str] = field(default_factory=lambda: [*WEIGHTED])
    """Rewards of other weights, optimised on the first seed alone."""
    answers: int = 3000
    """Labelled answers."""
    episodes: int = 5120
    """Responses that each policy learns from."""
    learning_rate: float = 1e-3
    """Of policy and critic throughout."""
    kl_coefficient: float = 0.05
    """Weight of the KL penalty beside rewards of a standard deviation of 1."""
    buffer: int = 256
    """Responses in a round."""
    batch: int = 32
    """Responses in one update."""
    epochs: int = 2
    """Passes over a round's responses."""
    prompts: int = 128
    """Held-out prompts."""
    samples: int = 2
    """Responses to each in a look."""
    looks: int = 10
    """Looks at each run beside that at its start."""
    questions: int = 2000
    """Prompts that PPO samples for."""
    updates: int = 1000
    """Most updates of the language model; it stops before, once it knows the world's facts."""

    def __post_init__(self) -> None:
        if not self.rewards or not set(self.rewards) <= set(REWARDS):
            raise ConfigError(f"rewards are of {', '.join(REWARDS)}; got {self.rewards}")
        if not set(self.weighted) <= set(WEIGHTED):
            raise ConfigError(f"weighted are of {', '.join(WEIGHTED)}; got {self.weighted}")
        if self.looks < 1 or self.episodes % (self.looks * self.buffer):
            raise ConfigError(
                f"episodes are a multiple of {self.buffer} for each of {self.looks} looks, got "
                f"{self.episodes}"
            )
        if self.answers % ANSWERS_A_PAIR:
            raise ConfigError(f"labelled answers come in pairs, got {self.answers}")


def main(config: FineGrainedPpo) -> None:
    """Run the experiment, or what is left of it."""
    torch.set_num_threads(1)  # as in the quickstart: matrices this small gain nothing from a second
    courses = [_course(config, seed) for seed in config.seeds]
    for course in courses:
        _make(course)
    _report(config, courses)


def _course(config: FineGrainedPpo, seed: int) -> PpoCourse:
    models = Quickstart(
        out=str(Path(config.work) / f"seed-{seed}"),
        seed=seed,
        prompts=config.prompts,
        labels=round(config.answers // ANSWERS_A_PAIR * (1 + SPARE_PAIRS)),
        updates=config.updates,
    )
    settings = PpoConfig(
        reward_normalise=True,
        max_gradient_norm=1.0,
        episodes=config.episodes,
        buffer=config.buffer,
        batch=config.batch,
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        schedule="constant",
        kl_coefficient=config.kl_coefficient,
        max_new_tokens=FactsWorld().max_tokens,
    )
    rewards = [*config.rewards, *(config.weighted if seed == config.seeds[0] else [])]
    return PpoCourse(
        models, settings, rewards, config.answers, config.questions, config.samples, config.looks
    )


def _make(course: PpoCourse) -> None:
    course.folder.mkdir(parents=True, exist_ok=True)
    with (course.folder / "log.txt").open("a", encoding="utf-8") as log:
        for step in steps(course):
            if not step.made.exists():
                sys.stdout.write(f"{course.folder}: {step.title}\n")
                sys.stdout.flush()
                with redirect_stdout(log), redirect_stderr(log):
                    step.make()


def _report(config: FineGrainedPpo, courses: list[PpoCourse]) -> None:
    out, names = Path(config.out), [*config.rewards, *config.weighted]
    curves: list[Row] = [row for course in courses for row in curve_rows(course)]
    write_csv(out / "curves.csv", curves)
    write_csv(out / "summary.csv", [*summary_rows(curves, names, config.seeds)])
    write_csv(out / "differences.csv", [*difference_rows(curves, names, config.seeds)])
    draw(curves, config.rewards, config.weighted, config.seeds[0], out / "curves.png")
    settings = {name: value for name, value in asdict(config).items() if name not in ("work", "out")}
    own = ("seed", "critic_pretraining")
    common = {name: value for name, value in asdict(courses[0].settings).items() if name not in own}
    with atomic_write(out / "config.json") as file:
        file.write(
            json_text(
                {
                    "configuration": settings,
                    "rewards": {
                        name: {**asdict(ALL[name]), "weights": dict(ALL[name].weights)} for name in names
                    },
                    "ppo": common,
                    "methods": [asdict(arm.method) for arm in courses[0].arms],
                    "world": FactsWorld().hash,
                    "language_models": {str(one.config.seed): gate(one.folder) for one in courses},
                    **provenance(),
                }
            )
        )
    sys.stdout.write(f"Results are in {out}\n")


if __name__ == "__main__":
    main(auto_cli(FineGrainedPpo, as_positional=False))
