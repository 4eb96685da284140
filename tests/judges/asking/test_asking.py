"""Asking: once each, recorded before it counts, within limits and budget, with an end where no hope is."""

import _thread
import asyncio
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from judges.asking.asker import CHUNK, Asker
from judges.asking.backoff import Backoff
from judges.asking.config import AskingConfig
from judges.asking.endpoint import EndpointError
from judges.asking.session import Session
from judges.ledger.ledger import Ledger
from judges.questions.question import AnswerForm, Question
from rewards.errors import ConfigError
from rewards.records import Message
from tests.judges.asking.chat_server import named, serving, statistics

QUICK = Backoff(0.02, 0.5)


def question(number: int | str, repeat: int = 0) -> Question:
    text = f"question {number}: which is better?"
    parameters = {"max_tokens": 50}
    return Question("openai:m", "http://there/v1", (Message("user", text),), AnswerForm(), parameters, repeat)


def questions(count: int) -> list[Question]:
    return [question(number) for number in range(count)]


def asker(url: str, **config: object) -> Asker:
    config = {"base_url": url, "timeout": 2.0, **config}
    return Asker(Session.open(AskingConfig(**config)), "m", backoff=QUICK)


def logged(path: Path) -> Counter[str]:
    return Counter(json.loads(line)["question"] for line in path.read_text().splitlines())


def states(asker: Asker) -> dict[str, int]:
    return {state: count for state, count in asker.session.ledger.counts().items() if count}


def test_each_question_is_asked_once_however_often_it_is_given(tmp_path):
    log = tmp_path / "log"
    with serving(log=str(log), latency=0.01) as url:
        one = asker(url, ledger=str(tmp_path / "l.db"))
        twice = [*questions(60), *questions(120)]
        one.ask(iter(twice))
        attempts = one.answers([*twice, question(7)])
        one.session.ledger.close()
        again = asker(url, ledger=str(tmp_path / "l.db"))
        assert again.answers(twice) == attempts[:-1]
        assert statistics(url)["calls"] == 120
    assert [attempt.key for attempt in attempts] == [one.key for one in [*twice, question(7)]]
    assert set(logged(log).values()) == {1}
    assert states(again) == {"ok": 120}
    assert (again.tally.asked, again.tally.from_ledger) == (0, 120)


@pytest.mark.parametrize("killed", [False, True])
def test_processes_that_ask_the_same_pay_for_each_question_once(tmp_path, killed):
    ledger, count, concurrency = str(tmp_path / "l.db"), 150, 8
    with serving(latency=0.05) as url, ExitStack() as ended:
        command = [
            sys.executable,
            "-m",
            "tests.judges.asking.judging_run",
            url,
            ledger,
            str(count),
            str(concurrency),
        ]
        both = [ended.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE)) for _ in range(2)]
        if killed:
            while statistics(url)["calls"] < 20:
                time.sleep(0.01)
            both[0].kill()
        for process in both:
            process.wait()
        assert both[1].returncode == 0
        # What the killed one had in flight was never received, and is asked again.
        assert 2 * count <= statistics(url)["calls"] <= 2 * count + killed * concurrency
    with Ledger(ledger) as held:
        assert held.counts()["ok"] == 2 * count


def test_repeats_are_questions_of_their_own():
    with serving() as url:
        one = asker(url)
        one.ask([question(1), question(1, 1), question(1, 2)])
        assert statistics(url)["calls"] == 3


