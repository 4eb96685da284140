"""How responses are cut: by hand, and on any text; and what is to be learnt of each piece."""

# ruff: noqa: RUF001  # texts of many scripts are what is tested
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.testbeds.facts import ASPECTS, FactsWorld
from evalkit.testbeds.facts_corpus import draw_questions, write_answer
from evalkit.testbeds.facts_gold import FactsScorer, grade
from rewards.encoding.segments import DENSITIES, LEAST_WORDS, cut, segment_targets
from rewards.errors import ConfigError, DataError
from rewards.records import Generation, Span


def pieces(response, density):
    return [response[start:end] for start, end in cut(response, density)]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("size low . surely age high . glad .", ["size low .", "surely age high .", "glad ."]),
        ("size low . . .", ["size low .", ".", "."]),
        ("zinc", ["zinc"]),
        ("He left! Did he? Yes.", ["He left!", "Did he?", "Yes."]),
        ("It is 3.14, or 1,000. Next", ["It is 3.14, or 1,000.", "Next"]),
        ("Dr. Smith met J. R. Jones. Then", ["Dr. Smith met J. R. Jones.", "Then"]),
        ("The U.S. army, e.g. this (see p. 3). Done", ["The U.S. army, e.g. this (see p. 3).", "Done"]),
        ("It is No. 5 here. Is it? No. Five", ["It is No. 5 here.", "Is it?", "No.", "Five"]),
        ("Wait... and go. Wait... Then go", ["Wait... and go.", "Wait...", "Then go"]),
        ('"Really?" he said. "Yes." So', ['"Really?" he said.', '"Yes."', "So"]),
        (
            "1. First item. 2. Second.\na. Third\n\nfourth",
            ["1. First item.", "2. Second.", "a. Third", "fourth"],
        ),
        ("今天很好。你呢？「好。」我 3.5", ["今天很好。", "你呢？", "「好。」", "我 3.5"]),
        ("هل هذا جيد؟ نعم.", ["هل هذا جيد؟", "نعم."]),
        ("one\r\ntwo\u2028three", ["one", "two", "three"]),
        ("example.com/a.b is up", ["example.com/a.b is up"]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_sentences_by_hand(response, expected):
    assert pieces(response, "sentence") == expected


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        # Five words and a comma; then three words, which are too few for the comma after them.
        ("one two three four five, a b c, d e f", ["one two three four five,", "a b c, d e f"]),
        # The rest of four words joins the piece before it.
        ("one two three four five; six seven eight nine", ["one two three four five; six seven eight nine"]),
        ("a, b. c, d, e, f, g, h i j k l", ["a, b.", "c, d, e, f, g,", "h i j k l"]),
        (
            "it costs 1,000 or more, 20,000 at the very most",
            ["it costs 1,000 or more,", "20,000 at the very most"],
        ),
        ("- - - - -, a", ["- - - - -, a"]),
        ("今天天气很好，我们去公园，好吗？ok", ["今天天气很好，", "我们去公园，好吗？", "ok"]),
        ("size low . surely age high .", ["size low .", "surely age high ."]),
    ],
)
def test_sub_sentences_by_hand(response, expected):
    assert pieces(response, "sub-sentence") == expected


def test_whole_is_the_whole_even_where_there_is_nothing():
    assert [cut(text, "whole") for text in ("", "  ", " a. b. ")] == [((0, 0),), ((0, 2),), ((0, 7),)]


def test_an_unknown_density_or_objective_lists_the_known():
    with pytest.raises(ConfigError, match="sub-sentence, sentence, whole; got 'word'"):
        cut("a", "word")
    with pytest.raises(ConfigError, match="regression, error; got 'rank'"):
        segment_targets("a", (), "x", "whole", "rank")


PARTS = [*"abAB1 \n.,;!?…。，、！\"')]\u3000😀é\u0301你ש", "Mr", " . ", "e.g.", "word ", "3.5"]
TEXTS = st.text(max_size=60) | st.lists(st.sampled_from(PARTS), max_size=60).map("".join)


@given(TEXTS)
def test_pieces_are_in_order_and_hold_every_character_but_white_space_once(response):
    for density in ("sentence", "sub-sentence"):
        found = cut(response, density)
        covered = [place for start, end in found for place in range(start, end)]
        assert covered == sorted(set(covered))
        outside = set(range(len(response))) - set(covered)
        assert all(response[place].isspace() for place in outside)
        assert all(response[start:end] == response[start:end].strip() != "" for start, end in found)


@given(TEXTS)
def test_sub_sentences_refine_sentences(response):
    inside = [
        [piece for piece in cut(response, "sub-sentence") if start <= piece[0] and piece[1] <= end]
        for start, end in cut(response, "sentence")
    ]
    assert tuple(piece for own in inside for piece in own) == cut(response, "sub-sentence")


