"""Accuracy of the answer chosen from N samples, against N: by scores, by votes, by luck; numpy only."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rewards.display import Columns, Tabular, counted, decimal
from rewards.errors import ConfigError
from rewards.evaluation.votes import VoteAccuracy, vote_accuracy
from rewards.intervals import Resampling, percentile_interval, resampled_sums
from rewards.selection.best_of_n import expected_best_of_n_batch
from rewards.solutions.steps import probabilities

Floats = NDArray[np.float64]
Kind: TypeAlias = Literal["best-of-n", "weighted-majority", "majority", "pass"]
Weights: TypeAlias = Literal["as they are", "sigmoid"]
"""How scores become vote weights, which must be positive for a vote to count for its answer."""


@dataclass(frozen=True, slots=True, eq=False)
class PromptSamples:
    """The samples of one prompt."""

    correct: Floats
    """[N] 1 where a sample's answer is right, else 0."""
    scores: Mapping[str, Floats]
    """[N] for each scorer; higher is better."""
    answers: NDArray[np.int64] | None
    """[N] index of each sample's answer, from 0, -1 for no vote; None if answers are unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """Accuracy of one selection method at each N: arrays are [m]."""

    kind: Kind
    score: str
    """The scorer that selects or weighs votes; empty for methods without one."""
    accuracy: Floats
    low: Floats
    """Ends of the percentile intervals over resampled prompts; NaN where nothing varies."""
    high: Floats
    subset_error: Floats
    """Standard error of `accuracy` from the subsets drawn; 0 where it is exact."""

    @property
    def name(self) -> str:
        """Kind and scorer, unique to each method."""
        return f"{self.kind} {self.score}".strip()


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """Accuracy of one method less another's on the same prompts and N, with intervals: arrays are [m]."""

    first: str
    second: str
    difference: Floats
    low: Floats
    """NaN where the difference does not vary over resampled prompts."""
    high: Floats


@dataclass(frozen=True, slots=True, eq=False)
class AccuracyCurve(Tabular):
    """Accuracy against N for every method; every prompt counts alike."""

    n: tuple[int, ...]
    """Rising."""
    mean: float
    """Accuracy of a sample taken at random, N = 1 of every best-of-N."""
    methods: tuple[Method, ...]
    differences: tuple[Difference, ...]
    weights: Mapping[str, Weights]
    """How each scorer's scores became vote weights; empty without votes."""
    weightless: Mapping[str, int]
    """Samples whose weight is 0: a score of 0, or one so low that 1 / (1 + exp(-score)) is not above 0."""
    prompts: int
    samples: int
    subsets: int
    resampling: Resampling

    def summary(self) -> str:
        """Return the numbers of prompts and samples, and the mean accuracy of a sample."""
        size = f"{counted(self.samples, 'sample')} to {counted(self.prompts, 'prompt')}"
        return f"accuracy {decimal(self.mean, 3)} of one sample; {size}"

    def columns(self) -> Columns:
        """Return the accuracy of each method at each N, one method after the other."""
        return {
            "method": [method.name for method in self.methods for _ in self.n],
            "n": [n for _ in self.methods for n in self.n],
            "accuracy": [x for method in self.methods for x in method.accuracy.tolist()],
            "low": [x for method in self.methods for x in method.low.tolist()],
            "high": [x for method in self.methods for x in method.high.tolist()],
        }


