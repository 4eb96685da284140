"""Labels of steps by rollouts: their definition, what early stopping saves and costs, kills, wrong input."""

import hashlib
import json
import re
import sqlite3
from collections import Counter
from math import comb
from pathlib import Path

import numpy as np
import pytest

from evalkit.cli import main
from evalkit.label_steps.cache import Completion, RolloutCache
from evalkit.label_steps.config import LabelSteps
from evalkit.label_steps.rollouts import Rollouts, StepTask
from judges.statistics.shares import share_of
from rewards.errors import DataError
from rewards.files import read_rows, step_labels
from rewards.records import Generation
from tests.processes import Forked

ROOT = Path(__file__).parents[3]


class Scripted:
    """A policy that is right with the probability that the last `p=` of its prompt says.

    With a last `cut=` it is cut by length with that probability, whatever it said.
    """

    def __init__(self):
        self.calls = Counter()

    def generate(self, prompts, n, settings, occurrences):
        self.calls.update(zip(prompts, occurrences, strict=True))
        return [
            [self.one(prompt, settings.seed, turn, j) for j in range(n)]
            for prompt, turn in zip(prompts, occurrences, strict=True)
        ]

    def one(self, prompt, seed, turn, j):
        right, cut = (float((["0", *re.findall(rf"{name}=([0-9.]+)", prompt)])[-1]) for name in ("p", "cut"))
        digest = hashlib.sha256(f"{seed} {turn} {j} {prompt}".encode()).digest()
        draws = np.frombuffer(digest[:16], dtype=np.uint64) / 2.0**64
        reason = "length" if draws[1] < cut else "eos"
        return Generation(prompt, f"A: {7 if draws[0] < right else 8}", extra={"finish_reason": reason})


@pytest.fixture
def scripted(monkeypatch):
    policy = Scripted()
    monkeypatch.setattr("evalkit.label_steps.command.load_policy", lambda _: policy)
    return policy


@pytest.fixture
def label(tmp_path, write_rows):
    """Return a function that labels rows and returns those of the output."""

    def run(rows, *options, name="labels.jsonl", policy="scripted"):
        arguments = ["label-steps", "--policy", policy, "--data", write_rows("data.jsonl", rows)]
        main([*arguments, "--out", str(tmp_path / name), *options])
        return [row.values for row in read_rows(tmp_path / name)]

    return run


def solved(*shares, answer="A: 7", prompt="What?\n", **columns):
    """A row whose steps lead on to right answers with these probabilities; its own answer is 7."""
    steps = [f"p={share}\n" for share in shares]
    return {"prompt": prompt, "completions": [*steps, answer], "answer": "7", **columns}


def refusal(capsys, label, rows, *options):
    with pytest.raises(SystemExit) as stop:
        label(rows, *options)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_labels_are_what_their_equations_say(label, scripted):
    row = solved(0.5, 0, 1, id="x", source="here")
    [hard] = label([row], "--n", "16", "--batch", "16", "--stop_early", "false")
    completions = [scripted.one("What?\np=0.5\n", 0, 0, j) for j in range(16)]
    right = sum(one.response == "A: 7" for one in completions)
    assert 0 < right < 16
    assert hard["hard_labels"] == hard["labels"] == [1, 0, 1, 1]
    assert hard["soft_labels"] == [right / 16, 0, 1, 1]
    assert [counts["right"] for counts in hard["rollouts"]] == [right, 0, 16, 0]
    assert [counts["sampled"] for counts in hard["rollouts"]] == [16, 16, 16, 0]
    share = share_of(right, 16)
    assert [(counts["low"], counts["high"]) for counts in hard["rollouts"]][0::3] == [
        (share.low, share.high),
        (1, 1),
    ]
    [soft] = label([row], "--n", "16", "--batch", "16", "--label", "soft", name="soft.jsonl")
    assert soft == {**hard, "labels": hard["soft_labels"]}
    assert {name: soft[name] for name in row} == row


def test_a_wrong_solution_is_graded_itself(label, scripted):
    rows = [solved(1, answer="A: 8"), solved(1, answer="so it is 7"), solved(1, answer="seven")]
    assert [row["labels"] for row in label(rows)] == [[1, 0], [1, 1], [1, 0]]
    assert all(turn == 0 for _, turn in scripted.calls)


