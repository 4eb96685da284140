"""One call to an endpoint: its reply, and each way of failing told apart."""

import asyncio
import json

import pytest

from judges.asking.chat import ChatClient
from judges.asking.endpoint import CallFailedError, Endpoint, EndpointError, RejectedError
from judges.questions.question import AnswerForm, Question
from judges.questions.reply import Reply
from rewards.errors import EvalkitError
from rewards.records import Message
from tests.judges.asking.chat_server import serving

KEY = "sk-very-secret-0123456789"


def question(text: str = "Which is better?") -> Question:
    return Question("openai:m", "http://there/v1", (Message("user", text),), AnswerForm(), {"max_tokens": 9})


def call(url: str, asked: Question | None = None, key: str = KEY, timeout: float = 5.0) -> Reply:
    async def run() -> Reply:
        client = ChatClient(Endpoint(url, "m"), key, timeout, 1)
        try:
            return await client.ask(asked or question())
        finally:
            await client.close()

    return asyncio.run(run())


def failure(kind: type[Exception], **script: object) -> Exception:
    with serving(**script) as url, pytest.raises(kind) as caught:
        call(url, timeout=0.3)
    assert KEY not in str(caught.value)
    return caught.value


def test_a_reply_has_its_words_its_tokens_and_its_time():
    with serving(latency=0.05) as url:
        reply = call(url)
    assert reply.text.startswith("Some reason. [[")
    assert reply.usage.tokens_in == len(question().messages[0].content) // 4
    assert 0.05 <= reply.usage.latency < 2


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({"too_many": 1.0}, CallFailedError("429: slow down", overloaded=True)),
        (
            {"retry_after": 1.0, "retry_seconds": 2.5},
            CallFailedError("429: slow down", overloaded=True, retry_after=2.5),
        ),
        ({"status": 503}, CallFailedError("503: {}", overloaded=True)),
        ({"broken": 1.0}, CallFailedError("500: <html>internal error</html>")),
        ({"cut": 1.0}, CallFailedError("connection cut", charged=True)),
        ({"slow": 1.0}, CallFailedError("no whole reply within 0.3 s", overloaded=True, charged=True)),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_what_may_pass_is_told_as_such(script, expected):
    assert failure(CallFailedError, **script) == expected


def test_half_a_body_and_an_empty_one_are_no_replies():
    told = {str(failure(CallFailedError, malformed=1.0, seed=seed).detail)[:20] for seed in range(4)}
    assert told == {"the endpoint sent no", "the endpoint sent an"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"choices": []}', "no choices"),
        ("[]", "no JSON object"),
        ("[" * 100_000, "no JSON"),
        ('{"choices": 7' + "7" * 5000 + "}", "no JSON"),
        ("<!doctype html><p>welcome", "no JSON"),
    ],
)
def test_bodies_that_are_no_completions_are_no_replies(body, told):
    assert told in failure(CallFailedError, status=200, error=body).detail


def test_an_error_sent_as_a_success_is_one():
    body = {"error": {"message": "provider overloaded", "code": 429}}
    assert failure(CallFailedError, status=200, error=json.dumps(body)).overloaded
    body = {"error": {"message": "something went wrong"}}
    assert "something went wrong" in failure(CallFailedError, status=200, error=json.dumps(body)).detail


@pytest.mark.parametrize(
    ("status", "error", "remedy"),
    [
        (401, {"message": f"Incorrect API key: {KEY}", "code": "invalid_api_key"}, "--api_key"),
        (403, {"message": "not for you"}, "--api_key"),
        (404, {"message": "no such model", "code": "model_not_found"}, "/models"),
        (400, {"message": "Unsupported: 'logprobs'", "code": "unsupported_parameter"}, "logprobs="),
        (
            400,
            {
                "message": "'max_tokens' is not supported. Use 'max_completion_tokens'",
                "code": "unsupported_parameter",
            },
            "add to the judge tokens_field=max_completion_tokens&temperature=default",
        ),
        (
            400,
            {"message": "'temperature' does not support 0 with this model", "code": "unsupported_value"},
            "add to the judge tokens_field=max_completion_tokens&temperature=default",
        ),
        (429, {"message": "You exceeded your quota", "code": "insufficient_quota"}, "pay it up"),
        (402, {"message": "Payment required"}, "pay it up"),
    ],
)
def test_what_no_question_would_pass_names_endpoint_model_and_remedy(status, error, remedy):
    error = failure(EndpointError, status=status, error=json.dumps({"error": error}))
    assert isinstance(error, EvalkitError)
    assert "\n" not in str(error)
    for part in ("http://127.0.0.1:", "model m:", remedy):
        assert part in str(error)


@pytest.mark.parametrize(
    ("status", "error", "state", "certain"),
    [
        (400, {"message": "This model's maximum context length is 8 tokens"}, "api_failed", True),
        (400, {"message": "too long", "code": "context_length_exceeded"}, "api_failed", True),
        (413, {"message": "too large"}, "api_failed", True),
        (400, {"message": "filtered", "code": "content_filter"}, "refused", True),
        (403, {"message": "Input requires moderation"}, "refused", True),
        (400, {"message": "who knows"}, "api_failed", False),
    ],
)
def test_a_no_to_one_question_is_told_from_a_no_to_all(status, error, state, certain):
    rejected = failure(RejectedError, status=status, error=json.dumps({"error": error}))
    assert (rejected.state, rejected.certain) == (state, certain)
    assert error["message"] in rejected.detail


def test_nobody_there_is_not_reached():
    with serving() as url:
        pass
    with pytest.raises(CallFailedError) as caught:
        call(url)
    assert not caught.value.reached
    assert not caught.value.charged


def test_half_a_surrogate_pair_cannot_be_sent():
    with serving() as url, pytest.raises(RejectedError, match="surrogate"):
        call(url, question("half \ud83d a face"))


def test_a_long_answer_to_a_mistake_is_cut_to_one_line():
    error = failure(EndpointError, status=404, error=json.dumps({"error": {"message": "so\nlong " * 500}}))
    assert "\n" not in str(error)
    assert len(str(error)) < 600


def test_openai_is_not_asked_without_a_key():
    with pytest.raises(
        EndpointError, match="there is no key; give a valid key by --api_key or OPENAI_API_KEY"
    ):
        ChatClient(Endpoint("https://api.openai.com/v1", "m"), "", 5.0, 1)


def test_other_endpoints_are_asked_without_a_key():
    with serving() as url:
        assert call(url, key="").text
