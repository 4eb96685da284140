"""Aspects combined, bounded, traded and compared with labels: worked by hand, and against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from rewards.errors import ConfigError, DataError
from rewards.evaluation.aspects import correlate, correlation_table, report_aspect
from rewards.intervals import Resampling
from rewards.selection import best_of_n
from rewards.selection.aspects import (
    AspectTable,
    aspect_table,
    constrained_best,
    pareto_front,
    rank_behind,
    trade_off,
    violations,
    weighted_sum,
)

TABLE = AspectTable(("help", "cost"), np.array([[1.0, 4.0], [3.0, 1.0], [2.0, 0.0]]))
RESAMPLING = Resampling(0.95, 500, 0)


def test_a_weighted_sum_weighs_what_is_named():
    assert weighted_sum(TABLE, {"help": 2.0, "cost": -1.0}).tolist() == [-2.0, 5.0, 4.0]
    assert weighted_sum(TABLE, {"help": 2.0}).tolist() == [2.0, 6.0, 4.0]
    assert weighted_sum(TABLE, {}).tolist() == [5.0, 4.0, 2.0]


def test_an_unknown_aspect_lists_the_known():
    for call in (
        lambda: weighted_sum(TABLE, {"harm": 1.0}),
        lambda: violations(TABLE, {"harm": 1.0}, {}),
        lambda: violations(TABLE, {}, {"harm": 1.0}),
        lambda: TABLE.column("harm"),
    ):
        with pytest.raises(ConfigError, match="no aspect 'harm'; there are help, cost"):
            call()
    with pytest.raises(ConfigError, match="weights of 'help' is finite, got nan"):
        weighted_sum(TABLE, {"help": float("nan")})


def test_mappings_make_a_table_if_they_hold_the_same_aspects():
    table = aspect_table([{"a": 1, "b": 2}, {"b": 4, "a": 3}])
    assert (table.names, table.values.tolist()) == (("a", "b"), [[1, 2], [3, 4]])
    with pytest.raises(DataError, match="row 2: aspects are a, b in row 1, and a here"):
        aspect_table([{"a": 1, "b": 2}, {"a": 3}])
    with pytest.raises(DataError, match="no response"):
        aspect_table([])
    with pytest.raises(DataError, match="aspect 'b' is finite, got inf in row 0"):
        aspect_table([{"a": 1, "b": float("inf")}])
    with pytest.raises(ConfigError, match="different names"):
        AspectTable(("a", "a"), np.zeros((1, 2)))
    with pytest.raises(DataError, match="K names"):
        AspectTable(("a",), np.zeros((1, 2)))


def test_violations_add_up_and_a_bound_is_met_at_its_value():
    assert violations(TABLE, {"help": 2.0}, {"cost": 0.5}).tolist() == [1 + 3.5, 0.5, 0.0]
    assert violations(TABLE, {}, {}).tolist() == [0.0, 0.0, 0.0]


def test_the_best_under_bounds():
    assert constrained_best([1, 9, 3, 3], [0.0, 0.1, 0.0, 0.0]) == (2, True)
    assert constrained_best([1, 9, 3, 4], [2.0, 0.5, 0.2, 0.2]) == (3, False)
    with pytest.raises(ConfigError):
        constrained_best([], [])
    with pytest.raises(ConfigError):
        constrained_best([1.0], [-1.0])


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 3)), min_size=1, max_size=30))
def test_what_misses_a_bound_ranks_behind_all_that_meets_it(pairs):
    rewards, missed = np.array(pairs, dtype=float).T
    ranked, floor = rank_behind(rewards, missed)
    assert (ranked[missed == 0] == rewards[missed == 0]).all()
    assert (floor is None) == (not missed.any())
    if floor is not None:
        assert (ranked[missed > 0] < rewards.min()).all()
        assert (ranked[missed > 0] == floor - missed[missed > 0]).all()
    chosen = constrained_best(rewards, missed)
    assert ranked[chosen.place] == ranked[best_of_n(ranked)[0]]


@given(
    st.integers(1, 4).flatmap(
        lambda k: st.lists(st.lists(st.integers(0, 4), min_size=k, max_size=k), max_size=25)
    )
)
def test_the_pareto_front_is_that_of_brute_force(points):
    values = np.array(points, dtype=float).reshape(len(points), -1 if points else 1)
    beaten = [any((other >= point).all() and (other > point).any() for other in values) for point in values]
    assert pareto_front(values).tolist() == [not lost for lost in beaten]


def test_a_large_front_of_two_aspects_is_quick_and_equal_points_share_it():
    values = np.random.default_rng(0).normal(size=(200_000, 2))
    assert 5 < pareto_front(values).sum() < 50
    assert pareto_front([[1, 2], [2, 1], [1, 2], [1, 1]]).tolist() == [True, True, True, False]
    with pytest.raises(DataError):
        pareto_front([1.0, 2.0])


def test_the_trade_off_by_hand_and_at_its_ends():
    first, second = [3.0, 0.0, 2.0, 5.0, 1.0], [0.0, 3.0, 2.0, 0.0, 9.0]
    prompts = ["a", "a", "a", "b", "b"]
    measured = np.column_stack([first, second])
    means = trade_off(first, second, prompts, measured, [0.0, 0.5, 1.0])
    # a: 3 -> (2, 2) -> 3 of the second; b: (5, 0) -> (1, 9).
    assert means.tolist() == [[4.0, 0.0], [1.5, 5.5], [0.5, 6.0]]


def test_equal_scores_share_and_n_of_one_is_the_mean():
    assert trade_off([1, 1], [0, 0], [0, 0], [[2.0], [4.0]], [0.0]).tolist() == [[3.0]]
    values = np.random.default_rng(1).normal(size=(12, 2))
    means = trade_off(values[:, 0], values[:, 1], np.arange(12) // 4, values, [0.0, 0.3, 1.0], n=1)
    assert means == pytest.approx(np.tile(values.mean(axis=0), (3, 1)))
    pair = trade_off(values[:, 0], values[:, 1], np.arange(12) // 4, values, n=3)
    assert pair.shape == (11, 2)
    assert (np.diff(pair[:, 0]) <= 1e-12).all()
    assert (np.diff(pair[:, 1]) >= -1e-12).all()


def test_a_trade_off_refuses_what_does_not_fit():
    with pytest.raises(ConfigError, match="weights are in"):
        trade_off([1], [1], [0], [[1]], [1.5])
    with pytest.raises(ConfigError, match="two aspects"):
        trade_off([1, 2], [1], [0, 0], [[1], [1]])
    with pytest.raises(ConfigError, match="as many prompts"):
        trade_off([1, 2], [1, 2], [0], [[1], [1]])
    with pytest.raises(ConfigError, match="n is in"):
        trade_off([1, 2], [1, 2], [0, 1], [[1], [1]], n=2)


NUMBERS = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=30)


@given(NUMBERS)
def test_correlations_are_those_of_scipy(pairs):
    one, two = np.array(pairs, dtype=float).T
    found = correlate(one, two, np.zeros(len(one)))
    if len(set(one)) == 1 or len(set(two)) == 1:
        assert found.pearson is found.spearman is found.pearson_within is found.spearman_within is None
        return
    assert found.pearson == pytest.approx(pearsonr(one, two).statistic, abs=1e-9)
    assert found.spearman == pytest.approx(spearmanr(one, two).statistic, abs=1e-9)
    # Of one prompt, within and over all are the same.
    assert found.pearson_within == pytest.approx(found.pearson, abs=1e-9)
    assert found.spearman_within == pytest.approx(found.spearman, abs=1e-9)


def test_within_prompts_the_prompts_levels_say_nothing():
    one, two = [0, 1, 2, 10, 11, 12], [2, 1, 0, 12, 11, 10]
    found = correlate(one, two, ["a", "a", "a", "b", "b", "b"])
    assert found.pearson > 0.9
    assert found.pearson_within == pytest.approx(-1)
    assert found.spearman_within == pytest.approx(-1)


def test_a_constant_has_no_correlation_and_a_pair_without_rows_neither():
    assert correlate([1, 1, 1], [1, 2, 3], [0, 0, 1]).pearson is None
    nan = float("nan")
    pairs = correlation_table(
        {"a": [1, 2, 3, nan]}, {"b": [2, nan, 6, 1], "c": [nan, 1, nan, 1]}, [0, 1, 2, 3]
    )
    assert [(pair.kind, pair.first, pair.second, pair.n) for pair in pairs] == [
        ("score", "b", "c", 1),
        ("score-label", "b", "a", 2),
        ("score-label", "c", "a", 1),
    ]
    assert [pair.found.pearson for pair in pairs] == [None, pytest.approx(1), None]
    assert correlation_table({"a": [nan]}, {"b": [1.0]}, [0])[0].found.pearson is None


def test_a_report_by_hand():
    labels = [0.0, 1.0, 2.0, 5.0, 5.0]
    scores = [0.5, 0.5, 3.0, 4.0, 6.0]
    report = report_aspect("x", labels, scores, ["a", "a", "a", "b", "b"], RESAMPLING)
    # a: 1 over 0 ties, 2 over each is right; b's labels are equal.
    assert (report.accuracy.mean, report.accuracy.n, report.ties) == (pytest.approx(2 / 3), 3, 1)
    assert report.accuracy.low is None  # one prompt alone has pairs
    assert (report.n, report.prompts) == (5, 2)
    assert report.mean_squared_error.mean == pytest.approx((0.25 + 0.25 + 1 + 1 + 1) / 5)
    assert report.r2.mean == pytest.approx(1 - 3.5 / 21.2)
    assert report.pearson.mean == pytest.approx(pearsonr(labels, scores).statistic)
    assert report.spearman.mean == pytest.approx(spearmanr(labels, scores).statistic)
    assert (report.label_mean, report.score_mean) == (pytest.approx(2.6), pytest.approx(2.8))


def test_a_perfect_score_is_perfect_and_a_constant_one_knows_nothing():
    rng = np.random.default_rng(0)
    labels, prompts = rng.normal(size=40), np.arange(40) // 4
    perfect = report_aspect("x", labels, labels, prompts, RESAMPLING)
    assert (perfect.accuracy.mean, perfect.accuracy.n, perfect.ties) == (1.0, 60, 0)
    for entry in (perfect.pearson, perfect.spearman, perfect.pearson_within, perfect.spearman_within):
        assert entry.mean == pytest.approx(1)
    assert (perfect.mean_squared_error.mean, perfect.r2.mean) == (0, pytest.approx(1))
    constant = report_aspect("x", labels, np.zeros(40), prompts, RESAMPLING)
    assert (constant.accuracy.mean, constant.ties, constant.pearson, constant.spearman) == (
        0.0,
        60,
        None,
        None,
    )
    unlabelled = report_aspect("x", np.zeros(40), labels, prompts, RESAMPLING)
    assert (unlabelled.accuracy, unlabelled.r2, unlabelled.pearson_within) == (None, None, None)


def test_intervals_cover_about_as_often_as_they_say():
    rng, covered = np.random.default_rng(3), 0
    for trial in range(100):
        shared = rng.normal(size=50).repeat(4)
        one, two = shared + rng.normal(size=200), shared + rng.normal(size=200)
        report = report_aspect("x", one, two, np.arange(200) // 4, Resampling(0.9, 200, trial))
        covered += report.pearson.low <= 0.5 <= report.pearson.high
        assert report.r2.low < report.r2.mean < report.r2.high
    assert 80 <= covered <= 97


def test_a_report_does_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(5)
    labels, scores, prompts = rng.integers(0, 4, 60), rng.normal(size=60), rng.integers(0, 12, 60)
    order = rng.permutation(60)
    first = report_aspect("x", labels, scores, prompts, RESAMPLING)
    second = report_aspect("x", labels[order], scores[order], prompts[order], RESAMPLING)
    assert first.accuracy == second.accuracy
    assert first.pearson.low == pytest.approx(second.pearson.low)


def test_columns_that_do_not_match_are_refused():
    with pytest.raises(ConfigError, match="as many labels"):
        report_aspect("x", [1.0], [1.0, 2.0], [0, 1], RESAMPLING)
    with pytest.raises(ConfigError, match="finite"):
        report_aspect("x", [float("nan")], [1.0], [0], RESAMPLING)
    with pytest.raises(ConfigError, match="as many numbers"):
        correlate([1.0], [1.0, 2.0], [0])
