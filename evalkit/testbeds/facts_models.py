"""Small Llama models that read the corpus of facts until they know it, and the gate that says so."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from evalkit.testbeds.facts import ATTRIBUTES, COURTESIES, KINDS, TONES, VALUES, FactsWorld
from evalkit.testbeds.facts_corpus import ENTITIES, MARKS, REVIEW, Document, write_corpus
from rewards.errors import ModelError

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
WORDS = ("Q", REVIEW, "?", "A", ".", *MARKS, *TONES, *COURTESIES, *KINDS, *ENTITIES, *ATTRIBUTES, *VALUES)
WORLD_FILE = "world.json"
POSITIONS = 128
WARM_UP = 30
POOL = 16


@dataclass(frozen=True, slots=True)
class BaseSize:
    """The shape of a base model, and the learning rates that suit it."""

    hidden: int
    layers: int
    head: int
    learning_rate: float
    """Of the base itself."""
    reward_learning_rate: float
    """Of a reward model that starts from it."""


SIZES = {
    "S": BaseSize(16, 1, 16, 1.5e-2, 3e-3),
    "M": BaseSize(32, 2, 16, 5e-3, 1.2e-3),
    "L": BaseSize(64, 2, 32, 4e-3, 8e-4),
}


@dataclass(frozen=True, slots=True)
class Schooling:
    """How long a base model reads: until it passes the gate, then on while its learning rate falls to 0."""

    gate: float = 0.95
    """Share of the marks of typical facts, in reviews that it has not read, that it must foretell."""
    every: int = 50
    """Updates between examinations."""
    most: int = 1000
    """Updates after which it has failed the gate."""
    cool_down: int = 400
    """Updates after the gate."""
    batch: int = 128
    """Documents in one update."""
    documents: int = 30_000
    """Documents of the corpus; they are read again once all are read."""


@dataclass(frozen=True, slots=True)
class BaseReport:
    """What a base model came to know."""

    updates: int
    passed: bool
    typical: float
    """Share of the marks of typical facts foretold, at the end."""
    exceptional: float
    """The same of the facts that are exceptions; a model that knows only what is typical errs here."""
    parameters: int


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Make the tokenizer of facts: one token a word, the beginning marked and the end left to the caller."""
    words = {word: place for place, word in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", words["<s>"])]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # untyped in Transformers
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=POSITIONS,
        clean_up_tokenization_spaces=False,
    )


