"""`evalkit train ppo`: a policy that learns, kills and resumes to the same bytes, rewards of all kinds."""

import json
import math
import re
import shutil
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from evalkit.cli import main
from evalkit.policies.checkpoint import read_policy
from evalkit.policies.ppo import checkpoint as ppo_state
from evalkit.policies.ppo import fit
from evalkit.policies.ppo import rounds as ppo
from evalkit.policies.ppo.rounds import Ppo
from evalkit.training import ppo as training_ppo
from rewards.errors import DataError
from rewards.models.checkpoint import weights_hash
from rewards.records import Generation, Score, Span
from rewards.scorer import load_scorer
from rewards.solutions.steps import split_steps
from tests.evalkit.policies.ppo.ppo_models import CHAT, OTHER, byte_tokenizer, policy_folder, reward_folder
from tests.evalkit.training.training_kills import digest, killed_at

PROMPTS = ["ab", "ba b", "b", "aab", "bbb a", "a b a", "bab", "b a", "a", "bb", "bba", "abba"]
SCORER = "rule:pattern?pattern=[a-z]&count=true"
FEW = PROMPTS[:8]
"""Too few to hold any out for a probe."""
SMALL = {
    "ppo.episodes": 128,
    "ppo.buffer": 32,
    "ppo.batch": 16,
    "ppo.epochs": 2,
    "ppo.learning_rate": 3e-3,
    "ppo.max_new_tokens": 6,
    "ppo.checkpoint_rounds": 1,
    "probe.max_new_tokens": 6,
    "tensorboard": "false",
}


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("ppo")


@pytest.fixture(scope="module")
def policy(root):
    return policy_folder(root)


