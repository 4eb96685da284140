"""`evalkit train rso`: pairs of scored samples worked by hand, and the command from prompts to policy."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from evalkit.cli import main
from evalkit.policies.checkpoint import load_causal, read_policy
from evalkit.training import rso as training_rso
from evalkit.training.policy_config import TrainRso
from evalkit.training.rso_pairs import write_pairs
from rewards.config import TrainingConfig
from rewards.errors import ConfigError, DataError
from rewards.files import read_rows
from rewards.models.checkpoint import weights_hash
from rewards.selection.preference_pairs import pair_candidates

PROMPTS = [{"prompt": text} for text in ("one", "two", "three", "four")]


def generator(seed=0):
    return np.random.default_rng(seed)


def pairs_of(made):
    return list(zip(made.chosen.tolist(), made.rejected.tolist(), strict=True))


# ---- one prompt's pairs


def test_without_beta_the_first_k_are_paired_and_the_higher_reward_is_chosen():
    made = pair_candidates([3.0, 1.0, 2.0, 99.0], 3, generator(), None, "all")
    assert made.taken.tolist() == [0, 1, 2]
    assert sorted(pairs_of(made)) == [(0, 1), (0, 2), (2, 1)]
    assert made.sample is None


def test_rejection_at_a_temperature_near_0_takes_the_k_best_and_at_a_high_one_the_first_k():
    rewards = [0.0, 5.0, 1.0, 4.0, 2.0]
    cold = pair_candidates(rewards, 2, generator(), 1e-3)
    assert pairs_of(cold) == [(1, 3)]
    assert cold.sample.expected_acceptance == pytest.approx(1 / 5)
    hot = pair_candidates(rewards, 2, generator(), 1e9)
    assert sorted(hot.taken.tolist()) == [0, 1]
    assert pairs_of(hot) == [(1, 0)]


def test_first_round_makes_half_as_many_matches_as_samples_and_a_tournament_all_but_one():
    rewards = [float(n) for n in range(8)]
    first = pair_candidates(rewards, 8, generator(), None, "first-round")
    assert sorted(np.concatenate((first.chosen, first.rejected)).tolist()) == list(range(8))
    whole = pair_candidates(rewards, 8, generator(), None, "tournament")
    assert len(whole.chosen) == 7
    assert sorted(whole.rejected.tolist()) == list(range(7)), "all but the best lose once"


def test_equal_rewards_make_no_pair_and_are_counted():
    made = pair_candidates([1.0, 1.0, 2.0], 3, generator(), None, "all", "bradley-terry")
    assert (len(made.chosen), made.ties) == (2, 1)


def test_fewer_candidates_than_k_are_all_paired():
    made = pair_candidates([1.0, 2.0], 8, generator(), 0.5)
    assert pairs_of(made) == [(1, 0)]


@pytest.mark.parametrize("gap", [0.3, 1.0, 2.5])
def test_bradley_terry_labels_choose_the_better_as_often_as_the_sigmoid_of_the_difference(gap):
    draws, rng = 4000, generator(3)
    made = [pair_candidates([0.0, gap], 2, rng, None, "all", "bradley-terry") for _ in range(draws)]
    share = np.mean([one.chosen[0] == 1 for one in made])
    expected = 1 / (1 + np.exp(-gap))
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / draws)
    assert sum(one.against_reward for one in made) == round(draws * (1 - share))


def test_labels_of_rewards_far_apart_are_drawn_without_overflow():
    made = pair_candidates([-1e308, 5e307], 2, generator(), None, "all", "bradley-terry")
    assert (pairs_of(made), made.against_reward) == ([(1, 0)], 0)


# ---- a file of scored samples


def scored_rows(*prompts):
    """Rows of (prompt, [(response, score, finish reason)])."""
    rows = []
    for prompt, samples in prompts:
        texts, scores, reasons = zip(*samples, strict=True)
        columns = {"responses": list(texts), "finish_reasons": list(reasons), "scores": list(scores)}
        rows.append({"prompt": prompt, **columns, "token_counts": [3] * len(samples)})
    return rows


@pytest.fixture
def pair(tmp_path, write_rows):
    """Write scored rows, pair them, and return pairs and selection."""

    def make(rows, **settings):
        scored = Path(write_rows("scored.jsonl", rows))
        defaults = {"n": 64, "k": 2, "source": "sft-sample-rank", "pairs": "all"}
        config = TrainRso("p", "d", str(tmp_path / "out"), "rule:length", **(defaults | settings))
        told = write_pairs(config, scored, tmp_path)
        return [row.values for row in read_rows(tmp_path / "pairs.jsonl")], told

    return make


def test_copies_leave_before_the_first_k_are_taken_and_each_pair_says_how_its_texts_ended(pair, tmp_path):
    rows = scored_rows(
        ("p", [("a", 1.0, "eos"), ("a", 1.0, "eos"), ("b", 3.0, "length"), ("c", 9.0, "eos")]),
        ("q", [("x", 0.5, "length"), ("y", 0.0, "stop"), ("x", 0.5, "eos"), ("z", 7.0, "eos")]),
    )
    pairs, told = pair(rows)
    ends = ("chosen_finish_reason", "rejected_finish_reason")
    numbers = ("reward_margin", "chosen_reward", "rejected_reward")
    assert pairs == [
        dict(zip(("prompt", "chosen", "rejected", *ends, *numbers), values, strict=True))
        for values in (
            ("p", "b", "a", "length", "eos", 2.0, 3.0, 1.0),
            ("q", "x", "y", "length", "stop", 0.5, 0.5, 0.0),
        )
    ]
    expected = {
        "prompts": 2,
        "samples": 8,
        "duplicates_removed": 2,
        "duplicates_with_another_reward": 0,
        "prompts_below_k": 0,
        "prompts_without_pair": 0,
        "taken": 4,
        "ties": 0,
        "chosen_cut_by_length": 2,
        "rejected_cut_by_length": 0,
        "pairs_made": 2,
        "rejection": None,
    }
    assert {name: told[name] for name in expected} == expected
    means = {"samples": 22 / 8, "taken": 4.5 / 4, "chosen": 1.75, "rejected": 0.5}
    assert told["reward"] == pytest.approx(means)
    assert json.loads((tmp_path / "selection.json").read_text()) == told


def test_diagnostics_of_rejection_are_those_of_the_formula(pair):
    rows = scored_rows(*[(f"p{i}", [("a", 0.0, "eos"), ("b", np.log(2) / 2, "eos")]) for i in range(400)])
    _, told = pair(rows, source="rso-sample-rank", beta=0.5)
    rejection = told["rejection"]
    # exp((r - r_max) / beta) is 1/2 and 1, so 3/4 are accepted, and (3/2)^2 / (5/4) = 9/5 samples are worth.
    assert rejection["expected_acceptance"] == pytest.approx(3 / 4)
    assert rejection["effective_sample_size"] == pytest.approx(9 / 5)
    assert rejection["acceptance"] == pytest.approx(3 / 4, abs=0.05)
    assert rejection["prompts_with_effective_sample_size_below_k"] == 400


def test_the_seed_decides_the_matching_and_the_same_seed_gives_the_same_bytes(pair, tmp_path):
    rows = scored_rows(*[(f"p{i}", [(f"{i}{j}", float(j), "eos") for j in range(8)]) for i in range(5)])
    made = []
    for seed in (1, 1, 2):
        pair(rows, source="rso-sample-rank", k=6, pairs="first-round", seed=seed)
        made.append((tmp_path / "pairs.jsonl").read_bytes() + (tmp_path / "selection.json").read_bytes())
    assert made[0] == made[1] != made[2]


SAME = scored_rows(*[(f"p{i}", [(text, 0.25, "eos") for text in "abc"]) for i in range(3)])
ONE_TEXT = scored_rows(("p", [("a", 1.0, "eos")] * 4), ("q", [("b", 1.0, "eos")] * 4))


@pytest.mark.parametrize(
    ("rows", "settings", "told"),
    [
        (SAME, {}, "no pair to train on: at 3 of 3 prompts all rewards are equal (the first: 0.25)"),
        (SAME, {"source": "rso-sample-rank"}, "at 3 of 3 prompts all rewards are equal (the first: 0.25)"),
        (ONE_TEXT, {}, "2 prompts have but one different sample"),
        (ONE_TEXT, {"too_few": "drop"}, "each of 2 prompts has fewer than k = 2 different samples"),
        (ONE_TEXT, {"too_few": "error"}, "scored.jsonl:1: prompt 'p' has 1 different samples among 4"),
        (
            scored_rows(("p", [("a", 1.0, "eos"), ("b", 1.0, "eos"), ("c", 2.0, "eos")])),
            {},
            "1 matches are between equal rewards",
        ),
    ],
)
def test_samples_that_give_no_pair_are_refused_with_the_reason(pair, tmp_path, rows, settings, told):
    with pytest.raises(DataError) as raised:
        pair(rows, **settings)
    assert told in str(raised.value)
    assert not (tmp_path / "pairs.jsonl").exists()
    assert not (tmp_path / "selection.json").exists()


def test_too_few_different_samples_are_kept_or_left_out(pair):
    rows = scored_rows(
        ("p", [("a", 1.0, "eos"), ("b", 2.0, "eos"), ("b", 2.0, "eos")]),
        ("q", [("x", 1.0, "eos"), ("y", 2.0, "eos"), ("z", 3.0, "eos")]),
    )
    kept, told = pair(rows, k=3)
    assert (Counter(row["prompt"] for row in kept), told["prompts_below_k"]) == ({"p": 1, "q": 3}, 1)
    dropped, told = pair(rows, k=3, too_few="drop")
    assert (Counter(row["prompt"] for row in dropped), told["prompts_below_k"]) == ({"q": 3}, 1)


# ---- the command


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with four prompts."""
    folder = tmp_path_factory.mktemp("rso")
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PROMPTS))
    return folder


