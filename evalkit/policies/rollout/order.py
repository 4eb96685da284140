"""The order of a run: each round's prompts, the seed of its samples, and its minibatches."""

from collections.abc import Iterator, Sequence

import numpy as np

from evalkit.policies.probe.prompts import PromptRecord

PROMPTS, SAMPLES, ORDER, TEXTS = range(4)
"""What a random number is for; together with the run's seed and a number it seeds each draw, so that a run
that goes on after a kill needs no state of random numbers."""


def round_prompts(records: Sequence[PromptRecord], count: int, number: int, seed: int) -> list[PromptRecord]:
    """Return a round's prompts: the next of a stream that goes through all in a new order each time.

    Args:
        records: All prompts.
        count: Prompts in a round.
        number: The round, from 1.
        seed: The run's.
    """
    first = (number - 1) * count
    chosen: list[PromptRecord] = []
    for place in range(first, first + count):
        epoch, within = divmod(place, len(records))
        if within == 0 or not chosen:
            order = np.random.default_rng([seed, PROMPTS, epoch]).permutation(len(records))
        chosen.append(records[order[within]])
    return chosen


def sampling_seed(seed: int, number: int) -> int:
    """Return the seed of a round's samples."""
    return int(np.random.SeedSequence([seed, SAMPLES, number]).generate_state(1)[0])


def minibatches(
    count: int, size: int, epochs: int, siblings: int, generator: np.random.Generator
) -> Iterator[Sequence[int]]:
    """Yield the numbers of a round's responses in batches, in a new order of the prompts each pass.

    Args:
        count: Responses in the round.
        size: Responses in a batch.
        epochs: Passes.
        siblings: Responses to each prompt; they stay together, so that their prompt is computed once.
        generator: Draws the orders.
    """
    for _ in range(epochs):
        prompts = generator.permutation(count // siblings)
        order = (prompts[:, None] * siblings + np.arange(siblings)).ravel().tolist()
        for start in range(0, count, size):
            yield order[start : start + size]
