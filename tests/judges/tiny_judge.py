"""A small Llama, taught on the spot to say which of two answers holds the word `right`."""

import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = ("right", "red", "blue", "green", "seven", "stone", "river", "cloud", "wrong", "lamp", "door", "song")
FRAME = ("Which", "answer", "is", "better", "?", "first", "second", "end", "Verdict", ":")
SPECIAL = ("<pad>", "<unk>", "<end>", "[[A]]", "[[B]]")
CHAT = "{% for message in messages %}{{ message['content'] }} {% endfor %}"


def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: place for place, word in enumerate((*SPECIAL, *FRAME, *WORDS))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", eos_token="<end>"
    )
    made.chat_template = CHAT
    return made


def answers(generator: random.Random) -> tuple[str, str, bool]:
    """Two answers of three words, one of which holds `right`; and whether that is the first."""
    sides = [generator.choices(WORDS[1:], k=3) for _ in range(2)]
    first = generator.random() < 0.5
    sides[0 if first else 1][generator.randrange(3)] = "right"
    return " ".join(sides[0]), " ".join(sides[1]), first


def teach(folder: Path, prompt: "callable", steps: int = 400, seed: int = 0) -> float:
    """Train and save the model; return its accuracy on fresh questions.

    Args:
        folder: Where the model and its tokenizer go.
        prompt: Makes the text of a question of two answers.
        steps: Updates.
        seed: Seed of the weights and of the questions.
    """
    torch.manual_seed(seed)
    words = tokenizer()
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=512,
            pad_token_id=0,
            eos_token_id=2,
            bos_token_id=None,
        )
    )
    generator = random.Random(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        loss = loss_of(model, *batch(words, prompt, generator, 32))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    ids, verdicts = batch(words, prompt, generator, 200)
    with torch.no_grad():
        said = model(ids).logits[:, -1].argmax(-1)
    model.generation_config.do_sample = False
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return float((said == verdicts).float().mean())


def batch(words, prompt, generator, size):
    asked = [answers(generator) for _ in range(size)]
    texts = [
        words.apply_chat_template([{"role": "user", "content": prompt(a, b)}], tokenize=False)
        for a, b, _ in asked
    ]
    ids = words(texts, return_tensors="pt", padding=True, padding_side="left").input_ids
    verdicts = torch.tensor(
        [words.convert_tokens_to_ids("[[A]]" if first else "[[B]]") for *_, first in asked]
    )
    return ids, verdicts


def loss_of(model, ids, verdicts):
    end = torch.full_like(verdicts, 2)
    whole = torch.cat([ids, verdicts[:, None], end[:, None]], dim=1)
    logits = model(whole).logits[:, -3:-1]
    return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), whole[:, -2:].reshape(-1))