def prompts_in(folder, prompts=PROMPTS, name="prompts.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    return str(path)


def line(policy, data, out, scorer=SCORER, **options):
    """Return the command's words; an option `ppo__clip` is `--ppo.clip`."""
    told = {name.replace("__", "."): value for name, value in options.items()}
    given = {"policy": policy, "data": data, "scorer": scorer, "out": out, **SMALL, **told}
    return ["train", "ppo", *(f"--{name}={value}" for name, value in given.items())]


@pytest.fixture
def train(policy, tmp_path, monkeypatch):
    """Return a function that trains on few prompts into a folder of the test's, and names the folder."""

    def run(name="out", scorer=SCORER, prompts=FEW, policy=policy, **options):
        monkeypatch.setattr(training_ppo, "draw_policy_run", lambda _: None)
        main(line(policy, prompts_in(tmp_path, prompts), tmp_path / name, scorer, **options))
        return tmp_path / name

    return run


def rounds(folder, name="metrics.jsonl"):
    return [json.loads(text) for text in (folder / name).read_text().splitlines()]


def untimed(folder):
    return [{k: v for k, v in one.items() if not k.startswith("seconds_")} for one in rounds(folder)]


def refused(call, capsys, code=2):
    """Return the one line that a refused command prints."""
    with pytest.raises(SystemExit) as stop:
        call()
    assert stop.value.code == code
    (told,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("evalkit: ")]
    return told


def same(one, other):
    """Assert that two runs came to the same: weights by their bytes, what was seen by its numbers."""
    for name in ("model.safetensors", "critic/model.safetensors"):
        assert digest(one / name) == digest(other / name), name
    assert untimed(one) == untimed(other)
    for name in ("probe.jsonl", "probe_samples.jsonl", "result.json"):
        assert (one / name).exists() == (other / name).exists()
        if (one / name).exists():
            assert (one / name).read_text() == (other / name).read_text()
    assert not (one / "checkpoints").exists()


# ---- a run


@pytest.fixture(scope="module")
def learnt(policy, root):
    """A run long enough to see that it learns, with all that it writes."""
    out = root / "learnt"
    options = {"ppo__episodes": 640, "ppo__buffer": 64, "ppo__batch": 32, "ppo__learning_rate": 1e-2}
    gold = {"probe__gold": "rule:length", "tensorboard": "true", "ppo__epochs": 4}
    main(line(policy, prompts_in(root, PROMPTS * 2 + [f"{p} " for p in PROMPTS]), out, **options, **gold))
    return out


def test_a_reward_is_learnt(learnt):
    told = rounds(learnt)
    assert [one["round"] for one in told] == list(range(1, 11))
    first, last = told[0]["rollout_proxy"], told[-1]["rollout_proxy"]
    assert last > first + 6 * told[-1]["rollout_proxy_se"]
    assert last > 2 * first
    assert told[0]["rollout_kl"] == pytest.approx(0, abs=1e-4)
    assert told[-1]["rollout_kl"] > 0.5
    assert told[-1]["step"] == 10 * 2 * 4
    assert told[-1]["episodes"] == 640
    assert all(math.isfinite(value) for one in told for value in one.values() if not isinstance(value, str))


def test_a_run_leaves_what_it_says(learnt, policy):
    names = {path.name for path in learnt.iterdir()}
    assert {"metrics.jsonl", "probe.jsonl", "probe_samples.jsonl", "panel.png", "critic", "best"} <= names
    assert {"policy.json", "result.json", "run.json", "reference.json", "tensorboard"} <= names
    assert "checkpoints" not in names
    assert any((learnt / "tensorboard").iterdir())
    start = AutoModelForCausalLM.from_pretrained(policy)
    about = read_policy(str(learnt))
    hashed = weights_hash(start)
    assert about["policy"] == about["reference"] == {"name": policy, "hash": hashed}
    assert (about["method"], about["updates"], about["scorer"]) == ("ppo", 80, SCORER)
    result = json.loads((learnt / "result.json").read_text())
    assert (result["episodes"], result["prompts"], result["held_out_prompts"]) == (640, 32, 2)
    assert not result["stopped_early"]
    looks = rounds(learnt, "probe.jsonl")
    assert [one["step"] for one in looks] == list(range(0, 81, 8))
    assert result["last"]["probe_gold"] == looks[-1]["probe_gold"]
    best = read_policy(str(learnt / "best"))
    assert (best["value_of"], best["value"]) == ("gold", max(one["probe_gold"] for one in looks))


def test_the_policy_loads_as_any_other(learnt, tmp_path):
    out = tmp_path / "answers.jsonl"
    main(["generate", "--policy", str(learnt), "--data", prompts_in(tmp_path, FEW), "--out", str(out)])
    model = AutoModelForCausalLM.from_pretrained(learnt)
    told = AutoTokenizer.from_pretrained(learnt)("ab", return_tensors="pt")
    assert torch.isfinite(model(**told).logits).all()
    assert len(out.read_text().splitlines()) == 8


def test_the_critic_loads_as_a_reward_model_and_goes_on(learnt, train):
    again = train(critic=learnt / "critic", ppo__episodes=32)
    assert rounds(again)[0]["value_error"] != rounds(learnt)[0]["value_error"]
    (score,) = load_scorer(str(learnt / "critic")).score([Generation("ab", "ba")])
    assert math.isfinite(score.value)


# ---- the same bytes


@pytest.fixture(scope="module")
def whole(policy, root):
    """An undisturbed run with a probe, plain and small."""
    out = root / "whole"
    main(line(policy, prompts_in(root), out))
    return out


def test_a_killed_run_goes_on_to_the_same_bytes(policy, root, whole, tmp_path):
    out = tmp_path / "killed"
    words = line(policy, prompts_in(root), out)
    killed_at(words, out / "checkpoints" / "round-2" / "state.json")
    assert not (out / "result.json").exists()
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"round": 3, "step"')  # as a kill may leave it
    main(words)
    same(out, whole)


class KilledError(Exception):
    """Stands for a signal, where a process of its own would take too long."""


@contextmanager
def killed(monkeypatch, module, name, after):
    """Let a function of a module do its work so often, and then end the process."""
    own = getattr(module, name)
    left = [after]

    def once(*arguments, **settings):
        found = own(*arguments, **settings)
        left[0] -= 1
        if not left[0]:
            raise KilledError
        return found

    with monkeypatch.context() as patch:
        patch.setattr(module, name, once)
        with pytest.raises(KilledError):
            yield


@pytest.mark.parametrize(
    ("module", "name", "after"),
    [
        (fit, "record_reference", 1),
        (fit, "save_state", 1),
        (fit, "save_state", 4),
        (fit, "save_policy", 1),
        (training_ppo, "draw_policy_run", 1),
        (ppo_state, "save_file", 3),
    ],
)
def test_a_run_that_ends_anywhere_goes_on_to_the_same_bytes(
    policy, root, whole, tmp_path, monkeypatch, module, name, after
):
    words = line(policy, prompts_in(root), tmp_path / "out")
    with killed(monkeypatch, module, name, after):
        main(words)
    with monkeypatch.context() as patch:
        patch.setattr(training_ppo, "draw_policy_run", lambda _: None)
        main(words)
    same(tmp_path / "out", whole)


PATIENT = {"scorer": "rule:constant?value=1", "probe__patience": 2, "probe__every": 4, "ppo__episodes": 320}


@pytest.mark.parametrize(("name", "after"), [("save_state", 1), ("save_state", 2), ("save_policy", 1)])
def test_a_run_that_stopped_early_stays_stopped(train, monkeypatch, name, after):
    calm = train("calm", prompts=PROMPTS, **PATIENT)
    result = json.loads((calm / "result.json").read_text())
    # No look is better than the first, of the start; of the ten rounds two are enough.
    assert (result["rounds"], result["stopped_early"]) == (2, True)
    with killed(monkeypatch, fit, name, after):
        train("out", prompts=PROMPTS, **PATIENT)
    same(train("out", prompts=PROMPTS, **PATIENT), calm)


def test_another_seed_is_another_run(train, whole, capsys):
    other = train(prompts=PROMPTS, ppo__seed=1)
    assert digest(other / "model.safetensors") != digest(whole / "model.safetensors")
    assert "exists and is finished" in refused(lambda: train(prompts=PROMPTS, ppo__seed=1), capsys)


def test_interrupted_it_says_how_to_go_on(train, whole, monkeypatch, capsys):
    own = Ppo._round

    def interrupted(self, state, number, learns):
        if number == 3:
            raise KeyboardInterrupt
        return own(self, state, number, learns)

    with monkeypatch.context() as patch:
        patch.setattr(Ppo, "_round", interrupted)
        told = refused(lambda: train(prompts=PROMPTS), capsys, 130)
    assert "the same command goes on from there" in told
    same(train(prompts=PROMPTS), whole)


def test_a_run_that_goes_on_holds_its_rounds_against_the_first(train, monkeypatch):
    seen = []
    monkeypatch.setattr(ppo, "signs_of_collapse", lambda history: seen.append([*history]) or [])
    with killed(monkeypatch, fit, "save_state", 2):
        train()
    train()
    assert [len(history) for history in seen] == [1, 2, 3, 4]
    assert [one["round"] for one in seen[-1]] == [1, 2, 3, 4]
    assert seen[-1][0]["kl"] == seen[0][0]["kl"]


# ---- parts of the algorithm


@pytest.mark.parametrize(
    "options",
    [
        {"ppo__objective": "penalty", "ppo__advantage": "k-step", "ppo__k": 2},
        {"ppo__kl_in": "loss", "ppo__kl_kind": "k2", "ppo__entropy_coefficient": 0.01},
        {"ppo__temperature": 0.7, "ppo__samples": 4, "ppo__micro_batch": 8, "ppo__kl_target": 2},
        {"ppo__dtype": "bfloat16", "ppo__unfinished_reward": -1, "ppo__empty_reward": -2},
    ],
)
def test_switches_run_and_start_at_the_reference(train, options):
    told = rounds(train(**options))
    assert len(told) == 4
    assert told[0]["rollout_kl"] == pytest.approx(0, abs=0.05 if "ppo__dtype" in options else 1e-4)
    assert told[-1]["rollout_kl"] != told[0]["rollout_kl"]
    if "ppo__kl_target" in options:
        assert told[1]["kl_coefficient"] < told[0]["kl_coefficient"] == 0.05
    if "ppo__unfinished_reward" in options:
        assert -1 <= told[0]["rollout_proxy"] <= told[0]["rollout_finished"] * 6 - 0.9


def test_ppo_max_trains_the_critic_first_and_reads_texts(train, tmp_path):
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "abab ba"}\n{"prompt": "ab", "response": "ba"}\n')
    options = {"ppo__recipe": "ppo-max", "ppo__critic_pretraining": 2, "ptx_data": texts}
    out = train(**options)
    told = rounds(out)
    assert [one["phase"] for one in told] == ["critic"] * 2 + ["policy"] * 4
    assert [one["step"] for one in told] == [0, 0, 4, 8, 12, 16]
    assert [one["episodes"] for one in told] == [0, 0, 32, 64, 96, 128]
    for one in told[:3]:
        assert one["rollout_kl"] == pytest.approx(0, abs=1e-4)
    assert ["ptx_loss" in one for one in told] == [False] * 2 + [True] * 4
    assert told[-1]["rollout_kl"] != pytest.approx(0, abs=1e-4)
    assert all(abs(one["reward_scaled"]) <= 0.8 for one in told)
    about = read_policy(str(out))["ppo"]
    assert (about["reward_clip"], about["max_gradient_norm"], about["buffer"]) == (0.8, 1.0, 32)


