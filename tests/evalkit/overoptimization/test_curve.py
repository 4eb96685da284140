"""Curves of best-of-n against brute force, known populations and published figures."""

import json
import time
from dataclasses import fields
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from evalkit.overoptimization.curve import best_of_n_curve, best_of_n_sizes
from rewards.errors import ConfigError

SHARED = Path(__file__).parents[3] / ".." / "shared" / "data"


def turning(rng, prompts=64, samples=256, bend=0.6):
    """Return proxies and golds whose gold turns within the range."""
    proxy = rng.normal(size=(prompts, samples))
    gold = 0.8 * proxy - bend * np.maximum(proxy - 1, 0) ** 2 + rng.normal(size=(prompts, samples))
    return proxy, gold + rng.normal(size=(prompts, 1))


def test_every_subset_counts_alike_and_ties_are_shared():
    proxy = [[3.0, 1.0, 1.0, 2.0, 2.0], [0.0, 0.0, 0.0, 5.0, 1.0]]
    gold = [[1.0, 7.0, 2.0, 4.0, 0.0], [2.0, 4.0, 6.0, -3.0, 1.0]]

    def expected(values, n):
        means = []
        for proxies, measured in zip(proxy, values, strict=True):
            chosen = []
            for subset in combinations(range(5), n):
                best = max(proxies[index] for index in subset)
                chosen.append(np.mean([measured[index] for index in subset if proxies[index] == best]))
            means.append(np.mean(chosen))
        return np.mean(means)

    curve = best_of_n_curve(proxy, gold, n=[5, 3, 1, 2, 4], bootstrap=10)
    assert curve.n == (1, 2, 3, 4, 5)
    for index, n in enumerate(curve.n):
        assert curve.gold[index] + curve.gold_start == pytest.approx(expected(gold, n))
        assert curve.proxy[index] + curve.proxy_start == pytest.approx(expected(proxy, n))
    assert curve.gold_start == pytest.approx(np.mean(gold))


def test_gold_follows_its_own_proxy():
    # Regression: gold that stays in another scorer's order gives every scorer the first one's curve.
    gold = [[9.0, 0.0, 1.0]]
    first = best_of_n_curve([[1.0, 2.0, 3.0]], gold, n=[3])
    second = best_of_n_curve([[3.0, 1.0, 2.0]], gold, n=[3])
    assert first.gold[-1] + first.gold_start == pytest.approx(1)
    assert second.gold[-1] + second.gold_start == pytest.approx(9)


def test_published_figures_of_real_samples():
    path = SHARED / "qwen25math-bon8" / "math_cot_100.jsonl"
    if not path.exists():
        pytest.skip("the shared data qwen25math-bon8 is not here")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    curve = best_of_n_curve([np.ravel(row["pred_score"]) for row in rows], [row["score"] for row in rows])
    assert curve.n == (1, 2, 4, 8)
    np.testing.assert_allclose(
        100 * (curve.gold + curve.gold_start), [91.000, 92.786, 93.614, 94.000], atol=5e-4
    )
    assert curve.gold[0] == 0
    # Accuracy still rises at n = 8: there is no peak to report.
    assert curve.fit is not None
    assert curve.fit.law.peak_d is None
    assert curve.fit.peak_n is None


def test_best_of_uniform_samples_is_n_over_n_plus_one():
    rng = np.random.default_rng(0)
    uniform = rng.uniform(size=(400, 64))
    curve = best_of_n_curve(uniform, uniform, bootstrap=50)
    n = np.array(curve.n)
    np.testing.assert_allclose(curve.proxy + curve.proxy_start, n / (n + 1), atol=0.006)


