"""`evalkit process-eval`: what is printed and written, resumed runs, and every refusal."""

import json
from pathlib import Path

import pytest

import evalkit.evaluation.process
from evalkit.cli import main
from rewards.records import Score

PROCESSBENCH = Path(__file__).parents[3] / ".." / "shared" / "data" / "processbench" / "gsm8k.json"
BOTH_KINDS = [
    # Erroneous: found, marked too early, not marked, with a right answer.
    {"scores": [0.9, 0.2], "labels": [1, 0], "correct": False},
    {"scores": [0.3, 0.2], "labels": [1, 0], "correct": False},
    {"scores": [0.8, 0.7, 0.1], "labels": [1, 0, None], "correct": True},
    # Correct: passed, and marked.
    {"scores": [0.9, 0.6], "labels": [1, 1], "correct": True},
    {"scores": [0.4], "labels": [1], "correct": True},
]
"""At 0.5: 1 of 3 erroneous and 1 of 2 correct; F1 = 2 (1/3) (1/2) / (1/3 + 1/2) = (1/3) / (5/6) = 0.4."""


class FromTheRow:
    """Scores steps by the numbers that their solution carries."""

    def __init__(self):
        self.asked = 0

    def score(self, generations):
        self.asked += len(generations)
        assert all("".join(each.steps) == each.response for each in generations)
        return [Score(0.0, tuple(each.extra["scores"])) for each in generations]


@pytest.fixture
def scorer(monkeypatch):
    one = FromTheRow()
    monkeypatch.setattr(evalkit.evaluation.process, "load_scorer", lambda _: one)
    return one


@pytest.fixture
def solutions(write_rows):
    """Write solutions with their scores, each with a prompt of its own unless it says so."""

    def write(rows, name="steps.jsonl", prompt="p"):
        return write_rows(
            name,
            [
                {
                    "prompt": f"{prompt}{number}",
                    "completions": [f"step {place}\n" for place in range(len(row["labels"]))],
                    "id": f"s{number}",
                    **row,
                }
                for number, row in enumerate(rows)
            ],
        )

    return write


@pytest.fixture
def evaluate(capsys):
    def call(*options):
        main(["process-eval", "--bootstrap", "50", *map(str, options)])
        return capsys.readouterr().out

    return call


def refusal(capsys, *options):
    with pytest.raises(SystemExit) as stop:
        main(["process-eval", *map(str, options)])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_constant_scores_find_no_error_in_processbench_or_one_in_every_first_step(evaluate):
    if not PROCESSBENCH.exists():
        pytest.skip("the shared data processbench is not here")
    out = evaluate("--scorer", "rule:constant?value=0.9", "--data", PROCESSBENCH)
    assert out.splitlines()[:3] == [
        "207 erroneous solutions: accuracy 0.0000",
        "193 correct solutions: accuracy 1.0000",
        "F1 0.0000",
    ]
    assert "right answers by a wrong step: 7 solutions, of which 0 marked" in out
    # 37 of the 207 erroneous solutions are wrong from the first step: 37 / 207 = 0.1787.
    labels = [row["label"] for row in json.loads(PROCESSBENCH.read_text(encoding="utf-8"))]
    assert (labels.count(0), len(labels) - labels.count(-1)) == (37, 207)
    out = evaluate("--scorer", "rule:constant?value=0.1", "--data", PROCESSBENCH)
    assert out.splitlines()[:3] == [
        "207 erroneous solutions: accuracy 0.1787",
        "193 correct solutions: accuracy 0.0000",
        "F1 0.0000",
    ]
    assert "AUC 0.5000" in out


