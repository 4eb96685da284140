import csv
import gzip
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.statistics.bootstrap import mean_interval, prompt_totals
from judges.statistics.win_rate import TIE_POLICIES, settle_ties, win_rate
from rewards.errors import ConfigError
from rewards.intervals import Resampling

ALPACA_EVAL = Path(__file__).parents[3] / ".." / "shared" / "data" / "alpaca_eval"

outcomes = st.sampled_from([0.0, 0.5, 1.0, 0.3])
rows = st.lists(st.tuples(outcomes, st.integers(0, 5)), min_size=1, max_size=40)


def clustered(generator, prompts, verdicts=8, skill=0.6):
    """Verdicts of a judge that favours the first position, with ties; prompts differ in difficulty."""
    difficulty = np.repeat(generator.normal(skill, 1.2, prompts), verdicts)
    position = np.tile([0.6, -0.6], prompts * verdicts // 2)
    chance = 1 / (1 + np.exp(-(difficulty + position)))
    drawn, tie = generator.random(len(chance)), 0.8 * chance * (1 - chance)
    values = np.where(drawn < tie, 0.5, (drawn < tie + (1 - tie) * chance).astype(float))
    return values, np.repeat(np.arange(prompts), verdicts)


def test_a_hand_worked_win_rate():
    result = win_rate([1, 1, 0.5, 0, np.nan, 0.8])
    assert result.mean == pytest.approx(3.3 / 5)
    assert result.standard_error == pytest.approx(np.std([1, 1, 0.5, 0, 0.8], ddof=1) / np.sqrt(5))
    assert (result.n, result.missing, result.prompts) == (5, 1, 5)
    assert (result.wins, result.ties, result.losses) == (3, 1, 1)
    assert (result.worst_low, result.worst_high) == (pytest.approx(3.3 / 6), pytest.approx(4.3 / 6))
    assert (result.level, result.seed, result.resamples) == (0.95, 0, 1000)


def test_the_error_of_clustered_verdicts_is_worked_by_hand():
    # Deviations from 0.6 by prompt: a +0.8, b -1.2, c +0.4; K = 3, n = 5.
    result = win_rate([1, 1, 0, 0, 1], ["a", "a", "b", "b", "c"])
    assert result.standard_error == pytest.approx(np.sqrt(3 / 2 * (0.8**2 + 1.2**2 + 0.4**2)) / 5)
    assert result.prompts == 3


@pytest.mark.parametrize("values", [[], [np.nan, np.nan], [1, 1.01], [-0.1], [np.inf], [[1.0, 0.0]]])
def test_no_verdict_and_values_outside_the_unit_interval_are_refused(values):
    with pytest.raises(ConfigError):
        win_rate(values)


@pytest.mark.parametrize("settings", [{"level": 1.0}, {"resamples": 0}, {"seed": -1}, {"prompts": [1, 2]}])
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ConfigError):
        win_rate([1, 0, 1], **settings)


@pytest.mark.parametrize("prompts", [["a", None, "b"], [1.0, np.nan, 2.0], [["a"], ["b"], ["c"]]])
def test_prompts_without_a_name_are_refused(prompts):
    with pytest.raises(ConfigError, match="prompts"):
        win_rate([1, 0, 1], prompts)


def test_one_prompt_has_a_mean_but_no_interval():
    for result in (win_rate([0.5]), win_rate([1, 0, 1, 0], ["a"] * 4)):
        assert result.mean == 0.5
        assert (result.standard_error, result.low, result.high) == (None, None, None)


def test_agreement_of_all_prompts_is_not_taken_for_certainty():
    result = win_rate([1] * 60, np.repeat(np.arange(30), 2))
    assert (result.mean, result.standard_error, result.high) == (1, 0, 1)
    # Wilson's interval with 30 trials: 30 / (30 + z^2).
    assert result.low == pytest.approx(30 / (30 + 1.959964**2), abs=1e-6)
    tied = win_rate([0.5] * 30)
    assert tied.low == pytest.approx(1 - tied.high)
    assert 0.3 < tied.low < 0.35


@given(rows)
def test_the_mirror_image_has_the_mirrored_interval(drawn):
    values, prompts = (np.array(column) for column in zip(*drawn, strict=True))
    one, other = win_rate(values, prompts, resamples=40), win_rate(1 - values, prompts, resamples=40)
    assert one.mean == pytest.approx(1 - other.mean)
    assert (one.wins, one.ties, one.losses) == (other.losses, other.ties, other.wins)
    if one.low is not None:
        assert (one.low, one.high) == (pytest.approx(1 - other.high), pytest.approx(1 - other.low))
        assert 0 <= one.low <= one.mean <= one.high <= 1


