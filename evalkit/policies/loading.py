"""Loads a policy to train, and the encoder of its responses, by name."""

from evalkit.policies.checkpoint import load_causal
from evalkit.policies.generation.local import end_tokens
from evalkit.policies.language_model import LanguageModel
from evalkit.policies.response_rows import ResponseEncoder
from rewards.errors import ConfigError
from rewards.scorers.loading import context_length, device


def load_trainable(
    name: str, max_length: int = 0, *, eos: bool = True
) -> tuple[LanguageModel, ResponseEncoder]:
    """Load a policy to train, on the first accelerator or else the CPU, and its encoder.

    Args:
        name: Folder or Hub id.
        max_length: Most tokens in a row; 0 is the model's context length.
        eos: Refuse a tokenizer without EOS, which teaches a policy where a response ends.

    Raises:
        ModelError: It is no language model, or its tokenizer has no EOS token.
        ConfigError: `max_length` exceeds the model's context.
    """
    model, tokenizer = load_causal(name, name)
    length = context_length(model.config, tokenizer)
    if max_length > length:
        raise ConfigError(f"training.max_length {max_length}: the model takes {length} tokens")
    ends = end_tokens(model, tokenizer)
    ended = eos or tokenizer.eos_token_id is not None
    encoder = ResponseEncoder(tokenizer, max_length or length, ends, ended)
    model.to(device("auto"))  # type: ignore[arg-type]  # wrapped by Transformers
    return LanguageModel(model), encoder
