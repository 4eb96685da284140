"""evalkit.json beside a model's weights: tokenization, the tokens at which scores are read, their scale."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from rewards.errors import ModelError
from rewards.models.hub import first_line
from rewards.solutions.steps import AGGREGATIONS, Aggregation

Kind: TypeAlias = Literal["outcome", "process", "aspects", "spans"]
"""One score for a response; one for each step; one for each aspect; one for each aspect and piece."""
BY_TOKEN = ("process", "spans")
"""The kinds that classify tokens, where the others classify sequences."""

SIDECAR = "evalkit.json"
PROBE = "The quick brown fox, 1234.5 times:\n\n  naïve Ωmega — 漢字 🙂 </s> <s> [SEP] <|endoftext|>"
"""Text on which the tokenizer must agree with the one of training."""


@dataclass(frozen=True)
class Scale:
    """`Score.value` is `(logit - mean) / sd`."""

    mean: float = 0.0
    sd: float = 1.0


@dataclass(frozen=True)
class AspectFacts:
    """How one aspect is scored: its density, weight and scale.

    A raw output x stands for the label `x * sd + mean`, where labels were learnt as numbers.
    """

    name: str
    density: str = "whole"
    weight: float = 1.0
    mean: float = 0.0
    sd: float = 1.0


@dataclass(frozen=True)
class Sidecar:
    """The contents of `evalkit.json`, which evalkit writes beside a model's weights."""

    kind: Kind = "outcome"
    append_eos: bool = True
    read_at: str = "last token"
    tokenizer_hash: str = ""
    scale: Scale = field(default_factory=Scale)
    trained_on: Mapping[str, object] = field(default_factory=dict)
    version: int = 1
    separator: str = ""
    """Text that ends a step; a process model is read at its token."""
    separator_token: int | None = None
    """The separator's token id, which the tokenizer must keep; None if not known."""
    aggregation: Aggregation = "product"
    """How a process model's step scores are aggregated."""
    threshold: float = 0.5
    """Below it a step counts as wrong: the highest F1 on held-out solutions, where it was calibrated."""
    objective: str = ""
    """Training objective of an aspects model: `regression` on labels, or `error` detection."""
    aspects: tuple[AspectFacts, ...] = ()
    """A model's aspects, in the order of its heads."""


def tokenizer_hash(tokenizer: Any) -> str:  # noqa: ANN401  # Transformers has no public base type for both backends
    """Return a hash of a tokenizer's tokens for a probe text, its special tokens and its chat template."""
    facts = [
        tokenizer(PROBE)["input_ids"],
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
        tokenizer.chat_template,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def read_sidecar(name: str) -> Sidecar | None:
    """Return a folder's `evalkit.json`; None for a foreign folder or a Hub id without it.

    Raises:
        ModelError: The file is malformed.
    """
    path = Path(name) / SIDECAR
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        scale = Scale(**values["scale"])
        aspects = tuple(AspectFacts(**facts) for facts in values.get("aspects", ()))
        sidecar = Sidecar(**{**values, "scale": scale, "aspects": aspects})
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path}: not a description of a reward model ({first_line(error)})") from None
    known = {"kind": get_args(Kind), "aggregation": AGGREGATIONS}
    for name, allowed in known.items():
        if getattr(sidecar, name) not in allowed:
            raise ModelError(f"{path}: {name} is one of {', '.join(allowed)}; got {getattr(sidecar, name)!r}")
    return sidecar


def write_sidecar(folder: Path, sidecar: Sidecar) -> None:
    """Write `evalkit.json`, which marks the folder as complete and is therefore written last."""
    temporary = folder / f".{SIDECAR}.partial"
    temporary.write_text(json.dumps(asdict(sidecar), indent=2) + "\n", encoding="utf-8")
    temporary.replace(folder / SIDECAR)


def check_tokenizer(name: str, tokenizer: Any, sidecar: Sidecar) -> None:  # noqa: ANN401  # as above
    """Refuse a tokenizer that differs from the one of training.

    Raises:
        ModelError: It differs.
    """
    if sidecar.tokenizer_hash and sidecar.tokenizer_hash != tokenizer_hash(tokenizer):
        raise ModelError(
            f"{name}: its tokenizer (or chat template) is not the one it was trained with: {SIDECAR} records "
            f"{sidecar.tokenizer_hash}, this one is {tokenizer_hash(tokenizer)}"
        )
