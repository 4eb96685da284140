import json
import logging
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.data.preferences import load_preferences
from rewards.data.qa_feedback import (
    ASPECT_OF,
    PAIRS,
    qa_feedback_preferences,
    qa_feedback_spans,
    qa_prompt,
)
from rewards.data.spans import HELPSTEER, load_span_labels, recognize_span_format
from rewards.errors import ConfigError, DataError
from rewards.files import Row, Screen, ScreeningConfig, read_rows, span_labels, to_row, write_rows
from rewards.records import Preference, Span, SpanLabels

FEEDBACK = Path(__file__).parents[3] / ".." / "shared" / "data" / "finegrained-rlhf" / "dev_feedback.json"
needs_feedback = pytest.mark.skipif(
    not FEEDBACK.exists(), reason="QA-Feedback's dev file is not beside the project"
)


def row(**values):
    return Row(values, "rows.jsonl", 3)


def error(kind, start, end):
    return {"error type": kind, "explanation": "", "start": start, "end": end}


QA = {
    "question": "When was it?",
    "passages": [["Rome", "Rome\n\nIt was old.", "It fell."], ["Paris", "It stood."]],
    "gold": "It fell.",
    "prediction 1": "Rome stood. Paris fell.",
    "prediction 2": "b",
    "prediction 3": "c",
    "prediction 4": "d",
    "feedback": {
        "errors": [error("Wrong-Grounding", 12, 23), error("Redundant", 0, 4)],
        "missing-info": [{"error type": "Missing-Answer", "passage_id": 1, "sentence_id": [2]}],
        "corrected-prediction": "Rome fell.",
    },
    "preference": [1, 2, 0, 1, 2, 0],
}


def feedback(**change):
    return QA | {"feedback": QA["feedback"] | change}


def test_the_prompt_is_the_question_and_its_passages():
    assert qa_prompt(row(**QA)) == (
        "question: When was it? context: wikipage: Rome text: Rome It was old. It fell. "
        "wikipage: Paris text: It stood. answer:\n"
    )
    assert qa_prompt(row(**QA | {"passages": []})) == "question: When was it? answer:\n"


def test_faults_are_spans_of_their_aspect_in_the_annotated_prediction():
    record = qa_feedback_spans(row(**QA))
    assert record.response == QA["prediction 1"]
    assert record.spans == (
        Span(0, 4, "relevance", 0.0),
        Span(12, 23, "factuality", 0.0),
        Span(0, 23, "completeness", 0.0),
    )
    assert [said["error type"] for said in record.extra["errors"]] == ["Redundant", "Wrong-Grounding"]
    assert record.extra["missing"] == QA["feedback"]["missing-info"]
    assert record.extra["aspects"] == ["relevance", "factuality", "completeness"]
    assert (record.extra["corrected"], record.id) == ("Rome fell.", "rows.jsonl:3")
    clean = qa_feedback_spans(row(**feedback(errors=[], **{"missing-info": []})))
    assert clean.spans == (Span(0, 23, "completeness", 1.0),)


def test_preferences_follow_the_pairs_and_ties_are_counted():
    ties = Counter()
    pairs = list(qa_feedback_preferences(row(**QA), ties))
    first = QA["prediction 1"]
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [
        (first, "b"),
        ("c", first),
        ("b", "c"),
        ("d", "b"),
    ]
    assert [pair.id for pair in pairs] == [f"rows.jsonl:3:{pair}" for pair in ("1-2", "1-3", "2-3", "2-4")]
    assert pairs[1].extra == {"chosen_prediction": 3, "rejected_prediction": 1}
    assert ties == {"tie": 2}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            feedback(errors=[error("Typo", 0, 1)]),
            "an error type among Irrelevant, Redundant, Incoherent, "
            "Wrong-Grounding, Unverifiable, got 'Typo'",
        ),
        (
            feedback(errors=[error("Redundant", 3, 24)]),
            "0 <= start < end <= 23, the length of 'prediction 1'",
        ),
        (feedback(errors=[error("Redundant", 3, 3)]), "of each error, got (3, 3)"),
        (feedback(errors=[error("Redundant", -1, 3)]), "of each error, got (-1, 3)"),
        (feedback(errors=None), "a list of objects in 'errors', got null"),
        (QA | {"feedback": None}, "an object of errors and missing-info, got null"),
        (QA | {"passages": ["Rome"]}, "field 'passages': expected a list of texts, got 'Rome'"),
        (QA | {"prediction 1": None}, "field 'prediction 1': expected a text, got null"),
    ],
)
def test_broken_feedback_is_named(broken, said):
    with pytest.raises(DataError, match=r"^rows.jsonl:3: field ") as caught:
        qa_feedback_spans(row(**broken))
    assert said in str(caught.value)


