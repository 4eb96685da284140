"""Best of n and votes against brute force, closed forms and published figures."""

import json
import math
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import ConfigError
from rewards.selection import (
    best_of_n,
    best_of_n_kl,
    best_of_n_weights,
    count_ties_at_cut,
    expected_best_of_n,
    expected_best_of_n_batch,
    majority_vote,
    weighted_vote,
)

MATH = Path(__file__).parents[3] / ".." / "shared" / "data" / "qwen25math-bon8" / "math_cot_100.jsonl"


def brute_force(proxy: list[float], value: list[float], n: int) -> float:
    """Mean over all subsets of the mean value of the subset's best."""
    subsets = list(combinations(range(len(proxy)), n))
    total = 0.0
    for subset in subsets:
        top = max(proxy[i] for i in subset)
        best = [value[i] for i in subset if proxy[i] == top]
        total += sum(best) / len(best)
    return total / len(subsets)


# --------------------------------------------------------------------------------- expected best of n


def test_expected_best_of_n_gives_the_hand_worked_numbers():
    proxy, gold = [0, 1, 2, 3, 4], [5, 1, 3, 2, 0]
    assert expected_best_of_n(proxy, gold, [1, 2, 3, 5]) == pytest.approx([2.2, 1.3, 0.9, 0.0])
    assert expected_best_of_n(proxy, proxy, [1, 2, 3, 5]) == pytest.approx([2.0, 3.0, 3.5, 4.0])


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5)), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_expected_best_of_n_is_the_mean_over_all_subsets_with_ties(pairs, random):
    proxy, value = [float(p) for p, _ in pairs], [float(v) for _, v in pairs]
    sizes = list(range(1, len(pairs) + 1))
    random.shuffle(sizes)
    expected = [brute_force(proxy, value, n) for n in sizes]
    assert expected_best_of_n(proxy, value, sizes) == pytest.approx(expected, abs=1e-12)


def test_expected_best_of_n_knows_the_maximum_of_uniforms():
    # E[max of n uniforms] = n / (n + 1); on the grid i/(N+1) the estimator gives it exactly.
    grid = np.arange(1, 1001) / 1001
    sizes = [1, 2, 5, 100, 1000]
    assert expected_best_of_n(grid, grid, sizes) == pytest.approx([n / (n + 1) for n in sizes], rel=1e-12)
    sample = np.random.default_rng(3).random((400, 64))
    means = expected_best_of_n_batch(sample, sample, [1, 4, 16]).mean(axis=0)
    assert means == pytest.approx([1 / 2, 4 / 5, 16 / 17], abs=0.006)


def test_expected_best_of_n_does_not_depend_on_the_order_of_tied_samples():
    proxy, value = [1.0, 1.0, 1.0, 0.0], [True, False, False, True]
    # The best of all four is any of the three tied: one right of three.
    assert expected_best_of_n(proxy, value, [4])[0] == pytest.approx(1 / 3)
    assert expected_best_of_n(proxy[::-1], value[::-1], [2, 4]) == pytest.approx(
        expected_best_of_n(proxy, value, [2, 4])
    )


def test_an_infinite_proxy_is_only_the_first_or_last():
    assert expected_best_of_n([-math.inf, -math.inf, 0.5], [False, True, True], [1, 3]) == pytest.approx(
        [2 / 3, 1.0]
    )


@pytest.mark.parametrize("n", [1, 2, 3, 1000, 59_999, 60_000])
def test_weights_of_60000_samples_are_stable(n):
    samples = 60_000
    weights = best_of_n_weights(samples, n)
    assert np.isfinite(weights).all()
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1, abs=1e-11)
    for i in (n, samples - 5 if samples - 5 >= n else samples, samples):  # 1-based ranks
        # C(i-1, n-1) / C(N, n) = n / N * prod_{j=i}^{N-1} (j + 1 - n) / j, as an exact fraction
        exact = Fraction(n, samples)
        if samples - i <= 100:
            for j in range(i, samples):
                exact *= Fraction(j + 1 - n, j)
        else:
            exact = Fraction(1, math.comb(samples, n)) if n <= 3 else Fraction(0)
        assert weights[i - 1] == pytest.approx(float(exact), rel=1e-10, abs=1e-300)


def test_weights_agree_with_exact_binomials():
    for samples, n in ((1, 1), (7, 3), (300, 40)):
        exact = [
            float(Fraction(math.comb(i - 1, n - 1), math.comb(samples, n))) for i in range(1, samples + 1)
        ]
        assert best_of_n_weights(samples, n) == pytest.approx(exact, rel=1e-12)


