"""The steps of one seed of the PPO-max experiment: language models, a reward model, and a run a variant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from evalkit.policies.config import ProbeConfig
from evalkit.policies.ppo.config import PpoConfig, resolve_recipe
from evalkit.quickstart.config import Quickstart
from evalkit.quickstart.steps import GOLD, Proxy, base_step, label_steps, proxy_step
from evalkit.runs.steps import Step
from evalkit.testbeds.facts import FactsWorld
from evalkit.testbeds.facts_corpus import draw_prompts, write_corpus
from evalkit.training import ppo as training_ppo
from evalkit.training.policy_config import TrainPpo
from evalkit.training.run import RESULT
from rewards.files import read_rows, write_rows

PROXY = "proxy-reward"
"""Folder of the reward model."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run PPO: what it is called in figures, and how it changes the common settings."""

    title: str
    recipe: str = "ppo-max"
    changes: Mapping[str, object] = field(default_factory=dict)
    reseeded: bool = False
    """Draw other random numbers: what such a run differs by is chance."""


FULL, AGAIN, PLAIN = "ppo-max", "ppo-max-again", "plain"
VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        PLAIN: Variant("plain PPO", "plain"),
        "plain-no-kl": Variant("plain PPO, no KL penalty", "plain", {"kl_coefficient": 0.0}),
        "plain-pretraining": Variant("plain PPO, critic pre-trained", "plain", {"critic_pretraining": 3}),
        "plain-small-buffer": Variant("plain PPO, buffer of 128", "plain", {"buffer": 128}),
        FULL: Variant("PPO-max"),
        AGAIN: Variant("PPO-max, other random numbers", reseeded=True),
        "no-normalise": Variant("no reward normalisation", changes={"reward_normalise": False}),
        "no-clip": Variant("no reward clip", changes={"reward_clip": 0.0}),
        "no-pretraining": Variant("no critic pre-training", changes={"critic_pretraining": 0}),
        "no-ptx": Variant("no ptx loss", changes={"ptx_coefficient": 0.0}),
        "no-gradient-clip": Variant("no gradient clipping", changes={"max_gradient_norm": 0.0}),
        "large-buffer": Variant("buffer of 512, not 128", changes={"buffer": 512}),
        "no-value-clip": Variant("no value clip", changes={"value_clip": 0.0}),
        "adaptive-kl": Variant("adaptive KL added", changes={"kl_target": 3.0, "kl_horizon": 2000}),
        "no-kl": Variant("no KL penalty", changes={"kl_coefficient": 0.0}),
    }
)
"""PPO-max with each of its parts left out, with one added, and twice the same; plain PPO beside it, and with
a part of PPO-max each. Three rounds of 512 pre-train a critic about as long as ten of 128."""
RESEEDED = 1000
"""What is added to the seed of a variant that draws other random numbers."""


@dataclass(frozen=True)
class Course:
    """What one seed does.

    Attributes:
        config: Of the language models and the labels.
        settings: What all variants share.
        variants: By name, those to run.
        questions: Prompts that PPO samples for.
        texts: Answers of the corpus for the mixed-in loss.
        samples: Responses to each held-out prompt in a look.
        looks: Looks at a run, beside that at its start.
    """

    config: Quickstart
    settings: PpoConfig
    variants: Mapping[str, Variant]
    questions: int
    texts: int
    samples: int
    looks: int

    @property
    def folder(self) -> Path:
        """Where everything of the seed is."""
        return Path(self.config.out)

    def run(self, name: str) -> TrainPpo:
        """Return the command of a variant."""
        variant, folder = self.variants[name], self.folder
        changes = {"recipe": variant.recipe, "seed": self.config.seed, **variant.changes}
        if variant.reseeded:
            changes["seed"] = self.config.seed + RESEEDED
        settings = replace(self.settings, **changes)  # type: ignore[arg-type]  # each value of its field's type
        updates = settings.episodes // settings.batch * settings.epochs
        return TrainPpo(
            policy=str(folder / "policy"),
            data=str(folder / "questions.jsonl"),
            scorer=str(folder / PROXY),
            out=str(folder / name),
            critic="scorer",
            ptx_data=str(folder / "texts.jsonl") if resolve_recipe(settings).ptx_coefficient else "",
            ppo=settings,
            probe=ProbeConfig(
                data=str(folder / "prompts.jsonl"),
                gold=GOLD,
                prompts=self.config.prompts,
                samples=self.samples,
                every=updates // self.looks,
                max_new_tokens=settings.max_new_tokens,
            ),
            tensorboard=False,
        )


def steps(course: Course) -> Iterator[Step]:
    """Yield the steps in order; each reads files of those before it."""
    folder = course.folder
    yield base_step(course.config, "policy", "L", "teach a small language model to answer questions")
    yield base_step(course.config, "base-middle", "M", "teach a smaller one, for the reward model")
    yield from label_steps(course.config)
    proxy = Proxy(PROXY.removeprefix("proxy-"), "M", "base-middle", course.config.labels)
    yield proxy_step(course.config, proxy)
    yield Step("choose questions to learn from", folder / "questions.jsonl", lambda: _write_questions(course))
    yield Step("write texts to read beside", folder / "texts.jsonl", lambda: _write_texts(course))
    for name in course.variants:
        yield _run_step(course, name)


def _run_step(course: Course, name: str) -> Step:
    def make() -> None:
        training_ppo.run(course.run(name))

    return Step(f"PPO: {course.variants[name].title}", course.folder / name / RESULT, make)


def _write_questions(course: Course) -> None:
    """Draw prompts that are neither looked at nor test the reward model."""
    taken = {
        str(row.column("prompt"))
        for file, use in (("prompts.jsonl", None), ("label-prompts.jsonl", "test"))
        for row in read_rows(course.folder / file)
        if use is None or row.column("use") == use
    }
    rng = np.random.default_rng([course.config.seed, 3])
    prompts: Sequence[str] = draw_prompts(FactsWorld(), course.questions, rng, taken)
    write_rows(course.folder / "questions.jsonl", ({"prompt": one} for one in prompts), overwrite=True)


def _write_texts(course: Course) -> None:
    """Write answers of the corpus that the policy learnt to write from; its reviews are left out."""
    rng = np.random.default_rng([course.config.seed, 4])
    answers = write_corpus(FactsWorld(), 2 * course.texts, rng)[::2]
    rows = ({"prompt": one.prompt, "response": one.answer} for one in answers)
    write_rows(course.folder / "texts.jsonl", rows, overwrite=True)
