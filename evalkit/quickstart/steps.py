"""The steps of the quickstart: each makes ordinary files, most by a command that a user has too."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from evalkit.evaluation import report_card as evaluating
from evalkit.evaluation.config import Evaluate
from evalkit.overoptimization import overopt
from evalkit.overoptimization.config import Overopt
from evalkit.pipeline import generate as generating
from evalkit.pipeline import select as selecting
from evalkit.pipeline.config import Generate, Select
from evalkit.quickstart.config import Quickstart
from evalkit.runs.files import atomic_write
from evalkit.runs.parsing import command_line
from evalkit.runs.steps import Step
from evalkit.runs.terminal import say
from evalkit.testbeds.facts import FactsWorld
from evalkit.testbeds.facts_corpus import draw_prompts, gold_pairs, label_pairs
from evalkit.testbeds.facts_models import SIZES, make_tokenizer, train_base
from evalkit.testbeds.world_models import WORLD_FILE, Schooling, check_world, save_in_world
from evalkit.training import outcome as training
from evalkit.training.config import TrainOutcome
from rewards.config import BodyConfig, TrainingConfig
from rewards.files import read_rows, to_row, write_rows
from rewards.models.sidecar import SIDECAR

GOLD = "testbed:facts"
TEST_PROMPTS, TEST_PAIRS = 100, 5
"""Prompts, and pairs of answers to each, that are ordered by gold and test the reward models."""
SPARE = 0.05
"""Share of pairs drawn beyond the labels asked for, as equal answers are passed over."""


NEVER = 10**6
"""Updates between checkpoints of a reward model that is trained in seconds."""


@dataclass(frozen=True)
class Proxy:
    """A reward model of the quickstart: its name, the size of its base, and where that is."""

    name: str
    size: str
    base: str
    labels: int = 0
    """Labels that it learns from; 0 is all."""


PROXIES = (Proxy("small", "S", "base-small"), Proxy("large", "L", "policy"))


def steps(config: Quickstart) -> list[Step]:
    """Return the steps of a run in order; each reads files of those before it."""
    return [
        base_step(config, "policy", "L", "teach a small language model to answer questions"),
        base_step(config, "base-small", "S", "teach a smaller one, for the smaller reward model"),
        *label_steps(config),
        *[proxy_step(config, proxy) for proxy in PROXIES],
        sample_step(config),
        curve_step(config, PROXIES),
        *(step for index, proxy in enumerate(PROXIES) for step in _proxy_report_steps(config, index, proxy)),
    ]


def base_step(config: Quickstart, name: str, size: str, title: str) -> Step:
    """Return the step that trains a language model of a size, past the gate."""
    folder, world = Path(config.out) / name, FactsWorld()

    def make() -> None:
        schooling = Schooling(most=config.updates)
        model, report = train_base(world, SIZES[size], config.seed, schooling, _log_examination)
        save_in_world(world, folder, model, make_tokenizer(), {"report": asdict(report)})

    return Step(title, folder / WORLD_FILE, make, check=lambda: check_world(world, folder))


def _log_examination(updates: int, accuracy: float) -> None:
    say(f"after {updates} updates: {accuracy:.1%} of the typical facts' marks foretold")


def _write_prompts(config: Quickstart) -> None:
    """Share out the world's questions: no reward model is tested on a question whose answers it has seen."""
    folder, world = Path(config.out), FactsWorld()
    rng = np.random.default_rng([config.seed, 1])
    measured = draw_prompts(world, config.prompts, rng)
    test = draw_prompts(world, TEST_PROMPTS, rng, measured)
    rows = [{"prompt": prompt, "use": "test"} for prompt in test for _ in range(TEST_PAIRS)]
    unseen = {*measured, *test}
    for _ in range(round(config.labels * (1 + SPARE)) + 10):
        rows.append({"prompt": draw_prompts(world, 1, rng, unseen)[0], "use": "labels"})
    write_rows(folder / "prompts.jsonl", ({"prompt": prompt} for prompt in measured), overwrite=True)
    write_rows(folder / "label-prompts.jsonl", rows, overwrite=True)


def label_steps(config: Quickstart) -> Iterator[Step]:
    """Yield the steps from the policy to labelled pairs of its answers."""
    folder = Path(config.out)
    yield Step("choose the questions", folder / "label-prompts.jsonl", lambda: _write_prompts(config))
    sampling = Generate(
        policy=str(folder / "policy"),
        data=str(folder / "label-prompts.jsonl"),
        out=str(folder / "label-samples.jsonl"),
        n=2,
        max_new_tokens=FactsWorld().max_tokens,
        seed=config.seed + 1,
    )
    yield Step(
        "sample two answers to each question",
        Path(sampling.out),
        lambda: generating.run(sampling),
        command_line("generate", sampling),
    )
    yield Step(
        "label which one is better, with gold's noisy word",
        folder / "preferences.jsonl",
        lambda: _write_labels(config),
    )


