"""Samples of process_vs_outcome with their scores, and how accurate each way to choose among them is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rewards.evaluation.votes import vote_accuracy
from rewards.files import read_rows
from rewards.intervals import Resampling, percentile_interval, resampled_sums
from rewards.selection.best_of_n import expected_best_of_n_batch
from rewards.solutions.steps import AGGREGATIONS, Aggregation, aggregate

Floats = NDArray[np.float64]
SUBSETS = 64
"""Subsets in which `evalkit accuracy` counts votes by default; here the same ones."""
LEVEL, RESAMPLES = 0.95, 2000


@dataclass(frozen=True, slots=True)
class Way:
    """A way to choose, and what is measured of the choice: a right `answer`, or a `sound` solution."""

    kind: str
    score: str = ""
    measure: str = "answer"

    def __str__(self) -> str:
        return f"{self.kind} {self.score}".strip()


MAJORITY, PASS = Way("majority"), Way("pass")


@dataclass(frozen=True, slots=True, eq=False)
class SolutionPool:
    """The samples of one seed's P problems, N each."""

    correct: Floats
    """[P, N] 1 where the answer is right."""
    sound: Floats
    """[P, N] 1 where every step is right as well."""
    answers: NDArray[np.int64]
    """[P, N] the digit, -1 where there is none."""
    scores: Mapping[str, Floats]
    """[P, N] in [0, 1], by scorer."""
    steps: tuple[tuple[tuple[float, ...], ...], ...]
    """For each problem and sample the process model's step scores."""


def read_pool(path: str, scorers: Sequence[str]) -> SolutionPool:
    """Read scored samples."""
    rows = list(read_rows(path))

    def table(name: str) -> Floats:
        return np.array([row.list_in(name) for row in rows], dtype=np.float64)

    answers = [[-1 if one is None else int(str(one)) for one in row.list_in("answers")] for row in rows]
    return SolutionPool(
        correct=table("correct"),
        sound=table("sound"),
        answers=np.array(answers),
        scores={name: table(f"{name}s") for name in scorers},
        steps=tuple(tuple(map(tuple, row.list_in("prms_steps"))) for row in rows),  # type: ignore[arg-type]  # lists of numbers
    )


def sizes_up_to(samples: int) -> list[int]:
    """Return the powers of two up to a number of samples, and that number."""
    return sorted({*(2**power for power in range(samples.bit_length())), samples})


def accuracies(pool: SolutionPool, seed: int) -> dict[Way, Floats]:
    """Return how right each problem's choice is on average, [P, m] for the m sizes, by the way to choose."""
    correct, count = pool.correct, pool.correct.shape[1]
    sizes = sizes_up_to(count)
    found: dict[Way, Floats] = {}
    for name, scores in pool.scores.items():
        found[Way("best-of-n", name)] = expected_best_of_n_batch(scores, correct, sizes)
        found[Way("best-of-n", name, "sound")] = expected_best_of_n_batch(scores, pool.sound, sizes)
    weights = np.stack([*pool.scores.values(), np.ones_like(correct)])
    votes = vote_accuracy(pool.answers, correct, weights, sizes, SUBSETS, range(len(correct)), seed).accuracy
    ways = [*(Way("weighted-majority", name) for name in pool.scores), MAJORITY]
    found.update(zip(ways, votes, strict=True))
    found[PASS] = expected_best_of_n_batch(correct, correct, sizes)
    found[Way("pass", measure="sound")] = expected_best_of_n_batch(pool.sound, pool.sound, sizes)
    return found