@given(rows, st.randoms(use_true_random=False))
def test_neither_order_nor_names_of_prompts_matter(drawn, random):
    names = random.sample(["z", "y", "a", "b", "long name", ""], 6)
    values, prompts = zip(*drawn, strict=True)
    moved, others = zip(*random.sample(drawn, len(drawn)), strict=True)
    one = win_rate(values, prompts, resamples=40)
    other = win_rate(moved, [names[prompt] for prompt in others], resamples=40)
    assert one.prompts == other.prompts
    for name in ("mean", "standard_error", "low", "high"):
        assert getattr(one, name) == pytest.approx(getattr(other, name))


@given(st.lists(outcomes, min_size=2, max_size=30))
def test_prompts_of_one_verdict_are_no_prompts(values):
    assert win_rate(values, range(len(values)), resamples=40) == win_rate(values, resamples=40)


def test_copies_of_a_verdict_on_the_same_prompt_tell_nothing_new():
    values = np.repeat([1.0, 0.0, 0.5], [20, 12, 8])
    once = win_rate(values)
    often = win_rate(np.repeat(values, 6), np.repeat(np.arange(40), 6))
    assert (often.low, often.high) == (pytest.approx(once.low), pytest.approx(once.high))
    assert often.standard_error == pytest.approx(once.standard_error)


def test_the_seed_alone_decides_the_draws():
    values, prompts = clustered(np.random.default_rng(1), 40)
    assert win_rate(values, prompts, seed=3) == win_rate(values, prompts, seed=3)
    assert win_rate(values, prompts, seed=3).low != win_rate(values, prompts, seed=4).low


def brute_force_interval(values, prompts, level, generator, resamples):
    """The bootstrap-t on the logit scale, one draw of prompts at a time."""
    groups = [values[prompts == prompt] for prompt in np.unique(prompts)]

    def estimate(drawn):
        n, mean = sum(map(len, drawn)), np.concatenate(drawn).mean()
        squares = sum((group - mean).sum() ** 2 for group in drawn)
        error = np.sqrt(len(drawn) / (len(drawn) - 1) * squares) / n
        return np.log(mean / (1 - mean)), error / (mean * (1 - mean))

    centre, error = estimate(groups)
    pivots = []
    for _ in range(resamples):
        place, spread = estimate([groups[k] for k in generator.integers(0, len(groups), len(groups))])
        pivots.append((place - centre) / spread)
    ends = centre - np.quantile(pivots, [(1 + level) / 2, (1 - level) / 2]) * error
    return 1 / (1 + np.exp(-ends))


def test_the_interval_is_that_of_drawing_prompts_one_by_one():
    generator = np.random.default_rng(5)
    values, prompts = clustered(generator, 25)
    few = generator.random(len(values)) < 0.7  # prompts of unequal size
    slow = brute_force_interval(values[few], prompts[few], 0.9, generator, 8000)
    for shift in (0.0, 1e-9):  # values that are all alike in pairs, or no two alike
        told = np.clip(values[few] + shift * np.arange(few.sum()), 0, 1)
        fast = win_rate(told, prompts[few], level=0.9, resamples=20000)
        assert (fast.low, fast.high) == pytest.approx(tuple(slow), abs=0.006)


def test_many_prompts_give_the_normal_interval():
    generator = np.random.default_rng(7)
    for values in (generator.integers(0, 3, 5000) / 2, generator.random(5000)):
        result = win_rate(values, resamples=2000)
        reach = 1.959964 * result.standard_error
        assert result.low == pytest.approx(result.mean - reach, abs=0.1 * reach)
        assert result.high == pytest.approx(result.mean + reach, abs=0.1 * reach)


def test_more_kinds_of_prompts_than_are_drawn_singly_change_no_interval(monkeypatch):
    values = np.random.default_rng(8).random(3000)
    plain = win_rate(values, resamples=4000)
    monkeypatch.setattr("judges.statistics.bootstrap._MANY", 1000)
    rounded = win_rate(values, resamples=4000)
    width = plain.high - plain.low
    assert rounded.low == pytest.approx(plain.low, abs=0.05 * width)
    assert rounded.high == pytest.approx(plain.high, abs=0.05 * width)
    assert rounded.standard_error == plain.standard_error


