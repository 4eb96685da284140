import math
from dataclasses import replace

import numpy as np
import pytest

from evalkit.testbeds import load_testbed_scorer
from evalkit.testbeds.facts import ATTRIBUTES, KINDS, VALUES, FactsQuestion, FactsWorld, GoldTable, Writer
from evalkit.testbeds.facts_corpus import (
    draw_prompts,
    draw_questions,
    gold_pairs,
    label_pairs,
    write_answer,
    write_corpus,
)
from evalkit.testbeds.facts_gold import FactsScorer, grade
from rewards.errors import DataError, ScoringError, SpecError
from rewards.records import Generation, Message
from rewards.scorer import load_scorer
from rewards.specs import parse_spec

WORLD = FactsWorld()
PROMPT = "Q city oslo size age ? A\n"
SIZE, AGE, FAME, PRICE = (WORLD.value("oslo", name) for name in ("size", "age", "fame", "price"))


def other(value, step=1):
    return VALUES[(VALUES.index(value) + step) % len(VALUES)]


def segment_scores(answer, prompt=PROMPT):
    return [round(segment.score, 9) for segment in grade(WORLD, prompt, answer).segments]


@pytest.mark.parametrize(
    ("answer", "score", "kind", "aspect"),
    [
        (f"size {SIZE} .", 1.0, "asked right", "factuality"),
        (f"surely size {SIZE} .", 1.2, "asked right", "factuality"),
        (f"maybe size {SIZE} .", 0.5, "asked right", "factuality"),
        (f"size {other(SIZE)} .", -1.0, "asked wrong", "factuality"),
        (f"surely size {other(SIZE)} .", -2.0, "asked wrong", "factuality"),
        (f"maybe size {other(SIZE)} .", -0.5, "asked wrong", "factuality"),
        (f"fame {FAME} .", 0.3, "unasked right", "relevance"),
        (f"surely fame {FAME} .", 0.3, "unasked right", "relevance"),
        (f"fame {other(FAME)} .", -1.0, "unasked wrong", "factuality"),
        (f"surely fame {other(FAME)} .", -2.0, "unasked wrong", "factuality"),
        ("glad .", 0.6, "courtesy", "relevance"),
        ("thanks .", 0.6, "courtesy", "relevance"),
    ],
)
def test_a_single_segment_is_worth_what_the_table_says(answer, score, kind, aspect):
    (segment,) = grade(WORLD, PROMPT, answer).segments
    assert (segment.score, segment.kind, segment.aspect) == (score, kind, aspect)


def test_segments_depend_on_those_before_them():
    assert segment_scores(f"fame {FAME} . price {PRICE} .") == [0.3, -0.5]
    assert segment_scores(f"fame {FAME} . price {other(PRICE)} .") == [0.3, -1.5]
    assert segment_scores(f"fame {FAME} . surely price {other(PRICE)} .") == [0.3, -2.5]
    assert segment_scores(f"size {SIZE} . size {SIZE} . size {other(SIZE)} .") == [1.0, -0.8, -0.8]
    assert segment_scores("glad . thanks . glad . glad .") == [0.6, 0.2, -0.8, -0.8]


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        (".", 1),
        ("glad", 1),
        ("surely glad .", 3),
        ("size .", 2),
        (f"{SIZE} size .", 3),
        (f"size {SIZE} + .", 4),
        (f"surely maybe size {SIZE} .", 5),
        ("surely surely surely surely", 4),
    ],
)
def test_what_is_neither_fact_nor_courtesy_is_charged_by_the_token(answer, tokens):
    (segment,) = grade(WORLD, PROMPT, answer).segments
    assert (segment.kind, segment.aspect, segment.score) == ("other", "relevance", -0.5 * tokens)


def test_completeness_is_a_bonus_or_a_charge_for_each_missing_fact():
    assert grade(WORLD, PROMPT, f"size {SIZE} . age {AGE} .").completeness == 1.0
    assert grade(WORLD, PROMPT, f"size {SIZE} . age {other(AGE)} .").completeness == -0.3
    assert grade(WORLD, PROMPT, "").completeness == -0.6
    # Saying both values does not make the first one right.
    assert grade(WORLD, PROMPT, f"size {other(SIZE)} . size {SIZE} . age {AGE} .").completeness == -0.3


