import json
import logging
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.data.math_shepherd import TAG, math_shepherd_steps
from rewards.data.prm800k import count_ratings, prm800k_steps
from rewards.data.processbench import labels_until, processbench_steps
from rewards.data.steps import load_step_labels, recognize_step_format
from rewards.errors import ConfigError, DataError, MissingFileError
from rewards.files import Row, Screen, ScreeningConfig, read_rows, step_labels, to_row, write_rows
from rewards.records import StepLabels
from rewards.solutions.steps import first_error

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
PRM800K = DATA / "prm-samples" / "samples_prm800k.jsonl"
SHEPHERD = DATA / "prm-samples" / "samples_math-shepherd.jsonl"
PROCESSBENCH = DATA / "processbench" / "gsm8k.json"
needs_samples = pytest.mark.skipif(
    not PRM800K.exists(), reason="the process reward samples are not beside the project"
)
needs_processbench = pytest.mark.skipif(
    not PROCESSBENCH.exists(), reason="ProcessBench is not beside the project"
)


def row(**values):
    return Row(values, "rows.jsonl", 3)


def rated(text, rating, flagged=False):
    return {"text": text, "rating": rating, "flagged": flagged}


def step(*completions, chosen=None, human=None):
    return {"completions": list(completions), "chosen_completion": chosen, "human_completion": human}


def solution(*steps, finish="solution", generation=None, **question):
    return {
        "labeler": "someone",
        "generation": generation,
        "is_quality_control_question": False,
        "question": {"problem": "1+1?", "ground_truth_answer": "2", **question},
        "label": {"steps": list(steps), "total_time": 5, "finish_reason": finish},
    }


PHASE_1 = solution(
    step(rated("a", 1), chosen=0),
    step(rated("b", -1), rated("c", -1), human=rated("d", None)),
    step(rated("e", 0), rated("f", None), rated("g", 1, True), chosen=2),
)
PHASE_2 = solution(
    step(rated("a", 1), chosen=0),
    step(rated("b", 0), chosen=0),
    step(rated("x", 1), rated("c", -1), rated("y", 0)),
    finish="found_error",
    generation=3,
    pre_generated_steps=["a", "b", "c", "d"],
)


def texts_and_labels(records):
    return [("".join(record.steps), record.labels) for record in records]


def test_a_path_and_what_was_tried_beside_it_hold_each_rating_once():
    left_out = Counter()
    records = list(prm800k_steps(row(**PHASE_1), "right", left_out))
    assert texts_and_labels(records) == [
        ("adg", (1, None, 1)),
        ("ab", (None, 0)),
        ("ac", (None, 0)),
        ("ade", (None, None, 1)),
    ]
    assert left_out == {"completions without a rating, which are no alternatives": 1}
    assert [record.extra["part"] for record in records] == ["path", *["alternative"] * 3]
    assert [record.id for record in records] == [
        "rows.jsonl:3",
        "rows.jsonl:3:1:0",
        "rows.jsonl:3:1:1",
        "rows.jsonl:3:2:0",
    ]
    assert records[0].prompt == "1+1?"
    assert records[0].extra == {
        "labeler": "someone",
        "generation": None,
        "is_quality_control_question": False,
        "total_time": 5,
        "finish_reason": "solution",
        "answer": "2",
        "phase": 1,
        "part": "path",
        "flagged": [2],
    }


@pytest.mark.parametrize(("neutral", "label"), [("right", 1), ("wrong", 0), ("unlabelled", None)])
def test_labels_stop_at_the_first_error_of_the_solution_that_was_labelled(neutral, label):
    records = list(prm800k_steps(row(**PHASE_2), neutral))
    # "c" is the solution's own third step, whichever place it has among the completions.
    assert texts_and_labels(records) == [
        ("abc", (1, label, 0)),
        ("abx", (None, None, 1)),
        ("aby", (None, None, label)),
    ]
    assert records[0].extra["phase"] == 2
    assert records[0].extra["finish_reason"] == "found_error"


