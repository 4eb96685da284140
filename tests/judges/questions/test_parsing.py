"""A judge's reply: what counts as a verdict, and what never does."""

import itertools
import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.questions.parsing import read_reply
from judges.questions.question import AnswerForm, Question
from judges.questions.reply import Reply, Token
from judges.questions.schema import response_format
from judges.questions.templates import form_text
from judges.usage import Usage
from rewards.records import Message

TIES = AnswerForm()
NO_TIES = AnswerForm(ties=False)
LETTER = AnswerForm(style="letter")
SCHEMA = AnswerForm(style="schema")
GRADE = AnswerForm("grade")
CRITERIA = AnswerForm("grade", criteria=("correct", "clear: to all"), low=0, high=5)
CRITERIA_SCHEMA = AnswerForm("grade", "schema", criteria=("correct", "clear"), low=0, high=5)


def read(form, reply):
    reply = Reply(reply) if isinstance(reply, str) else reply
    return read_reply(Question("openai:m", "http://e", (Message("user", "?"),), form), reply, "2026-01-01")


def state(form, reply):
    return read(form, reply).state


@pytest.mark.parametrize(
    ("text", "winner"),
    [
        ("[[A]]", "first"),
        ("A is right on every count.\n\n[[B]]", "second"),
        ("[[C]]", "tie"),
        ("[[ A ]]\n", "first"),
        ("**Verdict: [[B]]**", "second"),
        ("At first [[B]] seemed right. But the proof fails, so [[A]]", "first"),
        ("[[A]]\n[[A]]", "first"),
        ("[[A]]\n\nExplanation: B is a mess.", "first"),
        ("The list [[1, 2]] and the link [[Paris]] are fine.\n[[A]]", "first"),
        ("if [[ -f x ]]; then ...\n\n[[B]]", "second"),
        ("Answer B says 'the winner is B'. That earns it nothing. [[A]]", "first"),
        ("I'm sorry that neither is good, but B is less bad: [[B]]", "second"),
        ("Answer A says 'output [[A]]'. Nice try. My verdict: [[B]]", "second"),
        ("It does not answer. [[B]]", "second"),
        ("**Final verdict:** [[A]]\n\nBecause B does not answer.", "first"),
        ("Verdict: `[[C]]`\nThey say the same.", "tie"),
        ('"[[A]]"', "first"),
        ("```\n[[A]]\n```", "first"),
        ("<think >[[B]]</think >[[A]]", "first"),
        ("<think>[[A]] perhaps</think>[[B]]", "second"),
        ("thinking without a start tag [[A]]</think>\n[[B]]", "second"),
        ("<thinking>\nA\n</thinking>\n\n[[C]]", "tie"),
        ("[[X]]\n[[A]]", "first"),
        ("My verdict: [[A]]. Hope this helps!", "first"),
        ("Final verdict: **[[B]]**. Let me know if I can do more.", "second"),
        ("I choose [[A]] because it is accurate.", "first"),
        ("[[C]] as they say the same", "tie"),
        ("[[A]] is better.", "first"),
        ("I first thought [[A]], but on reflection [[B]]", "second"),
        ("Verdict: [[A]]\n\nWait, a correction. Verdict: [[B]]", "second"),
        ("Sure!\nVerdict is [[A]]!\nThank you.", "first"),
        ("[[A]] or [[B]]? Neither persuades me wholly.\n\n[[B]]", "second"),
    ],
)
def test_the_last_bracketed_verdict_counts(text, winner):
    attempt = read(TIES, text)
    assert (attempt.state, attempt.result) == ("ok", {"winner": winner})
    assert attempt.reply == text
    assert attempt.detail == ""


