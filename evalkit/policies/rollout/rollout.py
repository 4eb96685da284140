"""Rollouts: sampled responses with rewards and log-probabilities under policy and reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from evalkit.policies.generation.local import LocalPolicy
from evalkit.policies.language_model import LanguageModel, row_statistics
from evalkit.policies.policy import SamplingConfig
from evalkit.policies.probe.panel import SampledResponse
from evalkit.policies.probe.prompts import PromptRecord, scores_of
from evalkit.policies.reference import Reference
from evalkit.policies.rollout.side_by_side import side_by_side
from evalkit.policies.rollout.token_credit import Floats, TokenCredit, Written
from rewards.encoding.packs import Tokens
from rewards.models.head import can_pack
from rewards.records import Score
from rewards.scorer import Scorer


@dataclass(frozen=True)
class RolloutSettings:
    """How a rollout is sampled, and the rewards that replace a score.

    Attributes:
        samples: Responses to each prompt.
        temperature: Of policy and reference, in sampling and in log-probabilities alike.
        max_new_tokens: Most tokens in a response.
        dtype: Mixed precision of the policy's log-probabilities.
        unfinished_reward: Reward of a truncated response; None takes its score.
        empty_reward: Reward of an empty response; None takes its score.
    """

    samples: int = 1
    temperature: float = 1.0
    max_new_tokens: int = 256
    dtype: Literal["float32", "bfloat16"] = "float32"
    unfinished_reward: float | None = None
    empty_reward: float | None = None


@dataclass(frozen=True)
class Rollout:
    """Responses of one round, in the order of their prompts.

    Attributes:
        records: Prompt of each response.
        written: Each response in the policy's tokens.
        rows: Tokens of prompt and response.
        starts: Index of each row's first response token.
        log_probs: Under the policy that sampled them, [T] each, in nats at the run's temperature.
        reference_log_probs: Under the reference, likewise.
        rewards: Token rewards before scaling and the KL penalty, [T] each.
        whole: Whether a response's whole reward is at its last token.
        values: Each response's score, or the reward that replaces it.
        finished: Whether the response ended by itself.
        unscored: Empty or truncated responses, whose score was replaced.
        prompts: Index of each response's prompt within the round.
    """

    records: list[PromptRecord]
    written: list[Written]
    rows: list[Tokens]
    starts: list[int]
    log_probs: list[Tensor]
    reference_log_probs: list[Tensor]
    rewards: list[Floats]
    whole: list[bool]
    values: list[float]
    finished: list[bool]
    prompts: list[int]
    unscored: int

    def sampled(self) -> list[SampledResponse]:
        """Return the responses for the panel; -log p of a token estimates its entropy."""
        return [
            SampledResponse(
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
class RolloutSampler:
    """Samples rollouts from a policy in training.

    Attributes:
        policy: Samples with the weights in training.
        model: The same weights in training.
        packs: Whether rows can be packed for it.
        reference: The reference policy of the KL.
        scorer: Scorer of the rewards.
        credit: Assigns scores to tokens; it has the scorer's name for error messages.
        settings: How responses are sampled.
    """

    policy: LocalPolicy
    model: LanguageModel
    packs: bool
    reference: Reference
    scorer: Scorer
    credit: TokenCredit
    settings: RolloutSettings

    def sample(self, prompts: Sequence[PromptRecord], seed: int) -> Rollout:
        """Return a rollout, `samples` responses to each prompt.

        Args:
            prompts: The prompts.
            seed: Seed of the samples.

        Raises:
            ScoringError: The scorer fails on a response; the message names its prompt.
        """
        settings = self.settings
        sampling = SamplingConfig(
            settings.temperature, max_new_tokens=settings.max_new_tokens, seed=seed, log_probs=True
        )
        drawn = self.policy.generate([record.prompt for record in prompts], settings.samples, sampling)
        owners = [place for place in range(len(prompts)) for _ in range(settings.samples)]
        records = [prompts[owner] for owner in owners]
        generations = [generation for group in drawn for generation in group]
        encoded = [self.policy.encode(record.prompt, record.where) for record in prompts]
        written = [
            Written(encoded[owner], generation.extra["tokens"], generation.response)  # type: ignore[arg-type]  # the sampler's
            for owner, generation in zip(owners, generations, strict=True)
        ]
        rows: list[Tokens] = [[*response.prompt, *response.tokens] for response in written]
        starts = [len(response.prompt) for response in written]
        finished = [generation.extra["finish_reason"] != "length" for generation in generations]
        instead = [self._instead(text, ended) for text, ended in zip(written, finished, strict=True)]
        sampled_log_probs = [generation.extra["log_probs"] for generation in generations]
        (rewards, whole, values), (log_probs, reference_log_probs) = side_by_side(
            self.model.device,
            lambda: self._rewards(records, written, instead),
            lambda: (
                self._log_probs(rows, starts, sampled_log_probs),
                self.reference.log_probs(rows, starts, settings.temperature),
            ),
        )
        return Rollout(
            records=records,
            written=written,
            rows=rows,
            starts=starts,
            log_probs=log_probs,
            reference_log_probs=reference_log_probs,
            rewards=rewards,
            whole=whole,
            values=values,
            finished=finished,
            prompts=owners,
            unscored=sum(value is not None for value in instead),
        )

    def _log_probs(
        self, rows: Sequence[Tokens], starts: Sequence[int], sampled: Sequence[object]
    ) -> list[Tensor]:
        settings = self.settings
        if settings.temperature == 1 and settings.dtype == "float32":
            return [torch.tensor(own, dtype=torch.float32) for own in sampled]
        # Those of the sampler are of temperature 1, and rounded otherwise than in training.
        packed = self.packs and can_pack(self.model.inner.config, max(map(len, rows)))
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=settings.dtype == "bfloat16"):
            statistics = row_statistics(self.model, rows, starts, packed, settings.temperature)
        return [one.log_probs for one in statistics]

    def _rewards(
        self, records: Sequence[PromptRecord], written: Sequence[Written], instead: Sequence[float | None]
    ) -> tuple[list[Floats], list[bool], list[float]]:
        """Return the token rewards, whether they are at the last token alone, and each response's value."""
        scored = [number for number, value in enumerate(instead) if value is None]
        generations = [
            self.credit.asked(records[number].generation(written[number].text)) for number in scored
        ]
        scores = scores_of(self.scorer, generations, self.credit.name) if scored else []
        paid = self.credit.rewards(
            [written[number] for number in scored], scores, [records[number].where for number in scored]
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
        """Return the reward that replaces a response's score, if any."""
        if not finished and self.settings.unfinished_reward is not None:
            return self.settings.unfinished_reward
        return self.settings.empty_reward if not written.text else None


def _at_the_end(length: int, value: float) -> Floats:
    rewards = np.zeros(length)
    rewards[-1] = value
    return rewards
