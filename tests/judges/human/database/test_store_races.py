"""Many annotators at one store at once, in threads and in processes, and a process that is killed."""

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from judges.human.database.connection import Turns
from judges.human.labels import Given
from judges.human.store import Store, StoreUnavailableError
from judges.human.study import Study
from tests.judges.human.label_store import (
    DATABASES,
    annotate,
    annotating,
    answer,
    database,
    execute,
    pairs,
    people,
)


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path) as url:
        yield url


def check_each_once(store: Store, confirmed: list[str], overlap: int) -> None:
    """Hold the store against what its annotators were told: nothing lost, doubled, or over the overlap."""
    nonces = [event["nonce"] for event in store.events()]
    assert sorted(nonces) == sorted(confirmed)
    labels = list(store.labels())
    assert len({(label.task_id, label.annotator) for label in labels}) == len(labels) == len(confirmed)
    assert set(Counter(label.task_id for label in labels).values()) == {overlap}


def test_threads_share_tasks_without_doubles(url: str) -> None:
    with Store(url) as store:
        store.set_study(Study(overlap=2))
        store.add_tasks(pairs(15))
        everybody = people(store, *"abcdefgh")
        with ThreadPoolExecutor(len(everybody)) as pool:
            confirmed = list(
                itertools.chain.from_iterable(pool.map(lambda one: list(annotate(store, one)), everybody))
            )
        check_each_once(store, confirmed, overlap=2)
        numbers = [event["number"] for event in store.events()]
        assert numbers == sorted(numbers)


def test_processes_share_tasks_without_doubles(url: str) -> None:
    with Store(url) as store:
        store.set_study(Study(overlap=2))
        store.add_tasks(pairs(25))
        people(store, "ann", "bob", "eve")
        running = [annotating(url, name) for name in ("ann", "bob", "eve")]
        confirmed = [line for process in running for line in process.communicate()[0].split()]
        assert [process.returncode for process in running] == [0, 0, 0]
        check_each_once(store, confirmed, overlap=2)


def test_two_who_ask_at_one_moment_never_get_the_last_task_both(url: str) -> None:
    with Store(url) as store, Store(url) as other:
        names = people(store, "ann", "bob", "eve", "zoe")
        for round_number in range(8):
            store.add_tasks([pairs(round_number + 1)[-1]])
            start = threading.Barrier(len(names))

            def ask(place: int, start: threading.Barrier = start) -> Given | None:
                start.wait()
                return (store, other)[place % 2].next_task(names[place])

            with ThreadPoolExecutor(len(names)) as pool:
                given = list(pool.map(ask, range(len(names))))
            (winner,) = [place for place, one in enumerate(given) if one is not None]
            task = given[winner]
            assert task is not None
            store.record(names[winner], task.handle, answer(task, f"n{round_number}"))


def test_one_post_sent_by_many_at_once_counts_once(url: str) -> None:
    with Store(url) as store, Store(url) as other:
        store.add_tasks(pairs(1))
        (ann,) = people(store, "ann")
        given = store.next_task(ann)
        assert given is not None
        with ThreadPoolExecutor(8) as pool:
            told = list(
                pool.map(
                    lambda place: (store, other)[place % 2].record(ann, given.handle, answer(given, "n")),
                    range(8),
                )
            )
        assert Counter(told) == {"recorded": 1, "repeated": 7}
        assert store.last_event() == 1
        with ThreadPoolExecutor(8) as pool:
            undone = list(pool.map(lambda place: (store, other)[place % 2].undo(ann, "u"), range(8)))
        assert Counter(undone) == {"recorded": 1, "repeated": 7}


def test_a_killed_process_loses_nothing_that_it_was_told(url: str) -> None:
    with Store(url) as store:
        store.add_tasks(pairs(2000))
        people(store, "ann")
    with annotating(url, "ann") as process:
        assert process.stdout is not None
        confirmed = [next(process.stdout).strip() for _ in range(25)]
        process.kill()
        confirmed += process.stdout.read().split()
    with Store(url) as store:
        kept = [event["nonce"] for event in store.events()]
        assert kept[: len(confirmed)] == confirmed
        assert len(kept) - len(confirmed) <= 1, "at most the one it was about to be told of"
        assert len(confirmed) < 2000, "it was killed in the middle"
        (ann,) = store.annotators()
        again = store.next_task(ann)
        assert again is not None
        assert store.record(ann, again.handle, answer(again, "again")) == "recorded"
        before = list(store.labels())
        store.rebuild()
        assert list(store.labels()) == before


def test_who_comes_first_writes_first() -> None:
    turns, order = Turns(), []

    def write(place: int) -> None:
        with turns:
            order.append(place)

    threads = [threading.Thread(target=write, args=(place,)) for place in range(10)]
    with turns:
        for place, thread in enumerate(threads):
            thread.start()
            while len(turns._waiting) <= place:
                threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(10))


def test_who_waits_too_long_is_told_and_leaves_the_queue() -> None:
    turns = Turns(patience=0.01)
    with turns, ThreadPoolExecutor(1) as pool:
        refused = pool.submit(turns.__enter__).exception()
        assert isinstance(refused, StoreUnavailableError)
    with turns:
        pass


def test_reading_does_not_wait_for_a_writer(url: str) -> None:
    with Store(url) as store:
        store.add_tasks(pairs(2))
        (ann,) = people(store, "ann")
        held, go_on = threading.Event(), threading.Event()

        def write(_: object) -> None:
            held.set()
            assert go_on.wait(60)

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(store._database.write, write)
            assert held.wait(60)
            # Each of these would wait for the writer, and it for them.
            assert store.progress(ann).wanted == 2
            assert store.study() == Study()
            assert len(list(store.tasks())) == 2
            assert list(store.labels()) == []
            assert store.sign_in(ann.id, "forged") is None
            go_on.set()
            writing.result()


def test_stores_opened_at_one_moment_make_one(url: str) -> None:
    start = threading.Barrier(4)

    def open_and_add(place: int) -> None:
        start.wait()
        with Store(url) as store:
            store.add_tasks(pairs(5))
            store.invite(f"number {place}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(open_and_add, range(4)))
    assert execute(url, "SELECT count(*) FROM label_store") == [(1,)]
    with Store(url) as store:
        assert len(list(store.tasks())) == 5
        assert len(store.annotators()) == 4
