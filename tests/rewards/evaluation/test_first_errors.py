"""First errors and their threshold against brute force and numbers worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import ConfigError
from rewards.evaluation.first_errors import (
    choose_threshold,
    first_error_f1,
    first_error_intervals,
    true_first_error,
)
from rewards.evaluation.mistakes import by_number_of_steps, misses
from rewards.intervals import Resampling
from rewards.solutions.steps import first_error

SOLUTIONS = st.lists(
    st.lists(st.integers(0, 6).map(lambda tenths: tenths / 10), min_size=1, max_size=5).flatmap(
        lambda steps: st.tuples(st.just(steps), st.integers(-1, len(steps) - 1))
    ),
    min_size=2,
    max_size=8,
).filter(lambda pairs: 0 < sum(place < 0 for _, place in pairs) < len(pairs))


def f1_at(scores, truth, threshold):
    return first_error_f1([first_error(steps, threshold) for steps in scores], truth).f1


# ------------------------------------------------------------------------------------- first errors


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ((1, 1, 0, None, None), 2),
        ((0, 1, 1), 0),
        ((1, 1, 1), -1),
        ((1, 0.5, 0.49), 2),
        ((0.5, 1), -1),
        ((1, None, 0), None),  # the unlabelled step may be the first error
        ((1, 1, None), None),
        ((None, None), None),
        ((), None),
    ],
)
def test_the_true_first_error_is_told_only_where_every_step_before_it_has_a_label(labels, expected):
    assert true_first_error(labels) == expected


def test_f1_is_the_harmonic_mean_of_both_accuracies():
    # Erroneous: 2 found of 3. Correct: 1 passed of 2. 2 (2/3) (1/2) / (2/3 + 1/2) = (2/3) / (7/6) = 4/7.
    result = first_error_f1([0, 2, 1, -1, 3], [0, 2, -1, -1, 1])
    assert (result.erroneous, result.found, result.correct, result.passed) == (3, 2, 2, 1)
    assert result.erroneous_accuracy == pytest.approx(2 / 3)
    assert result.correct_accuracy == 0.5
    assert result.f1 == pytest.approx(4 / 7)


def test_f1_is_0_where_both_accuracies_are_and_nothing_where_a_kind_is_missing():
    assert first_error_f1([-1, 0], [0, -1]).f1 == 0
    only_wrong = first_error_f1([1, 2], [1, 1])
    assert (only_wrong.erroneous_accuracy, only_wrong.correct_accuracy, only_wrong.f1) == (0.5, None, None)
    only_right = first_error_f1([-1], [-1])
    assert (only_right.erroneous_accuracy, only_right.correct_accuracy, only_right.f1) == (None, 1, None)
    assert first_error_f1([], []).f1 is None


@pytest.mark.parametrize(
    ("predicted", "truth"), [([0], [0, 1]), ([-2], [0]), ([0.5], [0]), ([[0]], [[0]]), ([True], [0])]
)
def test_what_is_no_index_is_refused(predicted, truth):
    with pytest.raises(ConfigError):
        first_error_f1(predicted, truth)


def test_intervals_resample_prompts_with_all_their_solutions():
    # One prompt with 40 solutions is one draw: repeating a solution makes nothing more certain.
    rng = np.random.default_rng(0)
    truth = rng.integers(-1, 3, 60)
    predicted = np.where(rng.random(60) < 0.6, truth, 5)
    prompts = np.arange(60).astype(str)
    once = first_error_intervals(predicted, truth, prompts, Resampling())
    fourfold = [np.repeat(each, 4) for each in (predicted, truth, prompts)]
    many = first_error_intervals(*fourfold, Resampling())
    assert (once.f1_low, once.f1_high) == pytest.approx((many.f1_low, many.f1_high))
    assert once.f1_low < first_error_f1(predicted, truth).f1 < once.f1_high
    assert once.erroneous.n + once.correct.n == 60


def test_resamples_without_a_kind_have_no_f1_and_are_counted():
    found = first_error_intervals([0, 1, -1], [0, 0, -1], ["a", "b", "c"], Resampling(resamples=500))
    # P(no correct) = (2/3)^3, P(no erroneous) = (1/3)^3: a third of the resamples in all.
    assert found.undefined == pytest.approx(500 / 3, abs=40)
    assert first_error_intervals([0], [0], ["a"], Resampling()).f1_low is None
    assert first_error_intervals([], [], [], Resampling()).erroneous is None


# --------------------------------------------------------------------------------------- threshold


def test_the_threshold_is_the_middle_of_the_best_interval():
    # Right if t is in (0.2, 0.9] (erroneous at 1), (0.4, 1] (erroneous at 0), up to 0.6 (correct).
    choice = choose_threshold([[0.9, 0.2], [0.4, 0.1], [0.6, 0.8]], [1, 0, -1])
    assert (choice.low, choice.high) == (0.4, 0.6)
    assert choice.threshold == pytest.approx(0.5)
    assert choice.result.f1 == 1


def test_an_interval_that_is_open_ends_where_probabilities_do_and_else_at_its_end():
    # Below 0.8 alone everything is right: (0.2, 0.8] and, with logits, (-1, 3].
    assert choose_threshold([[0.2], [0.8]], [0, -1]).threshold == pytest.approx(0.5)
    assert choose_threshold([[-1.0], [3.0]], [0, -1]).threshold == pytest.approx(1.0)
    # No threshold finds the error, so F1 is 0 at every one.
    alike = choose_threshold([[0.9, 0.9], [0.9]], [1, -1])
    assert (alike.threshold, alike.low, alike.high, alike.result.f1) == (0.5, None, None, 0)
    assert choose_threshold([[5.0, 5.0], [5.0]], [1, -1]).threshold == 0


@given(SOLUTIONS)
def test_no_threshold_has_a_higher_f1_than_the_chosen_one(pairs):
    scores, truth = [steps for steps, _ in pairs], [place for _, place in pairs]
    choice = choose_threshold(scores, truth)
    tried = np.arange(-1, 15) / 20
    assert choice.result.f1 == f1_at(scores, truth, choice.threshold)
    assert choice.result.f1 == max(f1_at(scores, truth, threshold) for threshold in tried)
    low = -math.inf if choice.low is None else choice.low
    high = math.inf if choice.high is None else choice.high
    assert low < choice.threshold <= high
    inside = [threshold for threshold in tried if low < threshold <= high]
    assert all(f1_at(scores, truth, threshold) == choice.result.f1 for threshold in inside)


@given(SOLUTIONS, st.floats(0.1, 30), st.floats(-20, 20))
def test_the_predictions_at_the_chosen_threshold_do_not_depend_on_the_scores_scale(pairs, scale, shift):
    scores, truth = [steps for steps, _ in pairs], [place for _, place in pairs]
    moved = [[scale * score + shift for score in steps] for steps in scores]
    assert choose_threshold(moved, truth).result.f1 == choose_threshold(scores, truth).result.f1


@pytest.mark.parametrize(
    ("scores", "truth", "words"),
    [
        ([[0.5]], [0], "got 1 and 0"),
        ([[0.5]], [-1], "got 0 and 1"),
        ([[0.5], [0.5]], [1, -1], "first error 1"),
        ([[math.nan], [0.5]], [0, -1], "finite"),
        ([[], [0.5]], [0, -1], "solution 0"),
        ([[0.5]], [0, -1], "as many"),
    ],
)
def test_what_can_choose_no_threshold_is_refused(scores, truth, words):
    with pytest.raises(ConfigError, match=words):
        choose_threshold(scores, truth)


# ---------------------------------------------------------------------------------- where it is fooled


def test_misses_are_told_apart_by_where_the_first_mark_is():
    scores = [[0.9, 0.1], [0.2, 0.1], [0.9, 0.8, 0.3], [0.9, 0.7], [0.9, 0.8]]
    labels = [[1, 0], [1, 0], [1, 0, None], [1, 0], [1, 1]]
    predicted = [first_error(steps, 0.5) for steps in scores]
    assert predicted == [1, 0, 2, -1, -1]
    found = misses(scores, labels, predicted, [1, 1, 1, 1, -1], [True, True, None, True, True])
    assert (found.exact, found.early, found.late, found.unmarked) == (1, 1, 1, 1)
    assert (found.right_answers, found.right_answers_marked, found.right_answers_exact) == (3, 2, 1)
    assert found.at_first_error == pytest.approx((0.1 + 0.1 + 0.8 + 0.7) / 4)
    assert found.before_first_error == pytest.approx((0.9 + 0.2 + 0.9 + 0.9) / 4)
    assert found.at_right_steps == pytest.approx((0.9 + 0.2 + 0.9 + 0.9 + 0.9 + 0.8) / 6)


def test_nothing_is_said_of_answers_whose_truth_is_not_known():
    found = misses([[0.9]], [[1]], [-1], [-1], [None])
    assert (found.right_answers, found.right_answers_marked, found.at_first_error) == (None, None, None)


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(-1, 3), st.integers(-1, 3)), max_size=40))
def test_ranges_of_steps_part_the_solutions(rows):
    steps, predicted, truth = ([row[i] for row in rows] for i in range(3))
    groups = by_number_of_steps(steps, np.array(predicted, int), np.array(truth, int))
    assert len(groups) <= 5
    assert sum(each.result.erroneous + each.result.correct for each in groups) == len(rows)
    ends = [end for each in groups for end in (each.least, each.most)]
    assert ends == sorted(ends)
    for each in groups:
        inside = [row for row in rows if each.least <= row[0] <= each.most]
        assert each.result == first_error_f1([row[1] for row in inside], [row[2] for row in inside])
