import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from judges.statistics.bradley_terry import bradley_terry
from judges.statistics.pair_sums import read_contests
from judges.statistics.strength_ranks import prior_covariance, rank_strengths
from judges.statistics.style import count_differences, style_differences, style_of
from rewards.errors import ConfigError


def test_holm_and_ranks_worked_by_hand():
    # Independent strengths with variance 0.5: every difference has a standard error of 1.
    found = rank_strengths(["c", "a", "b", "d"], [0.0, 5.0, 2.2, -4.0], 0.5 * np.eye(4), 10_001)
    assert [place.system for place in found.places] == ["a", "b", "c", "d"]
    p_values = {(pair.first, pair.second): pair.p_value for pair in found.pairs}
    assert p_values["b", "c"] == pytest.approx(2 * student.sf(2.2, 10_000))
    # Differences 9, 6.2, 5, 4, 2.8 and 2.2: the smallest p-value times 6, the next times 5, and so on.
    adjusted = {(pair.first, pair.second): pair.adjusted for pair in found.pairs}
    assert adjusted["a", "b"] == pytest.approx(2 * p_values["a", "b"])
    assert adjusted["b", "c"] == pytest.approx(p_values["b", "c"])
    ranks = {place.system: (place.highest_rank, place.lowest_rank) for place in found.places}
    assert ranks == {"a": (1, 1), "b": (2, 2), "c": (3, 3), "d": (4, 4)}
    assert found.groups == (("a",), ("b",), ("c",), ("d",))


def test_ties_overlap_where_neighbours_do_not_differ():
    found = rank_strengths(["a", "b", "c"], [1.5, 0.0, -1.5], 0.5 * np.eye(3), 10_001)
    assert found.groups == (("a", "b"), ("b", "c"))  # 3 standard errors tell a from c, 1.5 nobody
    assert [(place.highest_rank, place.lowest_rank) for place in found.places] == [(1, 2), (1, 3), (2, 3)]
    assert [place.tied_with_best for place in found.places] == [True, True, False]


@pytest.mark.parametrize(("spread", "prompts"), [(0.0, 50), (float("nan"), 1)])
def test_a_difference_that_prompts_tell_nothing_of_is_no_difference(spread, prompts):
    found = rank_strengths(["a", "b"], [1.0, -1.0], np.full((2, 2), spread), prompts)
    (pair,) = found.pairs
    assert (pair.standard_error, pair.p_value, pair.adjusted, pair.differs) == (None, None, None, False)
    assert found.groups == (("a", "b"),)


def test_equal_systems_are_told_apart_no_more_often_than_alpha():
    generator, systems, told = np.random.default_rng(0), ["a", "b", "c", "d"], 0
    for _ in range(400):
        first, second = generator.integers(0, 4, 300), generator.integers(1, 4, 300)
        second = (first + second) % 4
        prompts = np.repeat(np.arange(100), 3)
        tilt = np.repeat(generator.normal(0, 1.5, (100, 4)), 3, axis=0)  # each prompt favours some system
        rows = np.arange(300)
        chance = 1 / (1 + np.exp(tilt[rows, second] - tilt[rows, first]))
        fit = bradley_terry(
            first, second, (generator.random(300) < chance).astype(float), prompts, resamples=0
        )
        ranks = rank_strengths(systems, fit.strengths, fit.covariance, fit.prompts)
        told += any(pair.differs for pair in ranks.pairs)
    assert told <= 400 * 0.05 + 2.6 * np.sqrt(400 * 0.05 * 0.95)


def test_a_prior_never_makes_a_few_wins_significant():
    # Worked by hand for five wins of five: 0.119 of the sandwich and 0.357 of the prior.
    rows = ["a"] * 5, ["b"] * 5, [1.0] * 5
    fit = bradley_terry(*rows, prior=1.0, resamples=0)
    added = prior_covariance(fit, read_contests(*rows, None))
    without = rank_strengths(fit.systems, fit.strengths, fit.covariance, 5).pairs[0]
    pair = rank_strengths(fit.systems, fit.strengths, fit.covariance + added, 5).pairs[0]
    assert without.standard_error**2 == pytest.approx(0.119, abs=1e-3)
    assert pair.standard_error**2 - without.standard_error**2 == pytest.approx(0.357, abs=1e-3)
    assert without.differs
    assert not pair.differs
    unpulled = bradley_terry(["a", "a", "a"], ["b"] * 3, [1.0, 1.0, 0.0], resamples=0)
    assert not prior_covariance(unpulled, read_contests(["a"] * 3, ["b"] * 3, [1, 1, 0], None)).any()


def test_errors_cover_strengths_that_are_drawn_from_the_prior():
    generator, wrong, reach = np.random.default_rng(1), 0, []
    for _ in range(400):
        strengths = generator.normal(0, 1, 2)
        chance = 1 / (1 + np.exp(strengths[1] - strengths[0]))
        rows = ["a"] * 12, ["b"] * 12, (generator.random(12) < chance).astype(float)
        fit = bradley_terry(*rows, prior=1.0, resamples=0)
        covariance = fit.covariance + prior_covariance(fit, read_contests(*rows, None))
        error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
        reach.append(abs(fit.strengths[0] - fit.strengths[1] - strengths[0] + strengths[1]) / error)
        wrong += reach[-1] > norm.ppf(0.975)
    assert wrong <= 400 * 0.05 + 2.6 * np.sqrt(400 * 0.05 * 0.95)


@pytest.mark.parametrize(
    ("strengths", "covariance", "alpha"),
    [([1.0], np.eye(2), 0.05), ([1.0, 2.0], np.eye(3), 0.05), ([1.0, 2.0], np.eye(2), 1.0)],
)
def test_what_does_not_fit_is_refused(strengths, covariance, alpha):
    with pytest.raises(ConfigError):
        rank_strengths(["a", "b"], strengths, covariance, 10, alpha)


def test_counts_of_style_differ_as_their_texts_do():
    first, second = ["# a\n- **b** c d", "e"], ["f g", "# h"]
    counts = [[style_of(text) for text in texts] for texts in (first, second)]
    for name, values in style_differences(first, second).items():
        np.testing.assert_array_equal(count_differences(*counts)[name], values)
    unknown = count_differences([[np.nan] * 5], [[1, 1, 0, 0, 0]])
    assert all(np.isnan(values).all() for values in unknown.values())
