import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.cli import main
from evalkit.evaluation import report_card as evaluating
from evalkit.evaluation.config import Evaluate
from rewards.errors import (
    ConfigError,
    DataError,
    MissingFileError,
    OutputExistsError,
    ScoringError,
    SpecError,
)
from rewards.evaluation import preferences
from rewards.records import Generation, Score
from rewards.scorer import Scorer
from rewards.scorers.rules import Length

HH = Path(__file__).parents[3] / ".." / "shared" / "data" / "hh"

PAIRS = [
    {"prompt": "Name a fruit.", "chosen": "An apple.", "rejected": "Car", "kind": "easy", "margin": 2.0},
    {"prompt": "Name a fruit.", "chosen": "Pear", "rejected": "I will not.", "kind": "easy", "margin": 1.0},
    {"prompt": "And a tree?", "chosen": "- Oak\n- Elm", "rejected": "Oak", "kind": "hard", "margin": 0.5},
    {"prompt": "And a bird?", "chosen": "Wren", "rejected": "Wren", "kind": "hard", "margin": 0.1},
]


def write(path: Path, rows: Sequence[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def evaluate(tmp_path: Path, rows: Sequence[dict[str, object]], scorer: str = "rule:length", **settings):
    data = write(tmp_path / "data.jsonl", rows)
    config = Evaluate(scorer=scorer, data=data, out=str(tmp_path / "out"), bootstrap=100, **settings)
    evaluating.run(config)
    return json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))


def means(report: dict) -> dict[str, float]:
    return {baseline["name"]: baseline["accuracy"]["mean"] for baseline in report["baselines"]}


@pytest.mark.parametrize(
    ("folder", "longer", "rows"), [("helpful-base", 59.56, 2354), ("harmless-base", 44.25, 2312)]
)
def test_the_length_of_the_final_turn_is_known_on_hh(tmp_path, capsys, folder, longer, rows):
    data = HH / folder / "test.jsonl.gz"
    if not data.exists():
        pytest.skip("the HH test split is not beside the project, in ../shared/data/hh")
    out = tmp_path / "out"
    main(
        ["evaluate", "--scorer", "rule:length", "--data", str(data), "--out", str(out), "--bootstrap", "100"]
    )
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["pairs"]["accuracy"]["n"] == rows
    assert round(100 * report["pairs"]["accuracy"]["mean"], 2) == longer
    assert round(100 * means(report)["longer"], 2) == longer
    assert means(report)["shorter"] == pytest.approx(
        1 - means(report)["longer"] - report["pairs"]["ties"] / rows
    )
    assert report["length_accuracy"]["controlled"]["mean"] == 0.5
    assert f"{longer} %" in capsys.readouterr().out