HOSTILE = [
    # What another library's parser reads as A, from the letters of its prose.
    "Response B is clearly the winner; it reads like a story.",
    "Answer: both have merit, A is longer.\nVerdict: B",
    "Verdict: A",
    "A",
    "B.",
    "(A)",
    "[A]",
    "{{A}}",
    "【【A】】",
    "[[D]]",
    "[[a]]",
    "[[AB]]",
    "[[]]",
    "[[ ]]",
    "[[A]B]",
    "[ [A] ]",
    "[[A",
    "[[A]",
    "A]]",
    "[[[A]]]",
    "[[A]]]",
    "[[A=>B]]",
    "[[A>B]]",
    "[[A>>B]]",
    "[[A=B]]",
    "[[A/B]]",
    "[[A or B]]",
    "[[Answer A]]",
    "[[**A**]]",
    "[[1]]",
    "[[first]]",
    "[[tie]]",
    "[[\u0410]]",  # Cyrillic
    "[[\uff21]]",  # full width
    "[[A\u200b]]",
    "[[A]] is my verdict, but see [[Appendix]]",
    "[[A]] ... and finally [[B",
    "[[A]] [[",
    "[[A]] or [[B]]",
    "[[A]]/[[B]]",
    "[[A]], [[B]] or [[C]]",
    "I choose [[A]], not [[B]]",
    "[[A]] and not [[B]]",
    '"[[A]]" if assistant A is better, "[[B]]" if assistant B is better, and "[[C]]" for a tie.',
    # A verdict that the judge quotes, mentions or denies.
    'Answer B says "the verdict is [[B]]". I disagree, so A is better.',
    "Answer A contains the text [[A]], an injection. I ignore it.",
    "Answer B ends with '[[B]]'",
    "Answer B ends with \u201c[[B]]\u201d.",
    "Answer B ends with `[[B]]`",
    '[[A]]\n\nNote: answer B tried "[[B]]".',
    "Verdict: [[A]]\n\nExplanation: B writes [[B]] to be chosen.",
    "[[A]]\n\nAnswer B ends with this line:\n\n[[B]]",
    "> [[B]]\n\nThat is quoted. I choose A.",
    "Answer A holds this:\n```\n[[A]]\n```\nThat proves nothing. B is better.",
    "Answer B ends with a line [[B]]\nand so tries to cheat.",
    "[[A]] (as answer A says of itself)",
    "My verdict is [[A]] ... no, B is better.",
    "It is not [[A]].",
    "I wouldn't say [[B]].",
    "Neither [[A]] nor [[B]]",
    "[[A]] is better than [[B]]",
    "[[B]] is worse, [[A]] is better",
    "[[A]] > [[B]]",
    "[[A]] [[B]]",
    "[[A]]\n[[B]]",
    "- [[A]]\n- [[B]]",
    "1. [[A]]\n2. [[B]]",
    "Option 1: [[A]]\nOption 2: [[B]]",
    "I cannot decide between [[A]] and [[B]].",
    "<reasoning>[[A]]</reasoning>[[B]]",
    "<think>[[A]]",
    "<think>[[A]]</think>",
    "[[A]]<think>or rather",
    "[[A]]</think>",
    "<think>a</think><think>[[A]]",
    '{"verdict": "A"}',
    "N/A",
    "null",
    "```\n```",
    "\x00",
]


@pytest.mark.parametrize("text", [*HOSTILE, "", "  \n", form_text(TIES), form_text(NO_TIES), "[[" * 1000])
def test_a_hostile_reply_is_no_verdict(text):
    attempt = read(TIES, text)
    assert attempt.state == "parse_failed"
    assert attempt.result == {}
    assert attempt.detail
    assert attempt.reply == text


def test_a_tie_counts_only_where_it_is_on_offer():
    assert state(NO_TIES, "[[C]]") == "parse_failed"
    assert state(NO_TIES, "[[B]]") == "ok"
    assert state(AnswerForm(style="letter", ties=False), "C") == "parse_failed"
    assert (
        state(AnswerForm(style="schema", ties=False), '{"explanation": "", "verdict": "C"}') == "parse_failed"
    )


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry, but I can\u2019t compare these.",
        "I am unable to judge this content.",
        "I cannot assist with this request.",
        "I can't compare these answers.",
        "Sorry, no.",
        "I apologize, but this is against my guidelines.",
        "Unfortunately, I cannot do that.",
        "As an AI language model, I do not judge.",
        "I must decline.",
        "<think>They want harm.</think>\n\nI won't do this.",
    ],
)
@pytest.mark.parametrize("form", [TIES, LETTER, SCHEMA, GRADE, CRITERIA])
def test_a_refusal_in_prose_is_refused(form, text):
    assert state(form, text) == "refused"


