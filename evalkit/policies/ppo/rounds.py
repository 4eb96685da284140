"""The PPO training loop: rounds of rollouts and updates, probes, early stopping and resuming."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from evalkit.policies.losses.advantages import adapted_coefficient
from evalkit.policies.ppo.checkpoint import PpoState
from evalkit.policies.ppo.config import PpoConfig
from evalkit.policies.ppo.learner import Learner, PtxRows, mean_of
from evalkit.policies.ppo.targets import Targets, make_targets, totals
from evalkit.policies.probe.collapse import signs_of_collapse
from evalkit.policies.probe.panel import panel
from evalkit.policies.probe.prompts import PromptRecord
from evalkit.policies.rollout.order import ORDER, TEXTS, minibatches, round_prompts, sampling_seed
from evalkit.policies.rollout.rollout import Rollout, RolloutSampler
from rewards.errors import TrainingError
from rewards.training.trainer import Probe


@dataclass(frozen=True)
class Schedule:
    """Length of a run in rounds and updates.

    Attributes:
        pretraining: Rounds of the critic alone, which come first.
        rounds: Rounds in all.
        updates_a_round: Updates per round.
        checkpoint: Rounds between checkpoints.
        probe: Rounds between probes.
    """

    pretraining: int
    rounds: int
    updates_a_round: int
    checkpoint: int
    probe: int


def schedule_of(config: PpoConfig, every: int) -> Schedule:
    """Return a run's length.

    Args:
        config: The hyperparameters, every switch set.
        every: Updates between probes; 0 makes ten in the run.
    """
    buffer = cast(int, config.buffer)
    learning = -(-config.episodes // buffer)
    pretraining = cast(int, config.critic_pretraining)
    updates = config.epochs * (buffer // config.batch)
    tenth = max(1, learning // 10)
    return Schedule(
        pretraining,
        pretraining + learning,
        updates,
        config.checkpoint_rounds or max(1, (pretraining + learning) // 10),
        max(1, round(every / updates)) if every else tenth,
    )


@dataclass
class Ppo:
    """The training loop of a PPO run.

    Attributes:
        learner: Policy and critic.
        sampler: Samples rollouts.
        prompts: Prompts to sample for.
        ptx: Rows of the PPO-ptx loss; empty leaves it out.
        schedule: Its length.
        probe: The probe on held-out prompts; without one, signs of collapse are looked for in the rollouts.
        log: Takes each round's metrics.
        warn: Takes warnings.
    """

    learner: Learner
    sampler: RolloutSampler
    prompts: Sequence[PromptRecord]
    ptx: PtxRows
    schedule: Schedule
    probe: Probe | None
    log: Callable[[dict[str, Any]], None]
    warn: Callable[[str], None]

    @property
    def config(self) -> PpoConfig:
        """The algorithm, its switches set."""
        return self.learner.config

    def rounds(
        self, state: PpoState, seen: Sequence[Mapping[str, Any]] = ()
    ) -> Iterator[tuple[PpoState, bool]]:
        """Continue from a state; yield the state after each round, and whether to save a checkpoint.

        Args:
            state: The state.
            seen: Metrics logged in the rounds before it.

        Raises:
            ScoringError: The scorer fails on a response.
            TrainingError: KL exceeds its limit, or an update has no finite result.
        """
        history: list[Mapping[str, float]] = [_rollout(metrics) for metrics in seen]
        warned: set[str] = set()
        schedule = self.schedule
        if self.probe is not None:
            self.probe.resume(self.learner.done)  # by what it saw before, the run may have stopped already
            if state.round <= schedule.pretraining:
                self.probe.measure(self.learner.policy, self.learner.done)
        while state.round < schedule.rounds and not (self.probe is not None and self.probe.stops):
            number = state.round + 1
            state, metrics = self._round(state, number, number > schedule.pretraining)
            last = number == schedule.rounds
            if self.probe is not None and self._probes(number):
                metrics |= self.probe.measure(self.learner.policy, self.learner.done)
            self.log(metrics)
            history.append(_rollout(metrics))
            for sign in () if self.probe is not None else signs_of_collapse(history):
                if sign.split(":")[0] not in warned:  # its numbers change from round to round
                    warned.add(sign.split(":")[0])
                    self.warn(sign)
            stops = self.probe is not None and self.probe.stops
            yield state, last or stops or number % schedule.checkpoint == 0

    def _probes(self, number: int) -> bool:
        """Return whether a round is followed by a probe."""
        learnt = number - self.schedule.pretraining
        return learnt > 0 and (number == self.schedule.rounds or learnt % self.schedule.probe == 0)

    def _round(self, state: PpoState, number: int, policy_learns: bool) -> tuple[PpoState, dict[str, Any]]:
        """Run one round; return the state after it and its metrics."""
        config = self.config
        began = time.perf_counter()
        count = cast(int, config.buffer) // config.samples
        prompts = round_prompts(self.prompts, count, number, config.seed)
        rollout = self.sampler.sample(prompts, sampling_seed(config.seed, number))
        sampled = time.perf_counter()
        seen = panel(rollout.sampled(), {"proxy": rollout.values}, rollout.prompts)
        if config.kl_limit and seen["kl"] > config.kl_limit:
            raise TrainingError(
                f"round {number}: KL to the reference is {seen['kl']:.1f} nats a response, past ppo.kl_limit "
                f"{config.kl_limit:g}; with a larger --ppo.kl_limit the run goes on, and a larger "
                "--ppo.kl_coefficient or a smaller learning rate keeps it near from the start"
            )
        if number == 1 and np.ptp(totals(rollout)) == 0:
            self.warn(
                f"the reward tells nothing apart: all {len(rollout.rows)} responses of the first "
                f"round have {totals(rollout)[0]:.4g}, from which a policy learns only to stay as it is"
            )
        moments = state.moments.with_rewards(totals(rollout))
        estimates = self.learner.estimate(rollout, self.sampler.policy.texts)
        targets = make_targets(rollout, estimates, moments, state.coefficient, config)
        updates = self._learn(rollout, targets, number, state.coefficient, policy_learns)
        coefficient = state.coefficient
        if config.kl_target and policy_learns:
            coefficient = adapted_coefficient(
                coefficient, seen["kl"], config.kl_target, len(rollout.rows), config.kl_horizon
            )
        if config.objective == "penalty" and policy_learns:
            self.learner.adapt_penalty(updates["last_old_new_kl"])
        learnt = time.perf_counter()
        metrics = {
            "step": self.learner.done,
            "round": number,
            "episodes": max(0, number - self.schedule.pretraining) * len(rollout.rows),
            "phase": "policy" if policy_learns else "critic",
            **{f"rollout_{name}": value for name, value in seen.items()},
            **updates,
            **targets.errors(),
            "reward_scaled": float(np.mean([float(rewards.sum()) for rewards in targets.rewards])),
            "kl_coefficient": state.coefficient,
            "unscored": rollout.unscored,
            "penalty": self.learner.penalty if config.objective == "penalty" else None,
            "seconds_sampling": sampled - began,
            "seconds_learning": learnt - sampled,
        }
        kept = {name: value for name, value in metrics.items() if value is not None}
        return replace(state, round=number, coefficient=coefficient, moments=moments), kept

    def _learn(
        self, rollout: Rollout, targets: Targets, number: int, coefficient: float, policy_learns: bool
    ) -> dict[str, float]:
        config = self.config
        generator = np.random.default_rng([config.seed, ORDER, number])
        seen = []
        drawn = minibatches(len(rollout.rows), config.batch, config.epochs, config.samples, generator)
        for place, chosen in enumerate(drawn):
            seen.append(
                self.learner.update(
                    rollout, targets, chosen, coefficient, self._ptx(number, place), policy_learns
                )
            )
        metrics = mean_of(seen)
        if "learning_rate" in seen[-1]:
            metrics["learning_rate"] = seen[-1]["learning_rate"]
        if "old_new_kl" in seen[-1]:
            metrics["last_old_new_kl"] = seen[-1]["old_new_kl"]
        return metrics

    def _ptx(self, number: int, place: int) -> PtxRows | None:
        if not self.ptx.rows or not self.config.ptx_coefficient:
            return None
        generator = np.random.default_rng([self.config.seed, TEXTS, number, place])
        size = min(self.config.batch, len(self.ptx.rows))
        chosen = generator.choice(len(self.ptx.rows), size, replace=False)
        return PtxRows([self.ptx.rows[row] for row in chosen], [self.ptx.starts[row] for row in chosen])


def _rollout(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the panel of a round's samples, its names unprefixed, beside the round's other metrics."""
    return {name.removeprefix("rollout_"): value for name, value in metrics.items()}