@pytest.mark.parametrize("skill", [0.0, 1.2])
def test_intervals_hold_the_truth_as_often_as_they_say_and_those_of_rows_do_not(skill):
    generator = np.random.default_rng(11)
    truth = clustered(generator, 200_000, skill=skill)[0].mean()
    by_prompt, by_row, repetitions = 0, 0, 500
    for seed in range(repetitions):
        values, prompts = clustered(generator, 40, skill=skill)
        by_prompt += holds(win_rate(values, prompts, seed=seed, resamples=300), truth)
        by_row += holds(win_rate(values, seed=seed, resamples=300), truth)
    assert 0.92 <= by_prompt / repetitions <= 0.98  # 0.95 give or take three standard deviations
    assert by_row / repetitions < 0.88


def holds(result, truth):
    return result.low <= truth <= result.high


def test_on_the_plain_scale_values_may_lie_anywhere():
    values = np.random.default_rng(2).normal(30, 4, 60)
    low, high = mean_interval(prompt_totals(values, None), Resampling(resamples=4000), "identity")
    reach = 2.0010 * values.std(ddof=1) / np.sqrt(60)  # Student's, 59 degrees of freedom
    assert (low, high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.15 * reach)
    shifted = mean_interval(prompt_totals(values - 1000, None), Resampling(resamples=4000), "identity")
    assert tuple(shifted) == pytest.approx((low - 1000, high - 1000))
    assert mean_interval(prompt_totals(np.full(5, 3.0), None), Resampling(), "identity") is None


def test_tie_policies_on_every_pair_of_orders():
    first = [1, 1, 1, 0.5, 0.5, 0, 1, np.nan]
    second = [1, 0, 0.5, 0.5, 0, 0, np.nan, np.nan]
    nan = np.nan
    half = settle_ties(first, second, "half")
    np.testing.assert_array_equal(half.values, [*first, *second])
    np.testing.assert_array_equal(half.comparisons, [*range(8), *range(8)])
    np.testing.assert_array_equal(
        settle_ties(first, second, "disagree").values, [1, 0.5, 0.5, 0.5, 0.5, 0, nan, nan]
    )
    drop = settle_ties(first, second, "drop")
    np.testing.assert_array_equal(drop.values, [1, 0, nan, nan])
    np.testing.assert_array_equal(drop.comparisons, [0, 5, 6, 7])
    assert drop.left_out == 4
    soft = settle_ties([0.9, 0.6, nan], [0.7, 0.2, 0.4], "preference")
    np.testing.assert_allclose(soft.values, [0.8, 0.4, nan])
    np.testing.assert_array_equal(settle_ties([0.9], [0.4], "disagree").values, [0.5])


def test_an_unknown_policy_is_refused():
    with pytest.raises(ConfigError, match="half, disagree, drop, preference"):
        settle_ties([1], [1], "split")


@given(st.lists(st.tuples(outcomes, outcomes), min_size=1, max_size=20), st.sampled_from(TIE_POLICIES))
@settings(max_examples=50)
def test_policies_know_neither_side(drawn, policy):
    first, second = np.array(drawn).T
    one, other = settle_ties(first, second, policy), settle_ties(1 - first, 1 - second, policy)
    np.testing.assert_allclose(one.values, 1 - other.values)
    assert one.left_out == other.left_out
    turned = settle_ties(second, first, policy)
    assert np.sort(turned.values) == pytest.approx(np.sort(one.values))


@pytest.mark.skipif(not ALPACA_EVAL.is_dir(), reason="the AlpacaEval annotations are not beside the project")
def test_win_rates_are_those_that_alpaca_eval_published():
    with (ALPACA_EVAL / "leaderboard_v2.csv").open() as file:
        published = {row["Unnamed: 0"]: row for row in csv.DictReader(file)}
    preferences = defaultdict(list)
    with gzip.open(ALPACA_EVAL / "annotations_v2.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            preferences[row["model"]].append(float(row["preference"] or "nan"))
    listed = sorted(preferences.keys() & published.keys())
    assert len(listed) == 28
    for model in listed:
        told = np.array(preferences[model])
        told = np.where(told == 0, 1.5, told)  # as their code has it
        result = win_rate(np.where((told >= 1) & (told <= 2), told - 1, np.nan), resamples=1)
        assert result.n == int(published[model]["n_total"])
        assert 100 * result.mean == pytest.approx(float(published[model]["win_rate"]), abs=1e-6)
        error = float(published[model]["standard_error"])
        assert 100 * result.standard_error == pytest.approx(error, abs=1e-6)
