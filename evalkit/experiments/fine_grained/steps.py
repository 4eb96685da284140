"""The steps of one seed of the fine-grained experiment: answers, their labels, reward models, scores."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from evalkit.evaluation import aspects as aspect_card
from evalkit.evaluation.config import AspectCard
from evalkit.pipeline import combine as combining
from evalkit.pipeline import score as scoring
from evalkit.pipeline.config import Combine, ScoreFile
from evalkit.quickstart.config import Quickstart
from evalkit.quickstart.steps import NEVER, base_step, label_steps, sample_step
from evalkit.runs.steps import Step
from evalkit.testbeds.facts import ASPECTS, FactsWorld
from evalkit.testbeds.facts_corpus import CHOICE_NOISE, label_spans
from evalkit.training import aspects as training_aspects
from evalkit.training import outcome as training
from evalkit.training.config import TrainAspects, TrainOutcome
from rewards.config import AspectsConfig, BodyConfig, TrainingConfig
from rewards.errors import DataError
from rewards.files import preference, read_rows, to_row, write_rows
from rewards.models.sidecar import SIDECAR
from rewards.records import Preference, SpanLabels

ANSWERS_A_PAIR = 2
PAIRS_AT_ONCE = 32
"""Pairs in one update; reward models of single answers have as many answers in one."""
TOTAL = "total"
"""The one aspect of a rating: the sum of all."""
EXACT = "-exact"
"""What follows the name of labels without noise."""
FREE = "free"
"""Name of the choice without a bound."""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to label answers and to learn from the labels."""

    name: str
    title: str
    labels: Literal["pairs", "sums", "spans"]
    """Which file of labels is read."""
    objective: Literal["regression", "error"] = "regression"
    aspects: tuple[str, ...] = ASPECTS
    learning_rate: float = 8e-4
    """As all that follows, chosen on seeds that are not reported."""
    epochs: float = 15.0

    def arm(self, answers: int, exact: bool = False) -> "Arm":
        """Return this method on so many labelled answers."""
        return Arm(self, answers, exact)


@dataclass(frozen=True, slots=True)
class Arm:
    """A reward model of the experiment: a method, a number of labelled answers, and their noise."""

    method: Method
    answers: int
    exact: bool = False
    """Whether the labels are gold's own, without noise."""

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.method.name}-{self.answers}{EXACT if self.exact else ''}"

    @property
    def has_aspects(self) -> bool:
        """Whether it gives the three aspects, and not one number alone."""
        return self.method.labels != "pairs" and self.method.aspects == ASPECTS


METHODS = (
    Method("preferences", "one preference for two answers", "pairs", learning_rate=1.6e-3),
    Method("preferences-5", "the same, 5 passes at half the rate", "pairs", epochs=5.0),
    Method("ratings", "one rating for an answer", "sums", aspects=(TOTAL,)),
    Method("aspects", "three ratings, one an aspect", "sums"),
    Method("spans", "a value for each span", "spans"),
    Method("faults", "a fault or none for each span", "spans", "error"),
)
CHARGED = Method("charged", "the same, faults alone counted", "spans", "error")
"""The reward model of faults with another sum: each piece is charged its chance of a fault, and none is
credited for being without. It is trained as `faults`, once for both."""


@dataclass(frozen=True, slots=True)
class Course:
    """What one seed does: its folder, its models, and what is chosen of their scores."""

    config: Quickstart
    answers: int
    """Answers to each prompt that are scored."""
    arms: tuple[Arm, ...]
    bounded: Arm
    """The reward model whose aspects are combined under bounds."""
    bounds: tuple[float, ...]
    """Lowest factuality, each in a choice of its own."""

    @property
    def folder(self) -> Path:
        """Where everything of the seed is."""
        return Path(self.config.out)