def test_faults_are_asked_again_until_each_question_has_its_true_answer(tmp_path):
    log = tmp_path / "log"
    faults = {
        "too_many": 0.08,
        "retry_after": 0.04,
        "broken": 0.08,
        "slow": 0.01,
        "cut": 0.08,
        "malformed": 0.08,
    }
    with serving(**faults, odd=0.4, log=str(log), retry_seconds=0.01) as url:
        one = asker(url, tries=30, timeout=0.5)
        attempts = one.answers(questions(200))
    truth = {line["question"]: line for line in map(json.loads, log.read_text().splitlines())}
    for asked, attempt in zip(questions(200), attempts, strict=True):
        said = truth[named(asked.messages[0].content)]
        assert attempt.reply == said["reply"]
        expected = {"refusal": "refused", "empty": "parse_failed", "unreadable": "parse_failed"}
        assert attempt.state == expected.get(said["kind"], "ok")
    assert set(logged(log).values()) == {1}
    assert one.tally.states.total() == 200
    assert one.tally.calls > 230


def test_no_more_are_in_flight_than_said_and_all_of_them_are_used():
    with serving(latency=0.03) as url:
        asker(url, concurrency=24).ask(questions(200))
        assert statistics(url)["most"] == 24


def test_an_endpoint_that_bears_less_is_asked_for_less_at_once():
    """It takes 4 at once: without backing off, 32 at once would be turned away 28 times a round."""
    with serving(latency=0.01, most_at_once=4) as url:
        one = asker(url, concurrency=32, tries=12)
        one.ask(questions(200))
        calls = statistics(url)["calls"]
    assert one.tally.states == {"ok": 200}
    assert one._pace.slots.limit < 12
    assert calls < 350


def test_questions_are_taken_as_they_are_needed():
    taken = 0

    def source() -> Iterator[Question]:
        nonlocal taken
        for number in range(500):
            taken += 1
            ahead.append(taken - one.tally.received)
            yield question(number)

    ahead: list[int] = []
    with serving() as url:
        one = asker(url, concurrency=8)
        one.ask(source())
    assert one.tally.received == 500
    assert max(ahead) <= CHUNK + 2 * 8 + 1


