"""Scaling laws: recovery, intervals, and peaks only where the data determine one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.overoptimization.fits import fit_best_of_n, fit_rl, fit_size_trend
from evalkit.overoptimization.kl import best_of_n_distance, distance, n_at_distance
from rewards.errors import ConfigError
from rewards.selection import best_of_n_kl

POWERS = np.array([best_of_n_distance(2**power) for power in range(11)])


@given(alpha=st.floats(0.1, 10), share=st.floats(0.1, 0.9))
def test_best_of_n_is_recovered_with_its_peak(alpha, share):
    beta = alpha / (2 * share * POWERS[-2])  # so that the peak lies at this share of the range
    fit = fit_best_of_n(POWERS, POWERS * (alpha - beta * POWERS))
    assert (fit.alpha, fit.beta) == pytest.approx((alpha, beta))
    assert fit.peak_d == pytest.approx(alpha / (2 * beta))
    assert fit.peak_gold == pytest.approx(alpha**2 / (4 * beta))
    assert fit.r2 == pytest.approx(1)
    assert fit.note == ""


def test_rl_is_recovered_with_its_peak():
    d = np.array([0.0, 0.5, 1, 2, 4, 6, 9])
    gold = [x * (1.2 - 0.8 * math.log(x)) if x else 0.0 for x in d]
    fit = fit_rl(d, gold)
    assert (fit.alpha, fit.beta) == pytest.approx((1.2, 0.8))
    assert fit.peak_d == pytest.approx(math.exp(1.2 / 0.8 - 1))
    assert fit.peak_gold == pytest.approx(0.8 * fit.peak_d)
    np.testing.assert_allclose(fit.predict(d), gold, atol=1e-12)


def test_prediction_keeps_shape_and_begins_at_zero():
    for fit in (fit_best_of_n([1, 2, 3], [1, 1, 0.5]), fit_rl([1, 2, 3], [1, 1, 0.5])):
        assert fit.predict(0.0) == 0
        assert fit.predict([[0, 1], [2, 3]]).shape == (2, 2)


def test_two_points_by_hand():
    # 1 = a - b and 0 = 2a - 4b: a = 2, b = 1; d* = 1, but nothing tells how certain that is.
    fit = fit_best_of_n([1, 2], [1, 0])
    assert (fit.alpha, fit.beta) == pytest.approx((2, 1))
    assert fit.alpha_interval is None
    assert fit.beta_interval is None
    assert fit.peak_d is None
    assert "two points" in fit.note


def test_coefficients_and_intervals_against_the_normal_equations():
    rng = np.random.default_rng(0)
    d, weights = rng.uniform(0.2, 3, 12), rng.uniform(0.1, 2, 12)
    gold = d * (1 - 0.3 * d) + 0.1 * rng.normal(size=12)
    fit = fit_best_of_n(d, gold, weights, level=0.9)
    columns = np.column_stack([d, -d * d])
    inverse = np.linalg.inv(columns.T @ np.diag(weights) @ columns)
    expected = inverse @ columns.T @ (weights * gold)
    variance = weights @ (gold - columns @ expected) ** 2 / 10
    errors = np.sqrt(np.diag(inverse) * variance)
    quantile = 1.8124611228  # Student's t with 10 degrees of freedom at 0.95
    assert (fit.alpha, fit.beta) == pytest.approx(tuple(expected))
    assert fit.alpha_interval == pytest.approx(tuple(expected[0] + quantile * errors[0] * np.array([-1, 1])))
    assert fit.beta_interval == pytest.approx(tuple(expected[1] + quantile * errors[1] * np.array([-1, 1])))
    assert fit.level == 0.9


def test_a_weight_of_two_is_a_point_given_twice_and_zero_is_none():
    d, gold = [0.5, 1, 2, 2.5], [0.4, 0.9, 0.6, 0.1]
    weighted, doubled = (
        fit_best_of_n(d, gold, [1, 2, 1, 0]),
        fit_best_of_n([0.5, 1, 1, 2], [0.4, 0.9, 0.9, 0.6]),
    )
    assert (weighted.alpha, weighted.beta) == pytest.approx((doubled.alpha, doubled.beta))
    assert weighted.points == 3
    scaled = fit_best_of_n(d, gold, [1e200, 2e200, 1e200, 0])
    assert scaled.alpha_interval == pytest.approx(weighted.alpha_interval)


def test_the_start_tells_nothing_of_the_coefficients():
    d, gold = [1, 2, 3], [1, 1.3, 0.7]
    with_start, without = fit_best_of_n([0, 0, *d], [0, 0, *gold]), fit_best_of_n(d, gold)
    assert with_start.beta_interval == without.beta_interval
    assert with_start.points == 3


@pytest.mark.parametrize(
    ("fit", "curve"),
    [
        (fit_best_of_n, lambda d: d * (1 - 0.3 * d)),
        (fit_rl, lambda d: d * (1 - 0.6 * math.log(d))),
    ],
)
def test_intervals_cover_the_truth_at_their_level(fit, curve):
    rng = np.random.default_rng(1)
    d = np.linspace(0.4, 3, 8)
    truth = np.array([curve(x) for x in d])
    beta = 0.3 if fit is fit_best_of_n else 0.6
    runs = 2000
    fits = [fit(d, truth + 0.1 * rng.normal(size=len(d)), level=0.8) for _ in range(runs)]
    error = 4 * math.sqrt(0.8 * 0.2 / runs)
    for name, value in (("alpha_interval", 1.0), ("beta_interval", beta)):
        covered = np.mean([low <= value <= high for low, high in (getattr(one, name) for one in fits)])
        assert covered == pytest.approx(0.8, abs=error)


@pytest.mark.parametrize(
    "curve",
    [
        lambda d: 0.5 * d,
        lambda d: d * (1 - 0.01 * d),
        lambda d: d * (1 - 0.2 * d),
        np.sqrt,
        np.log1p,
        lambda d: 1 - np.exp(-d),
        lambda d: 1 - np.exp(-3 * d),
        lambda d: d**2,
        lambda d: 0 * d,
        lambda d: -d,
    ],
    ids=[
        "line",
        "hardly bent",
        "peak beyond",
        "root",
        "log",
        "saturating",
        "saturated",
        "convex",
        "flat",
        "falling",
    ],
)
def test_what_never_turns_has_no_peak(curve):
    for fit in (fit_best_of_n(POWERS, curve(POWERS)), fit_rl(POWERS, curve(POWERS))):
        assert fit.peak_d is None
        assert fit.peak_gold is None
        assert fit.note


def test_noise_may_hide_a_peak_and_is_said_to():
    rng = np.random.default_rng(2)
    gold = POWERS * (1 - 0.3 * POWERS)
    assert fit_best_of_n(POWERS, gold + 0.01 * rng.normal(size=11)).peak_d == pytest.approx(5 / 3, rel=0.05)
    noisy = fit_best_of_n(POWERS, gold + 0.4 * rng.normal(size=11))
    assert noisy.peak_d is None
    assert "not certain" in noisy.note


def test_a_peak_beyond_the_range_is_not_claimed_by_chance():
    rng = np.random.default_rng(3)
    gold = POWERS * (1 - 0.19 * POWERS)  # peaks at 2.63, the range ends at 2.44
    claimed = [fit_best_of_n(POWERS, gold + 0.1 * rng.normal(size=11)).peak_d is not None for _ in range(500)]
    assert np.mean(claimed) < 0.05


def test_r2_is_against_gold_that_stays_zero():
    d, gold = np.array([1.0, 2, 3]), np.array([1.0, 1.3, 0.7])
    fit = fit_best_of_n(d, gold)
    assert fit.r2 == pytest.approx(1 - np.sum((gold - fit.predict(d)) ** 2) / np.sum(gold**2))
    assert fit_best_of_n(d, 0 * gold).r2 is None


@pytest.mark.parametrize(
    ("d", "gold", "weights", "named"),
    [
        ([], [], None, "two distances"),
        ([1], [1], None, "two distances"),
        ([0, 0, 1], [0, 0, 1], None, "two distances"),
        ([1, 2, 3], [1, 1, 1], [1, 0, 0], "two distances"),
        ([1, 1 + 1e-15], [1, 1], None, "too close"),
        ([1, 2], [1], None, "2 and 1"),
        ([1, 2], [1, 1], [1], "2 and 1"),
        ([1, -2, 3], [1, 1, 1], None, "-2.0 at position 1"),
        ([1, math.nan, 3], [1, 1, 1], None, "nan at position 1"),
        ([1, 2, 3], [1, 1, math.inf], None, "inf at position 2"),
        ([1, 2, 3], [1, 1, 1], [1, -1, 1], "-1.0"),
        ([[1, 2]], [[1, 2]], None, "shape"),
    ],
)
def test_bad_points_are_refused_by_value(d, gold, weights, named):
    for fit in (fit_best_of_n, fit_rl):
        with pytest.raises(ConfigError, match=named):
            fit(d, gold, weights)


def test_bad_level_and_distance_are_refused():
    with pytest.raises(ConfigError, match="level"):
        fit_best_of_n([1, 2], [1, 1], level=95)
    with pytest.raises(ConfigError, match=r"-1\.0"):
        fit_best_of_n([1, 2], [1, 1]).predict([-1])


def test_size_trend_by_hand():
    sizes = [1, math.e, math.e**2]
    trend = fit_size_trend(sizes, [1, 2, 4])  # mean 7/3 at ln size 1; slope (4 - 1) / 2
    assert trend.slope == pytest.approx(1.5)
    assert trend.intercept == pytest.approx(7 / 3 - 1.5)
    # Residuals 1/6, -1/3, 1/6: variance 1/6 with one degree of freedom, whose t is 12.7062 at 0.975.
    assert trend.slope_interval == pytest.approx(
        tuple(1.5 + 12.706205 * math.sqrt(1 / 12) * np.array([-1, 1]))
    )
    assert trend.groups == 3


def test_size_trend_of_two_sizes_has_no_interval_and_of_one_is_refused():
    trend = fit_size_trend([10, 1000], [1.0, 3.0])
    assert trend.slope == pytest.approx(1 / math.log(10))
    assert trend.slope_interval is None
    for sizes, values in (([10, 10], [1, 2]), ([0, 10], [1, 2]), ([10, 20], [1])):
        with pytest.raises(ConfigError):
            fit_size_trend(sizes, values)


def test_distances():
    assert best_of_n_distance(1) == 0
    assert best_of_n_distance(1000) == pytest.approx(math.sqrt(5.908755), abs=1e-6)
    for kl in (-1e-9, math.nan, math.inf):
        with pytest.raises(ConfigError):
            distance(kl)
    for d in (-1.0, math.nan, 27):
        with pytest.raises(ConfigError):
            n_at_distance(d)


@given(st.integers(1, 10**9))
def test_n_at_distance_inverts_the_bound(n):
    assert n_at_distance(math.sqrt(best_of_n_kl(n))) == pytest.approx(n, rel=1e-7)


def test_a_fit_prints_its_law_its_coefficients_and_its_peak_or_why_there_is_none():
    d = np.linspace(0, 4, 9)
    law = fit_best_of_n(d, d * (2 - 0.5 * d))  # highest at 2 / (2 * 0.5) = 2, where it is 2
    first, second = str(law).splitlines()
    assert first.startswith("gold = d (alpha - beta d): alpha = 2 (2 to 2), beta = 0.5 (0.5 to 0.5), r2 = 1;")
    assert "8 points, 95 % intervals" in first
    assert second == "Peak at d = 2, gold +2; beyond it gold falls."
    rising = fit_rl([1, 2], [1, 2])
    assert "d (alpha - beta ln d)" in str(rising)
    assert f"no peak: {rising.note}." in str(rising)
    assert law._repr_html_() == f"<p>{first}<br>{second}</p>"