def test_60000_samples_keep_a_constant_and_rise_with_n():
    proxy = np.random.default_rng(0).normal(size=60_000)
    sizes = [1, 2, 10, 1000, 30_000, 60_000]
    assert expected_best_of_n(proxy, np.full(60_000, 7.0), sizes) == pytest.approx([7.0] * 6, rel=1e-11)
    climb = expected_best_of_n(proxy, proxy, sizes)
    assert (np.diff(climb) > 0).all()
    assert climb[0] == pytest.approx(proxy.mean())
    assert climb[-1] == proxy.max()


def test_batch_is_the_single_estimate_of_each_row():
    rng = np.random.default_rng(1)
    proxy, value = rng.integers(0, 5, (6, 20)), rng.normal(size=(6, 20))
    sizes = [1, 3, 20]
    rows = [expected_best_of_n(p, v, sizes) for p, v in zip(proxy, value, strict=True)]
    np.testing.assert_allclose(expected_best_of_n_batch(proxy, value, sizes), rows, rtol=1e-13)


@pytest.mark.skipif(not MATH.exists(), reason=f"needs {MATH.name} of the shared data, which is not here")
def test_published_best_of_8_and_majority_on_math():
    rows = [json.loads(line) for line in MATH.read_text(encoding="utf-8").splitlines()]
    proxy = [[score for (score,) in row["pred_score"]] for row in rows]
    right = [row["score"] for row in rows]
    curve = 100 * expected_best_of_n_batch(proxy, right, [1, 2, 4, 8]).mean(axis=0)
    assert np.round(curve, 3).tolist() == [91.0, 92.786, 93.614, 94.0]
    voted = [
        flags[answers.index(majority_vote(answers))]
        for answers, flags in zip((row["pred"] for row in rows), right, strict=True)
    ]
    assert sum(voted) == 93


@pytest.mark.parametrize(
    ("proxy", "value", "n", "said"),
    [
        ([1.0, 2.0], [1.0, 2.0], [3], r"n is in \[1, 2\].*got 3"),
        ([1.0, 2.0], [1.0, 2.0], [0], "got 0"),
        ([1.0, 2.0], [1.0, 2.0], [1.5], "whole number, got 1.5"),
        ([1.0, 2.0], [1.0, 2.0], [True], "whole number, got True"),
        ([1.0, math.nan], [1.0, 2.0], [1], r"proxy is NaN at \[1\]"),
        ([1.0, 2.0], [math.nan, 2.0], [1], r"value is not finite at \[0\]"),
        ([1.0, 2.0], [1.0], [1], r"\[2\] and \[1\]"),
        ([], [], [1], "N of 1 or more"),
    ],
)
def test_expected_best_of_n_refuses_and_names_the_value(proxy, value, n, said):
    with pytest.raises(ConfigError, match=said):
        expected_best_of_n(proxy, value, n)


# ----------------------------------------------------------------------------------------------- KL


def test_best_of_n_kl_gives_the_known_nats():
    known = {
        1: 0.0,
        2: 0.193147,
        4: 0.636294,
        8: 1.204442,
        16: 1.835089,
        64: 3.174508,
        1000: 5.908755,
        12500: 8.433564,
        60000: 10.002117,
    }
    for n, nats in known.items():
        assert best_of_n_kl(n) == pytest.approx(nats, abs=1e-6)


def test_best_of_n_kl_bounds_the_exact_kl_of_a_discrete_policy():
    probabilities = np.array([0.5, 0.3, 0.15, 0.05])  # in rising order of reward
    below = np.concatenate(([0.0], np.cumsum(probabilities)))
    for n in (1, 2, 5, 50):
        best = np.diff(below**n)
        exact = float((best * np.log(best / probabilities)).sum())
        assert exact <= best_of_n_kl(n) + 1e-12


def test_best_of_n_kl_is_nearly_exact_where_responses_are_many():
    below = np.linspace(0, 1, 100_001)
    best = np.diff(below**8)
    exact = float((best * np.log(best * 100_000)).sum())
    assert exact == pytest.approx(best_of_n_kl(8), abs=1e-3)


@pytest.mark.parametrize("n", [0, -1, 2.0, True])
def test_best_of_n_kl_refuses(n):
    with pytest.raises(ConfigError):
        best_of_n_kl(n)


# ---------------------------------------------------------------------------------------- best of n


