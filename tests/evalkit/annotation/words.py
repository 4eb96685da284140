"""A tokenizer of numbered words, and a small policy over them."""

from typing import Any

PAD, BOS, EOS = 0, 1, 2


def word_tokenizer(words: int, template: str | None = None) -> Any:
    """Words `w3`, `w4`, ... split at spaces; BOS stands before a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<s>", "</s>", *(f"w{number}" for number in range(3, words))]
    tokenizer = Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, unk_token="w3"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        chat_template=template,
    )


def word_policy(words: int, seed: int = 0, context: int = 64, **settings: Any) -> Any:
    """A Llama of two layers whose weights are large enough that every token matters."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    tokens = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}
    config = LlamaConfig(
        vocab_size=words,
        max_position_embeddings=context,
        initializer_range=0.2,
        **{**sizes, **tokens, **settings},
    )
    return AutoModelForCausalLM.from_config(config)
