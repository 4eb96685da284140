"""What people are asked first: worked by hand, and the same from whichever side a verdict is told."""

import pytest

from judges.human.priorities import disagreements, priorities
from judges.human.tasks import Task, comparison_task
from judges.judge import Comparison, Verdict


def verdict(winner, preference=None, prompt="q", identity="", axis="", swap=False, texts=("a", "b")):
    reason = "" if winner else "parse_failed"
    made = Verdict(Comparison(prompt, *texts, identity), winner, preference, reason, "judge", axis)
    return made.swap() if swap else made


def priority(verdicts, task=None):
    task = task or comparison_task(Comparison("q", "a", "b", "other id"))
    return dict(priorities([(7, task)], disagreements(verdicts))).get(7)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([("first", None), ("first", None)], 0),
        ([("first", None), ("second", None)], 1),
        ([("tie", None)], 1),
        ([("first", None)] * 3 + [("second", None)], 0.75),  # 4 * 3/4 * 1/4
        ([("first", 0.9), ("first", 0.5)], 0.84),  # 4 * 0.7 * 0.3
        ([("first", None), (None, None)], 0),  # no verdict is no disagreement
    ],
)
@pytest.mark.parametrize("swapped", [(False, False), (True, True), (True, False)])
def test_priority_is_how_evenly_the_judges_are_split(said, expected, swapped):
    verdicts = [verdict(*one, swap=swapped[place % 2]) for place, one in enumerate(said)]
    assert priority(verdicts) == pytest.approx(expected, abs=1e-12)
    swapped_task = comparison_task(Comparison("q", "b", "a"))
    assert priority(verdicts, swapped_task) == pytest.approx(expected, abs=1e-12)


def test_of_what_no_judge_saw_nothing_is_told():
    task = Task("pairwise", "another", ("a", "b"))
    assert priority([verdict("tie")], task) is None
    assert priority([verdict(None)], task) is None
    assert priority([verdict("tie", prompt="another", texts=("a", "a"))], task) is None
    ranking = Task("ranking", "q", ("a", "b"))
    assert priority([verdict("tie")], ranking) is None


def test_verdicts_on_another_quality_tell_nothing():
    task = comparison_task(Comparison("q", "a", "b"), axis="harmless")
    assert priority([verdict("tie")], task) is None
    assert priority([verdict("tie", axis="harmless"), verdict("first")], task) == 1
