"""The steps of one seed of the fine-grained PPO experiment: labels, reward models, a PPO run a reward."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from evalkit.experiments.fine_grained.steps import METHODS, Arm, Course, fit_step, labelling_steps
from evalkit.policies.config import ProbeConfig
from evalkit.policies.ppo.config import PpoConfig
from evalkit.quickstart.config import Quickstart
from evalkit.quickstart.steps import GOLD
from evalkit.runs.steps import Step
from evalkit.testbeds.facts import FactsWorld
from evalkit.testbeds.facts_corpus import draw_prompts
from evalkit.training import ppo as training_ppo
from evalkit.training.policy_config import TrainPpo
from evalkit.training.run import RESULT
from rewards.files import read_rows, write_rows

NAMED = {method.name: method for method in METHODS}


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward that PPO optimises, and where it is paid."""

    title: str
    method: str = ""
    """The way of labelling that its reward model learnt from; empty is gold itself."""
    credit: Literal["auto", "response"] = "response"
    """Pay pieces where they end, or the sum at the last token."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of the aspects; empty is 1 for each."""
    critic_rounds: int = 0
    """Rounds of sampling in which the critic learns alone, before the episodes that are counted."""

    def spec(self, folder: Path, answers: int) -> str:
        """Return the scorer's specification."""
        if not self.method:
            return GOLD
        base = str(folder / NAMED[self.method].arm(answers).name)
        given = ",".join(f"{name}:{weight:g}" for name, weight in self.weights.items())
        return f"{base}?weights={given}" if given else base


HOLISTIC, AT_THE_END, DENSE, WARM = "preferences", "spans-response", "spans", "spans-warm"
BOUND, BOUND_DENSE = "gold", "gold-spans"
REWARDS: Mapping[str, Reward] = MappingProxyType(
    {
        HOLISTIC: Reward("one preference for two answers", "preferences"),
        "ratings": Reward("one rating for an answer", "ratings"),
        AT_THE_END: Reward("spans, their sum at the end", "spans"),
        DENSE: Reward("spans, each where it ends", "spans", "auto"),
        WARM: Reward("spans where they end, critic first", "spans", "auto", critic_rounds=4),
        BOUND: Reward("gold, its sum at the end"),
        BOUND_DENSE: Reward("gold, each piece where it ends", credit="auto"),
    }
)
"""From the least that a label says to the most; pairs of the same model differ by where it is paid alone."""
EVEN = {"relevance": 1.0, "factuality": 1.0, "completeness": 1.0}
WEIGHTED: Mapping[str, Reward] = MappingProxyType(
    {
        f"{DENSE}-{name}": Reward(f"spans, {name} x 3", "spans", "auto", {**EVEN, name: 3.0})
        for name in ("relevance", "factuality")
    }
)
"""The same spans under other weights, on one seed."""
ALL = {**REWARDS, **WEIGHTED}


@dataclass(frozen=True)
class PpoCourse:
    """What one seed does.

    Attributes:
        config: Of the language model and the labels.
        settings: Of PPO, which all rewards share.
        rewards: Names of those to optimise.
        answers: Labelled answers that a reward model learns from.
        questions: Prompts that PPO samples for.
        samples: Responses to each held-out prompt in a look.
        looks: Looks at a run, beside that at its start.
    """

    config: Quickstart
    settings: PpoConfig
    rewards: Sequence[str]
    answers: int
    questions: int
    samples: int
    looks: int

    @property
    def folder(self) -> Path:
        """Where everything of the seed is."""
        return Path(self.config.out)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The reward models that the rewards need, each once."""
        methods = dict.fromkeys(ALL[name].method for name in self.rewards)
        return tuple(NAMED[method].arm(self.answers) for method in methods if method)

    def run(self, name: str) -> TrainPpo:
        """Return the command that optimises a reward."""
        reward = ALL[name]
        settings = replace(self.settings, seed=self.config.seed, critic_pretraining=reward.critic_rounds)
        updates = settings.episodes // settings.batch * settings.epochs
        return TrainPpo(
            policy=str(self.folder / "policy"),
            data=str(self.folder / "questions.jsonl"),
            scorer=reward.spec(self.folder, self.answers),
            out=str(self.folder / f"ppo-{name}"),
            credit=reward.credit,
            ppo=settings,
            probe=ProbeConfig(
                data=str(self.folder / "prompts.jsonl"),
                gold=GOLD,
                prompts=self.config.prompts,
                samples=self.samples,
                every=updates // self.looks,
                max_new_tokens=settings.max_new_tokens,
            ),
            tensorboard=False,
        )


def steps(course: PpoCourse) -> Iterator[Step]:
    """Yield the steps in order; each reads files of those before it."""
    # Labels are drawn for all rewards, so that a seed's models do not depend on which of them are optimised.
    arm = NAMED["spans"].arm(course.answers)
    yield from labelling_steps(Course(course.config, course.samples, (arm,), arm, ()))
    for needed in course.arms:
        yield fit_step(course.config, needed)
    yield Step("choose questions to learn from", course.folder / "questions.jsonl", lambda: _ask(course))
    for name in course.rewards:
        yield _run_step(course, name)


def _run_step(course: PpoCourse, name: str) -> Step:
    command = course.run(name)
    return Step(f"PPO: {ALL[name].title}", Path(command.out) / RESULT, lambda: training_ppo.run(command))


def _ask(course: PpoCourse) -> None:
    """Draw prompts that are not looked at."""
    taken = {str(row.column("prompt")) for row in read_rows(course.folder / "prompts.jsonl")}
    rng = np.random.default_rng([course.config.seed, 5])
    prompts = draw_prompts(FactsWorld(), course.questions, rng, taken)
    write_rows(course.folder / "questions.jsonl", ({"prompt": one} for one in prompts), overwrite=True)
