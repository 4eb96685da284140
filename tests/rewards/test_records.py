import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import DataError
from rewards.files import Row, generations, preference, ranking, span_labels, step_labels, to_row
from rewards.records import (
    Generation,
    Message,
    Preference,
    Ranking,
    Score,
    Span,
    SpanLabels,
    StepLabels,
    prompt_hash,
    prompt_key,
)

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\r\u2028\u2029\x85 "), max_size=12
)
MESSAGES = st.builds(Message, st.sampled_from(["system", "user", "assistant"]), TEXTS)
PROMPTS = TEXTS | st.lists(MESSAGES, min_size=1, max_size=3).map(tuple)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
# No field of any record begins with x.
EXTRAS = st.dictionaries(TEXTS.map(lambda name: "x" + name), JSON_VALUES, max_size=3)
LABELS = st.none() | st.floats(0, 1)
LOGITS = st.floats(-50, 50, allow_nan=False)


@st.composite
def generation_records(draw):
    steps = tuple(draw(st.lists(TEXTS, max_size=3)))
    return Generation(
        draw(PROMPTS), "".join(steps) if steps else draw(TEXTS), steps, draw(TEXTS), draw(EXTRAS)
    )


@st.composite
def rankings(draw):
    ranked = draw(st.lists(st.tuples(TEXTS, st.integers(1, 5)), min_size=2, max_size=4))
    responses, ranks = zip(*ranked, strict=True)
    return Ranking(draw(PROMPTS), responses, ranks, draw(TEXTS), draw(EXTRAS))


@st.composite
def labelled_steps(draw):
    labelled = draw(st.lists(st.tuples(TEXTS, LABELS), max_size=4))
    steps, labels = tuple(step for step, _ in labelled), tuple(label for _, label in labelled)
    return StepLabels(draw(PROMPTS), steps, labels, draw(TEXTS), draw(EXTRAS))


@st.composite
def labelled_spans(draw):
    response = draw(TEXTS)
    ends = st.tuples(st.integers(0, len(response)), st.integers(0, len(response))).map(sorted)
    made = st.builds(lambda at, aspect, label: Span(*at, aspect, label), ends, TEXTS, LOGITS)
    return SpanLabels(
        draw(PROMPTS), response, tuple(draw(st.lists(made, max_size=3))), draw(TEXTS), draw(EXTRAS)
    )


PREFERENCES = st.builds(Preference, PROMPTS, TEXTS, TEXTS, LOGITS, TEXTS, EXTRAS)
KINDS = [
    (generation_records(), lambda row: generations(row)[0]),
    (PREFERENCES, preference),
    (rankings(), ranking),
    (labelled_steps(), step_labels),
    (labelled_spans(), span_labels),
]
EXAMPLES = [
    Generation("p", "ab", ("a", "b"), "1"),
    Preference("p", "a", "b"),
    Ranking("p", ("a", "b"), (1, 2)),
    StepLabels("p", ("a",), (1.0,)),
    SpanLabels("p", "abc", (Span(0, 2, "x", 1.0),)),
    Score(1.0),
    Message("user", "hi"),
]


@pytest.mark.parametrize(
    ("records", "read"), KINDS, ids=["generation", "preference", "ranking", "steps", "spans"]
)
def test_a_record_comes_back_from_its_row_unchanged(records, read):
    @given(records)
    def check(record):
        again = read(Row(to_row(record), "x.jsonl", 1))
        assert again == record
        assert again.extra == record.extra

    check()


@given(PREFERENCES)
def test_swapping_twice_changes_nothing(pair):
    assert pair.swap().swap() == pair
    assert (pair.swap().chosen, pair.swap().margin) == (pair.rejected, -pair.margin)


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: type(record).__name__)
def test_records_are_frozen_and_hashable(record):
    first = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, first, "changed")
    with pytest.raises((AttributeError, TypeError)):
        record.another = 1
    assert hash(record) == hash(dataclasses.replace(record))


