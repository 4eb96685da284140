"""`evalkit train best-of-n`: what a round keeps, worked by hand, and the command over several rounds."""

import json
from pathlib import Path

import pytest

from evalkit.cli import main
from evalkit.policies.checkpoint import load_causal, read_policy
from evalkit.training import best_of_n as training_best_of_n
from evalkit.training.best_of_n import seed_of
from evalkit.training.best_of_n_rounds import keep_best, mean_and_error, read_round, sample_statistics
from evalkit.training.policy_config import TrainBestOfN
from rewards.errors import ConfigError, DataError
from rewards.files import read_rows
from rewards.models.checkpoint import weights_hash
from tests.evalkit.training.training_kills import killed_at

PROMPTS = [{"prompt": text} for text in ("one", "two", "three", "four")]


def scored_rows(*prompts):
    """Rows of (prompt, [(response, score, finish reason, tokens)])."""
    rows = []
    for prompt, samples in prompts:
        texts, scores, reasons, tokens = map(list, zip(*samples, strict=True))
        columns = {"responses": texts, "scores": scores, "finish_reasons": reasons, "token_counts": tokens}
        rows.append({"prompt": prompt, **columns})
    return rows


FIRST = scored_rows(
    ("p", [("a", 1.0, "eos", 2), ("b", 3.0, "length", 4), ("b", 3.0, "length", 4), ("c", 2.0, "eos", 6)]),
    ("q", [("x", 0.0, "eos", 1), ("y", -1.0, "stop", 1), ("z", 5.0, "eos", 1), ("w", 4.0, "eos", 5)]),
)
SECOND = scored_rows(
    ("p", [("a", 1.0, "eos", 2), ("d", 2.5, "eos", 4), ("e", 0.0, "eos", 4), ("e", 0.0, "eos", 4)]),
    ("q", [("v", 9.0, "eos", 1), ("y", -1.0, "stop", 1), ("u", 3.0, "eos", 1), ("w", 4.0, "eos", 1)]),
)


@pytest.fixture
def keep(tmp_path, write_rows):
    """Write the scored rows of rounds, keep the best in the last, and return its rows and its figures."""

    def make(*rounds, **settings):
        scored = []
        for number, rows in enumerate(rounds, 1):
            (tmp_path / f"round-{number}").mkdir(exist_ok=True)
            scored.append(Path(write_rows(f"round-{number}/scored.jsonl", rows)))
        config = TrainBestOfN("policy", "d", "rule:length", str(tmp_path / "out"), **{"k": 2, **settings})
        folder = scored[-1].parent
        made = keep_best(config, scored, folder, "policy")
        assert read_round(folder) == made
        return [row.values for row in read_rows(folder / "kept.jsonl")], made

    return make


def test_the_k_best_different_texts_of_each_prompt_are_kept_best_first_with_how_they_ended(keep):
    kept, made = keep(FIRST)
    assert kept == [
        {"prompt": "p", "responses": ["b", "c"], "finish_reasons": ["length", "eos"], "scores": [3.0, 2.0]},
        {"prompt": "q", "responses": ["z", "w"], "finish_reasons": ["eos", "eos"], "scores": [5.0, 4.0]},
    ]
    assert (made.kept, made.kept_unfinished, made.kept_of_earlier, made.prompts_below_k) == (4, 1, 0, 0)
    assert (made.kept_reward, made.kept_reward_error) == (3.5, 1.0)  # the prompts' are 2.5 and 4.5


def test_figures_of_the_samples_are_means_over_prompts(keep, tmp_path):
    _, made = keep(FIRST)
    drawn = made.drawn
    assert (drawn.prompts, drawn.samples, drawn.policy) == (2, 8, "policy")
    assert drawn.reward == pytest.approx((9 / 4 + 8 / 4) / 2)
    assert drawn.reward_error == pytest.approx(1 / 8)  # |9/4 - 2| / 2
    assert (drawn.finished, drawn.tokens, drawn.distinct) == (6 / 8, 24 / 8, 7 / 8)
    assert sample_statistics(tmp_path / "round-1" / "scored.jsonl", "policy") == drawn


