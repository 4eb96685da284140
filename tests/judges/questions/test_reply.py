"""A chat endpoint's wire format: words in parts, and numbers that nothing could hold."""

import math

import pytest

from judges.questions.reply import reply_from_body
from judges.usage import Usage


def body(content: object, **choice: object) -> dict[str, object]:
    return {"choices": [{"message": {"role": "assistant", "content": content}, **choice}]}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[[A]]", "[[A]]"),
        (None, ""),
        (7, ""),
        ({"text": "[[A]]"}, ""),
        (
            [{"type": "text", "text": "It is short. "}, {"type": "text", "text": "[[A]]"}],
            "It is short. [[A]]",
        ),
        ([{"type": "thinking", "thinking": [{"text": "[[B]]"}]}, {"type": "text", "text": "[[A]]"}], "[[A]]"),
        ([{"type": "text"}, {"type": "text", "text": 1}, "[[A]]", None], ""),
    ],
)
def test_the_words_are_the_message_or_its_parts_of_text(content, text):
    assert reply_from_body(body(content)).text == text


@pytest.mark.parametrize("number", [10**400, -(10**400), True, "5", None, 2**63])
def test_a_number_that_nothing_could_hold_is_none(number):
    token = {"token": "A", "logprob": number, "top_logprobs": [{"token": "B", "logprob": number}]}
    given = body("A", logprobs={"content": [token]})
    reply = reply_from_body({**given, "usage": {"prompt_tokens": number, "completion_tokens": 3}})
    assert reply.usage == Usage(0, 0, 3)
    assert reply.tokens[0].alternatives == {}


def test_an_impossible_token_has_a_log_probability():
    token = {"token": "A", "logprob": 0, "top_logprobs": [{"token": "B", "logprob": -math.inf}]}
    alternatives = reply_from_body(body("A", logprobs={"content": [token]})).tokens[0].alternatives
    assert alternatives == {"A": 0.0, "B": -math.inf}
