import importlib.util
from itertools import count
from pathlib import Path

import pytest

from judges.asking import batch as batch_module
from judges.asking.batch import BatchOptions, run_batches
from judges.asking.batch_api import BatchClient, read_outcome
from judges.asking.config import AskingConfig
from judges.asking.endpoint import EndpointError
from judges.asking.prices import Price, Prices, Spending
from judges.asking.session import Session
from judges.ledger.ledger import Ledger
from judges.questions.question import AnswerForm, Attempt, Question
from rewards.errors import ConfigError
from rewards.records import Message

_SPEC = importlib.util.spec_from_file_location("batch_server", Path(__file__).with_name("batch_server.py"))
batch_server = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(batch_server)
BatchServer, Script, KEY = batch_server.BatchServer, batch_server.Script, batch_server.KEY

PRICES = Prices({"large": Price(2.0, 8.0, batch_input=1.0, batch_output=4.0)})
QUICK = BatchOptions(poll=0.01)
RETURN = BatchOptions(wait=False)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("judges.asking.backoff.Backoff.delay", lambda *_: 0.01)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def session(ledger, budget=None, **settings):
    config = AskingConfig(**{"api_key": KEY, "budget": budget, "tries": 3, "timeout": 5.0, **settings})
    return Session(config, ledger, PRICES, Spending(budget))


def questions(server, number=5, limit=20):
    text = (f"Which? \u2028 {place}" for place in count())
    form, settings = AnswerForm(), {"max_tokens": limit}
    return [
        Question("openai:large", server.url, (Message("user", next(text)),), form, settings)
        for _ in range(number)
    ]


def run(server, ledger, asked, options=QUICK, **settings):
    return run_batches(session(ledger, **settings), "large", iter(asked), server.url, options)


def test_every_reply_becomes_an_attempt_with_the_batch_s_cost(ledger):
    with BatchServer() as server:
        asked = questions(server)
        report = run(server, ledger, [*asked, *asked[:2]])  # two of them twice
        assert (report.submitted, report.answered, report.failed, report.waiting) == (5, 5, 0, 0)
        answers = ledger.answers([one.key for one in asked])
        assert {one.result["winner"] for one in answers.values()} == {"first"}
        for one in answers.values():
            assert one.usage.cost == pytest.approx((100 * 1.0 + 10 * 4.0) / 1e6)
            assert one.usage.latency is None
        (sent,) = server.requests()
        assert sent[0]["body"]["model"] == "large"
        assert sent[0]["body"]["messages"] == [{"role": "user", "content": "Which? \u2028 0"}]
        assert sent[0]["url"] == "/v1/chat/completions"
        assert ledger.open_batches(server.url, "openai:large") == []
        again = run(server, ledger, asked)
        assert again.submitted == 0
        assert again.line() == "nothing to ask"
        assert len(server.batches) == 1


def test_batches_are_split_by_requests_and_by_bytes(ledger):
    with BatchServer() as server:
        asked = questions(server, 7)
        report = run(server, ledger, asked, BatchOptions(poll=0.01, requests=3))
        assert [len(rows) for rows in server.requests()] == [3, 3, 1]
        assert report.answered == 7
        other = questions(server, 6, limit=21)
        run(server, ledger, other, BatchOptions(poll=0.01, size=700))
        sizes = [len(content) for name, content in server.files.items() if name.startswith("file")]
        assert len(sizes) > 4
        assert max(sizes[3:]) <= 700
        assert sorted(server.asked()) == sorted(one.key for one in [*asked, *other])


def test_handed_over_now_and_collected_by_the_same_command_later(ledger):
    with BatchServer(Script(looks=1)) as server:
        asked = questions(server)
        first = run(server, ledger, asked, RETURN)
        assert (first.submitted, first.waiting, first.answered) == (5, 5, 0)
        second = run(server, ledger, asked, RETURN)
        assert (second.submitted, second.waiting) == (0, 5)
        third = run(server, ledger, asked, RETURN)
        assert (third.submitted, third.waiting, third.answered) == (0, 0, 5)
        assert len(server.batches) == 1


def test_what_failed_is_told_from_what_was_never_asked(ledger):
    rows = {
        0: lambda key: batch_server.answered(key, "no verdict in here"),
        1: lambda key: batch_server.refused(key, code="content_filter"),
        2: lambda key: batch_server.refused(key, 500, message="server\nerror"),
        3: batch_server.unasked,
        4: lambda _: "{not JSON",
        5: lambda _: None,
        6: lambda key: {"custom_id": key, "response": {"status_code": 200, "body": {"odd": 1}}},
        7: lambda _: batch_server.answered("f" * 64),  # nobody asked that
    }
    with BatchServer() as server:
        asked = questions(server, 9)
        places = {one.key: place for place, one in enumerate(asked)}
        server.script.rows = lambda key: rows.get(places[key], batch_server.answered)(key)
        report = run(server, ledger, asked)
        failures = ledger.failures(places)
        states = {places[key]: attempt.state for key, attempt in failures.items()}
        assert states == {0: "parse_failed", 1: "refused", 2: "api_failed", 6: "api_failed"}
        assert failures[asked[2].key].detail == "server error"
        assert failures[asked[0].key].reply == "no verdict in here"
        assert (report.answered, report.failed, report.returned) == (1, 4, 4)
        # What was never asked is asked by the next run, what failed only where failures are retried.
        server.script.rows = batch_server.answered
        again = run(server, ledger, asked)
        assert (again.submitted, again.answered) == (4, 4)
        retried = run(server, ledger, asked, retry_failed=True)
        assert (retried.submitted, retried.answered) == (4, 4)
        assert len(ledger.answers(places)) == 9


