"""Small Llama models trained on the corpus of facts, and the gate they must pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from tokenizers import pre_tokenizers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from evalkit.testbeds.facts import ATTRIBUTES, COURTESIES, KINDS, TONES, VALUES, FactsWorld
from evalkit.testbeds.facts_corpus import ENTITIES, MARKS, REVIEW, Document, write_corpus
from evalkit.testbeds.world_models import (
    SPECIAL,
    Schooling,
    batches,
    make_llama,
    make_word_tokenizer,
    pad,
    school,
)

WORDS = ("Q", REVIEW, "?", "A", ".", *MARKS, *TONES, *COURTESIES, *KINDS, *ENTITIES, *ATTRIBUTES, *VALUES)
POSITIONS = 128


@dataclass(frozen=True, slots=True)
class BaseSize:
    """The shape of a base model, and the learning rates that suit it."""

    hidden: int
    layers: int
    head: int
    learning_rate: float
    """Learning rate of the base model."""
    reward_learning_rate: float
    """Learning rate of a reward model that starts from it."""


SIZES = {
    "S": BaseSize(16, 1, 16, 1.5e-2, 3e-3),
    "M": BaseSize(32, 2, 16, 5e-3, 1.2e-3),
    "L": BaseSize(64, 2, 32, 4e-3, 8e-4),
}


@dataclass(frozen=True, slots=True)
class BaseReport:
    """Accuracies of a base model."""

    updates: int
    passed: bool
    typical: float
    """Share of the marks of typical facts predicted, at the end."""
    exceptional: float
    """The same of exceptional facts; a model that knows only the typical values errs here."""
    parameters: int


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Make the tokenizer of facts: one token a word, whatever the white space."""
    return make_word_tokenizer(WORDS, pre_tokenizers.WhitespaceSplit(), None, POSITIONS)


def make_base(size: BaseSize, seed: int, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Make an untrained Llama of a size; the same seed gives the same weights."""
    return make_llama(size.hidden, size.layers, size.head, POSITIONS, seed, tokenizer)


def train_base(
    world: FactsWorld,
    size: BaseSize,
    seed: int,
    schooling: Schooling,
    progress: Callable[[int, float], None],
) -> tuple[LlamaForCausalLM, BaseReport]:
    """Train a base model on the corpus until it predicts the typical facts in reviews.

    Args:
        world: The world of the corpus.
        size: The model's shape.
        seed: Seed of the weights, the corpus and its order.
        schooling: The gate, an accuracy on the marks of typical facts in held-out reviews, and the
            limits.
        progress: Called with the updates done and the typical accuracy after each examination.
    """
    tokenizer = make_tokenizer()
    rng = np.random.default_rng(seed)
    corpus = _encode(write_corpus(world, schooling.documents, rng), tokenizer)
    examination = FactsExamination(world, write_corpus(world, 1000, rng)[1::2], tokenizer)
    model = make_base(size, seed, tokenizer)

    def examine(updates: int) -> bool:
        typical, _ = examination.take(model)
        progress(updates, typical)
        return typical >= schooling.gate

    tables = (
        pad([corpus[place] for place in places])
        for places in batches(list(map(len, corpus)), schooling.batch, rng)
    )
    updates = school(model, ((table, table) for table in tables), size.learning_rate, schooling, examine)
    typical, exceptional = examination.take(model)
    parameters = sum(weights.numel() for weights in model.parameters())
    return model, BaseReport(updates, typical >= schooling.gate, typical, exceptional, parameters)


class FactsExamination:
    """Held-out reviews, on which a model predicts the mark after each fact.

    Args:
        world: The world that knows which facts are exceptions.
        reviews: Documents whose prompts begin with `R`.
        tokenizer: The tokenizer of facts.
    """

    def __init__(
        self, world: FactsWorld, reviews: Sequence[Document], tokenizer: PreTrainedTokenizerFast
    ) -> None:
        self._tokens = pad(_encode(reviews, tokenizer))
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
        """Return the shares of marks predicted for typical and for exceptional facts.

        Predictions are compared with the truth, not with the review, as 5 % of its marks are wrong.
        """
        logits = model(input_ids=self._tokens).logits[self._rows, self._places]
        hits = (logits[:, self._marks[0]] > logits[:, self._marks[1]]).numpy() == self._truths
        return float(hits[~self._exceptions].mean()), float(hits[self._exceptions].mean())


def _encode(documents: Sequence[Document], tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    rows = tokenizer([document.text for document in documents])["input_ids"]
    return [[*row, cast(int, tokenizer.eos_token_id)] for row in cast(list[list[int]], rows)]
