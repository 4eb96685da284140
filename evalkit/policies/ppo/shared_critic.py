"""A critic that shares the policy's transformer: a value head on its hidden states."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from evalkit.policies.checkpoint import merged
from evalkit.policies.language_model import LanguageModel, packs_of
from evalkit.policies.ppo.critic import Critic, CriticRow, headed
from rewards.encoding.packs import Pack
from rewards.errors import ConfigError
from rewards.models.head import can_pack
from rewards.models.outcome import SequenceModel
from rewards.models.sidecar import Scale


class ValueHead(nn.Linear):
    """A linear head of one output, initialised to 0."""

    def __init__(self, width: int, device: torch.device) -> None:
        super().__init__(width, 1, bias=False, device=device, dtype=torch.float32)
        nn.init.zeros_(self.weight)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.weight.device


class SharedCritic(Critic):
    """A critic on the policy's transformer: half the compute and memory of an update.

    The body learns both the policy's loss and, by a coefficient, the values' (Schulman et al. 2017,
    1707.06347, eq. 9). While the critic is trained alone, the head alone learns.

    Args:
        policy: The policy.
        packs: Whether rows can be packed for it.
        name: The critic's name in error messages.
        max_length: Most tokens in a row.
        tokenizer: The policy's tokenizer.

    Raises:
        ConfigError: The policy's next token is no linear function of its states.
    """

    def __init__(
        self,
        policy: LanguageModel,
        packs: bool,
        name: str,
        max_length: int,
        tokenizer: Any,  # noqa: ANN401  # no public base type for both backends
    ) -> None:
        if not policy.head:
            raise ConfigError(f"critic shared: {type(policy.inner).__name__} keeps its states to itself")
        width = policy.inner.config.get_text_config().hidden_size
        head: Any = ValueHead(width, policy.device)
        super().__init__(head, name, Scale(), None, max_length, packs, tokenizer)
        self.policy = policy

    def values(self, rows: Sequence[CriticRow], packs: Sequence[Pack] | None) -> Tensor:
        """Return the value before each response token, row after row, [M], float32; the body learns none."""
        with torch.no_grad():
            states = self.policy.states(
                packs, [row.tokens for row in rows], [int(row.places[0]) + 1 for row in rows]
            )
        head: nn.Module = self.model
        with torch.autocast(states.device.type, enabled=False):
            return torch.as_tensor(head(states.float()))[:, 0]

    def packs_of(self, rows: Sequence[CriticRow]) -> list[Pack] | None:
        """Return the rows in packs, or None where the body cannot take them."""
        tokens = [row.tokens for row in rows]
        packed = self.packs and can_pack(self.policy.inner.config, max(map(len, tokens)))
        return packs_of(self.policy, tokens, packed)

    def classifier(self) -> SequenceModel:
        """Return a copy of head and transformer as a model of its own, which loads as any critic does."""
        made = headed(merged(self.policy.classifier))
        made.score.weight.data.copy_(self.model.weight.detach())  # type: ignore[operator]  # a ValueHead
        return SequenceModel(made)