def test_records_with_differing_extra_are_unequal_but_may_share_a_hash():
    one, two = Generation("p", "r", extra={"a": [1]}), Generation("p", "r", extra={"a": [2]})
    assert one != two
    assert hash(one) == hash(two)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Message("user", None),
        lambda: Message(1, "p"),
        lambda: Generation("p", 3),
        lambda: Generation("p", "ab", "ab"),
        lambda: Generation((), "r"),
        lambda: Generation([Message("user", "p")], "r"),
        lambda: Generation("p", "ab", ("a", "c")),
        lambda: Preference("p", "a", "b", math.nan),
        lambda: Preference("p", "a", None),
        lambda: Ranking("p", ("a",), (1,)),
        lambda: Ranking("p", ("a", "b"), (1,)),
        lambda: Ranking("p", ("a", "b"), (0, 1)),
        lambda: Ranking("p", ("a", "b"), (True, 2)),
        lambda: Ranking("p", ("a", "b"), (np.True_, 2)),
        lambda: Ranking("p", ("a", "b"), (1.0, 2)),
        lambda: Ranking("p", ("a", "b"), None),
        lambda: Ranking("p", "ab", (1, 2)),
        lambda: StepLabels("p", "ab", (1, 0)),
        lambda: StepLabels("p", ("a",), ("1",)),
        lambda: SpanLabels("p", "ab", ({"start": 0, "end": 1},)),
        lambda: Score(None),
        lambda: Score("1"),
        lambda: Score(1.0, (None,)),
        lambda: Score(1.0, aspects={"x": None}),
        lambda: StepLabels("p", ("a",), ()),
        lambda: StepLabels("p", ("a",), (1.5,)),
        lambda: StepLabels("p", ("a",), (math.nan,)),
        lambda: Span(3, 2, "x", 1.0),
        lambda: Span(-1, 2, "x", 1.0),
        lambda: SpanLabels("p", "ab", (Span(0, 3, "x", 1.0),)),
        lambda: Score(math.nan),
        lambda: Score(1.0, (math.nan,)),
        lambda: Score(1.0, aspects={"x": math.nan}),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(make):
    with pytest.raises(DataError):
        make()


def test_lists_and_arrays_become_the_tuples_that_a_frozen_record_has():
    span = Span(0, 1, "x", 1.0)
    pairs = [
        (Generation("p", "ab", ["a", "b"]), Generation("p", "ab", ("a", "b"))),
        (Generation("p", "ab", []), Generation("p", "ab")),
        (Ranking("p", ["a", "b"], [2, 1]), Ranking("p", ("a", "b"), (2, 1))),
        (Ranking("p", ["a", "b"], np.array([2, 1])), Ranking("p", ("a", "b"), (2, 1))),
        (Ranking("p", ["a", "b"], list(np.array([2, 1]))), Ranking("p", ("a", "b"), (2, 1))),
        (StepLabels("p", ["a", "b"], [True, None]), StepLabels("p", ("a", "b"), (1.0, None))),
        (StepLabels("p", ["a", "b"], np.array([True, False])), StepLabels("p", ("a", "b"), (1.0, 0.0))),
        (StepLabels("p", ["a"], [np.float32(0.5)]), StepLabels("p", ("a",), (0.5,))),
        (SpanLabels("p", "a", [span]), SpanLabels("p", "a", (span,))),
    ]
    for given_lists, given_tuples in pairs:
        assert given_lists == given_tuples
        assert hash(given_lists) == hash(given_tuples)
        assert repr(given_lists) == repr(given_tuples)  # also the numbers are Python's own


def test_a_prompt_of_messages_and_one_of_text_have_different_keys():
    conversation = (Message("user", "a"), Message("assistant", "b"))
    keys = {prompt_key("userab"), prompt_key(conversation), prompt_key(conversation[:1]), prompt_key("a")}
    assert len(keys) == 4


def read(values, convert=preference):
    return convert(Row(values, "rows.jsonl", 7))


ANSWER = {"role": "assistant", "content": "yes"}
OTHER = {"role": "assistant", "content": "no"}
ASKED = {"role": "user", "content": "Is it?"}


def test_conversations_with_an_implicit_prompt_share_all_but_their_last_message():
    pair = read({"chosen": [ASKED, ANSWER], "rejected": [ASKED, OTHER]})
    assert pair == Preference((Message("user", "Is it?"),), "yes", "no")


@pytest.mark.parametrize("prompt", [[ASKED], "Is it?"])
def test_whole_conversations_may_repeat_the_prompt_of_their_row(prompt):
    pair = read({"prompt": prompt, "chosen": [ASKED, ANSWER], "rejected": [ASKED, OTHER]})
    assert pair.prompt == (Message("user", "Is it?"),)


def test_answers_as_single_messages_keep_the_prompt_of_their_row():
    assert read({"prompt": "Q", "chosen": [ANSWER], "rejected": [OTHER]}) == Preference("Q", "yes", "no")
    (made,) = read({"prompt": [ASKED], "response": [ANSWER]}, generations)
    assert made == Generation((Message("user", "Is it?"),), "yes")


def test_each_response_of_a_row_gets_its_own_element_of_lists_as_long():
    values = {
        "prompt": "p",
        "responses": ["a", "bc"],
        "id": "q1",
        "score": [0.5, 1.5],
        "steps": [["a"], ["b", "c"]],
        "tags": ["x", "y", "z"],
        "source": "web",
    }
    shared = {"tags": ["x", "y", "z"], "source": "web"}
    assert read(values, generations) == [
        Generation("p", "a", ("a",), "q1", {"score": 0.5, **shared}),
        Generation("p", "bc", ("b", "c"), "q1", {"score": 1.5, **shared}),
    ]


def test_a_solution_of_steps_is_a_generation_that_joins_them():
    (made,) = read({"prompt": "p", "completions": ["a\n", "b"], "labels": [True, False]}, generations)
    assert made == Generation("p", "a\nb", ("a\n", "b"), "", {"labels": [True, False]})