@given(st.lists(st.sampled_from(["word", "word,", "word;", "word.", "word!"]), max_size=40))
def test_a_sub_sentence_has_five_words_or_is_its_sentence(words):
    response = " ".join(words)
    sentences = cut(response, "sentence")
    for start, end in cut(response, "sub-sentence"):
        assert len(response[start:end].split()) >= LEAST_WORDS or (start, end) in sentences


@pytest.mark.parametrize(
    "degenerate",
    ["." * 50_000 + "a", "a. " * 20_000, "A. " * 20_000, ", " * 30_000, "A." * 30_000 + " b", "…a " * 9000],
)
def test_degenerate_text_is_cut_in_linear_time(degenerate):
    began = time.perf_counter()
    cut(degenerate, "sub-sentence")
    assert time.perf_counter() - began < 5


@given(TEXTS, st.data())
def test_regression_targets_sum_to_the_labels_wherever_there_is_a_piece(response, data):
    place = st.integers(0, len(response))
    spans = [
        Span(*sorted(ends), aspect, label / 4)
        for ends, aspect, label in data.draw(
            st.lists(
                st.tuples(st.tuples(place, place), st.sampled_from("xy"), st.integers(-8, 8)), max_size=6
            )
        )
    ]
    for density in DENSITIES:
        for aspect in ("x", "y"):
            targets = segment_targets(response, spans, aspect, density, "regression")
            assert len(targets) == len(cut(response, density))
            if targets:
                assert sum(targets) == sum(span.label for span in spans if span.aspect == aspect)


def test_a_span_ends_in_one_piece_only():
    response = "aa bb. cc dd. ee"
    spans = [
        Span(0, 16, "x", 1.0),  # all of it: the last piece
        Span(3, 9, "x", 2.0),  # into the second
        Span(0, 7, "x", 4.0),  # its end is white space after the first
        Span(7, 8, "x", 8.0),  # begins the second
        Span(0, 0, "x", 16.0),  # empty: the first
        Span(0, 16, "y", 32.0),
    ]
    assert segment_targets(response, spans, "x", "sentence", "regression") == (20.0, 10.0, 1.0)
    assert segment_targets(response, spans, "x", "whole", "regression") == (31.0,)
    assert segment_targets(response, spans, "z", "sentence", "regression") == (0.0, 0.0, 0.0)


def test_a_piece_is_at_fault_where_a_span_of_no_worth_overlaps_it():
    response = "aa bb. cc dd. ee"
    assert segment_targets(response, [Span(3, 9, "x", -1.0)], "x", "sentence", "error") == (0.0, 0.0, 1.0)
    assert segment_targets(response, [Span(3, 9, "x", 0.0)], "x", "sentence", "error") == (0.0, 0.0, 1.0)
    assert segment_targets(response, [Span(3, 9, "x", 0.5)], "x", "sentence", "error") == (1.0, 1.0, 1.0)
    assert segment_targets(response, [Span(3, 9, "y", -1.0)], "x", "sentence", "error") == (1.0, 1.0, 1.0)
    # A span of white space alone counts where it ends, and so does an empty one.
    assert segment_targets(response, [Span(6, 7, "x", -1.0)], "x", "sentence", "error") == (0.0, 1.0, 1.0)
    assert segment_targets("", [Span(0, 0, "x", -1.0)], "x", "whole", "error") == (0.0,)
    assert segment_targets("", [Span(0, 0, "x", -1.0)], "x", "sentence", "error") == ()


def test_a_span_past_the_end_is_refused():
    with pytest.raises(DataError, match="aspect 'x': span end 3 is past the response's end, 2"):
        segment_targets("ab", [Span(0, 3, "x", 1.0)], "x", "whole", "regression")


def test_sentences_of_facts_are_golds_segments_and_their_targets_sum_to_gold():
    world, rng = FactsWorld(), np.random.default_rng(0)
    for question in draw_questions(200, rng):
        prompt = world.prompt(question)
        answer = write_answer(world, question, rng, review=False) + " zinc tin" * int(rng.integers(2))
        grading = grade(world, prompt, answer)
        assert cut(answer, "sentence") == tuple((part.start, part.end) for part in grading.segments)
        (score,) = FactsScorer(world).score([Generation(prompt, answer)])
        for aspect in ASPECTS:
            for density in DENSITIES:
                targets = segment_targets(answer, score.spans, aspect, density, "regression")
                assert math.isclose(sum(targets), score.aspects[aspect], abs_tol=1e-9)
        factual = segment_targets(answer, score.spans, "factuality", "sentence", "error")
        wrong = [part.score <= 0 and part.aspect == "factuality" for part in grading.segments]
        assert factual == tuple(1.0 - fault for fault in wrong)