@pytest.fixture(scope="module")
def rso(place, policy_folder):
    """Run `evalkit train rso` on four prompts and a length reward."""

    def call(out, *more, prompts=place / "prompts.jsonl", scorer="rule:length?weight=0.1"):
        given = ("--policy", policy_folder, "--data", str(prompts), "--out", str(out))
        main(
            [
                *("train", "rso", *given, *(("--scorer", scorer) if scorer else ())),
                *("--n", "6", "--k", "4", "--drawing.max_new_tokens", "6", "--pairs", "all"),
                *("--training.batch_prompts", "4", "--training.learning_rate", "1e-3"),
                *("--training.epochs", "2", "--training.evaluation_share", "0"),
                *("--training.tensorboard", "false", "--training.checkpoint_steps", "1000", *more),
            ]
        )
        return out

    return call


@pytest.fixture(scope="module")
def whole(rso, place):
    """The folder of an undisturbed run."""
    return rso(place / "whole")


def files_of(folder):
    """Bytes of what a run makes again alike, by name."""
    names = ("samples.jsonl", "scored.jsonl", "pairs.jsonl", "selection.json", "model.safetensors")
    return {name: (folder / name).read_bytes() for name in names}


def test_from_prompts_to_a_policy_that_other_commands_load(whole, place, policy_folder):
    told = json.loads((whole / "result.json").read_text())
    assert told["selection"] == json.loads((whole / "selection.json").read_text())
    assert told["selection"]["pairs_made"] == len(list(read_rows(whole / "pairs.jsonl")))
    assert (told["selection"]["samples"], told["selection"]["prompts"]) == (24, 4)
    assert read_policy(str(whole))["rso"]["selection"] == told["selection"]
    published, trained, start = (
        weights_hash(load_causal(str(folder), "it")[0])
        for folder in (whole, whole / "training", policy_folder)
    )
    assert published == trained != start
    again, data = str(place / "again.jsonl"), str(place / "prompts.jsonl")
    main(["generate", "--policy", str(whole), "--data", data, "--out", again, "--max_new_tokens", "4"])
    assert len(list(read_rows(again))) == 4