def test_bands_and_fits_cover_the_population_at_their_level():
    rng = np.random.default_rng(1)
    bands, fits = [], []
    for seed in range(400):
        shift = rng.normal(
            size=(40, 1)
        )  # prompts differ in how gold follows the proxy: on average not at all
        proxy = rng.normal(size=(40, 8))
        curve = best_of_n_curve(proxy, shift * proxy, level=0.9, bootstrap=300, seed=seed)
        bands.append(curve.gold_low[-1] <= 0 <= curve.gold_high[-1])
        fits.append(curve.fit.law.alpha_interval[0] <= 0 <= curve.fit.law.alpha_interval[1])
    assert np.mean(bands) == pytest.approx(0.9, abs=0.05)
    assert np.mean(fits) == pytest.approx(0.9, abs=0.05)


def test_a_turn_within_the_range_is_found_with_an_interval():
    curve = best_of_n_curve(*turning(np.random.default_rng(2)))
    fit = curve.fit
    assert fit.peak_share == 1
    assert 4 < fit.peak_n < 32
    assert fit.peak_n_interval[0] < fit.peak_n < fit.peak_n_interval[1]
    assert fit.peak_d_interval[0] < fit.law.peak_d < fit.peak_d_interval[1] < curve.d[-1]
    assert fit.peak_gold_interval[0] < fit.law.peak_gold < fit.peak_gold_interval[1]
    assert fit.law.alpha_interval[0] < fit.law.alpha < fit.law.alpha_interval[1]
    assert fit.law.peak_d == pytest.approx(fit.law.alpha / (2 * fit.law.beta))
    assert curve.n[curve.best] in (8, 16, 32)


def test_what_does_not_turn_or_is_not_certain_has_no_peak():
    rng = np.random.default_rng(3)
    proxy = rng.normal(size=(32, 128))
    rising = best_of_n_curve(proxy, proxy + rng.normal(size=proxy.shape)).fit
    falling = best_of_n_curve(proxy, -proxy).fit
    noise = best_of_n_curve(proxy, rng.normal(size=proxy.shape)).fit
    assert "still rises at the longest distance" in rising.law.note
    assert "only falls" in falling.law.note
    assert "resamples" in noise.law.note
    for fit in (rising, falling, noise):
        assert fit.peak_share < 0.95
        assert fit.law.peak_d is None
        assert fit.peak_n is None
        assert fit.peak_d_interval is None


def test_constant_gold_gives_no_false_certainty():
    proxy = np.random.default_rng(4).normal(size=(8, 16))
    curve = best_of_n_curve(proxy, np.ones_like(proxy))
    assert np.all(curve.gold == 0)
    assert curve.gold_sd == 0
    assert curve.fit.law.r2 is None
    assert curve.fit.law.peak_d is None


def test_one_prompt_has_neither_bands_nor_intervals():
    curve = best_of_n_curve([[1.0, 2.0, 3.0, 4.0]], [[0.0, 3.0, 2.0, 1.0]])
    assert curve.gold_low is None
    assert curve.proxy_high is None
    assert curve.fit.law.alpha_interval is None
    assert curve.fit.law.peak_d is None
    assert "one prompt" in curve.fit.law.note


def test_too_few_sizes_have_no_fit():
    assert best_of_n_curve([[1.0, 2.0], [2.0, 1.0]], [[0.0, 1.0], [1.0, 1.0]]).fit is None


def test_seed_and_settings_make_the_result():
    proxy, gold = turning(np.random.default_rng(5), prompts=16, samples=32)
    one, same = (best_of_n_curve(proxy, gold, seed=7) for _ in range(2))
    other = best_of_n_curve(proxy, gold, seed=8)
    for field in fields(one):
        if isinstance(getattr(one, field.name), np.ndarray):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(same, field.name))
    assert one.fit == same.fit
    assert not np.array_equal(one.gold_low, other.gold_low)
    assert (one.level, one.bootstrap, one.seed, one.prompts, one.samples) == (0.95, 1000, 7, 16, 512)


def test_gold_in_other_units_only_rescales():
    proxy, gold = turning(np.random.default_rng(6))
    plain, scaled = best_of_n_curve(proxy, gold), best_of_n_curve(np.exp(proxy), 10 * gold + 3)
    np.testing.assert_allclose(scaled.gold, 10 * plain.gold)
    assert scaled.gold_sd == pytest.approx(10 * plain.gold_sd)
    assert scaled.fit.peak_n == pytest.approx(plain.fit.peak_n)
    assert scaled.fit.law.peak_gold == pytest.approx(10 * plain.fit.law.peak_gold)


