"""`evalkit combine`: weights, bounds and fronts by hand, through to `select`, and every refusal."""

import json
from pathlib import Path

import numpy as np
import pytest

from evalkit.cli import main
from evalkit.testbeds.facts import FactsWorld
from evalkit.testbeds.facts_corpus import draw_questions, write_answer

SINGLE = [
    {"prompt": "a", "response": "1", "score": 9.0, "score_aspects": {"help": 1.0, "cost": 4.0}, "id": "x"},
    {"prompt": "b", "response": "2", "score": 8.0, "score_aspects": {"help": 5.0, "cost": 9.0}},
    {"prompt": "a", "response": "3", "score": 7.0, "score_aspects": {"help": 3.0, "cost": 1.0}},
    {"prompt": "a", "response": "4", "score": 6.0, "score_aspects": {"help": 2.0, "cost": 0.0}},
]
LISTED = [
    {
        "prompt": "a",
        "responses": ["1", "3", "4"],
        "scores": [9.0, 7.0, 6.0],
        "scores_aspects": [
            SINGLE[0]["score_aspects"],
            SINGLE[2]["score_aspects"],
            SINGLE[3]["score_aspects"],
        ],
    },
    {"prompt": "b", "responses": ["2"], "scores": [8.0], "scores_aspects": [SINGLE[1]["score_aspects"]]},
]
NET = '{"help": 1, "cost": -1}'


