from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, permutation_test, ttest_rel

from judges.statistics.paired import paired_difference, rank_systems
from judges.statistics.significance import holm, sign_flip_test, sign_test
from rewards.errors import ConfigError
from rewards.intervals import Resampling

QUICK = Resampling(resamples=50)
nan = np.nan

on_grid = st.sampled_from([-1.0, -0.75, -0.5, -1 / 3, 0.0, 0.25, 0.5, 1.0])
anywhere = st.floats(-1, 1, allow_subnormal=False).map(lambda value: round(value, 4))


def all_signs(differences):
    """The sign-flip test by trying every sign, as its definition says."""
    sums = np.array([np.dot(signs, differences) for signs in product([-1, 1], repeat=len(differences))])
    return np.mean(np.abs(sums) >= abs(np.sum(differences)) - 1e-9)


@given(st.lists(st.one_of(on_grid, anywhere), max_size=9))
def test_the_sign_flip_test_is_the_share_of_all_signs(differences):
    assert sign_flip_test(differences) == pytest.approx(all_signs(differences), abs=1e-12)


def test_the_grid_reaches_chances_that_no_sampling_does():
    assert sign_flip_test([0.5] * 100) == 2.0**-99
    # 60 wins and 5 losses of the same size are the sign test.
    assert sign_flip_test([0.37] * 60 + [-0.37] * 5) == pytest.approx(binomtest(5, 65).pvalue, rel=1e-9)


def test_the_sign_flip_test_is_scipys_permutation_test():
    generator = np.random.default_rng(0)
    differences = generator.choice([-1, -0.5, 0, 0.5, 1, 1], 40)
    sampled = permutation_test(
        (differences, np.zeros(40)),
        lambda one, other, axis: (one - other).mean(axis=axis),
        permutation_type="samples",
        n_resamples=20000,
        rng=1,
    )
    assert sign_flip_test(differences) == pytest.approx(sampled.pvalue, abs=0.012)


def test_many_differences_off_the_grid_have_no_exact_test():
    assert sign_flip_test(np.random.default_rng(0).normal(size=40)) is None


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sign_test_is_the_binomial_test(better, worse):
    expected = binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert sign_test(better, worse) == pytest.approx(expected)


def test_mcnemar_by_hand():
    # 10 prompts only the first gets right, 3 only the second: 2 * (1 + 13 + 78 + 286) / 2^13.
    right = [[1, 0]] * 10 + [[0, 1]] * 3 + [[1, 1]] * 20 + [[0, 0]] * 7
    result = paired_difference(*np.array(right, dtype=float).T, resampling=QUICK)
    assert result.sign_test == pytest.approx(2 * 378 / 8192)
    assert result.p_value == pytest.approx(result.sign_test)  # all differences are of one size
    assert (result.better, result.worse, result.n) == (10, 3, 40)
    assert result.difference == pytest.approx(7 / 40)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert list(holm([])) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.999))
def test_holm_refuses_step_by_step(p_values, alpha):
    rejected, order = set(), sorted(range(len(p_values)), key=p_values.__getitem__)
    for place, index in enumerate(order):
        if p_values[index] * (len(p_values) - place) > alpha:
            break
        rejected.add(index)
    assert {index for index, value in enumerate(holm(p_values)) if value <= alpha} == rejected


def test_without_an_exact_test_it_is_the_paired_t_test():
    generator = np.random.default_rng(2)
    first, second = generator.random((2, 50))
    result = paired_difference(first + 0.1, second, resampling=Resampling(resamples=4000))
    expected = ttest_rel(first + 0.1, second)
    low, high = expected.confidence_interval()
    assert result.test == "t"
    assert result.p_value == pytest.approx(expected.pvalue)
    assert (result.low, result.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


def test_only_rows_that_both_have_are_compared():
    result = paired_difference([1, 1, nan, 0.5, nan], [0, nan, 1, 0.5, nan], list("aabbb"), QUICK)
    assert (result.n, result.missing, result.prompts) == (2, 3, 2)
    assert result.difference == pytest.approx(0.5)
    assert (result.better, result.worse) == (1, 0)


def test_copies_of_a_prompt_make_nothing_significant():
    generator = np.random.default_rng(3)
    first, second = generator.integers(0, 2, (2, 30)).astype(float)
    once = paired_difference(first, second, resampling=QUICK)
    often = paired_difference(np.repeat(first, 5), np.repeat(second, 5), np.repeat(range(30), 5), QUICK)
    assert often.p_value == pytest.approx(once.p_value)
    assert (often.low, often.high) == (pytest.approx(once.low), pytest.approx(once.high))


@given(st.lists(st.tuples(on_grid, on_grid, st.integers(0, 5)), min_size=1, max_size=25))
def test_exchanging_two_systems_mirrors_the_result(drawn):
    first, second, prompts = zip(*drawn, strict=True)
    one = paired_difference(first, second, prompts, QUICK)
    other = paired_difference(second, first, prompts, QUICK)
    assert one.difference == pytest.approx(-other.difference)
    assert (one.p_value, one.sign_test) == pytest.approx((other.p_value, other.sign_test))
    assert (one.low is None) == (other.low is None)
    if one.low is not None:
        assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))


