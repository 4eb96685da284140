"""Accuracy against N by brute force over all subsets, by closed forms, and over prompts and seeds."""

import time
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.errors import ConfigError
from rewards.evaluation.accuracy import PromptSamples, accuracy_curve
from rewards.intervals import Resampling

FEW = Resampling(resamples=20)
ALL = 1000
"""Subsets enough that all of a small pool are counted."""


def prompt(correct, answers=None, **scores):
    return PromptSamples(
        np.array(correct, dtype=float),
        {name: np.array(values, dtype=float) for name, values in scores.items()},
        None if answers is None else np.array(answers),
    )


def method(curve, name):
    return next(one for one in curve.methods if one.name == name)


def vote(one, subset, weights):
    """How right the winners of a vote are on average, an answer being as right as its samples."""
    sums = {}
    for index in subset:
        if one.answers[index] >= 0:
            answer = int(one.answers[index])
            sums[answer] = sums.get(answer, 0) + weights[index]
    winners = [answer for answer, held in sums.items() if np.isclose(held, max(sums.values()), atol=1e-12)]
    return np.mean([one.correct[one.answers == answer].mean() for answer in winners]) if winners else 0.0


def best(one, subset, scores):
    top = max(scores[index] for index in subset)
    return np.mean([one.correct[index] for index in subset if scores[index] == top])


POOLS = st.integers(1, 6).flatmap(
    lambda count: st.lists(
        st.tuples(
            st.lists(st.booleans(), min_size=count, max_size=count),
            st.lists(st.integers(-1, 3), min_size=count, max_size=count),
            st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75]), min_size=count, max_size=count),
        ),
        min_size=1,
        max_size=3,
    )
)


@settings(deadline=None, max_examples=60)
@given(POOLS)
def test_every_method_is_its_mean_over_all_subsets(pools):
    prompts = [prompt(correct, answers, prm=scores) for correct, answers, scores in pools]
    count = len(pools[0][0])
    curve = accuracy_curve(prompts, range(1, count + 1), ALL, FEW)
    ways = {
        "best-of-n prm": lambda one, subset: best(one, subset, one.scores["prm"]),
        "weighted-majority prm": lambda one, subset: vote(one, subset, one.scores["prm"]),
        "majority": lambda one, subset: vote(one, subset, np.ones(count)),
        "pass": lambda one, subset: float(any(one.correct[index] for index in subset)),
    }
    assert [one.name for one in curve.methods] == list(ways)
    for name, way in ways.items():
        found = method(curve, name)
        assert (found.subset_error == 0).all()
        for place, size in enumerate(curve.n):
            subsets = list(combinations(range(count), size))
            expected = np.mean([way(one, subset) for one in prompts for subset in subsets])
            assert found.accuracy[place] == pytest.approx(expected, abs=1e-12)
    assert curve.mean == pytest.approx(np.mean([one.correct.mean() for one in prompts]))


def test_random_subsets_agree_with_all_of_them_within_their_error():
    rng = np.random.default_rng(0)
    prompts = []
    for _ in range(40):
        answers = rng.integers(0, 4, 9)
        prompts.append(prompt(answers == 0, answers, prm=rng.random(9)))
    exact, drawn = (accuracy_curve(prompts, [3, 5], subsets, FEW) for subsets in (ALL, 60))
    for name in ("majority", "weighted-majority prm"):
        error = method(drawn, name).subset_error
        assert ((error > 0.001) & (error < 0.02)).all()
        np.testing.assert_array_less(
            np.abs(method(drawn, name).accuracy - method(exact, name).accuracy), 3.5 * error
        )
    assert (method(drawn, "pass").accuracy == method(exact, "pass").accuracy).all()


def test_the_order_of_samples_decides_nothing():
    # All right answers first: votes that break ties by order, or draw the same samples for all, would gain.
    answers = np.repeat([0, 1], 8)
    curve = accuracy_curve(
        [prompt(answers == 0, answers, prm=np.full(16, 0.5))] * 200, [1, 2, 4, 16], 64, FEW
    )
    for name in ("best-of-n prm", "majority", "weighted-majority prm"):
        np.testing.assert_allclose(method(curve, name).accuracy, 0.5, atol=0.02)
    assert method(curve, "majority").accuracy[-1] == 0.5


def test_weights_are_scores_in_0_to_1_and_else_their_sigmoid():
    # Two wrong votes of weight w against a right one of weight v: right wins if v > 2 w.
    inside = accuracy_curve([prompt([1, 0, 0], [0, 1, 1], a=[0.9, 0.4, 0.4])], [3], 1, FEW)
    assert (inside.weights, inside.weightless) == ({"a": "as they are"}, {"a": 0})
    assert method(inside, "weighted-majority a").accuracy[0] == 1
    outside = accuracy_curve([prompt([1, 0, 0], [0, 1, 1], a=[1.1, 0.4, 0.4])], [3], 1, FEW)
    assert outside.weights == {"a": "sigmoid"}  # 0.75 against 2 x 0.6
    assert method(outside, "weighted-majority a").accuracy[0] == 0
    assert method(outside, "best-of-n a").accuracy[0] == 1
    # The rule is one for all prompts, and weights of exactly 0 share the vote.
    low = accuracy_curve([prompt([1, 0], [0, 1], a=[-2000, -3000])], [2], 1, FEW)
    assert low.weightless == {"a": 2}
    assert method(low, "weighted-majority a").accuracy[0] == 0.5


