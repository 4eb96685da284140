"""The critic: the value of the state before every response token, with its own tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from evalkit.policies.generation.texts import TextCodec
from evalkit.policies.language_model import LanguageModel
from evalkit.policies.rollout.token_credit import Written, token_offsets
from rewards.encoding.encoder import Encoder
from rewards.encoding.packs import Integers, Pack, Tokens, pack
from rewards.errors import ConfigError, DataError, ModelError
from rewards.models.checkpoint import load_classifier, save, start_classifier
from rewards.models.head import can_pack, prepare_for_packing
from rewards.models.hub import load_tokenizer, loading_options, quiet
from rewards.models.outcome import SequenceModel
from rewards.models.sidecar import Scale, Sidecar, read_sidecar, tokenizer_hash
from rewards.records import Prompt
from rewards.scorers.loading import context_length
from rewards.training.objectives import PACK_TOKENS


@dataclass(frozen=True, slots=True)
class CriticRow:
    """A response in the critic's tokens, and the position of the value before each policy token."""

    tokens: Tokens
    places: Integers


@dataclass
class Critic:
    """A value model.

    The value of the state before a response token is read at the last critic token that lies wholly in the
    text before it. Where critic and policy share a tokenizer, its rows are the policy's own tokens, and that
    is the preceding token. Else the text is tokenised anew.

    Attributes:
        model: A linear head of one output on a body.
        name: Its name in error messages.
        scale: Mean and sd of a raw output x: the value is `(x - mean) / sd`, in units of the reward.
        encoder: Text to the critic's tokens; None where they are the policy's.
        max_length: Its context length, in tokens.
        packs: Whether rows can be packed.
        tokenizer: The critic's tokenizer.
    """

    model: SequenceModel
    name: str
    scale: Scale
    encoder: Encoder | None
    max_length: int
    packs: bool
    tokenizer: Any

    def rows(
        self, prompts: Sequence[Prompt], written: Sequence[Written], texts: TextCodec, names: Sequence[str]
    ) -> list[CriticRow]:
        """Return the responses in the critic's tokens.

        Args:
            prompts: The prompts.
            written: The responses in the policy's tokens.
            texts: The policy's text codec.
            names: Name of each in error messages.

        Raises:
            DataError: A row is longer than the critic's context.
        """
        rows = (
            self._own_rows(written)
            if self.encoder is None
            else self._cut_anew(prompts, written, texts, names)
        )
        for row, name in zip(rows, names, strict=True):
            if len(row.tokens) > self.max_length:
                raise DataError(
                    f"{name}: has {len(row.tokens)} tokens with its response, and the critic {self.name} "
                    f"takes {self.max_length}; give a smaller --ppo.max_new_tokens or another --critic"
                )
        return rows

    def _own_rows(self, written: Sequence[Written]) -> list[CriticRow]:
        return [
            CriticRow(
                [*one.prompt, *one.tokens],
                np.arange(len(one.prompt) - 1, len(one.prompt) + len(one.tokens) - 1),
            )
            for one in written
        ]

    def _cut_anew(
        self, prompts: Sequence[Prompt], written: Sequence[Written], texts: TextCodec, names: Sequence[str]
    ) -> list[CriticRow]:
        assert self.encoder is not None
        located = self.encoder.locate(prompts, [one.text for one in written], names)
        results = []
        for row, offsets in zip(located, token_offsets(texts, written), strict=True):
            wide = np.flatnonzero(row.offsets[:, 1] > row.offsets[:, 0])
            # A token that a tokenizer puts behind the text tells that it ends, which is yet to be written.
            ends = np.maximum.accumulate(row.offsets[: wide[-1] + 1 if len(wide) else 1, 1])
            places = np.searchsorted(ends, offsets[:, 0], side="right") - 1
            results.append(CriticRow(row.tokens, np.maximum(places, 0)))
        return results

    def values(self, rows: Sequence[CriticRow], packs: Sequence[Pack] | None) -> Tensor:
        """Return the value before each response token, row after row, [M], float32."""
        raw = self.model.logits(packs, _read(rows), [row.places for row in rows])[:, 0]
        return (raw - self.scale.mean) / self.scale.sd

    def packs_of(self, rows: Sequence[CriticRow]) -> list[Pack] | None:
        """Return the rows in packs, or None where the body cannot take them."""
        longest = max(len(row.tokens) for row in rows)
        if not (self.packs and can_pack(self.model.inner.config, longest)):
            return None
        return list(pack(_read(rows), PACK_TOKENS))

    def classifier(self) -> SequenceModel:
        """Return the model as its folder has it."""
        return self.model

    @torch.no_grad()
    def row_values(self, rows: Sequence[CriticRow], at_once: int) -> list[Tensor]:
        """Return each row's values, without gradients, on the CPU.

        Args:
            rows: The rows.
            at_once: Rows in a forward pass.
        """
        results: list[Tensor] = []
        for start in range(0, len(rows), at_once):
            chosen = rows[start : start + at_once]
            values = self.values(chosen, self.packs_of(chosen)).cpu()
            results += torch.split(values, [len(row.places) for row in chosen])
        return results


