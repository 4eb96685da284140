"""Recipes and their switches, and settings that name what is wrong with them."""

import pytest

from evalkit.policies.config import ProbeConfig
from evalkit.policies.ppo.config import RECIPES, PpoConfig, resolve_recipe
from evalkit.training.policy_config import TrainPpo
from rewards.config import LoraConfig
from rewards.errors import ConfigError

SWITCHES = ("reward_normalise", "reward_clip", "critic_pretraining", "ptx_coefficient", "max_gradient_norm")


def train(**settings):
    return TrainPpo(**{"policy": "P", "data": "D", "scorer": "S", "out": "O", **settings})


def test_plain_leaves_out_what_ppo_max_has():
    plain, full = resolve_recipe(PpoConfig()), resolve_recipe(PpoConfig(recipe="ppo-max"))
    assert not any(getattr(plain, name) for name in SWITCHES)
    assert all(getattr(full, name) for name in SWITCHES)
    assert full.buffer < plain.buffer
    # As in the paper: clipped to 0.8 after normalising, values clipped at 0.2, the coefficient fixed.
    assert (full.reward_clip, full.value_clip, full.kl_coefficient, full.kl_target) == (0.8, 0.2, 0.05, 0)


@pytest.mark.parametrize("recipe", sorted(RECIPES))
@pytest.mark.parametrize("name", sorted(RECIPES["plain"]))
def test_a_switch_that_is_set_stands_whatever_the_recipe(recipe, name):
    value = {"reward_normalise": False, "buffer": 64, "critic_pretraining": 3}.get(name, 0.0)
    found = resolve_recipe(PpoConfig(recipe=recipe, **{name: value}))
    assert getattr(found, name) == value
    others = {other: wanted for other, wanted in RECIPES[recipe].items() if other != name}
    assert {other: getattr(found, other) for other in others} == others
    assert resolve_recipe(found) == found


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"buffer": 48, "batch": 32}, r"ppo\.buffer 48 is no multiple of ppo\.samples 1 and ppo\.batch 32"),
        ({"buffer": 64, "samples": 3}, r"ppo\.buffer 64 is no multiple of ppo\.samples 3"),
        ({"recipe": "ppo-max", "batch": 100}, r"ppo\.buffer 128"),
        ({"buffer": 0}, r"ppo\.buffer is 1 or more, got 0"),
        ({"batch": 32, "micro_batch": 5}, r"ppo\.batch 32 is no multiple of ppo\.micro_batch 5"),
        ({"reward_clip": -1.0}, r"ppo\.reward_clip is 0 or more, got -1"),
        ({"value_clip": float("nan")}, r"ppo\.value_clip is 0 or more, got nan"),
        ({"kl_target": float("inf")}, r"ppo\.kl_target is 0 or more, got inf"),
        ({"kl_target": 5.0, "kl_horizon": 100}, r"ppo\.kl_horizon .* a fifth of ppo\.buffer 512"),
        (
            {"objective": "penalty", "epochs": 1, "buffer": 32},
            r"ppo\.objective penalty .* there is one update",
        ),
        ({"learning_rate": 0.0}, r"ppo\.learning_rate is above 0, got 0"),
        ({"kl_coefficient": -0.1}, r"ppo\.kl_coefficient is 0 or more, got -0\.1"),
        ({"lam": 1.5}, r"ppo\.lam is in \[0, 1\], got 1\.5"),
        ({"temperature": 0.0}, r"ppo\.temperature is above 0, got 0"),
        ({"unfinished_reward": float("nan")}, r"ppo\.unfinished_reward is a finite number, got nan"),
        ({"empty_reward": float("-inf")}, r"ppo\.empty_reward is a finite number, got -inf"),
        ({"lora": LoraConfig(rank=2, dropout=0.1)}, r"ppo\.lora\.dropout is 0, got 0\.1"),
        ({"lora": LoraConfig(rank=2, merge=False)}, r"ppo\.lora\.merge false"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        PpoConfig(**settings)


def test_the_mixed_in_loss_needs_texts_and_texts_a_weight():
    with pytest.raises(ConfigError, match=r"ppo-max mixes in .* --ptx_data"):
        train(ppo=PpoConfig(recipe="ppo-max"))
    with pytest.raises(ConfigError, match=r"ptx_data is given, and ppo\.ptx_coefficient 0 leaves it out"):
        train(ptx_data="T")
    assert train(ptx_data="T", ppo=PpoConfig(recipe="ppo-max")).ptx_data == "T"
    assert train(ppo=PpoConfig(recipe="ppo-max", ptx_coefficient=0.0)).ptx_data == ""


def test_k1_is_for_the_reward_alone():
    with pytest.raises(ConfigError, match=r"ppo\.kl_kind k1 in the loss pulls nowhere"):
        train(ppo=PpoConfig(kl_in="loss"))
    assert train(ppo=PpoConfig(kl_in="loss", kl_kind="k2")).ppo.kl_kind == "k2"


def test_no_input_is_written_over(tmp_path):
    inside = tmp_path / "critic"
    inside.mkdir()
    for settings in (
        {"critic": str(inside)},
        {"policy": str(inside)},
        {"probe": ProbeConfig(data=str(inside))},
    ):
        with pytest.raises(ConfigError, match="is an input and would be changed"):
            train(out=str(tmp_path), **settings)
    with pytest.raises(ConfigError, match="limit is 0 or more, got -1"):
        train(limit=-1)


def test_a_folder_called_policy_is_not_the_critics_word(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy").mkdir()
    assert train(out="policy").critic == "policy"
