"""Generations from what Python holds: the same ones from records, rows, data frames and data sets."""

import subprocess
import sys

import numpy as np
import pytest

from rewards.errors import DataError, EvalkitError
from rewards.files import as_generations, read_rows
from rewards.records import Generation, Message
from rewards.scorer import load_scorer

ROWS = [
    {"prompt": "a?", "response": "one", "answer": "one", "id": "x"},
    {"prompt": "b?", "response": "two", "answer": "2", "id": "y"},
]
RECORDS = [
    Generation("a?", "one", id="x", extra={"answer": "one"}),
    Generation("b?", "two", id="y", extra={"answer": "2"}),
]


def frame(rows):
    import pandas as pd

    return pd.DataFrame(rows)


def dataset(rows):
    from datasets import Dataset

    return Dataset.from_list(rows)


@pytest.mark.parametrize("given", [lambda rows: rows, tuple, iter, frame, dataset])
def test_rows_become_the_same_records_wherever_they_are(given):
    assert as_generations(given(ROWS)) == RECORDS
    assert [score.value for score in load_scorer("rule:exact").score(given(ROWS))] == [1.0, 0.0]


@pytest.mark.parametrize("given", [lambda rows: rows, frame, dataset])
def test_several_responses_are_one_generation_each(given):
    rows = [{"prompt": "a?", "responses": ["one", "three"], "n": [1, 3]}]
    made = as_generations(given(rows))
    assert [(one.response, one.extra["n"]) for one in made] == [("one", 1), ("three", 3)]


@pytest.mark.parametrize("given", [lambda rows: rows, frame, dataset])
def test_messages_and_steps_are_read(given):
    prompt = [{"role": "user", "content": "a?"}]
    made = as_generations(given([{"prompt": prompt, "response": "1\n2\n", "steps": ["1\n", "2\n"]}]))
    assert made == [Generation((Message("user", "a?"),), "1\n2\n", ("1\n", "2\n"))]


def test_records_and_rows_may_stand_alone_and_beside_each_other(tmp_path):
    assert as_generations(RECORDS[0]) == RECORDS[:1]
    assert as_generations(ROWS[0]) == RECORDS[:1]
    assert as_generations([RECORDS[0], ROWS[1]]) == RECORDS
    assert as_generations({"prompt": [Message("user", "a?")], "response": "r"})[0].prompt == (
        Message("user", "a?"),
    )
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a?", "response": 5}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"rows\.jsonl:1: field 'response'"):
        as_generations(read_rows(path))


def test_no_records_are_none():
    assert as_generations([]) == []
    assert load_scorer("rule:length").score([]) == []


def test_cells_of_a_data_frame_are_pythons_own():
    made = as_generations(
        frame({"prompt": ["p", "p"], "response": ["a", "b"], "steps": [np.array(["a"]), None], "n": [1, 2]})
    )
    assert [one.steps for one in made] == [("a",), ()]
    assert type(made[0].extra["n"]) is int


def test_what_a_data_frame_lacks_the_row_lacks():
    made = as_generations(frame({"prompt": ["p", "p"], "response": ["a", "b"], "id": ["x", np.nan]}))
    assert [one.id for one in made] == ["x", ""]
    both = frame([{"prompt": "p", "response": "a"}, {"prompt": "p", "responses": ["b", "c"]}])
    assert [one.response for one in as_generations(both)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("text", r"expected a Generation, a row \{prompt, response\}.*DataFrame.*; got str 'text'"),
        (5, "got int 5"),
        (None, "got NoneType None"),
        (["text"], "data row 1: expected .* got str 'text'"),
        ([ROWS[0], 7], "data row 2: expected .* got int 7"),
        ([{"question": "q", "response": "r"}], "data row 1: expected a column prompt; there is question"),
        ([{"prompt": "p"}], "data row 1: expected a column response, or responses; there is prompt"),
        ([{}], "data row 1: expected a column response.*; there is nothing"),
        (
            [ROWS[0], {"prompt": "p", "response": 5}],
            "data row 2: field 'response': expected a text, got 5",
        ),
        ([{"prompt": 1, "response": "r"}], "data row 1: field 'prompt': expected a text or a list"),
        ([{"prompt": "p", "responses": []}], "data row 1: field 'responses': expected one response"),
        ([{"prompt": "p", "response": "ab", "steps": ["a"]}], "data row 1: steps do not join"),
    ],
)
def test_anything_else_is_refused_with_what_was_expected(given, says):
    with pytest.raises(DataError, match=says):
        as_generations(given)
    with pytest.raises(EvalkitError, match=says):
        load_scorer("rule:length").score(given)


def test_errors_name_rows_of_frames_and_data_sets():
    bad = [{"prompt": "p", "response": "r"}, {"prompt": "p", "response": None}]
    with pytest.raises(DataError, match="DataFrame row 2: expected a column response"):
        as_generations(frame(bad))
    with pytest.raises(DataError, match="Dataset row 2: expected a column response"):
        as_generations(dataset(bad))


@pytest.mark.parametrize(
    "spec",
    [
        "rule:length", "rule:constant?value=1", "rule:random", "rule:pattern?pattern=o", "column:n",
        "ensemble:rule:length,rule:random",
    ],
)  # fmt: skip
def test_every_scorer_takes_them(spec):
    rows = [{**row, "n": 1} for row in ROWS]
    scorer = load_scorer(spec)
    assert scorer.score(frame(rows)) == scorer.score(as_generations(rows))


def test_rows_load_neither_pandas_nor_datasets():
    code = (
        "import sys; from rewards.scorer import load_scorer; "
        "load_scorer('rule:length').score([{'prompt': 'p', 'response': 'r'}]); "
        "assert not {'pandas', 'datasets', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