def _read(rows: Sequence[CriticRow]) -> list[Tokens]:
    """Return the rows up to the last token at which a value is read."""
    return [row.tokens[: int(row.places[-1]) + 1] for row in rows]


def load_critic(
    name: str,
    text: str,
    tokenizer: Any,  # noqa: ANN401  # no public base type for both backends
    device: torch.device,
    seed: int,
) -> Critic:
    """Load a critic: a reward model as it is, or any transformer under a head that starts at 0.

    Args:
        name: Folder or Hub id.
        text: Its name in error messages.
        tokenizer: The policy's tokenizer.
        device: Its device.
        seed: Seed of its new head.

    Raises:
        ModelError: There is no such model, or its scores are no function of its last token's state.
    """
    sidecar = read_sidecar(name)
    own = load_tokenizer(name)
    torch.manual_seed(seed)
    if _tells_scores(name, sidecar):
        model: Any = load_classifier(name, sidecar=sidecar)
        scale = sidecar.scale if sidecar else Scale()
    else:
        model, scale = start_classifier(name), Scale()
        head = getattr(model, "score", None)
        if head is not None:
            torch.nn.init.zeros_(head.weight)
    body = SequenceModel(model.to(device))
    if not body.head:
        raise ModelError(
            f"{text}: {type(model).__name__} has no linear head that could be read at every token"
        )
    body.eval()
    same = tokenizer_hash(own) == tokenizer_hash(tokenizer)
    longest = context_length(model.config, own)
    encoder = None if same else Encoder(own, append_eos=False, max_length=longest)
    return Critic(body, text, scale, encoder, longest, prepare_for_packing(body), own)


def start_critic(policy: LanguageModel, tokenizer: Any, max_length: int) -> Critic:  # noqa: ANN401  # as above
    """Return a critic on a copy of a policy's transformer, under a head that starts at 0.

    Args:
        policy: The policy, before adapters are added.
        tokenizer: Its tokenizer.
        max_length: Most tokens in a row.

    Raises:
        ModelError: Transformers has no sequence classifier of the policy's architecture.
    """
    if not has_classifier(policy.inner):
        raise ModelError(
            f"{policy.name or 'the policy'}: Transformers has no sequence classifier of "
            f"{type(policy.inner).__name__} for a critic to be; --critic shared does without, as does the "
            "folder of a reward model"
        )
    made = headed(policy.inner)
    torch.nn.init.zeros_(made.score.weight)
    body = SequenceModel(made.to(policy.device))
    body.eval()
    return Critic(body, policy.name, Scale(), None, max_length, prepare_for_packing(body), tokenizer)


def has_classifier(model: PreTrainedModel) -> bool:
    """Return whether Transformers has a sequence classifier of a language model's architecture."""
    return type(model.config) in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING


def headed(model: PreTrainedModel) -> Any:  # noqa: ANN401  # Transformers' factories share no public type
    """Return a copy of a language model's body under a new head of one output."""
    build: Any = AutoModelForSequenceClassification.from_config
    with quiet():  # Transformers remarks on the names of labels that a policy's configuration may have
        made = build(type(model.config)(**{**model.config.to_dict(), "num_labels": 1}))
    made.base_model.load_state_dict(model.base_model.state_dict())
    return made


def save_critic(critic: Critic, folder: Path) -> None:
    """Write a critic's folder, which loads as a reward model and as another run's critic."""
    folder.mkdir(exist_ok=True)
    about = Sidecar(append_eos=False, tokenizer_hash=tokenizer_hash(critic.tokenizer), scale=critic.scale)
    save(critic.classifier(), critic.tokenizer, folder, about)


def _tells_scores(name: str, sidecar: Sidecar | None) -> bool:
    """Return whether a folder or Hub id is an outcome reward model, ours or another tool's."""
    if sidecar is not None:
        return sidecar.kind == "outcome"
    try:
        with quiet():
            config = AutoConfig.from_pretrained(name, **loading_options(name))
    except (OSError, ValueError):
        return False  # what is wrong with it is said where it is loaded
    classifies = any(one.endswith("ForSequenceClassification") for one in config.architectures or ())
    return classifies and config.num_labels == 1


def critic_name(critic: str, policy: str, scorer: str) -> str:
    """Return the folder or Hub id that a critic starts from: `policy`, `scorer`, or a name of its own.

    Raises:
        ConfigError: It is to start from the scorer, which is no folder of a reward model.
    """
    if critic == "policy":
        return policy
    if critic != "scorer":
        return critic
    name = scorer.partition("?")[0]
    if not Path(name).is_dir():
        raise ConfigError(
            f"critic scorer starts from the reward model's folder, and {scorer} is none; critic policy, or a "
            "folder, does without"
        )
    return name
