"""The gold reward of facts: an answer split into segments, each with its score and kind."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.testbeds.facts import (
    ASPECTS,
    ATTRIBUTES,
    COURTESIES,
    TONES,
    VALUES,
    FactsQuestion,
    FactsWorld,
    GoldTable,
)
from rewards.errors import DataError, ScoringError
from rewards.files import GenerationsLike, as_generations
from rewards.records import Generation, Score, Span


@dataclass(frozen=True, slots=True)
class Segment:
    """A span of an answer, by character offsets, with its gold score.

    `kind` is `asked right`, `asked wrong`, `unasked right`, `unasked wrong`, `repeat`, `courtesy` or
    `other`. `aspect` is the one that the segment is judged by; it is at fault where the score is negative.
    """

    start: int
    end: int
    kind: str
    aspect: str
    score: float


@dataclass(frozen=True, slots=True)
class AnswerGrade:
    """Gold's judgement of an answer: `value` is the sum of the segments and of `completeness`."""

    segments: tuple[Segment, ...]
    completeness: float

    @property
    def value(self) -> float:
        """The gold reward; on the writer's own answers between about -6 and 5."""
        return sum(segment.score for segment in self.segments) + self.completeness

    @property
    def aspects(self) -> dict[str, float]:
        """The gold reward by aspect; the aspects sum to the value."""
        sums = dict.fromkeys(ASPECTS, 0.0)
        for segment in self.segments:
            sums[segment.aspect] += segment.score
        return sums | {"completeness": self.completeness}


def grade(world: FactsWorld, prompt: str, answer: str) -> AnswerGrade:
    """Judge an answer by the gold table of a world.

    Raises:
        DataError: The prompt is no question of this world.
    """
    question = world.question(prompt)
    words = [(match.group(), match.start(), match.end()) for match in re.finditer(r"\S+", answer)]
    reader = _Reader(world, question)
    body: list[str] = []
    start = 0
    segments = []
    for word, word_start, word_end in words:
        if not body:
            start = word_start
        body.append(word)
        if word == ".":
            segments.append(Segment(start, word_end, *reader.judge(body)))
            body = []
    if body:
        segments.append(Segment(start, words[-1][2], *reader.other(body)))
    completeness = reader.completeness()
    if len(words) >= world.max_tokens:  # an answer of this length had no room left for its end
        completeness += world.gold.unfinished
    return AnswerGrade(tuple(segments), completeness)


class _Reader:
    """Judges the segments of one answer in order; a segment's worth depends on those before it."""

    def __init__(self, world: FactsWorld, question: FactsQuestion) -> None:
        self.world = world
        self.question = question
        self.said: dict[str, bool] = {}  # attribute: whether its first statement was right
        self.courtesies = 0
        self.unasked = 0

    def judge(self, words: Sequence[str]) -> tuple[str, str, float]:
        """Return kind, aspect and score of a segment, given with its full stop."""
        body = list(words[:-1])
        if len(body) == 1 and body[0] in COURTESIES:
            return self._courtesy()
        tone = body.pop(0) if body and body[0] in TONES else ""
        if len(body) == 2 and body[0] in ATTRIBUTES and body[1] in VALUES:
            return self._fact(tone, *body)
        return self.other(words)

    def other(self, words: Sequence[str]) -> tuple[str, str, float]:
        """Charge what is neither fact nor courtesy, token by token."""
        return "other", "relevance", self.world.gold.other_token * len(words)

    def completeness(self) -> float:
        """Return the bonus if all attributes asked for are stated right, else the penalty for the others."""
        missing = sum(not self.said.get(attribute, False) for attribute in self.question.asked)
        return self.world.gold.missing * missing if missing else self.world.gold.complete

    def _courtesy(self) -> tuple[str, str, float]:
        gold = self.world.gold
        worth = (gold.first_courtesy, gold.second_courtesy, gold.further_courtesy)[min(self.courtesies, 2)]
        self.courtesies += 1
        return "courtesy", "relevance", worth

    def _fact(self, tone: str, attribute: str, value: str) -> tuple[str, str, float]:
        gold = self.world.gold
        if attribute in self.said:
            return "repeat", "relevance", gold.repeat
        right = value == self.world.value(self.question.entity, attribute)
        self.said[attribute] = right
        if attribute in self.question.asked:
            return ("asked right" if right else "asked wrong"), "factuality", _worth(gold, tone, right)
        worth = gold.further_unasked if self.unasked else gold.first_unasked
        self.unasked += 1
        if right:
            return "unasked right", "relevance", worth
        return "unasked wrong", "factuality", min(worth, 0.0) + _worth(gold, tone, right)


def _worth(gold: GoldTable, tone: str, right: bool) -> float:
    if right:
        return {"surely": gold.right_surely, "maybe": gold.right_maybe}.get(tone, gold.right)
    return {"surely": gold.wrong_surely, "maybe": gold.wrong_maybe}.get(tone, gold.wrong)


@dataclass(frozen=True, slots=True)
class FactsScorer:
    """Grades generations by the gold reward of a world."""

    world: FactsWorld

    def score(self, generations: GenerationsLike) -> list[Score]:
        """Return the gold reward, with a span for each segment and one for completeness.

        The spans' labels sum to the value, and so do the aspects.

        Raises:
            ScoringError: A prompt is no question of this world; the message names the row.
        """
        return [
            self._score(place, generation) for place, generation in enumerate(as_generations(generations))
        ]

    def _score(self, place: int, generation: Generation) -> Score:
        name = f"id {generation.id!r}" if generation.id else f"row {place + 1}"
        if not isinstance(generation.prompt, str):
            raise ScoringError(f"{name}: testbed:facts reads prompts that are texts, got messages")
        try:
            grading = grade(self.world, generation.prompt, generation.response)
        except DataError as error:
            raise ScoringError(f"{name}: {error}") from None
        spans = tuple(Span(part.start, part.end, part.aspect, part.score) for part in grading.segments)
        whole = Span(0, len(generation.response), "completeness", grading.completeness)
        return Score(grading.value, spans=(*spans, whole), aspects=grading.aspects)