def test_the_best_may_be_kept_of_the_round_or_of_all_rounds(keep):
    of_round, made = keep(FIRST, SECOND)
    assert [row["responses"] for row in of_round] == [["d", "a"], ["v", "w"]]
    assert (made.number, made.kept_of_earlier) == (2, 0)
    of_all, made = keep(FIRST, SECOND, keep="all")
    assert [row["responses"] for row in of_all] == [["b", "d"], ["v", "z"]]
    assert made.kept_of_earlier == 2
    assert made.drawn.reward == pytest.approx((3.5 / 4 + 15 / 4) / 2), "of this round's samples alone"


def test_ties_are_broken_by_the_seed_and_counted(keep):
    rows = scored_rows(*[(f"p{i}", [(t, float(t != "d"), "eos", 1) for t in "abcd"]) for i in range(30)])
    first, made = keep(rows, k=1, seed=1)
    assert made.prompts_tied == 30
    assert {text for row in first for text in row["responses"]} == {"a", "b", "c"}
    assert keep(rows, k=1, seed=1)[0] == first
    assert keep(rows, k=1, seed=2)[0] != first


def test_fewer_different_samples_than_k_are_all_kept_and_counted(keep):
    kept, made = keep(scored_rows(("p", [("a", 1.0, "eos", 1)] * 3), ("q", FIRST_Q)), k=2)
    assert [row["responses"] for row in kept] == [["a"], ["z", "w"]]
    assert made.prompts_below_k == 1


FIRST_Q = list(
    zip(*(FIRST[1][name] for name in ("responses", "scores", "finish_reasons", "token_counts")), strict=True)
)
EQUAL = scored_rows(*[(f"p{i}", [(text, 0.5, "eos", 1) for text in "abc"]) for i in range(3)])


def test_equal_rewards_everywhere_are_refused_in_the_first_round_and_no_news_in_later_ones(keep, tmp_path):
    with pytest.raises(DataError, match=r"all rewards are equal at each of the 3 prompts .*the first: 0\.5"):
        keep(EQUAL)
    assert not (tmp_path / "round-1" / "round.json").exists()
    assert not (tmp_path / "round-1" / "kept.jsonl").exists()
    _, made = keep(EQUAL, EQUAL)
    assert (made.kept, made.prompts_tied) == (6, 3)
    assert keep(EQUAL, k=3)[1].kept == 9, "no choice is made where all are kept"


def test_one_value_has_no_standard_error():
    assert mean_and_error([2.0]) == (2.0, None)


def test_no_two_rounds_and_no_two_runs_draw_by_one_seed():
    seeds = {seed_of(seed, number) for seed in range(20) for number in range(1, 20)}
    assert len(seeds) == 20 * 19


# ---- the command