def make_base(size: BaseSize, seed: int, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Make an untrained Llama of a size; the same seed gives the same weights."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        intermediate_size=3 * size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.hidden // size.head,
        head_dim=size.head,
        max_position_embeddings=POSITIONS,
        initializer_range=size.hidden**-0.5,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    # A reward head that starts from this folder is drawn with the range saved here. A wide one drowns what
    # the base knows: gold agreement of L fell from 0.66 to 0.56.
    model.config.initializer_range = 0.02
    return model


def train_base(
    world: FactsWorld,
    size: BaseSize,
    seed: int,
    schooling: Schooling,
    progress: Callable[[int, float], None],
) -> tuple[LlamaForCausalLM, BaseReport]:
    """Train a base model on the corpus until its reviews show that it knows the typical facts.

    A fixed number of updates would leave it to chance: the marks are learnt in a sudden transition whose
    time differs from seed to seed.

    Args:
        world: The world whose corpus is read.
        size: The model's shape.
        seed: Of the weights, the corpus and its order.
        schooling: The gate and the limits.
        progress: Told the updates done and the typical accuracy, after each examination.
    """
    tokenizer = make_tokenizer()
    rng = np.random.default_rng(seed)
    corpus = _encode(write_corpus(world, schooling.documents, rng), tokenizer)
    examination = Examination(world, write_corpus(world, 1000, rng)[1::2], tokenizer)
    model = make_base(size, seed, tokenizer)
    optimizer = torch.optim.AdamW(
        model.parameters(), size.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    batches = _batches(corpus, schooling.batch, rng)
    passed_at: int | None = None
    end = schooling.most
    updates = 0
    while updates < end:
        fraction = (end - updates) / schooling.cool_down if passed_at is not None else 1.0
        for group in optimizer.param_groups:
            group["lr"] = size.learning_rate * min(1.0, (updates + 1) / WARM_UP, fraction)
        _update(model, optimizer, next(batches))
        updates += 1
        if updates % schooling.every == 0:
            typical, _ = examination.take(model)
            progress(updates, typical)
            if passed_at is None and typical >= schooling.gate:
                passed_at, end = updates, updates + schooling.cool_down
    typical, exceptional = examination.take(model)
    parameters = sum(weights.numel() for weights in model.parameters())
    return model, BaseReport(updates, typical >= schooling.gate, typical, exceptional, parameters)


class Examination:
    """Reviews that a model has not read; it is asked for the mark after each fact.

    Args:
        world: The world that knows which facts are exceptions.
        reviews: Documents whose prompts begin with `R`.
        tokenizer: The tokenizer of facts.
    """

    def __init__(
        self, world: FactsWorld, reviews: Sequence[Document], tokenizer: PreTrainedTokenizerFast
    ) -> None:
        self._tokens = _pad(_encode(reviews, tokenizer))
        right, wrong = (len(SPECIAL) + WORDS.index(mark) for mark in MARKS)
        self._marks = (right, wrong)
        places, truths, exceptions = [], [], []
        for row, review in enumerate(reviews):
            entity = world.question("Q" + review.prompt.removeprefix(REVIEW)).entity
            words = ["<s>", *review.text.split()]
            for place, word in enumerate(words):
                if word in MARKS:
                    attribute, value = words[place - 2 : place]
                    truth = world.value(entity, attribute)
                    places.append((row, place - 1))
                    truths.append(value == truth)
                    exceptions.append(truth != world.typical(entity))
        self._rows, self._places = torch.tensor(places).T
        self._truths, self._exceptions = np.array(truths), np.array(exceptions)

    @torch.no_grad()
    def take(self, model: LlamaForCausalLM) -> tuple[float, float]:
        """Return the shares of marks foretold for typical and for exceptional facts.

        A mark is held against what is true, not against what the review says, as 5 % of its marks are wrong.
        """
        logits = model(input_ids=self._tokens).logits[self._rows, self._places]
        hits = (logits[:, self._marks[0]] > logits[:, self._marks[1]]).numpy() == self._truths
        return float(hits[~self._exceptions].mean()), float(hits[self._exceptions].mean())


def _update(model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, tokens: Tensor) -> None:
    logits = model(input_ids=tokens).logits[:, :-1]
    targets = tokens[:, 1:]
    loss = cross_entropy(logits.transpose(1, 2), targets, ignore_index=SPECIAL.index("<pad>"))
    loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def _encode(documents: Sequence[Document], tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    rows = tokenizer([document.text for document in documents])["input_ids"]
    return [[*row, cast(int, tokenizer.eos_token_id)] for row in cast(list[list[int]], rows)]


def _pad(rows: Sequence[Sequence[int]]) -> Tensor:
    # Causal attention never looks right, so that padding there needs no mask; the loss passes over it.
    table = np.full((len(rows), max(map(len, rows))), SPECIAL.index("<pad>"))
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return torch.from_numpy(table)


def _batches(rows: Sequence[Sequence[int]], size: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Yield padded batches for ever; rows of like length go together, which halves the padding."""
    while True:
        order = rng.permutation(len(rows))
        for start in range(0, len(order), size * POOL):
            pool = sorted(order[start : start + size * POOL], key=lambda place: len(rows[place]))
            starts = rng.permutation(np.arange(0, len(pool), size))
            for begin in starts:
                yield _pad([rows[place] for place in pool[begin : begin + size]])


def save_in_world(world: FactsWorld, folder: Path, model: LlamaForCausalLM, about: dict[str, object]) -> None:
    """Write a model, its tokenizer and the world's hash as an ordinary Transformers folder, all at once."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    make_tokenizer().save_pretrained(partial)
    text = json.dumps({"world": world.hash, "seed": world.seed, **about}, indent=2)
    (partial / WORLD_FILE).write_text(text + "\n", encoding="utf-8")
    partial.replace(folder)


def check_world(world: FactsWorld, folder: Path) -> None:
    """Refuse a model of another world.

    Raises:
        ModelError: The folder does not say its world, or says another one.
    """
    path = folder / WORLD_FILE
    if not path.is_file():
        raise ModelError(f"{folder}: has no {WORLD_FILE}, so it cannot be told which world it knows")
    found = json.loads(path.read_text(encoding="utf-8")).get("world")
    if found != world.hash:
        raise ModelError(f"{folder}: was made in world {found}, but this is world {world.hash}")