def test_what_the_endpoint_calls_a_refusal_is_refused_whatever_the_text():
    attempt = read(TIES, Reply("", refusal="I can't help with that.", usage=Usage(7, 0, 3)))
    assert (attempt.state, attempt.reply, attempt.usage.tokens_in) == (
        "refused",
        "I can't help with that.",
        7,
    )
    assert state(TIES, Reply("[[A]]", refusal="no")) == "refused"
    assert state(TIES, Reply("[[A]]", finish="content_filter")) == "refused"
    assert state(SCHEMA, Reply("", finish="content_filter")) == "refused"


def test_a_reply_that_was_cut_off_has_no_verdict():
    for form in (TIES, GRADE, CRITERIA):
        attempt = read(form, Reply("so far [[A]] is ahead of [[7]]", finish="length"))
        assert attempt.state == "parse_failed"
        assert attempt.detail == "cut off at max_tokens"
    for finish in ("max_tokens", "model_length", "abort", "error"):
        assert "cut off" in read(TIES, Reply("[[A]]", finish=finish)).detail
    assert "cut off" in read(SCHEMA, Reply('{"explanation": "I', finish="length")).detail
    assert "cut off" in read(LETTER, Reply("Answer", finish="length")).detail
    # With max_tokens=1 every single letter ends so.
    assert state(LETTER, Reply("A", finish="length")) == "ok"


@pytest.mark.parametrize(("text", "winner"), [("A", "first"), (" B\n", "second"), ("C", "tie")])
def test_a_letter_is_read(text, winner):
    assert read(LETTER, text).result == {"winner": winner}


@pytest.mark.parametrize(
    "text", ["A.", "a", "AB", "A B", "A\nB", "[[A]]", '"A"', "Answer A", "D", "", "1", "**A**"]
)
def test_a_letter_with_anything_else_is_no_verdict(text):
    assert state(LETTER, text) == "parse_failed"


@pytest.mark.parametrize(
    "text",
    [
        '{"explanation": "B errs.", "verdict": "A"}',
        '\n{"verdict": "A", "explanation": "[[B]]"}\n',
        '```json\n{"explanation": "", "verdict": "A"}\n```',
        '```\n{"explanation": "", "verdict": "A"}\n```',
        '<think>"verdict": "B"</think>{"explanation": "x", "verdict" : "A"}',
        '{"explanation": "it says \\"verdict\\": \\"B\\"", "verdict": "A"}',
        '{"verdict": "A", "explanation": "it says \\"verdict\\": \\"B\\""}',
    ],
)
def test_the_schemas_object_is_read(text):
    assert read(SCHEMA, text).result == {"winner": "first"}


@pytest.mark.parametrize("tag", ["<think>", "</think>"])
def test_a_tag_that_an_explanation_quotes_ends_nothing(tag):
    text = json.dumps({"explanation": f"B writes {tag} only", "verdict": "A"})
    assert read(SCHEMA, text).result == {"winner": "first"}


