"""Shared by all testbed models: tokenizer, architecture, training, and the world's hash beside them."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from rewards.errors import ModelError

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
PADDING = SPECIAL.index("<pad>")
WORLD_FILE = "world.json"
WARM_UP = 30
POOL = 16


class World(Protocol):
    """A testbed world: its seed and hash."""

    @property
    def seed(self) -> int:
        """Its seed."""

    @property
    def hash(self) -> str:
        """Hash of its settings and of all that was sampled."""


@dataclass(frozen=True, slots=True)
class Schooling:
    """Training length: until the model passes the gate, then on while its learning rate falls to 0."""

    gate: float = 0.95
    """Value that it must reach in an examination, in the examination's own metric."""
    every: int = 50
    """Updates between examinations."""
    most: int = 1000
    """Most updates to pass the gate."""
    cool_down: int = 400
    """Updates after the gate."""
    batch: int = 128
    """Documents in one update."""
    documents: int = 30_000
    """Documents of the corpus; training repeats them."""


def make_word_tokenizer(
    words: Sequence[str],
    pre_tokenizer: pre_tokenizers.PreTokenizer,
    decoder: decoders.Decoder | None,
    positions: int,
) -> PreTrainedTokenizerFast:
    """Make a tokenizer of one token a word, with BOS added and EOS left to the caller.

    Args:
        words: The words; special tokens come before them.
        pre_tokenizer: Splits a text into words.
        decoder: Joins words; None puts a space between them.
        positions: Context length of the model.
    """
    vocabulary = {word: place for place, word in enumerate((*SPECIAL, *words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizer
    if decoder is not None:
        tokenizer.decoder = decoder
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # untyped in Transformers
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=positions,
        clean_up_tokenization_spaces=False,
    )


def make_llama(
    hidden: int, layers: int, head: int, positions: int, seed: int, tokenizer: PreTrainedTokenizerFast
) -> LlamaForCausalLM:
    """Make an untrained Llama; the same seed gives the same weights."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // head,
        head_dim=head,
        max_position_embeddings=positions,
        initializer_range=hidden**-0.5,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    # A reward head that starts from this folder is drawn with the range saved here. A wide one drowns what
    # the base knows: gold agreement of the largest base of facts fell from 0.66 to 0.56.
    model.config.initializer_range = 0.02
    return model


def school(
    model: LlamaForCausalLM,
    batches: Iterator[tuple[Tensor, Tensor]],
    learning_rate: float,
    schooling: Schooling,
    examine: Callable[[int], bool],
) -> int:
    """Train a model until it passes the gate, then on while its learning rate falls; return the updates done.

    A fixed number of updates would not suffice for every seed: such models learn in sudden transitions whose
    time differs from seed to seed.

    Args:
        model: Trained in place.
        batches: Tokens and targets of each update, both [documents, length]; a target of `PADDING` is
            masked.
        learning_rate: Peak, reached after `WARM_UP` updates and kept until the gate.
        schooling: The limits.
        examine: Called with the updates done every so many updates; returns whether the gate is passed.
    """
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    passed = False
    end = schooling.most
    updates = 0
    while updates < end:
        fraction = (end - updates) / schooling.cool_down if passed else 1.0
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1.0, (updates + 1) / WARM_UP, fraction)
        _update(model, optimizer, *next(batches))
        updates += 1
        if updates % schooling.every == 0 and examine(updates) and not passed:
            passed, end = True, updates + schooling.cool_down
    return updates


def _update(
    model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, tokens: Tensor, targets: Tensor
) -> None:
    logits = model(input_ids=tokens).logits[:, :-1]
    loss = cross_entropy(logits.transpose(1, 2), targets[:, 1:], ignore_index=PADDING)
    loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def pad(rows: Sequence[Sequence[int]]) -> Tensor:
    """Return rows of tokens as one tensor [rows, longest], padded on the right.

    With causal attention, right padding needs no mask; the loss ignores it.
    """
    table = np.full((len(rows), max(map(len, rows))), PADDING)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return torch.from_numpy(table)


def batches(lengths: Sequence[int], size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Yield row indices of batches forever; rows of similar length go together, which halves the padding."""
    while True:
        order = rng.permutation(len(lengths))
        for start in range(0, len(order), size * POOL):
            pool = sorted(order[start : start + size * POOL], key=lambda place: lengths[place])
            starts = rng.permutation(np.arange(0, len(pool), size))
            for begin in starts:
                yield pool[begin : begin + size]


def save_in_world(
    world: World,
    folder: Path,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    about: Mapping[str, object],
) -> None:
    """Save a model, its tokenizer and the world's hash as a Transformers folder, atomically."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    text = json.dumps({"world": world.hash, "seed": world.seed, **about}, indent=2)
    (partial / WORLD_FILE).write_text(text + "\n", encoding="utf-8")
    partial.replace(folder)


def check_world(world: World, folder: Path) -> None:
    """Refuse a model of another world.

    Raises:
        ModelError: The folder records no world, or another one.
    """
    path = folder / WORLD_FILE
    if not path.is_file():
        raise ModelError(f"{folder}: has no {WORLD_FILE}, so it cannot be told which world it knows")
    recorded = json.loads(path.read_text(encoding="utf-8")).get("world")
    if recorded != world.hash:
        raise ModelError(f"{folder}: was made in world {recorded}, but this is world {world.hash}")