def test_a_report_by_hand(tmp_path, capsys):
    report = evaluate(tmp_path, PAIRS, source="kind")
    assert (report["rows"], report["prompts"], report["pairs"]["ties"]) == (4, 3, 1)
    assert report["pairs"]["accuracy"]["mean"] == 0.5
    assert means(report) == {
        "longer": 0.5,
        "shorter": 0.25,
        "random": 0.5,
        "more list items": 0.25,
        "prompt-blind": 0.5,
    }
    assert [(group["name"], group["accuracy"]["mean"]) for group in report["by_source"]] == [
        ("easy", 0.5),
        ("hard", 0.5),
    ]
    assert report["margin"] == "margin"
    assert [(group["low"], group["accuracy"]["mean"]) for group in report["by_margin"]] == [
        (0.1, 0),
        (0.5, 1),
        (1, 0),
        (2, 1),
    ]
    # Differences of length: 6, -7, 8, 0.
    losses = [math.log1p(math.exp(-difference)) for difference in (6, -7, 8, 0)]
    assert report["calibration"]["log_loss"] == pytest.approx(sum(losses) / 4)
    assert (tmp_path / "out" / "reliability.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "baseline: longer" in printed
    assert "Results are in" in printed


def test_rows_hold_what_the_report_is_made_of(tmp_path):
    evaluate(tmp_path, PAIRS)
    written = (tmp_path / "out" / "rows.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in written.splitlines()]
    assert [row["id"] for row in rows] == ["row 1", "row 2", "row 3", "row 4"]
    assert [row["scores"] for row in rows] == [[9, 3], [4, 11], [11, 3], [4, 4]]
    assert [(row["right"], row["pairs"]) for row in rows] == [(1, 1), (0, 1), (1, 1), (0, 1)]
    assert rows[0]["prompt"] == rows[1]["prompt"] != rows[2]["prompt"]


def test_rankings_count_by_pairs_and_by_rows(tmp_path):
    rows = [
        {"prompt": "a", "responses": ["xxxx", "xx", "xxx", "x"], "ranks": [1, 2, 2, 2]},
        {"prompt": "b", "responses": ["xx", "xx", "x", "x"], "ranks": [1, 2, 2, 2]},
        {"prompt": "c", "responses": ["x", "xx", "x", "x"], "ranks": [1, 2, 2, 2]},
    ]
    report = evaluate(tmp_path, rows)
    assert (report["pairs"]["accuracy"]["n"], report["pairs"]["ties"]) == (9, 3)
    assert report["pairs"]["accuracy"]["mean"] == pytest.approx(5 / 9)
    rankings = report["rankings"]
    assert (rankings["top_1"]["mean"], rankings["chance"]) == (pytest.approx(1 / 3), 0.25)
    assert rankings["best_of_k"]["mean"] == pytest.approx((1 + 1 / 2 + 0) / 3)


@pytest.mark.parametrize(
    "columns",
    [
        {"chosen_score": 2.0, "rejected_score": 1.0},
        {"score_chosen": 2.0, "score_rejected": 1.0},
        {"score": [2.0, 1.0]},
        {"scores": [2.0, 1.0]},
    ],
)
def test_scores_in_the_data_find_their_side_and_have_no_prompt_blind_baseline(tmp_path, columns):
    if "score" in columns or "scores" in columns:
        row = {"prompt": "p", "responses": ["good", "bad"], "ranks": [1, 2], **columns}
    else:
        row = {"prompt": "p", "chosen": "good", "rejected": "bad", **columns}
    report = evaluate(
        tmp_path, [row], "column:score", format="ranking" if "responses" in row else "preference"
    )
    assert report["pairs"]["accuracy"]["mean"] == 1
    assert "prompt-blind" not in means(report)
    assert any("no prompt-blind baseline" in note for note in report["notes"])


class Overlap:
    """Counts the prompt's words that the response holds; a unit of it is two logits."""

    logit_scale = 2.0

    def score(self, generations: Sequence[Generation]) -> list[Score]:
        return [
            Score(float(sum(word in generation.response for word in str(generation.prompt).split())))
            for generation in generations
        ]


def use(monkeypatch: pytest.MonkeyPatch, scorer: Scorer) -> None:
    monkeypatch.setattr(evaluating, "load_scorer", lambda _: scorer)


def test_a_scorer_that_reads_the_prompt_leads_the_prompt_blind_one(tmp_path, monkeypatch):
    use(monkeypatch, Overlap())
    rows = [{"prompt": f"w{n} v{n}", "chosen": f"w{n}", "rejected": "w0 w9"} for n in range(1, 9)]
    report = evaluate(tmp_path, rows)
    assert (report["pairs"]["accuracy"]["mean"], means(report)["prompt-blind"]) == (1, 0)
    assert report["logit_scale"] == 2
    assert report["calibration"]["log_loss"] == pytest.approx(math.log1p(math.exp(-2)))
    without = evaluate(tmp_path, rows, prompt_blind=False, overwrite=True)
    assert "prompt-blind" not in means(without)
    assert without["notes"] == []


class Interrupted:
    """Is killed at its third chunk."""

    def __init__(self) -> None:
        self.calls = 0

    def score(self, generations: Sequence[Generation]) -> list[Score]:
        self.calls += 1
        if self.calls == 5:  # each chunk is scored with and without prompts
            raise KeyboardInterrupt
        return Length().score(generations)


def test_a_killed_run_goes_on_and_ends_as_an_undisturbed_one(tmp_path, monkeypatch):
    monkeypatch.setattr(preferences, "CHUNK", 3)
    rows = [{"prompt": f"p{n % 4}", "chosen": "x" * (n % 5), "rejected": "x" * (n % 3)} for n in range(10)]
    with monkeypatch.context() as patch:
        use(patch, Interrupted())
        with pytest.raises(KeyboardInterrupt):
            evaluate(tmp_path, rows)
    (partial,) = (tmp_path / "out").glob("rows.jsonl.partial")
    assert len(partial.read_text(encoding="utf-8").splitlines()) == 6
    resumed = evaluate(tmp_path, rows)
    written = (tmp_path / "out" / "rows.jsonl").read_bytes()
    assert len(written.splitlines()) == 10
    undisturbed = evaluate(tmp_path, rows, overwrite=True)
    assert (tmp_path / "out" / "rows.jsonl").read_bytes() == written
    assert undisturbed == resumed


def test_a_run_killed_before_its_report_is_not_scored_again(tmp_path, monkeypatch):
    report = evaluate(tmp_path, PAIRS)
    (tmp_path / "out" / "report.json").unlink()

    class Never:
        def score(self, generations: Sequence[Generation]) -> list[Score]:
            raise AssertionError(f"scored {len(generations)} again")

    use(monkeypatch, Never())
    assert evaluate(tmp_path, PAIRS) == report


@pytest.mark.parametrize("killed", ["while scoring", "before the report"])
@pytest.mark.parametrize("changed", ["data", "scorer"])
def test_scores_of_other_data_or_a_retrained_scorer_are_not_reported(tmp_path, monkeypatch, killed, changed):
    monkeypatch.setattr(preferences, "CHUNK", 1)
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("first", encoding="utf-8")
    with monkeypatch.context() as patch:
        use(patch, Interrupted() if killed == "while scoring" else Length())
        if killed == "while scoring":
            with pytest.raises(KeyboardInterrupt):
                evaluate(tmp_path, PAIRS, str(model))
        else:
            evaluate(tmp_path, PAIRS, str(model))
            (tmp_path / "out" / "report.json").unlink()
    use(monkeypatch, Length())
    rows = PAIRS[:3] if changed == "data" else PAIRS
    if changed == "scorer":
        (model / "weights").write_text("second", encoding="utf-8")
    with pytest.raises(OutputExistsError, match="another configuration or input"):
        evaluate(tmp_path, rows, str(model))
    assert evaluate(tmp_path, rows, str(model), overwrite=True)["rows"] == len(rows)


def test_a_finished_report_is_refused_without_overwrite(tmp_path):
    evaluate(tmp_path, PAIRS)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        evaluate(tmp_path, PAIRS)
    assert evaluate(tmp_path, PAIRS, overwrite=True)["rows"] == 4


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"scorer": "rule:lenght"}, SpecError, "known: length"),
        ({"scorer": "column:score"}, ScoringError, "row 1"),
        ({"source": "topic"}, DataError, r"row 1: no column 'topic'.*kind"),
        ({"data": "nothing.jsonl"}, MissingFileError, "nothing.jsonl"),
        ({"bins": 0}, ConfigError, "bins"),
        ({"level": 95.0}, ConfigError, "level"),
        ({"rename": {"prompt": "question"}}, DataError, "prompt"),
    ],
)
def test_a_mistake_is_named_and_leaves_nothing_behind(tmp_path, change, error, message):
    data = write(tmp_path / "data.jsonl", PAIRS)
    config = Evaluate(scorer="rule:length", data=data, out=str(tmp_path / "out"))
    with pytest.raises(error, match=message):
        evaluating.run(replace(config, **change))
    assert not (tmp_path / "out").exists()


def test_turns_before_the_last_are_the_prompts_on_hh(tmp_path):
    start = "\n\nHuman: Hi\n\nAssistant:"
    row = {
        "chosen": f"{start} Yes\n\nHuman: So?\n\nAssistant: OK then",
        "rejected": f"{start} A longer answer.",
    }
    data = tmp_path / "hh.jsonl.gz"
    with gzip.open(data, "wt", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    evaluating.run(Evaluate(scorer="rule:length", data=str(data), out=str(tmp_path / "out")))
    (line,) = (tmp_path / "out" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["lengths"] == [len(" OK then"), len(" A longer answer.")]


def test_long_names_and_brackets_cost_no_number(tmp_path, capsys):
    long = "x" * 200
    scorer = "ensemble:" + ",".join(["rule:length"] * 20)
    kinds = ["[red]web[/red]", long]
    rows = [{**row, "kind": kind} for row, kind in zip(PAIRS[::2], kinds, strict=False)]
    evaluate(tmp_path, rows, scorer, source="kind")
    printed = capsys.readouterr().out
    assert "[red]web[/red]" in printed
    assert printed.count("100.00 %") >= 4
    assert long in "".join(line.split(" ")[0] for line in printed.splitlines())