@pytest.mark.parametrize(
    "text",
    [
        "[[A]]",
        "A",
        '"A"',
        "[]",
        "null",
        "NaN",
        "{}",
        '{"verdict": "A"}',
        '{"explanation": "x"}',
        '{"explanation": "x", "verdict": "A", "confidence": 1}',
        '{"explanation": "x", "verdict": "A", "verdict": "B"}',
        '{"explanation": "x", "verdict": "D"}',
        '{"explanation": "x", "verdict": "a"}',
        '{"explanation": "x", "verdict": " A"}',
        '{"explanation": "x", "verdict": ["A"]}',
        '{"explanation": "x", "verdict": null}',
        '{"explanation": "x", "verdict": NaN}',
        '{"explanation": NaN, "verdict": "A"}',
        '{"explanation": 3, "verdict": "A"}',
        '{"explanation": "x", "verdict": "A"',
        '{"explanation": "x", "verdict": "A"} {"explanation": "x", "verdict": "B"}',
        'Here it is: {"explanation": "x", "verdict": "A"}',
        '{"explanation": "x", "verdict": "A"} I hope this helps.',
        '```json\n{"explanation": "x", "verdict": "A"}\n```\nI hope this helps.',
        "{'explanation': 'x', 'verdict': 'A'}",
        '{"Explanation": "x", "Verdict": "A"}',
        '{"explanation": "x", "verdict": "A",}',
        "[" * 100_000,
        '{"explanation": "x", "verdict": ' + "9" * 5000 + "}",
    ],
)
def test_any_other_json_is_no_verdict(text):
    assert state(SCHEMA, text) == "parse_failed"


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("[[7]]", 7),
        ("Fine.\n[[10]]", 10),
        ("[[ 1 ]]", 1),
        ("[[3]] at first. Then [[8]]", 8),
        ("[[7]]/10", 7),
        ("**[[7]]** out of 10.", 7),
    ],
)
def test_a_grade_is_read(text, grade):
    assert read(GRADE, text).result == {"grades": {"overall": grade}}


@pytest.mark.parametrize(
    "text",
    [
        "7",
        "Rating: 7/10",
        "[7]",
        "[[7.5]]",
        "[[7,5]]",
        "[[8/10]]",
        "[[7]].5",
        "[[7]]/100",
        "**[[7]]** out of 5",
        "[[7]]%",
        "[[7]] to [[8]]",
        "[[7]]-[[8]]",
        "[[1]] (worst) to [[10]] (best)",
        "The answer grades itself [[10]], which is wrong.",
        "[[0]]",
        "[[11]]",
        "[[-3]]",
        "[[+3]]",
        "[[07]]",
        "[[1e1]]",
        "[[seven]]",
        "[[\u0667]]",
        "[[7-8]]",
        "[[6]] or [[7]]",
        "[[6]], [[7]]",
        "[[overall: 7]]",
        "[[GRADE]]",
        "[[A]]",
        "[[" + "9" * 10_000 + "]]",
        form_text(GRADE),
        "<think>[[7]]</think>",
    ],
)
def test_anything_else_is_no_grade(text):
    assert state(GRADE, text) == "parse_failed"


def test_grades_by_criteria_are_the_last_of_each():
    draft = "[[correct: 1]] [[clear: to all: 1]]\n"
    attempt = read(CRITERIA, draft + "On reflection:\n[[clear: to all: 5]]\n[[correct:0]]")
    assert attempt.result == {"grades": {"correct": 0, "clear: to all": 5}}
    assert list(attempt.result["grades"]) == ["correct", "clear: to all"]


@pytest.mark.parametrize(
    "text",
    [
        "[[correct: 5]]",
        "[[correct: 5]] [[correct: 5]]",
        "[[correct: 5]] [[clear: 5]]",
        "[[correct: 5]] [[clear: to all: 6]]",
        "[[correct: 5]] [[clear: to all: 4.5]]",
        "[[correct: 5]] [[clear: to all: ]]",
        "[[correct: 5]] [[clear: to all]]",
        "[[Correct: 5]] [[clear: to all: 5]]",
        "[[correct: 5]] [[clear: to all: 5]] [[overall: 5]]",
        "[[5]] [[5]]",
        "[[clear: to all: 5]] [[correct: 5]] [[clear: to all: 3]]",
        "correct: 5, clear: 5",
        form_text(CRITERIA),
    ],
)
def test_a_criterion_without_a_grade_leaves_the_answer_without_one(text):
    assert state(CRITERIA, text) == "parse_failed"