@pytest.mark.parametrize("told", [[1, 2, 0, 1, 2], [1, 2, 0, 1, 2, 3], [True, 2, 0, 1, 2, 0]])
def test_a_preference_that_is_none_is_named(told):
    with pytest.raises(
        DataError, match=r"^rows.jsonl:3: field 'preference': expected 6 entries of 0, 1 or 2"
    ):
        list(qa_feedback_preferences(row(**QA | {"preference": told})))


@needs_feedback
def test_qa_feedback_has_its_published_counts(caplog):
    pairs = list(load_preferences(FEEDBACK))
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == f"{FEEDBACK}: 384 pairs are ties, which prefer nothing, and are left out"
    sides = Counter(pair.extra["chosen_prediction"] < pair.extra["rejected_prediction"] for pair in pairs)
    assert (sides[True], sides[False]) == (1577, 1039)
    # Of the two ways to read 1 and 2, the one by which what is better says more of the reference.
    gold = {qa_prompt(one): one.values["gold"] for one in read_rows(FEEDBACK)}
    shared = sum(
        overlap(pair.chosen, gold[pair.prompt]) > overlap(pair.rejected, gold[pair.prompt]) for pair in pairs
    )
    assert shared / len(pairs) > 0.6


def overlap(text, reference):
    words, wanted = Counter(text.lower().split()), Counter(reference.lower().split())
    return 2 * (words & wanted).total() / (words.total() + wanted.total())


@needs_feedback
def test_every_span_of_qa_feedback_lies_at_the_edges_of_words_in_its_prediction():
    screen = Screen()
    records = list(load_span_labels(FEEDBACK, screen=screen))
    assert (len(records), screen.report.kept, len({record.id for record in records})) == (500, 500, 500)
    spans = Counter((span.aspect, span.label) for record in records for span in record.spans)
    assert spans == {
        ("relevance", 0.0): 909 + 133 + 16,
        ("factuality", 0.0): 163 + 152,
        ("completeness", 0.0): 379,
        ("completeness", 1.0): 121,
    }
    for record in records:
        text, faults = record.response, record.spans[:-1]
        for span, said in zip(faults, record.extra["errors"], strict=True):
            assert (span.start, span.end, span.aspect) == (
                said["start"],
                said["end"],
                ASPECT_OF[said["error type"]],
            )
            marked = text[span.start : span.end]
            assert marked
            assert marked == marked.strip()
            edges = text[span.start - 1 : span.start + 1] if span.start else "", text[span.end - 1 :][:2]
            assert not any(len(edge) == 2 and edge.isalnum() for edge in edges)
        assert (record.spans[-1].start, record.spans[-1].end) == (0, len(text))
        assert (record.spans[-1].label == 1) == (not record.extra["missing"])


SPANS = {
    "prompt": "p",
    "response": "0123456789",
    "spans": [{"start": 2, "end": 5, "aspect": "facts", "label": 0}],
    "id": "x",
}
STEER = {"prompt": "p", "response": "answer", **dict(zip(HELPSTEER, [3, 4, 4, 2, 1], strict=True))}
FIRST_ROWS = {"spans": SPANS, "qa-feedback": QA, "columns": STEER}


@pytest.mark.parametrize("name", FIRST_ROWS)
def test_each_format_is_recognised_and_survives_parquet(name, tmp_path, caplog):
    for suffix in ("jsonl", "parquet"):
        write_rows(tmp_path / f"rows.{suffix}", [FIRST_ROWS[name]])
    path = tmp_path / "rows.jsonl"
    assert recognize_span_format(Row(FIRST_ROWS[name], str(path), 1)) == name
    with caplog.at_level(logging.INFO):
        (recognised,) = load_span_labels(path)
    assert f"recognised as {name} by its columns" in caplog.text
    assert [recognised] == list(load_span_labels(path, format=name))
    (parquet,) = load_span_labels(tmp_path / "rows.parquet")
    assert (parquet.prompt, parquet.response, parquet.spans) == (
        recognised.prompt,
        recognised.response,
        recognised.spans,
    )
    assert span_labels(Row(to_row(recognised), str(path), 1)) == recognised