def test_systems_without_a_difference_are_told_apart_as_rarely_as_alpha_says():
    generator = np.random.default_rng(5)
    false_calls, covered, repetitions = 0, 0, 500
    for seed in range(repetitions):
        shared = np.repeat(generator.normal(size=40), 2)
        first, second = ((shared + generator.normal(size=80) > 0).astype(float) for _ in range(2))
        prompts = np.repeat(np.arange(40), 2)
        result = paired_difference(first, second, prompts, Resampling(resamples=300, seed=seed))
        false_calls += result.p_value <= 0.05
        covered += result.low <= 0 <= result.high
    assert 0.01 <= false_calls / repetitions <= 0.08
    assert 0.92 <= covered / repetitions <= 0.98


def ladder(gaps, rows=300, seed=0):
    """Right answers of systems whose chance falls from one to the next by a gap."""
    generator = np.random.default_rng(seed)
    hardness = generator.random(rows) * 0.2
    chances = 0.8 - np.cumsum([0, *gaps])
    return np.array([(generator.random(rows) < chance - hardness).astype(float) for chance in chances])


def test_a_ranking_says_who_is_tied():
    values = ladder([0.0, 0.4, 0.0])
    ranking = rank_systems(values, ["a", "b", "c", "d"], resampling=QUICK)
    assert [set(group) for group in ranking.groups] == [{"a", "b"}, {"c", "d"}]
    assert {place.system for place in ranking.places if place.tied_with_best} == {"a", "b"}
    assert [(place.highest_rank, place.lowest_rank) for place in ranking.places] == [(1, 2)] * 2 + [
        (3, 4)
    ] * 2
    assert len(ranking.pairs) == 6
    assert [place.mean for place in ranking.places] == sorted((row.mean() for row in values), reverse=True)
    raw = [pair.p_value for pair in ranking.pairs]
    assert [pair.adjusted for pair in ranking.pairs] == pytest.approx(list(holm(raw)))


def test_groups_may_overlap_where_neighbours_are_tied_and_ends_are_not():
    # Six prompts between neighbours, p = 2 / 2^6, times 2 after the pair of twelve, p = 2 / 2^12, times 3.
    values = np.repeat([[1, 1, 1], [1, 1, 0], [1, 0, 0]], [8, 6, 6], axis=1)
    ranking = rank_systems(values, ["a", "b", "c"], resampling=QUICK)
    assert sorted(pair.adjusted for pair in ranking.pairs) == [6 / 4096, 4 / 64, 4 / 64]
    assert ranking.groups == (("a", "b"), ("b", "c"))
    assert [(place.highest_rank, place.lowest_rank) for place in ranking.places] == [(1, 2), (1, 3), (2, 3)]
    assert [place.tied_with_best for place in ranking.places] == [True, True, False]


@given(st.permutations(range(4)), st.integers(0, 20))
def test_the_order_in_which_systems_are_given_does_not_matter(order, seed):
    values, names = ladder([0.1, 0.0, 0.1], rows=60, seed=seed), np.array(["a", "b", "c", "d"])
    one = rank_systems(values, list(names), resampling=QUICK)
    other = rank_systems(values[list(order)], list(names[list(order)]), resampling=QUICK)
    assert one.places == other.places
    assert one.groups == other.groups


def test_systems_that_are_alike_are_all_tied():
    ranking = rank_systems(np.tile([1.0, 0.0, 0.5], (3, 1)), ["x", "y", "z"], resampling=QUICK)
    assert ranking.groups == (("x", "y", "z"),)
    assert {pair.p_value for pair in ranking.pairs} == {1.0}
    assert all(pair.low is None for pair in ranking.pairs)


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        ([[1, 0]], ["a"], "two systems"),
        ([[1, 0], [0, 1]], ["a", "a"], "name of its own"),
        ([[1, 0], [0, 1]], ["a", "b", "c"], "name of its own"),
        ([[1, 0], [nan, nan]], ["a", "b"], "b has no values"),
        ([[1, nan], [nan, 1]], ["a", "b"], "no row that both"),
        ([[1, np.inf], [0, 1]], ["a", "b"], "a is one finite value"),
    ],
)
def test_systems_that_cannot_be_compared_are_refused(values, names, message):
    with pytest.raises(ConfigError, match=message):
        rank_systems(values, names, resampling=QUICK)


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="share rows"):
        paired_difference([1, 0], [1])
    with pytest.raises(ConfigError, match="alpha"):
        rank_systems([[1, 0], [0, 1]], ["a", "b"], alpha=0)
    with pytest.raises(ConfigError):
        holm([0.2, nan])
    with pytest.raises(ConfigError):
        sign_test(-1, 2)