def test_adapters_train_against_the_model_under_them_and_are_merged(train, policy, monkeypatch):
    options = {"ppo__lora__rank": 2, "ppo__learning_rate": 0.03}
    calm = train("calm", **options)
    told = rounds(calm)
    assert told[0]["rollout_kl"] == pytest.approx(0, abs=1e-4)
    assert told[-1]["rollout_kl"] > 0.01
    mine, base = (load_file(f"{folder}/model.safetensors") for folder in (calm, policy))
    assert mine.keys() == base.keys()
    assert torch.equal(mine["model.embed_tokens.weight"], base["model.embed_tokens.weight"])
    assert not torch.equal(
        mine["model.layers.0.mlp.up_proj.weight"], base["model.layers.0.mlp.up_proj.weight"]
    )
    with killed(monkeypatch, fit, "save_state", 2):
        train(**options)
    same(train(**options), calm)


# ---- rewards


@pytest.mark.parametrize("other", [False, True])
def test_a_reward_model_of_its_own_tokenizer_is_scorer_and_critic(train, root, other):
    tokenizer = byte_tokenizer(OTHER, "<s> $A </s>") if other else byte_tokenizer()
    folder = reward_folder(root / f"reward{other}", tokenizer, (0.1, 0.5), True)
    told = rounds(train(scorer=folder, critic="scorer"))
    assert len(told) == 4
    assert told[0]["value_error"] > 0


