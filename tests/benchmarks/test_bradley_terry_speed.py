"""A million verdicts on 100 systems: Bradley-Terry and win rate, beside evalica and scikit-learn."""

import multiprocessing
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import expit

from judges.statistics.bradley_terry import bradley_terry
from judges.statistics.win_rate import win_rate
from tests.benchmarks.conftest import clock, write_results

VERDICTS, SYSTEMS, PROMPTS = 1_000_000, 100, 10_000
REPEATS = 2


class Measured(NamedTuple):
    """What one way costs in a process of its own, and the strengths it finds."""

    wall: float
    processor: float
    megabytes: float
    """The peak above what data and imports take."""
    strengths: np.ndarray | None


def write_data(path: Path) -> None:
    """Each prompt has 50 pairs of systems, judged in both orders by a judge that prefers the first place."""
    rng = np.random.default_rng(0)
    one = rng.integers(0, SYSTEMS, VERDICTS // 2)
    other = (one + rng.integers(1, SYSTEMS, VERDICTS // 2)) % SYSTEMS
    strengths = np.linspace(-1.5, 1.5, SYSTEMS)
    first, second = np.concatenate([one, other]), np.concatenate([other, one])
    shared = np.tile(rng.normal(size=VERDICTS // 2), 2) * np.repeat([1, -1], VERDICTS // 2)
    chance = expit(strengths[first] - strengths[second] + shared + 0.3)
    u = rng.random(VERDICTS)
    outcome = np.where(u < 0.9 * chance, 1.0, np.where(u < 0.9 * chance + 0.1, 0.5, 0.0))
    prompts = np.tile(np.arange(VERDICTS // 2) % PROMPTS, 2)
    np.savez(path, first=first, second=second, outcome=outcome, prompts=prompts)


def ours(first: np.ndarray, second: np.ndarray, outcome: np.ndarray, prompts: np.ndarray) -> Callable:
    return lambda: bradley_terry(first, second, outcome, prompts, resamples=0).strengths


def ours_bootstrap(
    first: np.ndarray, second: np.ndarray, outcome: np.ndarray, prompts: np.ndarray
) -> Callable:
    return lambda: bradley_terry(first, second, outcome, prompts, resamples=1000).strengths


def ours_win_rate(
    first: np.ndarray, second: np.ndarray, outcome: np.ndarray, prompts: np.ndarray
) -> Callable:
    del first, second
    return lambda: win_rate(outcome, prompts, resamples=1000) and None


def evalica_winners(outcome: np.ndarray) -> list:
    import evalica

    kinds = {1.0: evalica.Winner.X, 0.5: evalica.Winner.Draw, 0.0: evalica.Winner.Y}
    return [kinds[value] for value in outcome.tolist()]


def evalica_fit(first: np.ndarray, second: np.ndarray, outcome: np.ndarray, prompts: np.ndarray) -> Callable:
    import evalica

    del prompts
    rows = (first.tolist(), second.tolist(), evalica_winners(outcome))

    def run() -> np.ndarray:
        logs = np.log(evalica.bradley_terry(*rows).scores.sort_index().to_numpy())
        return logs - logs.mean()

    return run


def evalica_bootstrap(
    first: np.ndarray, second: np.ndarray, outcome: np.ndarray, prompts: np.ndarray
) -> Callable:
    import evalica

    del prompts  # it resamples rows
    rows = (first.tolist(), second.tolist(), evalica_winners(outcome))
    options = {"n_resamples": 10, "bootstrap_method": "percentile", "random_state": 0}
    return lambda: evalica.bootstrap(evalica.bradley_terry, *rows, **options) and None


def sklearn_fit(first: np.ndarray, second: np.ndarray, outcome: np.ndarray, prompts: np.ndarray) -> Callable:
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    del prompts

    def run() -> np.ndarray:
        rows = np.arange(len(first))
        sides = sparse.coo_array(
            (np.repeat([1.0, -1.0], len(rows)), (np.tile(rows, 2), np.concatenate([first, second])))
        ).tocsr()
        tied = outcome == 0.5
        features = sparse.vstack([sides, sides[tied]], format="csr")
        labels = np.concatenate([outcome >= 0.5, np.zeros(tied.sum(), dtype=bool)])
        weights = np.concatenate([np.where(tied, 0.5, 1.0), np.full(tied.sum(), 0.5)])
        model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-6, max_iter=1000)
        found = model.fit(features, labels, weights).coef_[0]
        return found - found.mean()

    return run


WAYS: dict[str, tuple[Callable, int]] = {
    "evalkit, fit and clustered errors": (ours, 0),
    "evalica, fit": (evalica_fit, 0),
    "scikit-learn, fit": (sklearn_fit, 0),
    "evalkit, fit and prompts resampled": (ours_bootstrap, 1000),
    "evalica, fit and rows resampled": (evalica_bootstrap, 10),
    "evalkit, win rate and prompts resampled": (ours_win_rate, 1000),
}


def peak_kilobytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def measure(way: str, path: Path, results: "multiprocessing.Queue[Measured]") -> None:
    with np.load(path) as data:
        run = WAYS[way][0](data["first"], data["second"], data["outcome"], data["prompts"])
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before = peak_kilobytes()
    with clock() as measured:
        strengths = run()
    peak = peak_kilobytes()
    results.put(Measured(measured.wall, measured.processor, (peak - before) / 1024, strengths))


def in_own_process(way: str, path: Path) -> Measured:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[Measured] = context.Queue()
    process = context.Process(target=measure, args=(way, path, results))
    process.start()
    found = results.get(timeout=600)
    process.join()
    return found


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_a_million_verdicts_on_a_hundred_systems(tmp_path: Path) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("peak memory is read from Linux's /proc")
    pytest.importorskip("evalica")
    pytest.importorskip("sklearn")
    path = tmp_path / "verdicts.npz"
    write_data(path)
    runs: dict[str, Measured] = {}
    for _ in range(REPEATS):  # interleaved, so that a slow moment of the machine hits all alike
        for way in WAYS:
            found = in_own_process(way, path)
            if way not in runs or found.wall < runs[way].wall:
                runs[way] = found
    fit, bootstrap, win = (runs[way] for way in WAYS if way.startswith("evalkit"))
    rows = []
    for way, (_, resamples) in WAYS.items():
        found = runs[way]
        difference = None if found.strengths is None else np.abs(found.strengths - fit.strengths).max()
        reference = win.wall if "win rate" in way else bootstrap.wall if resamples else fit.wall
        rows.append(
            {
                "way": way,
                "verdicts": VERDICTS,
                "systems": SYSTEMS,
                "prompts": PROMPTS,
                "resamples": resamples,
                "seconds": round(found.wall, 3),
                "processor_seconds": round(found.processor, 3),
                "peak_megabytes": round(found.megabytes),
                "slower_than_ours": round(found.wall / reference * (1000 / resamples if resamples else 1), 2),
                "largest_strength_difference": "" if difference is None else f"{difference:.1e}",
            }
        )
    write_results("statistics", rows)
    for row in rows:
        assert not row["largest_strength_difference"] or float(row["largest_strength_difference"]) < 1e-3
