"""`evalkit accuracy`: published figures through the command, what it writes, and every refusal."""

import csv
import json
from pathlib import Path

import pytest

import evalkit.evaluation.accuracy
from evalkit.cli import main
from evalkit.evaluation.accuracy_figures import _apart

MATH = Path(__file__).parents[3] / ".." / "shared" / "data" / "qwen25math-bon8" / "math_cot_100.jsonl"

LISTED = [
    {
        "prompt": "a",
        "responses": ["1", "2", "3"],
        "scores": [0.9, 0.2, 0.1],
        "corrects": [True, False, False],
        "answers": ["x", "y", "y"],
    },
    {
        "prompt": "b",
        "responses": ["1", "2", "3"],
        "scores": [0.3, 0.5, 0.4],
        "corrects": [1, 0, 1],
        "answers": ["x", None, "x"],
    },
]
SINGLE = [
    {"prompt": row["prompt"], "response": response, "score": score, "correct": correct, "answer": answer}
    for row in LISTED
    for response, score, correct, answer in zip(
        *(row[name] for name in ("responses", "scores", "corrects", "answers")), strict=True
    )
]


@pytest.fixture
def accuracy(tmp_path, write_rows, capsys, monkeypatch, request):
    """Run `accuracy` on rows; return accuracies by method and n, the result and what was printed.

    Drawing takes most of the time, so that only tests of figures draw.
    """

    if "figure" not in request.node.name:
        monkeypatch.setattr(evalkit.evaluation.accuracy, "draw_accuracy", lambda *_: None)

    def call(rows, *options, out="out"):
        data, folder = write_rows("data.jsonl", rows), tmp_path / out
        main(["accuracy", "--data", data, "--out", str(folder), "--bootstrap", "100", *map(str, options)])
        with (folder / "accuracy.csv").open(encoding="utf-8", newline="") as file:
            table = {
                (f"{row['method']} {row['score']}".strip(), int(row["n"])): float(row["accuracy"])
                for row in csv.DictReader(file)
            }
        result = json.loads((folder / "accuracy.json").read_text(encoding="utf-8"))
        return table, result, capsys.readouterr().out

    return call


@pytest.fixture
def refusal(tmp_path, write_rows, capsys):
    def call(rows, *options):
        with pytest.raises(SystemExit) as stop:
            main(
                [
                    "accuracy",
                    "--data",
                    write_rows("data.jsonl", rows),
                    "--out",
                    str(tmp_path / "bad"),
                    *map(str, options),
                ]
            )
        assert stop.value.code == 2
        assert not (tmp_path / "bad").exists()
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    return call


def test_published_figures_of_real_samples(accuracy):
    if not MATH.exists():
        pytest.skip("the shared data qwen25math-bon8 is not here")
    rows = []
    for line in MATH.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        scores = [score for (score,) in row["pred_score"]]
        rows.append(
            {
                "prompt": row["question"],
                "responses": row["code"],
                "scores": scores,
                "corrects": row["score"],
                "answers": row["pred"],
            }
        )
    table, result, printed = accuracy(rows)
    best = [table["best-of-n score", n] for n in (1, 2, 4, 8)]
    assert [round(100 * value, 3) for value in best] == [91.000, 92.786, 93.614, 94.000]
    assert table["pass", 8] == pytest.approx(0.96)
    assert table["mean", 1] == pytest.approx(0.91)
    # 93 where ties fall to the answer seen first: of three that hold the right answer it wins two. Shared,
    # they are worth one and a half.
    assert table["majority", 8] == pytest.approx(0.925)
    assert result["vote_weights"] == {"score": "sigmoid"}
    assert result["samples_per_prompt"] == {"8": 100}
    assert "100 prompts, 800 samples, mean 91.0%" in printed
    gap = next(one for one in result["largest_n"] if one["second"] == "majority")
    assert (gap["first"], gap["n"]) == ("best-of-n score", 8)
    assert gap["difference"] == pytest.approx(0.015)
    assert gap["low"] < 0 < gap["high"]


def test_numbers_by_hand_from_lists_and_from_single_responses(accuracy):
    table, result, printed = accuracy(LISTED)
    # Best of 3: a is right, b's best is wrong. Of 2: a in 2 of 3 subsets, b in 1 of 3.
    assert [table["best-of-n score", n] for n in (1, 2, 3)] == pytest.approx([1 / 2, 1 / 2, 1 / 2])
    # Majority of 3: y wins in a, x in b. Of 2: a is half right in 2 of 3 subsets, b right in all.
    assert [table["majority", n] for n in (1, 2, 3)] == pytest.approx([1 / 2, (1 / 3 + 1) / 2, 1 / 2])
    assert [table["weighted-majority score", n] for n in (1, 2, 3)] == pytest.approx([1 / 2, 5 / 6, 1])
    assert [table["pass", n] for n in (1, 2, 3)] == pytest.approx([1 / 2, (2 / 3 + 1) / 2, 1])
    assert result["samples_without_answer"] == 1
    assert "1 sample of 6 without an answer, which do not vote" in printed
    again, _, _ = accuracy(SINGLE, out="single")
    assert again == table