def refused(call, capsys, code=2):
    with pytest.raises(SystemExit) as stop:
        call()
    assert stop.value.code == code
    return capsys.readouterr().err


def test_a_run_that_ends_before_and_behind_every_step_goes_on_to_the_same_bytes(
    rso, whole, tmp_path, monkeypatch, capsys
):
    ended = set()

    def ending(step, itself):
        def end(*arguments, **named):
            if step not in ended:
                ended.add(step)
                raise KeyboardInterrupt
            result = itself(*arguments, **named)
            if (step, "behind") not in ended:
                ended.add((step, "behind"))
                raise KeyboardInterrupt
            return result

        return end

    names = ("sample_and_score", "write_pairs", "publish_policy")
    for module, step in (*((training_rso, name) for name in names), (training_rso.training_dpo, "run")):
        monkeypatch.setattr(module, step, ending(step, getattr(module, step)))
    for _ in range(2 * (len(names) + 1)):
        assert "goes on from there" in refused(lambda: rso(tmp_path / "out"), capsys, 130)
    said = rso(tmp_path / "out") and capsys.readouterr().out
    assert "24 samples of 4 prompts" in said
    assert "acceptance" in said
    assert files_of(tmp_path / "out") == files_of(whole)
    assert "exists and is finished" in refused(lambda: rso(tmp_path / "out"), capsys)