def test_no_label_stands_behind_a_wrong_step_that_was_gone_on_with():
    wrong = solution(
        step(rated("a", -1), chosen=0), step(rated("b", 1), rated("c", 0), chosen=0), step(rated("d", 1))
    )
    assert texts_and_labels(prm800k_steps(row(**wrong))) == [
        ("ab", (0, None)),
        ("ac", (None, None)),
        ("abd", (None, None, None)),
    ]
    neutral = solution(step(rated("a", 0), chosen=0), step(rated("b", 1), chosen=0))
    assert texts_and_labels(prm800k_steps(row(**neutral), "wrong")) == [("ab", (0, 1))]


def test_steps_without_completions_end_a_path_and_what_has_no_place_is_counted(tmp_path, caplog):
    gives_up = solution(
        step(rated("a", 1), chosen=0),
        {"completions": None, "chosen_completion": None, "human_completion": None},
        finish="give_up",
    )
    assert texts_and_labels(prm800k_steps(row(**gives_up))) == [("a", (1,))]
    torn = solution(step(rated("a", 1)), step(rated("b", 1), rated("c", None), chosen=0))
    nothing = solution(finish="bad_problem")
    write_rows(tmp_path / "rows.jsonl", [torn, nothing])
    with caplog.at_level(logging.WARNING):
        records = list(load_step_labels(tmp_path / "rows.jsonl"))
    assert texts_and_labels(records) == [("a", (1,))]
    assert [message.split(": ", 1)[1] for message in caplog.messages] == [
        "left out: 1 rated completions behind a step where none was chosen",
        "left out: 1 rows without a step",
    ]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (solution(step(rated("a", 2), chosen=0)), "a rating of -1, 0, 1 or null at step 0, got 2"),
        (solution(step(rated("a", True), chosen=0)), "a rating of -1, 0, 1 or null at step 0, got True"),
        (
            solution(step(rated("a", 1), chosen=1)),
            "one of 1 completions as chosen_completion of step 0, got 1",
        ),
        (solution(step({"rating": 1})), "completions of the form {text, rating} at step 0"),
        (solution("a"), "{completions: [...], chosen_completion, ...} at step 0, got 'a'"),
        (PHASE_1 | {"label": None}, "field 'label': expected an object of the form {steps: [...], ...}"),
        (PHASE_1 | {"question": {}}, "field 'question': expected an object of the form {problem: text, ...}"),
    ],
)
def test_a_broken_row_of_prm800k_is_named(broken, said):
    with pytest.raises(DataError, match=r"^rows.jsonl:3: ") as caught:
        list(prm800k_steps(row(**broken)))
    assert said in str(caught.value)


ratings = st.sampled_from([-1, 0, 1])
candidates = st.lists(ratings, min_size=1, max_size=3).flatmap(
    lambda found: st.tuples(st.just(found), st.integers(0, len(found) - 1))
)


@given(st.lists(candidates, min_size=1, max_size=5))
def test_where_no_wrong_step_is_gone_on_with_every_rating_is_one_label(steps):
    steps = [(found, chosen) for found, chosen in steps if found[chosen] != -1]
    sample = solution(
        *(step(*(rated("s", rating) for rating in found), chosen=chosen) for found, chosen in steps)
    )
    counts = count_ratings([row(**sample)])
    labels = Counter(
        label for record in prm800k_steps(row(**sample), "unlabelled") for label in record.labels
    )
    assert labels[1.0] == counts.ratings.get(1, 0)
    assert labels[0.0] == counts.ratings.get(-1, 0)
    total = Counter(label for record in prm800k_steps(row(**sample), "wrong") for label in record.labels)
    assert total[0.0] == counts.ratings.get(-1, 0) + counts.ratings.get(0, 0)


@needs_samples
def test_the_samples_of_prm800k_have_their_published_counts():
    counts = count_ratings(read_rows(PRM800K))
    assert (counts.rows, counts.steps, counts.ratings) == (6, 46, {1: 55, 0: 3, -1: 15})
    expected = {"right": (58, 15), "wrong": (55, 18), "unlabelled": (55, 15)}
    for neutral, (right, wrong) in expected.items():
        screen = Screen()
        records = list(load_step_labels(PRM800K, neutral=neutral, screen=screen))
        labels = Counter(label for record in records for label in record.labels)
        assert (labels[1.0], labels[0.0]) == (right, wrong)
        assert screen.report.rows == screen.report.kept == len(records)
    paths = [record for record in records if record.extra["part"] == "path"]
    assert [len(path.steps) for path in paths] == [6, 7, 5, 7, 8, 12]
    assert [path.extra["phase"] for path in paths] == [1, 2, 1, 1, 1, 2]
    assert [path.extra["answer"] for path in paths][:3] == ["29", "28800", "468"]
    human = "We have $3p+e=1.24$ and $5p+e=1.82$."
    assert (paths[0].steps[1], paths[0].labels[1]) == (human, None)


