"""Scores to rewards of tokens: a score at the last token, its spans and steps where they end."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalkit.policies.generation.texts import ANCHOR, TextCodec
from rewards.encoding.alignment import token_rewards
from rewards.errors import ScoringError
from rewards.records import Generation, Score, Span
from rewards.scorer import AspectWeighted, Scorer, StepScorer
from rewards.solutions.steps import split_steps

Credit = Literal["auto", "response", "parts"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Written:
    """A response as the policy wrote it.

    Attributes:
        prompt: Tokens of the prompt.
        tokens: Sampled tokens, the ending one included.
        text: What the scorer reads.
    """

    prompt: Sequence[int]
    tokens: Sequence[int]
    text: str


class TokenCredit:
    """Says which token earns what of a score, whatever tokenizer the scorer has.

    Spans are paid at the token that completes them, each by its aspect's weight, and what the score's value
    holds beyond them at the last token, so that a response's rewards sum to its value. Steps are paid their
    scores, as process rewards are used (Wang et al. 2023, 2312.08935); an aggregate of them is no sum, and is
    not paid. Of a score without parts the value is paid at the last token.

    Args:
        scorer: Where the scores come from; its own separator and weights of aspects are asked for.
        credit: `response` pays values alone; `parts` refuses a score without parts, unless it is 0; `auto`
            takes what comes.
        separator: What ends a step, where the scorer has no separator of its own.
        texts: The policy's way from tokens to texts.
        name: What errors call the scorer.
    """

    def __init__(self, scorer: Scorer, credit: Credit, separator: str, texts: TextCodec, name: str) -> None:
        self.credit = credit
        self.separator = scorer.separator if isinstance(scorer, StepScorer) else separator
        self.weights = scorer.aspect_weights if isinstance(scorer, AspectWeighted) else {}
        self.texts = texts
        self.name = name

    def asked(self, generation: Generation) -> Generation:
        """Return a generation as the scorer is to see it: cut into steps where parts are wanted."""
        if self.credit != "parts":
            return generation
        steps = split_steps(generation.response, self.separator)
        return Generation(generation.prompt, generation.response, steps, generation.id, generation.extra)

    def rewards(
        self, written: Sequence[Written], scores: Sequence[Score], names: Sequence[str]
    ) -> list[Floats]:
        """Return each response's rewards, one a token, [T].

        Raises:
            ScoringError: Parts are wanted and there are none, or steps are not those of the response.
        """
        parts = [
            self._parts(score, one.text, name)
            for score, one, name in zip(scores, written, names, strict=True)
        ]
        pieced = [number for number, spans in enumerate(parts) if spans]
        offsets = dict(
            zip(pieced, token_offsets(self.texts, [written[number] for number in pieced]), strict=True)
        )
        results = []
        for number, (one, score, spans) in enumerate(zip(written, scores, parts, strict=True)):
            rewards = np.zeros(len(one.tokens))
            if spans:
                rewards += token_rewards(offsets[number], spans, len(one.tokens))
            if score.spans or not score.steps or self.credit == "response":
                rewards[-1] += score.value - rewards.sum()
            results.append(rewards)
        return results

    def _parts(self, score: Score, text: str, name: str) -> list[Span]:
        if self.credit == "response":
            return []
        if score.spans:
            return [
                Span(span.start, span.end, span.aspect, span.label * self.weights.get(span.aspect, 1.0))
                for span in score.spans
            ]
        if score.steps:
            steps = split_steps(text, self.separator)
            if len(steps) != len(score.steps):
                raise ScoringError(
                    f"{name}: {self.name} scores {len(score.steps)} steps of the response {text[:40]!r}; it "
                    f"has {len(steps)} by the separator {self.separator!r}; --separator names the scorer's"
                )
            ends = accumulate(map(len, steps))
            return [
                Span(max(0, end - len(step)), end, "step", value)
                for step, end, value in zip(steps, ends, score.steps, strict=True)
            ]
        if self.credit == "parts" and text and score.value:
            raise ScoringError(
                f"{name}: {self.name} gives the response {text[:40]!r} neither spans nor steps; "
                "--credit response pays its score at the last token"
            )
        return []


def token_offsets(texts: TextCodec, written: Sequence[Written]) -> list[Integers]:
    """Return where each sampled token begins and ends in its response, in characters, [T, 2] for each.

    Sampled tokens need not be those that the tokenizer would cut the text into. So each is decoded after
    the tokens before it, as the response was; where the pieces do not join to the response (a character in
    several tokens, of which only the last shows it), beginnings of the response are decoded in full.
    """
    if not written:
        return []
    before: list[list[int]] = []
    for one in written:
        row, start = [*one.prompt, *one.tokens], len(one.prompt)
        # No more than is decoded with a token: whole rows once a token would outgrow the model.
        before += [row[max(0, place - ANCHOR) : place] for place in range(start, len(row))]
    pieces = iter(texts.responses(before, [[token] for one in written for token in one.tokens]))
    results = []
    for one in written:
        own = [next(pieces) for _ in one.tokens]
        ends = np.array(list(accumulate(map(len, own))), dtype=np.int64)
        if "".join(own) != one.text:
            ends = _ends_in_full(texts, one)
        # What a stop text cut off, and half a character, have no place in the text.
        ends = np.minimum(np.maximum.accumulate(ends), len(one.text))
        starts = np.concatenate([[0], ends[:-1]])
        results.append(np.stack([starts, ends], axis=1))
    return results


def _ends_in_full(texts: TextCodec, one: Written) -> Integers:
    beginnings = [one.tokens[: place + 1] for place in range(len(one.tokens))]
    decoded = texts.responses([one.prompt] * len(beginnings), beginnings)
    # A beginning that ends inside a character shows a replacement for it, which the text does not hold.
    return np.array([_agreeing(text, one.text) for text in decoded], dtype=np.int64)


def _agreeing(beginning: str, text: str) -> int:
    length = min(len(beginning), len(text))
    if beginning[:length] == text[:length]:  # mostly so, and then at once
        return length
    return next((place for place in range(length) if beginning[place] != text[place]), length)
