"""Rollouts: completions from step prefixes until each step's label is decided (Math-Shepherd)."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from evalkit.label_steps.cache import Completion, RolloutCache
from evalkit.label_steps.config import LabelSteps
from evalkit.policies.policy import Policy, SamplingConfig
from judges.statistics.shares import Share, share_of
from rewards.records import Generation
from rewards.solutions.answers import is_right


class StepTask(NamedTuple):
    """A step to be labelled: a solution up to the end of the step, and the right answer."""

    prompt: str
    begun: str
    reference: str


@dataclass(slots=True)
class CompletionTally:
    """Counts of a step's completions."""

    right: int = 0
    sampled: int = 0
    cut: int = 0
    """How many were truncated; these count as incorrect."""

    def hard(self) -> float:
        """Return 1 if any completion is correct, else 0: hard estimation, 2312.08935, equation 3."""
        return float(self.right > 0)

    def soft(self) -> float:
        """Return the share of correct completions: soft estimation, equation 4."""
        return self.right / self.sampled

    def share(self, level: float) -> Share:
        """Return the share with Wilson's interval, which ignores early stopping."""
        share = share_of(self.right, self.sampled, level)
        assert share is not None  # a step has been sampled from before it is asked
        return share


class Rollouts:
    """Samples completions from steps, batch by batch, until their labels are decided.

    Round r of a prefix is the policy's r-th occurrence of it, so that its completions depend on nothing but
    policy, settings, prefix and round. Early stopping checks a step after each batch:

    - A hard label is decided by its first correct completion. It equals the label without early stopping, for
      the same completions are checked in the same order. The share beside it is then biased upwards, since
      sampling ended on a success.
    - A soft label is decided when its interval's half-width is `width` or less. The interval is narrowest
      near 0 and 1, so that sampling stops the sooner the more extreme the share happens to be, which draws
      shares away from 1/2. Worked out exactly, for 64 completions in batches of 4 at level 0.95 and a
      half-width of 0.1: 52 completions on average over all true shares, the bias at most 0.020 (at 0.11 and
      0.89, beside a root mean square error of 0.059) and 0 at 1/2, and the interval holds the truth in 91.7 %
      or more. Without early stopping a soft label is unbiased.

    Args:
        policy: Samples the completions.
        cache: Cache of completions.
        config: Sizes, grader and stopping rule.
    """

    def __init__(self, policy: Policy, cache: RolloutCache, config: LabelSteps) -> None:
        self.sampled = 0
        """Completions that the policy was asked for here."""
        self.reused = 0
        """Completions that the cache had."""
        self._policy = policy
        self._cache = cache
        self._config = config
        self._settings = sampling(config)

    def tallies(self, tasks: Iterable[StepTask]) -> dict[StepTask, CompletionTally]:
        """Return the tally of each task's completions; equal prefixes share completions."""
        config = self._config
        tallies = {task: CompletionTally() for task in tasks}
        for turn in count():
            open_tasks = [task for task, tally in tallies.items() if not self._decided(tally)]
            if not open_tasks:
                return tallies
            n = min(config.batch, config.n - turn * config.batch)
            texts = [task.prompt + task.begun for task in open_tasks]
            completions = self._complete(list(dict.fromkeys(texts)), turn, n)
            for task, text in zip(open_tasks, texts, strict=True):
                self._add(tallies[task], task, completions[text])
        raise AssertionError  # count() never ends

    def _add(self, tally: CompletionTally, task: StepTask, completions: list[Completion]) -> None:
        for text, cut in completions:
            tally.sampled += 1
            tally.cut += cut
            tally.right += not cut and is_right(task.begun + text, task.reference, self._config.grader)

    def _decided(self, tally: CompletionTally) -> bool:
        config = self._config
        if tally.sampled in (0, config.n) or not config.stop_early:
            return tally.sampled == config.n
        if config.label == "hard":
            return tally.right > 0
        share = tally.share(config.level)
        return (share.high - share.low) / 2 <= config.width

    def _complete(self, texts: list[str], turn: int, n: int) -> dict[str, list[Completion]]:
        """Return n completions of each text: those in the cache, the rest sampled in one call and cached."""
        known = {text: self._cache.get(text, turn, n) for text in texts}
        missing = [text for text, completions in known.items() if completions is None]
        if missing:
            made = self._policy.generate(missing, n, self._settings, [turn] * len(missing))
            new = [[_completion(generation) for generation in own] for own in made]
            self._cache.put(missing, turn, new)
            known.update(zip(missing, new, strict=True))
        self.sampled += n * len(missing)
        self.reused += n * (len(texts) - len(missing))
        return {text: completions for text, completions in known.items() if completions is not None}


def _completion(generation: Generation) -> Completion:
    return Completion(generation.response, generation.extra["finish_reason"] == "length")


def sampling(config: LabelSteps) -> SamplingConfig:
    """Return the sampling settings."""
    return SamplingConfig(
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        max_new_tokens=config.max_new_tokens,
        stop=tuple(config.stop),
        seed=config.seed,
    )