def shepherd(question, *steps, marks):
    """A row as the set writes it: a tag behind each step, replaced by a mark in the label."""
    text = question + " " + "\n".join(f"{body} {TAG}" for body in steps)
    label = question + " " + "\n".join(f"{body} {mark}" for body, mark in zip(steps, marks, strict=True))
    return {"input": text, "label": label, "task": "GSM8K"}


def test_a_row_of_math_shepherd_is_cut_at_its_tags():
    record = math_shepherd_steps(
        row(**shepherd("How many?", "Step 1: 1+1 = 2.", "Step 2: 2-1 = 1", marks="+-"))
    )
    steps = ("Step 1: 1+1 = 2.\n", "Step 2: 2-1 = 1")
    assert record == StepLabels("How many?", steps, (1, 0), "rows.jsonl:3", {"task": "GSM8K"})


bodies = st.text(st.sampled_from("ab +-\n?Ω1"), max_size=8).map(lambda text: f"s{text.strip()}")


@given(st.lists(st.tuples(bodies, st.sampled_from("+-")), min_size=1, max_size=5))
def test_steps_join_to_the_solution_and_labels_do_not_stop(parts):
    steps = [f"Step {number}: {body}" for number, (body, _) in enumerate(parts, 1)]
    marks = [mark for _, mark in parts]
    record = math_shepherd_steps(row(**shepherd("Why?", *steps, marks=marks)))
    assert "".join(record.steps) == "\n".join(steps)
    assert record.labels == tuple(float(mark == "+") for mark in marks)
    assert record.prompt == "Why?"


def test_questions_without_the_usual_beginning_of_a_step():
    lower = math_shepherd_steps(row(**shepherd("Find x.", "step 1: x = 1", marks="+")))
    assert (lower.prompt, lower.steps) == ("Find x.", ("step 1: x = 1",))
    bare = math_shepherd_steps(row(**shepherd("What is x?", "It is 1.", "So?", marks="+-")))
    assert (bare.prompt, bare.steps, bare.labels) == ("What is x?", ("It is 1.\n", "So?"), (1, 0))
    tagged = math_shepherd_steps(row(**shepherd("Find x.", "x is whole.", "Step 1: x = 1", marks="-+")))
    assert (tagged.prompt, tagged.steps, tagged.labels) == (
        "Find x. x is whole.",
        ("Step 1: x = 1",),
        (1,),
    )
    assert tagged.extra["question_marks"] == ["-"]
    text = f"What is x? {TAG}\nIt is 1. {TAG}"
    asked = math_shepherd_steps(row(input=text, label="What is x? -\nIt is 1. +"))
    assert (asked.prompt, asked.steps, asked.labels) == ("What is x?", ("It is 1.",), (1,))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": "How many? Step 1: 3 +"}, "field 'label': expected 'How many? Step 1: 2 ки' of "),
        ({"label": "How many? Step 1: 2 *"}, "field 'label': expected "),
        (
            {"label": "How many? Step 1: 2 + more"},
            "field 'label': expected nothing behind the last mark, got",
        ),
        (
            {"input": f"How many? Step 1: 2 {TAG} more"},
            "field 'input': expected nothing behind the last 'ки'",
        ),
        ({"input": "Step 1: 2", "label": ""}, "field 'input': expected nothing behind the last 'ки'"),
        ({"input": f"No. {TAG}", "label": "No. +"}, "field 'input': expected a question, then 'Step 1:'"),
        ({"input": f"How? {TAG}", "label": "How? +"}, "field 'input': expected a step that ends in 'ки'"),
        ({"label": None}, "field 'label': expected a text, got null"),
    ],
)
def test_a_broken_row_of_math_shepherd_is_named(change, said):
    good = {"input": f"How many? Step 1: 2 {TAG}", "label": "How many? Step 1: 2 +", "task": "GSM8K"}
    assert math_shepherd_steps(row(**good)).steps == ("Step 1: 2",)
    with pytest.raises(DataError) as caught:
        math_shepherd_steps(row(**good | change))
    assert str(caught.value).startswith("rows.jsonl:3: " + said)


