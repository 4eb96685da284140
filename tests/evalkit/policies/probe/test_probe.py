"""The probe of a policy in training: its KL against the exact one, its files, the best weights, the stop."""

import copy
import json

import numpy as np
import pytest
import torch

from evalkit.policies.checkpoint import load_causal, read_policy
from evalkit.policies.config import ProbeConfig
from evalkit.policies.language_model import LanguageModel, packs_of
from evalkit.policies.probe.probe import BEST, PROBES, SAMPLES, PolicyProbe, make_probe
from evalkit.policies.probe.prompts import PromptRecord
from evalkit.policies.reference import load_reference
from rewards.config import LoraConfig, TrainingConfig
from rewards.errors import DataError, ScoringError
from rewards.models.checkpoint import weights_hash
from rewards.models.head import prepare_for_packing
from rewards.records import Message, Score
from rewards.scorer import load_scorer
from rewards.training.examples import TrainingSplit
from rewards.training.fitting import add_adapters, fit_examples

PROMPTS = ["a bc", "d", "hello", "xyz zyx"]


@pytest.fixture(scope="module")
def loaded(policy_folder):
    model, tokenizer = load_causal(policy_folder, policy_folder)
    return model, tokenizer, load_reference(policy_folder, tokenizer, torch.device("cpu"))


