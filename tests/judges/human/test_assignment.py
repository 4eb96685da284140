"""Order shown, planted checks, the next task, and the sample that a win rate is read from."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from judges.human.assignment import (
    TaskCandidate,
    answers_wanted,
    choose,
    measured_prefix,
    order_shown,
    random_order,
    wants_gold,
    wants_needed,
)

KEYS = [f"key {number}" for number in range(3000)]


def chi_square_p(counts: list[int]) -> float:
    """Chance that counts of equally likely cells are as unequal as these or more."""
    mean = sum(counts) / len(counts)
    return float(chi2.sf(sum((count - mean) ** 2 / mean for count in counts), len(counts) - 1))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_each_order_is_as_likely(count):
    cells = Counter(order_shown(7, "ann", key, count) for key in KEYS)
    assert set(cells) == set(itertools.permutations(range(count)))
    assert count == 1 or chi_square_p(list(cells.values())) > 0.001


def test_sides_are_balanced_over_annotators_of_one_key_and_over_seeds():
    people = [order_shown(0, f"annotator {number}", "one key", 2)[0] for number in range(3000)]
    seeds = [order_shown(seed, "ann", "one key", 2)[0] for seed in range(3000)]
    for first in (people, seeds):
        assert chi_square_p([first.count(0), first.count(1)]) > 0.001


def test_two_annotators_orders_tell_nothing_of_each_other():
    pairs = Counter((order_shown(3, "ann", key, 2), order_shown(3, "bob", key, 2)) for key in KEYS)
    assert len(pairs) == 4
    assert chi_square_p(list(pairs.values())) > 0.001


@given(st.integers(0, 2**40), st.text(), st.text(), st.integers(1, 12))
def test_an_order_is_a_permutation_and_stays(seed, annotator, key, count):
    shown = order_shown(seed, annotator, key, count)
    assert sorted(shown) == list(range(count))
    assert order_shown(seed, annotator, key, count) == shown


def test_names_and_keys_do_not_run_together():
    # Were they joined as they are, ("ab", "c") and ("a", "bc") would always see the same order.
    same = sum(
        order_shown(0, f"a{number}b", f"c{number}", 2) == order_shown(0, f"a{number}", f"bc{number}", 2)
        for number in range(400)
    )
    assert 140 < same < 260


def test_the_random_order_is_uniform_in_63_bits_and_ignores_the_order_of_keys():
    places = np.array([random_order(1, key) for key in KEYS], float) / 2**63
    assert ((places >= 0) & (places < 1)).all()
    assert chi_square_p(np.histogram(places, 20, (0, 1))[0].tolist()) > 0.001
    neighbours = np.corrcoef(places[:-1], places[1:])[0, 1]
    assert abs(neighbours) < 4 / math.sqrt(len(KEYS))
    assert random_order(1, "key 0") != random_order(2, "key 0")


@given(st.integers(0, 2**40), st.text(max_size=8), st.integers(1, 25))
@settings(max_examples=60)
def test_each_block_has_one_planted_check(seed, annotator, gold_every):
    turns = [wants_gold(seed, annotator, done, gold_every) for done in range(6 * gold_every)]
    blocks = [turns[start : start + gold_every] for start in range(0, len(turns), gold_every)]
    assert [sum(block) for block in blocks] == [1] * 6


def test_a_check_cannot_be_counted_off():
    places = Counter(
        next(place for place in range(10) if wants_gold(0, "ann", 10 * block + place, 10))
        for block in range(1500)
    )
    assert chi_square_p([places[place] for place in range(10)]) > 0.001
    gaps = np.diff([done for done in range(500) if wants_gold(0, "ann", done, 10)])
    assert len(set(gaps.tolist())) > 8


def test_none_are_planted_nor_needed_first_where_the_study_asks_for_none():
    assert not any(wants_gold(0, "ann", done, 0) or wants_needed(0, "ann", done, 0) for done in range(200))


@pytest.mark.parametrize("every", [1, 2, 5])
def test_the_most_needed_comes_once_in_so_many_turns(every):
    turns = [wants_needed(4, "ann", done, every) for done in range(3000)]
    spread = math.sqrt(3000 * (1 / every) * (1 - 1 / every))
    assert abs(sum(turns) - 3000 / every) <= 4 * spread
    after = [later for now, later in itertools.pairwise(turns) if now]  # one turn tells nothing of the next
    assert abs(np.mean(after) - 1 / every) <= 4 * spread / math.sqrt(len(after) * 3000)


def test_a_random_turn_takes_the_first_in_order_whatever_is_needed():
    tasks = [
        TaskCandidate(1, 0.9, 30, 1),
        TaskCandidate(2, 0.0, 20, 0),
        TaskCandidate(3, 0.5, 10, 0, frozenset({8})),
    ]
    assert choose(tasks, False, 8) == tasks[1]
    assert choose(tasks, False, 9) == tasks[2]


def test_a_needed_turn_takes_priority_then_what_is_begun_then_the_less_shared_then_order():
    low, untouched = TaskCandidate(1, 0.4, 1, 1), TaskCandidate(2, 0.9, 2, 0)
    with_five, with_six = (
        TaskCandidate(3, 0.9, 3, 1, frozenset({5})),
        TaskCandidate(4, 0.9, 4, 1, frozenset({6})),
    )
    assert choose([low, untouched], True, 8) == untouched
    assert choose([low, untouched, with_five, with_six], True, 8) == with_five
    assert choose([low, untouched, with_five, with_six], True, 8, {5: 3, 6: 1}) == with_six
    assert choose([with_five], True, 5) is None
    assert choose([], False, 5) is None


def test_a_tie_break_is_wanted_where_the_first_answers_differ():
    assert answers_wanted([], 2, 1) == 2
    assert answers_wanted(["first"], 2, 1) == 2
    assert answers_wanted(["first", "first"], 2, 1) == 2
    assert answers_wanted(["first", "tie"], 2, 1) == 3
    assert answers_wanted(["first", "tie", "first"], 2, 1) == 3
    assert answers_wanted(["first", "first", "tie"], 2, 1) == 2  # one more than asked for changes nothing
    assert answers_wanted([None, None], 2, 1) == 2  # spans never agree to the character
    assert answers_wanted(["first", "second"], 2, 0) == 2


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=30))
def test_the_prefix_is_the_longest_settled_one(told):
    tasks = [(task_id, order, settled) for task_id, (order, settled) in enumerate(told)]
    prefix = measured_prefix(tasks)
    in_order = sorted(tasks, key=lambda task: (task[1], task[0]))
    assert list(prefix) == [task_id for task_id, *_ in in_order[: len(prefix)]]
    assert all(settled for *_, settled in in_order[: len(prefix)])
    assert len(prefix) == len(tasks) or not in_order[len(prefix)][2]


def test_the_prefix_is_unbiased_while_all_labels_so_far_are_not():
    """A fifth of the tasks are disputed and come first every other turn; of those `first` wins 30 %."""
    rng = np.random.default_rng(5)
    prefix_means, labelled_means, truths = [], [], []
    for seed in range(120):
        disputed = rng.random(250) < 0.2
        outcome = rng.random(250) < np.where(disputed, 0.3, 0.8)
        orders = [random_order(seed, f"task {task}") for task in range(250)]
        left = [TaskCandidate(task, float(disputed[task]), orders[task], 0) for task in range(250)]
        for done in range(80):
            left.remove(choose(left, wants_needed(seed, "ann", done, 2), 1))
        answered = set(range(250)) - {one.task_id for one in left}
        prefix = measured_prefix([(task, orders[task], task in answered) for task in range(250)])
        prefix_means.append(outcome[list(prefix)].mean())
        labelled_means.append(outcome[sorted(answered)].mean())
        truths.append(outcome.mean())
    off = np.array(prefix_means) - truths
    error = off.std(ddof=1) / math.sqrt(len(off))
    assert abs(off.mean()) < 3 * error < 0.025
    assert np.mean(np.array(labelled_means) - truths) < -0.1