def by_aggregation(pool: SolutionPool) -> dict[Aggregation, Floats]:
    """Return best-of-N accuracy [m] by each way to make one score of the process model's recorded steps."""
    sizes = sizes_up_to(pool.correct.shape[1])
    found: dict[Aggregation, Floats] = {}
    for how in AGGREGATIONS:
        scores = np.array([[aggregate(steps, how) for steps in own] for own in pool.steps])  # type: ignore[arg-type]  # one of its names
        found[how] = expected_best_of_n_batch(scores, pool.correct, sizes).mean(axis=0)  # type: ignore[index]  # as above
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Accuracy by all ways to choose after learning from so many solutions, over all seeds."""

    size: int
    n: tuple[int, ...]
    means: Mapping[Way, Floats]
    """[seeds, m]"""
    resamples: Mapping[Way, Floats]
    """[resamples, m] means over seeds of resampled problems; problems are drawn within their seed, the same
    ones for every way."""

    def interval(self, way: Way, less: Way | None = None) -> list[tuple[float | None, float | None]]:
        """Return for each N the interval of a way's mean over seeds, or of what it is above another's."""
        values = self.resamples[way] - (0.0 if less is None else self.resamples[less])
        return [percentile_interval(values[:, place], LEVEL) for place in range(len(self.n))]


def curves(size: int, pools: Mapping[int, SolutionPool]) -> Curves:
    """Measure every way on every seed's samples."""
    means: dict[Way, list[Floats]] = {}
    sums: dict[Way, Floats] = {}
    n = sizes_up_to(next(iter(pools.values())).correct.shape[1])
    for seed, pool in pools.items():
        found = accuracies(pool, seed)
        problems = len(pool.correct)
        columns = np.concatenate(list(found.values()), axis=1)
        drawn = resampled_sums(columns, np.arange(problems), Resampling(LEVEL, RESAMPLES, seed))
        if drawn is None:
            raise ValueError("one problem alone has no interval")
        for place, (way, values) in enumerate(found.items()):
            means.setdefault(way, []).append(values.mean(axis=0))
            own = drawn[:, place * len(n) : (place + 1) * len(n)] / problems / len(pools)
            sums[way] = sums.get(way, np.zeros_like(own)) + own
    return Curves(size, tuple(n), {way: np.stack(each) for way, each in means.items()}, sums)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a scorer chooses among all samples of each problem, and how well it tells them apart."""

    within: float
    """How likely a right sample scores above a wrong one of the same problem; ties count half."""
    easy: float | None
    """Accuracy of the highest score on the third of the problems with the most right samples ..."""
    middle: float | None
    hard: float | None
    """... and with the fewest; None where there are too few problems."""
    sound: float
    """Share of problems where the choice is right in answer and steps."""
    false_positive: float
    """Share where the answer is right under a wrong step."""
    wrong: float
    popular: float | None
    """Of the wrong choices, the share whose answer most samples give too; None where there is none."""
    popular_right: float
    """Share of problems whose most frequent answer is right."""


def diagnose(pool: SolutionPool, name: str) -> Diagnosis:
    """Look at what a scorer puts first."""
    scores, correct = pool.scores[name], pool.correct
    within = [
        float((np.sign(own[right][:, None] - own[~right][None, :]) / 2 + 0.5).mean())
        for own, right in zip(scores, correct == 1, strict=True)
        if 0 < right.sum() < len(right)
    ]
    rows, top = np.arange(len(scores)), scores.argmax(axis=1)
    right, sound = correct[rows, top], pool.sound[rows, top]
    counts = np.stack([(pool.answers == digit).sum(axis=1) for digit in range(10)], axis=1)
    modes = counts.argmax(axis=1)
    chosen_mode = pool.answers[rows, top] == modes
    mode_right = ((pool.answers == modes[:, None]) * correct).max(axis=1)
    order = np.argsort(-correct.mean(axis=1), kind="stable")
    easy, middle, hard = (_mean(right[part]) for part in np.array_split(order, 3))
    missed = right == 0
    return Diagnosis(
        within=float(np.mean(within)),
        easy=easy,
        middle=middle,
        hard=hard,
        sound=float(sound.mean()),
        false_positive=float((right - sound).mean()),
        wrong=float(missed.mean()),
        popular=_mean(chosen_mode[missed]),
        popular_right=float(mode_right.mean()),
    )


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None
