"""Studies simulated by the rules of `evalkit annotate`, and how often their intervals hold the truth."""

import random
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evalkit.experiments.annotation_coverage.config import AnnotationCoverage
from evalkit.experiments.annotation_coverage.label_memory import Memory
from evalkit.experiments.simulated_annotators.world import (
    JUDGE,
    PEOPLE,
    SYSTEMS,
    AnswerPair,
    agreement,
    pairs,
    people_win_rate,
)
from evalkit.report.csv import write_csv
from evalkit.report.text import Interval
from evalkit.runs.terminal import say
from judges.human.answers import PairwiseAnswer
from judges.human.assignment import TaskCandidate, choose, random_order, wants_needed
from judges.human.figures.numbers import Numbers
from judges.human.figures.study_numbers import StudyNumbers
from judges.human.labels import Label
from judges.human.study import Study
from judges.human.tasks import Task
from judges.judge import Comparison, Verdict, Winner
from judges.statistics.correction import human_corrected_win_rate
from judges.statistics.win_rate import WinRate, win_rate
from judges.verdicts.reading import verdict_row
from rewards.files import write_rows

COMPARISONS, LABELLED, CHECKS = 1000, 200, 50
TRUTH = people_win_rate()


class StudyFigure(NamedTuple):
    """A figure of one study, and what is true."""

    name: str
    truth: float
    mean: float
    low: float | None
    high: float | None


def run(config: AnnotationCoverage) -> None:
    """Simulate, write the shares, and show them."""
    seeds = range(config.seed, config.seed + config.studies)
    found: dict[tuple[str, str], list[StudyFigure]] = {}
    with ProcessPoolExecutor(config.workers, get_context("spawn")) as pool:
        for design, simulate in (("all labelled", labelled_whole), ("stopped early", stopped_early)):
            for figure in chain.from_iterable(pool.map(simulate, seeds, chunksize=10)):
                found.setdefault((design, figure.name), []).append(figure)
    rows = [coverage(*names, figures) for names, figures in found.items()]
    write_csv(Path(config.out), rows)
    for row in rows:
        say(" ".join(str(value) for value in row.values()))
    say(f"Results are in {config.out}")


def labelled_whole(seed: int) -> list[StudyFigure]:
    """Let each of three people label 200 of 1,000 comparisons that a judge sees, and planted checks."""
    world = list(pairs(seed, COMPARISONS))
    chance = random.Random(f"{seed} whole")
    asked = [_task(one) for one in chance.sample(world, LABELLED)]
    asked += [_task(one, check=True) for one in pairs(seed, CHECKS, COMPARISONS, kinds=[0])]
    memory = Memory(Study(seed=seed, overlap=len(PEOPLE)), dict(enumerate(asked)))
    for number in memory.asked:
        for person in PEOPLE:
            memory.answer(number, person, chance)
    verdicts = _verdicts(world, seed)
    numbers = _numbers(memory, verdicts)
    people = {one.name: one for one in numbers.annotators}
    figures = [
        *_win_rates(numbers),
        _figure("win rate by the judge, taken for people's", TRUTH, _rate(verdicts)),
        *(_figure(f"{one.name}: checks right", one.odds(0)[0], people[one.name].checks) for one in PEOPLE),
        *(
            _figure(f"{one.name}: chooses the left", one.left_share(), people[one.name].shown_first)
            for one in PEOPLE
        ),
    ]
    for one, truth in zip(numbers.agreement, agreement(), strict=True):
        assert one.found is not None
        assert one.found.value is not None
        figures.append(StudyFigure(one.coefficient, truth, one.found.value, one.found.low, one.found.high))
    return figures


