"""Folders of small models, made on the spot, so that commands run without the network."""

import json
from pathlib import Path

import pytest

from tests.evalkit.annotation.browser import chromium, serve, visit  # noqa: F401 -- fixtures

CONTEXT = 48
TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.fixture(scope="session")
def write_model(tmp_path_factory):
    """Return a function that writes a Llama of one layer, whose tokens are bytes, and names its folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        LlamaConfig,
        PreTrainedTokenizerFast,
    )

    def write(kind: str, pad: str | None = "<pad>", template: str | None = None, nan: bool = False) -> str:
        special = {"<s>": 0, "</s>": 1, "<pad>": 2}
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        words = special | {letter: 3 + number for number, letter in enumerate(alphabet)}
        inner = Tokenizer(models.BPE(vocab=words, merges=[]))
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token=pad, chat_template=template
        )
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(words),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
            num_labels=1,
        )
        auto = AutoModelForCausalLM if kind == "policy" else AutoModelForSequenceClassification
        model = auto.from_config(config)
        if nan:
            torch.nn.init.constant_(model.score.weight, float("nan"))
        folder = tmp_path_factory.mktemp("models") / kind
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return str(folder)

    return write


@pytest.fixture(scope="session")
def reward_folder(write_model) -> str:
    """A sequence classifier of one label."""
    return write_model("reward")


@pytest.fixture(scope="session")
def policy_folder(write_model) -> str:
    """A causal language model without a chat template."""
    return write_model("policy")


@pytest.fixture
def write_rows(tmp_path):
    """Return a function that writes rows as JSON lines into the test's folder and names the file."""

    def write(name: str, rows: list[dict[str, object]]) -> str:
        path: Path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return write
