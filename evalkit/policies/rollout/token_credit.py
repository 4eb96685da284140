"""Credit assignment: a score at the last token, span and step scores at the tokens where they end."""

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
    """A response as the policy sampled it.

    Attributes:
        prompt: Tokens of the prompt.
        tokens: Sampled tokens, EOS included.
        text: The text for the scorer.
    """

    prompt: Sequence[int]
    tokens: Sequence[int]
    text: str


class TokenCredit:
    """Assigns a score to tokens, whatever tokenizer the scorer has.

    Spans are paid at the token that completes them, each by its aspect's weight, and the rest of the score's
    value at the last token, so that a response's rewards sum to its value. Steps are paid their
    scores, as process rewards are used (Wang et al. 2023, 2312.08935); an aggregate of them is no sum, and is
    not paid. Of a score without parts the value is paid at the last token.

    Args:
        scorer: The scorer, with its own separator and aspect weights.
        credit: `response` pays values alone; `parts` refuses a score without parts, unless it is 0; `auto`
            takes what comes.
        separator: What ends a step, where the scorer has no separator of its own.
        texts: The policy's text codec.
        name: The scorer's name in error messages.
    """

    def __init__(self, scorer: Scorer, credit: Credit, separator: str, texts: TextCodec, name: str) -> None:
        self.credit = credit
        self.separator = scorer.separator if isinstance(scorer, StepScorer) else separator
        self.weights = scorer.aspect_weights if isinstance(scorer, AspectWeighted) else {}
        self.texts = texts
        self.name = name

    def asked(self, generation: Generation) -> Generation:
        """Return a generation for the scorer: split into steps where parts are wanted."""
        if self.credit != "parts":
            return generation
        steps = split_steps(generation.response, self.separator)
        return Generation(generation.prompt, generation.response, steps, generation.id, generation.extra)

    def rewards(
        self, written: Sequence[Written], scores: Sequence[Score], names: Sequence[str]
    ) -> list[Floats]:
        """Return each response's token rewards, [T].

        Raises:
            ScoringError: Parts are wanted and there are none, or steps are not those of the response.
        """
        parts = [
            self._parts(score, response.text, name)
            for score, response, name in zip(scores, written, names, strict=True)
        ]
        pieced = [number for number, spans in enumerate(parts) if spans]
        offsets = dict(
            zip(pieced, token_offsets(self.texts, [written[number] for number in pieced]), strict=True)
        )
        results = []
        for number, (response, score, spans) in enumerate(zip(written, scores, parts, strict=True)):
            rewards = np.zeros(len(response.tokens))
            if spans:
                rewards += token_rewards(offsets[number], spans, len(response.tokens))
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
    """Return the character offsets of each sampled token in its response, [T, 2] for each.

    Sampled tokens need not be those that the tokenizer would cut the text into. So each is decoded after
    the tokens before it, as the response was; where the pieces do not join to the response (a character in
    several tokens, of which only the last shows it), beginnings of the response are decoded in full.
    """
    if not written:
        return []
    before: list[list[int]] = []
    for response in written:
        row, start = [*response.prompt, *response.tokens], len(response.prompt)
        # No more than is decoded with a token: whole rows once a token would outgrow the model.
        before += [row[max(0, place - ANCHOR) : place] for place in range(start, len(row))]
    pieces = iter(texts.responses(before, [[token] for response in written for token in response.tokens]))
    results = []
    for response in written:
        own = [next(pieces) for _ in response.tokens]
        ends = np.array(list(accumulate(map(len, own))), dtype=np.int64)
        if "".join(own) != response.text:
            ends = _ends_in_full(texts, response)
        # What a stop text cut off, and half a character, have no place in the text.
        ends = np.minimum(np.maximum.accumulate(ends), len(response.text))
        starts = np.concatenate([[0], ends[:-1]])
        results.append(np.stack([starts, ends], axis=1))
    return results


def _ends_in_full(texts: TextCodec, response: Written) -> Integers:
    beginnings = [response.tokens[: place + 1] for place in range(len(response.tokens))]
    decoded = texts.responses([response.prompt] * len(beginnings), beginnings)
    # A beginning that ends inside a character shows a replacement for it, which the text does not hold.
    return np.array([_agreeing(text, response.text) for text in decoded], dtype=np.int64)


def _agreeing(beginning: str, text: str) -> int:
    length = min(len(beginning), len(text))
    if beginning[:length] == text[:length]:  # mostly so, and then at once
        return length
    return next((place for place in range(length) if beginning[place] != text[place]), length)
