"""A reward model in this process: duplicates scored once, shared prefixes computed once, order kept."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch

from rewards.batches import pack
from rewards.config import ScoringConfig
from rewards.encoding import Encoder
from rewards.errors import ConfigError, DataError, ScoringError, SpecError
from rewards.models.checkpoint import (
    Scale,
    check_tokenizer,
    load_classifier,
    load_tokenizer,
    read_sidecar,
)
from rewards.models.outcome import RewardModel, can_pack, last_read, prepare_for_packing
from rewards.records import Generation, Score, prompt_key
from rewards.scorer import Spec

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class ModelScorer:
    """Scores generations with an outcome reward model.

    The score of a row depends on that row alone: not on the batch size, the order, the neighbours or padding.
    """

    def __init__(
        self, model: RewardModel, encoder: Encoder, config: ScoringConfig, scale: Scale | None = None
    ) -> None:
        self.model = model.eval()
        self.encoder = encoder
        self.config = config
        self.scale = scale or Scale()
        self.truncated = 0
        """Rows whose prompt was cut so far."""
        self.packs = config.share_prefixes and prepare_for_packing(model)
        """Whether this body can share prefixes."""

    @property
    def logit_scale(self) -> float:
        """By what a difference of scores is multiplied to give a difference of raw logits."""
        return self.scale.sd

    def score(self, generations: Sequence[Generation]) -> list[Score]:
        """Return one score for each generation, `(logit - mean) / sd`, in the order asked.

        Raises:
            ScoringError: A row has no tokens, or its logit is not finite.
            DataError: A row is longer than the model's context, and the configuration says error.
        """
        mean, sd = self.scale.mean, self.scale.sd
        return [Score((logit - mean) / sd) for logit in self.logits(generations)]

    def logits(self, generations: Sequence[Generation]) -> list[float]:
        """Return the raw logits, as plain Transformers gives them."""
        rows = self._rows(generations)
        distinct: dict[tuple[int, ...], int] = {}
        places = [distinct.setdefault(row, len(distinct)) for row in rows]
        logits = self._compute(list(distinct))
        for generation, place in zip(generations, places, strict=True):
            if not math.isfinite(logits[place]):
                name = generation.id or repr(prompt_key(generation.prompt)[:40])
                raise ScoringError(f"row {name}: the model's logit is {logits[place]}")
        return [logits[place] for place in places]

    def _rows(self, generations: Sequence[Generation]) -> list[tuple[int, ...]]:
        """Encode rows up to the token where Transformers reads their score; what follows cannot matter."""
        prompts = [generation.prompt for generation in generations]
        encoded = self.encoder.encode(prompts, [generation.response for generation in generations])
        most, pad, result = self.encoder.max_length, self.model.pad, []
        for generation, row in zip(generations, encoded, strict=True):
            name = f"row {generation.id or repr(prompt_key(generation.prompt)[:40])}"
            if len(row) > most:
                if self.config.over_long == "error":
                    raise DataError(
                        f"{name}: has {len(row)} tokens and the model takes {most}; shorten it, or cut "
                        "prompts on the left with ?over_long=truncate_left"
                    )
                row = self.encoder.shorten(row, generation.prompt, len(row) - most, name)
                self.truncated += 1
            result.append(tuple(row[: last_read(row, pad) + 1]) if self.model.reads_last else tuple(row))
        return result

    @torch.inference_mode()
    def _compute(self, rows: list[tuple[int, ...]]) -> list[float]:
        logits = [math.nan] * len(rows)
        config = self.model.inner.config
        packed = [number for number, row in enumerate(rows) if self.packs and can_pack(config, len(row))]
        chosen = [rows[number] for number in packed]
        for part in pack(chosen, self.config.batch_tokens):
            numbers = part.rows.tolist()
            values = self.model.read(part).tolist()
            for number, value in zip(numbers, values, strict=True):
                logits[packed[number]] = value
        taken = set(packed)
        plain = [number for number in range(len(rows)) if number not in taken]
        for batch in self._by_length(rows, plain):
            values = self.model.forward_padded([rows[number] for number in batch]).tolist()
            for number, value in zip(batch, values, strict=True):
                logits[number] = value
        return logits

    def _by_length(self, rows: list[tuple[int, ...]], numbers: list[int]) -> Iterator[list[int]]:
        """Cut rows, longest first, into batches of at most `batch_tokens` padded tokens."""
        batch: list[int] = []
        for number in sorted(numbers, key=lambda number: -len(rows[number])):
            if batch and (len(batch) + 1) * len(rows[batch[0]]) > self.config.batch_tokens:
                yield batch
                batch = []
            batch.append(number)
        if batch:
            yield batch


def load_model_scorer(spec: Spec) -> ModelScorer:
    """Load `FOLDER_OR_HUB_ID?eos=true&dtype=bfloat16&device=cuda&batch_tokens=16384&over_long=truncate_left`.

    EOS is appended as the folder's `evalkit.json` says; a foreign folder gets none unless asked.

    Raises:
        SpecError: An option is unknown or malformed.
        ModelError: The folder cannot be used.
    """
    spec.allow("eos", "dtype", "device", "batch_tokens", "over_long", "share_prefixes", "revision")
    over_long = _choice(spec, "over_long", ("error", "truncate_left"))
    dtype = _choice(spec, "dtype", tuple(DTYPES))
    batch_tokens = float(spec.option("batch_tokens", ScoringConfig.batch_tokens))
    if not batch_tokens.is_integer():
        raise SpecError(f"{spec.text}: option batch_tokens is a whole number, got {batch_tokens}")
    config = ScoringConfig(
        batch_tokens=int(batch_tokens),
        share_prefixes=spec.flag("share_prefixes", True),
        device=spec.options.get("device", "auto"),
        dtype=dtype,  # type: ignore[arg-type]  # one of DTYPES
        over_long=over_long,  # type: ignore[arg-type]  # one of the two
    )
    revision = spec.options.get("revision", "main")
    sidecar = read_sidecar(spec.rest)
    tokenizer = load_tokenizer(spec.rest, revision)
    if sidecar is not None:
        check_tokenizer(spec.rest, tokenizer, sidecar)
    classifier = load_classifier(spec.rest, DTYPES[dtype], revision)
    append_eos = spec.flag("eos", sidecar.append_eos if sidecar else False)
    encoder = Encoder(tokenizer, append_eos, context_length(classifier.config, tokenizer))
    model = RewardModel(classifier.to(device(config.device)))  # type: ignore[arg-type]  # Transformers' own stub
    return ModelScorer(model, encoder, config, sidecar.scale if sidecar else None)


def _choice(spec: Spec, name: str, allowed: tuple[str, ...]) -> str:
    value = spec.options.get(name, allowed[0])
    if value not in allowed:
        raise ConfigError(f"{spec.text}: option {name} is one of {', '.join(allowed)}, got {value!r}")
    return value


def device(name: str) -> torch.device:
    """Return a device by name; `auto` is the first accelerator that is there, else the processor.

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
    """Return how many tokens a model takes: its positions, else the tokenizer's limit."""
    text = config.get_text_config()  # type: ignore[attr-defined]  # configurations differ by architecture
    for name in ("max_position_embeddings", "n_positions"):
        limit = getattr(text, name, None)
        if isinstance(limit, int) and limit > 0:
            return limit
    return int(min(getattr(tokenizer, "model_max_length", 1 << 30), 1 << 30))
