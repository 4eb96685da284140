"""Small tokenizers and models, made on the spot, so that no test needs the network."""

from collections.abc import Callable

import pytest

CORPUS = [
    "What is the capital of France? The capital of France is Paris.",
    "Why is the sky blue? Light is scattered by the air, and blue light more than red light.",
    "good better best, bad worse worst; a longer word wins over a short one.",
    "one two three four five six seven eight nine ten eleven twelve",
]
CHAT = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}"
    "{{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)
FAMILIES = {
    "llama": {"num_key_value_heads": 4, "intermediate_size": 64},
    "qwen2": {"num_key_value_heads": 2, "intermediate_size": 64},
    "mistral": {"num_key_value_heads": 2, "intermediate_size": 64, "sliding_window": 16, "head_dim": 8},
    "gpt2": {},
    "bert": {"intermediate_size": 64},
}


@pytest.fixture(scope="session")
def trained_bpe() -> str:
    """A byte-level BPE of 400 tokens as JSON, since setting it up twice would share its state."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer.to_str()


@pytest.fixture(scope="session")
def make_tokenizer(trained_bpe) -> Callable:
    """Return a tokenizer; `add_bos` puts `<s>` before each text, `pad` None leaves no padding token."""
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    def make(add_bos=True, pad="<pad>", chat=False, add_eos=False, padding_side="right"):
        inner = Tokenizer.from_str(trained_bpe)
        if add_bos or add_eos:
            parts = ["<s>"] * add_bos + ["$A"] + ["</s>"] * add_eos
            inner.post_processor = processors.TemplateProcessing(
                single=" ".join(parts), special_tokens=[("<s>", 0), ("</s>", 1)]
            )
        return PreTrainedTokenizerFast(
            tokenizer_object=inner,
            bos_token="<s>",
            eos_token="</s>",
            pad_token=pad,
            chat_template=CHAT if chat else None,
            padding_side=padding_side,
        )

    return make


@pytest.fixture(scope="session")
def make_classifier() -> Callable:
    """Return a sequence classifier of one label whose weights are large enough that every token matters."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.set_num_threads(1)

    def make(family="llama", pad=2, seed=0, labels=1, spread=0.25, **settings):
        config = AutoConfig.for_model(
            family,
            **{
                "vocab_size": 400,
                "hidden_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "max_position_embeddings": 256,
                "pad_token_id": pad,
                "num_labels": labels,
                **FAMILIES.get(family, {}),
                **settings,
            },
        )
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_config(config).eval()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim > 1:
                    weight.normal_(0, spread)
        return model

    return make


@pytest.fixture(scope="session")
def plain_logits() -> Callable:
    """Score texts with Transformers alone: its tokenizer's padding, its Auto class, its pooling."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    def score(folder, texts, eos=False, padding_side="right", one_by_one=False, dtype=torch.float32):
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side=padding_side)
        model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype).eval()
        texts = [text + tokenizer.eos_token * eos for text in texts]
        groups = [[text] for text in texts] if one_by_one else [texts]
        result = []
        with torch.no_grad():
            for group in groups:
                batch = tokenizer(group, return_tensors="pt", padding=len(group) > 1)
                batch.pop("token_type_ids", None)
                result += model(**batch).logits[:, 0].tolist()
        return result

    return score
