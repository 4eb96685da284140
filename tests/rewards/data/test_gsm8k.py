"""GSM8K's files as rows, and the experiment on its graded solutions."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.experiments.gsm8k_outcome import experiment
from evalkit.experiments.gsm8k_outcome.bodies import POSITIONS, lengthen
from evalkit.experiments.gsm8k_outcome.config import Gsm8kOutcome
from evalkit.experiments.gsm8k_outcome.steps import folds, seen
from evalkit.experiments.gsm8k_outcome.tables import Solutions, baselines, by_author, measure, stratified_auc
from rewards.data.gsm8k import MODELS, command, graded_solutions, load_gsm8k, worked_problem
from rewards.errors import ConfigError, DataError
from rewards.files import Row, generations, read_rows
from rewards.intervals import Resampling
from rewards.solutions.answers import is_right

GSM8K = Path(__file__).parents[3] / ".." / "shared" / "data" / "gsm8k"
real = pytest.mark.skipif(not GSM8K.exists(), reason="no ../shared/data/gsm8k")

RIGHT = "Tom has 2*3=<<2*3=6>>6 apples.\nA: 6"
WRONG = "Tom has 2+3=<<2+3=5>>5 apples.\nA: 5"
GRADED = {
    "question": "Tom has 2 bags of 3 apples. How many apples?",
    "ground_truth": RIGHT,
    MODELS[0]: {"is_correct": False, "solution": WRONG},
    MODELS[1]: {"is_correct": True, "solution": RIGHT},
    MODELS[2]: {"is_correct": False, "solution": "No idea"},
    MODELS[3]: {"is_correct": True, "solution": RIGHT},
}
WORKED = {
    "question": "How many?",
    "answer": "He has 48/2 = <<48/2=24>>24.\nIn all <<500*24=12000>>12,000.\n#### 12,000",
}


def write(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@real
def test_the_published_solutions_are_read_with_their_counts():
    rows = list(load_gsm8k(GSM8K / "example_model_solutions.jsonl"))
    assert len(rows) == 1319
    assert len({row["prompt"] for row in rows}) == 1319
    right = np.array([row["corrects"] for row in rows])
    assert right.sum(axis=0).tolist() == [286, 515, 458, 742]
    assert sum(answer is None for row in rows for answer in row["answers"]) == 2


@real
@pytest.mark.parametrize(("name", "count"), [("train", 7473), ("test", 1319)])
def test_the_published_problems_are_read_whole(name, count):
    found = 0
    for row in load_gsm8k(GSM8K / f"{name}.jsonl"):
        assert "".join(row["steps"]) == row["response"]
        assert row["steps"][-1] == f"#### {row['answer']}"
        assert is_right(row["response"], row["answer"], "numeric")
        found += 1
    assert found == count


def test_a_row_of_graded_solutions_gives_one_generation_a_model():
    row = graded_solutions(Row(GRADED, "solutions.jsonl", 7))
    assert row["id"] == "solutions.jsonl:7"
    assert row["answer"] == "6"
    assert row["answers"] == ["5", "6", None, "6"]
    own = generations(Row(row, "rows.jsonl", 1))
    assert [one.extra["models"] for one in own] == list(MODELS)
    assert [one.extra["corrects"] for one in own] == [False, True, False, True]
    assert {one.prompt for one in own} == {GRADED["question"] + "\n"}


def test_notes_of_the_calculator_are_kept_or_left_out():
    assert graded_solutions(Row(GRADED, "x.jsonl", 1))["responses"][1] == RIGHT
    assert graded_solutions(Row(GRADED, "x.jsonl", 1), False)["responses"][1] == "Tom has 2*3=6 apples.\nA: 6"
    row = worked_problem(Row(WORKED, "x.jsonl", 1), False)
    assert row["steps"] == ["He has 48/2 = 24.\n", "In all 12,000.\n", "#### 12,000"]
    assert row["answer"] == "12,000"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({MODELS[1]: "text"}, "field '6b_verification': expected an object of solution and is_correct"),
        ({MODELS[1]: {"solution": "A: 6"}}, "'6b_verification.is_correct': expected true or false, got null"),
        (
            {MODELS[1]: {"solution": 6, "is_correct": True}},
            "'6b_verification.solution': expected a text, got 6",
        ),
        (
            {"ground_truth": "none at all"},
            "field 'ground_truth': expected a solution that ends in its answer",
        ),
        ({"question": " "}, "field 'question': expected a text that is not empty"),
    ],
)
def test_a_broken_row_of_graded_solutions_is_named_by_file_line_and_field(tmp_path, change, message):
    source = write(tmp_path / "graded.jsonl", [GRADED, {**GRADED, **change}])
    with pytest.raises(DataError) as caught:
        list(load_gsm8k(source))
    assert str(caught.value).startswith(f"{source}:2: ")
    assert message in str(caught.value)


def test_a_model_or_an_answer_that_is_missing_is_an_error(tmp_path):
    rest = {name: value for name, value in GRADED.items() if name != MODELS[3]}
    with pytest.raises(DataError, match=r"rows.jsonl:1: no column '175b_verification'"):
        list(load_gsm8k(write(tmp_path / "rows.jsonl", [rest])))
    for text in ("He has 5.", "#### 5\nand more", "####  "):
        with pytest.raises(
            DataError, match=r"rows.jsonl:1: field 'answer': expected a solution whose last line"
        ):
            list(load_gsm8k(write(tmp_path / "rows.jsonl", [{**WORKED, "answer": text}])))
    with pytest.raises(DataError, match=r"no row of GSM8K.*got prompt, response"):
        list(load_gsm8k(write(tmp_path / "rows.jsonl", [{"prompt": "a", "response": "b"}])))


def test_a_file_is_converted_to_rows_and_said_to_be(tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    source = write(tmp_path / "in.jsonl", [GRADED])
    command(["--data", source, "--out", str(out)])
    assert f"1 problem with graded solutions; they are in {out}" in capsys.readouterr().out
    assert [row.values["corrects"] for row in read_rows(out)] == [[False, True, False, True]]
    for again, message in (
        (out, "out.jsonl"),
        (tmp_path / "none.jsonl", "none.jsonl: no such file or folder"),
    ):
        with pytest.raises(SystemExit) as caught:
            command(["--data", str(source if again == out else again), "--out", str(out)])
        assert caught.value.code == 2
        told = capsys.readouterr().err
        assert message in told
        assert told.count("\n") == 1


def test_pairs_are_counted_within_a_stratum_with_ties_half():
    scores = np.array([1.0, 2.0, 2.0, 9.0, 0.0])
    right = np.array([False, True, False, False, True])
    strata = np.array([0, 0, 0, 1, 1])
    weights = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 1.0]])
    # Stratum 0: the right one is above one wrong one and beside the other, 1.5 of 2; stratum 1: 0 of 1.
    assert stratified_auc(scores, right, strata, strata, weights) == pytest.approx([1.5 / 3, 1.5 / 2, 0])


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=12))
def test_one_stratum_is_the_share_of_pairs_counted_one_by_one(items):
    scores = np.array([float(score) for score, _ in items])
    right = np.array([truth for _, truth in items])
    zeros = np.zeros(len(items), dtype=np.int64)
    found = stratified_auc(scores, right, zeros, zeros, np.ones((1, 1)))[0]
    wins = [np.sign(a - b) / 2 + 0.5 for a in scores[right] for b in scores[~right]]
    assert np.isnan(found) if not wins else found == pytest.approx(np.mean(wins))


def solutions(scores: np.ndarray, right: np.ndarray) -> Solutions:
    fold = np.arange(len(right)) % 2
    return Solutions(right, fold, {"score": scores, "constant": np.zeros(right.shape)})


def test_problem_and_author_alone_do_not_read():
    rng = np.random.default_rng(0)
    right = rng.random((60, 4)) < 0.5
    offsets = rng.integers(0, 9, size=(60, 1)) + np.array([1.0, 5.0, 2.0, 8.0])  # whole, so that they cancel
    values, _ = measure(solutions(offsets, right), Resampling(resamples=20), "score")
    found = {row["figure"]: row["value"] for row in values if row["scorer"] == "score"}
    assert found["reading"] == pytest.approx(0.5)
    perfect, differences = measure(solutions(right * 1.0, right), Resampling(resamples=20), "score")
    for row in perfect:
        if row["scorer"] == "score" and row["figure"] != "best-of-4":
            assert row["value"] == 1.0
            assert row["low"] is None
    best = next(row for row in perfect if (row["figure"], row["scorer"]) == ("best-of-4", "score"))
    assert best["value"] == pytest.approx(right.any(axis=1).mean())
    assert all(row["difference"] > 0 for row in differences)
    each = by_author(solutions(right * 1.0, right), MODELS, Resampling(resamples=20))
    assert [row["auc"] for row in each if row["scorer"] == "score"] == [1.0] * 4


def test_baselines_by_hand():
    row = graded_solutions(Row(GRADED, "x.jsonl", 1))
    right = np.array([row["corrects"], [True, True, False, False]])
    found = baselines([row, row], right, np.array([0, 1]))
    assert found["votes"][0].tolist() == [0, 1, 0, 1]
    assert found["author"].tolist() == [[1, 1, 0, 0], [0, 1, 0, 1]]  # each from the other fold alone
    assert found["numbers-used"][0].tolist() == [1, 1, 0, 1]
    assert found["fewer-steps"][0].tolist() == [-2, -2, -1, -2]
    assert found["longer"][0, 2] == len("No idea") == -found["shorter"][0, 2]


def test_every_problem_is_held_out_once():
    parts = folds(11, 3, 5)
    assert sorted(place for part in parts for place in part) == list(range(11))
    assert {len(part) for part in parts} == {3, 4}
    assert parts == folds(11, 3, 5) != folds(11, 3, 6)
    with pytest.raises(ConfigError, match="folds are 2 or more"):
        folds(11, 1, 0)


def test_a_body_is_lengthened_and_keeps_its_weights(tmp_path):
    from transformers import AutoModelForCausalLM

    from evalkit.experiments.gsm8k_outcome.bodies import make_reader

    texts = ["Tom has 2 apples.\n", "Ann has 3 pears and 4 plums.\n"] * 4
    make_reader(texts, tmp_path / "body", 280, 16, 1, 1.0, 0)
    config = json.loads((tmp_path / "body" / "config.json").read_text())
    (tmp_path / "body" / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 64}))
    lengthen(str(tmp_path / "body"), tmp_path / "long")
    before, after = (AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("body", "long"))
    assert (before.config.max_position_embeddings, after.config.max_position_embeddings) == (64, POSITIONS)
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        assert one.equal(other)


def tiny(tmp_path: Path, **changes: object) -> Gsm8kOutcome:
    graded = []
    for number in range(8):
        row = json.loads(json.dumps(GRADED).replace("Tom", f"Tom{number}"))
        row[MODELS[0]]["is_correct"] = number % 3 == 0
        graded.append(row)
    settings = {
        "data": write(tmp_path / "graded.jsonl", graded),
        "problems": write(tmp_path / "problems.jsonl", [WORKED] * 6),
        "work": str(tmp_path / "work"),
        "out": str(tmp_path / "out"),
        "views": ["both"],
        "folds": 2,
        "vocabulary": 280,
        "hidden": 16,
        "layers": 1,
        "bootstrap": 50,
    }
    return Gsm8kOutcome(**{**settings, **changes})


def test_the_experiment_runs_whole_goes_on_and_refuses_other_settings(tmp_path, capsys):
    experiment.run(tiny(tmp_path))
    out = tmp_path / "out"
    with (out / "figures.csv").open() as file:
        figures = list(csv.DictReader(file))
    chosen = {row["scorer"]: float(row["value"]) for row in figures if row["figure"] == "best-of-4"}
    with (out / "accuracy.csv").open() as file:
        table = list(csv.DictReader(file))
    by_command = {
        row["score"]: float(row["accuracy"])
        for row in table
        if (row["n"], row["method"]) == ("4", "best-of-n")
    }
    assert chosen == pytest.approx(by_command, abs=1e-4)
    assert next(iter(chosen)) == "small"
    about = json.loads((out / "config.json").read_text())
    assert str(tmp_path) not in json.dumps(about)
    assert about["problems"] == 8
    assert about["held_out"] == [4, 4]
    for fold in range(2):
        train, test = (
            {
                row.values["prompt"]
                for row in read_rows(tmp_path / "work" / f"fold-{fold}" / "small-both" / f"{name}.jsonl")
            }
            for name in ("train", "test")
        )
        assert len(train) == len(test) == 4
        assert not train & test
    before = (out / "figures.csv").read_bytes()
    capsys.readouterr()
    experiment.run(tiny(tmp_path))
    assert "training" not in capsys.readouterr().out
    assert (out / "figures.csv").read_bytes() == before
    experiment.run(tiny(tmp_path, held_out=1, out=str(tmp_path / "one")))
    assert json.loads((tmp_path / "one" / "config.json").read_text())["held_out"] == [4]
    with pytest.raises(ConfigError, match="made by other settings"):
        experiment.run(tiny(tmp_path, hidden=32))


def test_a_view_hides_the_question_or_the_solution():
    row = graded_solutions(Row(GRADED, "x.jsonl", 1))
    assert seen(row, "both")["prompt"] == row["prompt"]
    assert seen(row, "solution") == {
        "prompt": "",
        "responses": row["responses"],
        "corrects": row["corrects"],
    }
    assert seen(row, "question")["responses"] == ["A:"] * 4