@pytest.mark.usefixtures("scorer")
def test_f1_worked_by_hand(evaluate, solutions):
    out = evaluate("--scorer", "any", "--data", solutions(BOTH_KINDS))
    assert out.splitlines()[:4] == [
        "3 erroneous solutions: accuracy 0.3333",
        "2 correct solutions: accuracy 0.5000",
        "F1 0.4000",
        "threshold 0.5, as given; a step that scores below is marked as wrong",
    ]
    assert "the first error: 1 found, 1 marked too early, 1 too late, 0 not marked" in out
    assert "right answers by a wrong step: 1 solution, of which 1 marked somewhere, 0 at that step" in out
    assert "9 labelled steps; 1 step without a label left out" in out
    # At 0.65 the last correct solution's second step falls too.
    assert "2 correct solutions: accuracy 0.0000" in evaluate(
        "--scorer", "any", "--data", solutions(BOTH_KINDS), "--threshold", "0.65"
    )


def test_solutions_whose_labels_do_not_tell_the_first_error_are_counted_and_their_steps_used(
    evaluate, scorer, solutions
):
    rows = [
        *BOTH_KINDS,
        {"scores": [0.9, 0.1], "labels": [None, 0]},
        {"scores": [0.9], "labels": [None]},
        {"scores": [], "labels": []},
        {"scores": [0.9, 0.2], "labels": [0.75, 0.25]},
    ]
    out = evaluate("--scorer", "any", "--data", solutions(rows))
    assert "4 erroneous solutions: accuracy 0.5000" in out
    assert "3 of 9 solutions left out, whose labels do not tell the first error: 1 with an unlabelled" in out
    assert "1 without labels" in out
    assert "1 without steps" in out
    assert "1 solution with soft labels" in out
    assert "12 labelled steps; 3 steps without a label" in out
    assert "over 7 right and 5 wrong steps" in out
    assert scorer.asked == 8  # there is nothing to ask about a solution without steps


@pytest.mark.usefixtures("scorer")
def test_where_a_kind_is_missing_there_is_no_number(evaluate, solutions):
    out = evaluate("--scorer", "any", "--data", solutions(BOTH_KINDS[:3]))
    assert out.splitlines()[1:3] == ["0 correct solutions: accuracy -", "F1 -"]


