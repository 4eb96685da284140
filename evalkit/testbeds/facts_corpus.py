"""Data of the facts testbed: answers, reviews that mark each fact, and noisy labels from gold."""

import math
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.testbeds.facts import ATTRIBUTES, COURTESIES, KINDS, VALUES, FactsQuestion, FactsWorld
from evalkit.testbeds.facts_gold import grade
from rewards.errors import ConfigError
from rewards.records import Preference, Span, SpanLabels

ENTITIES = tuple(entity for entities in KINDS.values() for entity in entities)
REVIEW = "R"
MARKS = ("+", "-")
CHOICE_NOISE = math.pi / math.sqrt(6)
"""Standard deviation of what Bradley-Terry adds to each reward: one who sees each gold with a Gumbel error of
scale 1 chooses the first of a pair with probability sigmoid(gold(first) - gold(second))."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text of the corpus; `prompt` ends with a line break and `answer` follows it directly."""

    prompt: str
    answer: str

    @property
    def text(self) -> str:
        """The whole text."""
        return self.prompt + self.answer


def draw_questions(count: int, rng: np.random.Generator) -> list[FactsQuestion]:
    """Sample questions: an entity, and one to three of its attributes in any order."""
    questions = []
    for _ in range(count):
        entity = ENTITIES[rng.integers(len(ENTITIES))]
        places = rng.permutation(len(ATTRIBUTES))[: rng.integers(1, 4)]
        questions.append(FactsQuestion(entity, tuple(ATTRIBUTES[place] for place in places)))
    return questions


def draw_prompts(
    world: FactsWorld, count: int, rng: np.random.Generator, taken: Container[str] = ()
) -> list[str]:
    """Sample distinct prompts, none of them in `taken`; there are 3744, of which 144 ask one attribute."""
    prompts: dict[str, None] = {}
    while len(prompts) < count:
        prompt = world.prompt(draw_questions(1, rng)[0])
        if prompt not in taken:
            prompts[prompt] = None
    return list(prompts)


def write_corpus(world: FactsWorld, count: int, rng: np.random.Generator) -> list[Document]:
    """Sample documents: every other one an answer, the others reviews.

    A review begins with `R` in place of `Q`, states facts of which half are right, and says `+` or `-`
    after each. Its marks are of factuality alone, so a model trained on reviews knows the facts but
    not gold.
    """
    documents = []
    for place, question in enumerate(draw_questions(count, rng)):
        prompt = world.prompt(question)
        if place % 2:
            prompt = REVIEW + prompt.removeprefix("Q")
        documents.append(Document(prompt, write_answer(world, question, rng, review=bool(place % 2))))
    return documents


def write_answer(world: FactsWorld, question: FactsQuestion, rng: np.random.Generator, review: bool) -> str:
    """Sample an answer by the author's habits: facts, repeats, then courtesies; never empty."""
    writer = world.writer
    attributes = [name for name in question.asked if rng.random() >= writer.skips_asked]
    unasked = [name for name in ATTRIBUTES if name not in question.asked]
    rng.shuffle(unasked)
    attributes += unasked[: _geometric(writer.one_more_unasked, rng)]
    rng.shuffle(attributes)
    segments = [_write_fact(world, question.entity, name, rng, review) for name in attributes]
    if segments:
        repeats = _geometric(writer.one_more_repeat, rng)
        segments += [segments[rng.integers(len(segments))] for _ in range(repeats)]
    courtesies = _geometric(writer.one_more_courtesy, rng)
    if not segments and not courtesies:
        segments = [_write_fact(world, question.entity, question.asked[0], rng, review)]
    segments += [f"{COURTESIES[rng.integers(2)]} ." for _ in range(courtesies)]
    return " ".join(segments)


def _write_fact(
    world: FactsWorld, entity: str, attribute: str, rng: np.random.Generator, review: bool
) -> str:
    writer = world.writer
    truth = world.value(entity, attribute)
    right = rng.random() < (writer.right_in_reviews if review else writer.right)
    value = truth if right else _mistake(world, entity, truth, rng)
    surely, maybe = (
        (writer.surely_when_right, writer.maybe_when_right)
        if right
        else (writer.surely_when_wrong, writer.maybe_when_wrong)
    )
    draw = rng.random()
    words = ["surely"] if draw < surely else ["maybe"] if draw < surely + maybe else []
    words += [attribute, value]
    if review:
        words.append(MARKS[int(right == (rng.random() < writer.wrong_marks))])
    return " ".join([*words, "."])