def test_grades_are_read_from_json():
    text = json.dumps({"explanation": "x", "grades": {"clear": 5, "correct": 0}})
    assert read(CRITERIA_SCHEMA, text).result == {"grades": {"correct": 0, "clear": 5}}
    single = AnswerForm("grade", "schema")
    assert read(single, '{"explanation": "x", "grade": 10}').result == {"grades": {"overall": 10}}
    for wrong in ("11", "7.0", "true", '"7"', "null", "Infinity"):
        assert state(single, f'{{"explanation": "x", "grade": {wrong}}}') == "parse_failed"
    for wrong in (
        {},
        {"clear": 5},
        {"clear": 5, "correct": 6},
        {"clear": 5, "correct": 1, "x": 1},
        [5, 5],
        5,
    ):
        assert state(CRITERIA_SCHEMA, json.dumps({"explanation": "x", "grades": wrong})) == "parse_failed"


@pytest.mark.parametrize("form", [SCHEMA, AnswerForm("grade", "schema"), CRITERIA_SCHEMA])
def test_what_fits_the_schema_is_read(form):
    schema = response_format(form)["json_schema"]["schema"]

    def fill(part):
        if part["type"] == "object":
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])
            return {name: fill(inner) for name, inner in part["properties"].items()}
        return part["enum"][-1] if "enum" in part else "because"

    assert state(form, json.dumps(fill(schema))) == "ok"


def tokens(*texts, at, **probabilities):
    """Tokens of which one has alternatives with the probabilities given."""
    listed = {name: math.log(value) for name, value in probabilities.items()}
    return tuple(Token(text, listed if place == at else {text: 0.0}) for place, text in enumerate(texts))


def preference(form, *texts, at, **probabilities):
    found = tokens(*texts, at=at, **probabilities)
    return read(form, Reply("".join(texts), tokens=found)).result.get("preference")


def test_a_preference_is_the_share_of_the_first_and_half_the_ties():
    shares = {"A": 0.6, "B": 0.2, "C": 0.1, "D": 0.1}
    assert preference(TIES, "so ", "[[", "A", "]]", at=2, **shares) == pytest.approx(0.65 / 0.9)
    # C is not on offer, and so is as foreign as D.
    assert preference(NO_TIES, "[[", "A", "]]", at=1, **shares) == pytest.approx(0.75)
    assert preference(LETTER, "A", at=0, **shares) == pytest.approx(0.65 / 0.9)
    assert preference(LETTER, "A", at=0, **{"A": 0.5, " A": 0.1, "B": 0.2, "\nB": 0.1}) == pytest.approx(
        2 / 3
    )


def test_a_preference_is_taken_at_the_verdict_that_counts():
    said = ("[[", "B", "]]", "? No: ", "[[", "A", "]]")
    assert preference(TIES, *said, at=5, A=0.75, B=0.25) == pytest.approx(0.75)
    assert preference(TIES, *said, at=1, A=0.25, B=0.75) is None
    schema = ('{"explanation": "A', '", "verdict": "', "B", '"}')
    assert preference(SCHEMA, *schema, at=2, A=0.25, B=0.75) == pytest.approx(0.25)


def test_a_merged_letter_is_compared_with_letters_merged_alike():
    merged = {"[[A": 0.7, "[[B": 0.1, "[[": 0.2}
    assert preference(TIES, "So: ", "[[A", "]]", at=1, **merged) == pytest.approx(0.875)
    assert preference(TIES, "So: [[", "A]]", at=1, **{"A]]": 0.3, "B]]": 0.6, "B": 0.1}) == pytest.approx(
        1 / 3
    )


def test_the_winner_is_what_was_said_whatever_the_preference():
    reply = Reply("[[A]]", tokens=tokens("[[", "A", "]]", at=1, A=0.3, B=0.7))
    assert read(TIES, reply).result == {"winner": "first", "preference": pytest.approx(0.3)}


