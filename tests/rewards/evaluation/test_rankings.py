import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from rewards.errors import ConfigError
from rewards.evaluation.rankings import kendall_tau, rank_report, ranked_pairs
from rewards.intervals import Resampling

SETTINGS = Resampling(resamples=100)
NAN = float("nan")


def test_pairs_are_those_of_unequal_rank_within_a_row():
    pairs = ranked_pairs([(1, 2), (2, 1, 1), (1, 1)])
    found = set(zip(pairs.chosen.tolist(), pairs.rejected.tolist(), pairs.row.tolist(), strict=True))
    assert found == {(0, 1, 0), (3, 2, 1), (4, 2, 1)}
    assert len(ranked_pairs([]).chosen) == 0


def report(scores, ranks):
    return rank_report([scores], [ranks], ["p"], SETTINGS)


@pytest.mark.parametrize(
    ("scores", "top_1", "best_of_k"),
    [
        ((3, 2, 1, 0), 1, 1),
        ((1, 2, 3, 0), 0, 0),
        ((3, 3, 1, 0), 0, 1 / 2),
        ((3, 3, 3, 0), 0, 1 / 3),
        ((2, 2, 2, 2), 0, 1 / 4),
        ((0, 3, 3, 1), 0, 0),
    ],
)
def test_best_of_4_counts_one_over_the_maxima_as_rewardbench_2_does(scores, top_1, best_of_k):
    result = report(scores, (1, 2, 2, 2))
    assert (result.top_1.mean, result.best_of_k.mean, result.chance) == (
        top_1,
        pytest.approx(best_of_k),
        0.25,
    )


def test_several_best_responses_share_the_first_place():
    result = report((3, 3, 1), (1, 1, 2))
    assert (result.top_1.mean, result.best_of_k.mean, result.chance) == (1, 1, pytest.approx(2 / 3))


def test_a_random_score_is_right_by_chance():
    generator = np.random.default_rng(0)
    ranks = [tuple(generator.permutation(4) + 1) for _ in range(4000)]
    result = rank_report(generator.random((4000, 4)), ranks, np.arange(4000), SETTINGS)
    assert result.best_of_k.mean == pytest.approx(result.chance, abs=4 * np.sqrt(3 / 16 / 4000))
    assert result.kendall_tau.mean == pytest.approx(0, abs=0.03)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(1, 4)), min_size=2, max_size=8))
def test_tau_is_scipys(rows):
    scores, ranks = (np.array(column) for column in zip(*rows, strict=True))
    tau = kendall_tau(scores.astype(float), ranks)
    if np.ptp(scores) == 0 or np.ptp(ranks) == 0:
        assert tau is None
    else:
        assert tau == pytest.approx(kendalltau(scores, -ranks).statistic)


def test_rows_that_say_nothing_are_counted():
    scores = [(1.0, 2.0), (1.0, NAN), (2.0, 2.0), (3.0, 1.0)]
    result = rank_report(scores, [(1, 1), (1, 2), (1, 2), (1, 2)], list("abcd"), SETTINGS)
    assert (result.without_order, result.missing, result.undefined_tau) == (1, 1, 1)
    assert (result.top_1.mean, result.top_1.n) == (0.5, 2)
    assert (result.best_of_k.mean, result.kendall_tau.mean, result.kendall_tau.n) == (0.75, 1, 1)


def test_nothing_left_is_an_error_and_no_tau_is_none():
    with pytest.raises(ConfigError, match="none of 1 rankings"):
        report((1.0, 2.0), (1, 1))
    assert report((1.0, 1.0), (1, 2)).kendall_tau is None