def moved(model, scale=0.2):
    """Return a copy of a model that is no longer its reference."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in other.parameters():
            weight += scale * torch.randn(weight.shape, generator=generator)
    return other


def asked(prompts=PROMPTS, **extra):
    return [PromptRecord(prompt, f"held.jsonl:{number}", extra) for number, prompt in enumerate(prompts, 1)]


def proxies(spec):
    return {"proxy": (spec, load_scorer(spec))} if spec else {}


def probe_in(folder, loaded, prompts=None, proxy="rule:length", **settings):
    _, tokenizer, reference = loaded
    folder.mkdir(exist_ok=True)
    config = ProbeConfig(**({"max_new_tokens": 6, "gold": "rule:length?unit=characters"} | settings))
    return make_probe(
        config, prompts or asked(), tokenizer, reference, folder, {"by": "a test"}, proxies(proxy)
    )


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@torch.no_grad()
def next_log_probs(model, tokens):
    return model(torch.tensor([tokens])).logits[0, -1].double().log_softmax(-1)


@pytest.mark.parametrize("packed", [False, True])
def test_kl_and_entropy_are_the_exact_ones_of_a_one_token_policy(tmp_path, loaded, packed):
    model, tokenizer, _ = loaded
    policy = LanguageModel(moved(model))
    assert not packed or prepare_for_packing(policy)
    found = probe_in(tmp_path, loaded, max_new_tokens=1, samples=1000).measure(policy, 0)
    exact, spread, entropy = [], [], []
    for prompt in PROMPTS:
        tokens = tokenizer(prompt)["input_ids"]
        mine, other = next_log_probs(moved(model), tokens), next_log_probs(model, tokens)
        exact.append(float((mine.exp() * (mine - other)).sum()))
        spread.append(float((mine.exp() * (mine - other) ** 2).sum()) - exact[-1] ** 2)
        entropy.append(-float((mine.exp() * mine).sum()))
    assert np.mean(exact) > 0.2
    assert found["probe_entropy"] == pytest.approx(np.mean(entropy), abs=1e-4)
    # The draws of each prompt are 1000, so that the error of the mean is known exactly.
    error = np.sqrt(np.mean(spread) / 4000)
    assert abs(found["probe_kl"] - np.mean(exact)) < 4 * error < 0.2 * np.mean(exact)
    assert abs(found["probe_kl_k3"] - np.mean(exact)) < 0.2 * np.mean(exact)
    assert found["probe_length"] == 1


def test_a_policy_that_is_its_reference_has_no_kl(tmp_path, loaded):
    found = probe_in(tmp_path, loaded).measure(LanguageModel(loaded[0]), 0)
    assert found["probe_kl"] == pytest.approx(0, abs=1e-5)
    assert found["probe_kl_k3"] == pytest.approx(0, abs=1e-5)
    assert found["probe_perplexity"] == pytest.approx(found["probe_policy_perplexity"], rel=1e-5)


def test_a_probe_is_written_and_read_and_leaves_the_run_as_it_was(tmp_path, loaded):
    model = LanguageModel(moved(loaded[0])).train()
    prompts = [*asked(), PromptRecord((Message("user", "hi"),), "chat", {})]
    tokenizer = copy.deepcopy(loaded[1])
    tokenizer.chat_template = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"
    probe = probe_in(tmp_path, (loaded[0], tokenizer, loaded[2]), prompts, samples=2)
    before, state = weights_hash(model.inner), torch.get_rng_state()
    found = probe.measure(model, 3)
    assert model.training
    assert all(module.training for module in model.modules())
    assert torch.equal(state, torch.get_rng_state())
    assert weights_hash(model.inner) == before
    assert not any(weight.grad is not None for weight in model.parameters())
    (line,) = lines_of(tmp_path / PROBES)
    assert line == {"step": 3, **found, "warnings": []}
    assert {"probe_proxy", "probe_gold_q95", "probe_kl_se", "probe_finished", "probe_entropy"} <= found.keys()
    shown = lines_of(tmp_path / SAMPLES)
    assert [row["prompt"] for row in shown] == [*PROMPTS, [{"role": "user", "content": "hi"}]]
    for row in shown:
        assert row["step"] == 3
        assert row["proxy"] == row["gold"] == len(row["response"])
    again = probe_in(tmp_path / "again", (loaded[0], tokenizer, loaded[2]), prompts, samples=2)
    assert again.measure(model, 3) == found  # the same random numbers


class Told:
    """A scorer that gives every response the same, probe by probe another."""

    def __init__(self, *values):
        self.values = list(values)

    def score(self, generations):
        value = self.values.pop(0)
        return [Score(value)] * len(generations)


def told(folder, loaded, name, values, patience=0):
    folder.mkdir(exist_ok=True)
    config = ProbeConfig(max_new_tokens=4, patience=patience)
    return PolicyProbe(
        config, asked(), loaded[1], loaded[2], {name: ("told", Told(*values))}, folder, {"by": "a test"}
    )


def change(model, step):
    with torch.no_grad():
        model.inner.model.norm.weight.fill_(1.0 + step)


def test_the_best_weights_are_kept_and_patience_ends_the_run(tmp_path, loaded):
    model = LanguageModel(copy.deepcopy(loaded[0]))
    probe = told(tmp_path, loaded, "gold", [1.0, 3.0, 3.0, 2.0, 9.0], patience=2)
    stops = []
    for step in (0, 10, 20, 30):
        change(model, step)
        probe.measure(model, step)
        stops.append(probe.stops)
    assert stops == [False, False, False, True]
    best, _ = load_causal(str(tmp_path / BEST), "best")
    assert best.model.norm.weight[0].item() == 11.0
    assert read_policy(str(tmp_path / BEST)) == {
        "by": "a test",
        "step": 10,
        "value": 3.0,
        "value_of": "gold",
        "scorer": "told",
    }
    # Resumed from step 10: what was seen later does not end the run before it is seen again.
    resumed = told(tmp_path, loaded, "gold", [], patience=2)
    resumed.measure(model, 10)
    assert not resumed.stops
    resumed.measure(model, 30)
    assert resumed.stops
    ended = told(tmp_path, loaded, "gold", [], patience=2)
    ended.resume(30)
    assert ended.stops


def test_without_gold_the_proxy_decides_and_without_both_nothing_does(tmp_path, loaded):
    model = LanguageModel(copy.deepcopy(loaded[0]))
    probe = told(tmp_path / "proxy", loaded, "proxy", [1.0, 0.0], patience=1)
    for step in (0, 1):
        probe.measure(model, step)
    assert probe.stops
    assert read_policy(str(tmp_path / "proxy" / BEST))["value_of"] == "proxy"
    (tmp_path / "none").mkdir()
    bare = PolicyProbe(ProbeConfig(patience=1), asked(), *loaded[1:], {}, tmp_path / "none", {})
    for step in (0, 1):
        assert "probe_kl" in bare.measure(model, step)
    assert not bare.stops
    assert not (tmp_path / "none" / BEST).exists()


def test_a_half_written_line_is_cut_and_seen_anew(tmp_path, loaded):
    model = LanguageModel(moved(loaded[0]))
    probe = probe_in(tmp_path, loaded)
    for step in (0, 5):
        probe.measure(model, step)
    whole = [(tmp_path / name).read_bytes() for name in (PROBES, SAMPLES)]
    (tmp_path / PROBES).write_bytes(whole[0][:-20])  # killed in the middle of the second line
    resumed = probe_in(tmp_path, loaded)
    assert [row["step"] for row in lines_of(tmp_path / PROBES)] == [0]
    assert {row["step"] for row in lines_of(tmp_path / SAMPLES)} == {0}
    first = resumed.measure(None, 0)  # from the file: the model is not asked
    assert first == {k: v for k, v in json.loads(whole[0].splitlines()[0]).items() if k.startswith("probe_")}
    resumed.measure(model, 5)
    assert [(tmp_path / name).read_bytes() for name in (PROBES, SAMPLES)] == whole
    (tmp_path / PROBES).write_text("{}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"probe\.jsonl:1: is no line of a probe"):
        probe_in(tmp_path, loaded)


def test_adapters_are_seen_through_and_merged_into_the_best(tmp_path, loaded):
    model = LanguageModel(copy.deepcopy(loaded[0]))
    assert prepare_for_packing(model)
    model = LanguageModel(add_adapters(model.inner, LoraConfig(rank=4), 0, "", "CAUSAL_LM"))
    probe = probe_in(tmp_path, loaded)
    assert probe.measure(model, 0)["probe_kl"] == pytest.approx(0, abs=1e-5)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.linspace(-0.5, 0.5, weight.numel()).reshape(weight.shape))
    found = probe.measure(model, 1)  # the twin made before sees what training changed
    assert found["probe_kl"] > 0.01
    merged = copy.deepcopy(model.classifier).merge_and_unload()
    plain = probe_in(tmp_path / "plain", loaded).measure(LanguageModel(merged), 0)
    assert found == pytest.approx(plain, rel=1e-3, abs=1e-4)
    best, _ = load_causal(str(tmp_path / "plain" / BEST), "best")
    tokens = loaded[1]("abc")["input_ids"]
    assert next_log_probs(best, tokens) == pytest.approx(next_log_probs(merged.eval(), tokens), abs=1e-5)
    assert hasattr(model.classifier, "merge_and_unload")  # still in adapters, and training can go on


def test_signs_of_collapse_are_told_once(tmp_path, loaded, capsys):
    model = LanguageModel(copy.deepcopy(loaded[0]))
    probe = probe_in(tmp_path, loaded, max_new_tokens=40)
    probe.measure(model, 0)
    with torch.no_grad():
        model.inner.lm_head.weight[40:] = 0  # nearly one token alone is left
        model.inner.lm_head.weight[30] = 20.0
        model.inner.model.norm.weight.fill_(5.0)
    for step in (1, 2):
        probe.measure(model, step)
    lines = lines_of(tmp_path / PROBES)
    assert lines[0]["warnings"] == []
    kinds = [text.partition(":")[0] for text in lines[1]["warnings"]]
    assert kinds
    assert len(lines[2]["warnings"]) == len(kinds)
    stderr = capsys.readouterr().err
    for kind in kinds:
        assert stderr.count(kind) == 1
    resumed = probe_in(tmp_path, loaded, max_new_tokens=40)
    resumed.measure(model, 3)
    assert "Warning" not in capsys.readouterr().err


class Likelihood:
    """The least objective: mean negative log-probability of rows' tokens from the second on."""

    tallies_training = False

    def collate(self, examples, packed):
        return {"rows": examples, "packed": packed, "items": torch.tensor(float(len(examples)))}

    def losses(self, model, inputs):
        rows = inputs["rows"]
        found = model(packs_of(model, rows, inputs["packed"]), rows, [1] * len(rows))
        return -found.log_probs / len(rows[0]), found.log_probs

    def tally(self, *_):
        return {}

    def metrics(self, *_):
        return {}


