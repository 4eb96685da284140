"""The judge openai:MODEL: what it asks, what its options change, and what its verdicts say."""

import re
from dataclasses import replace

import pytest

from judges.asking.asker import Questioning
from judges.asking.config import AskingConfig
from judges.asking.session import OPENAI, Session
from judges.judge import Comparison, ask_both_orders, load_judge
from judges.ledger.ledger import Ledger
from judges.questions.reply import Reply, Token, request_body
from judges.usage import Usage
from rewards.errors import ConfigError, DataError, MissingFileError, SpecError
from rewards.records import Message
from tests.judges.asking.chat_server import serving
from tests.judges.scripted_asker import scripted

PAIR = Comparison("Why is the sky blue?", "It scatters light.", "Magic.", "7", {"first_system": "x"})


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def load(monkeypatch, spec="openai:m", script=lambda _: "[[A]]", session=None):
    monkeypatch.setattr("judges.llm.Asker", scripted(script))
    return load_judge(spec, session or Session.open())


def shown_first(question, text):
    """Whether the text is the one shown as answer A."""
    content = question.messages[-1].content
    return re.search(r"BEGIN ANSWER A>>>\n(.*?)\n<<<", content, re.DOTALL)[1] == text


def test_a_verdict_says_who_won_and_what_it_took(monkeypatch):
    usage = Usage(100, 20, 5, 0.01, 1.5)
    judge = load(monkeypatch, script=lambda _: Reply("So: [[B]]", usage=usage))
    (verdict,) = judge.compare([PAIR])
    assert (verdict.winner, verdict.preference, verdict.reason) == ("second", None, "")
    assert (verdict.comparison, verdict.judge, verdict.reply) == (PAIR, "openai:m", "So: [[B]]")
    assert (verdict.usage.tokens_in, verdict.usage.tokens_cached, verdict.usage.tokens_out) == (100, 20, 5)
    assert (verdict.swapped, verdict.repeat, verdict.axis) == (False, 0, "")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("Both are fine."), "parse_failed"),
        (Reply("[[A]]", finish="length"), "parse_failed"),
        (Reply("I'm sorry, but no."), "refused"),
        (Reply("", refusal="no"), "refused"),
    ],
)
def test_a_failure_has_a_reason_and_no_winner(monkeypatch, reply, reason):
    (verdict,) = load(monkeypatch, script=lambda _: reply).compare([PAIR])
    assert (verdict.winner, verdict.preference, verdict.reason) == (None, None, reason)
    assert verdict.detail


def test_both_orders_tell_a_judge_of_quality_from_one_of_position(monkeypatch):
    fair = load(monkeypatch, script=lambda one: "[[A]]" if shown_first(one, PAIR.first) else "[[B]]")
    given, swapped = ask_both_orders(fair, [PAIR])[0]
    assert (given.winner, swapped.winner) == ("first", "first")
    biased = load(monkeypatch, script=lambda _: "[[A]]")
    given, swapped = ask_both_orders(biased, [PAIR])[0]
    assert (given.winner, swapped.winner) == ("first", "second")
    assert (given.swapped, swapped.swapped) == (False, True)


def test_an_order_is_kept_and_an_equal_question_asked_once(monkeypatch):
    pairs = [Comparison("p", f"good {n}", f"bad {n}", str(n)) for n in range(5)]
    judge = load(
        monkeypatch, script=lambda one: f"[[{'B' if 'good 3' in one.messages[-1].content else 'A'}]]"
    )
    verdicts = judge.compare([*pairs, *pairs])
    assert [verdict.winner for verdict in verdicts[:5]] == ["first", "first", "first", "second", "first"]
    assert [verdict.comparison.id for verdict in verdicts] == [*"01234", *"01234"]
    assert len(judge.asker.asked) == 5
    assert isinstance(judge, Questioning)
    assert [one for pair in pairs for one in judge.questions(pair)] == judge.asker.asked


def test_an_identical_pair_is_the_same_question_in_both_orders(monkeypatch):
    judge = load(monkeypatch)
    same = Comparison("p", "x", "x")
    assert judge.questions(same) == judge.questions(same.swap())
    assert judge.questions(PAIR)[0].key != judge.questions(PAIR.swap())[0].key


def test_the_request_is_what_the_options_say(monkeypatch):
    def body(spec):
        return request_body(load(monkeypatch, spec).questions(PAIR)[0], "m")

    plain = body("openai:m")
    assert [message["role"] for message in plain.pop("messages")] == ["system", "user"]
    assert plain == {"model": "m", "temperature": 0.0, "max_tokens": 2048}
    letter = body(
        "openai:m?answer=letter&logprobs=true&seed=3&tokens_field=max_completion_tokens&temperature=default"
    )
    letter.pop("messages")
    assert letter == {
        "model": "m",
        "max_completion_tokens": 16,
        "seed": 3,
        "logprobs": True,
        "top_logprobs": 5,
    }
    schema = body("openai:m?answer=schema&ties=false&max_tokens=99&temperature=0.7")
    assert (schema["max_tokens"], schema["temperature"]) == (99, 0.7)
    verdict = schema["response_format"]["json_schema"]["schema"]["properties"]["verdict"]
    assert verdict == {"type": "string", "enum": ["A", "B"]}
    assert schema["response_format"]["json_schema"]["strict"] is True