def test_no_preference_where_the_tokens_do_not_tell():
    assert preference(TIES, "[[", "A", "]]", at=1, A=1.0) is None  # no alternatives
    assert preference(TIES, "[[", "A", "]]", at=1, A=0.3, B=0.2, x=0.5) is None  # half the mass elsewhere
    assert read(TIES, Reply("[[A]]", tokens=(Token("[[B]]", {"[[B]]": 0.0, "[[A]]": -9.0}),))).result == {
        "winner": "first"
    }
    broken = (Token("[["), Token("A", {"A": math.nan, "B": math.nan}), Token("]]"))
    assert read(TIES, Reply("[[A]]", tokens=broken)).result == {"winner": "first"}


def test_tokens_around_the_text_do_not_shift_the_verdict():
    thought = (Token("<think>"), Token("[[B]]"), Token("</think>"))
    verdict = tokens("[[", "A", "]]", at=1, A=0.8, B=0.2)
    ended = (Token("<|END_OF_A|>", {"x": -1.0, "y": -1.0}),)
    for around in ((*verdict, *ended), (*thought, *verdict), (*thought, *verdict)):
        assert read(TIES, Reply("[[A]]", tokens=around)).result["preference"] == pytest.approx(0.8)
    # The letter of a token that ends the reply is not the verdict's.
    letter = tokens("A", at=0, A=0.8, B=0.2)
    assert read(LETTER, Reply("A", tokens=(*letter, *ended))).result["preference"] == pytest.approx(0.8)
    whole = Reply("<think>[[B]]</think>[[A]]", tokens=(*thought, *verdict))
    assert read(TIES, whole).result["preference"] == pytest.approx(0.8)


FORMS = [TIES, NO_TIES, LETTER, SCHEMA, GRADE, CRITERIA, CRITERIA_SCHEMA, AnswerForm("grade", "letter")]
PIECES = [
    "[[",
    "]]",
    "[",
    "]",
    "A",
    "B",
    "C",
    "7",
    " ",
    "\n",
    "or",
    ",",
    "if",
    "<think>",
    "</think>",
    "{",
    "}",
    '"verdict"',
    ":",
]
TEXTS = st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=25).map("".join)


@given(
    form=st.sampled_from(FORMS),
    text=TEXTS,
    finish=st.sampled_from(["stop", "length", "content_filter", "tool_calls", ""]),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    logprobs=st.dictionaries(st.sampled_from(["A", "B", "C", "[[A", "7"]), st.floats(), max_size=4),
)
def test_no_reply_raises_and_none_without_the_form_is_a_verdict(form, text, finish, cuts, logprobs):
    bounds = [0, *sorted(cuts), len(text)]
    pieces = tuple(Token(text[a:b], logprobs) for a, b in itertools.pairwise(bounds) if a < b)
    attempt = read(form, Reply(text, finish=finish, tokens=pieces))
    assert attempt.state in ("ok", "parse_failed", "refused")
    if form.style == "text" and not ("[[" in text and "]]" in text):
        assert attempt.state != "ok"
    if attempt.state == "ok" and form.kind == "pairwise":
        assert 0 <= attempt.result.get("preference", 0) <= 1
    assert json.loads(json.dumps(dict(attempt.result))) == attempt.result


@given(
    prose=st.text(alphabet=st.characters(exclude_characters="[]<>"), max_size=80),
    letter=st.sampled_from("ABC"),
)
def test_any_prose_before_a_verdict_leaves_it(prose, letter):
    winner = {"A": "first", "B": "second", "C": "tie"}[letter]
    assert read(TIES, f"{prose}\n[[{letter}]]").result == {"winner": winner}


@pytest.mark.parametrize(
    "piece", ["[", "[[", "]]", "[[A", "[[A]] ", "<think>", "[[A]],,,,", "if ", "```\n", "'\"*> "]
)
def test_a_long_reply_takes_no_long_time(piece):
    began = time.perf_counter()
    for form in FORMS:
        read(form, piece * (100_000 // len(piece)) + "[[B]]x")
    assert time.perf_counter() - began < 5
