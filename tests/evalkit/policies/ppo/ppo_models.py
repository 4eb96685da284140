"""Small models and tokenizers that PPO is tried on, each made once."""

from functools import cache
from pathlib import Path
from typing import Any

BOS, EOS, PAD = 0, 1, 2
CHAT = (
    "{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
MERGES = (("a", "b"), ("ab", "a"), ("Ġ", "a"), ("Ã", "©"), ("b", "Ã"), ("Ċ", "Ċ"))
OTHER = (("b", "a"), ("a", "Ċ"), ("Ġ", "b"), ("ba", "ba"))


def byte_tokenizer(merges: tuple[tuple[str, str], ...] = MERGES, around: str = "$A", chat: str = "") -> Any:
    """Bytes and a few merges of them, by which a text has many cuts; `around` is what stands about it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {"<s>": BOS, "</s>": EOS, "<pad>": PAD}
    for piece in (*sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)):
        words.setdefault(piece, len(words))
    inner = Tokenizer(models.BPE(vocab=words, merges=list(merges)))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.TemplateProcessing(
        single=around, special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        chat_template=chat or None,
        clean_up_tokenization_spaces=False,
    )


def small_model(kind: str, words: int, seed: int = 0, context: int = 64, spread: float = 0.1) -> Any:
    """A Llama of one layer: a causal language model, or a classifier of `kind` labels."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, LlamaConfig

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=words,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=context,
        initializer_range=spread,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
        num_labels=1,
    )
    auto = AutoModelForCausalLM if kind == "policy" else AutoModelForSequenceClassification
    return auto.from_config(config)


@cache
def policy_folder(root: Path, seed: int = 0, context: int = 64, chat: str = "", around: str = "$A") -> str:
    """Write a policy of bytes, and name its folder."""
    folder = root / f"policy-{seed}-{context}-{bool(chat)}-{around.count('<')}"
    tokenizer = byte_tokenizer(around=around, chat=chat)
    small_model("policy", len(tokenizer), seed, context).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def reward_folder(
    folder: Path, tokenizer: Any, scale: tuple[float, float], eos: bool, context: int = 64
) -> str:
    """Write an outcome reward model of ours."""
    from rewards.models.checkpoint import save
    from rewards.models.outcome import RewardModel
    from rewards.models.sidecar import Scale, Sidecar, tokenizer_hash

    model = RewardModel(small_model("reward", len(tokenizer), 3, context, 0.4))
    folder.mkdir(parents=True, exist_ok=True)
    about = Sidecar(append_eos=eos, tokenizer_hash=tokenizer_hash(tokenizer), scale=Scale(*scale))
    save(model, tokenizer, folder, about)
    return str(folder)