@pytest.mark.usefixtures("scripted")
def test_the_output_is_read_back_as_labelled_steps(label, tmp_path):
    label([solved(1, 0, id="x", source="s")], "--n", "4", name="labels.parquet")
    [one] = map(step_labels, read_rows(tmp_path / "labels.parquet"))
    assert (one.steps, one.labels, one.id) == (("p=1\n", "p=0\n", "A: 7"), (1, 0, 1), "x")
    assert one.extra["source"] == "s"
    assert len(one.extra["rollouts"]) == 3


def test_every_way_to_write_a_solution_gives_the_same_labels(label, scripted):
    steps, text = ["p=1\n", "p=0\n", "A: 7"], "p=1\np=0\nA: 7"
    base = {"prompt": "What?\n", "answer": 7}
    rows = [
        {**base, "completions": steps},
        {**base, "steps": steps},
        {**base, "response": text},
        {**base, "response": text, "steps": steps},
        {**base, "completions": ["p=1", "p=0", "A: 7"]},
        {**base, "responses": [text, text], "length": [1, 2]},
    ]
    made = label(rows, "--n", "4")
    assert [row["labels"] for row in made] == [[1, 0, 1]] * 7
    assert [row["completions"] for row in made] == [steps] * 4 + [["p=1", "p=0", "A: 7"]] + [steps] * 2
    assert [row.get("length") for row in made] == [None] * 5 + [1, 2]
    assert all(row["prompt"] == "What?\n" and "response" not in row for row in made)
    # One prefix, one set of completions, however often it occurs.
    assert scripted.calls == {("What?\np=1\n", 0): 1, ("What?\np=1\np=0\n", 0): 1}


@pytest.mark.usefixtures("scripted")
def test_early_stopping_changes_no_hard_label_and_counts_what_it_saved(label, capsys):
    shares = [round(0.02 * number, 2) for number in range(30)]
    rows = [solved(share, 0.3, prompt=f"{place} ") for place, share in enumerate(shares)]
    options = ("--n", "20", "--batch", "3", "--chunk_rows", "7")
    patient = label(rows, *options, "--stop_early", "false")
    assert "saved 0 % of 1,200 completions" in capsys.readouterr().out.replace("0%", "0 %")
    hasty = label(rows, *options, name="hasty.jsonl")
    assert [row["labels"] for row in hasty] == [row["labels"] for row in patient]
    saved = 0
    for quick, slow in zip(hasty, patient, strict=True):
        for place in (0, 1):
            few, all_of_them = quick["rollouts"][place], slow["rollouts"][place]
            assert all_of_them["sampled"] == 20
            assert (few["right"] > 0) == few["early"] or few["sampled"] == 20
            saved += 20 - few["sampled"]
    assert saved > 400
    printed = capsys.readouterr().out
    assert (
        f"saved {saved / 1200:.0%} of 1,200 completions: {saved:,} by stopping early, 0 by sharing" in printed
    )
    assert f"{1200 - saved:,} completions, 0 of them" in printed


def test_prefixes_in_common_are_completed_once_and_counted(label, scripted, capsys):
    rows = [solved(1, 0.5), solved(1, 0), {**solved(1), "answer": "8"}]
    label(rows, "--n", "8", "--batch", "4", "--chunk_rows", "1")
    # Step p=1 is decided after 4 of its completions for the answer 7, and never for the answer 8.
    assert scripted.calls["What?\np=1\n", 0] == scripted.calls["What?\np=1\n", 1] == 1
    printed = capsys.readouterr().out
    asked = sum(4 * times for times in scripted.calls.values())
    assert f"{asked} completions, 0 of them" in printed
    assert f"{asked:,} completions were sampled now, 8 were in" in printed
    assert "of 40 completions" in printed
    assert "8 by sharing prefixes" in printed


@pytest.mark.usefixtures("scripted")
def test_completions_cut_by_length_are_not_right_and_are_counted(label, capsys):
    [row] = label([solved("1 cut=1", "1 cut=0")], "--n", "8")
    assert row["labels"] == [0, 1, 1]
    assert [counts["cut"] for counts in row["rollouts"]] == [8, 0, 0]
    assert "12 completions, 8 of them (66.7%) cut by length" in capsys.readouterr().out


def tallies(tmp_path, share, how_many, **options):
    config = LabelSteps("p", "d", str(tmp_path / "o.jsonl"), label="soft", **options)
    tasks = [StepTask(f"{number} ", f"p={share}\n", "7") for number in range(how_many)]
    with RolloutCache(":memory:", {}) as cache:
        return list(Rollouts(Scripted(), cache, config).tallies(tasks).values())