def _write_labels(config: Quickstart) -> None:
    folder, world = Path(config.out), FactsWorld()
    test: list[tuple[str, list[str]]] = []
    train: list[tuple[str, list[str]]] = []
    for row in read_rows(folder / "label-samples.jsonl"):
        use = test if row.column("use") == "test" else train
        use.append((str(row.column("prompt")), list(row.texts_in("responses"))))
    rng = np.random.default_rng([config.seed, 2])
    write_rows(folder / "gold-pairs.jsonl", map(to_row, gold_pairs(world, test)), overwrite=True)
    labels = label_pairs(world, train, rng)[: config.labels]
    write_rows(folder / "preferences.jsonl", map(to_row, labels), overwrite=True)


def proxy_step(config: Quickstart, proxy: Proxy) -> Step:
    """Return the step that trains a reward model, from its base, on the labels."""
    folder = Path(config.out)
    fitting = TrainOutcome(
        data=str(folder / "preferences.jsonl"),
        out=str(folder / f"proxy-{proxy.name}"),
        limit=proxy.labels,
        body=BodyConfig(name=str(folder / proxy.base)),
        training=TrainingConfig(
            learning_rate=SIZES[proxy.size].reward_learning_rate,
            weight_decay=0.01,
            warmup_ratio=0.07,
            epochs=5,
            evaluation_share=0,
            checkpoint_steps=NEVER,
            tensorboard=False,
            seed=config.seed,
        ),
    )
    made = Path(fitting.out)

    def make() -> None:
        if not (made / SIDECAR).exists():
            training.run(fitting)
        with atomic_write(made / WORLD_FILE) as file:
            json.dump({"world": FactsWorld().hash, "base": proxy.base}, file, indent=2)

    return Step(
        f"train the {proxy.name} reward model on the labels",
        made / WORLD_FILE,
        make,
        command_line("train outcome", fitting),
        lambda: check_world(FactsWorld(), made),
    )


def sample_step(config: Quickstart) -> Step:
    """Return the step that samples the answers which best-of-n chooses from."""
    folder = Path(config.out)
    sampling = Generate(
        policy=str(folder / "policy"),
        data=str(folder / "prompts.jsonl"),
        out=str(folder / "samples.jsonl"),
        n=config.samples,
        max_new_tokens=FactsWorld().max_tokens,
        seed=config.seed,
        batch_size=4096,
    )
    title = f"sample {config.samples} answers to each of {config.prompts} new questions"
    return Step(
        title, Path(sampling.out), lambda: generating.run(sampling), command_line("generate", sampling)
    )


def curve_step(config: Quickstart, proxies: Sequence[Proxy]) -> Step:
    """Return the step that scores the samples and draws the curves."""
    folder = Path(config.out)
    curves = Overopt(
        data=str(folder / "samples.jsonl"),
        proxy=[str(folder / f"proxy-{proxy.name}") for proxy in proxies],
        gold=GOLD,
        out=str(folder / "curves"),
        seed=config.seed,
    )
    return Step(
        "score them, and follow gold as best-of-n selects harder",
        Path(curves.out) / overopt.REPORT,
        lambda: overopt.run(curves),
        command_line("overopt", curves),
    )


def _proxy_report_steps(config: Quickstart, index: int, proxy: Proxy) -> Iterator[Step]:
    folder = Path(config.out)
    card = Evaluate(
        scorer=str(folder / f"proxy-{proxy.name}"),
        data=str(folder / "gold-pairs.jsonl"),
        out=str(folder / f"evaluation-{proxy.name}"),
        seed=config.seed,
    )
    yield Step(
        f"test the {proxy.name} reward model on pairs ordered by gold",
        Path(card.out) / "report.json",
        lambda: evaluating.run(card),
        command_line("evaluate", card),
    )
    best = Select(
        data=str(folder / "curves" / "scores.jsonl"),
        out=str(folder / f"best-by-{proxy.name}.jsonl"),
        score=overopt.column(index),
        seed=config.seed,
    )
    yield Step(
        f"select the best answers by the {proxy.name} reward model",
        Path(best.out),
        lambda: selecting.run(best),
        command_line("select", best),
    )