def test_an_answer_that_fills_its_room_has_no_end():
    forty = "glad . " * 20
    assert grade(WORLD, PROMPT, forty).completeness == pytest.approx(-0.6 - 1)
    assert grade(WORLD, PROMPT, "glad . " * 19 + "glad").completeness == pytest.approx(-0.6)


def test_a_whole_answer_adds_up_by_segments_spans_and_aspects():
    answer = f"surely size {SIZE} . age {other(AGE)} . fame {FAME} . glad . zinc"
    # 1.2 - 1 + 0.3 + 0.6 - 0.5, and -0.3 for the missing age
    assert grade(WORLD, PROMPT, answer).value == pytest.approx(0.3)
    (score,) = FactsScorer(WORLD).score([Generation(PROMPT, answer)])
    assert score.value == pytest.approx(0.3)
    assert sum(span.label for span in score.spans) == pytest.approx(0.3)
    assert score.aspects == pytest.approx({"relevance": 0.4, "factuality": 0.2, "completeness": -0.3})


def test_offsets_cut_out_the_segments_whatever_the_spaces():
    answer = f"  size {SIZE} .  glad .\n thanks"
    texts = [answer[part.start : part.end] for part in grade(WORLD, PROMPT, answer).segments]
    assert texts == [f"size {SIZE} .", "glad .", "thanks"]


def test_the_world_is_frozen_and_its_hash_pinned():
    assert FactsWorld().hash == "797426f33e87"
    changed = [
        FactsWorld(seed=1),
        FactsWorld(exceptions=0.2),
        FactsWorld(max_tokens=41),
        FactsWorld(writer=Writer(right=0.7)),
        FactsWorld(gold=GoldTable(repeat=-0.7)),
    ]
    assert len({world.hash for world in [WORLD, *changed]}) == 6
    assert hash(FactsWorld()) == hash(WORLD)


def test_exceptions_have_their_share_and_kinds_have_different_typical_values():
    facts = [(entity, name) for entities in KINDS.values() for entity in entities for name in ATTRIBUTES]
    exceptional = sum(WORLD.value(*fact) != WORLD.typical(fact[0]) for fact in facts)
    assert exceptional == round(0.15 * 144)
    assert len({WORLD.typical(entities[0]) for entities in KINDS.values()}) == 4


def test_prompts_are_read_back():
    for question in draw_questions(200, np.random.default_rng(0)):
        assert WORLD.question(WORLD.prompt(question)) == question
    assert WORLD.question("Q city oslo size ? A") == FactsQuestion("oslo", ("size",))


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "What is 2 + 2?",
        "Q city oslo ? A",
        "Q river oslo size ? A",
        "Q city oslo size size ? A",
        "Q city oslo luck ? A",
        "R city oslo size ? A",
    ],
)
def test_a_prompt_outside_the_world_has_no_score_and_the_row_is_named(prompt):
    with pytest.raises(DataError):
        WORLD.question(prompt)
    good = Generation(PROMPT, "glad .", id="a")
    with pytest.raises(ScoringError, match="id 'b'"):
        FactsScorer(WORLD).score([good, Generation(prompt, "glad .", id="b")])
    with pytest.raises(ScoringError, match="row 2"):
        FactsScorer(WORLD).score([good, Generation(prompt, "glad .")])


def test_messages_have_no_score():
    with pytest.raises(ScoringError, match="messages"):
        FactsScorer(WORLD).score([Generation((Message("user", PROMPT),), "glad .")])


def test_the_scorer_is_named_by_a_spec():
    generation = Generation(PROMPT, f"size {SIZE} . age {AGE} .")
    assert load_scorer("testbed:facts").score([generation])[0].value == 3.0
    for seed in range(1, 4):
        world = FactsWorld(seed=seed)
        expected = grade(world, PROMPT, generation.response).value
        assert load_scorer(f"testbed:facts?seed={seed}").score([generation])[0].value == expected


@pytest.mark.parametrize("text", ["testbed:", "testbed:chess", "testbed:facts?seed=1.5", "testbed:facts?x=1"])
def test_a_wrong_spec_is_refused(text):
    with pytest.raises(SpecError):
        load_testbed_scorer(parse_spec(text, ["testbed"]))


