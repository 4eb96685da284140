"""A round of experience: responses sampled, scored, and held to the reference, token by token."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evalkit.policies.generation.local import LocalPolicy
from evalkit.policies.language_model import LanguageModel, row_statistics
from evalkit.policies.policy import SamplingConfig
from evalkit.policies.ppo.config import PpoConfig
from evalkit.policies.ppo.critic import Critic, CriticRow
from evalkit.policies.ppo.side_by_side import side_by_side
from evalkit.policies.ppo.token_credit import Floats, TokenCredit, Written
from evalkit.policies.probe.panel import Sampled
from evalkit.policies.probe.prompts import Asked, scores_of
from evalkit.policies.reference import Reference
from rewards.encoding.packs import Tokens
from rewards.models.head import can_pack
from rewards.records import Score
from rewards.scorer import Scorer


@dataclass(frozen=True)
class Rollout:
    """Responses of one round, in the order of their prompts.

    Attributes:
        rows: Tokens of prompt and response.
        starts: Place of each row's first response token.
        log_probs: By the policy that sampled them, [T] each, in nats at the run's temperature.
        reference_log_probs: By the reference, likewise.
        rewards: What each token earns before it is scaled and the KL penalty is taken off, [T] each.
        whole: Whether all that a response earns is paid at its last token.
        values: What was scored, or stands in place of a score.
        finished: Whether the response ended by itself.
        unscored: Responses with a reward in place of a score, being empty or cut.
        critic_rows: The responses as the critic reads them.
        prompts: Number of each response's prompt within the round.
    """

    rows: list[Tokens]
    starts: list[int]
    log_probs: list[Tensor]
    reference_log_probs: list[Tensor]
    rewards: list[Floats]
    whole: list[bool]
    values: list[float]
    finished: list[bool]
    critic_rows: list[CriticRow]
    prompts: list[int]
    unscored: int

    def sampled(self) -> list[Sampled]:
        """Return the responses as the panel reads them; -log p of a token estimates its entropy."""
        return [
            Sampled(
                tuple(row[start:]),
                mine.double().numpy(),
                theirs.double().numpy(),
                -mine.double().numpy(),
                ended,
            )
            for row, start, mine, theirs, ended in zip(
                self.rows, self.starts, self.log_probs, self.reference_log_probs, self.finished, strict=True
            )
        ]


@dataclass(frozen=True)
class Experience:
    """Samples rounds from a policy that is being trained.

    Attributes:
        policy: Samples by the weights that are trained.
        model: The same weights, as they are trained.
        packs: Whether rows can be packed for it.
        reference: What KL is told from.
        critic: Whose rows are prepared.
        scorer: Gives the rewards.
        scorer_name: What errors call it.
        credit: Where rewards are paid.
        config: The algorithm.
    """

    policy: LocalPolicy
    model: LanguageModel
    packs: bool
    reference: Reference
    critic: Critic
    scorer: Scorer
    scorer_name: str
    credit: TokenCredit
    config: PpoConfig

    def sample(self, asked: Sequence[Asked], seed: int) -> Rollout:
        """Return a round's responses, `samples` to each prompt.

        Args:
            asked: The prompts.
            seed: Of the samples.

        Raises:
            ScoringError: The scorer fails on a response; the message names its prompt.
        """
        config = self.config
        settings = SamplingConfig(
            config.temperature, max_new_tokens=config.max_new_tokens, seed=seed, log_probs=True
        )
        found = self.policy.generate([one.prompt for one in asked], config.samples, settings)
        owners = [place for place in range(len(asked)) for _ in range(config.samples)]
        made = [generation for group in found for generation in group]
        encoded = [self.policy.encode(one.prompt, one.where) for one in asked]
        written = [
            Written(encoded[owner], one.extra["tokens"], one.response)  # type: ignore[arg-type]  # the sampler's
            for owner, one in zip(owners, made, strict=True)
        ]
        rows: list[Tokens] = [[*one.prompt, *one.tokens] for one in written]
        starts = [len(one.prompt) for one in written]
        finished = [one.extra["finish_reason"] != "length" for one in made]
        instead = [self._instead(one, ended) for one, ended in zip(written, finished, strict=True)]
        told = [one.extra["log_probs"] for one in made]
        (rewards, whole, values), (mine, theirs) = side_by_side(
            self.model.device,
            lambda: self._rewards([asked[owner] for owner in owners], written, instead),
            lambda: (
                self._log_probs(rows, starts, told),
                self.reference.log_probs(rows, starts, config.temperature),
            ),
        )
        return Rollout(
            rows,
            starts,
            mine,
            theirs,
            rewards,
            whole,
            values,
            finished,
            self.critic.rows(
                [asked[owner].prompt for owner in owners],
                written,
                self.policy.texts,
                [asked[owner].where for owner in owners],
            ),
            owners,
            sum(value is not None for value in instead),
        )

    def _log_probs(
        self, rows: Sequence[Tokens], starts: Sequence[int], told: Sequence[object]
    ) -> list[Tensor]:
        if self.config.temperature == 1 and self.config.dtype == "float32":
            return [torch.tensor(own, dtype=torch.float32) for own in told]
        # What the sampler tells is of temperature 1, and rounded otherwise than in training.
        packed = self.packs and can_pack(self.model.inner.config, max(map(len, rows)))
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.config.dtype == "bfloat16"):
            found = row_statistics(self.model, rows, starts, packed, self.config.temperature)
        return [one.log_probs for one in found]

    def _rewards(
        self, asked: Sequence[Asked], written: Sequence[Written], instead: Sequence[float | None]
    ) -> tuple[list[Floats], list[bool], list[float]]:
        """Return what each token earns, whether that is at the last alone, and each response's value."""
        scored = [number for number, value in enumerate(instead) if value is None]
        generations = [self.credit.asked(asked[number].generation(written[number].text)) for number in scored]
        scores = scores_of(self.scorer, generations, self.scorer_name) if scored else []
        paid = self.credit.rewards(
            [written[number] for number in scored], scores, [asked[number].where for number in scored]
        )
        rewards = [
            _at_the_end(len(one.tokens), value or 0.0) for one, value in zip(written, instead, strict=True)
        ]
        values = [value or 0.0 for value in instead]
        whole = [True] * len(written)
        for number, score, own in zip(scored, scores, paid, strict=True):
            rewards[number], values[number] = own, score.value
            whole[number] = not self._in_parts(score)
        return rewards, whole, values

    def _in_parts(self, score: Score) -> bool:
        return self.credit.credit != "response" and bool(score.spans or score.steps)

    def _instead(self, written: Written, finished: bool) -> float | None:
        """Return the reward that stands in place of a score, if there is one."""
        if not finished and self.config.unfinished_reward is not None:
            return self.config.unfinished_reward
        return self.config.empty_reward if not written.text else None


def _at_the_end(length: int, value: float) -> Floats:
    rewards = np.zeros(length)
    rewards[-1] = value
    return rewards