class Killed(BaseException):
    pass


def fitted(folder, loaded, every=2, rank=0, killed_at=-1, checkpoint_steps=3, again=False, **probing):
    _, tokenizer, _ = loaded
    folder.mkdir(exist_ok=True)
    settings = {"proxy": "rule:length", "gold": "", "every": every, "samples": 2} | probing
    probe = probe_in(folder, loaded, **settings)
    measure, seen = probe.measure, []

    def mortal(model, step):
        if step == killed_at and (step in seen) is again:
            raise Killed
        seen.append(step)
        return measure(model, step)

    probe.measure = mortal
    rows = [tokenizer(text)["input_ids"] for text in ("abcabcabc", "cabcabcab", "bcabcabca", "abcabcabc")]
    config = TrainingConfig(
        max_steps=7,
        batch_prompts=2,
        learning_rate=0.02,
        checkpoint_steps=checkpoint_steps,
        tensorboard=False,
        lora=LoraConfig(rank=rank),
    )
    model = LanguageModel(copy.deepcopy(loaded[0]))
    return fit_examples(model, Likelihood(), TrainingSplit(rows, longest=20), config, folder, probe)


@pytest.mark.parametrize("rank", [0, 4])
def test_a_run_of_the_trainer_that_was_killed_sees_what_it_would_have_seen(tmp_path, loaded, rank):
    whole = fitted(tmp_path / "whole", loaded, rank=rank)
    with pytest.raises(Killed):
        fitted(tmp_path / "cut", loaded, rank=rank, killed_at=6)
    resumed = fitted(tmp_path / "cut", loaded, rank=rank)
    assert [line["step"] for line in lines_of(tmp_path / "whole" / PROBES)] == [0, 2, 4, 6, 7]
    for name in (PROBES, SAMPLES):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert resumed.evaluation == whole.evaluation
    found = [line["probe_kl"] for line in lines_of(tmp_path / "whole" / PROBES)]
    assert found[-1] > found[0]
    logged = [line for line in lines_of(tmp_path / "whole" / "metrics.jsonl") if "probe_kl" in line]
    assert [line["step"] for line in logged] == [0, 2, 4, 6, 7]