def test_another_configuration_does_not_go_on_in_the_folder_but_replaces_it_on_request(
    rso, whole, tmp_path, monkeypatch, capsys
):
    def end(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training_rso, "write_pairs", end)
        refused(lambda: rso(tmp_path / "out", "--beta", "2"), capsys, 130)
    assert "begun with another configuration" in refused(lambda: rso(tmp_path / "out"), capsys)
    assert files_of(rso(tmp_path / "out", "--overwrite")) == files_of(whole)


def test_preferences_that_are_given_are_trained_on_directly(rso, tmp_path, write_rows):
    pairs = [{**row, "chosen": "yes", "rejected": "no"} for row in PROMPTS]
    out = rso(tmp_path / "out", "--source", "direct", prompts=write_rows("pairs.jsonl", pairs), scorer="")
    assert not (out / "samples.jsonl").exists()
    assert read_policy(str(out))["rso"]["source"] == "direct"
    load_causal(str(out), str(out))


def test_the_first_samples_can_be_ranked_without_rejection(rso, tmp_path):
    out = rso(tmp_path / "out", "--source", "sft-sample-rank", "--pairs", "tournament")
    told = json.loads((out / "selection.json").read_text())
    assert (told["source"], told["rejection"], told["taken"]) == ("sft-sample-rank", None, 16)


def test_a_constant_reward_stops_before_training_and_can_be_asked_again(rso, tmp_path, capsys):
    told = refused(lambda: rso(tmp_path / "out", scorer="rule:constant?value=3"), capsys)
    assert "at 4 of 4 prompts all rewards are equal (the first: 3)" in told
    assert "all rewards are equal" in refused(
        lambda: rso(tmp_path / "out", scorer="rule:constant?value=3"), capsys
    )


@pytest.mark.parametrize(
    ("rows", "settings", "told"),
    [
        ([{"prompt": "p", "scores": 1}], {}, "prompts2.jsonl:1: field 'scores' is a column"),
        ([{"prompt": "p", "response": "r"}], {}, "prompts2.jsonl:1: field 'response' is a column"),
        ([{"prompt": "p"}, {"prompt": "x" * 60}], {}, "prompts2.jsonl:2"),
        ([{"prompt": "p"}], {"scorer": "rule:exact"}, "samples.jsonl:1"),
        ([{"prompt": "p"}], {"scorer": "rule:nothing"}, "rule"),
        ([{"question": "p"}], {}, "prompts2.jsonl:1: no column 'prompt'"),
    ],
)
def test_bad_input_is_refused_by_its_place(rso, tmp_path, write_rows, capsys, rows, settings, told):
    prompts = write_rows("prompts2.jsonl", rows)
    assert told in refused(lambda: rso(tmp_path / "out", prompts=prompts, **settings), capsys)


def test_a_mistake_that_is_seen_before_sampling_leaves_no_folder(rso, tmp_path, write_rows, capsys):
    refused(lambda: rso(tmp_path / "out", prompts=write_rows("long.jsonl", [{"prompt": "x" * 60}])), capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"k": 1}, "k is from 2 to n"),
        ({"k": 9, "n": 8}, "k is from 2 to n"),
        ({"beta": 0.0}, "beta is above 0"),
        ({"scorer": ""}, "source rso-sample-rank ranks samples by --scorer"),
        ({"training": TrainingConfig(margin=True)}, "training.margin is of reward models"),
    ],
)
def test_settings_out_of_range_are_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        TrainRso(**{"policy": "p", "data": "d", "out": "o", "scorer": "rule:length", **settings})