@needs_samples
def test_the_samples_of_math_shepherd_are_read_whole():
    records = list(load_step_labels(SHEPHERD))
    assert len(records) == 7
    for record, original in zip(records, read_rows(SHEPHERD), strict=True):
        text = original.values["input"]
        assert text.replace(f" {TAG}", "") == f"{record.prompt} {''.join(record.steps)}"
        assert len(record.labels) == text.count(TAG)
    assert records[0].labels == (1, 1, 1, 1, 0)
    assert records[1].labels == (0, 0, 0)
    assert {record.extra["task"] for record in records} == {"GSM8K"}


BENCH = {"id": "gsm8k-1", "problem": "How?", "steps": ["a", "b", "c"], "final_answer_correct": False}


@given(st.integers(1, 8).flatmap(lambda count: st.tuples(st.integers(-1, count - 1), st.just(count))))
def test_the_first_label_of_0_is_the_first_error(place_and_count):
    place, count = place_and_count
    labels = labels_until(place, count)
    assert len(labels) == count
    assert first_error([1.0 if label is None else label for label in labels], 0.5) == place
    assert labels.count(1.0) == (count if place < 0 else place)


def test_a_solution_of_processbench_keeps_its_other_columns():
    record = processbench_steps(row(**BENCH, label=1, generator="m"))
    extra = {"final_answer_correct": False, "generator": "m", "first_error": 1}
    assert record == StepLabels("How?", ("a", "b", "c"), (1, 0, None), "gsm8k-1", extra)


@pytest.mark.parametrize("label", [3, -2, None, True, 1.5])
def test_a_label_that_names_no_step_is_an_error(label, tmp_path):
    write_rows(tmp_path / "rows.jsonl", [BENCH | {"label": -1}, BENCH | {"label": label}])
    with pytest.raises(DataError) as caught:
        list(load_step_labels(tmp_path / "rows.jsonl"))
    shown = "null" if label is None else repr(label)
    assert str(caught.value) == (
        f"{tmp_path}/rows.jsonl:2: id 'gsm8k-1': field 'label': expected -1 or the index of one of the 3 "
        f"steps, from 0, got {shown}"
    )


def test_a_solution_without_steps_is_an_error():
    with pytest.raises(DataError, match=r"^rows.jsonl:3: field 'steps': expected one step or more"):
        processbench_steps(row(**BENCH | {"steps": [], "label": -1}))


@needs_processbench
def test_processbench_has_its_published_counts():
    screen = Screen()
    records = list(load_step_labels(PROCESSBENCH, screen=screen))
    assert (len(records), screen.report.kept) == (400, 400)
    assert sum(record.extra["first_error"] == -1 for record in records) == 193
    assert sum(set(record.labels) == {1.0} for record in records) == 193
    for record, original in zip(records, json.loads(PROCESSBENCH.read_text()), strict=True):
        assert list(record.steps) == original["steps"]
        assert original["label"] == (record.labels.index(0) if 0.0 in record.labels else -1)


STEPWISE = {"prompt": "How?", "completions": ["a\n", "b"], "labels": [True, 0.5], "id": 7}
FIRST_ROWS = {
    "stepwise": STEPWISE,
    "prm800k": PHASE_1,
    "math-shepherd": shepherd("How?", "Step 1: 2", marks="+"),
    "processbench": BENCH | {"label": 0},
}


@pytest.mark.parametrize("name", FIRST_ROWS)
def test_each_format_is_recognised_and_read_alike_by_name(name, tmp_path, caplog):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [FIRST_ROWS[name]])
    assert recognize_step_format(Row(FIRST_ROWS[name], str(path), 1)) == name
    with caplog.at_level(logging.INFO):
        recognised = list(load_step_labels(path))
    assert f"recognised as {name} by its columns" in caplog.text
    assert recognised == list(load_step_labels(path, format=name))
    for record in recognised:
        assert step_labels(Row(to_row(record), str(path), 1)) == record