def rows_of(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def combine(tmp_path, write_rows, capsys):
    """Run `evalkit combine` on rows, and return the rows it wrote and what it printed."""

    def call(rows, *options, out="out.jsonl"):
        path = str(tmp_path / out)
        main(["combine", "--data", write_rows("data.jsonl", rows), "--out", path, *options])
        return rows_of(path), capsys.readouterr().out

    return call


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["combine", *arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_weights_add_up_and_rows_keep_what_they_had(combine):
    written, said = combine(SINGLE, "--weights", NET)
    assert written == [
        {**row, "combined": value} for row, value in zip(SINGLE, [-3.0, -4.0, 2.0, 2.0], strict=True)
    ]
    assert "4 to 2 prompts" in said
    assert "weight -1; mean 3.5, sd 3.5" in said
    written, _ = combine(SINGLE, out="alike.jsonl")
    assert [row["combined"] for row in written] == [5.0, 14.0, 4.0, 2.0]


def test_rows_of_several_responses_have_their_lists(combine):
    written, _ = combine(LISTED, "--weights", NET, "--pareto", "true", "--at_most", '{"cost": 3}')
    assert written[0] == {
        **LISTED[0],
        "combineds": [-4 - 6 - 1.0, 2.0, 2.0],
        "combineds_met": [False, True, True],
        "combineds_pareto": [False, True, True],
    }
    assert written[1] == {
        **LISTED[1],
        "combineds": [-4 - 6 - 6.0],
        "combineds_met": [False],
        "combineds_pareto": [True],
    }


def test_what_misses_a_bound_is_behind_all_that_meets_it_and_is_counted(combine):
    written, said = combine(
        SINGLE, "--weights", '{"help": 1}', "--at_most", '{"cost": 3}', "--at_least", '{"help": 2}'
    )
    # By reward 1, 5, 3, 2; the range is 4, so the floor is 1 - 4; missed are 1 + 1, 6, 0 and 0.
    assert [row["combined"] for row in written] == [-5.0, -9.0, 3.0, 2.0]
    assert [row["combined_met"] for row in written] == [False, False, True, True]
    assert "by 2 of 4 responses; 1 prompt of 2 with no response that meets them" in said
    assert "at most 3: missed by 2" in said
    assert "at least 2: missed by 1" in said
    assert "-3 minus what they miss by" in said


def test_bounds_that_all_meet_change_nothing(combine):
    written, said = combine(SINGLE, "--weights", NET, "--at_most", '{"cost": 9}')
    assert [row["combined"] for row in written] == [-3.0, -4.0, 2.0, 2.0]
    assert all(row["combined_met"] for row in written)
    assert "by 0 of 4 responses" in said
    assert "their score" not in said


def test_standardized_aspects_have_unit_spread_and_bounds_stay_in_their_own_units(combine):
    rows = [{**row, "score_aspects": {**row["score_aspects"], "same": 0.3}} for row in SINGLE]
    written, said = combine(
        rows, "--weights", '{"cost": 2, "same": 1}', "--standardize", "true", "--at_most", '{"cost": 4}'
    )
    values = np.array([4.0, 9.0, 1.0, 0.0])
    expected = 2 * values / values.std() + 0.3
    floor = expected.min() - np.ptp(expected)
    expected[1] = floor - 5 / values.std()
    assert [row["combined"] for row in written] == pytest.approx(expected.tolist())
    assert [row["combined_met"] for row in written] == [True, False, True, True]
    assert "same does not vary and is not" in said


def test_the_front_goes_by_the_signs_of_the_weights_and_within_a_prompt(combine):
    written, said = combine(SINGLE, "--weights", NET, "--pareto", "true")
    assert [row["combined_pareto"] for row in written] == [False, True, True, True]
    written, _ = combine(SINGLE, "--pareto", "true", out="more.jsonl")
    assert [row["combined_pareto"] for row in written] == [True, True, True, False]
    assert "3 of 4 responses" in said


def test_another_scores_aspects_and_another_name(combine):
    rows = [{"prompt": "a", "response": "1", "proxy_aspects": {"x": 1.0}}]
    written, _ = combine(rows, "--score", "proxy", "--column", "total")
    assert written == [{**rows[0], "total": 1.0}]


def test_scored_rows_are_combined_and_selected_without_scoring_again(tmp_path, write_rows, capsys):
    world, rng = FactsWorld(), np.random.default_rng(0)
    rows = []
    for question in draw_questions(6, rng):
        answers = [write_answer(world, question, rng, review=False) for _ in range(8)]
        rows.append({"prompt": world.prompt(question), "responses": answers})
    files = [str(tmp_path / name) for name in ("scored.jsonl", "combined.parquet", "best.jsonl")]
    main(["score", "--scorer", "testbed:facts", "--data", write_rows("rows.jsonl", rows), "--out", files[0]])
    options = ["--at_least", '{"completeness": 0}', "--pareto", "true"]
    weights = '{"factuality": 1, "relevance": 0.1}'
    main(["combine", "--data", files[0], "--out", files[1], "--weights", weights, *options])
    main(["select", "--data", files[1], "--out", files[2], "--score", "combined"])
    scored, best = rows_of(files[0]), rows_of(files[2])
    assert len(best) == len(scored)
    for row, chosen in zip(scored, best, strict=True):
        aspects = row["scores_aspects"]
        complete = [place for place, own in enumerate(aspects) if own["completeness"] >= 0]
        values = [own["factuality"] + 0.1 * own["relevance"] for own in aspects]
        assert chosen["combined_met"] == bool(complete)
        if complete:
            assert chosen["combined"] == pytest.approx(max(values[place] for place in complete))
        else:
            least = max(own["completeness"] for own in aspects)
            assert aspects[row["responses"].index(chosen["response"])]["completeness"] == least
        assert isinstance(chosen["combined_pareto"], bool)
        assert set(chosen["scores_aspects"]) == {"relevance", "factuality", "completeness"}
    # Equal weights give back the score that the aspects add up to.
    main(["combine", "--data", files[0], "--out", str(tmp_path / "alike.jsonl")])
    for row in rows_of(tmp_path / "alike.jsonl"):
        assert row["combineds"] == pytest.approx(row["scores"])
    # A selection can be combined anew.
    main(
        [
            "combine",
            "--data",
            files[2],
            "--out",
            str(tmp_path / "again.jsonl"),
            "--score",
            "scores",
            "--column",
            "new",
        ]
    )
    capsys.readouterr()


ASPECTS = {"help": 1.0, "cost": 2.0}


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        ({"response": "1"}, [], "data.jsonl:2: no column 'score_aspects', only prompt, response"),
        ({"responses": ["1"]}, [], "data.jsonl:2: no column 'scores_aspects' or 'score_aspects'"),
        ({"response": "1", "score_aspects": {}}, [], "data.jsonl:2: field 'score_aspects': expected aspects"),
        ({"response": "1", "score_aspects": 3}, [], "expected aspects of the form {name: number}, got 3"),
        (
            {"response": "1", "score_aspects": {"help": 1}},
            [],
            "data.jsonl:2: field 'score_aspects': expected the aspects help, cost, got help",
        ),
        (
            {"response": "1", "score_aspects": {**ASPECTS, "more": 1}},
            [],
            "expected the aspects help, cost, got help, cost, more",
        ),
        (
            {"response": "1", "score_aspects": {"help": "high", "cost": 1}},
            [],
            "data.jsonl:2: field 'score_aspects': expected a finite number of 'help', got 'high'",
        ),
        (
            {"response": "1", "score_aspects": {"help": None, "cost": 1}},
            ["--weights", '{"help": 1}'],
            "expected the aspects help, got cost",
        ),
        (
            {"responses": ["1", "2"], "scores_aspects": [ASPECTS]},
            [],
            "data.jsonl:2: field 'scores_aspects': expected 2 objects",
        ),
        (
            {"response": "1", "score_aspects": ASPECTS, "combined": 1},
            [],
            "field 'combined': is there already",
        ),
        (
            {"response": "1", "score_aspects": ASPECTS, "combined_pareto": 1},
            ["--pareto", "true"],
            "field 'combined_pareto': is there already",
        ),
    ],
)
def test_a_row_that_cannot_be_combined_is_named(tmp_path, write_rows, capsys, row, options, message):
    data = write_rows(
        "data.jsonl", [{"prompt": "a", "response": "0", "score_aspects": ASPECTS}, {"prompt": "a", **row}]
    )
    out = tmp_path / "out.jsonl"
    assert message in refused(capsys, "--data", data, "--out", str(out), *options)
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weights", '{"harm": 1}'], "weights: no aspect 'harm'; "),
        (["--at_least", '{"harm": 1}'], "at_least: no aspect 'harm'; "),
        (["--at_most", '{"harm": 1}'], "has help, cost in 'score_aspects'"),
        (["--weights", '{"help": .nan}'], "weights are finite numbers"),
        (["--at_least", '{"help": 2}', "--at_most", '{"help": 1}'], "no help is at least 2 and at most 1"),
        (["--weights", '{"help": 0}', "--pareto", "true"], "none has"),
        (["--column", "score"], "column 'score' is no new name"),
    ],
)
def test_an_option_that_fits_no_aspect_is_refused(tmp_path, write_rows, capsys, options, message):
    data = write_rows("data.jsonl", SINGLE)
    assert message in refused(capsys, "--data", data, "--out", str(tmp_path / "out.jsonl"), *options)


def test_a_finished_output_and_the_input_are_not_replaced(tmp_path, write_rows, capsys):
    data, out = write_rows("data.jsonl", SINGLE), str(tmp_path / "out.jsonl")
    main(["combine", "--data", data, "--out", out])
    assert "--overwrite replaces it" in refused(capsys, "--data", data, "--out", out)
    main(["combine", "--data", data, "--out", out, "--overwrite", "true", "--weights", NET])
    assert "is an input" in refused(capsys, "--data", data, "--out", data)


def test_an_option_that_only_adds_aspects_needs_no_more_of_them(combine):
    rows = [SINGLE[0], {**SINGLE[1], "score_aspects": {"help": 5.0, "cost": 9.0, "more": 1.0}}]
    written, _ = combine(rows, "--weights", '{"help": 1}')
    assert [row["combined"] for row in written] == [1.0, 5.0]
