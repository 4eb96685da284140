"""Process against outcome supervision in small: every table is whole, and a killed run goes on."""

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evalkit.experiments.process_vs_outcome import experiment
from evalkit.experiments.process_vs_outcome import steps as process_vs_outcome_steps
from evalkit.experiments.process_vs_outcome import world as process_vs_outcome_world
from evalkit.experiments.process_vs_outcome.config import ProcessVsOutcome
from evalkit.experiments.process_vs_outcome.labels import agreement
from evalkit.experiments.process_vs_outcome.samples import SolutionPool, Way, accuracies, curves, diagnose
from evalkit.testbeds.world_models import Schooling
from rewards.errors import ConfigError
from rewards.files import read_rows, write_rows

SMALL = ProcessVsOutcome(
    seeds=[0],
    sizes=[80, 160],
    epochs=[1.0, 1.0],
    problems=6,
    samples=8,
    automatic=80,
    rollouts=2,
    search_sizes=[160],
    search_n=[4],
    hidden=32,
)
SCHOOLING = Schooling(gate=0.6, every=50, most=100, cool_down=50, documents=3_000, batch=64)


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The configuration of a run that was killed in the middle and then finished, and what it did again."""
    folder = tmp_path_factory.mktemp("process-vs-outcome")
    config = replace(SMALL, work=str(folder / "work"), out=str(folder / "out"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process_vs_outcome_world, "SCHOOLING", SCHOOLING)
        with pytest.MonkeyPatch.context() as killing:
            killing.setattr(process_vs_outcome_steps.process_eval, "run", interrupted)
            with pytest.raises(KeyboardInterrupt):
                experiment.run(config)
        experiment.run(config)
    return config


def table(config, name):
    with (Path(config.out) / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_killed_run_does_no_step_twice(done):
    for seed in done.seeds:
        file = Path(done.work) / f"seed-{seed}" / "seconds.jsonl"
        titles = Counter(str(row.column("step")) for row in read_rows(str(file)))
        assert max(titles.values()) == 1
        assert len(titles) > 30


def test_tables_have_all_rows(done):
    seeds, sizes, n = len(done.seeds), len(done.sizes), 4  # N = 1, 2, 4, 8
    scorers = 2 * sizes + 3
    assert len(table(done, "curves")) == (3 * scorers + 3 * sizes) * n * (seeds + 1)
    assert len(table(done, "first_errors")) == (scorers - sizes) * 2 * seeds
    assert len(table(done, "aggregations")) == sizes * seeds * 5 * n
    assert len(table(done, "choices")) == scorers * seeds
    assert len(table(done, "automatic_labels")) == 2 * seeds
    assert len(table(done, "search")) == 3 * seeds
    assert len(table(done, "training")) == (1 + scorers) * seeds
    for figure in ("accuracy.png", "labels.png"):
        assert (Path(done.out) / figure).stat().st_size > 10_000


def test_curves_are_those_of_the_command(done):
    """Votes too, as their subsets are the same."""
    own = {
        (row["solutions"], row["seed"], row["kind"], row["score"], row["n"]): float(row["accuracy"])
        for row in table(done, "curves")
        if row["measure"] == "answer"
    }
    compared = 0
    for size in done.sizes:
        for seed in done.seeds:
            path = Path(done.work) / f"seed-{seed}" / f"accuracy-{size}" / "accuracy.csv"
            with path.open(encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    if row["method"] != "mean":
                        mine = own[str(size), str(seed), row["method"], row["score"], row["n"]]
                        assert mine == pytest.approx(float(row["accuracy"]), abs=1e-4)
                        compared += 1
    assert compared == ((2 + 2 * 5) + (2 + 2 * 2)) * 4  # ways at each of four N


def test_both_models_learn_from_the_same_solutions(done):
    rows = [row for row in table(done, "training") if row["model"] in ("prm", "orm")]
    for seed in done.seeds:
        for size in done.sizes:
            prm, orm = (row for row in rows if (row["seed"], row["solutions"]) == (str(seed), str(size)))
            assert prm["trained_on"] == orm["trained_on"]
            assert prm["updates"] == orm["updates"]


POOL = SolutionPool(
    correct=np.array([[1.0, 0, 0, 1], [0.0, 0, 0, 1]]),
    sound=np.array([[1.0, 0, 0, 0], [0.0, 0, 0, 1]]),
    answers=np.array([[3, 4, 4, 3], [5, 5, 5, 6]]),
    scores={"prm": np.array([[0.9, 0.1, 0.2, 0.3], [0.1, 0.2, 0.3, 0.9]]),
            "orm": np.array([[0.3, 0.1, 0.2, 0.9], [0.1, 0.2, 0.9, 0.3]])},
    steps=(((0.9,), (0.1,), (0.2,), (0.3,)), ((0.1,), (0.2,), (0.3,), (0.9,))),
)  # fmt: skip


def test_accuracies_by_hand():
    found = accuracies(POOL, 0)
    assert found[Way("best-of-n", "prm")][:, -1].tolist() == [1, 1]
    assert found[Way("best-of-n", "orm")][:, -1].tolist() == [1, 0]
    assert found[Way("best-of-n", "orm", "sound")][:, -1].tolist() == [0, 0]
    assert found[Way("majority")][:, -1].tolist() == [0.5, 0]  # 3 and 4 share the first vote
    assert found[Way("pass")][:, 0].tolist() == [0.5, 0.25]


def test_what_a_scorer_puts_first():
    orm = diagnose(POOL, "orm")
    assert (orm.sound, orm.false_positive, orm.wrong) == (0, 0.5, 0.5)
    assert orm.popular == 1  # its wrong choice, 5, is the most frequent answer
    assert orm.within == pytest.approx((1 + 2 / 3) / 2)


def test_differences_are_paired_and_pooled_over_seeds():
    measured = curves(10, {0: POOL, 1: POOL})
    prm, orm = Way("best-of-n", "prm"), Way("best-of-n", "orm")
    assert (measured.means[prm] - measured.means[orm])[:, -1].tolist() == [0.5, 0.5]
    low, high = measured.interval(prm, orm)[-1]
    assert 0 <= low < 0.5 < high <= 1
    assert measured.interval(prm)[-1] == (None, None)  # right in all resamples


def test_agreement_by_hand(tmp_path):
    counts = [{"sampled": 4}, {"sampled": 4}, {"sampled": 0}]
    automatic = {"hard_labels": [1.0, 1.0, 0.0], "soft_labels": [0.75, 0.25, 0.0], "rollouts": counts}
    early = {"rollouts": [{"sampled": 1}, {"sampled": 2}, {"sampled": 0}]}
    gold = {"prompt": "p", "completions": ["a", "b", "c"], "labels": [1.0, 0.0, None]}
    files = []
    for name, row in (("rollouts", automatic), ("early", early), ("gold", gold)):
        files.append(str(tmp_path / f"{name}.jsonl"))
        write_rows(files[-1], [row])
    hard, soft = agreement(*files)
    assert (hard["steps"], hard["agree"], hard["wrong_called_wrong"], hard["first_error_alike"]) == (
        2,
        0.5,
        0,
        0,
    )
    assert (soft["agree"], soft["first_error_alike"]) == (1, 1)
    assert (hard["completions"], hard["completions_with_early_stopping"]) == (8, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": [1.0]}, "epochs"),
        ({"automatic": 7}, "automatic"),
        ({"search_n": [6]}, "multiples of 4"),
        ({"search_sizes": [3]}, "search_sizes"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change, said):
    with pytest.raises(ConfigError, match=said):
        experiment.run(replace(SMALL, **change))