def test_a_hub_name_goes_to_datasets(monkeypatch):
    from datasets import Dataset

    def load_dataset(path, **options):
        assert (path, options) == ("nvidia/HelpSteer2", {"split": "validation", "streaming": True})
        return Dataset.from_list([STEER]).to_iterable_dataset()

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    (record,) = load_span_labels("hub:nvidia/HelpSteer2?split=validation")
    labels = {span.aspect: span.label for span in record.spans}
    assert labels == dict(zip(HELPSTEER, [3, 4, 4, 2, 1], strict=True))
    assert {(span.start, span.end) for span in record.spans} == {(0, 6)}


def loaded(tmp_path, *rows, suffix="jsonl", **options):
    path = tmp_path / f"rows.{suffix}"
    write_rows(path, rows, overwrite=True)
    return list(load_span_labels(path, **options))


def test_columns_are_labels_of_the_whole_response_where_they_hold_a_number(tmp_path):
    base = {"prompt": "p", "response": "abc", "source": "web"}
    records = loaded(
        tmp_path,
        base | {"tone": 0.5, "facts": None, "id": 1},
        base | {"facts": 2},
        base,
        columns=["tone", "facts"],
    )
    assert records == [
        SpanLabels("p", "abc", (Span(0, 3, "tone", 0.5),), "1", {"source": "web"}),
        SpanLabels("p", "abc", (Span(0, 3, "facts", 2.0),), "", {"source": "web"}),
        SpanLabels("p", "abc", (), "", {"source": "web"}),
    ]
    inner = loaded(tmp_path, base | {"aspects": {"tone": 1, "facts": None}})
    assert inner == [SpanLabels("p", "abc", (Span(0, 3, "tone", 1.0),), "", {"source": "web"})]
    assert loaded(tmp_path, base | {"aspects": {"tone": 1}}, columns=["tone"]) == inner


def test_the_columns_of_csv_are_numbers_too(tmp_path):
    (tmp_path / "rows.csv").write_text("prompt,response,tone,facts\np,abc,0.5,\np,ab,1,2\n")
    records = list(load_span_labels(tmp_path / "rows.csv", columns=["tone", "facts"]))
    assert [record.spans for record in records] == [
        (Span(0, 3, "tone", 0.5),),
        (Span(0, 2, "tone", 1.0), Span(0, 2, "facts", 2.0)),
    ]


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ([STEER | {"coherence": "good"}], {}, ":1: field 'coherence': expected a number, got 'good'"),
        ([STEER | {"id": 4, "response": None}], {}, ":1: id '4': field 'response': expected a text"),
        (
            [{"prompt": "p", "response": "r", "aspects": {"tone": 1, "wit": 2}, "id": "a"}],
            {"columns": ["tone"]},
            ":1: id 'a': aspect 'wit' is none of tone",
        ),
        (
            [{"prompt": "p", "response": "r", "tone": 1, "aspects": {"tone": 1}}],
            {"columns": ["tone"]},
            ":1: aspect 'tone' stands in a column and in 'aspects'",
        ),
        (
            [{"prompt": "p", "response": "r", "tone": 1}],
            {"columns": ["tone", "wit"]},
            ": no row has a number in column 'wit'",
        ),
        ([{"prompt": "p", "response": "r", "tone": 1}], {}, ":1: no labels of spans or aspects: expected"),
        (
            [{"prompt": "p", "response": "r", "tone": 1}],
            {"format": "columns"},
            ":1: which columns are labels of aspects? Name them by columns",
        ),
        (
            [
                {"prompt": "p", "response": "r", "aspects": {"tone": 1}},
                {"prompt": "p", "response": "r", "aspects": [1]},
            ],
            {},
            ":2: field 'aspects': expected an object of the form {aspect: number}, got [1]",
        ),
    ],
)
def test_broken_columns_are_named(rows, options, said, tmp_path):
    with pytest.raises(DataError) as caught:
        loaded(tmp_path, *rows, **options)
    assert str(caught.value).startswith(f"{tmp_path}/rows.jsonl{said}")


