"""A small Llama trained to match the author of arithmetic, and the gate it must pass."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import decoders, pre_tokenizers
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from evalkit.testbeds.arithmetic import DIGITS, OPERATIONS, SEPARATOR, ArithmeticWorld
from evalkit.testbeds.arithmetic_corpus import write_corpus
from evalkit.testbeds.world_models import (
    PADDING,
    SPECIAL,
    Schooling,
    batches,
    make_llama,
    make_word_tokenizer,
    pad,
    school,
)

WORDS = ("Q", "?", "A", SEPARATOR, *OPERATIONS, *DIGITS)
POSITIONS = 128
LINE = 4
"""Tokens in a line: value, operation, result, line break."""
EXAMINED = 500
"""Solutions that an examination reads."""
ROOM = 40
"""New tokens that any solution of the default world has room in: it takes 27 at most, with its end."""
TOP_P = 0.98
"""Sampling with this `top_p` keeps all three results of a hard cell, and little that no author writes."""
SCHOOLING = Schooling(most=2000, cool_down=300, documents=60_000)
"""Passes the gate after some 300 updates."""


@dataclass(frozen=True, slots=True)
class PolicySize:
    """The shape of a policy, and its learning rate."""

    hidden: int = 128
    layers: int = 2
    head: int = 32
    learning_rate: float = 3e-3


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """How closely a policy matches the author."""

    updates: int
    passed: bool
    distance: float
    """Mean over the author's table of the total variation between its row and the policy's, in [0, 1]."""
    worst: float
    """The largest of those distances."""
    slips: float
    """Expected wrong tokens per solution among deterministic ones (carried values, operations, form)."""
    parameters: int


def make_tokenizer() -> PreTrainedTokenizerFast:
    r"""Make the tokenizer of arithmetic: a token for each number, operation, sign and line break.

    Words stand between single spaces, and none stands beside a line break; decoding writes them so. What
    is decoded has the same tokens again, special ones aside, and `\n` is one token wherever it stands.
    """
    cut = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "removed"), pre_tokenizers.Split(SEPARATOR, "isolated")]
    )
    join = decoders.Sequence(
        [
            decoders.WordPiece(prefix="##", cleanup=False),  # a space before each word but the first
            decoders.Fuse(),
            decoders.Replace(f" {SEPARATOR}", SEPARATOR),
            decoders.Replace(f"{SEPARATOR} ", SEPARATOR),
        ]
    )
    return make_word_tokenizer(WORDS, cut, join, POSITIONS)


def make_policy(
    seed: int, tokenizer: PreTrainedTokenizerFast, size: PolicySize = PolicySize()
) -> LlamaForCausalLM:
    """Make an untrained policy; the same seed gives the same weights."""
    return make_llama(size.hidden, size.layers, size.head, POSITIONS, seed, tokenizer)


def train_policy(
    world: ArithmeticWorld,
    seed: int,
    schooling: Schooling,
    progress: Callable[[int, float, float], None],
    size: PolicySize = PolicySize(),
    taken: Collection[str] = (),
) -> tuple[LlamaForCausalLM, PolicyReport]:
    """Train a policy on the author's solutions until it matches the author.

    Args:
        world: The world of the author.
        seed: Seed of the weights, the corpus and its order.
        schooling: The limits and the gate: neither the distance from the author's table nor the slips of a
            solution may be above 1 - gate; see `PolicyReport`.
        progress: Called with the updates done, the distance and the slips after each examination.
        size: The policy's shape.
        taken: Prompts to exclude from the corpus.
    """
    tokenizer = make_tokenizer()
    rng = np.random.default_rng(seed)
    rows = _encode(write_corpus(world, schooling.documents, rng, taken), tokenizer)
    examination = ArithmeticExamination(world, write_corpus(world, EXAMINED, rng), tokenizer)
    model = make_policy(seed, tokenizer, size)

    def examine(updates: int) -> bool:
        distances, slips = examination.take(model)
        progress(updates, float(distances.mean()), slips)
        return _passes(distances, slips, schooling)

    places = batches([len(tokens) for tokens, _ in rows], schooling.batch, rng)
    tables = (_table([rows[place] for place in batch]) for batch in places)
    updates = school(model, tables, size.learning_rate, schooling, examine)
    distances, slips = examination.take(model)
    report = PolicyReport(
        updates=updates,
        passed=_passes(distances, slips, schooling),
        distance=float(distances.mean()),
        worst=float(distances.max()),
        slips=slips,
        parameters=sum(weights.numel() for weights in model.parameters()),
    )
    return model, report


def _passes(distances: NDArray[np.float64], slips: float, schooling: Schooling) -> bool:
    return bool(max(distances.mean(), slips) <= 1 - schooling.gate)


class ArithmeticExamination:
    """Teacher-forced evaluation of a model on the author's solutions.

    Args:
        world: The world whose table is the reference.
        corpus: Prompts with solutions of the author.
        tokenizer: The tokenizer of arithmetic.
    """

    def __init__(
        self, world: ArithmeticWorld, corpus: Sequence[tuple[str, str]], tokenizer: PreTrainedTokenizerFast
    ) -> None:
        rows = _encode(corpus, tokenizer)
        self._tokens, targets = _table(rows)
        results = torch.zeros_like(targets, dtype=torch.bool)
        cells = []
        for row, (_, begin) in enumerate(rows):
            lines = corpus[row][1].count(SEPARATOR)
            results[row, begin + 2 : begin + LINE * lines : LINE] = True
            for line in corpus[row][1].split(SEPARATOR)[:-1]:
                value, operation, _ = line.split(" ")
                cells.append((DIGITS[value], OPERATIONS.index(operation)))
        self._results = results[:, 1:]
        self._forced = (targets[:, 1:] != PADDING) & ~self._results
        self._cells = np.array(cells)
        first = len(SPECIAL) + WORDS.index("0")
        author = np.zeros((*world.table.shape[:2], len(tokenizer)))
        author[:, :, first : first + len(DIGITS)] = world.table
        self._author = author

    @torch.no_grad()
    def take(self, model: LlamaForCausalLM) -> tuple[NDArray[np.float64], float]:
        """Return the distances from the author's table, and the slips per solution.

        Returns:
            For each row of the table that the solutions met, the total variation between it and the model's
            distribution over all tokens, in [0, 1], the mean over where it was met; and the expected wrong
            tokens a solution among those that the author never varies.
        """
        chances = torch.softmax(model(input_ids=self._tokens).logits[:, :-1].double(), dim=-1)
        wanted = chances.gather(-1, self._tokens[:, 1:, None]).squeeze(-1)
        slips = float((1 - wanted[self._forced]).sum()) / len(self._tokens)
        written = chances[self._results].numpy()
        distances = []
        for value, operation in np.unique(self._cells, axis=0):
            met = (self._cells == (value, operation)).all(axis=1)
            gap = np.abs(written[met] - self._author[value, operation]).sum(axis=1)
            distances.append(gap.mean() / 2)
        return np.array(distances), slips


def _encode(
    corpus: Sequence[tuple[str, str]], tokenizer: PreTrainedTokenizerFast
) -> list[tuple[list[int], int]]:
    """Return each document's tokens, EOS included, and the start of its solution."""
    prompts = cast(list[list[int]], tokenizer([prompt for prompt, _ in corpus])["input_ids"])
    texts = cast(list[list[int]], tokenizer([prompt + text for prompt, text in corpus])["input_ids"])
    end = cast(int, tokenizer.eos_token_id)
    return [([*text, end], len(prompt)) for prompt, text in zip(prompts, texts, strict=True)]


def _table(rows: Sequence[tuple[list[int], int]]) -> tuple[Tensor, Tensor]:
    """Return tokens and targets; prompt tokens have no targets, since they are random."""
    tokens = pad([row for row, _ in rows])
    begins = torch.tensor([begin for _, begin in rows])
    prompts = torch.arange(tokens.shape[1]) < begins[:, None]
    return tokens, tokens.masked_fill(prompts, PADDING)