@pytest.mark.parametrize(
    ("model", "address", "reasons"),
    [
        ("gpt-5-mini", OPENAI, True),
        ("gpt-5.4-2026-03-05", OPENAI, True),
        ("o4-mini", OPENAI, True),
        ("gpt-5-chat-latest", OPENAI, False),
        ("gpt-4o", OPENAI, False),
        ("omni", OPENAI, False),
        ("gpt-5-mini", "http://localhost:8000/v1", False),
    ],
)
def test_openais_models_that_reason_are_asked_as_they_take_it(monkeypatch, model, address, reasons):
    def parameters(options=""):
        judge = load(monkeypatch, f"openai:{model}?base_url={address}&answer=letter{options}")
        return judge.questions(PAIR)[0].parameters

    plain = {"temperature": 0.0, "max_tokens": 16}
    assert parameters() == ({"max_completion_tokens": 16384} if reasons else plain)
    told = "&temperature=0.5&tokens_field=max_tokens&max_tokens=9"
    assert parameters(told) == {"temperature": 0.5, "max_tokens": 9}


def test_every_option_that_changes_the_question_changes_its_key_and_the_judges_name(monkeypatch, tmp_path):
    own = tmp_path / "p.txt"
    own.write_text("=== user ===\n{prompt}{first}{second}{form}")
    options = [
        "",
        "?answer=letter",
        "?answer=schema",
        "?ties=false",
        "?temperature=1",
        "?max_tokens=9",
        "?seed=1",
    ]
    options += ["?logprobs=true", "?logprobs=true&top_logprobs=3", "?tokens_field=max_completion_tokens"]
    options += [f"?prompt={own}"]
    judges = [load(monkeypatch, f"openai:m{one}") for one in options]
    assert len({judge.questions(PAIR)[0].key for judge in judges}) == len(options)
    assert len({judge.name for judge in judges}) == len(options)
    assert load(monkeypatch, "openai:m?repeat=1&axis=honest").name == "openai:m"
    assert (
        load(monkeypatch, "openai:org%2Fm?ties=false&answer=letter").name
        == "openai:org/m?answer=letter&ties=false"
    )


def test_log_probabilities_give_a_preference_that_swaps_with_the_verdict(monkeypatch):
    sure = (Token("A", {"A": -0.2231435513142097, "B": -1.6094379124341003}),)  # 0.8 and 0.2
    spec = "openai:m?answer=letter&logprobs=true"
    judge = load(monkeypatch, spec, lambda _: Reply("A", tokens=sure))
    (verdict,) = judge.compare([PAIR])
    assert verdict.preference == pytest.approx(0.8)
    assert verdict.swap().preference == pytest.approx(0.2)


def test_axis_and_repeat_come_from_the_specification_then_from_the_run(monkeypatch):
    session = replace(Session.open(), axis="helpful", repeat=2)
    of_the_run = load(monkeypatch, "openai:m", session=session).compare([PAIR])[0]
    assert (of_the_run.axis, of_the_run.repeat) == ("helpful", 2)
    own = load(monkeypatch, "openai:m?axis=harmless&repeat=0", session=session)
    assert (own.compare([PAIR])[0].axis, own.compare([PAIR])[0].repeat) == ("harmless", 0)
    assert "harmlessness" in own.questions(PAIR)[0].messages[0].content
    assert load(monkeypatch, "openai:m?axis=overall").compare([PAIR])[0].axis == ""
    keys = {
        load(monkeypatch, f"openai:m?{one}").questions(PAIR)[0].key
        for one in ("repeat=0", "repeat=1", "axis=honest")
    }
    assert len(keys) == 3


def test_a_prompt_of_ones_own_may_judge_any_axis(monkeypatch, tmp_path):
    own = tmp_path / "witty.txt"
    own.write_text("=== user ===\nWhich is wittier?\n{prompt}{first}{second}{form}")
    judge = load(monkeypatch, f"openai:m?axis=witty&prompt={own}")
    assert judge.compare([PAIR])[0].axis == "witty"
    assert "wittier" in judge.questions(PAIR)[0].messages[0].content
    with pytest.raises(SpecError, match="axis 'witty' is described nowhere"):
        load(monkeypatch, "openai:m?axis=witty")


def test_a_reference_is_shown_and_its_absence_names_the_row(monkeypatch):
    judge = load(monkeypatch, "openai:m?reference=true")
    known = replace(PAIR, extra={"reference": "Rayleigh scattering."})
    (question,) = judge.questions(known)
    assert "Rayleigh scattering." in question.messages[1].content
    assert judge.questions(known.swap())[0].messages[1].content.count("Rayleigh") == 1
    for extra in ({}, {"reference": " "}, {"reference": 3}):
        with pytest.raises(DataError, match=r"id '7'.*column 'reference'"):
            judge.compare([replace(PAIR, extra=extra)])
    with pytest.raises(DataError, match="prompt 'Why is"):
        judge.compare([replace(PAIR, id="")])