SETTINGS = [
    *("--rounds", "2", "--n", "6", "--k", "2", "--drawing.max_new_tokens", "6"),
    *("--training.batch_prompts", "4", "--training.epochs", "2", "--training.learning_rate", "1e-2"),
    *("--training.evaluation_share", "0", "--training.checkpoint_steps", "1000"),
    *("--training.tensorboard", "false"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with four prompts."""
    folder = tmp_path_factory.mktemp("rounds")
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PROMPTS))
    return folder


@pytest.fixture(scope="module")
def command(place, policy_folder):
    """Return the arguments of `evalkit train best-of-n` on four prompts."""

    def make(out, *more, prompts=place / "prompts.jsonl", scorer="rule:pattern?pattern=[a-z]&count=true"):
        given = ("--policy", policy_folder, "--data", str(prompts), "--scorer", scorer, "--out", str(out))
        return ["train", "best-of-n", *given, *SETTINGS, *more]

    return make


@pytest.fixture(scope="module")
def whole(command, place):
    """The folder of an undisturbed run."""
    main(command(place / "whole"))
    return place / "whole"


def files_of(folder):
    """Bytes of what a run makes again alike, by name; names of the folder itself taken out."""
    steps = ("samples.jsonl", "scored.jsonl", "kept.jsonl", "policy/model.safetensors")
    names = [f"round-{number}/{step}" for number in (1, 2) for step in steps]
    names += ["after/scored.jsonl", "model.safetensors", "summary.json"]
    return {name: (folder / name).read_bytes().replace(bytes(folder), b"") for name in names}


def refused(arguments, capsys, code=2):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == code
    return capsys.readouterr().err


def test_rounds_sample_from_the_last_policy_and_the_last_is_published(whole, policy_folder, place):
    told = json.loads((whole / "summary.json").read_text())
    first, second = told["rounds"]
    assert first["drawn"]["policy"] == policy_folder
    assert second["drawn"]["policy"] == str(whole / "round-1" / "policy")
    assert told["after"]["policy"] == str(whole / "round-2" / "policy")
    assert first["kept_reward"] > first["drawn"]["reward"]
    assert (whole / "rounds.png").stat().st_size > 10_000
    published, last, start = (
        weights_hash(load_causal(str(folder), "it")[0])
        for folder in (whole, whole / "round-2" / "policy", policy_folder)
    )
    assert published == last != start
    assert read_policy(str(whole))["best_of_n"]["rounds"] == 2
    again = ["generate", "--policy", str(whole), "--data", str(place / "prompts.jsonl")]
    main([*again, "--out", str(place / "again.jsonl"), "--max_new_tokens", "4"])


def test_rounds_may_start_from_the_first_policy_anew_and_keep_the_best_of_all(
    command, tmp_path, monkeypatch, policy_folder, capsys
):
    started, itself = [], training_best_of_n.training_sft.run

    def note(config):
        started.append((config.policy, config.reference))
        itself(config)

    monkeypatch.setattr(training_best_of_n.training_sft, "run", note)
    main(command(tmp_path / "out", "--start_from", "first", "--keep", "all"))
    assert started == [(policy_folder, policy_folder)] * 2
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert told["rounds"][1]["kept_of_earlier"] > 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("of them of earlier rounds", "after", "finished", "distinct"))


def test_a_run_that_ends_before_and_behind_every_step_goes_on_to_the_same_bytes(
    command, whole, tmp_path, monkeypatch, capsys
):
    ended = set()

    def ending(step, itself):
        def end(*arguments, **named):
            paths = str([one for one in arguments if isinstance(one, Path)] or arguments[0])
            for when in ("before", "behind"):
                if when == "behind":
                    result = itself(*arguments, **named)
                if (step, when, paths) not in ended:
                    ended.add((step, when, paths))
                    raise KeyboardInterrupt
            return result

        return end

    for module, step in (
        *((training_best_of_n, name) for name in ("sample_and_score", "keep_best", "publish_policy")),
        *((training_best_of_n, "draw_rounds"), (training_best_of_n.training_sft, "run")),
    ):
        monkeypatch.setattr(module, step, ending(step, getattr(module, step)))
    # Three times samples, twice kept and twice trained, once published and drawn: each before and behind.
    for _ in range(2 * (3 + 2 + 2 + 1 + 1)):
        assert "goes on from there" in refused(command(tmp_path / "out"), capsys, 130)
    main(command(tmp_path / "out"))
    assert files_of(tmp_path / "out") == files_of(whole)
    assert "exists and is finished" in refused(command(tmp_path / "out"), capsys)


def test_a_killed_run_goes_on_to_the_same_bytes(command, whole, tmp_path):
    out = tmp_path / "out"
    killed_at(command(out), out / "round-1" / "policy")
    assert not (out / "summary.json").exists()
    main(command(out))
    assert files_of(out) == files_of(whole)


@pytest.mark.parametrize(
    ("rows", "scorer", "told"),
    [
        (PROMPTS, "rule:constant?value=2", "all rewards are equal at each of the 4 prompts"),
        ([{"prompt": "p", "scores": [1]}], "rule:length", "prompts2.jsonl:1: field 'scores' is a column"),
        ([{"prompt": "p"}, {"prompt": "x" * 60}], "rule:length", "prompts2.jsonl:2"),
        ([{"prompt": "p"}], "rule:exact", "samples.jsonl:1"),
        ([{"prompt": "p"}], "rule:nothing", "nothing"),
    ],
)
def test_bad_input_is_refused_by_its_place(command, tmp_path, write_rows, capsys, rows, scorer, told):
    prompts = write_rows("prompts2.jsonl", rows)
    assert told in refused(command(tmp_path / "out", prompts=prompts, scorer=scorer), capsys)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"k": 3, "n": 2}, "k is from 1 to n"),
        ({"k": 0}, "k is from 1 to n"),
        ({"rounds": 0}, "rounds is 1 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        TrainBestOfN("p", "d", "rule:length", "o", **settings)
