"""`evalkit aspect-card`: gold against itself, faults that are counted, missing labels, and every refusal."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from evalkit.cli import main
from evalkit.evaluation import aspects as aspect_card
from evalkit.testbeds.facts import ASPECTS, FactsWorld
from evalkit.testbeds.facts_corpus import draw_questions, write_answer
from evalkit.testbeds.facts_gold import FactsScorer
from rewards.records import Generation, Score, Span

QA_FEEDBACK = Path(__file__).parents[3] / ".." / "shared" / "data" / "finegrained-rlhf" / "dev_feedback.json"
FILES = {
    "run.json",
    "rows.jsonl",
    "report.json",
    "aspects.csv",
    "correlations.csv",
    "aspects.png",
    "correlations.png",
}


def facts_rows(prompts=12, answers=4):
    world, rng = FactsWorld(), np.random.default_rng(0)
    rows = []
    for question in draw_questions(prompts, rng):
        for _ in range(answers):
            prompt, answer = world.prompt(question), write_answer(world, question, rng, review=False)
            (score,) = FactsScorer(world).score([Generation(prompt, answer)])
            spans = [
                {"start": span.start, "end": span.end, "aspect": span.aspect, "label": span.label}
                for span in score.spans
            ]
            rows.append({"prompt": prompt, "response": answer, "spans": spans})
    return rows


@pytest.fixture
def card(tmp_path, write_rows, capsys):
    """Run `evalkit aspect-card`, and return its report and what it printed."""

    def call(rows, scorer, *options, out="card"):
        data = rows if isinstance(rows, str) else write_rows("data.jsonl", rows)
        folder = tmp_path / out
        main(
            [
                "aspect-card",
                "--scorer",
                scorer,
                "--data",
                data,
                "--out",
                str(folder),
                "--bootstrap",
                "50",
                *options,
            ]
        )
        assert {path.name for path in folder.iterdir()} == FILES
        return json.loads((folder / "report.json").read_text()), capsys.readouterr().out

    return call


@pytest.fixture
def undrawn(monkeypatch):
    """Write empty figures, where they are not what is tested: drawing them takes a second."""
    for name in ("draw_aspects", "draw_correlations"):
        monkeypatch.setattr(aspect_card, name, lambda *arguments: arguments[-1].touch())


@pytest.fixture
def scorer(monkeypatch):
    """Make `--scorer given` a scorer that a function of the generation defines."""

    class Given:
        def __init__(self, score):
            self.one = score

        def score(self, generations):
            return [self.one(generation) for generation in generations]

    def install(score):
        monkeypatch.setattr(aspect_card, "load_scorer", lambda _: Given(score))
        return "given"

    return install


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["aspect-card", *arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_gold_against_gold_is_perfect(card, tmp_path):
    report, said = card(facts_rows(), "testbed:facts")
    assert [one["aspect"] for one in report["aspects"]] == list(ASPECTS)
    for one in report["aspects"]:
        assert one["accuracy"]["mean"] == 1.0
        assert one["ties"] == 0
        assert one["mean_squared_error"]["mean"] == pytest.approx(0, abs=1e-20)
        for name in ("pearson", "spearman", "pearson_within", "spearman_within", "r2"):
            assert one[name]["mean"] == pytest.approx(1)
    assert report["without_labels"] == report["without_scores"] == []
    pairs = {(row["kind"], row["first"], row["second"]): row for row in report["correlations"]}
    assert len(pairs) == 3 + 3 + 9
    for aspect in ASPECTS:
        assert pairs["score-label", aspect, aspect]["spearman"] == pytest.approx(1)
    for first, second in (("relevance", "factuality"), ("relevance", "completeness")):
        for name in ("pearson", "spearman", "pearson_within"):
            assert pairs["label", first, second][name] == pytest.approx(pairs["score", first, second][name])
    with (tmp_path / "card" / "aspects.csv").open(newline="") as file:
        assert [(row["aspect"], float(row["accuracy"])) for row in csv.DictReader(file)] == [
            (aspect, 1.0) for aspect in ASPECTS
        ]
    with (tmp_path / "card" / "correlations.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 15
    for name in ("aspects.png", "correlations.png"):
        assert (tmp_path / "card" / name).read_bytes().startswith(b"\x89PNG")
    assert "relevance        1.000" in said


@pytest.mark.usefixtures("undrawn")
def test_labels_and_scores_name_their_aspects_in_one_order(card, tmp_path):
    """Spans come in any order; a table whose diagonal is no aspect with itself would mislead."""
    rows = [row | {"spans": row["spans"][::-1]} for row in facts_rows(4, 2)]
    card(rows, "testbed:facts")
    with (tmp_path / "card" / "correlations.csv").open(newline="") as file:
        pairs = [(row["kind"], row["first"], row["second"]) for row in csv.DictReader(file)]
    labels, scores = ([pair[1:] for pair in pairs if pair[0] == kind] for kind in ("label", "score"))
    assert labels == scores
    assert [second for kind, first, second in pairs if kind == "score-label" and first == ASPECTS[0]] == [
        *ASPECTS
    ]


def test_aspects_of_one_side_are_listed_and_missing_labels_counted(card):
    rows = [
        {"prompt": f"p{number % 3}", "response": "x" * number, "rule:length": number, "style": number % 2}
        for number in range(1, 13)
    ]
    rows[4]["rule:length"] = None
    report, said = card(
        rows, "ensemble:rule:length,rule:random?combine=sum", "--columns", '["rule:length", "style"]'
    )
    assert (report["without_labels"], report["without_scores"]) == (["rule:random"], ["style"])
    assert report["unlabelled"] == {"rule:length": 1}
    (one,) = report["aspects"]
    assert (one["n"], one["accuracy"]["mean"], one["mean_squared_error"]["mean"]) == (11, 1.0, 0.0)
    assert "scored but not labelled: rule:random" in said
    assert "labelled but not scored: style" in said
    assert "1 of 12 responses have no label of rule:length" in said
    counts = {(row["kind"], row["first"], row["second"]): row["n"] for row in report["correlations"]}
    assert counts["label", "rule:length", "style"] == 11
    assert counts["score-label", "rule:random", "style"] == 12


@pytest.mark.usefixtures("undrawn")
def test_spans_that_are_all_faults_are_counted(card, scorer):
    rows = [
        {
            "prompt": f"p{number % 2}",
            "response": "abcdef",
            "spans": [
                {"start": at, "end": at + 1, "aspect": "fault", "label": 0} for at in range(number % 3)
            ],
        }
        for number in range(12)
    ]
    # The scorer gives spans alone; here, half a point off for each fault that it sees.
    places = iter(range(12))
    spec = scorer(
        lambda _: Score(
            0.0,
            spans=tuple(Span(0, 1, "fault", -0.5) for _ in range(next(places) % 3))
            or (Span(0, 1, "fault", 0.0),),
        )
    )
    report, said = card(rows, spec)
    (one,) = report["aspects"]
    assert (one["accuracy"]["mean"], one["label_mean"], one["score_mean"]) == (1.0, -1.0, -0.5)
    assert one["pearson"]["mean"] == pytest.approx(1)
    assert report["counted"] == ["fault"]
    assert "every span of fault is labelled 0" in said


@pytest.mark.skipif(not QA_FEEDBACK.exists(), reason=f"no {QA_FEEDBACK}")
@pytest.mark.usefixtures("undrawn")
def test_qa_feedback_is_read_as_it_is(card, scorer):
    spec = scorer(
        lambda generation: Score(0.0, aspects={"relevance": -len(generation.response), "completeness": 1.0})
    )
    report, _ = card(str(QA_FEEDBACK), spec)
    assert report["responses"] == 500
    assert (report["counted"], report["without_scores"]) == (["relevance", "factuality"], ["factuality"])
    relevance, completeness = report["aspects"]
    assert relevance["pearson"]["mean"] > 0  # a longer answer has more faults
    assert (completeness["pearson"], completeness["spearman"]) == (None, None)


class Killed(BaseException):
    """What no handler of errors catches."""


@pytest.mark.usefixtures("undrawn")
def test_a_killed_run_goes_on_and_ends_with_the_same_report(card, scorer, tmp_path, monkeypatch):
    monkeypatch.setattr(aspect_card, "CHUNK", 10)
    gold, asked = FactsScorer(FactsWorld()), []

    def grade_until(last):
        def grade(generation):
            asked.append(generation)
            if len(asked) == last:
                raise Killed
            return gold.score([generation])[0]

        return grade

    whole, _ = card(facts_rows(), scorer(grade_until(0)), out="whole")
    asked.clear()
    scorer(grade_until(25))
    with pytest.raises(Killed):
        card(facts_rows(), "given")
    assert (tmp_path / "card" / "rows.jsonl.partial").read_bytes().count(b"\n") == 20
    asked.clear()
    scorer(grade_until(0))
    again, _ = card(facts_rows(), "given")
    assert len(asked) == 28  # of 48
    assert again == whole
    for name in ("rows.jsonl", "aspects.csv", "correlations.csv"):
        assert (tmp_path / "card" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.usefixtures("undrawn")
def test_what_cannot_be_compared_is_refused_and_leaves_nothing(tmp_path, write_rows, capsys, scorer):
    out = tmp_path / "card"
    data = write_rows("data.jsonl", facts_rows(2, 2))

    def message(spec, *options):
        said = refused(capsys, "--scorer", spec, "--data", data, "--out", str(out), *options)
        assert not out.exists()
        return said

    assert "gives neither aspects nor spans" in message("rule:length")
    assert "no aspect has both labels and scores; labelled: factuality" in message(
        "ensemble:rule:length,rule:random?combine=sum"
    )
    assert "no such file" in refused(
        capsys, "--scorer", "testbed:facts", "--data", "gone.jsonl", "--out", str(out)
    )
    assert "is none of x" in message("testbed:facts", "--columns", "[x]")
    assert "level is between 0 and 1" in message("testbed:facts", "--level", "1.5")
    turns = iter(range(9))
    spec = scorer(lambda _: Score(0.0, aspects={"relevance": 1.0} | ({"more": 1.0} if next(turns) else {})))
    assert "row 1: scored in relevance, and other responses in relevance, more" in message(spec)


@pytest.mark.usefixtures("undrawn")
def test_a_finished_card_is_not_replaced(card, tmp_path, capsys):
    rows = facts_rows(3, 2)
    card(rows, "testbed:facts")
    data, out = str(tmp_path / "data.jsonl"), str(tmp_path / "card")
    assert "--overwrite replaces it" in refused(
        capsys, "--scorer", "testbed:facts", "--data", data, "--out", out
    )
    assert {path.name for path in Path(out).iterdir()} == FILES
    card(rows, "testbed:facts", "--overwrite", "true")
