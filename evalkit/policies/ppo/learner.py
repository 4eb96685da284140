"""One PPO update of policy and critic from a batch of responses, in micro-batches."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from evalkit.policies.generation.texts import TextCodec
from evalkit.policies.language_model import LanguageModel, packs_of
from evalkit.policies.losses.ppo import kl_estimate, ppo_clip_loss, ppo_penalty_loss, value_loss
from evalkit.policies.ppo.config import PpoConfig
from evalkit.policies.ppo.critic import Critic
from evalkit.policies.ppo.shared_critic import SharedCritic
from evalkit.policies.ppo.targets import Estimates, Targets
from evalkit.policies.rollout.rollout import Rollout
from evalkit.policies.rollout.side_by_side import side_by_side
from rewards.encoding.packs import Tokens
from rewards.errors import TrainingError
from rewards.models.head import can_pack

VALUES_AT_ONCE = 256
"""Rows whose values are computed together."""


@dataclass(frozen=True)
class PtxRows:
    """Rows of the PPO-ptx loss, with the position of each row's first trained token."""

    rows: Sequence[Tokens]
    starts: Sequence[int]


@dataclass
class Learner:
    """Policy and critic with their optimizers.

    Attributes:
        policy: The policy; rows are packed where they can be.
        packs: Whether they can be.
        critic: The critic.
        config: The hyperparameters, every switch set.
        updates: Updates of the policy in the whole run, for the learning rate schedule.
        done: Updates of the policy made so far.
        penalty: Weight of the KL between old and new policy, of objective penalty.
    """

    policy: LanguageModel
    packs: bool
    critic: Critic
    config: PpoConfig
    updates: int
    done: int = 0
    penalty: float = 0.0
    optimisers: tuple[torch.optim.AdamW, torch.optim.AdamW] = field(init=False)
    """Of the policy and of the critic."""

    def __post_init__(self) -> None:
        config = self.config
        self.penalty = config.penalty
        self.optimisers = tuple(  # type: ignore[assignment]  # mypy knows no length of a comprehension
            torch.optim.AdamW(
                [weights for weights in model.parameters() if weights.requires_grad],
                lr=rate,
                weight_decay=config.weight_decay,
                fused=True,
            )
            for model, rate in zip((self.policy, self.critic.model), self.rates, strict=True)
        )

    @property
    def shares(self) -> bool:
        """Whether the critic is a head on the policy's body."""
        return isinstance(self.critic, SharedCritic)

    @property
    def rates(self) -> tuple[float, float]:
        """Peak learning rates of the policy and of the critic."""
        config = self.config
        return config.learning_rate, config.critic_learning_rate or config.learning_rate

    def estimate(self, rollout: Rollout, codec: TextCodec) -> Estimates:
        """Return the critic's values of a rollout.

        Args:
            rollout: The rollout.
            codec: The policy's text codec.

        Raises:
            DataError: A row is longer than the critic's context.
        """
        prompts = [one.prompt for one in rollout.records]
        rows = self.critic.rows(prompts, rollout.written, codec, [one.where for one in rollout.records])
        with self._autocast():
            return Estimates(rows, self.critic.row_values(rows, VALUES_AT_ONCE))

    def update(
        self,
        rollout: Rollout,
        targets: Targets,
        chosen: Sequence[int],
        coefficient: float,
        ptx: PtxRows | None,
        policy_learns: bool,
    ) -> dict[str, float]:
        """Make one update from some of a round's responses, and return its metrics.

        Args:
            rollout: The round.
            targets: Advantages and returns of its tokens.
            chosen: Indices of the responses.
            coefficient: Coefficient of the KL to the reference, where it is in the loss.
            ptx: Rows of the mixed-in language-modelling loss.
            policy_learns: False while the critic is trained alone.

        Raises:
            TrainingError: A loss or gradient is not finite; no weight was changed.
        """
        config = self.config
        tokens = sum(len(targets.advantages[number]) for number in chosen)
        size = config.micro_batch or len(chosen)
        parts = [chosen[start : start + size] for start in range(0, len(chosen), size)]

        def learn_policy() -> dict[str, float]:
            seen: Counter[str] = Counter()
            with self._autocast():
                for part in parts:
                    seen.update(self._policy_part(rollout, targets, part, tokens, coefficient))
                if ptx is not None:
                    seen.update(self._ptx_part(ptx))
            return dict(seen)

        def learn_critic() -> dict[str, float]:
            seen: Counter[str] = Counter()
            with self._autocast():
                for part in parts:
                    seen.update(self._critic_part(targets, part, tokens))
            return dict(seen)

        if not policy_learns:
            metrics = learn_critic()
        elif self.shares:
            metrics = learn_policy()
        else:
            mine, others = side_by_side(self.policy.device, learn_policy, learn_critic)
            metrics = {**mine, **others}
        self._step(metrics, policy_learns)
        self.done += policy_learns
        return metrics

    def _policy_part(
        self, rollout: Rollout, targets: Targets, part: Sequence[int], tokens: int, coefficient: float
    ) -> dict[str, float]:
        config, device = self.config, self.policy.device
        rows = [rollout.rows[number] for number in part]
        packed = self.packs and can_pack(self.policy.inner.config, max(map(len, rows)))
        statistics = self.policy(
            packs_of(self.policy, rows, packed),
            rows,
            [rollout.starts[number] for number in part],
            config.temperature,
            config.entropy_coefficient > 0,
            self.critic.model if self.shares else None,
        )
        old, advantages = (
            torch.cat([whole[number] for number in part]).to(device)
            for whole in (rollout.log_probs, targets.advantages)
        )
        everywhere = torch.ones_like(old, dtype=torch.bool)
        metrics: dict[str, Tensor] = {}
        if config.objective == "clip":
            loss, metrics["clip_fraction"] = ppo_clip_loss(
                statistics.log_probs, old, advantages, everywhere, config.clip, tokens
            )
        else:
            loss, metrics["old_new_kl"] = ppo_penalty_loss(
                statistics.log_probs, old, advantages, everywhere, self.penalty, tokens
            )
        metrics["policy_loss"] = loss.detach()
        if config.kl_in == "loss" and coefficient:
            theirs = torch.cat([rollout.reference_log_probs[number] for number in part]).to(device)
            loss = (
                loss + coefficient * kl_estimate(statistics.log_probs, theirs, config.kl_kind).sum() / tokens
            )
        if config.entropy_coefficient:
            metrics["entropy_in_updates"] = statistics.entropies.detach().sum() / tokens
            loss = loss - config.entropy_coefficient * statistics.entropies.sum() / tokens
        if statistics.values is not None:
            values, seen = self._value_loss(statistics.values, targets, part, tokens)
            loss = loss + config.value_coefficient * values
            metrics |= seen
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        moved = old - statistics.log_probs.detach()
        metrics.setdefault("old_new_kl", (moved.neg().expm1() + moved).sum() / tokens)
        return {name: float(value) for name, value in metrics.items()}

    def _critic_part(self, targets: Targets, part: Sequence[int], tokens: int) -> dict[str, float]:
        rows = [targets.critic_rows[number] for number in part]
        values = self.critic.values(rows, self.critic.packs_of(rows))
        loss, metrics = self._value_loss(values, targets, part, tokens)
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        return {name: float(value) for name, value in metrics.items()}

    def _value_loss(
        self, values: Tensor, targets: Targets, part: Sequence[int], tokens: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of values, [M], and its metrics."""
        old, returns = (
            torch.cat([whole[number] for number in part]).to(values.device)
            for whole in (targets.values, targets.returns)
        )
        everywhere = torch.ones_like(old, dtype=torch.bool)
        loss, clipped = value_loss(values, old, returns, everywhere, self.config.value_clip or 0.0, tokens)
        return loss, {"value_loss": loss.detach(), "value_clip_fraction": clipped}

    def _ptx_part(self, ptx: PtxRows) -> dict[str, float]:
        tokens = sum(len(row) - start for row, start in zip(ptx.rows, ptx.starts, strict=True))
        size = self.config.micro_batch or len(ptx.rows)
        total = 0.0
        for begin in range(0, len(ptx.rows), size):
            rows, starts = ptx.rows[begin : begin + size], ptx.starts[begin : begin + size]
            packed = self.packs and can_pack(self.policy.inner.config, max(map(len, rows)))
            statistics = self.policy(packs_of(self.policy, rows, packed), rows, starts)
            loss = -statistics.log_probs.sum() / tokens
            ((self.config.ptx_coefficient or 0.0) * loss).backward()
            total += float(loss.detach())
        return {"ptx_loss": total}

    def _step(self, metrics: dict[str, float], policy_learns: bool) -> None:
        names = ("gradient_norm", "critic_gradient_norm")
        moving = [policy_learns, True]
        for name, optimiser, moves in zip(names, self.optimisers, moving, strict=True):
            if moves:
                weights = [one for group in optimiser.param_groups for one in group["params"]]
                most = self.config.max_gradient_norm or float("inf")
                metrics[name] = float(torch.nn.utils.clip_grad_norm_(weights, most))
        unsound = [f"{name} {value}" for name, value in metrics.items() if not abs(value) < float("inf")]
        if unsound:
            for optimiser in self.optimisers:
                optimiser.zero_grad()
            raise TrainingError(
                f"update {self.done + 1} has no finite result ({', '.join(unsound)}), and was not made; a "
                "lower learning rate, --ppo.reward_clip or --ppo.max_gradient_norm keeps it in bounds"
            )
        factor = self.rate_factor() if policy_learns else 1.0
        if policy_learns:
            metrics["learning_rate"] = self.config.learning_rate * factor
        for optimiser, moves in zip(self.optimisers, moving, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
            if moves:
                optimiser.step()
            optimiser.zero_grad()

    def rate_factor(self) -> float:
        """Return the next update's learning rate over the peak."""
        config = self.config
        warm = config.warmup_ratio * self.updates
        rising = min(1.0, (self.done + 1) / warm) if warm else 1.0
        falling = 1.0 if config.schedule == "constant" else max(0.0, 1 - self.done / self.updates)
        return min(rising, falling)

    def adapt_penalty(self, kl: float) -> None:
        """Double or halve the weight of the KL between old and new policy where it is far from its target.

        Source: Schulman et al. 2017, 1707.06347, section 4.

        Args:
            kl: That KL at the end of a round, nats per token.
        """
        target = self.config.penalty_target
        if kl < target / 1.5:
            self.penalty /= 2
        elif kl > target * 1.5:
            self.penalty *= 2

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self.policy.device.type, torch.bfloat16, enabled=self.config.dtype == "bfloat16"
        )


def mean_of(seen: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each number over the updates that have it."""
    names = dict.fromkeys(name for one in seen for name in one)
    return {
        name: sum(one[name] for one in seen if name in one) / sum(name in one for one in seen)
        for name in names
    }
