"""What is no answer, however long, is told at once; and no row is a task that only looks like one."""

import time
from itertools import product

import pytest

from judges.human.answers import AnswerError, RankingAnswer, answer_of
from judges.human.tasks import Task, task_of, task_row
from rewards.errors import DataError
from rewards.records import Message


def counted(order: tuple[int, ...]) -> tuple[int, ...]:
    """Return ranks by counting who comes before each."""
    return tuple(1 + sum(other < one for other in order) for one in order)


def test_ranks_are_those_that_some_order_with_ties_gives() -> None:
    orders = set(product(range(1, 5), repeat=4))
    right = {counted(order) for order in orders}
    for ranks in orders:
        if ranks in right:
            assert answer_of("ranking", {"ranks": list(ranks)}) == RankingAnswer(ranks)
        else:
            with pytest.raises(AnswerError, match="ranks count from 1"):
                answer_of("ranking", {"ranks": list(ranks)})


def test_a_ranking_as_long_as_a_post_holds_up_nobody() -> None:
    begun = time.process_time()
    answer_of("ranking", {"ranks": [1] * 50_000})
    assert time.process_time() - begun < 2  # comparing each with each takes a minute


PAIR = Task("pairwise", (Message("user", "q"),), ("a", "b"), systems=("x", "y"), id="1", extra={"n": [None]})


def test_a_row_of_a_task_is_read_back() -> None:
    assert task_of(task_row(PAIR)) == PAIR


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("screen", "nonsense"), ("prompt", 5), ("prompt", {"role": "user"}), ("prompt", [{"role": "user"}]),
        ("responses", "ab"), ("responses", ["a", 5]), ("steps", ""), ("aspects", None), ("systems", "xy"),
        ("axis", 5), ("axis", None), ("repeat", "2"), ("repeat", True), ("id", 7), ("extra", ["n"]),
        ("gold", {"winner": "left"}), ("priority", "high"), ("priority", True), ("priority", 2),
    ],
)  # fmt: skip
def test_a_row_that_is_no_task_is_refused(name: str, value: object) -> None:
    with pytest.raises(DataError):
        task_of(task_row(PAIR) | {name: value})
