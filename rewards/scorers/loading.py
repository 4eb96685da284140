"""Load a model folder or Hub id as a scorer, by its `evalkit.json` or its architecture."""

from collections.abc import Callable
from typing import Any

import torch

from rewards.config import ScoringConfig
from rewards.encoding.encoder import Encoder
from rewards.encoding.step_encoder import StepEncoder
from rewards.errors import ConfigError, ModelError, SpecError
from rewards.models.checkpoint import foreign_sidecar, load_classifier
from rewards.models.hub import load_tokenizer
from rewards.models.outcome import AspectModel, RewardModel
from rewards.models.sidecar import Sidecar, check_tokenizer, read_sidecar
from rewards.models.tokens import TokenModel
from rewards.scorer import Scorer
from rewards.scorers.aspects import AspectScorer, SpanScorer, weighted
from rewards.scorers.outcome import ModelScorer
from rewards.scorers.process import ProcessScorer
from rewards.solutions.steps import AGGREGATIONS
from rewards.specs import Spec

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
COMMON = ("dtype", "device", "batch_tokens", "over_long", "share_prefixes", "revision")
OWN = {
    "outcome": ("eos",),
    "process": ("separator", "aggregation"),
    "aspects": ("eos", "weights"),
    "spans": ("weights",),
}
"""Options of some kinds of model only."""
ANY = tuple(dict.fromkeys(name for names in OWN.values() for name in names))


def load_model_scorer(spec: Spec) -> Scorer:
    """Load `FOLDER_OR_HUB_ID?dtype=bfloat16&device=cuda&batch_tokens=16384&over_long=truncate_left`.

    Its `evalkit.json` says whether it scores responses, steps, aspects or spans; a foreign token classifier
    scores steps. More options, by kind:

    - outcome, aspects: `eos=true` appends EOS; a foreign folder gets none unless asked.
    - process: `aggregation=min`, and `separator=%0A` for a foreign folder, which does not record it.
    - aspects, spans: `weights=relevance:1,factuality:0.5`; an aspect that is not named has weight 0.

    Raises:
        SpecError: An option is unknown or malformed.
        ModelError: The folder cannot be used.
    """
    sidecar = read_sidecar(spec.rest)
    spec.allow(*(ANY if sidecar is None else OWN[sidecar.kind]), *COMMON)
    config, revision = _scoring(spec), spec.options.get("revision", "main")
    tokenizer = load_tokenizer(spec.rest, revision)
    if sidecar is not None:
        check_tokenizer(spec.rest, tokenizer, sidecar)
    if sidecar is None:
        sidecar = foreign_sidecar(spec.rest, revision)
        spec.allow(*OWN[sidecar.kind], *COMMON)
    classifier: Any = load_classifier(spec.rest, DTYPES[config.dtype], revision, sidecar).to(
        device(config.device)  # type: ignore[arg-type]  # Transformers' own stub
    )
    append_eos = spec.flag("eos", sidecar.append_eos)
    encoder = Encoder(tokenizer, append_eos, context_length(classifier.config, tokenizer))
    if sidecar.kind == "process":
        steps = StepEncoder(encoder, _separator(spec, sidecar))
        _check_separator(spec, steps, sidecar)
        how = _choice(spec, "aggregation", AGGREGATIONS, sidecar.aggregation)
        threshold = sidecar.threshold if sidecar.separator else None  # a foreign folder has chosen none
        return ProcessScorer(TokenModel(classifier), steps, config, how, threshold)  # type: ignore[arg-type]  # one of them
    if sidecar.kind == "outcome":
        return ModelScorer(RewardModel(classifier), encoder, config, sidecar.scale)
    aspects = weighted(sidecar.aspects, spec)
    if sidecar.kind == "aspects":
        return AspectScorer(AspectModel(classifier), encoder, config, aspects, sidecar.objective)
    return SpanScorer(TokenModel(classifier), encoder, config, aspects, sidecar.objective)


def _separator(spec: Spec, sidecar: Sidecar) -> str:
    separator = spec.options.get("separator", sidecar.separator)
    if not separator:
        raise SpecError(
            f"{spec.text}: a token classifier that does not say at which token its steps end; name it, as in "
            "?separator=%0A for a line break"
        )
    return separator


def _check_separator(spec: Spec, steps: StepEncoder, sidecar: Sidecar) -> None:
    same = steps.separator == sidecar.separator and sidecar.separator_token is not None
    if same and steps.token != sidecar.separator_token:
        raise ModelError(
            f"{spec.rest}: its tokenizer is not the one it was trained with: the separator "
            f"{steps.separator!r} was token {sidecar.separator_token} and is {steps.token}"
        )


def _scoring(spec: Spec) -> ScoringConfig:
    batch_tokens = float(spec.option("batch_tokens", ScoringConfig.batch_tokens))
    if not batch_tokens.is_integer():
        raise SpecError(f"{spec.text}: option batch_tokens is a whole number, got {batch_tokens}")
    return ScoringConfig(
        batch_tokens=int(batch_tokens),
        share_prefixes=spec.flag("share_prefixes", True),
        device=spec.options.get("device", "auto"),
        dtype=_choice(spec, "dtype", tuple(DTYPES)),  # type: ignore[arg-type]  # one of DTYPES
        over_long=_choice(spec, "over_long", ("error", "truncate_left")),  # type: ignore[arg-type]  # one of both
    )


def _choice(spec: Spec, name: str, allowed: tuple[str, ...], default: str = "") -> str:
    value = spec.options.get(name, default or allowed[0])
    if value not in allowed:
        raise ConfigError(f"{spec.text}: option {name} is one of {', '.join(allowed)}, got {value!r}")
    return value


def device(name: str) -> torch.device:
    """Return a device by name; `auto` is the first accelerator available, else the CPU.

    Raises:
        ConfigError: torch knows no such device.
    """
    if name == "auto":
        found: Callable[[], bool] = torch.accelerator.is_available
        return (
            torch.accelerator.current_accelerator() or torch.device("cpu") if found() else torch.device("cpu")
        )
    try:
        return torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device {name!r}: torch knows no such device; cpu, cuda, mps or auto") from None


def context_length(config: object, tokenizer: object) -> int:
    """Return a model's context length: its positions, else the tokenizer's limit."""
    text = config.get_text_config()  # type: ignore[attr-defined]  # configurations differ by architecture
    for name in ("max_position_embeddings", "n_positions"):
        limit = getattr(text, name, None)
        if isinstance(limit, int) and limit > 0:
            return limit
    return int(min(getattr(tokenizer, "model_max_length", 1 << 30), 1 << 30))