def test_several_scores_by_other_names_and_their_figure(accuracy, tmp_path):
    rows = [
        {
            "question": row["prompt"],
            "responses": row["responses"],
            "prms": row["scores"],
            "orm": [-score for score in row["scores"]],
            "is_right": row["corrects"],
        }
        for row in LISTED
    ]
    options = ("--score", "[prm,orm]", "--correct", "is_right", "--rename", '{"question": "prompt"}')
    table, result, printed = accuracy(rows, *options, "--n", "[1,3]")
    assert {name for name, _ in table} == {"mean", "best-of-n prm", "best-of-n orm", "pass"}
    assert result["n"] == [1, 3]
    assert [(one["first"], one["second"]) for one in result["differences"]] == [
        ("best-of-n prm", "best-of-n orm")
    ]
    assert "no votes: the rows have no column 'answer'" in printed
    voted, _, _ = accuracy(rows, *options, "--answer", "response", out="voted")
    assert ("majority", 3) in voted
    sizes = [(tmp_path / out / "accuracy.png").stat().st_size for out in ("out", "voted")]
    assert 10_000 < sizes[0] < sizes[1]  # with votes there is a panel of what is gained over them


def test_unequal_numbers_of_samples_end_at_the_fewest_and_are_counted(accuracy, refusal):
    rows = [*SINGLE, {**SINGLE[0], "response": "4"}]
    table, result, printed = accuracy(rows)
    assert result["n"] == [1, 2, 3]
    assert result["samples_per_prompt"] == {"3": 1, "4": 1}
    assert "N ends at 3, the fewest; the estimates use all samples of the 1 prompts with more" in printed
    assert table["mean", 1] == pytest.approx((2 / 4 + 2 / 3) / 2)
    assert "prompt 'b' has 3 samples; 1 of 2 prompts have fewer than n = 4" in refusal(rows, "--n", "[1,4]")


def test_an_answer_graded_both_ways_is_said(accuracy):
    rows = [{**row, "answer": "x"} for row in SINGLE]
    table, result, printed = accuracy(rows)
    assert result["answers_graded_both_ways"] == 2
    assert table["majority", 3] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert "2 answers graded right in some samples" in printed


def test_a_finished_run_is_kept_and_the_seed_decides(accuracy, capsys):
    rows = [{**row, "prompt": f"{row['prompt']}{copy}"} for row in SINGLE for copy in range(8)]
    first, _, _ = accuracy(rows, "--subsets", 2)
    with pytest.raises(SystemExit) as stop:
        accuracy(rows, "--subsets", 2)
    assert stop.value.code == 2
    assert "--overwrite" in capsys.readouterr().err
    again, _, _ = accuracy(rows, "--subsets", 2, out="again")
    other, _, _ = accuracy(rows, "--subsets", 2, "--seed", 5, out="other")
    assert first == again
    assert first["majority", 2] != other["majority", 2]
    assert first["best-of-n score", 2] == other["best-of-n score", 2]


def broken(**columns):
    return [SINGLE[0], {**SINGLE[1], **columns}]


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (broken(score=None), (), "data.jsonl:2: field 'score': expected a finite number, got null"),
        (broken(score=True), (), "field 'score'"),
        (broken(correct=None), (), "data.jsonl:2: field 'correct': expected true or false"),
        (broken(correct=0.5), (), "field 'correct'"),
        (broken(correct=[True]), (), "field 'correct'"),
        (broken(answer=["x"]), (), "field 'answer': expected a text, a number or null"),
        ([SINGLE[0], {"prompt": "a", "response": "r", "score": 1, "correct": 1}], (), "only some rows"),
        (SINGLE, ("--score", "prm"), "no column 'prm', only prompt, response, score"),
        (LISTED, ("--score", "prm"), "no column 'prm' or 'prms'"),
        ([{**LISTED[0], "scores": [1, 2]}], (), "expected 3 values, one for each response"),
        (SINGLE, ("--score", "[score,score]"), "different ones"),
        (SINGLE, ("--n", "[0]"), "n is 1 or more"),
        (SINGLE, ("--subsets", "0"), "subsets is 1 or more"),
    ],
)
def test_what_is_no_scored_and_graded_sample_is_refused(refusal, rows, options, words):
    assert words in refusal(rows, *options)


def test_names_of_lines_are_moved_apart_and_keep_their_order():
    assert _apart([0.1, 0.5, 0.9], 0.05) == pytest.approx([0.1, 0.5, 0.9])
    assert _apart([0.5, 0.5, 0.52, 0.9], 0.05) == pytest.approx([0.4567, 0.5067, 0.5567, 0.9], abs=1e-4)