def steps(course: Course) -> Iterator[Step]:
    """Yield the steps in order; each reads files of those before it."""
    folder = course.folder
    yield from labelling_steps(course)
    yield sample_step(course.config)
    yield Step("leave out answers of no word", folder / "answers.jsonl", lambda: _write_answers(course))
    yield _score_step(folder, "gold", "testbed:facts")
    for arm in course.arms:
        yield fit_step(course.config, arm)
        yield _score_step(folder, arm.name, str(folder / arm.name))
        if arm.has_aspects and not arm.exact:
            yield _card_step(folder, arm, course.config.seed)
    yield from _combine_steps(course)


def labelling_steps(course: Course) -> Iterator[Step]:
    """Yield the steps to a language model and to its answers, labelled in every way."""
    yield base_step(course.config, "policy", "L", "teach a small language model to answer questions")
    yield from label_steps(course.config)
    made = course.folder / "held-out.jsonl"
    yield Step("label the same answers in other ways", made, lambda: _write_labels(course))


def bound_name(bound: float) -> str:
    """Return the name of a choice under a bound of factuality, `free` where that is minus infinity."""
    return FREE if math.isinf(bound) else f"factuality-{bound:g}"


def _write_labels(course: Course) -> None:
    """Label the answers of the preferences by spans and by sums, with noise and without; and held-out ones.

    Raises:
        DataError: There are too few pairs without an empty answer.
    """
    config, folder, world = course.config, course.folder, FactsWorld()
    labelled = [preference(row) for row in read_rows(folder / "preferences.jsonl")]
    pairs = [pair for pair in labelled if pair.chosen.strip() and pair.rejected.strip()]
    needed = max(arm.answers for arm in course.arms) // ANSWERS_A_PAIR
    if len(pairs) < needed:
        raise DataError(f"{folder}: {len(pairs)} pairs have a word in both answers, and {needed} are needed")
    write_rows(folder / "pairs.jsonl", map(to_row, pairs), overwrite=True)
    answers = [(pair.prompt, (pair.chosen, pair.rejected)) for pair in pairs if isinstance(pair.prompt, str)]
    noisy = list(label_spans(world, answers, np.random.default_rng([config.seed, 3]), CHOICE_NOISE))
    exact = list(label_spans(world, answers))
    for suffix, labels in (("", noisy), (EXACT, exact)):
        write_rows(folder / f"spans{suffix}.jsonl", map(to_row, labels), overwrite=True)
        write_rows(folder / f"sums{suffix}.jsonl", map(_sums, labels), overwrite=True)
    rng = np.random.default_rng([config.seed, 4])
    ordered = (_ordered(pair, exact[2 * place : 2 * place + 2], rng) for place, pair in enumerate(pairs))
    write_rows(folder / f"pairs{EXACT}.jsonl", map(to_row, ordered), overwrite=True)
    rows = [row for row in read_rows(folder / "label-samples.jsonl") if row.column("use") == "test"]
    test = [(str(row.column("prompt")), [*filter(str.strip, row.texts_in("responses"))]) for row in rows]
    write_rows(folder / "held-out.jsonl", map(to_row, label_spans(world, test)), overwrite=True)


def _write_answers(course: Course) -> None:
    """Keep the first samples of each prompt that are not empty, as an answer of no word has no span.

    Raises:
        DataError: A prompt has too few of them.
    """
    rows = []
    for row in read_rows(course.folder / "samples.jsonl"):
        kept = [*filter(str.strip, row.texts_in("responses"))][: course.answers]
        if len(kept) < course.answers:
            raise DataError(f"{row.where}: {len(kept)} samples have a word, and {course.answers} are needed")
        rows.append({"prompt": row.column("prompt"), "responses": kept})
    write_rows(course.folder / "answers.jsonl", rows, overwrite=True)


def _sums(labels: SpanLabels) -> dict[str, object]:
    row: dict[str, object] = {"id": labels.id, "prompt": labels.prompt, "response": labels.response}
    for name in ASPECTS:
        row[name] = math.fsum(span.label for span in labels.spans if span.aspect == name)
    return {**row, TOTAL: math.fsum(span.label for span in labels.spans)}