@pytest.mark.parametrize("end", ["expired", "cancelled"])
def test_a_batch_that_did_not_finish_keeps_what_it_brought(ledger, end):
    with BatchServer(Script(ends=[end])) as server:
        asked = questions(server)
        kept = {asked[0].key, asked[1].key}
        server.script.rows = lambda key: (
            batch_server.answered(key) if key in kept else batch_server.unasked(key, f"batch_{end}")
        )
        report = run(server, ledger, asked)
        assert (report.answered, report.returned) == (2, 3)
        assert ledger.failures([one.key for one in asked]) == {}
        server.script.rows = batch_server.answered
        run(server, ledger, asked)
        assert [len(rows) for rows in server.requests()] == [5, 3]
        assert len(ledger.answers([one.key for one in asked])) == 5


def test_a_batch_that_failed_says_why_and_gives_its_questions_back(ledger):
    told = []
    with BatchServer(Script(ends=["failed"])) as server:
        asked = questions(server)
        report = run_batches(session(ledger), "large", asked, server.url, QUICK, told.append)
    assert report.returned == 5
    assert any("failed" in line and "queue full" in line for line in told)
    assert ledger.counts() == {}


class Killed(BaseException):
    """As a kill does, it runs past whatever catches errors."""


def killed(*_):
    raise Killed


def test_a_kill_after_creating_and_before_recording_hands_nothing_over_twice(ledger, monkeypatch):
    with BatchServer() as server:
        asked = questions(server)
        create = BatchClient.create

        def create_then_die(*arguments):
            create(*arguments)
            raise Killed

        monkeypatch.setattr(BatchClient, "create", create_then_die)
        with pytest.raises(Killed):
            run(server, ledger, asked)
        monkeypatch.setattr(BatchClient, "create", create)
        for _ in range(3):  # other batches, so that the lost one is not on the first page
            server.create({"input_file_id": "file-0", "metadata": None, "ends": "completed"})
        report = run(server, ledger, asked)
        assert (report.submitted, report.answered) == (0, 5)
        assert len(server.batches) == 4
        assert len(ledger.answers([one.key for one in asked])) == 5


def test_a_kill_before_creating_hands_over_once(ledger, monkeypatch):
    with BatchServer() as server:
        asked = questions(server)
        create = BatchClient.create
        monkeypatch.setattr(BatchClient, "create", killed)
        with pytest.raises(Killed):
            run(server, ledger, asked)
        monkeypatch.setattr(BatchClient, "create", create)
        report = run(server, ledger, asked)
        assert (report.submitted, report.answered) == (5, 5)
        assert len(server.batches) == 1


@pytest.mark.parametrize("place", ["add_batch", "close_batch", "record"])
@pytest.mark.parametrize("turn", [1, 2])
def test_a_kill_anywhere_loses_and_doubles_nothing(ledger, monkeypatch, place, turn):
    with BatchServer() as server:
        asked = questions(server, 4)
        honest, calls = getattr(Ledger, place), []

        def die(self, *arguments):
            calls.append(place)
            if len(calls) == turn:
                honest(self, *arguments)
                raise Killed
            return honest(self, *arguments)

        monkeypatch.setattr(Ledger, place, die)
        monkeypatch.setattr(batch_module, "CHUNK", 2)
        monkeypatch.setattr("judges.asking.batch_replies.CHUNK", 2)
        with pytest.raises(Killed):
            run(server, ledger, asked)
        monkeypatch.setattr(Ledger, place, honest)
        run(server, ledger, asked)
        assert sorted(server.asked()) == sorted(one.key for one in asked)
        assert ledger.counts() == {"ok": 4}


def test_a_failure_is_recorded_once_for_each_batch_that_brought_it(ledger, monkeypatch):
    with BatchServer(Script(rows=batch_server.refused)) as server:
        asked = questions(server, 4)
        honest = Ledger.record

        def record_then_die(self, pairs, batch=""):
            added = honest(self, pairs, batch)
            if pairs:
                raise Killed
            return added

        monkeypatch.setattr(Ledger, "record", record_then_die)
        with pytest.raises(Killed):
            run(server, ledger, asked)
        monkeypatch.setattr(Ledger, "record", honest)
        assert ledger.counts() == {"api_failed": 4}
        run(server, ledger, asked)
        assert ledger.counts() == {"api_failed": 4}
        for number in (2, 3):  # within the second in which the first batch ended
            run(server, ledger, asked, retry_failed=True)
            assert ledger.counts() == {"api_failed": 4 * number}