@pytest.mark.usefixtures("scorer")
def test_the_report_its_rows_and_the_figure(evaluate, solutions, tmp_path):
    data, folder = solutions(BOTH_KINDS), tmp_path / "out"
    out = evaluate("--scorer", "any", "--data", data, "--out", folder)
    assert f"results are in {folder}" in out
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["first_error"]["f1"] == pytest.approx(0.4)
    assert report["summary"] == out.splitlines()[:-1]
    assert report["roc"]["auc"] is not None
    rows = [json.loads(line) for line in (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["predicted"] for row in rows] == [1, 0, 2, -1, 0]
    assert [row["first_error"] for row in rows] == [1, 1, 1, -1, -1]
    assert rows[2] == {
        "prompt": "p2",
        "id": "s2",
        "completions": ["step 0\n", "step 1\n", "step 2\n"],
        "labels": [1, 0, None],
        "scores": [0.8, 0.7, 0.1],
        "first_error": 1,
        "predicted": 2,
        "right_answer": True,
    }
    assert (folder / "process.png").stat().st_size > 10_000
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["configuration"]["threshold"] == 0.5
    # The rows are labelled steps still.
    again = evaluate("--scorer", "any", "--data", folder / "steps.jsonl")
    assert again.splitlines()[:3] == out.splitlines()[:3]


@pytest.mark.usefixtures("scorer")
def test_scores_that_are_no_probabilities_have_a_figure_without_calibration(evaluate, solutions, tmp_path):
    rows = [{**row, "scores": [4 * score - 2 for score in row["scores"]]} for row in BOTH_KINDS]
    out = evaluate("--scorer", "any", "--data", solutions(rows), "--threshold", 0, "--out", tmp_path / "out")
    assert "F1 0.4000" in out
    assert "calibration -" in out
    one_kind = solutions([{"scores": [0.5], "labels": [1]}])
    assert "AUC -" in evaluate("--scorer", "any", "--data", one_kind, "--out", tmp_path / "right")


@pytest.mark.usefixtures("scorer")
def test_a_threshold_is_chosen_on_other_prompts(evaluate, solutions, tmp_path, capsys):
    # Everything is right from 0.4 to 0.6.
    held_out = solutions(
        [
            {"scores": [0.9, 0.2], "labels": [1, 0]},
            {"scores": [0.4], "labels": [0]},
            {"scores": [0.6], "labels": [1]},
        ],
        "held-out.jsonl",
        "other ",
    )
    data = solutions([{"scores": [0.45], "labels": [0]}, {"scores": [0.55], "labels": [1]}])
    options = ("--scorer", "any", "--data", data, "--calibration_data", held_out, "--threshold", 0.1)
    out = evaluate(*options, "--out", tmp_path / "out")
    assert out.splitlines()[2] == "F1 1.0000"
    assert f"threshold 0.5, chosen on {held_out}: F1 1.0000 there from 0.4 to 0.6, over 3 solutions" in out
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["chosen"]["threshold"] == report["threshold"] == pytest.approx(0.5)

    both = solutions([{"scores": [0.45], "labels": [0]}, *BOTH_KINDS[3:]], "both.jsonl", "p")
    error = refusal(capsys, "--scorer", "any", "--data", data, "--calibration_data", both)
    assert "2 of its 3 prompts are in" in error
    one_kind = solutions([{"scores": [0.45], "labels": [0]}], "one.jsonl", "q")
    error = refusal(capsys, "--scorer", "any", "--data", data, "--calibration_data", one_kind)
    assert error.startswith(f"evalkit: {one_kind}: a threshold is chosen on erroneous and correct")


def test_a_run_that_was_cut_off_goes_on_where_it_stopped(
    evaluate, scorer, solutions, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(evalkit.evaluation.process, "CHUNK", 2)
    monkeypatch.setattr(evalkit.evaluation.process, "draw_process", lambda *_: None)
    data, whole = solutions(BOTH_KINDS), tmp_path / "whole"
    evaluate("--scorer", "any", "--data", data, "--out", whole)
    real, calls = scorer.score, []

    def fails_third(generations):
        calls.append(len(generations))
        if len(calls) == 3:
            raise RuntimeError
        return real(generations)

    monkeypatch.setattr(scorer, "score", fails_third)
    cut = tmp_path / "cut"
    with pytest.raises(RuntimeError):
        evaluate("--scorer", "any", "--data", data, "--out", cut)
    capsys.readouterr()
    evaluate("--scorer", "any", "--data", data, "--out", cut)
    assert calls == [2, 2, 1, 1]
    assert (cut / "steps.jsonl").read_bytes() == (whole / "steps.jsonl").read_bytes()
    assert "--overwrite" in refusal(
        capsys, "--scorer", "any", "--bootstrap", 50, "--data", data, "--out", cut
    )


def test_a_scorer_without_a_score_for_each_step_is_refused_and_leaves_nothing(
    solutions, scorer, tmp_path, capsys, monkeypatch
):
    data = solutions([{"scores": [0.5], "labels": [1, 0]}])
    folder = tmp_path / "out"
    error = refusal(capsys, "--scorer", "any", "--data", data, "--out", folder)
    assert "id 's0': the scorer gives 1 step scores for its 2 steps" in error
    assert not folder.exists()
    infinite = solutions([{"scores": [0.5, 0.5], "labels": [1, 0]}])
    monkeypatch.setattr(scorer, "score", lambda _: [Score(0.0, (0.5, float("inf")))])
    assert "finite" in refusal(capsys, "--scorer", "any", "--data", infinite)


def test_a_model_that_scores_whole_answers_is_refused(solutions, capsys):
    error = refusal(capsys, "--scorer", "rule:length", "--data", solutions(BOTH_KINDS))
    assert "0 step scores" in error
    assert "process reward model" in error


@pytest.mark.parametrize(
    ("option", "value"), [("bins", 0), ("bootstrap", 0), ("level", 1), ("threshold", "nan"), ("seed", -1)]
)
def test_settings_outside_their_range_are_refused(solutions, capsys, option, value):
    error = refusal(
        capsys, "--scorer", "rule:constant", "--data", solutions(BOTH_KINDS), f"--{option}", value
    )
    assert option in error or "resamples" in error