def expected_soft_label(share, n, batch, width):
    """The expectation of a soft label under early stopping, and of its number of completions: exactly."""
    alive, sampled, label, completions = {0: 1.0}, 0, 0.0, 0.0
    while alive:
        more = min(batch, n - sampled)
        sampled += more
        after = Counter()
        for right, weight in alive.items():
            for new in range(more + 1):
                after[right + new] += weight * comb(more, new) * share**new * (1 - share) ** (more - new)
        alive = {}
        for right, weight in after.items():
            interval = share_of(right, sampled)
            if sampled == n or (interval.high - interval.low) / 2 <= width:
                label += weight * right / sampled
                completions += weight * sampled
            else:
                alive[right] = weight
    return label, completions


def test_a_soft_label_is_unbiased_without_early_stopping(tmp_path):
    made = tallies(tmp_path, 0.11, 1000, n=16, batch=16, stop_early=False)
    error = np.sqrt(0.11 * 0.89 / 16_000)
    assert np.mean([tally.soft() for tally in made]) == pytest.approx(0.11, abs=4 * error)
    assert np.var([tally.right for tally in made]) == pytest.approx(16 * 0.11 * 0.89, rel=0.2)


def test_early_stopping_biases_a_soft_label_by_what_the_documentation_says(tmp_path):
    made = tallies(tmp_path, 0.11, 1500, n=64, batch=4, width=0.1)
    label, completions = expected_soft_label(0.11, 64, 4, 0.1)
    assert np.mean([tally.soft() for tally in made]) == pytest.approx(label, abs=4 * 0.059 / np.sqrt(1500))
    sizes = [tally.sampled for tally in made]
    assert np.mean(sizes) == pytest.approx(completions, abs=4 * np.std(sizes) / np.sqrt(1500))
    grid = np.linspace(0.01, 0.99, 99)
    exact = np.array([expected_soft_label(share, 64, 4, 0.1) for share in grid])
    bias = exact[:, 0] - grid
    assert abs(bias).max() == pytest.approx(0.0196, abs=1e-4)
    assert bias[49] == pytest.approx(0, abs=1e-12)
    assert exact[:, 1].mean() == pytest.approx(52.2, abs=0.1)


def test_a_finished_cache_answers_everything(label, scripted, capsys):
    rows = [solved(0.1, 0.2), solved(0.3)]
    first = label(rows)
    asked = Counter(scripted.calls)
    cache = ("--cache", first and str(Path(capsys.readouterr().out.split()[-1] + ".rollouts.sqlite")))
    assert label(rows, *cache, name="again.jsonl") == first
    assert scripted.calls == asked
    assert "0 completions were sampled now" in capsys.readouterr().out
    label(rows, *cache, "--seed", "1", name="other.jsonl")
    assert scripted.calls.total() > asked.total()


def test_a_round_of_which_too_little_is_kept_is_sampled_again(tmp_path):
    with RolloutCache(str(tmp_path / "c.sqlite"), {"seed": 1}) as cache:
        cache.put(["a"], 0, [[Completion("x", False), Completion("y", True)]])
        assert cache.get("a", 0, 1) == [Completion("x", False)]
        assert cache.get("a", 0, 2) == [Completion("x", False), Completion("y", True)]
        assert cache.get("a", 0, 3) is cache.get("a", 1, 1) is cache.get("b", 0, 1) is None
    with RolloutCache(str(tmp_path / "c.sqlite"), {"seed": 2}) as cache:
        assert cache.get("a", 0, 1) is None


REAL = ["--n", "4", "--batch", "2", "--max_new_tokens", "6", "--chunk_rows", "2", "--seed", "3"]
KILLED = """
import os, signal, sys
from evalkit.cli import main
from evalkit.label_steps.cache import RolloutCache
put, calls = RolloutCache.put, []
def put_and_die(self, *what):
    calls.append(put(self, *what))
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
RolloutCache.put = put_and_die
main(sys.argv[1:])
"""


