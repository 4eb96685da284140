"""Aspects learnt from spans against one holistic preference reward, on the same labelled answers.

    python -m evalkit.experiments.fine_grained

In the world of facts, as Fine-Grained RLHF (Wu et al. 2023, 2306.01693) does with people: answers of a policy
are labelled in five ways, from one preference for two answers to a value for each span; a reward model is
trained on each; the best of 64 answers by each is measured by gold, aspect by aspect, and weights between
aspects are moved without scoring again.

About 10 minutes a seed. Expected, over three seeds: with 3000 labelled answers the best of 64 has a gold of
about 1.4 by spans, 1.0 by one rating an answer and 0.5 by preferences (chance -0.6, gold itself 3.3), which
come to 1.0 with 10000. With 1000 answers spans lead clearly in relevance alone.
"""

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from jsonargparse import auto_cli

from evalkit.experiments.fine_grained.figures import draw_curves, draw_quality, draw_trade_off
from evalkit.experiments.fine_grained.steps import (
    ANSWERS_A_PAIR,
    CHARGED,
    METHODS,
    Arm,
    Course,
    Method,
    gate,
    steps,
)
from evalkit.experiments.fine_grained.tables import (
    Pool,
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
from evalkit.quickstart.config import Quickstart
from evalkit.report.csv import write_csv
from evalkit.runs.files import atomic_write
from evalkit.runs.provenance import provenance
from rewards.errors import ConfigError
from rewards.intervals import Resampling

BASELINE = "preferences"
SHORTER = "preferences-5"
"""The baseline with the quickstart's settings, which were not chosen for this; it alone learns from more."""
BOUNDED = "spans"
"""The method whose aspects are combined under bounds."""
SPARE_SAMPLES = 16
"""Samples beyond those scored, as empty ones are left out; a language model writes some 2 in 1,000."""
SPARE_PAIRS = 0.05
"""Share of pairs beyond those learnt from, for the same reason."""


@dataclass(frozen=True)
class FineGrained:
    """Train every reward model for every seed, and write tables and figures."""

    work: str = "runs/fine-grained"
    """Folder for models and scored answers; what is finished there is used again."""
    out: str = "results/fine_grained"
    """Folder for config.json, tables and figures."""
    seeds: list[int] = field(default_factory=lambda: [20, 21, 22])
    """Seeds of models, labels and answers. The settings were chosen on seeds 0 and 1."""
    answers: list[int] = field(default_factory=lambda: [1000, 3000])
    """Numbers of labelled answers; the smaller sets are the first of the larger."""
    more: int = 10000
    """Labelled answers on which preferences alone are also learnt; 0 for none."""
    methods: list[str] = field(default_factory=lambda: [method.name for method in METHODS])
    """Ways of labelling, by name; preferences, which the others are held against, among them."""
    exact: int = 3000
    """Labelled answers whose preferences and spans are also taken without noise; 0 for none."""
    prompts: int = 64
    """Prompts on which the choice is measured."""
    samples: int = 256
    """Answers to each of them."""
    n: int = 64
    """Answers that the best is chosen from, in expectation over all subsets of the samples."""
    bounds: list[float] = field(default_factory=lambda: [0.0, 1.0, 2.0])
    """Lowest factuality under which relevance is chosen by."""
    updates: int = 1000
    """Most updates of the language model; it stops before, once it knows the world's facts."""

    def __post_init__(self) -> None:
        if any(number % ANSWERS_A_PAIR for number in _sizes(self)):
            raise ConfigError(f"labelled answers come in pairs, got {_sizes(self)}")
        if self.more and SHORTER not in self.methods:
            raise ConfigError(f"more {self.more} is for {SHORTER}, which methods lack: {self.methods}")
        known = [method.name for method in METHODS]
        if not {BASELINE, BOUNDED} <= set(self.methods) <= set(known):
            raise ConfigError(
                f"methods are of {', '.join(known)}, {BASELINE} and {BOUNDED} with them; got {self.methods}"
            )


def main(config: FineGrained) -> None:
    """Run the experiment, or what is left of it."""
    torch.set_num_threads(1)  # as in the quickstart: matrices this small gain nothing from a second
    courses = [_course(config, seed) for seed in config.seeds]
    for course in courses:
        _make(course)
    _report(config, courses, [read_pool(course) for course in courses])


def _course(config: FineGrained, seed: int) -> Course:
    most = max(_sizes(config)) // ANSWERS_A_PAIR
    settings = Quickstart(
        out=str(Path(config.work) / f"seed-{seed}"),
        seed=seed,
        prompts=config.prompts,
        samples=config.samples + SPARE_SAMPLES,
        labels=round(most * (1 + SPARE_PAIRS)),
        updates=config.updates,
    )
    methods = _methods(config)
    noisy = [method.arm(answers) for answers in config.answers for method in methods]
    named = {method.name: method for method in methods}
    more = [named[SHORTER].arm(config.more)] if config.more else []
    without_noise = [named[name] for name in (SHORTER, BOUNDED) if name in named]
    exact = [method.arm(config.exact, exact=True) for method in without_noise] if config.exact else []
    bounded = named[BOUNDED].arm(max(config.answers))
    return Course(settings, config.samples, (*noisy, *more, *exact), bounded, tuple(config.bounds))


def _sizes(config: FineGrained) -> list[int]:
    return [*config.answers, *filter(None, (config.more, config.exact))]


def _methods(config: FineGrained) -> list[Method]:
    return [method for method in METHODS if method.name in config.methods]


def _make(course: Course) -> None:
    course.folder.mkdir(parents=True, exist_ok=True)
    with (course.folder / "log.txt").open("a", encoding="utf-8") as log:
        for step in steps(course):
            if not step.made.exists():
                sys.stdout.write(f"{course.folder}: {step.title}\n")
                sys.stdout.flush()
                with redirect_stdout(log), redirect_stderr(log):
                    step.make()


def _report(config: FineGrained, courses: list[Course], pools: list[Pool]) -> None:
    out, resampling = Path(config.out), Resampling()
    arms: tuple[Arm, ...] = courses[0].arms
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
        "fronts": [*front_rows(pools, courses)],
        "bounds": [*bound_rows(pools, courses, config.n, resampling)],
        "cards": [*card_rows(courses)],
    }
    for name, rows in tables.items():
        write_csv(out / f"{name}.csv", rows)
    noisy = [[row for row in rows if _is_drawn(row)] for rows in (quality, trade_offs, curves)]
    methods = _methods(config)
    sizes = sorted({*config.answers, *filter(None, [config.more])})
    charged = [CHARGED] if any(method.objective == "error" for method in methods) else []
    draw_quality(noisy[0], [*methods, *charged], sizes, config.n, out / "quality.png")
    draw_trade_off(noisy[1], noisy[0], methods, config.answers, config.more, out / "trade_off.png")
    draw_curves(noisy[2], [*methods, *charged], config.answers, out / "curves.png")
    with atomic_write(out / "config.json") as file:
        settings = {name: value for name, value in asdict(config).items() if name not in ("work", "out")}
        bases = {str(course.config.seed): gate(course.folder) for course in courses}
        found = {
            "configuration": settings,
            "methods": [*map(asdict, methods)],
            "language_models": bases,
            **provenance(),
        }
        json.dump(found, file, indent=2)
    sys.stdout.write(f"Results are in {out}\n")


def _is_drawn(row: Row) -> bool:
    """Tell whether a row is of noisy labels, or of the ends of the scale, which have none."""
    return row["answers"] is None or not row["exact"]


if __name__ == "__main__":
    main(auto_cli(FineGrained, as_positional=False))