def test_formats_and_columns_that_are_none_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="format is one of auto, spans, columns, qa-feedback; got 'span'"):
        loaded(tmp_path, SPANS, format="span")
    with pytest.raises(ConfigError, match="columns differ from each other, got a, a"):
        loaded(tmp_path, SPANS, columns=["a", "a"])


def marked(*spans):
    return SPANS | {
        "spans": [
            {"start": start, "end": end, "aspect": aspect, "label": label}
            for start, end, aspect, label in spans
        ]
    }


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ([(2, 5, "a", 0), (4, 8, "a", 1)], "spans 2-5 and 4-8 of 'a' overlap but are labelled 0 and 1"),
        ([(6, 7, "a", 0), (0, 10, "a", 1)], "spans 0-10 and 6-7 of 'a' overlap but are labelled 1 and 0"),
        ([(0, 9, "a", 0), (1, 2, "a", 0), (5, 6, "a", 1)], "spans 0-9 and 5-6 of 'a' overlap"),
        ([(3, 3, "a", 0)], "span 3-3 of 'a' is empty"),
        ([(3, 11, "a", 0)], "span end 11 is past the response's end, 10"),
        ([(5, 3, "a", 0)], "a span needs 0 <= start <= end, got start 5, end 3"),
        ([(-1, 3, "a", 0)], "a span needs 0 <= start <= end, got start -1, end 3"),
        ([(0, 3, "b", 0)], "aspect 'b' is none of a, c"),
        ([(0, 3, "a", "bad")], "label is a finite number, got 'bad'"),
    ],
)
def test_broken_spans_are_named_by_file_line_and_id(spans, said, tmp_path):
    with pytest.raises(DataError) as caught:
        loaded(tmp_path, marked((0, 1, "a", 1)), marked(*spans), columns=["a", "c"])
    assert str(caught.value).startswith(f"{tmp_path}/rows.jsonl:2: id 'x': {said}")


def test_spans_that_agree_or_touch_or_are_of_other_aspects_may_stand_together(tmp_path):
    spans = [(0, 5, "a", 0), (3, 8, "a", 0), (8, 10, "a", 1), (0, 10, "b", 1)]
    (record,) = loaded(tmp_path, marked(*spans))
    assert record.spans == tuple(Span(*span) for span in spans)


some_spans = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 10), st.sampled_from("ab"), st.sampled_from([0, 0.5, 1])),
    max_size=6,
).map(lambda spans: [(start, max(end, start + 1), aspect, label) for start, end, aspect, label in spans])


@given(some_spans)
def test_contradictions_are_those_that_share_a_character(tmp_path_factory, spans):
    said = {}
    for start, end, aspect, label in spans:
        for place in range(start, end):
            said.setdefault((aspect, place), set()).add(label)
    path = tmp_path_factory.mktemp("spans")
    if any(len(labels) > 1 for labels in said.values()):
        with pytest.raises(DataError, match="overlap but are labelled"):
            loaded(path, marked(*spans))
    else:
        assert len(loaded(path, marked(*spans))[0].spans) == len(spans)


def test_doubtful_rows_are_screened_and_counted(tmp_path):
    empty = {"prompt": "p", "response": " ", "tone": 1}
    path = tmp_path / "rows.jsonl"
    rows = [empty, empty | {"response": "", "tone": 2}, empty | {"response": "r", "tone": float("nan")}]
    path.write_text("\n".join(map(json.dumps, rows)))
    screen = Screen(ScreeningConfig(empty="drop", not_a_number="drop"))
    assert list(load_span_labels(path, screen=screen, columns=["tone"])) == []
    assert screen.report.dropped == {"empty": 2, "not_a_number": 1}
    with pytest.raises(DataError, match=r"rows.jsonl:3: field 'tone': NaN or infinite"):
        list(load_span_labels(path, columns=["tone"]))


def test_pairs_of_one_text_are_kept_unless_the_screen_drops_them(tmp_path):
    write_rows(tmp_path / "rows.jsonl", [QA | {"prediction 2": QA["prediction 1"]}])
    pairs = list(load_preferences(tmp_path / "rows.jsonl"))
    assert len(pairs) == 4
    assert isinstance(pairs[0], Preference)
    screen = Screen()
    assert len(list(load_preferences(tmp_path / "rows.jsonl", "qa-feedback", screen=screen))) == 3
    assert screen.report.dropped == {"identical": 1}
    assert len(PAIRS) == 6
