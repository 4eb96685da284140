"""The steps of one seed of the fine-grained experiment: answers, their labels, reward models, scores."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evalkit.evaluation import aspects as aspect_card
from evalkit.evaluation.config import AspectCard
from evalkit.experiments.fine_grained.config import (
    ANSWERS_A_PAIR,
    BOUNDED,
    EXACT,
    METHODS,
    SHORTER,
    TOTAL,
    Arm,
    FineGrained,
    Labelling,
    all_sizes,
)
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

PAIRS_AT_ONCE = 32
"""Pairs in one update; reward models of single answers have as many answers in one."""
FREE = "free"
"""Name of the choice without a bound."""
SPARE_SAMPLES = 16
"""Samples beyond those scored, as empty ones are left out; a language model writes some 2 in 1,000."""
SPARE_PAIRS = 0.05
"""Share of pairs beyond those learnt from, for the same reason."""


@dataclass(frozen=True)
class FineGrainedTrial:
    """The experiment with a seed: its folder, its models, and what is chosen of their scores."""

    config: FineGrained
    seed: int

    @property
    def folder(self) -> Path:
        """Where everything of the seed is."""
        return Path(self.config.work) / f"seed-{self.seed}"

    @property
    def models(self) -> Quickstart:
        """Settings of the language model, the samples and the labels."""
        config, pairs = self.config, max(all_sizes(self.config)) // ANSWERS_A_PAIR
        return Quickstart(
            out=str(self.folder),
            seed=self.seed,
            prompts=config.prompts,
            samples=config.samples + SPARE_SAMPLES,
            labels=round(pairs * (1 + SPARE_PAIRS)),
            updates=config.updates,
        )

    @property
    def methods(self) -> list[Labelling]:
        """The ways of labelling that are compared."""
        return [method for method in METHODS if method.name in self.config.methods]

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The reward models: of noisy labels, of more preferences, and of labels without noise."""
        config, named = self.config, {method.name: method for method in self.methods}
        noisy = [method.arm(answers) for answers in config.answers for method in self.methods]
        more = [named[SHORTER].arm(config.more)] if config.more else []
        without_noise = [named[name] for name in (SHORTER, BOUNDED) if name in named]
        exact = [method.arm(config.exact, exact=True) for method in without_noise] if config.exact else []
        return (*noisy, *more, *exact)

    @property
    def bounded(self) -> Arm:
        """The reward model whose aspects are combined under bounds."""
        (method,) = (method for method in METHODS if method.name == BOUNDED)
        return method.arm(max(self.config.answers))


def steps(trial: FineGrainedTrial) -> Iterator[Step]:
    """Yield the steps in order; each reads files of those before it."""
    folder = trial.folder
    yield from labelling_steps(trial.models, max(arm.answers for arm in trial.arms))
    yield sample_step(trial.models)
    yield Step("leave out answers of no word", folder / "answers.jsonl", lambda: _write_answers(trial))
    yield _score_step(folder, "gold", "testbed:facts")
    for arm in trial.arms:
        yield fit_step(trial.models, arm)
        yield _score_step(folder, arm.name, str(folder / arm.name))
        if arm.has_aspects and not arm.exact:
            yield _card_step(folder, arm, trial.seed)
    yield from _combine_steps(trial)


def labelling_steps(models: Quickstart, answers: int) -> Iterator[Step]:
    """Yield the steps to a language model and to its answers, labelled in every way.

    Args:
        models: Settings of the language model and the labels.
        answers: Labelled answers that have a word, at least.
    """
    yield base_step(models, "policy", "L", "teach a small language model to answer questions")
    yield from label_steps(models)
    made = Path(models.out) / "held-out.jsonl"
    yield Step("label the same answers in other ways", made, lambda: _write_labels(models, answers))


def bound_name(bound: float) -> str:
    """Return the name of a choice under a bound of factuality, `free` where that is minus infinity."""
    return FREE if math.isinf(bound) else f"factuality-{bound:g}"


