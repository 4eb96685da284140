"""The steps of one seed of the PPO-max experiment: language models, a reward model, and a run a variant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evalkit.experiments.ppo_max.config import VARIANTS, PpoMax, Variant
from evalkit.policies.config import ProbeConfig
from evalkit.policies.ppo.config import PpoConfig, resolve_recipe
from evalkit.quickstart.config import Quickstart
from evalkit.quickstart.steps import GOLD, Proxy, base_step, label_steps, proxy_step
from evalkit.runs.parsing import command_line
from evalkit.runs.steps import Step
from evalkit.testbeds.facts import FactsWorld
from evalkit.testbeds.facts_corpus import draw_prompts, write_corpus
from evalkit.training import ppo as training_ppo
from evalkit.training.policy_config import TrainPpo
from evalkit.training.run import RESULT
from rewards.files import read_rows, write_rows

PROXY = "proxy-reward"
"""Folder of the reward model."""
RESEEDED = 1000
"""What is added to the seed of a variant that draws other random numbers."""


@dataclass(frozen=True)
class PpoMaxTrial:
    """The experiment with a seed: its folder, its settings and its commands."""

    config: PpoMax
    seed: int

    @property
    def folder(self) -> Path:
        """Where everything of the seed is."""
        return Path(self.config.work) / f"seed-{self.seed}"

    @property
    def models(self) -> Quickstart:
        """Settings of the language models and the labels."""
        config = self.config
        return Quickstart(
            out=str(self.folder),
            seed=self.seed,
            prompts=config.prompts,
            labels=config.labels,
            updates=config.updates,
        )

    @property
    def settings(self) -> PpoConfig:
        """What all variants share."""
        config = self.config
        return PpoConfig(
            episodes=config.episodes,
            epochs=config.epochs,
            batch=config.batch,
            learning_rate=config.learning_rate,
            schedule="constant",
            kl_coefficient=config.kl_coefficient,
            max_new_tokens=FactsWorld().max_tokens,
        )

    @property
    def variants(self) -> Mapping[str, Variant]:
        """The variants to run, by name."""
        return {name: variant for name, variant in VARIANTS.items() if name in self.config.variants}

    def run(self, name: str) -> TrainPpo:
        """Return the command of a variant."""
        variant, folder, config = VARIANTS[name], self.folder, self.config
        changes = {"recipe": variant.recipe, "seed": self.seed, **variant.changes}
        if variant.reseeded:
            changes["seed"] = self.seed + RESEEDED
        settings = replace(self.settings, **changes)  # type: ignore[arg-type]  # each value of its field's type
        return TrainPpo(
            policy=str(folder / "policy"),
            data=str(folder / "questions.jsonl"),
            scorer=str(folder / PROXY),
            out=str(folder / name),
            critic="scorer",
            ptx_data=str(folder / "texts.jsonl") if resolve_recipe(settings).ptx_coefficient else "",
            ppo=settings,
            probe=probe(folder, settings, config.prompts, config.samples, config.looks),
            tensorboard=False,
        )


def probe(folder: Path, settings: PpoConfig, prompts: int, samples: int, looks: int) -> ProbeConfig:
    """Return how a run of PPO is probed with gold, at equal distances until its end."""
    updates = settings.episodes // settings.batch * settings.epochs
    return ProbeConfig(
        data=str(folder / "prompts.jsonl"),
        gold=GOLD,
        prompts=prompts,
        samples=samples,
        every=updates // looks,
        max_new_tokens=settings.max_new_tokens,
    )


def steps(trial: PpoMaxTrial) -> Iterator[Step]:
    """Yield the steps in order; each reads files of those before it."""
    models = trial.models
    yield base_step(models, "policy", "L", "teach a small language model to answer questions")
    yield base_step(models, "base-middle", "M", "teach a smaller one, for the reward model")
    yield from label_steps(models)
    yield proxy_step(models, Proxy(PROXY.removeprefix("proxy-"), "M", "base-middle", models.labels))
    yield question_step(trial.folder, trial.config.questions, [trial.seed, 3], tested=True)
    yield Step("write texts to read beside", trial.folder / "texts.jsonl", lambda: _write_texts(trial))
    for name in trial.variants:
        yield ppo_step(VARIANTS[name].title, trial.run(name))


def ppo_step(title: str, command: TrainPpo) -> Step:
    """Return the step of a run of PPO."""
    made = Path(command.out) / RESULT
    return Step(f"PPO: {title}", made, lambda: training_ppo.run(command), command_line("train ppo", command))


def question_step(folder: Path, count: int, seed: Sequence[int], tested: bool) -> Step:
    """Return the step that draws the prompts that PPO samples for.

    Args:
        folder: Of the seed.
        count: How many.
        seed: Of the draw.
        tested: Leave out the prompts that test the reward model too, beside those of the probe.
    """
    made = folder / "questions.jsonl"

    def make() -> None:
        taken = {str(row.column("prompt")) for row in read_rows(folder / "prompts.jsonl")}
        if tested:
            labelled = read_rows(folder / "label-prompts.jsonl")
            taken |= {str(row.column("prompt")) for row in labelled if row.column("use") == "test"}
        prompts = draw_prompts(FactsWorld(), count, np.random.default_rng(seed), taken)
        write_rows(made, ({"prompt": prompt} for prompt in prompts), overwrite=True)

    return Step("choose questions to learn from", made, make)


def _write_texts(trial: PpoMaxTrial) -> None:
    """Write answers of the corpus that the policy learnt to write from; its reviews are left out."""
    rng = np.random.default_rng([trial.seed, 4])
    answers = write_corpus(FactsWorld(), 2 * trial.config.texts, rng)[::2]
    rows = ({"prompt": answer.prompt, "response": answer.answer} for answer in answers)
    write_rows(trial.folder / "texts.jsonl", rows, overwrite=True)