@pytest.mark.parametrize("fault", ["cut", "500", "429"])
def test_a_creation_that_was_cut_off_is_looked_for_before_it_is_repeated(ledger, fault):
    with BatchServer(Script(creations=[fault])) as server:
        asked = questions(server)
        report = run(server, ledger, asked)
        assert report.answered == 5
        assert len(server.batches) == 1


def test_a_refused_batch_leaves_nothing_waiting_and_shows_no_key(ledger):
    with BatchServer(Script(creations=["400"])) as server:
        asked = questions(server)
        with pytest.raises(EndpointError, match="model large") as error:
            run(server, ledger, asked)
        assert KEY not in str(error.value)
        assert "\n" not in str(error.value)
        assert ledger.open_batches(server.url, "openai:large") == []


def test_an_endpoint_without_batches_and_a_wrong_key_are_named(ledger):
    with BatchServer(Script(uploads=["404"])) as server:
        asked = questions(server)
        with pytest.raises(EndpointError, match="no such batches; ask it without --batch"):
            run(server, ledger, asked)
        assert ledger.open_batches(server.url, "openai:large") == []
        with pytest.raises(EndpointError, match="the key is refused") as error:
            run(server, ledger, asked, api_key="sk-wrong")
        assert "sk-wrong" not in str(error.value)


def test_an_endpoint_that_is_not_there(ledger):
    with BatchServer() as server:
        asked = questions(server)
    with pytest.raises(EndpointError, match="nothing is lost"):
        run(server, ledger, asked, tries=1)


def test_a_batch_that_the_key_does_not_know_is_not_paid_again_at_once(ledger, monkeypatch):
    with BatchServer(Script(looks=1)) as server:
        asked = questions(server)
        run(server, ledger, asked, RETURN)
        lost = server.batches.pop("batch_0")
        with pytest.raises(EndpointError, match="knows no batch batch_0; use the key that handed it over"):
            run(server, ledger, asked, RETURN)
        monkeypatch.setattr(batch_module, "FORGOTTEN", -1)  # two days later
        server.batches["other"] = lost
        report = run(server, ledger, asked, RETURN)
        assert (report.returned, report.submitted) == (5, 5)


def test_a_budget_is_never_handed_over_more_than_it_holds(ledger):
    with BatchServer() as server:
        asked = questions(server, 10)
        each = PRICES.most("large", asked[0], batch=True)
        report = run(server, ledger, asked, budget=each * 4.5)
        assert (report.submitted, report.unaffordable) == (4, 6)
        run_session = session(ledger, budget=each * 100)
        run_batches(run_session, "large", asked, server.url, QUICK)
        assert run_session.spending.spent == pytest.approx(6 * 140e-6)
        assert run_session.spending.remaining == pytest.approx(each * 100 - 6 * 140e-6)


def test_a_budget_needs_a_price(ledger):
    with BatchServer() as server:
        form, message = AnswerForm(), (Message("user", "?"),)
        unlimited = Question("openai:large", server.url, message, form)
        with pytest.raises(ConfigError, match="needs a batch price"):
            run(server, ledger, [unlimited], budget=1.0)
        assert server.batches == {}


def test_settings_that_cannot_work(ledger):
    with BatchServer() as server:
        asked = questions(server)
        with pytest.raises(ConfigError, match="--ledger"), Ledger() as memory:
            run(server, memory, asked)
        stranger = Question("openai:other", server.url, asked[0].messages, asked[0].form)
        with pytest.raises(ConfigError, match="a question to openai:other"):
            run(server, ledger, [stranger])
    with pytest.raises(ConfigError, match="poll is more than 0"):
        BatchOptions(poll=0)


def test_two_processes_do_not_hand_over_one_ledger_s_batches(ledger):
    with BatchServer() as server, batch_module._alone(ledger.path):
        with pytest.raises(ConfigError, match="another process"):
            run(server, ledger, questions(server))
        assert server.batches == {}


def test_an_answer_found_meanwhile_stands(ledger):
    with BatchServer(Script(looks=1)) as server:
        asked = questions(server, 2)
        run(server, ledger, asked, RETURN)
        ledger.record([(asked[0], Attempt(asked[0].key, "ok", {"winner": "second"}))])
        run(server, ledger, asked)
        assert ledger.answers([asked[0].key])[asked[0].key].result == {"winner": "second"}
        assert ledger.counts() == {"ok": 2}


@pytest.mark.parametrize("line", [b"", b"[]", b"3", b"null", b"{}", b"{", b'{"custom_id"'])
def test_a_line_that_is_no_result(line):
    assert read_outcome(line) is None