def test_a_pair_is_a_ranking_of_two_and_keeps_its_margin():
    made = read({"prompt": "p", "chosen": "a", "rejected": "b", "margin": 2, "id": 5}, ranking)
    assert made == Ranking("p", ("a", "b"), (1, 2), "5", {"margin": 2})


def test_step_labels_of_true_and_false_are_one_and_nought():
    made = read({"prompt": "p", "completions": ["a", "b", "c"], "labels": [True, False, None]}, step_labels)
    assert made.labels == (1.0, 0.0, None)
    assert type(made.labels[0]) is float


PAIR = {"prompt": "p", "chosen": "a", "rejected": "b"}
SPAN = {"start": 0, "end": 1, "aspect": "x", "label": 1}


@pytest.mark.parametrize(
    ("convert", "values", "said"),
    [
        (preference, PAIR | {"chosen": 3}, "field 'chosen': expected a text, got 3"),
        (preference, PAIR | {"chosen": None}, "field 'chosen': expected a text, got null"),
        (preference, PAIR | {"margin": "wide"}, "field 'margin': expected a number, got 'wide'"),
        (preference, PAIR | {"margin": math.nan}, "margin is a finite number, got nan"),
        (preference, PAIR | {"id": 1.5}, "field 'id': expected a text or a whole number, got 1.5"),
        (preference, PAIR | {"prompt": []}, "field 'prompt': expected a text or a list of {role, content}"),
        (preference, PAIR | {"chosen": [ASKED]}, "expected a text or one message of the assistant"),
        (preference, PAIR | {"chosen": [ASKED, ANSWER]}, "does not begin with the prompt"),
        (
            preference,
            {"chosen": [ASKED, ANSWER], "rejected": [OTHER, OTHER]},
            "do not answer the same prompt",
        ),
        (preference, {"chosen": "a", "rejected": "b"}, "no column 'prompt', only chosen, rejected; --rename"),
        (preference, PAIR | {"prompt": [{"role": "user"}]}, "expected messages of the form"),
        (preference, PAIR | {"prompt": [ASKED | {"tool_calls": [1]}]}, "expected messages of the form"),
        (generations, {"prompt": "p", "responses": []}, "expected one response or more"),
        (generations, {"prompt": "p", "response": "ab", "steps": ["a"]}, "steps do not join"),
        (generations, {"prompt": "p", "response": "ab", "steps": "ab"}, "expected a list of texts"),
        (generations, {"response": "a"}, "no column 'prompt'"),
        (generations, {"prompt": "p"}, "no column 'response'"),
        (
            ranking,
            {"prompt": "p", "responses": ["a", "b"], "ranks": [1, 1.5]},
            "whole numbers from 1, got 1.5",
        ),
        (ranking, {"prompt": "p", "responses": ["a", "b"], "ranks": [1]}, "2 responses but 1 ranks"),
        (ranking, {"prompt": "p", "responses": "ab", "ranks": [1]}, "field 'responses': expected a list"),
        (
            step_labels,
            {"prompt": "p", "completions": ["a"], "labels": ["+"]},
            "field 'labels': expected true",
        ),
        (step_labels, {"prompt": "p", "completions": ["a"], "labels": [2]}, "in [0, 1], got 2.0"),
        (
            span_labels,
            {"prompt": "p", "response": "a", "spans": [SPAN | {"end": 2}]},
            "past the response's end",
        ),
        (
            span_labels,
            {"prompt": "p", "response": "a", "spans": [{"start": 0}]},
            "expected spans of the form",
        ),
        (span_labels, {"prompt": "p", "response": "a", "spans": [SPAN | {"start": 0.5}]}, "whole numbers"),
    ],
)
def test_an_error_names_file_line_and_what_was_expected(convert, values, said):
    with pytest.raises(DataError) as caught:
        read(values, convert)
    assert str(caught.value).startswith("rows.jsonl:7: ")
    assert said in str(caught.value)


def test_extra_by_the_name_of_a_field_is_refused_on_the_way_out():
    with pytest.raises(DataError, match="'chosen' has the name of a field"):
        to_row(Preference("p", "a", "b", extra={"chosen": "c"}))


def test_null_columns_of_optional_fields_mean_absence():
    assert read(PAIR | {"margin": None, "id": None}) == Preference("p", "a", "b")
    (made,) = read({"prompt": "p", "response": "r", "steps": None}, generations)
    assert made == Generation("p", "r")


def test_hashes_of_prompts_stay_as_they_are_written_in_files():
    assert prompt_hash("a prompt").hex() == "ca518e25eebec997"  # b2sum --length 64
    assert prompt_hash((Message("user", "a prompt"),)).hex() == "1a3cf5619a552920"
    assert len(prompt_hash("half of a pair: \ud800", 16)) == 16
