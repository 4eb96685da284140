import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from evalkit.experiments.ppo_max import experiment
from evalkit.experiments.ppo_max.config import FULL, VARIANTS, PpoMax
from evalkit.experiments.ppo_max.steps import PpoMaxTrial
from evalkit.experiments.ppo_max.tables import gold_at, summary_rows
from evalkit.policies.ppo import config as ppo_config
from evalkit.policies.ppo.config import RECIPES, resolve_recipe
from rewards.errors import ConfigError

FIGURES = ("panel.png", "ends.png")


def table(folder, name):
    with (Path(folder) / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def done(tmp_path_factory, language_models):
    folder = tmp_path_factory.mktemp("ppo-max")
    config = PpoMax(
        work=language_models(folder / "work", "policy", "base-middle"),
        out=str(folder / "out"),
        seeds=[1],
        variants=["plain", "ppo-max"],
        labels=20,
        episodes=512,
        epochs=1,
        prompts=4,
        samples=1,
        looks=1,
        questions=40,
        texts=80,
        updates=2,
    )
    with pytest.MonkeyPatch.context() as patch:
        short = {**RECIPES["ppo-max"], "critic_pretraining": 1}
        patch.setattr(ppo_config, "RECIPES", {**RECIPES, "ppo-max": short})
        experiment.run(config)
    return config


def test_curves_have_a_row_a_look_and_numbers_in_all_columns(done):
    rows = table(done.out, "curves")
    assert [(row["variant"], row["step"], row["episodes"]) for row in rows] == [
        (name, step, episodes)
        for name in ("plain", "ppo-max")
        for step, episodes in (("0", "0"), ("16", "512"))
    ]
    plain, full = rows[1], rows[3]
    for name in ("proxy", "gold", "kl", "kl_se", "kl_k3", "perplexity", "length", "value_error"):
        assert math.isfinite(float(plain[name]) + float(full[name]))
    assert plain["ptx_loss"] == ""
    assert float(full["ptx_loss"]) > 0


def test_both_begin_alike(done):
    first, _, other, _ = table(done.out, "curves")
    for name in ("proxy", "gold", "perplexity", "length"):
        assert first[name] == other[name]
    assert float(first["kl"]) == pytest.approx(0, abs=1e-4)


def test_what_is_written_says_how_it_was_made(done):
    found = json.loads((Path(done.out) / "config.json").read_text(encoding="utf-8"))
    assert found["configuration"]["episodes"] == 512
    assert {"world", "versions", "agreement_of_reward_models", "common_settings"} <= set(found)
    for figure in FIGURES:
        assert (Path(done.out) / figure).stat().st_size > 10_000


def test_a_finished_run_is_used_again_and_gives_the_same_bytes(done, monkeypatch):
    before = {path.name: path.read_bytes() for path in Path(done.out).iterdir()}
    monkeypatch.setattr("evalkit.training.ppo.run", lambda _: pytest.fail("ran again"))
    experiment.run(done)
    assert {path.name: path.read_bytes() for path in Path(done.out).iterdir()} == before


def test_other_settings_in_the_same_folder_are_refused(done):
    other = PpoMax(**{**vars(done), "learning_rate": 2e-3})
    with pytest.raises(ConfigError, match="learning_rate"):
        experiment.run(other)


def test_each_part_of_the_recipe_is_left_out_once():
    trial = PpoMaxTrial(PpoMax(work="nowhere"), 30)
    full = resolve_recipe(trial.run(FULL).ppo)
    left_out = set()
    for name, variant in VARIANTS.items():
        own = resolve_recipe(trial.run(name).ppo)
        differing = {key for key in vars(full) if getattr(own, key) != getattr(full, key)} - {"recipe"}
        assert own.episodes == full.episodes
        if name.startswith("no-") or name == "large-buffer":
            (part,) = differing
            left_out.add(part)
            assert part == "kl_coefficient" or getattr(own, part) == RECIPES["plain"][part]
        elif variant.reseeded:
            assert differing == {"seed"}
    assert left_out == (set(RECIPES["ppo-max"]) - {"kl_target"}) | {"kl_coefficient"}


def test_gold_at_a_kl_is_linear_in_d():
    kl, gold = np.array([0.0, 1.0, 9.0]), np.array([0.0, 1.0, 3.0])
    assert gold_at(kl, gold, 1.0) == 1.0
    assert gold_at(kl, gold, 4.0) == pytest.approx(2.0)  # d = 2 lies halfway between 1 and 3
    assert math.isnan(gold_at(kl, gold, 10.0))


def test_differences_are_those_of_each_seed():
    def look(variant, seed, step, gold, kl):
        return {"variant": variant, "seed": seed, "step": step, "episodes": step, "gold": gold, "kl": kl}

    curves = [
        look(name, seed, step, step * slope + seed, 9.0 * step)
        for name, slope in (("plain", 1.0), ("ppo-max", 2.0))
        for seed in (1, 2)
        for step in (0, 1)
    ]
    rows = {(row["variant"], row["measure"]): row for row in summary_rows(curves, ["plain", FULL], [1, 2])}
    plain = rows["plain", "final_gold"]
    assert (plain["mean"], plain["low"], plain["high"]) == (2.5, 2.0, 3.0)
    # The seeds differ by 1 and the variants by 1 in each of them, so that the difference has no spread.
    assert (plain["difference"], plain["difference_low"], plain["difference_high"]) == (-1.0, -1.0, -1.0)
    # The last look is at d = 3, and gold rises by 1 until there.
    assert rows["plain", "gold_at_kl_1"]["mean"] == pytest.approx(1.5 + 1 / 3, abs=1e-4)


def test_looks_that_variants_do_not_share_are_refused():
    with pytest.raises(ConfigError, match="looks"):
        PpoMax(looks=7)
    with pytest.raises(ConfigError, match="variants"):
        PpoMax(variants=["plain"])