def test_best_of_n_returns_the_k_best_best_first():
    rewards = [0.1, 3.0, -2.0, 1.5]
    assert best_of_n(rewards).tolist() == [1]
    assert best_of_n(rewards, 3, np.random.default_rng(0)).tolist() == [1, 3, 0]


def test_ties_are_broken_evenly_by_the_generator_and_by_place_without_one():
    rewards = [1.0, 5.0, 5.0, 5.0]
    assert best_of_n(rewards, 2).tolist() == [1, 2]
    rng = np.random.default_rng(0)
    counts = np.bincount([best_of_n(rewards, 1, rng)[0] for _ in range(3000)], minlength=4)
    assert counts[0] == 0
    # Binomial(3000, 1/3): sd 25.8; four of them on either side
    assert (abs(counts[1:] - 1000) < 104).all()


def test_the_same_seed_chooses_the_same():
    rewards = [1.0] * 50
    first = best_of_n(rewards, 10, np.random.default_rng(4)).tolist()
    assert first == best_of_n(rewards, 10, np.random.default_rng(4)).tolist()
    assert first != best_of_n(rewards, 10, np.random.default_rng(5)).tolist()


def test_ties_at_the_cut_count_only_where_chance_decides():
    rewards = [5.0, 4.0, 4.0, 4.0, 1.0]
    assert [count_ties_at_cut(rewards, k) for k in (1, 2, 3, 4, 5)] == [0, 3, 3, 0, 0]


@pytest.mark.parametrize("choose", [best_of_n, count_ties_at_cut])
@pytest.mark.parametrize(
    ("rewards", "k", "said"),
    [
        ([1.0], 2, "got 2"),
        ([1.0], 0, "got 0"),
        ([], 1, "got 1"),
        ([math.nan], 1, "NaN"),
        ([[1.0]], 1, "shape"),
    ],
)
def test_best_of_n_refuses(choose, rewards, k, said):
    with pytest.raises(ConfigError, match=said):
        choose(rewards, k)


# -------------------------------------------------------------------------------------------- votes


def test_majority_counts_votes_and_skips_those_without_an_answer():
    assert majority_vote(["4", "5", "5", None, "", None]) == "5"
    assert majority_vote([None, ""]) is None
    assert majority_vote([]) is None
    assert majority_vote([0, 0, 1]) == 0  # an answer that is false is an answer


def test_a_tied_majority_goes_to_the_heavier_then_to_the_first_seen():
    assert majority_vote(["b", "a", "a", "b"]) == "b"
    assert majority_vote(["b", "a", "a", "b"], [0.1, 0.9, 0.9, 0.1]) == "a"
    assert majority_vote(["b", "a", "b"], [0.1, 0.9, 0.1]) == "b"  # weights never outvote


def test_weighted_vote_sums_weights():
    assert weighted_vote(["a", "a", "a", "b"], [0.2, 0.2, 0.2, 0.7]) == "b"
    assert weighted_vote(["a", "a", "a", "b"], [0.3, 0.3, 0.3, 0.7]) == "a"
    assert weighted_vote([None, "b"], [9.0, 0.1]) == "b"


def test_equal_sums_are_equal_whatever_the_order_of_rounding():
    # 0.1 + 0.2 + 0.3 differs from 0.3 + 0.2 + 0.1 when added left to right.
    assert weighted_vote(["x", "y"] * 3, [0.3, 0.1, 0.2, 0.2, 0.1, 0.3]) == "x"
    assert weighted_vote(["y", "x"] * 3, [0.1, 0.3, 0.2, 0.2, 0.3, 0.1]) == "y"


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(0, 4)), max_size=9),
)
def test_votes_agree_with_counting_by_hand(ballots):
    answers, weights = [a for a, _ in ballots], [float(w) for _, w in ballots]
    seen = list(dict.fromkeys(a for a in answers if a is not None))
    votes = [answers.count(a) for a in seen]
    sums = [sum(w for b, w in ballots if b == a) for a in seen]
    assert majority_vote(answers) == (seen[votes.index(max(votes))] if seen else None)
    assert weighted_vote(answers, weights) == (seen[sums.index(max(sums))] if seen else None)


def test_votes_refuse_bad_weights():
    with pytest.raises(ConfigError, match="2 answers and 1 weights"):
        weighted_vote(["a", "b"], [1.0])
    with pytest.raises(ConfigError, match=r"nan for answer 'a'"):
        weighted_vote(["a"], [math.nan])