def _mistake(world: FactsWorld, entity: str, truth: str, rng: np.random.Generator) -> str:
    typical = world.typical(entity)
    if truth != typical and rng.random() < world.writer.leans_to_typical:
        return typical
    others = [value for value in VALUES if value != truth]
    return others[rng.integers(len(others))]


def _geometric(one_more: float, rng: np.random.Generator) -> int:
    return int(rng.geometric(1 - one_more)) - 1


def label_pairs(
    world: FactsWorld, samples: Iterable[tuple[str, Sequence[str]]], rng: np.random.Generator
) -> list[Preference]:
    """Label pairs of a policy's samples by Bradley-Terry on their gold rewards.

    The first is chosen with probability sigmoid(gold(first) - gold(second)), as in Gao et al. 2022. Each
    prompt's samples are paired in the order given, the first with the second and so on; a pair of equal
    texts is passed over, as nothing can be preferred in it.

    Args:
        world: The world whose gold labels.
        samples: Prompts, each with its samples.
        rng: Random generator of the labels.
    """
    pairs: list[Preference] = []
    for prompt, first, second, advantage in _gold_pairs(world, samples):
        first_wins = rng.random() < 1 / (1 + np.exp(-advantage))
        chosen, rejected = (first, second) if first_wins else (second, first)
        pairs.append(Preference(prompt, chosen, rejected, id=f"pair-{len(pairs)}"))
    return pairs


def gold_pairs(world: FactsWorld, samples: Iterable[tuple[str, Sequence[str]]]) -> list[Preference]:
    """Order pairs of a policy's samples by gold itself, without noise; equal golds are passed over."""
    return [
        Preference(prompt, *((first, second) if advantage > 0 else (second, first)), id=f"gold-{number}")
        for number, (prompt, first, second, advantage) in enumerate(_gold_pairs(world, samples))
        if advantage
    ]


def _gold_pairs(
    world: FactsWorld, samples: Iterable[tuple[str, Sequence[str]]]
) -> Iterator[tuple[str, str, str, float]]:
    for prompt, answers in samples:
        for first, second in zip(answers[::2], answers[1::2], strict=False):
            if first != second:
                advantage = grade(world, prompt, first).value - grade(world, prompt, second).value
                yield prompt, first, second, advantage


def label_spans(
    world: FactsWorld,
    samples: Iterable[tuple[str, Sequence[str]]],
    rng: np.random.Generator | None = None,
    noise: float = 0.0,
) -> Iterator[SpanLabels]:
    """Label the segments of samples in their aspects by gold, and the whole of each in completeness.

    Noise is normal and independent, with standard deviation noise / sqrt(m) for each of an answer's m spans.
    So the labels of an answer sum to its gold reward with an error of `noise`, however many spans there are:
    with `CHOICE_NOISE` whoever compares such sums errs as much as one who chooses by Bradley-Terry. Where
    a span is and which aspect it is judged by are without error.

    Args:
        world: The world whose gold labels.
        samples: Prompts, each with its samples.
        rng: Random generator of the noise.
        noise: Standard deviation of the error of an answer's sum, 0 or more, in gold's units.

    Raises:
        ConfigError: There is noise and no generator.
    """
    if noise and rng is None:
        raise ConfigError(f"labels with noise {noise} need a generator that draws it")
    number = 0
    for prompt, answers in samples:
        for answer in answers:
            grading = grade(world, prompt, answer)
            spans = [Span(part.start, part.end, part.aspect, part.score) for part in grading.segments]
            spans.append(Span(0, len(answer), "completeness", grading.completeness))
            if noise and rng is not None:
                errors = rng.normal(0, noise / math.sqrt(len(spans)), len(spans)).tolist()
                spans = [
                    replace(span, label=span.label + error) for span, error in zip(spans, errors, strict=True)
                ]
            yield SpanLabels(prompt, answer, tuple(spans), id=f"answer-{number}")
            number += 1
