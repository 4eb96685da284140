"""The steps of one seed of the fine-grained PPO experiment: labels, reward models, a PPO run a reward."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.experiments.fine_grained.config import ANSWERS_A_PAIR, METHODS, Arm
from evalkit.experiments.fine_grained.steps import SPARE_PAIRS, fit_step, labelling_steps
from evalkit.experiments.fine_grained_ppo.config import ALL, FineGrainedPpo
from evalkit.experiments.ppo_max.steps import ppo_step, probe, question_step
from evalkit.policies.ppo.config import PpoConfig
from evalkit.quickstart.config import Quickstart
from evalkit.quickstart.steps import GOLD
from evalkit.runs.steps import Step
from evalkit.testbeds.facts import FactsWorld
from evalkit.training.policy_config import TrainPpo

NAMED = {method.name: method for method in METHODS}


@dataclass(frozen=True)
class FineGrainedPpoTrial:
    """The experiment with a seed: its folder, its settings and its commands."""

    config: FineGrainedPpo
    seed: int

    @property
    def folder(self) -> Path:
        """Where everything of the seed is."""
        return Path(self.config.work) / f"seed-{self.seed}"

    @property
    def models(self) -> Quickstart:
        """Settings of the language model and the labels."""
        config = self.config
        return Quickstart(
            out=str(self.folder),
            seed=self.seed,
            prompts=config.prompts,
            labels=round(config.answers // ANSWERS_A_PAIR * (1 + SPARE_PAIRS)),
            updates=config.updates,
        )

    @property
    def settings(self) -> PpoConfig:
        """What the runs of all rewards share."""
        config = self.config
        return PpoConfig(
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

    @property
    def rewards(self) -> list[str]:
        """Names of the rewards to optimise; on the first seed those of other weights too."""
        config = self.config
        return [*config.rewards, *(config.weighted if self.seed == config.seeds[0] else [])]

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The reward models that the rewards need, each once."""
        methods = dict.fromkeys(ALL[name].method for name in self.rewards)
        return tuple(NAMED[method].arm(self.config.answers) for method in methods if method)

    def scorer(self, name: str) -> str:
        """Return the specification of the scorer behind a reward."""
        reward = ALL[name]
        if not reward.method:
            return GOLD
        base = str(self.folder / NAMED[reward.method].arm(self.config.answers).name)
        given = ",".join(f"{aspect}:{weight:g}" for aspect, weight in reward.weights.items())
        return f"{base}?weights={given}" if given else base

    def run(self, name: str) -> TrainPpo:
        """Return the command that optimises a reward."""
        reward, config, folder = ALL[name], self.config, self.folder
        settings = replace(self.settings, seed=self.seed, critic_pretraining=reward.critic_rounds)
        return TrainPpo(
            policy=str(folder / "policy"),
            data=str(folder / "questions.jsonl"),
            scorer=self.scorer(name),
            out=str(folder / f"ppo-{name}"),
            credit=reward.credit,
            ppo=settings,
            probe=probe(folder, settings, config.prompts, config.samples, config.looks),
            tensorboard=False,
        )


def steps(trial: FineGrainedPpoTrial) -> Iterator[Step]:
    """Yield the steps in order; each reads files of those before it."""
    # Labels are drawn for all rewards, so that a seed's models do not depend on which of them are optimised.
    yield from labelling_steps(trial.models, trial.config.answers)
    for arm in trial.arms:
        yield fit_step(trial.models, arm)
    yield question_step(trial.folder, trial.config.questions, [trial.seed, 5], tested=False)
    for name in trial.rewards:
        yield ppo_step(ALL[name].title, trial.run(name))