class Given:
    """A scorer that makes its scores by a function of the response."""

    def __init__(self, make):
        self.make = make

    def score(self, generations):
        return [self.make(one.response) for one in generations]


def of_spans(text):
    return Score(
        text.count("a"), spans=tuple(Span(n, n + 1, "a", 1.0) for n, x in enumerate(text) if x == "a")
    )


def of_steps(text):
    steps = split_steps(text, "\n")
    return Score(0.5, tuple(float(len(step)) for step in steps))


@pytest.mark.parametrize("make", [of_spans, of_steps])
@pytest.mark.parametrize("credit", ["auto", "response", "parts"])
def test_parts_of_scores_are_rewards(train, monkeypatch, make, credit):
    monkeypatch.setattr(training_ppo, "load_scorer", lambda _: Given(make))
    told = rounds(train(credit=credit, ppo__episodes=64, ppo__empty_reward=0))
    paid = [one["reward_scaled"] for one in told]
    if make is of_spans or credit == "response":
        assert paid == pytest.approx([one["rollout_proxy"] for one in told], abs=1e-5)
    else:
        assert all(one > 1 for one in paid)  # characters of all steps, and not their aggregate


def test_a_scorer_of_steps_needs_a_reward_for_empty_responses(train, monkeypatch, tmp_path, capsys):
    scorer = Given(of_steps)
    scorer.separator = "a"
    monkeypatch.setattr(training_ppo, "load_scorer", lambda _: scorer)
    told = refused(train, capsys)
    assert "scores steps, of which an empty response has none" in told
    assert "--ppo.empty_reward" in told
    assert not (tmp_path / "out").exists()


def test_messages_are_answered_by_the_policys_template(train, root):
    prompts = [[{"role": "user", "content": text}] for text in FEW]
    out = train(policy=policy_folder(root, chat=CHAT), prompts=prompts)
    assert len(rounds(out)) == 4


# ---- wrong input


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (lambda many: [Score(1.0)] * (len(many) - 1), r"bad: returned 31 scores for 32 responses"),
        (lambda many: [None] * len(many), r"prompts\.jsonl:\d: bad gives None to the response"),
        (lambda many: [Score(math.inf)] * len(many), r"prompts\.jsonl:\d: bad gives inf to the response"),
        (lambda many: [Score(1.0)] * len(many), None),
    ],
)
def test_a_scorer_that_breaks_its_promise_ends_the_run_where_it_can_go_on(
    train, monkeypatch, capsys, tmp_path, scores, message
):
    calls = []

    class Bad:
        def score(self, generations):
            calls.append(len(generations))
            return scores(generations) if len(calls) == 3 else [Score(1.0)] * len(generations)

    monkeypatch.setattr(training_ppo, "load_scorer", lambda _: Bad())
    if message is not None:
        told = refused(lambda: train(scorer="bad"), capsys)
        assert re.search(message, told)
        assert told.endswith(f"{tmp_path / 'out'} is kept as of round 2")
        assert (tmp_path / "out" / "checkpoints" / "round-2").is_dir()
    assert [one["round"] for one in rounds(train(scorer="bad"))] == [1, 2, 3, 4]


