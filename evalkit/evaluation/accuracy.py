"""`evalkit accuracy`: accuracy of the answer chosen from N samples, against N."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from evalkit import runs
from evalkit.evaluation.accuracy_figures import draw_accuracy
from evalkit.evaluation.accuracy_samples import Samples, read_samples
from evalkit.evaluation.config import Accuracy
from evalkit.report.csv import write_csv
from evalkit.report.text import counted, decimal, finite, percent
from evalkit.runs.files import fingerprint, write_json
from evalkit.runs.terminal import say, show
from rewards.errors import ConfigError
from rewards.evaluation.accuracy import AccuracyCurve, Difference, Method, accuracy_curve
from rewards.intervals import Resampling

TABLE, REPORT, FIGURE = "accuracy.csv", "accuracy.json", "accuracy.png"
COUNTS_NAMED = 4
"""Numbers of samples that a line names one by one."""


def run(config: Accuracy) -> None:
    """Measure accuracy against N of every selection method, and write the table, the figure and the result.

    Raises:
        ConfigError: A size beyond a prompt's samples, or a score named twice.
        DataError: A row is not what was expected.
        OutputExistsError: The folder holds a finished run, or one of another configuration.
    """
    resampling = Resampling(config.level, config.bootstrap, config.seed)
    scores = [config.score] if isinstance(config.score, str) else list(config.score)
    if not scores or len(set(scores)) < len(scores):
        raise ConfigError(f"--score names one column, or a list of different ones, got {scores}")
    samples = read_samples(config.data, config.rename, scores, config.correct, config.answer)
    sizes = _sizes(samples, config.n)
    inputs = {"data": fingerprint(config.data)}
    with runs.run(config, inputs, done=REPORT) as folder:
        curve = accuracy_curve(samples.prompts, sizes, config.subsets, resampling)
        notes = list(_notes(samples, curve, config.answer))
        _write(folder, curve, config, samples, notes)
    show(_table(curve))
    say(
        "\n".join(
            [*_difference_lines(curve), *notes, *(f"{folder / name}" for name in (FIGURE, TABLE, REPORT))]
        )
    )


def _sizes(samples: Samples, asked: Sequence[int]) -> list[int]:
    counts = [len(one.correct) for one in samples.prompts]
    fewest = min(counts)
    if not asked:
        powers = [2**power for power in range(fewest.bit_length())]
        return sorted({*powers, fewest})
    if min(asked) < 1:
        raise ConfigError(f"n is 1 or more, got {min(asked)}")
    if max(asked) > fewest:
        few = sum(count < max(asked) for count in counts)
        name = samples.names[counts.index(fewest)]
        raise ConfigError(
            f"{name} has {fewest} samples; {few} of {len(counts)} prompts have fewer than n = {max(asked)}"
        )
    return sorted(set(asked))


def _notes(samples: Samples, curve: AccuracyCurve, answer: str) -> Iterator[str]:
    counts = Counter(len(one.correct) for one in samples.prompts)
    fewest = min(counts)
    if len(counts) > 1:
        more = len(samples.prompts) - counts[fewest]
        told = ", ".join(f"{n}: {count}" for n, count in sorted(counts.items()))
        named = f" ({told})" if len(counts) <= COUNTS_NAMED else f", up to {max(counts)}"
        yield (
            f"prompts have different numbers of samples{named}: N ends at {fewest}, the fewest; "
            f"the estimates use all samples of the {more} prompts with more"
        )
    if not samples.voting:
        yield f"no votes: the rows have no column {answer!r} (--answer names it)"
        return
    if samples.silent:
        yield f"{counted(samples.silent, 'sample')} of {curve.samples:,} without an answer, which do not vote"
    if samples.mixed:
        yield (
            f"{counted(samples.mixed, 'answer')} graded right in some samples of a prompt and wrong in "
            "others; such an answer is as right as they are on average"
        )
    for name, how in curve.weights.items():
        rule = "the scores, all in [0, 1]"
        if how == "sigmoid":
            rule = "1 / (1 + exp(-score)), as some scores are not in [0, 1]"
        none = curve.weightless[name]
        yield f"weights of votes by {name}: {rule}" + (f"; {counted(none, 'vote')} weigh 0" if none else "")
    worst = max(float(method.subset_error.max()) for method in curve.methods)
    yield (
        f"votes counted in {curve.subsets} random subsets of each size, or in all where there are fewer; the "
        f"largest standard error from drawing them is {worst:.4f}"
    )


def _write(
    folder: Path, curve: AccuracyCurve, config: Accuracy, samples: Samples, notes: Sequence[str]
) -> None:
    """Write table and figure, then the result, whose presence marks the run as finished."""
    write_csv(
        folder / TABLE, [*_mean_rows(curve), *(row for one in curve.methods for row in _rows(curve, one))]
    )
    draw_accuracy(curve, folder / FIGURE)
    counts = Counter(len(one.correct) for one in samples.prompts)
    result = {
        "data": config.data,
        "prompts": curve.prompts,
        "samples": curve.samples,
        "samples_per_prompt": {str(n): count for n, count in sorted(counts.items())},
        "samples_without_answer": samples.silent if samples.voting else None,
        "answers_graded_both_ways": samples.mixed if samples.voting else None,
        "vote_weights": dict(curve.weights),
        "votes_of_weight_0": dict(curve.weightless) if samples.voting else {},
        "subsets": curve.subsets,
        "level": curve.resampling.level,
        "bootstrap": curve.resampling.resamples,
        "seed": curve.resampling.seed,
        "mean": curve.mean,
        "n": list(curve.n),
        "methods": [{"kind": one.kind, "score": one.score, "at": _rows(curve, one)} for one in curve.methods],
        "differences": [
            {"first": one.first, "second": one.second, "at": _differences(curve, one)}
            for one in curve.differences
        ],
        "largest_n": [_differences(curve, one)[-1] for one in curve.differences],
        "notes": list(notes),
    }
    write_json(folder / REPORT, result)


def _mean_rows(curve: AccuracyCurve) -> list[dict[str, object]]:
    one = next((method for method in curve.methods if method.kind == "best-of-n"), None)
    first = None if one is None or curve.n[0] != 1 else one
    ends = {} if first is None else {"low": finite(first.low[0]), "high": finite(first.high[0])}
    return [{"n": 1, "method": "mean", "score": "", "accuracy": curve.mean, **ends}]


def _rows(curve: AccuracyCurve, method: Method) -> list[dict[str, object]]:
    return [
        {
            "n": n,
            "method": method.kind,
            "score": method.score,
            "accuracy": float(method.accuracy[place]),
            "low": finite(method.low[place]),
            "high": finite(method.high[place]),
            "subset_error": float(method.subset_error[place]),
        }
        for place, n in enumerate(curve.n)
    ]


def _differences(curve: AccuracyCurve, one: Difference) -> list[dict[str, object]]:
    return [
        {
            "n": n,
            "first": one.first,
            "second": one.second,
            "difference": float(one.difference[place]),
            "low": finite(one.low[place]),
            "high": finite(one.high[place]),
        }
        for place, n in enumerate(curve.n)
    ]


def _table(curve: AccuracyCurve) -> Table:
    title = (
        f"{counted(curve.prompts, 'prompt')}, {counted(curve.samples, 'sample')}, mean {percent(curve.mean)}"
    )
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("accuracy at N =", no_wrap=True)
    for n in curve.n:
        table.add_column(f"{n:,}", justify="right", no_wrap=True)
    for method in curve.methods:
        table.add_row(Text(method.name), *(percent(float(value)) for value in method.accuracy))
    return table


def _difference_lines(curve: AccuracyCurve) -> Iterator[str]:
    yield f"differences at N = {curve.n[-1]}, in points, over the same prompts:"
    for one in curve.differences:
        yield f"  {one.first} less {one.second}: {_points(curve, one)}"


def _points(curve: AccuracyCurve, one: Difference) -> str:
    gap, low, high = (100 * float(values[-1]) for values in (one.difference, one.low, one.high))
    if math.isnan(low):
        return f"{decimal(gap, 2, sign=True)}, no interval: it is the same in all resamples"
    interval = f"{decimal(low, 2, sign=True)} to {decimal(high, 2, sign=True)}"
    verdict = "" if low > 0 or high < 0 else ", which holds 0"
    return f"{decimal(gap, 2, sign=True)} ({100 * curve.resampling.level:.4g}% {interval}{verdict})"
