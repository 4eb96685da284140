import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata, spearmanr

from rewards.evaluation.length_bias import length_accuracy, length_correlation, length_correlation_within
from rewards.intervals import Resampling

SETTINGS = Resampling(resamples=200)


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 50)), min_size=3, max_size=30))
def test_the_correlation_is_scipys(rows):
    scores, lengths = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    assume(np.ptp(scores) > 0 and np.ptp(lengths) > 0)
    result = length_correlation(scores, lengths)
    assert result.pearson == pytest.approx(pearsonr(scores, lengths).statistic, abs=1e-9)
    assert result.spearman == pytest.approx(spearmanr(scores, lengths).statistic, abs=1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9])
def test_what_does_not_vary_has_no_correlation(constant):
    result = length_correlation([constant] * 3, [1, 2, 3])
    assert (result.pearson, result.spearman) == (None, None)
    within = length_correlation_within([0.1, 0.1, 0.7, 0.7], [1, 2, 3, 4], ["a", "a", "b", "b"])
    assert (within.pearson, within.spearman) == (None, None)


def test_within_a_prompt_the_score_may_do_the_opposite():
    # The longer prompt's responses score higher, but of each prompt's the shorter.
    scores, lengths, prompts = [2, 1, 12, 11], [10, 20, 110, 120], ["a", "a", "b", "b"]
    assert length_correlation(scores, lengths).pearson > 0.9
    within = length_correlation_within(scores, lengths, prompts)
    assert (within.pearson, within.spearman) == (pytest.approx(-1), pytest.approx(-1))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=25))
def test_ranks_within_a_prompt_are_taken_prompt_by_prompt(rows):
    prompts, scores, lengths = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    ranks = np.zeros((2, len(rows)))
    for prompt in np.unique(prompts):
        inside = prompts == prompt
        for row, values in enumerate((scores, lengths)):
            ranks[row, inside] = rankdata(values[inside]) - rankdata(values[inside]).mean()
    assume(ranks.any(axis=1).all())
    expected = ranks[0] @ ranks[1] / np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1]))
    result = length_correlation_within(scores, lengths, prompts).spearman
    assert result == pytest.approx(expected, abs=1e-9)


def test_accuracy_is_split_by_which_side_is_longer():
    right = [1, 1, 0, 1, 0, 0, 1]
    differences = [5, 2, 9, 1, -3, -1, 0]
    result = length_accuracy(right, differences, list("abcdefg"), SETTINGS)
    assert (result.chosen_longer.mean, result.chosen_longer.n) == (0.75, 4)
    assert (result.chosen_shorter.mean, result.chosen_shorter.n) == (0, 2)
    assert (result.equal.mean, result.equal.n) == (1, 1)
    assert (result.controlled.mean, result.controlled.n) == (0.375, 6)


def test_a_score_that_is_length_is_right_in_half_of_controlled_pairs_however_biased_the_data():
    differences = np.array([3] * 90 + [-3] * 10)
    result = length_accuracy(differences > 0, differences, np.arange(100), SETTINGS)
    assert result.controlled.mean == 0.5
    assert result.equal is None


def test_the_controlled_interval_is_that_of_two_independent_halves():
    generator = np.random.default_rng(0)
    differences = np.repeat([1, -1], [900, 300])
    right = generator.random(1200) < np.where(differences > 0, 0.8, 0.4)
    result = length_accuracy(right, differences, np.arange(1200), Resampling(resamples=5000))
    error = np.sqrt(0.8 * 0.2 / 900 + 0.4 * 0.6 / 300) / 2
    assert result.controlled.high - result.controlled.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_without_one_kind_there_is_nothing_to_control():
    result = length_accuracy([1, 0], [3, 4], ["a", "b"], SETTINGS)
    assert (result.chosen_shorter, result.equal, result.controlled) == (None, None, None)
    # With one pair of a kind, some resamples have none of it, so the interval is not known.
    rare = length_accuracy([1, 0, 1], [3, 4, -1], ["a", "b", "c"], SETTINGS)
    assert (rare.controlled.mean, rare.controlled.low) == (0.75, None)
