"""Slots, windows and waits, against brute force and by hand."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.asking.backoff import Backoff, retry_after
from judges.asking.config import AskingConfig
from judges.asking.limits import Pace, Slots, Window

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 20), st.integers(1, 60), st.integers(0, 60)), max_size=40))
def test_no_minute_holds_more_than_the_limit(calls):
    """Each call waits as told, and takes in the end what it takes, up to its estimate."""
    window, now, begun = Window(100), 0.0, []
    for gap, estimate, actual in calls:
        now += gap
        while (wait := window.wait(estimate, now)) > 0:
            now += wait
        begun.append((now, estimate))
        entry = window.begin(estimate, now)
        held = sum(amount for time, amount in begun if time + 60 > now)
        assert held <= 100
        begun[-1] = (now, min(estimate, actual))
        window.settle(entry, min(estimate, actual))


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_a_window_makes_nobody_wait_longer_than_needed(amounts):
    window, now, begun = Window(50), 0.0, []
    for amount in amounts:
        wait = window.wait(amount, now)
        if wait:
            early = sum(held for time, held in begun if time + 60 > now + wait - 1e-6)
            assert early + amount > 50
        now += wait
        begun.append((now, amount))
        window.begin(amount, now)
        now += 1.0


def test_what_a_call_took_more_than_was_thought_counts():
    window = Window(100)
    entry = window.begin(10, 0.0)
    window.settle(entry, 95)
    assert window.wait(10, 5.0) == 55.0
    assert window.wait(10, 60.0) == 0.0
    window.settle(entry, 1000)  # told after its minute is over
    window.begin(100, 61.0)
    assert window.wait(1, 62.0) == 59.0


def test_one_amount_above_the_limit_is_let_in_alone():
    window = Window(100)
    assert window.wait(500, 0.0) == 0.0
    window.begin(500, 0.0)
    assert window.wait(1, 1.0) == 59.0


def test_no_limit_never_waits():
    window = Window(0)
    for _ in range(5):
        window.begin(10**9, 0.0)
    assert window.wait(10**9, 0.0) == 0.0


def test_slots_halve_once_a_burst_and_grow_by_one_a_round():
    slots = Slots(16)
    assert slots.overloaded(0)
    assert not slots.overloaded(0), "the same burst"
    assert slots.limit == 8
    for _ in range(8):
        slots.succeeded()
    assert 8.9 < slots.limit < 9.01
    for round_ in range(1, 12):
        slots.overloaded(round_)
    assert slots.limit == 1
    for _ in range(1000):
        slots.succeeded()
    assert slots.limit == 16


def test_slots_are_given_in_the_order_of_coming_and_never_above_the_limit():
    async def run() -> tuple[list[int], int]:
        slots, order, most, used = Slots(3), [], 0, 0

        async def one(number: int) -> None:
            nonlocal most, used
            await slots.acquire()
            order.append(number)
            used += 1
            most = max(most, used)
            await asyncio.sleep(0)
            used -= 1
            slots.release()

        await asyncio.gather(*(one(number) for number in range(20)))
        assert slots.used == 0
        return order, most

    assert asyncio.run(run()) == (list(range(20)), 3)


def test_a_slot_is_not_lost_with_a_task_that_is_cancelled():
    async def run() -> None:
        slots = Slots(1)
        await slots.acquire()
        waiting = [asyncio.create_task(slots.acquire()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        slots.release()  # to the second
        waiting[1].cancel()  # in the very moment in which it gets the slot
        await asyncio.gather(*waiting[:2], return_exceptions=True)
        await asyncio.wait_for(waiting[2], 1)
        slots.release()
        assert slots.used == 0

    asyncio.run(run())


def test_a_waiter_that_gave_up_holds_nobody_back():
    async def run() -> None:
        slots = Slots(1)
        await slots.acquire()
        waiting = asyncio.create_task(slots.acquire())
        await asyncio.sleep(0)
        waiting.cancel()
        slots.release()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.wait_for(slots.acquire(), 1)
        assert slots.used == 1

    asyncio.run(run())


@given(st.integers(1, 200), st.text(max_size=5), st.integers(0, 9))
def test_waits_double_within_their_bounds_and_are_drawn_by_the_seed(tries, name, seed):
    backoff = Backoff(0.5, 60.0, seed)
    step = min(60.0, 0.5 * 2 ** (tries - 1))
    assert step / 2 <= backoff.delay(name, tries) <= step
    assert backoff.delay(name, tries) == Backoff(0.5, 60.0, seed).delay(name, tries)


def test_waits_of_different_questions_spread():
    waits = [Backoff().delay(str(number), 1) for number in range(400)]
    assert len(set(waits)) == 400
    assert 0.36 < sum(waits) / 400 < 0.39  # between 0.25 and 0.5
    assert waits != [Backoff(seed=1).delay(str(number), 1) for number in range(400)]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sunday, 01-Mar-26 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 -0000"}, 30.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_retry_after_in_each_of_its_forms(headers, seconds):
    assert retry_after(headers, NOON) == seconds


def test_a_pause_that_the_endpoint_asks_for_holds_everyone():
    async def run() -> float:
        pace = Pace(AskingConfig(concurrency=4), Backoff())
        pace.overloaded(await pace.slots.acquire(), 0.3)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(pace.admit(1), pace.admit(1))
        return asyncio.get_running_loop().time() - began

    assert 0.25 < asyncio.run(run()) < 1.0


def test_overloads_without_a_word_pause_longer_each_time_until_an_answer():
    """Waits of 0, then about 1, 2 and 4 times 0.1 s: no question's tries are used up meanwhile."""

    async def run() -> list[float]:
        pace, loop, waits = Pace(AskingConfig(concurrency=64), Backoff(0.1)), asyncio.get_running_loop(), []
        for turn in range(6):
            halvings = await pace.slots.acquire()
            if turn == 4:
                pace.answered(await pace.admit(1), 1)
            pace.overloaded(halvings, None)
            began = loop.time()
            await pace.admit(1)
            waits.append(loop.time() - began)
            pace.slots.release()
        return waits

    first, second, third, fourth, again, last = asyncio.run(run())
    assert first < 0.04
    assert 0.04 < second < 0.15
    assert 0.09 < third < 0.25
    assert 0.19 < fourth < 0.45
    assert again < 0.04
    assert 0.04 < last < 0.15