def accuracy_curve(
    prompts: Sequence[PromptSamples], n: Sequence[int], subsets: int, resampling: Resampling
) -> AccuracyCurve:
    """Measure accuracy against N for every selection method, from one pool of samples per prompt.

    - best-of-N by each scorer: the mean over all subsets of size N of a prompt's samples, exact and unbiased
      ("Let's Verify Step by Step", 2305.20050, figure 3, takes some hundred subsets); ties
      are broken uniformly.
    - pass@N: 1 - C(N' - c, N) / C(N', N) for c right ones of N' samples, exact (2107.03374, equation 1).
    - majority@N, and the same with scores as weights: the mean over random subsets of size N, the same for
      all votes, or over all subsets where there are no more than `subsets`. Answers with equal sums share the
      vote. An answer is as right as the samples of the prompt that give it are on average.

    A scorer's weights are its scores where all of them lie in [0, 1], as probabilities do; else
    1 / (1 + exp(-score)) for all of them. Intervals and paired differences come from the same resamples of
    the prompts.

    Args:
        prompts: Each with N' samples, the largest n or more; all with the same scorers, and all or none with
            answers.
        n: Sizes N, each 1 or more.
        subsets: Subsets of each size in which votes are counted.
        resampling: How intervals are made; its seed draws the subsets too.

    Raises:
        ConfigError: No prompts or sizes, a size beyond a prompt's samples, samples that do not fit each
            other, or a score that is not finite.
    """
    sizes = _checked(prompts, n, subsets)
    scorers = list(prompts[0].scores)
    weights: dict[str, Weights] = {
        name: "as they are" if _are_probabilities(prompts, name) else "sigmoid" for name in scorers
    }
    by_prompt: dict[tuple[Kind, str], Floats] = {
        ("best-of-n", name): _best_of_n(prompts, name, sizes) for name in scorers
    }
    errors: dict[tuple[Kind, str], Floats] = {}
    if prompts[0].answers is not None:
        for key, votes in _votes(prompts, weights, sizes, subsets, resampling.seed).items():
            by_prompt[key] = votes.accuracy
            errors[key] = np.sqrt((votes.variance / subsets).sum(axis=0)) / len(prompts)
    by_prompt["pass", ""] = _pass_at_n(prompts, sizes)
    columns = np.concatenate(list(by_prompt.values()), axis=1)
    sums = resampled_sums(columns, np.arange(len(prompts)), resampling)
    resamples = None if sums is None else sums / len(prompts)
    places = {key: slice(i * len(sizes), (i + 1) * len(sizes)) for i, key in enumerate(by_prompt)}
    return AccuracyCurve(
        n=tuple(sizes),
        mean=float(np.mean([samples.correct.mean() for samples in prompts])),
        methods=tuple(
            Method(
                *key,
                accuracy.mean(axis=0),
                *_ends(None if resamples is None else resamples[:, places[key]], len(sizes), resampling),
                errors.get(key, np.zeros(len(sizes))),
            )
            for key, accuracy in by_prompt.items()
        ),
        differences=tuple(
            Difference(
                _name(first),
                _name(second),
                (by_prompt[first] - by_prompt[second]).mean(axis=0),
                *_ends(
                    None if resamples is None else resamples[:, places[first]] - resamples[:, places[second]],
                    len(sizes),
                    resampling,
                ),
            )
            for first, second in _pairs(list(by_prompt))
        ),
        weights=weights if prompts[0].answers is not None else {},
        weightless={
            name: sum(int((_vote_weights([samples], name, how) == 0).sum()) for samples in prompts)
            for name, how in weights.items()
        },
        prompts=len(prompts),
        samples=sum(len(samples.correct) for samples in prompts),
        subsets=subsets,
        resampling=resampling,
    )


def _best_of_n(prompts: Sequence[PromptSamples], scorer: str, sizes: Sequence[int]) -> Floats:
    accuracy = np.empty((len(prompts), len(sizes)))
    for alike in _of_equal_count(prompts):
        scores = np.stack([prompts[index].scores[scorer] for index in alike])
        correct = np.stack([prompts[index].correct for index in alike])
        accuracy[alike] = expected_best_of_n_batch(scores, correct, sizes)
    return np.clip(accuracy, 0.0, 1.0)  # weights that sum to 1 but for rounding


def _pass_at_n(prompts: Sequence[PromptSamples], sizes: Sequence[int]) -> Floats:
    accuracy = np.empty((len(prompts), len(sizes)))
    for alike in _of_equal_count(prompts):
        count = len(prompts[alike[0]].correct)
        right = np.array([int(prompts[index].correct.sum()) for index in alike])
        for column, size in enumerate(sizes):
            # Whole numbers, since binomial coefficients of some hundreds overflow a float.
            ways = math.comb(count, size)
            table = np.array([1 - math.comb(count - c, size) / ways for c in range(count + 1)])
            accuracy[alike, column] = table[right]
    return accuracy