def test_nan_of_a_scorer_is_refused(train, monkeypatch, capsys):
    monkeypatch.setattr(training_ppo, "load_scorer", lambda _: Given(lambda _: Score(math.nan)))
    assert "never NaN" in refused(lambda: train(scorer="bad"), capsys)
    with pytest.raises(DataError):
        Score(math.nan)


def test_kl_past_its_limit_stops_and_a_larger_limit_goes_on(train, tmp_path, capsys):
    options = {"ppo__kl_coefficient": 0, "ppo__learning_rate": 0.03, "ppo__epochs": 4, "prompts": PROMPTS}
    calm = train("calm", **options)
    kl = [one["rollout_kl"] for one in rounds(calm)]
    assert kl[3] > max(kl[:3])
    limit = (kl[3] + max(kl[:3])) / 2
    told = refused(lambda: train(ppo__kl_limit=limit, **options), capsys)
    assert f"round 4: KL to the reference is {kl[3]:.1f} nats a response, past ppo.kl_limit" in told
    assert told.endswith(f"{tmp_path / 'out'} is kept as of round 3")
    assert len(rounds(tmp_path / "out")) == 3
    assert (tmp_path / "out" / "checkpoints" / "round-3" / "state.json").is_file()
    refused(lambda: train(ppo__kl_limit=limit, **options), capsys)
    changed = refused(lambda: train(ppo__kl_limit=limit, **{**options, "ppo__clip": 0.1}), capsys)
    assert "begun with another configuration" in changed
    same(train(ppo__kl_limit=100, **options), calm)


def test_another_reference_than_the_recorded_one_is_refused(train, policy, tmp_path, monkeypatch, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(policy, copy)
    with killed(monkeypatch, fit, "save_state", 2):
        train(reference=copy)
    record = tmp_path / "out" / "reference.json"
    told = json.loads(record.read_text())
    record.write_text(json.dumps({**told, "hash": "0" * 16}))  # weights that were, by the record, others
    message = refused(lambda: train(reference=copy), capsys)
    assert f"{copy}: its weights hash to {told['hash']}, and the run began with reference" in message
    assert (tmp_path / "out" / "checkpoints" / "round-2").is_dir()
    record.write_text(json.dumps(told))
    assert len(rounds(train(reference=copy))) == 4
    shutil.copytree(policy_folder(tmp_path, seed=7), copy, dirs_exist_ok=True)
    assert "exists and is finished" in refused(lambda: train(reference=copy), capsys)


def test_a_reference_of_another_tokenizer_is_refused(train, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(policy_folder(tmp_path), other)
    byte_tokenizer(OTHER).save_pretrained(other)
    assert "its tokenizer is not the policy's" in refused(lambda: train(reference=other), capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"prompts": ["ab", "a b " * 40]},
            r"prompts\.jsonl:2: the prompt has \d+ tokens and the context .* holds 64",
        ),
        ({"prompts": ["ab", ""]}, r"prompts\.jsonl:2: the prompt has no tokens"),
        ({"prompts": [[{"role": "user", "content": "ab"}]]}, "no chat template"),
        ({"scorer": "rule:nothing"}, "nothing"),
        ({"critic": "scorer"}, "critic scorer starts from the reward model's folder"),
        ({"ppo__recipe": "ppo-max"}, "--ptx_data"),
        ({"ppo__buffer": 24}, r"ppo\.buffer 24 is no multiple"),
        ({"probe__gold": "rule:length"}, "has 8 prompts, of which none can be held out .* --probe.data"),
        ({"probe__patience": 2}, "has 8 prompts, of which none can be held out"),
        ({"policy": "nowhere/at/all"}, "no such folder"),
    ],
)
def test_a_mistake_is_told_in_a_line_and_leaves_nothing(train, tmp_path, capsys, settings, message):
    told = refused(lambda: train(**settings), capsys)
    assert re.search(message, told)
    assert not (tmp_path / "out").exists()


def test_texts_that_do_not_fit_are_named(train, tmp_path, capsys):
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"text": "ab"}) + "\n" + json.dumps({"text": "a b " * 40}) + "\n")
    options = {"ptx_data": texts, "ppo__ptx_coefficient": 0.1}
    assert "texts.jsonl:2: has" in refused(lambda: train(**options), capsys)
    assert not (tmp_path / "out").exists()


def test_weights_that_leave_the_numbers_stop_the_run(train, capsys):
    told = refused(lambda: train(ppo__learning_rate=1e30, ppo__schedule="constant"), capsys)
    assert "out is kept as of its start" in told or "is kept as of round" in told
