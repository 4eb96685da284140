"""Training a policy in Python, in few lines: fine-tuning, preferences, PPO."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, GraniteConfig

from evalkit.policies import fit_dpo, fit_ppo, fit_sft, load_policy, load_trainable
from evalkit.policies.config import ProbeConfig
from evalkit.policies.policy import SamplingConfig
from evalkit.policies.ppo.config import PpoConfig
from evalkit.policies.ppo.fit import PpoOptions
from rewards.config import LoraConfig, TrainingConfig
from rewards.errors import ConfigError, DataError, ModelError, OutputExistsError
from rewards.records import Generation, Preference
from rewards.scorer import load_scorer
from tests.evalkit.policies.ppo.ppo_models import EOS, byte_tokenizer, policy_folder

PROMPTS = ["ab", "ba b", "b", "aab", "bbb a", "a b a", "bab", "b a", "a", "bb", "bba", "abba"]
QUICK = {"learning_rate": 1e-2, "batch_prompts": 6, "epochs": 3, "tensorboard": False}
SMALL = {"episodes": 64, "buffer": 32, "batch": 16, "epochs": 2, "learning_rate": 3e-3, "max_new_tokens": 6}


@pytest.fixture
def start(tmp_path):
    """Return a policy to train, and the encoder of its responses."""
    return load_trainable(policy_folder(tmp_path))


def written(folder):
    """Return what the policy in a folder writes."""
    ((generation,),) = load_policy(str(folder)).generate(["ab"], 1, SamplingConfig(max_new_tokens=4))
    return generation.response


def test_a_policy_is_fine_tuned(start, tmp_path):
    shown = [Generation(f"{prompt} ", "bb") for prompt in PROMPTS]
    shown[0] = [shown[0], Generation(shown[0].prompt, "ab")]
    result = fit_sft(*start, shown, None, TrainingConfig(**QUICK, evaluation_share=0.25), tmp_path / "out")
    assert (result.train, result.held_out) == (9, 3)
    assert result.evaluation["eval_loss"] < 6
    assert isinstance(written(tmp_path / "out"), str)


def test_a_policy_learns_preferences_against_what_it_was(start, tmp_path):
    pairs = [Preference(f"{prompt} ", "bb", "cc") for prompt in PROMPTS]
    before = {name: weights.clone() for name, weights in start[0].inner.state_dict().items()}
    out = tmp_path / "out"
    result = fit_dpo(*start, pairs, None, TrainingConfig(**QUICK, evaluation_share=0.25), out)
    assert result.evaluation["eval_accuracy"] == 1
    about, recorded = (json.loads((out / name).read_text()) for name in ("policy.json", "reference.json"))
    assert about["reference"] == recorded == about["started_from"]
    assert any(not torch.equal(one, before[name]) for name, one in start[0].inner.state_dict().items())


def test_a_policy_is_optimised(start, tmp_path):
    scorer = load_scorer("rule:pattern?pattern=[a-z]&count=true")
    config = PpoConfig(**{**SMALL, "episodes": 640, "learning_rate": 1e-2, "epochs": 4})
    result = fit_ppo(*start, PROMPTS, None, config, tmp_path / "out", scorer=scorer)
    lines = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["rollout_proxy"] > lines[0]["rollout_proxy"] + 1
    assert (result.rounds, result.prompts, result.held_out_prompts) == (20, 11, 1)
    assert result.last["probe_proxy"] == lines[-1]["probe_proxy"]
    assert isinstance(written(tmp_path / "out"), str)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
    assert all(torch.equal(one, loaded[name]) for name, one in start[0].inner.state_dict().items())


def test_ppo_tells_its_caller_and_prints_nothing_itself(start, tmp_path, capsys):
    said, warned = [], []
    options = PpoOptions(keep_checkpoints=True, say=said.append, warn=warned.append)
    scorer, config, out = load_scorer("rule:constant?value=1"), PpoConfig(**SMALL), tmp_path / "out"
    fit_ppo(*start, PROMPTS, (), config, out, scorer=scorer, options=options)
    assert said == []
    assert [one for one in warned if one.startswith("the reward tells nothing apart: all 32 responses")]
    again = load_trainable(policy_folder(tmp_path))
    fit_ppo(*again, PROMPTS, (), config, out, scorer=scorer, options=options)
    assert said == ["Going on after round 2 of 2"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("rank", [0, 2])
def test_ppo_starts_at_its_reference_whatever_the_critic(start, tmp_path, rank):
    options = PpoOptions(critic="shared", probe=ProbeConfig(every=4))
    config = PpoConfig(**SMALL, lora=LoraConfig(rank=rank))
    out = tmp_path / "out"
    fit_ppo(*start, PROMPTS, ["b", "a"], config, out, scorer=load_scorer("rule:length"), options=options)
    looks = [json.loads(line) for line in (out / "probe.jsonl").read_text().splitlines()]
    assert [look["step"] for look in looks] == [0, 4, 8]
    assert looks[0]["probe_kl"] == pytest.approx(0, abs=1e-4)
    assert looks[-1]["probe_kl"] != pytest.approx(0, abs=1e-4)


def test_a_policy_without_a_classifier_needs_a_shared_critic(tmp_path):
    tokenizer = byte_tokenizer()
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 16, "eos_token_id": EOS}
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "pad_token_id": 0}
    folder = tmp_path / "granite"
    AutoModelForCausalLM.from_config(GraniteConfig(**sizes, **heads)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    scorer, config = load_scorer("rule:length"), PpoConfig(**SMALL)
    with pytest.raises(
        ModelError, match=r"granite: Transformers has no sequence classifier.*--critic shared"
    ):
        fit_ppo(*load_trainable(str(folder)), PROMPTS, (), config, tmp_path / "no", scorer=scorer)
    assert not (tmp_path / "no").exists()
    options, out = PpoOptions(critic="shared"), tmp_path / "out"
    result = fit_ppo(*load_trainable(str(folder)), PROMPTS, (), config, out, scorer=scorer, options=options)
    assert (result.rounds, (out / "policy.json").exists(), (out / "critic").exists()) == (2, True, False)


def trained(method, tmp_path, keep, rate=1e-2, prompts=PROMPTS, seed=0):
    """Train a policy in `tmp_path / "out"` by one of the methods, from a start of a seed."""
    start, out = load_trainable(policy_folder(tmp_path / str(seed), seed=seed)), tmp_path / "out"
    if method == "ppo":
        config = PpoConfig(**{**SMALL, "learning_rate": rate, "kl_coefficient": rate})
        options = PpoOptions(keep_checkpoints=keep)
        return fit_ppo(*start, prompts, (), config, out, scorer=load_scorer("rule:length"), options=options)
    config = TrainingConfig(**{**QUICK, "learning_rate": rate}, evaluation_share=0)
    if method == "dpo":
        pairs = [Preference(f"{prompt} ", "bb", "cc") for prompt in prompts]
        return fit_dpo(*start, pairs, None, config, out, keep_checkpoints=keep)
    shown = [[Generation(f"{prompt} ", "bb")] for prompt in prompts]
    return fit_sft(*start, shown, None, config, out, keep_checkpoints=keep)


@pytest.mark.parametrize("method", ["sft", "dpo", "ppo"])
def test_only_the_same_call_resumes_checkpoints(tmp_path, method):
    first = trained(method, tmp_path, keep=True)
    weights = (tmp_path / "out/model.safetensors").read_bytes()
    for change in ({"rate": 2e-2}, {"prompts": [*PROMPTS[1:], "ba"]}):
        with pytest.raises(OutputExistsError, match="other data, settings or start weights"):
            trained(method, tmp_path, keep=True, **change)
    with pytest.raises((OutputExistsError, ModelError), match=r"other data|began with reference"):
        trained(method, tmp_path, keep=True, seed=1)
    assert trained(method, tmp_path, keep=True) == first
    assert (tmp_path / "out/model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("method", ["sft", "dpo", "ppo"])
def test_a_finished_policy_is_not_trained_over(tmp_path, method):
    trained(method, tmp_path, keep=False)
    assert not (tmp_path / "out/checkpoints").exists()
    with pytest.raises(OutputExistsError, match="holds a trained policy"):
        trained(method, tmp_path, keep=False)


@pytest.mark.parametrize(
    ("settings", "options", "prompts", "error", "message"),
    [
        ({}, {}, [], DataError, "there are no prompts"),
        ({}, {}, ["ab", ""], DataError, "prompt 2: the prompt has no tokens"),
        ({}, {}, ["ab", ["a", "b"]], DataError, "prompt 2: expected a text or a tuple of Message, got"),
        ({"recipe": "ppo-max"}, {}, PROMPTS, ConfigError, "on 0 texts"),
        ({}, {"ptx": [Generation("", "ab")]}, PROMPTS, ConfigError, "on 1 texts"),
        ({"ptx_coefficient": 0.1}, {"ptx": [Generation("a", "b" * 99)]}, PROMPTS, DataError, "text 1: has"),
    ],
)
def test_a_mistake_is_named_and_leaves_nothing(start, tmp_path, settings, options, prompts, error, message):
    out = tmp_path / "out"
    config = PpoConfig(**{**SMALL, **settings})
    with pytest.raises(error, match=message):
        fit_ppo(
            *start, prompts, (), config, out, scorer=load_scorer("rule:length"), options=PpoOptions(**options)
        )
    assert not out.exists()