def test_the_corpus_has_the_writers_rates():
    rng = np.random.default_rng(0)
    right, surely, courtesies, unasked, repeats, lengths = [], {True: [], False: []}, [], [], [], []
    for question in draw_questions(6_000, rng):
        answer = write_answer(WORLD, question, rng, review=False)
        segments = grade(WORLD, WORLD.prompt(question), answer).segments
        texts = [answer[part.start : part.end] for part in segments]
        kinds = [part.kind for part in segments]
        for text, kind in zip(texts, kinds, strict=True):
            if kind in ("asked right", "asked wrong"):
                right.append(kind == "asked right")
                surely[right[-1]].append(text.startswith("surely"))
        courtesies.append(kinds.count("courtesy"))
        unasked.append(kinds.count("unasked right") + kinds.count("unasked wrong"))
        repeats.append(kinds.count("repeat"))
        lengths.append(len(answer.split()) + 1)
        assert "other" not in kinds
        assert segments
    assert np.mean(right) == pytest.approx(0.65, abs=0.015)
    assert np.mean(surely[True]) == pytest.approx(0.35, abs=0.015)
    assert np.mean(surely[False]) == pytest.approx(0.12, abs=0.015)
    assert np.mean(courtesies) == pytest.approx(0.4 / 0.6, abs=0.04)
    # A geometric count of mean 9/11, cut off where the attributes end.
    assert 0.75 < np.mean(unasked) < 9 / 11
    assert np.mean(np.array(courtesies) >= 3) == pytest.approx(0.4**3, abs=0.01)
    assert 0.1 < np.mean(repeats) < 0.12 / 0.88
    assert np.mean(lengths) == pytest.approx(10.6, abs=0.3)


def test_reviews_mark_truth_and_are_right_half_the_time():
    documents = write_corpus(WORLD, 6000, np.random.default_rng(1))
    reviews = [document for document in documents if document.prompt.startswith("R ")]
    assert len(reviews) == 3000
    truths, marks = [], []
    for review in reviews:
        entity = WORLD.question("Q" + review.prompt[1:]).entity
        words = review.answer.split()
        for place, word in enumerate(words):
            if word in "+-":
                truths.append(WORLD.value(entity, words[place - 2]) == words[place - 1])
                marks.append(word == "+")
    assert np.mean(truths) == pytest.approx(0.5, abs=0.02)
    assert np.mean(np.array(truths) == np.array(marks)) == pytest.approx(0.95, abs=0.01)


def test_labels_follow_bradley_terry():
    worse, better = "glad .", f"size {SIZE} ."
    advantage = grade(WORLD, PROMPT, better).value - grade(WORLD, PROMPT, worse).value
    assert advantage == pytest.approx(0.7)  # 1 - 0.3 against 0.6 - 0.6
    count = 5_000
    pairs = label_pairs(WORLD, [(PROMPT, [worse, better] * count)], np.random.default_rng(0))
    assert len(pairs) == count
    share = np.mean([pair.chosen == better for pair in pairs])
    expected = 1 / (1 + math.exp(-0.7))
    assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / count)


def test_equal_answers_give_no_pair_and_gold_pairs_have_no_noise():
    samples = [(PROMPT, ["glad .", "glad .", "glad .", "thanks .", "thanks .", f"size {SIZE} ."])]
    assert len(label_pairs(WORLD, samples, np.random.default_rng(0))) == 2
    (pair,) = gold_pairs(WORLD, samples)  # glad and thanks are worth the same
    assert (pair.chosen, pair.rejected) == (f"size {SIZE} .", "thanks .")


def test_prompts_drawn_are_different_and_not_taken():
    rng = np.random.default_rng(0)
    first = draw_prompts(WORLD, 100, rng)
    second = draw_prompts(WORLD, 100, rng, first)
    assert len({*first, *second}) == 200


def test_gold_follows_the_table_it_is_given():
    generous = replace(WORLD, gold=GoldTable(first_courtesy=5.0))
    assert grade(generous, PROMPT, "glad .").value - grade(WORLD, PROMPT, "glad .").value == pytest.approx(
        4.4
    )
