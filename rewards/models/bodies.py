"""The Transformers model under a head: from a folder, from the Hub, or new from sizes."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from tokenizers import AddedToken
from transformers import CONFIG_MAPPING, PreTrainedModel

from rewards.config import BodyConfig
from rewards.encoding.step_encoder import separator_token
from rewards.errors import ConfigError, ModelError
from rewards.models.checkpoint import auto_class, label_settings, start_classifier
from rewards.models.hub import load_tokenizer, quiet
from rewards.models.sidecar import BY_TOKEN, Kind


def make_classifier(
    config: BodyConfig,
    seed: int,
    kind: Kind = "outcome",
    labels: Sequence[str] = (),
    new_tokens: Sequence[str] = (),
) -> tuple[PreTrainedModel, Any]:
    """Return a sequence or token classifier, in float32, and its tokenizer.

    The padding token is made different from EOS where it is not, since Transformers reads a score before the
    padding and would otherwise not see the EOS that we append.

    Args:
        config: The body.
        seed: Seed of newly initialised weights.
        kind: Kind of reward model, which decides whether sequences or tokens are classified.
        labels: Names of the head's outputs; none given means one output.
        new_tokens: Texts to add as tokens, unless the tokenizer already has them as single tokens.

    Raises:
        ConfigError: The sizes do not fit together, or no tokenizer is named.
        ModelError: The folder or Hub id cannot be used.
    """
    source = config.tokenizer or config.name
    if not source:
        raise ConfigError("--body.tokenizer names the tokenizer of a new model; none is given")
    tokenizer = load_tokenizer(source, config.revision if source == config.name else "main")
    if tokenizer.eos_token_id is None and kind not in BY_TOKEN:
        raise ModelError(f"{source}: the tokenizer has no EOS token, after which the score is read")
    added = _separate_padding(tokenizer)
    missing = [text for text in new_tokens if not _is_token(tokenizer, text)]
    if missing:
        added |= bool(tokenizer.add_tokens([AddedToken(text, normalized=False) for text in missing]))
    torch.manual_seed(seed)
    if config.name:
        model = start_classifier(config.name, config.revision, kind, labels)
    else:
        model = _new_classifier(config, tokenizer, kind, labels)
    embeddings: Any = model.get_input_embeddings()
    if added and embeddings.num_embeddings < len(tokenizer):
        with quiet():  # Transformers tells at length how new rows are drawn
            model.resize_token_embeddings(len(tokenizer))
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    model.config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer


def _is_token(tokenizer: Any, text: str) -> bool:  # noqa: ANN401  # as above
    try:
        separator_token(tokenizer, text)
    except ModelError:
        return False
    return True


def _separate_padding(tokenizer: Any) -> bool:  # noqa: ANN401  # no public base type for both backends
    """Give the tokenizer a padding token other than EOS; return whether one was added to the vocabulary."""
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        return False
    unknown = tokenizer.unk_token_id
    if unknown is not None and unknown not in (tokenizer.eos_token_id, tokenizer.bos_token_id):
        tokenizer.pad_token = tokenizer.unk_token
        return False
    return bool(tokenizer.add_special_tokens({"pad_token": "<|padding|>"}))


def _new_classifier(
    config: BodyConfig,
    tokenizer: Any,  # noqa: ANN401  # as above
    kind: Kind,
    labels: Sequence[str],
) -> PreTrainedModel:
    if config.family not in CONFIG_MAPPING:
        raise ConfigError(f"body.family {config.family!r}: Transformers has no such model type")
    if config.hidden_size % config.heads:
        raise ConfigError(f"body.hidden_size {config.hidden_size} is not a multiple of {config.heads} heads")
    family: Any = CONFIG_MAPPING[config.family]
    names = cast("dict[str, str]", getattr(family, "attribute_map", {}))
    known = vars(family())
    wide = config.intermediate_size or -(-config.hidden_size * 8 // 3 // 8) * 8
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.heads,
        "head_dim": config.hidden_size // config.heads,
        "intermediate_size": wide,
        "n_inner": wide,
        "max_position_embeddings": config.context,
    }
    chosen = {names.get(name, name): size for name, size in sizes.items()}
    # A family's defaults for its own tokenizer, such as padding with 50283, may not fit this one.
    special = {
        name: getattr(tokenizer, name)
        for name in ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")
        if isinstance(known.get(name), int) and known[name] >= len(tokenizer)
    }
    settings = family(
        **{name: size for name, size in chosen.items() if name in known}, **special, **label_settings(labels)
    )
    build: Any = auto_class(kind).from_config
    try:
        return cast(PreTrainedModel, build(settings))
    except ValueError as error:
        first = str(error).splitlines()[0][:120]
        raise ConfigError(f"body.family {config.family!r}: cannot carry a reward head ({first})") from None