def _ordered(pair: Preference, labels: Sequence[SpanLabels], rng: np.random.Generator) -> Preference:
    """Return a pair in gold's own order; of equals either may be the better one."""
    chosen, rejected = (math.fsum(span.label for span in one.spans) for one in labels)
    turned = rng.random() < 0.5 if math.isclose(chosen, rejected) else chosen < rejected
    return replace(pair, chosen=pair.rejected, rejected=pair.chosen) if turned else pair


def fit_step(config: Quickstart, arm: Arm) -> Step:
    """Return the step that trains an arm's reward model from the language model."""
    folder, method = Path(config.out), arm.method
    out = folder / arm.name
    data = str(folder / f"{method.labels}{EXACT if arm.exact else ''}.jsonl")
    body = BodyConfig(name=str(folder / "policy"))
    fitting = TrainingConfig(
        learning_rate=method.learning_rate,
        weight_decay=0.01,
        warmup_ratio=0.07,
        epochs=method.epochs,
        batch_prompts=PAIRS_AT_ONCE * (1 if method.labels == "pairs" else ANSWERS_A_PAIR),
        evaluation_share=0,
        checkpoint_steps=NEVER,
        tensorboard=False,
        seed=config.seed,
    )

    def make() -> None:
        if method.labels == "pairs":
            pairs = arm.answers // ANSWERS_A_PAIR
            training.run(TrainOutcome(data=data, out=str(out), limit=pairs, body=body, training=fitting))
            return
        by_span = method.labels == "spans"
        aspects = AspectsConfig(
            names=list(method.aspects),
            level="span" if by_span else "sequence",
            density={"completeness": "whole"} if by_span else {},
            objective=method.objective,
        )
        training_aspects.run(
            TrainAspects(
                data=data,
                out=str(out),
                format="spans" if by_span else "columns",
                aspects=aspects,
                limit=arm.answers,
                body=body,
                training=fitting,
            )
        )

    return Step(f"train {arm.name}", out / SIDECAR, make)


def _score_step(folder: Path, name: str, scorer: str) -> Step:
    scored = ScoreFile(
        scorer=scorer, data=str(folder / "answers.jsonl"), out=str(folder / f"scored-{name}.jsonl")
    )
    return Step(f"score by {name}", Path(scored.out), lambda: scoring.run(scored))


def _card_step(folder: Path, arm: Arm, seed: int) -> Step:
    card = AspectCard(
        scorer=str(folder / arm.name),
        data=str(folder / "held-out.jsonl"),
        out=str(folder / f"card-{arm.name}"),
        seed=seed,
    )
    return Step(
        f"the report card of {arm.name}", Path(card.out) / "report.json", lambda: aspect_card.run(card)
    )


def _combine_steps(course: Course) -> Iterator[Step]:
    """Yield the combinations of scored aspects: which is on the Pareto front, and the best under bounds."""
    folder = course.folder
    arms = [arm.name for arm in course.arms if arm.has_aspects and arm.answers == course.bounded.answers]
    fronts = [
        Combine(
            data=str(folder / f"scored-{name}.jsonl"), out=str(folder / f"front-{name}.jsonl"), pareto=True
        )
        for name in ("gold", *arms)
    ]
    bounded = [
        Combine(
            data=str(folder / f"scored-{course.bounded.name}.jsonl"),
            out=str(folder / f"bounded-{bound_name(bound)}.jsonl"),
            weights={"relevance": 1.0},
            at_least={} if math.isinf(bound) else {"factuality": bound},
        )
        for bound in (-math.inf, *course.bounds)
    ]
    for config in (*fronts, *bounded):
        yield Step(f"make {config.out}", Path(config.out), _combination(config))


def _combination(config: Combine) -> Callable[[], None]:
    return lambda: combining.run(config)


def gate(folder: Path) -> dict[str, object]:
    """Return what the language model of a folder came to know."""
    report: dict[str, object] = json.loads((folder / "policy" / "world.json").read_text("utf-8"))["report"]
    return report