def test_a_killed_run_ends_with_the_bytes_of_an_undisturbed_one(policy_folder, tmp_path, write_rows, capsys):
    rows = [
        {"prompt": f"{number}+1=?\n", "responses": [f"{number}+1\n1\nA {number + 1}", f"{number}+1\n2\nA 0"]}
        | {"answer": number + 1}
        for number in range(6)
    ]
    data = write_rows("data.jsonl", rows)
    arguments = ["label-steps", "--policy", policy_folder, "--data", data, *REAL]
    whole, out = tmp_path / "whole.jsonl", tmp_path / "labels.jsonl"
    main([*arguments, "--out", str(whole)])
    total = int(re.search(r"(\d+) completions were sampled now", capsys.readouterr().out)[1])
    killed = Forked(KILLED, *arguments, "--out", str(out)).completed()
    assert killed.returncode == -9, killed.stderr
    assert (tmp_path / "labels.jsonl.partial").stat().st_size
    assert not out.exists()
    main([*arguments, "--out", str(out)])
    printed = capsys.readouterr().out
    assert re.search(r"Going on after \d of 6 rows", printed)
    rest = int(re.search(r"(\d+) completions were sampled now", printed)[1])
    assert 0 < rest < total
    assert hashlib.sha256(out.read_bytes()).digest() == hashlib.sha256(whole.read_bytes()).digest()
    made = [step_labels(row) for row in read_rows(out)]
    assert len(made) == 12
    assert {one.labels[-1] for one in made} == {0, 1}
    assert [one.labels[-1] for one in made[::2]] == [1] * 6


def test_a_real_policy_names_the_solution_that_leaves_no_room(policy_folder, label, capsys):
    rows = [{"prompt": "1?\n", "response": "1\n2\nA 3", "answer": 3}]
    rows.append({"prompt": "2?\n", "response": "4" * 60 + "\nA 3", "answer": 3})
    with pytest.raises(SystemExit) as stop:
        label(rows, policy=policy_folder)
    assert stop.value.code == 2
    assert re.search(r"data.jsonl:2: step 1: the prompt has 6\d tokens", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"answer": None}, "data.jsonl:2: field 'answer': the numeric grader expects a text or a number"),
        ({"answer": "many"}, "data.jsonl:2: field 'answer': the numeric grader expects one number"),
        ({"completions": []}, "data.jsonl:2: field 'completions': expected one step or more"),
        ({"completions": "A: 7"}, "data.jsonl:2: field 'completions': expected a list of texts"),
        ({"completions": None, "response": ""}, "data.jsonl:2: field 'response': expected a solution of one"),
        ({"labels": [1, 1]}, "data.jsonl:2: field 'labels' is a column that the output writes"),
        ({"response": "p=1\nA: 7"}, "data.jsonl:2: field 'completions' is a column that the output writes"),
        ({"prompt": [{"role": "user", "content": "What?"}]}, "data.jsonl:2: field 'prompt': expected a text"),
        ({"prompt": 3}, "data.jsonl:2: field 'prompt': expected a text or a list"),
    ],
)
def test_a_row_that_cannot_be_labelled_is_named(label, scripted, capsys, change, problem):
    assert problem in refusal(capsys, label, [solved(1), {**solved(1), **change}])
    assert not scripted.calls


@pytest.mark.usefixtures("scripted")
def test_a_row_without_an_answer_column_is_named(label, capsys):
    assert "data.jsonl:1: no column 'gold', only" in refusal(capsys, label, [solved(1)], "--answer", "gold")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--n", "0"), "n is 1 or more"),
        (("--temperature", "0"), "temperature is above 0"),
        (("--level", "1"), "level is between 0 and 1"),
        (("--separator", ""), "separator is a text"),
        (("--label", "firm"), "expected one of 'hard', 'soft'"),
        (("--stop", "[a,'']"), "a stop text must not be empty"),
    ],
)
@pytest.mark.usefixtures("scripted")
def test_a_wrong_option_is_refused(label, capsys, options, problem):
    assert problem in refusal(capsys, label, [solved(1)], *options)


@pytest.mark.usefixtures("scripted")
def test_a_file_that_is_no_cache_is_refused_and_left(label, capsys, tmp_path):
    text, other = tmp_path / "notes.txt", tmp_path / "other.sqlite"
    text.write_text("notes " * 100)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in (text, other, folder):
        assert "name another file with --cache" in refusal(capsys, label, [solved(1)], "--cache", str(path))
    assert text.read_text() == "notes " * 100
    assert "is an input" in refusal(capsys, label, [solved(1)], "--cache", str(tmp_path / "data.jsonl"))
    with pytest.raises(DataError, match="cannot be used"):
        RolloutCache(str(text), {})


def test_solutions_of_one_step_need_no_policy(label, scripted, capsys):
    assert label([solved(), solved(answer="A: 6")])[1]["labels"] == [0]
    assert not scripted.calls
    assert "nothing was completed" in capsys.readouterr().out


@pytest.mark.usefixtures("scripted")
def test_the_first_rows_alone_and_renamed_columns(label):
    rows = [{"question": "q", "response": "p=1\nA: 7", "answer": 7}] * 3
    made = label(rows, "--limit", "2", "--rename", json.dumps({"question": "prompt"}))
    assert [row["prompt"] for row in made] == ["q", "q"]