def test_very_low_scores_still_weigh_differently():
    found = accuracy_curve([prompt([1, 0, 0], [0, 1, 1], a=[-100, -101, -101])], [3], 1, FEW)
    assert method(found, "weighted-majority a").accuracy[0] == 1  # e^-100 > 2 e^-101


def test_pass_at_n_is_exact_where_binomials_overflow():
    curve = accuracy_curve([prompt([1] + [0] * 1999)], [1, 1000, 2000], 1, FEW)
    assert method(curve, "pass").accuracy == pytest.approx([1 / 2000, 1 / 2, 1], abs=1e-15)


def test_differences_are_paired_over_prompts():
    rng = np.random.default_rng(1)
    prompts = []
    for _ in range(150):
        right = rng.random(8) < rng.random()
        noise = rng.normal(size=8)
        # The second scorer is the first but for a little noise, so that only pairing can tell them apart.
        prompts.append(prompt(right, right.astype(int), a=right + noise, b=0.5 * right + noise))
    curve = accuracy_curve(prompts, [1, 8], 16, Resampling(resamples=500))
    pairs = {(one.first, one.second): one for one in curve.differences}
    assert set(pairs) == {
        ("best-of-n a", "best-of-n b"),
        ("best-of-n a", "majority"),
        ("best-of-n b", "majority"),
        ("weighted-majority a", "weighted-majority b"),
        ("weighted-majority a", "majority"),
        ("weighted-majority b", "majority"),
        ("best-of-n a", "weighted-majority a"),
        ("best-of-n b", "weighted-majority b"),
    }
    one = pairs["best-of-n a", "best-of-n b"]
    a, b = method(curve, "best-of-n a"), method(curve, "best-of-n b")
    assert one.difference == pytest.approx(a.accuracy - b.accuracy)
    assert one.difference[0] == pytest.approx(0)
    assert one.low[1] > 0
    assert one.high[1] - one.low[1] < a.high[1] - a.low[1]
    assert (a.low < a.accuracy).all()
    assert (a.accuracy < a.high).all()


def test_prompts_may_have_different_numbers_of_samples():
    prompts = [
        prompt([1, 0], [0, 1], a=[0.9, 0.1]),
        prompt([0, 1, 0, 0], [0, 1, 0, 2], a=[0.1, 0.9, 0.2, 0.3]),
    ]
    curve = accuracy_curve(prompts, [1, 2], ALL, FEW)
    # The second prompt's best of 2 is right in 3 of 6 subsets.
    assert method(curve, "best-of-n a").accuracy == pytest.approx([(1 / 2 + 1 / 4) / 2, (1 + 1 / 2) / 2])
    with pytest.raises(ConfigError, match=r"\[1, 2\]"):
        accuracy_curve(prompts, [3], ALL, FEW)


def test_a_prompts_draws_do_not_depend_on_the_other_prompts():
    rng = np.random.default_rng(2)
    pool = [prompt(rng.random(12) < 0.5, rng.integers(0, 5, 12)) for _ in range(6)]
    together = method(accuracy_curve(pool, [5], 8, FEW), "majority").accuracy[0]
    first = method(accuracy_curve(pool[:3], [5], 8, FEW), "majority").accuracy[0]
    padded = [*pool[:3], *[prompt([0] * 12, [-1] * 12)] * 3]
    assert method(accuracy_curve(padded, [5], 8, FEW), "majority").accuracy[0] == pytest.approx(first / 2)
    assert together == method(accuracy_curve(pool, [5], 8, FEW), "majority").accuracy[0]


def test_one_prompt_has_no_intervals_and_rows_without_answers_no_votes():
    curve = accuracy_curve([prompt([1, 0], a=[1, 0])], [1, 2], 1, FEW)
    assert [one.name for one in curve.methods] == ["best-of-n a", "pass"]
    assert all(np.isnan(one.low).all() and np.isnan(one.high).all() for one in curve.methods)
    assert curve.weights == {}


@pytest.mark.parametrize(
    ("prompts", "sizes"),
    [
        ([], [1]),
        ([prompt([1])], []),
        ([prompt([1])], [0]),
        ([prompt([0.5])], [1]),
        ([prompt([1], a=[np.nan])], [1]),
        ([prompt([1, 0], a=[0.5])], [1]),
        ([prompt([1], [0]), prompt([1])], [1]),
        ([prompt([1], a=[1]), prompt([1], b=[1])], [1]),
    ],
)
def test_samples_that_do_not_fit_are_refused(prompts, sizes):
    with pytest.raises(ConfigError):
        accuracy_curve(prompts, sizes, 4, FEW)


def test_a_large_pool_takes_seconds():
    rng = np.random.default_rng(3)
    prompts = []
    for _ in range(201):
        answers = rng.integers(0, 60, 256)
        prompts.append(prompt(answers == 0, answers, prm=rng.random(256), orm=rng.random(256)))
    begun = time.process_time()
    accuracy_curve(prompts, [2**power for power in range(9)], 64, Resampling())
    assert time.process_time() - begun < 10  # about 1.5 s where nothing else runs