def test_requests_a_minute_are_kept():
    with serving() as url:
        one = asker(url, requests_per_minute=5)
        threading.Timer(1.0, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            one.ask(questions(20))
        assert statistics(url)["calls"] == 5
    assert one.tally.states == {"ok": 5}


def test_tokens_a_minute_are_kept():
    """Each question is thought to take about 215 tokens, and takes 8 + 6: the window follows the truth."""
    with serving() as url:
        one = asker(url, tokens_per_minute=600, concurrency=1)
        threading.Timer(1.5, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            one.ask(questions(100))
    assert 20 < one.tally.received < 50
    assert one.tally.usage.tokens_in + one.tally.usage.tokens_out <= 600


def test_what_failed_stays_failed_until_it_is_asked_for(tmp_path):
    ledger, lost = str(tmp_path / "l.db"), json.dumps({"error": {"code": "context_length_exceeded"}})
    with serving(reject="question 3:", error=lost) as url:
        first = asker(url, ledger=ledger)
        attempts = first.answers(questions(6))
        first.answers(questions(6))
        assert statistics(url)["calls"] == 6
    assert [attempt.state for attempt in attempts] == ["ok"] * 3 + ["api_failed"] + ["ok"] * 2
    with serving() as url:
        assert asker(url, ledger=ledger).answers(questions(6)) == attempts
        assert statistics(url)["calls"] == 0
        assert {one.state for one in asker(url, ledger=ledger, retry_failed=True).answers(questions(6))} == {
            "ok"
        }
        assert statistics(url)["calls"] == 1


def test_retrying_what_fails_again_asks_it_once_a_run(tmp_path):
    lost = json.dumps({"error": {"code": "content_filter", "message": "no"}})
    with serving(reject="question", error=lost) as url:
        asker(url, ledger=str(tmp_path / "l.db")).ask(questions(3))
        again = asker(url, ledger=str(tmp_path / "l.db"), retry_failed=True)
        assert {one.state for one in again.answers(questions(3))} == {"refused"}
        again.answers(questions(3))
        assert statistics(url)["calls"] == 6


def test_a_rejection_without_a_reason_is_the_questions_own_where_others_are_answered():
    with serving(reject="question 0:", error='{"error": {"message": "who knows"}}') as url:
        attempts = asker(url, concurrency=1).answers(questions(5))
    assert [attempt.state for attempt in attempts] == ["api_failed"] + ["ok"] * 4
    assert attempts[0].detail == "400: who knows"


@pytest.mark.parametrize("count", [1, 50])
def test_an_endpoint_that_rejects_all_stops_the_run_and_fails_no_question(count):
    with serving(reject="question", error='{"error": {"message": "no response_format here"}}') as url:
        one = asker(url, concurrency=2)
        with pytest.raises(
            EndpointError, match=r"model m: the request is refused \(400: no response_format here"
        ):
            one.ask(questions(count))
        assert statistics(url)["calls"] <= 5
    assert states(one) == {}


def test_a_key_that_ends_in_the_middle_stops_the_run_and_keeps_what_came():
    with serving(status=401, status_after=30, latency=0.01) as url:
        one = asker(url, concurrency=4)
        with pytest.raises(EndpointError, match="the key is refused"):
            one.ask(questions(500))
        assert statistics(url)["calls"] <= 38
    assert states(one) == {"ok": 30}


def test_an_endpoint_that_is_not_there_is_told_soon():
    with serving() as url:
        pass
    one, began = asker(url), time.monotonic()
    with pytest.raises(EndpointError, match=r"cannot be reached: .*; start the server"):
        one.ask(questions(1000))
    assert time.monotonic() - began < 5
    assert states(one) == {}


def test_an_endpoint_that_only_fails_is_no_failure_of_the_questions():
    with serving(status=500) as url:
        one = asker(url, tries=2)
        with pytest.raises(EndpointError, match=r"no question was answered, the last of them: 500"):
            one.ask(questions(5))
        with pytest.raises(EndpointError, match=r"the last 32 questions all failed"):
            one.ask(questions(1000))
    assert states(one) == {}


def test_an_endpoint_lost_in_the_middle_stops_the_run_and_fails_no_question():
    with serving(status=500, status_after=40) as url:
        one = asker(url, tries=2, concurrency=4)
        with pytest.raises(EndpointError, match=r"the last 20 questions all failed"):
            one.ask(questions(1000))
        assert statistics(url)["calls"] < 40 + 2 * 28
    assert states(one) == {"ok": 40}


def test_an_endpoint_that_wants_an_hour_is_left_alone():
    with (
        serving(retry_after=1.0, retry_seconds=3600) as url,
        pytest.raises(EndpointError, match="for 3600 s"),
    ):
        asker(url).ask(questions(3))


def test_an_endpoint_that_wants_no_time_gets_some(monkeypatch):
    waits = []
    monkeypatch.setattr(Backoff, "delay", lambda _, name, tries: waits.append((name, tries)) or 0.01)
    with serving(retry_after=1.0, retry_seconds=0) as url, pytest.raises(EndpointError, match="tries: 3"):
        asker(url, tries=3).ask(questions(1))
    assert [tries for name, tries in waits if name == question(0).key] == [1, 2]


def prices(folder: Path) -> str:
    path = folder / "prices.yaml"
    path.write_text("models:\n  m: {input: 1000, output: 2000}\n")
    return str(path)


def test_the_budget_is_never_exceeded_and_what_remains_is_asked_later(tmp_path):
    """A question costs at most about 0.15, truly 0.02: the budget of 1 is used though 16 could not start."""
    settings = {"ledger": str(tmp_path / "l.db"), "prices": prices(tmp_path)}
    with serving() as url:
        one = asker(url, **settings, budget=1.0)
        attempts = one.answers(questions(300))
        spent = one.session.spending.spent
        assert 0.8 < spent <= 1.0
        assert one.tally.usage.cost == pytest.approx(spent)
        answered = [attempt for attempt in attempts if attempt.state == "ok"]
        left = [attempt for attempt in attempts if attempt.state != "ok"]
        assert {(attempt.state, attempt.detail) for attempt in left} == {("skipped", "budget")}
        assert one.tally.skipped >= len(left) > 100
        assert states(one) == {"ok": len(answered)}
        rest = asker(url, **settings)
        assert {attempt.state for attempt in rest.answers(questions(300))} == {"ok"}
        assert rest.tally.asked == len(left)


def test_calls_that_failed_cost_nothing_where_the_endpoint_said_no(tmp_path):
    with serving(too_many=0.3, broken=0.2) as url:
        one = asker(url, prices=prices(tmp_path), budget=100.0, tries=50)
        one.ask(questions(30))
    paid = sum(attempt.usage.cost for attempt in one.answers(questions(30)))
    assert one.session.spending.spent == pytest.approx(paid)


def test_a_budget_without_a_price_is_told_before_anything_is_asked():
    with serving() as url:
        with pytest.raises(ConfigError, match="has no price of m"):
            asker(url, budget=1.0).ask(questions(3))
        assert statistics(url)["calls"] == 0


def test_an_interruption_keeps_what_is_in_flight_and_asks_no_more():
    with serving(latency=0.5) as url:
        one = asker(url, concurrency=8)
        threading.Timer(0.8, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            one.ask(questions(1000))
        assert statistics(url)["calls"] == one.tally.received > 0
    assert one.tally.received % 8 == 0
    assert states(one) == {"ok": one.tally.received}
    assert one.tally.stopping


@pytest.mark.parametrize("count", [10, 1000])
def test_a_second_interruption_does_not_wait(count):
    """Whether all questions were handed over at the first, or not."""
    with serving(latency=20) as url:
        one = asker(url, timeout=60.0)
        for seconds in (0.7, 1.4):
            threading.Timer(seconds, _thread.interrupt_main).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            one.ask(questions(count))
        assert 1.3 < time.monotonic() - began < 5
    assert states(one) == {}


def test_a_source_that_breaks_keeps_what_was_asked():
    def source() -> Iterator[Question]:
        yield from questions(200)
        raise ValueError("line 201 is broken")

    with serving() as url:
        one = asker(url)
        with pytest.raises(ValueError, match="line 201"):
            one.ask(source())
        assert statistics(url)["calls"] == one.tally.received > 0
        one.ask(questions(200))
    assert states(one) == {"ok": 200}


def test_it_works_where_an_event_loop_runs_already():
    async def notebook(url: str) -> list[str]:
        return [attempt.state for attempt in asker(url).answers(questions(5))]

    with serving() as url:
        assert asyncio.run(notebook(url)) == ["ok"] * 5


def slowly(chunks: int) -> Iterator[Question]:
    for _ in range(chunks):
        yield from questions(6) * (CHUNK // 6 + 1)
        time.sleep(0.25)


def test_progress_is_reported_in_the_thread_that_asks():
    seen: list[tuple[int, int]] = []

    def report(tally) -> None:
        seen.append((threading.get_ident(), tally.received))

    with serving(latency=0.3) as url:
        one = asker(url, concurrency=2)
        one.progress = report
        one.ask(questions(6))
        busy = len(seen)
        one.ask(iter(slowly(3)))
    assert len(seen) >= busy + 3, "none while the ledger had all answers"
    assert {thread for thread, _ in seen} == {threading.get_ident()}
    assert [count for _, count in seen] == sorted(count for _, count in seen)
    assert len(seen) > 3
    assert seen[-1][1] == 6


def test_nothing_stays_behind():
    before = threading.active_count()
    with serving() as url:
        asker(url).ask(questions(20))
    assert threading.active_count() == before


def test_no_key_is_needed_for_what_the_ledger_has(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    ledger = str(tmp_path / "l.db")
    with serving() as url:
        asker(url, ledger=ledger).ask(questions(3))
    one = asker("https://api.openai.com/v1", ledger=ledger)
    assert len(one.answers(questions(3))) == 3
    with pytest.raises(EndpointError, match="there is no key"):
        one.ask(questions(4))