def _write_labels(models: Quickstart, needed: int) -> None:
    """Label the answers of the preferences by spans and by sums, with noise and without; and held-out ones.

    Raises:
        DataError: There are too few pairs without an empty answer.
    """
    folder, world = Path(models.out), FactsWorld()
    labelled = [preference(row) for row in read_rows(folder / "preferences.jsonl")]
    pairs = [pair for pair in labelled if pair.chosen.strip() and pair.rejected.strip()]
    if len(pairs) < needed // ANSWERS_A_PAIR:
        lacking = f"{len(pairs)} pairs have a word in both answers"
        raise DataError(f"{folder}: {lacking}, and {needed // ANSWERS_A_PAIR} are needed")
    write_rows(folder / "pairs.jsonl", map(to_row, pairs), overwrite=True)
    answers = [(pair.prompt, (pair.chosen, pair.rejected)) for pair in pairs if isinstance(pair.prompt, str)]
    noisy = list(label_spans(world, answers, np.random.default_rng([models.seed, 3]), CHOICE_NOISE))
    exact = list(label_spans(world, answers))
    for suffix, labels in (("", noisy), (EXACT, exact)):
        write_rows(folder / f"spans{suffix}.jsonl", map(to_row, labels), overwrite=True)
        write_rows(folder / f"sums{suffix}.jsonl", map(_sums, labels), overwrite=True)
    rng = np.random.default_rng([models.seed, 4])
    ordered = (_ordered(pair, exact[2 * place : 2 * place + 2], rng) for place, pair in enumerate(pairs))
    write_rows(folder / f"pairs{EXACT}.jsonl", map(to_row, ordered), overwrite=True)
    rows = [row for row in read_rows(folder / "label-samples.jsonl") if row.column("use") == "test"]
    test = [(str(row.column("prompt")), [*filter(str.strip, row.texts_in("responses"))]) for row in rows]
    write_rows(folder / "held-out.jsonl", map(to_row, label_spans(world, test)), overwrite=True)


def _write_answers(trial: FineGrainedTrial) -> None:
    """Keep the first samples of each prompt that are not empty, as an answer of no word has no span.

    Raises:
        DataError: A prompt has too few of them.
    """
    rows = []
    for row in read_rows(trial.folder / "samples.jsonl"):
        kept = [*filter(str.strip, row.texts_in("responses"))][: trial.config.samples]
        if len(kept) < trial.config.samples:
            raise DataError(
                f"{row.where}: {len(kept)} samples have a word, and {trial.config.samples} are needed"
            )
        rows.append({"prompt": row.column("prompt"), "responses": kept})
    write_rows(trial.folder / "answers.jsonl", rows, overwrite=True)


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


def fit_step(models: Quickstart, arm: Arm) -> Step:
    """Return the step that trains an arm's reward model from the language model."""
    folder, method = Path(models.out), arm.method
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
        seed=models.seed,
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


def _combine_steps(trial: FineGrainedTrial) -> Iterator[Step]:
    """Yield the combinations of scored aspects: which is on the Pareto front, and the best under bounds."""
    folder = trial.folder
    arms = [arm.name for arm in trial.arms if arm.has_aspects and arm.answers == trial.bounded.answers]
    fronts = [
        Combine(
            data=str(folder / f"scored-{name}.jsonl"), out=str(folder / f"front-{name}.jsonl"), pareto=True
        )
        for name in ("gold", *arms)
    ]
    bounded = [
        Combine(
            data=str(folder / f"scored-{trial.bounded.name}.jsonl"),
            out=str(folder / f"bounded-{bound_name(bound)}.jsonl"),
            weights={"relevance": 1.0},
            at_least={} if math.isinf(bound) else {"factuality": bound},
        )
        for bound in (-math.inf, *trial.config.bounds)
    ]
    for config in (*fronts, *bounded):
        yield Step(f"make {config.out}", Path(config.out), _combination(config))


def _combination(config: Combine) -> Callable[[], None]:
    return lambda: combining.run(config)


def gate(folder: Path) -> dict[str, object]:
    """Return what the language model of a folder came to know."""
    report: dict[str, object] = json.loads((folder / "policy" / "world.json").read_text("utf-8"))["report"]
    return report