def stopped_early(seed: int) -> list[StudyFigure]:
    """Let people label 200 of 1,000, every other time one on which the judge contradicts itself."""
    world = list(pairs(seed, COMPARISONS))
    verdicts = _verdicts(world, seed)
    apart = [a.winner != b.winner for a, b in zip(verdicts[::2], verdicts[1::2], strict=True)]
    tasks = [_task(one, priority=float(split)) for one, split in zip(world, apart, strict=True)]
    memory = Memory(Study(seed=seed, overlap=1), dict(enumerate(tasks)))
    chance = random.Random(f"{seed} stopped")
    left = [
        TaskCandidate(number, task.priority, random_order(seed, task.key), 0)
        for number, task in enumerate(tasks)
    ]
    done = dict.fromkeys(range(len(PEOPLE)), 0)
    for _ in range(LABELLED):
        who = chance.randrange(len(PEOPLE))
        needed = wants_needed(seed, PEOPLE[who].name, done[who], memory.settings.needed_every)
        chosen = choose(left, needed, who)
        assert chosen is not None
        left.remove(chosen)
        done[who] += 1
        memory.answer(chosen.task_id, replace(PEOPLE[who], skip=0.0), chance)
    said = {label.task_id: _value(label) for label in memory.said}
    both = [_outcome(verdict) for verdict in verdicts]
    corrected = human_corrected_win_rate(
        both,
        list(said.values()),
        [(both[2 * number] + both[2 * number + 1]) / 2 for number in said],
        model_prompts=[number // 2 for number in range(len(both))],
        human_prompts=list(said),
    )
    return [
        *_win_rates(_numbers(memory, verdicts)),
        _figure("mean of all that is labelled", TRUTH, win_rate(list(said.values()))),
        _figure("corrected by all that is labelled", TRUTH, corrected),
    ]


def coverage(design: str, name: str, figures: Sequence[StudyFigure]) -> dict[str, object]:
    """Return how often intervals hold the truth, and on which side of them it lies else."""
    ends = [(one.low, one.high) for one in figures if one.low is not None and one.high is not None]
    truth = figures[0].truth
    below, above = (np.mean(side) for side in zip(*((truth < a, truth > b) for a, b in ends), strict=True))
    held = float(1 - below - above)
    numbers = {
        "truth": truth,
        "coverage": held,
        "monte_carlo_error": (held * (1 - held) / len(ends)) ** 0.5,
        "truth_below": below,
        "truth_above": above,
        "mean_error": np.mean([one.mean for one in figures]) - truth,
        "mean_width": np.mean([high - low for low, high in ends]),
    }
    rounded = {key: round(float(value), 4) for key, value in numbers.items()}
    return {
        "study": design,
        "figure": name,
        "studies": len(figures),
        "without_interval": len(figures) - len(ends),
        **rounded,
    }


def _win_rates(numbers: Numbers) -> list[StudyFigure]:
    compared = numbers.compared[0]
    corrected = compared.judges[0].corrected
    return [
        _figure("win rate by people", TRUTH, compared.rate),
        _figure("win rate by the judge, corrected by people", TRUTH, corrected),
    ]


def _figure(name: str, truth: float, found: Interval | None) -> StudyFigure:
    assert found is not None
    return StudyFigure(name, truth, found.mean, found.low, found.high)


def _rate(verdicts: Sequence[Verdict]) -> WinRate:
    return win_rate([_outcome(one) for one in verdicts], [one.comparison.id for one in verdicts])


def _numbers(memory: Memory, verdicts: Sequence[Verdict]) -> Numbers:
    """Return what `evalkit labels status` would tell."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "verdicts.jsonl")
        write_rows(path, map(verdict_row, verdicts))
        return StudyNumbers(memory, path)()


def _task(pair: AnswerPair, *, check: bool = False, priority: float = 0.0) -> Task:
    gold = PairwiseAnswer("first" if pair.first_better else "second") if check else None
    return Task(
        "pairwise", pair.prompt, pair.answers, systems=SYSTEMS, id=pair.id, gold=gold, priority=priority
    )


def _verdicts(world: Sequence[AnswerPair], seed: int) -> list[Verdict]:
    """Return what the judge says of each comparison, in the order given and then in the other."""
    found = []
    for one in world:
        systems = {"first_system": SYSTEMS[0], "second_system": SYSTEMS[1]}
        given = Comparison(one.prompt, *one.answers, one.id, systems)
        for shown, turned in ((given, False), (given.swap(), True)):
            says = JUDGE.says("\n".join((shown.first, shown.second, one.prompt)), seed)
            winner: Winner = "first" if says == "A" else "second"
            verdict = Verdict(shown, winner, None, judge="flattered")
            found.append(verdict.swap() if turned else verdict)
    return found


def _outcome(verdict: Verdict) -> float:
    outcome = verdict.outcome()
    assert outcome is not None
    return outcome


def _value(label: Label) -> float:
    assert isinstance(label.answer, PairwiseAnswer)
    return {"first": 1.0, "tie": 0.5, "second": 0.0}[label.answer.winner]
