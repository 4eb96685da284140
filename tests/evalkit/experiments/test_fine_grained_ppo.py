import csv
import json
import math
from pathlib import Path

import pytest

from evalkit.experiments.fine_grained_ppo import experiment
from evalkit.experiments.fine_grained_ppo.config import ALL, FineGrainedPpo
from evalkit.experiments.fine_grained_ppo.steps import FineGrainedPpoTrial
from evalkit.experiments.fine_grained_ppo.tables import difference_rows, summary_rows
from evalkit.testbeds.facts import ASPECTS
from rewards.errors import ConfigError


def table(config, name):
    with (Path(config.out) / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def done(tmp_path_factory, language_models):
    """The whole experiment with hardly any training."""
    folder = tmp_path_factory.mktemp("fine-ppo")
    config = FineGrainedPpo(
        work=language_models(folder / "work", "policy"),
        out=str(folder / "out"),
        seeds=[1],
        rewards=["preferences", "spans"],
        weighted=["spans-relevance"],
        answers=32,
        episodes=16,
        buffer=16,
        batch=8,
        epochs=1,
        prompts=3,
        samples=2,
        looks=1,
        questions=20,
        updates=2,
    )
    experiment.run(config)
    return config


def test_gold_is_told_aspect_by_aspect_at_every_look(done):
    rows = table(done, "curves")
    names = [*done.rewards, *done.weighted]
    assert [(row["reward"], row["episodes"]) for row in rows] == [
        (name, at) for name in names for at in ("0", "16")
    ]
    for row in rows:
        assert float(row["gold"]) == pytest.approx(math.fsum(float(row[name]) for name in ASPECTS), abs=1e-3)


def test_all_runs_begin_at_the_same_policy(done):
    for key in ("gold", "length", "relevance", "entropy"):
        assert len({row[key] for row in table(done, "curves") if row["episodes"] == "0"}) == 1


def test_credit_and_weights_are_what_runs_differ_by(done):
    trial = FineGrainedPpoTrial(done, 1)
    at_the_end, dense, weighted = (trial.run(name) for name in ("spans-response", "spans", "spans-relevance"))
    assert (at_the_end.credit, dense.credit) == ("response", "auto")
    assert at_the_end.scorer == dense.scorer
    assert weighted.scorer == f"{dense.scorer}?weights=relevance:3,factuality:1,completeness:1"
    assert at_the_end.ppo == dense.ppo == weighted.ppo == trial.run("gold").ppo


def test_a_finished_run_is_used_again_and_says_how_it_was_made(done, capsys):
    before = {path.name: path.read_bytes() for path in Path(done.out).iterdir()}
    capsys.readouterr()
    experiment.run(done)
    assert "PPO" not in capsys.readouterr().out
    tables = [name for name in before if name.endswith(".csv")]
    assert len(tables) == 3
    assert all((Path(done.out) / name).read_bytes() == before[name] for name in tables)
    assert len(before["curves.png"]) > 10_000
    found = json.loads(before["config.json"])
    assert found["configuration"]["episodes"] == 16
    assert found["ppo"]["reward_normalise"] is True
    assert found["rewards"]["spans-relevance"]["weights"]["relevance"] == 3


def looks(reward, seed, golds):
    """Make a run's rows whose KL is 0, 1, 4, ..."""
    rest = dict.fromkeys((*ASPECTS, "proxy", "length", "entropy", "repetition"), 0.0)
    return [
        {"reward": reward, "seed": seed, "kl": float(at**2), "gold": gold, **rest}
        for at, gold in enumerate(golds)
    ]


def test_runs_are_compared_seed_by_seed_and_at_equal_kl():
    curves = [
        *looks("spans", 1, [0.0, 1.0, 3.0]),
        *looks("spans", 2, [0.0, 2.0, 1.0]),
        *looks("preferences", 1, [0.0, 0.5, 1.0]),
        *looks("preferences", 2, [0.0, 0.5]),
    ]
    summary = {
        (row["reward"], row["measure"]): row for row in summary_rows(curves, ["spans", "preferences"], [1, 2])
    }
    assert summary["spans", "final_gold"]["mean"] == 2.0
    assert summary["spans", "best_gold"]["seed_2"] == 2.0
    assert summary["spans", "mean_gold"]["seed_1"] == 2.0
    assert summary["spans", "gold_at_kl_1"]["mean"] == 1.5
    assert summary["preferences", "gold_at_kl_4"]["mean"] is None
    assert summary["preferences", "gold_at_kl_4"]["seed_1"] == 1.0
    gaps = {row["measure"]: row for row in difference_rows(curves, ["spans", "preferences"], [1, 2])}
    assert (gaps["final_gold"]["seed_1"], gaps["final_gold"]["seed_2"]) == (2.0, 0.5)
    assert gaps["gold_at_kl_1"]["mean"] == 1.0


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"rewards": ["other"]}, "preferences"),
        ({"weighted": ["spans"]}, "spans-relevance"),
        ({"episodes": 1000}, "multiple of 256"),
        ({"answers": 31}, "pairs"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changed, told):
    with pytest.raises(ConfigError, match=told):
        FineGrainedPpo(**changed)


def test_every_reward_has_a_name_of_its_own():
    assert len({reward.title for reward in ALL.values()}) == len(ALL)
