import math
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import ConfigError, ScoringError, SpecError
from rewards.records import Generation, Message
from rewards.scorer import load_scorer
from rewards.scorers.rules import Column, Constant, Exact, Length, Pattern, Random


def values(spec: str, generations: Sequence[Generation]) -> list[float]:
    return [score.value for score in load_scorer(spec).score(generations)]


def responses(*texts: str) -> list[Generation]:
    return [Generation("p", text) for text in texts]


def test_length_counts_characters_or_words_and_a_negative_weight_prefers_the_shorter():
    answers = responses("", "né  two", "one\ntwo three")
    assert values("rule:length", answers) == [0, 7, 13]
    assert values("rule:length?unit=words", answers) == [0, 2, 3]
    assert values("rule:length?weight=-0.5", answers) == [0, -3.5, -6.5]


def test_exact_compares_with_the_reference_white_space_aside():
    answers = [
        Generation("p", " 42\n", extra={"answer": "42 "}),
        Generation("p", "42", extra={"answer": 42}),
        Generation("p", "4 2", extra={"answer": "42"}),
    ]
    assert values("rule:exact", answers) == [1, 1, 0]
    assert values("rule:exact?column=gold", [Generation("p", "a", extra={"gold": "a"})]) == [1]


@pytest.mark.parametrize("reference", [42.0, None, True, ["42"]])
def test_exact_refuses_a_reference_that_is_no_text_or_whole_number(reference: object):
    with pytest.raises(ScoringError, match=r"id 'x7'.*'answer'.*got"):
        Exact().score([Generation("p", "42", id="x7", extra={"answer": reference})])


def test_a_row_without_the_column_is_named_by_its_prompt_where_it_has_no_id():
    with pytest.raises(ScoringError, match=r"prompt 'What is it\?'.*'answer'.*only 'other'"):
        Exact().score([Generation("What is it?", "42", extra={"other": 1})])


def test_pattern_says_whether_or_how_often_it_matches():
    answers = responses("aXaXa", "b", "")
    assert values("rule:pattern?pattern=aXa", answers) == [1, 0, 0]
    assert values("rule:pattern?pattern=a&count=true", answers) == [3, 0, 0]
    assert values("rule:pattern?pattern=[ab]%2B&count=true&weight=-2", answers) == [-6, -2, 0]


def test_constant_gives_every_step_its_value():
    (score,) = load_scorer("rule:constant?value=0.9").score([Generation("p", "one two", ("one", " two"))])
    assert (score.value, score.steps) == (0.9, (0.9, 0.9))
    assert load_scorer("rule:constant?value=0.9").score(responses("x"))[0].steps == ()


def test_random_depends_on_the_texts_and_the_seed_alone():
    answers = [Generation("p", str(number)) for number in range(2000)]
    forward, backward = values("rule:random?seed=1", answers), values("rule:random?seed=1", answers[::-1])
    assert forward == backward[::-1]
    assert forward != values("rule:random?seed=2", answers)
    assert len(set(forward)) == 2000
    # Uniform in [0, 1): mean 1/2 and variance 1/12, each within four standard errors.
    assert min(forward) >= 0
    assert max(forward) < 1
    assert abs(np.mean(forward) - 0.5) < 4 * math.sqrt(1 / 12 / 2000)
    assert abs(np.var(forward) - 1 / 12) < 4 * math.sqrt(1 / 180 / 2000)


def test_rules_have_the_defaults_that_their_documentation_gives():
    assert load_scorer("rule:length") == Length("characters", 1.0)
    assert load_scorer("rule:exact") == Exact("answer")
    assert load_scorer("rule:pattern?pattern=a") == Pattern("a", count=False, weight=1.0)
    assert load_scorer("rule:constant") == Constant(0.0)
    assert load_scorer("rule:random") == Random(0)


def test_random_tells_where_the_prompt_ends_and_is_the_same_in_another_process():
    ab, message = Generation("ab", "c"), Generation((Message("user", "ab"),), "c")
    scores = [score.value for score in Random().score([ab, Generation("a", "bc"), message])]
    assert len(set(scores)) == 3
    program = (
        "from rewards.scorers.rules import Random; from rewards.records import Generation;"
        "import sys; sys.stdout.write(repr(Random().score([Generation('ab', 'c')])[0].value))"
    )
    again = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(again.stdout) == scores[0]


def test_column_reads_numbers_and_truth_values_and_the_plural_where_only_that_is_there():
    answers = [
        Generation("p", "a", extra={"score": 2}),
        Generation("p", "b", extra={"score": True, "scores": 7.0}),
        Generation("p", "c", extra={"scores": -1.5}),
        Generation("p", "d", extra={"score": np.float32(0.5)}),
    ]
    assert values("column:score", answers) == [2, 1, -1.5, 0.5]


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "three", "nan", [1.0]])
def test_column_refuses_what_is_no_number(value: object):
    with pytest.raises(ScoringError, match=r"id 'x7'.*'score'.*finite number"):
        Column("score").score([Generation("p", "a", id="x7", extra={"score": value})])


@given(st.lists(st.text(), max_size=8))
def test_every_rule_answers_each_in_the_order_asked(texts: list[str]):
    answers = responses(*texts)
    for scorer in (Length(), Length("words"), Pattern("a", count=True), Constant(1.0), Random()):
        assert scorer.score(answers) == [scorer.score([answer])[0] for answer in answers]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rule:lenght", "unknown rule 'lenght'; known: length, exact, pattern, constant, random"),
        ("rule:length?sign=-1", "unknown option 'sign'; known: unit, weight"),
        ("rule:length?unit=tokens", "characters or words, got 'tokens'"),
        ("rule:length?weight=inf", "finite"),
        ("rule:constant?value=nan", "finite"),
        ("rule:constant?value=high", "number"),
        ("rule:pattern", "pattern=REGEX"),
        ("rule:pattern?pattern=(", "no regular expression"),
        ("rule:random?seed=0.5", "whole number"),
        ("column:", "name a column"),
        ("column:score?weight=2", "unknown option 'weight'"),
    ],
)
def test_a_specification_that_says_nothing_is_refused(spec: str, message: str):
    with pytest.raises(SpecError) as error:
        load_scorer(spec)
    assert message in str(error.value)
    assert spec in str(error.value)


def test_a_wrong_argument_is_refused():
    with pytest.raises(ConfigError, match="unit"):
        Length("tokens")  # type: ignore[arg-type]  # what is tested
