import math
import tracemalloc

import pytest

from judges.asking.config import AskingConfig
from judges.asking.plan import make_plan
from judges.asking.prices import Price, Prices, Spending
from judges.asking.session import Session
from judges.ledger.ledger import Ledger
from judges.questions.question import AnswerForm, Attempt, Question
from judges.usage import Usage
from rewards.records import Message

PRICES = Prices({"large": Price(2.0, 8.0, batch_input=1.0, batch_output=4.0, as_of="2026-01-02")})
HERE = "http://here/v1"


def question(number, judge="openai:large", limit=50):
    text = f"{number:03d}" + "x" * 397
    return Question(judge, HERE, (Message("user", text),), AnswerForm(), {"max_tokens": limit})


def session(ledger=None, budget=None, **settings):
    config = AskingConfig(budget=budget, **settings)
    return Session(config, ledger or Ledger(), PRICES, Spending(budget))


def answered(one, **usage):
    return one, Attempt(one.key, "ok", {"winner": "first"}, usage=Usage(**usage))


def failed(one):
    return one, Attempt(one.key, "api_failed", detail="cut off")


def test_calls_are_what_is_distinct_and_not_in_the_ledger():
    with Ledger() as ledger:
        ledger.record([answered(question(0)), answered(question(1)), failed(question(2))])
        ledger.add_batch("batch-1", HERE, "openai:large", [question(3).key])
        asked = [question(number) for number in (0, 1, 2, 3, 4, 5, 6, 6, 6, 0)]
        plan = make_plan(session(ledger), iter(asked), batch=True)
        (one,) = plan.judges
        assert (one.questions, one.answered, one.failed, one.waiting) == (10, 2, 1, 1)
        assert (one.duplicates, one.calls) == (3, 3)
        assert plan.calls == 3
        (again,) = make_plan(session(ledger, retry_failed=True), asked, batch=True).judges
        assert again.calls == 4
        live = make_plan(session(ledger), asked)
        assert live.calls == 4  # what waits in a batch is asked, too
        assert "1 asked again though they wait in a batch" in live.lines()[0]


def test_price_by_hand():
    (one,) = make_plan(session(), [question(number) for number in range(10)]).judges
    # 400 characters are 100 tokens, a message and the reply's opening 4 each; a reply the limit of 50.
    assert (one.tokens_sent, one.tokens_received) == (1080, 500)
    assert one.price == pytest.approx((1080 * 2 + 500 * 8) / 1e6)
    assert one.batch_price == pytest.approx(one.price / 2)


def test_price_by_what_the_ledger_has_measured():
    with Ledger() as ledger:
        ledger.record([answered(question(0), tokens_in=200, tokens_cached=100, tokens_out=20, latency=4.0)])
        cached = Prices({"large": Price(2.0, 8.0, cached_input=0.5)})
        run = Session(AskingConfig(concurrency=3), ledger, cached, Spending())
        (one,) = make_plan(run, [question(number) for number in range(1, 8)]).judges
    assert (one.measured_on, one.tokens_sent, one.tokens_received) == (1, 1400, 140)
    assert one.price == pytest.approx((700 * 2 + 700 * 0.5 + 140 * 8) / 1e6)
    assert one.latency_measured
    assert one.seconds == 3 * 4.0  # 7 calls, 3 at once: three rounds


@pytest.mark.parametrize(
    ("limits", "limited_by", "seconds"),
    [
        ({"concurrency": 4}, "concurrency", 5 * 0.5),
        ({"concurrency": 20, "requests_per_minute": 40}, "requests_per_minute", 30.0),
        ({"concurrency": 20, "tokens_per_minute": 1580}, "tokens_per_minute", 120.0),
        ({"concurrency": 4, "requests_per_minute": 100_000}, "concurrency", 5 * 0.5),
    ],
)
def test_time_follows_from_what_is_slowest(limits, limited_by, seconds):
    (one,) = make_plan(session(**limits), [question(number) for number in range(20)], latency=0.5).judges
    assert one.limited_by == limited_by
    assert one.seconds == pytest.approx(seconds)
    assert not one.latency_measured


def test_a_budget_that_is_too_little_says_how_far_it_reaches():
    asked = [question(number) for number in range(100)]
    price = make_plan(session(), asked).price()
    enough = make_plan(session(budget=price * 1.01), asked)
    assert enough.reaches() == 100
    assert "is enough" in enough.lines()[-1]
    short = make_plan(session(budget=price / 4), asked)
    assert short.reaches() == 25
    assert "reaches about 25 of 100 calls" in short.lines()[-1]
    together = make_plan(session(budget=price / 4), asked, batch=True)
    assert together.reaches() == 50  # everything costs half
    assert "reaches about 50" in together.lines()[-1]
    assert together.price() == pytest.approx(price / 2)
    assert any("24 hours" in line for line in together.lines())
    unlimited = make_plan(session(), asked)
    assert math.isinf(unlimited.budget)
    assert not any("budget" in line for line in unlimited.lines())


def test_what_has_no_price_is_unknown_and_never_free():
    plan = make_plan(session(budget=1.0), [question(0, "openai:unheard-of"), question(1)])
    assert [one.price is None for one in plan.judges] == [True, False]
    assert plan.price() is None
    assert plan.reaches() is None
    assert "price is not known" in plan.lines()[-1]
    assert any("price unknown live" in line for line in plan.lines())


def test_several_judges_are_told_one_by_one_and_in_all():
    asked = [question(number, judge) for number in range(5) for judge in ("openai:large", "openai:other")]
    plan = make_plan(session(), asked)
    assert [(one.judge, one.calls) for one in plan.judges] == [("openai:large", 5), ("openai:other", 5)]
    assert plan.lines()[-1].startswith("in all: 10 calls")
    assert plan.seconds == sum(one.seconds for one in plan.judges)


def test_nothing_to_ask_costs_nothing():
    with Ledger() as ledger:
        ledger.record([answered(question(0))])
        plan = make_plan(session(ledger, budget=1.0), [question(0)])
    assert plan.calls == 0
    assert plan.price() == 0
    assert plan.lines()[0] == "openai:large: 0 calls for 1 questions; 1 answered in the ledger"
    empty = make_plan(session(), [])
    assert (empty.calls, empty.price(), empty.lines()) == (0, 0, [])


def test_a_plan_keeps_no_texts():
    def many():
        return (question(number % 1000, limit=number) for number in range(4000))

    run = session()
    tracemalloc.start()
    try:
        make_plan(run, many())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000  # the texts and their canonical forms alone would be more
