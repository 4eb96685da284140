"""`evalkit overopt`: proxy and gold against distance under best-of-n, with a fitted curve."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from evalkit import runs
from evalkit.overoptimization.config import Overopt
from evalkit.overoptimization.curve import Curve, best_of_n_curve, best_of_n_sizes
from evalkit.overoptimization.figures import overoptimization_figure
from evalkit.overoptimization.pool import (
    INPUTS,
    SCORES,
    drop_scores,
    keep_scores,
    read_pool,
    return_scores,
    score_pool,
)
from evalkit.overoptimization.tables import curve_table
from evalkit.runs.files import atomic_write, spec_fingerprint
from evalkit.runs.terminal import say, show
from rewards.errors import ConfigError
from rewards.scorer import load_scorer, truncated

REPORT, CURVE, FIGURE = "fit.json", "curve.csv", "curve.png"


def run(config: Overopt) -> None:
    """Score a pool of samples by proxy and gold, and draw gold under best-of-n by the proxy.

    The scores are kept in the output folder: the same command with other sizes or resamples, and
    `--overwrite`, reuses them as long as data, scorers and models are the same.

    Raises:
        ConfigError: A prompt has too few samples for an n, or a proxy is named twice.
        DataError: A row is not {prompt, responses} or {prompt, response}.
        OutputExistsError: The folder holds a finished run, or one of another configuration.
        ScoringError: A sample has no score.
    """
    specs = [config.proxy] if isinstance(config.proxy, str) else list(config.proxy)
    if not specs or len(set(specs)) < len(specs):
        raise ConfigError(f"--proxy names one scorer, or a list of different ones, got {specs}")
    pool = read_pool(config.data, config.rename)
    sizes = best_of_n_sizes(pool.counts, config.n or None, pool.names)
    columns = {"gold": config.gold} | {column(index): spec for index, spec in enumerate(specs)}
    scorers = {name: load_scorer(spec) for name, spec in columns.items()}
    inputs = {
        "data": pool.fingerprint(),
        "scorers": {name: spec_fingerprint(spec) for name, spec in columns.items()},
    }
    with _opened(config, inputs) as folder:
        scores = score_pool(pool, scorers, folder, inputs)
        curves = {
            spec: best_of_n_curve(
                scores[column(index)], scores["gold"], sizes, config.level, config.bootstrap, config.seed
            )
            for index, spec in enumerate(specs)
        }
        _write(folder, curves, config.gold)
    for label, curve in zip(labels(list(curves)), curves.values(), strict=True):
        show(curve_table(curve, label))
        say(f"{curve.summary(label, config.gold)}\n")
    say("\n".join(f"{folder / name}" for name in (FIGURE, CURVE, REPORT, SCORES)))
    for name, spec in columns.items():
        if cut := truncated(scorers[name]):
            say(f"{spec}: {cut} responses were scored with a shortened prompt")


def column(index: int) -> str:
    """Return the column of `scores.jsonl` that holds a proxy: proxy, proxy_2, proxy_3, ..."""
    return f"proxy_{index + 1}" if index else "proxy"


def fit_record(curve: Curve) -> dict[str, object]:
    """Return a curve's fit, peak and settings as `fit.json` holds them; null where there is no number."""
    best = curve.best
    record: dict[str, object] = {
        "prompts": curve.prompts,
        "samples": curve.samples,
        "level": curve.level,
        "bootstrap": curve.bootstrap,
        "seed": curve.seed,
        "gold_start": curve.gold_start,
        "gold_sd": curve.gold_sd,
        "proxy_start": curve.proxy_start,
        "proxy_sd": curve.proxy_sd,
        "best_measured": {"n": curve.n[best], "d": float(curve.d[best]), "gold": float(curve.gold[best])},
    }
    if curve.fit is None:
        return record | {"note": "a fit needs two sizes above 1 or more"}
    law = curve.fit.law
    return record | {
        "form": law.form,
        "alpha": law.alpha,
        "alpha_interval": law.alpha_interval,
        "beta": law.beta,
        "beta_interval": law.beta_interval,
        "r2": law.r2,
        "peak_d": law.peak_d,
        "peak_d_interval": curve.fit.peak_d_interval,
        "peak_n": curve.fit.peak_n,
        "peak_n_interval": curve.fit.peak_n_interval,
        "peak_gold": law.peak_gold,
        "peak_gold_interval": curve.fit.peak_gold_interval,
        "peak_share": curve.fit.peak_share,
        "note": law.note,
    }


def labels(specs: Sequence[str]) -> list[str]:
    """Return short names of scorers: a model folder's own name, where that is unique."""
    short = [Path(spec).name if Path(spec).is_dir() else spec for spec in specs]
    return short if len(set(short)) == len(specs) else list(specs)


@contextmanager
def _opened(config: Overopt, inputs: Mapping[str, object]) -> Iterator[Path]:
    """Open the run's folder; a replaced run's scores of the same inputs stay, also where it is refused."""
    place = Path(config.out).resolve()
    aside = keep_scores(place, inputs) if config.overwrite else None
    try:
        with runs.run(config, done=REPORT, preliminary=(INPUTS,)) as folder:
            return_scores(aside, place)
            if config.overwrite and aside is None:
                drop_scores(folder)
            yield folder
    finally:
        return_scores(aside, place)


def _write(folder: Path, curves: Mapping[str, Curve], gold: str) -> None:
    """Write table, figure and fit; the fit last, since it marks the run as finished."""
    with atomic_write(folder / CURVE) as file:
        table = csv.writer(file, lineterminator="\n")
        for number, (proxy, curve) in enumerate(curves.items()):
            columns = curve.columns()
            if not number:
                table.writerow(("scorer", *columns))
            for row in zip(*columns.values(), strict=True):
                table.writerow((proxy, *("" if value is None else repr(value) for value in row)))
    overoptimization_figure(dict(zip(labels(list(curves)), curves.values(), strict=True)), folder / FIGURE)
    records = [{"proxy": proxy, "gold": gold, **fit_record(curve)} for proxy, curve in curves.items()]
    with atomic_write(folder / REPORT) as file:
        json.dump(records[0] if len(records) == 1 else {"curves": records}, file, indent=2, allow_nan=False)