def _votes(
    prompts: Sequence[PromptSamples],
    weights: Mapping[str, Weights],
    sizes: Sequence[int],
    subsets: int,
    seed: int,
) -> dict[tuple[Kind, str], VoteAccuracy]:
    """Count votes with each scorer's weights, and with equal ones."""
    keys: list[tuple[Kind, str]] = [*(("weighted-majority", name) for name in weights), ("majority", "")]
    accuracy, variance = np.empty((2, len(keys), len(prompts), len(sizes)))
    for alike in _of_equal_count(prompts):
        group = [prompts[index] for index in alike]
        shares = [_vote_weights(group, name, how) for name, how in weights.items()]
        correct = np.stack([samples.correct for samples in group])
        answers = np.stack([samples.answers for samples in group if samples.answers is not None])
        counted = vote_accuracy(
            answers, correct, np.stack([*shares, np.ones_like(correct)]), sizes, subsets, [*alike], seed
        )
        accuracy[:, alike], variance[:, alike] = counted.accuracy, counted.variance
    return {key: VoteAccuracy(accuracy[i], variance[i]) for i, key in enumerate(keys)}


def _vote_weights(prompts: Sequence[PromptSamples], scorer: str, how: Weights) -> Floats:
    scores = np.stack([samples.scores[scorer] for samples in prompts])
    return scores if how == "as they are" else probabilities(scores)


def _are_probabilities(prompts: Sequence[PromptSamples], scorer: str) -> bool:
    return all(samples.scores[scorer].min() >= 0 and samples.scores[scorer].max() <= 1 for samples in prompts)


def _of_equal_count(prompts: Sequence[PromptSamples]) -> list[NDArray[np.int64]]:
    """Return the indices of the prompts with each number of samples."""
    counts = np.array([len(samples.correct) for samples in prompts])
    return [np.flatnonzero(counts == count) for count in np.unique(counts)]


def _pairs(keys: Sequence[tuple[Kind, str]]) -> list[tuple[tuple[Kind, str], tuple[Kind, str]]]:
    """Return the methods to compare: each two scorers, each scorer with majority, weighted with both."""
    kinds: tuple[Kind, ...] = ("best-of-n", "weighted-majority")
    pairs = []
    for kind in kinds:
        scored = [key for key in keys if key[0] == kind]
        pairs += [(a, b) for place, a in enumerate(scored) for b in scored[place + 1 :]]
        pairs += [(key, ("majority", "")) for key in scored if ("majority", "") in keys]
    weighted = [key for key in keys if key[0] == "weighted-majority"]
    return [*pairs, *((("best-of-n", score), (kind, score)) for kind, score in weighted)]


def _name(key: tuple[Kind, str]) -> str:
    return " ".join(key).strip()


def _ends(resamples: Floats | None, count: int, resampling: Resampling) -> tuple[Floats, Floats]:
    """Return the ends of the intervals of resampled values [b, m], NaN where nothing varies."""
    low, high = np.full((2, count), np.nan)
    for column in range(count):
        ends = percentile_interval(None if resamples is None else resamples[:, column], resampling.level)
        if ends[0] is not None and ends[1] is not None:
            low[column], high[column] = ends
    return low, high


def _checked(prompts: Sequence[PromptSamples], n: Sequence[int], subsets: int) -> list[int]:
    """Return the sizes in rising order, each once."""
    sizes = sorted(set(n))
    if not prompts or not sizes or subsets < 1:
        raise ConfigError(
            f"a curve needs prompts, sizes and 1 subset or more, got {len(prompts)}, {sizes}, {subsets}"
        )
    fewest = min(len(samples.correct) for samples in prompts)
    if sizes[0] < 1 or sizes[-1] > fewest:
        raise ConfigError(f"n is in [1, {fewest}], the fewest samples of a prompt; got {sizes}")
    for place, samples in enumerate(prompts):
        count, scorers = len(samples.correct), list(prompts[0].scores)
        if list(samples.scores) != scorers or (samples.answers is None) != (prompts[0].answers is None):
            raise ConfigError(f"prompt {place}: all prompts have the same scorers, and all or none answers")
        parts = [*samples.scores.values(), *([] if samples.answers is None else [samples.answers])]
        if any(part.shape != (count,) for part in parts):
            raise ConfigError(f"prompt {place}: a score and an answer for each of its {count} samples")
        if not all(np.isfinite(part).all() for part in parts) or not np.isin(samples.correct, (0, 1)).all():
            raise ConfigError(f"prompt {place}: scores are finite and correctness is 0 or 1")
    return sizes
