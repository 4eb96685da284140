"""Small bodies for worded sums: a Llama that has read GSM8K, or a pretrained one lengthened to fit it."""

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from evalkit.testbeds.world_models import SPECIAL, Schooling, batches, make_llama, pad, school
from rewards.errors import ModelError

POSITIONS = 2048
"""Tokens that a body takes; the longest example solution with its question has some 1,600."""
HEAD = 16
READING = "reading.json"
"""What a body has read, beside its weights."""
BATCH = 32
LEARNING_RATE = 3e-3


def make_tokenizer(texts: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level tokenizer, which leaves no text unknown, from texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # untyped in Transformers
        tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", model_max_length=POSITIONS
    )


def make_reader(
    texts: Sequence[str], folder: Path, vocabulary: int, hidden: int, layers: int, readings: float, seed: int
) -> None:
    """Train a new Llama to continue worked problems, and write its folder, all at once.

    Args:
        texts: Questions with their solutions.
        folder: Where it appears; `READING` beside the weights says what it read.
        vocabulary: Tokens of the tokenizer that is learnt from the texts.
        hidden: Width of the body, a multiple of `HEAD`.
        layers: Its layers.
        readings: Passes over the texts.
        seed: Of the weights and the order of the texts.
    """
    tokenizer = make_tokenizer(texts, vocabulary)
    rows = [[*ids, tokenizer.eos_token_id] for ids in tokenizer(list(texts), verbose=False)["input_ids"]]
    kept = [row for row in rows if len(row) <= POSITIONS]
    model = make_llama(hidden, layers, HEAD, POSITIONS, seed, tokenizer)
    updates = max(2, math.ceil(readings * len(kept) / BATCH))
    rng = np.random.default_rng(seed)

    def tables() -> Iterator[tuple[Tensor, Tensor]]:
        for places in batches([len(row) for row in kept], BATCH, rng):
            table = pad([kept[place] for place in places])
            yield table, table

    half = updates // 2
    schooling = Schooling(every=half, most=updates, cool_down=updates - half)
    done = school(model, tables(), LEARNING_RATE, schooling, lambda _: True)
    about = {"texts": len(kept), "longer_than_the_body": len(rows) - len(kept), "updates": done}
    about["parameters"] = sum(weight.numel() for weight in model.parameters())
    _write(folder, model, tokenizer, about)


def lengthen(source: str, folder: Path) -> None:
    """Write a copy of a pretrained body that takes `POSITIONS` tokens; rotary positions need no new weights.

    It never saw positions beyond its own limit before it is tuned.

    Raises:
        ModelError: The body's positions are learnt, so that there are no more than it has.
    """
    model = AutoModelForCausalLM.from_pretrained(source)
    if not hasattr(model.config, "rope_parameters"):
        raise ModelError(f"{source}: its positions are not rotary, so that it cannot take longer rows")
    before = model.config.max_position_embeddings
    model.config.max_position_embeddings = max(before, POSITIONS)
    tokenizer = AutoTokenizer.from_pretrained(source, model_max_length=POSITIONS)
    parameters = sum(weight.numel() for weight in model.parameters())
    _write(folder, model, tokenizer, {"positions_before": before, "parameters": parameters})


def _write(folder: Path, model: object, tokenizer: object, about: dict[str, int]) -> None:
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)  # type: ignore[attr-defined]  # Transformers' own, untyped
    tokenizer.save_pretrained(partial)  # type: ignore[attr-defined]  # as above
    (partial / READING).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    partial.replace(folder)
