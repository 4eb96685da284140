"""Long answers in a store: memory holds a few of them, and counting tasks reads none."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from judges.human.answers import PairwiseAnswer
from judges.human.database.schema import TASKS
from judges.human.labels import Label
from judges.human.store import Added, Store
from judges.human.study import MOST_ANSWERS, Study
from judges.human.tasks import Task
from rewards.errors import ConfigError
from tests.judges.human.label_store import DATABASES, database, pairs

LONG = 500_000
COUNT = 50


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path) as url:
        yield url


def long_tasks() -> Iterator[Task]:
    """Give tasks of one long answer."""
    return (Task("pairwise", f"question {n}", ("a" * LONG, "b")) for n in range(COUNT))


def label(task: Task) -> Label:
    return Label(0, task, "ann", PairwiseAnswer("first"), (0, 1), "", 1.0, 1.0, "")


def test_memory_holds_a_part_of_what_is_added_carried_or_read(tmp_path: Path) -> None:
    with Store(str(tmp_path / "added.db")) as store, Store(str(tmp_path / "carried.db")) as other:
        tracemalloc.start()
        try:
            assert store.add_tasks(long_tasks()) == Added(COUNT, 0)
            assert other.import_labels(map(label, long_tasks())) == Added(COUNT, 0)
            assert sum(1 for _ in store.tasks()) == COUNT
            assert sum(1 for _ in other.labels()) == COUNT
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert most < COUNT * LONG


def test_what_is_long_stands_behind_what_is_counted() -> None:
    # SQLite finds a column by going through all before it: by hundreds of pages of an answer.
    assert list(TASKS.columns.keys())[-1] == "body"


def test_as_many_answers_as_can_be_wanted_can_be_counted(url: str) -> None:
    with Store(url) as store:
        store.add_tasks(pairs(3))
        store.set_study(Study(overlap=MOST_ANSWERS, tiebreak=MOST_ANSWERS))
        store.add_tasks(pairs(3000))
        (ann,) = [store.invite("ann").annotator]
        assert store.progress(ann).wanted == 3000 * MOST_ANSWERS > 2**31


@pytest.mark.parametrize("name", ["overlap", "tiebreak"])
def test_more_answers_than_can_be_counted_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is at most"):
        Study(**{name: MOST_ANSWERS + 1})