def test_a_run_that_stopped_where_a_checkpoint_is_stays_stopped(tmp_path, loaded):
    settings = {"proxy": "rule:constant?value=1", "patience": 2, "checkpoint_steps": 2}
    whole = fitted(tmp_path / "whole", loaded, **settings)
    assert whole.steps == 4  # two probes no better than that of the start
    with pytest.raises(Killed):  # when all is learnt, at the probe before the policy is saved
        fitted(tmp_path / "cut", loaded, killed_at=4, again=True, **settings)
    resumed = fitted(tmp_path / "cut", loaded, **settings)
    assert resumed.steps == 4
    assert weights_hash(resumed.model.inner) == weights_hash(whole.model.inner)
    assert (tmp_path / "cut" / PROBES).read_bytes() == (tmp_path / "whole" / PROBES).read_bytes()


def test_prompts_come_from_the_data_or_the_run_or_there_is_no_probe(tmp_path, loaded, write_rows):
    _, tokenizer, reference = loaded
    data = write_rows("held.jsonl", [{"prompt": f"p{i}", "answer": "x"} for i in range(5)])
    config = ProbeConfig(data=data, prompts=3)
    probe = make_probe(config, asked(), tokenizer, reference, tmp_path, {})
    assert [one.prompt for one in probe.prompts] == ["p0", "p1", "p2"]
    assert probe.prompts[0].extra == {"answer": "x"}
    assert make_probe(ProbeConfig(gold="rule:length"), None, tokenizer, reference, tmp_path, {}) is None
    assert make_probe(ProbeConfig(), [], tokenizer, reference, tmp_path, {}) is None
    own = make_probe(
        ProbeConfig(prompts=2), asked(), tokenizer, reference, tmp_path, {}, proxies("rule:length")
    )
    assert [one.where for one in own.prompts] == ["held.jsonl:1", "held.jsonl:2"]
    assert own.scorers.keys() == {"proxy"}


def test_what_cannot_be_probed_is_named(tmp_path, loaded):
    with pytest.raises(DataError, match=r"^held\.jsonl:2: the prompt has 48 tokens"):
        probe_in(tmp_path, loaded, asked(["a", "b" * 48]))
    probe = probe_in(tmp_path, loaded, gold="column:worth")
    with pytest.raises(ScoringError, match=r"held\.jsonl:1"):
        probe.measure(LanguageModel(copy.deepcopy(loaded[0])), 0)
    assert not (tmp_path / PROBES).exists()
    assert not (tmp_path / BEST).exists()