@pytest.mark.parametrize("name", FIRST_ROWS)
def test_parquet_and_the_hub_give_what_json_lines_give(name, tmp_path, monkeypatch):
    from datasets import Dataset

    other = {"prm800k": PHASE_2}.get(name, FIRST_ROWS[name])
    rows = [FIRST_ROWS[name], other]  # where their columns differ, Parquet fills them with null
    rows = [json.loads(json.dumps(one).replace("true", "1.0")) for one in rows]
    for suffix in ("jsonl", "parquet"):
        write_rows(tmp_path / f"rows.{suffix}", rows)
    monkeypatch.setattr(
        "datasets.load_dataset", lambda *_, **__: Dataset.from_list(rows).to_iterable_dataset()
    )
    sources = (tmp_path / "rows.jsonl", tmp_path / "rows.parquet", "hub:owner/name?split=train")
    lines, parquet, hub = (
        [(record.prompt, record.steps, record.labels) for record in load_step_labels(source)]
        for source in sources
    )
    assert lines == parquet == hub
    assert len(lines) >= 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": [1]}, "id '7': 2 steps but 1 labels"),
        ({"labels": [1, 2]}, "id '7': a step label is None or in [0, 1], got 2.0"),
        (
            {"labels": [1, "+"]},
            "id '7': field 'labels': expected true, false, null or a number in [0, 1], got '+'",
        ),
        (
            {"response": "a\nc"},
            "id '7': field 'completions': expected steps that join to the response, with "
            "the separators they carry; they part from it at character 2",
        ),
        (
            {"response": "a\nb\n"},
            "id '7': field 'completions': expected steps that join to the response, with "
            "the separators they carry; they part from it at character 3",
        ),
        ({"completions": None}, "id '7': field 'completions': expected a list of texts, got null"),
    ],
)
def test_a_broken_stepwise_row_is_named_by_file_line_and_id(change, said, tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [STEPWISE | {"response": "a\nb"}, STEPWISE | change])
    records = load_step_labels(path)
    assert next(records).labels == (1, 0.5)
    with pytest.raises(DataError) as caught:
        next(records)
    assert str(caught.value) == f"{path}:2: {said}"


def test_doubtful_records_are_screened_and_counted(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "\n".join(
            [
                json.dumps(PHASE_1),
                json.dumps(PHASE_1 | {"weight": float("nan")}),
                json.dumps(solution(step(rated(" ", 1), chosen=0))),
            ]
        )
    )
    with pytest.raises(DataError, match=r"rows.jsonl:2: field 'weight': NaN or infinite"):
        list(load_step_labels(path))
    screen = Screen(ScreeningConfig(not_a_number="drop", empty="drop"))
    assert len(list(load_step_labels(path, screen=screen))) == 4
    assert screen.report.rows == 6
    assert screen.report.dropped == {"not_a_number": 1, "empty": 1}
    with pytest.raises(DataError, match=r"rows.jsonl:3: a response is empty"):
        list(load_step_labels(path, screen=Screen(ScreeningConfig(not_a_number="drop", empty="error"))))


def test_what_cannot_be_read_is_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{"prompt": "p", "response": "r"}])
    with pytest.raises(DataError, match=r"rows.jsonl:1: no labelled steps: .*; got prompt, response"):
        list(load_step_labels(path))
    with pytest.raises(ConfigError, match=r"format is one of auto, stepwise, .*; got 'prm'"):
        load_step_labels(path, format="prm")
    with pytest.raises(ConfigError, match="neutral is one of right, wrong, unlabelled; got 'zero'"):
        load_step_labels(path, neutral="zero")
    with pytest.raises(MissingFileError, match="no such file"):
        load_step_labels(tmp_path / "none.jsonl")


def test_columns_of_other_names_are_renamed(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{"question": "How?", "steps": ["a"], "marks": [1]}])
    names = {"question": "prompt", "steps": "completions", "marks": "labels"}
    assert list(load_step_labels(path, rename=names)) == [StepLabels("How?", ("a",), (1,))]