def test_a_conversation_is_shown_turn_by_turn(monkeypatch):
    turns = (Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "Sky?"))
    (question,) = load(monkeypatch).questions(replace(PAIR, prompt=turns))
    assert question.messages[1].content.count("BEGIN MESSAGE") == 3


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("openai:", "name the model"),
        ("openai:m?mode=both", "mode is pairwise or pointwise, got 'both'"),
        ("openai:m?answer=prose", "answer with mode=pairwise is text, letter, schema, got 'prose'"),
        ("openai:m?rubric=r.yaml", "option rubric is for mode=pointwise, got mode=pairwise"),
        ("openai:m?margin=1", "option margin is for mode=pointwise"),
        ("openai:m?top_logprobs=5", "top_logprobs needs logprobs=true"),
        ("openai:m?logprobs=yes", "logprobs is true or false, got 'yes'"),
        ("openai:m?logprobs=true&top_logprobs=1", "whole number from 2, got '1'"),
        ("openai:m?ties=no", "ties is true or false"),
        ("openai:m?temperature=-1", "temperature is from 0 to 2.*got '-1'"),
        ("openai:m?temperature=nan", "temperature is from 0 to 2"),
        ("openai:m?temperature=warm", "temperature is a number"),
        ("openai:m?max_tokens=0", "max_tokens is a whole number from 1, got '0'"),
        ("openai:m?max_tokens=1.5", "max_tokens is a whole number from 1, got '1.5'"),
        ("openai:m?max_tokens=inf", "max_tokens is a whole number"),
        ("openai:m?repeat=-1", "repeat is a whole number from 0"),
        ("openai:m?tokens_field=tokens", "max_tokens or max_completion_tokens, got 'tokens'"),
        ("openai:m?concurrency=4", "concurrency is set for the whole run, as --concurrency"),
        ("openai:m?api_key=secret", "unknown option 'api_key'"),
        ("openai:m?tempreature=1", "unknown option 'tempreature'"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(monkeypatch, spec, said):
    with pytest.raises(SpecError, match=said):
        load(monkeypatch, spec)


def test_a_missing_prompt_file_is_named(monkeypatch):
    with pytest.raises(MissingFileError, match="nowhere"):
        load(monkeypatch, "openai:m?prompt=nowhere.txt")


def test_without_a_run_the_specification_opens_the_ledger_and_names_the_endpoint(monkeypatch, tmp_path):
    path = tmp_path / "l.sqlite"
    monkeypatch.setattr("judges.llm.Asker", scripted(lambda _: "[[B]]"))
    judge = load_judge(
        f"openai:m?ledger={path}&base_url=http://h/v1/&concurrency=3&timeout=9.5&retry_failed=true"
    )
    judge.compare([PAIR])
    config = judge.asker.session.config
    assert (config.concurrency, config.timeout, config.retry_failed) == (3, 9.5, True)
    assert judge.questions(PAIR)[0].endpoint == "http://h/v1"
    with Ledger(path) as again:
        assert again.answers([judge.questions(PAIR)[0].key])
    for option, said in (("concurrency=0", "concurrency is 1 or more"), ("tries=x", "tries is a number")):
        with pytest.raises(ConfigError, match=said):
            load_judge(f"openai:m?{option}")


def test_a_ledger_of_the_specification_goes_before_the_runs(monkeypatch, tmp_path):
    path = tmp_path / "own.sqlite"
    session = Session.open(AskingConfig(ledger=str(tmp_path / "run.sqlite")))
    own = load(monkeypatch, f"openai:m?ledger={path}", session=session)
    own.compare([PAIR])
    assert own.asker.session.ledger is not session.ledger
    assert own.asker.session.spending is session.spending
    assert session.ledger.counts().get("ok", 0) == 0
    same = load(monkeypatch, f"openai:m?ledger={tmp_path / 'run.sqlite'}", session=session)
    assert same.asker.session.ledger is session.ledger


def test_a_key_is_nowhere_in_a_question(monkeypatch):
    session = Session.open(AskingConfig(api_key="sk-secret"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    assert "sk-" not in load(monkeypatch, session=session).questions(PAIR)[0].text


def test_an_endpoint_is_asked_end_to_end():
    with serving(odd=0.5, seed=1) as url:
        pairs = [Comparison(f"question {n}", "yes", "no", str(n)) for n in range(40)]
        judge = load_judge(f"openai:scripted?base_url={url}", Session.open(AskingConfig(api_key="any")))
        verdicts = judge.compare(pairs)
        again = judge.compare(pairs)
    assert [verdict.winner for verdict in verdicts] == [verdict.winner for verdict in again]
    for verdict in verdicts:
        said = re.findall(r"\[\[(.)\]\]", verdict.reply)
        wanted = {"A": "first", "B": "second", "C": "tie"}[said[-1]] if said else None
        assert verdict.winner == wanted
        assert verdict.usage.latency > 0
    assert {verdict.reason for verdict in verdicts} == {"", "parse_failed", "refused"}
