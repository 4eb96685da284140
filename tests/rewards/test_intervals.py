import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import ConfigError
from rewards.intervals import Resampling, clustered_mean, percentile_interval, resampled_sums

RESAMPLING = Resampling(resamples=2000)


def test_the_interval_of_independent_rows_is_that_of_the_binomial():
    right = np.repeat([1, 0], [300, 100])
    estimate = clustered_mean(right, np.arange(400), Resampling(resamples=20000))
    error = np.sqrt(0.75 * 0.25 / 400)
    assert estimate.mean == 0.75
    assert estimate.low == pytest.approx(0.75 - 1.96 * error, abs=0.004)
    assert estimate.high == pytest.approx(0.75 + 1.96 * error, abs=0.004)


def test_rows_of_one_prompt_count_as_one():
    right = np.repeat([1, 0], [30, 10])
    alone = clustered_mean(right, np.arange(40), RESAMPLING)
    copied = clustered_mean(np.repeat(right, 9), np.repeat(np.arange(40), 9), RESAMPLING)
    assert (copied.low, copied.high) == (alone.low, alone.high)
    assert (copied.n, copied.prompts) == (360, 40)
    split = clustered_mean(np.repeat(right, 9), np.arange(360), RESAMPLING)
    assert split.high - split.low < (copied.high - copied.low) / 2


def test_resampled_sums_have_the_moments_of_drawing_prompts_one_by_one():
    generator = np.random.default_rng(3)
    prompts = generator.integers(0, 12, 60)
    columns = np.column_stack([generator.integers(0, 2, 60), np.ones(60)]).astype(float)
    sums = resampled_sums(columns, prompts, Resampling(resamples=40000))
    totals = np.array([columns[prompts == prompt].sum(axis=0) for prompt in np.unique(prompts)])
    number = len(totals)
    assert sums.mean(axis=0) == pytest.approx(number * totals.mean(axis=0), rel=0.01)
    assert np.cov(sums.T) == pytest.approx(number * np.cov(totals.T, ddof=0), rel=0.05)


def test_one_prompt_or_no_spread_gives_no_interval():
    one = clustered_mean([1, 0, 1, 1], ["p"] * 4, RESAMPLING)
    assert (one.mean, one.low, one.high, one.prompts) == (0.75, None, None, 1)
    agreed = clustered_mean([1, 1, 1], ["a", "b", "c"], RESAMPLING)
    assert (agreed.mean, agreed.low, agreed.high) == (1, None, None)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1 / 3, 0.5, 1.0]), st.integers(0, 6)), min_size=2, max_size=40),
    st.randoms(use_true_random=False),
)
def test_the_order_of_rows_changes_nothing(rows, random):
    shuffled = random.sample(rows, len(rows))
    settings = Resampling(resamples=50)
    first, second = (clustered_mean(*zip(*order, strict=True), settings) for order in (rows, shuffled))
    assert first == second
    if first.low is not None:
        assert 0 <= first.low <= first.high <= 1 + 1e-12


def test_the_seed_decides_and_a_wider_level_holds_a_narrower():
    right, prompts = np.arange(50) % 3 == 0, np.arange(50)
    first = clustered_mean(right, prompts, Resampling(seed=1, resamples=101))
    assert first == clustered_mean(right, prompts, Resampling(seed=1, resamples=101))
    wide, narrow = (clustered_mean(right, prompts, Resampling(level=level)) for level in (0.99, 0.5))
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


def test_percentiles_by_hand():
    assert percentile_interval(np.arange(101.0), 0.9) == pytest.approx((5, 95))


def test_many_prompts_are_drawn_in_blocks_of_the_same_law():
    # 30,000 kinds of prompt need more than one block; the mean of a mean stays where it is.
    values = np.random.default_rng(0).random(30_000)
    estimate = clustered_mean(values, np.arange(30_000), Resampling(resamples=300))
    error = values.std() / np.sqrt(30_000)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, rel=0.2)


@pytest.mark.parametrize(
    "settings", [{"level": 1.0}, {"level": 0.0}, {"resamples": 0}, {"seed": -1}, {"level": float("nan")}]
)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ConfigError):
        Resampling(**settings)


@pytest.mark.parametrize(("values", "prompts"), [([], []), ([1.0, 0.0], ["a"])])
def test_a_mean_of_nothing_is_refused(values, prompts):
    with pytest.raises(ConfigError, match="as many prompts"):
        clustered_mean(values, prompts, RESAMPLING)