def test_prompts_with_different_numbers_of_samples_need_sizes_and_then_use_all():
    proxy = [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0, 5.0]]
    gold = [[0.0, 0.0, 3.0], [5.0, 0.0, 0.0, 0.0, 10.0]]
    with pytest.raises(ConfigError, match=r"prompt 0 of 2 has 3 .* has 5; .* --n \[1,2\]"):
        best_of_n_curve(proxy, gold)
    curve = best_of_n_curve(proxy, gold, n=[2])
    # Best of 2: the third of 3 in 2/3 of the pairs; the fifth of 5 in 4/10 of them, the first in none.
    assert curve.gold[1] + curve.gold_start == pytest.approx((3 * 2 / 3 + 10 * 0.4) / 2)
    assert curve.gold_start == pytest.approx((1 + 3) / 2)


@pytest.mark.parametrize(
    ("counts", "n", "named"),
    [
        ([], None, "got none"),
        ([1, 1], None, "above 1"),
        ([4, 4], [8], "n = 8 needs .* has 4"),
        ([4, 4], [0, 2], "got 0"),
        ([4, 4], [1], "above 1"),
    ],
)
def test_sizes_that_cannot_be_are_refused(counts, n, named):
    with pytest.raises(ConfigError, match=named):
        best_of_n_sizes(counts, n)


def test_sizes_name_the_prompt():
    with pytest.raises(ConfigError, match="but why has 2"):
        best_of_n_sizes([4, 2], [4], ["how", "why"])


@pytest.mark.parametrize(
    ("proxy", "gold"),
    [
        ([[1.0, np.nan]], [[1.0, 1.0]]),
        ([[1.0, 2.0]], [[1.0, np.inf]]),
        ([[1.0, 2.0]], [[1.0, 2.0, 3.0]]),
        ([1.0, 2.0], [1.0, 2.0]),
    ],
)
def test_values_that_cannot_be_are_refused(proxy, gold):
    with pytest.raises(ConfigError):
        best_of_n_curve(proxy, gold)


def test_a_large_pool_takes_seconds():
    rng = np.random.default_rng(8)
    proxy = rng.normal(size=(64, 1024))
    started = time.perf_counter()
    best_of_n_curve(proxy, proxy, bootstrap=1000)
    assert time.perf_counter() - started < 2


def test_a_curve_prints_what_it_shows_and_is_a_table_of_its_sizes():
    proxy = [[0.0, 1.0, 2.0, 3.0]] * 3
    gold = [[0.0, 2.0, 1.0, 0.0]] * 3
    curve = best_of_n_curve(proxy, gold, bootstrap=20)
    frame = curve.to_frame()
    assert list(frame["n"]) == [1, 2, 4]
    assert list(frame["gold_low"]) == curve.gold_low.tolist()
    # The best of all four is the last sample, whose gold is 0: 0.75 below the mean that was subtracted.
    assert frame["gold"].iloc[-1] == pytest.approx(-0.75)
    assert frame["proxy"].iloc[-1] == pytest.approx(1.5)
    words, _, table = str(curve).partition("\nn ")
    assert words == curve.summary()
    assert "Best of n by the proxy, judged by gold: 3 prompts, 12 samples." in words
    assert "is at -0.75 by n = 4." in words
    assert len(table.splitlines()) == 4
    assert curve.summary("length", "people").startswith("Best of n by length, judged by people:")
    assert curve._repr_html_().count("<tr>") == 4


def test_a_curve_of_one_prompt_has_no_bands_in_its_table():
    curve = best_of_n_curve([[0.0, 1.0]], [[0.0, 1.0]])
    assert curve.to_frame()["gold_low"].isna().all()
    assert "Two sizes above 1 are needed for a fit." in str(curve)
