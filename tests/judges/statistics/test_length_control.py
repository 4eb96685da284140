import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from judges.statistics.length_control import length_controlled_win_rate, prompt_difficulty
from judges.statistics.logistic import (
    NotEstimableError,
    fit_lasso,
    fit_logistic,
    leave_one_out,
    redundant_column,
    separates,
)
from judges.statistics.win_rate import win_rate
from rewards.errors import ConfigError

POSITION, EASE, TIES, JURY = 0.6, 1.5, 0.15, 3


def judged(seed, prompts, quality=0.4, effect=1.2, shift=0.4):
    """A jury's verdicts in both orders: the first shown is preferred, prompts differ, ties, few missing.

    Returns preferences, length differences (first minus second) and prompts.
    """
    generator = np.random.default_rng(seed)
    difference = generator.normal(300 * shift, 300, prompts)
    usual = 300 * np.sqrt(1 + shift**2)
    odds = quality + effect * np.tanh(difference / usual) + generator.normal(0, EASE, prompts)
    prompt = np.repeat(np.arange(prompts), 2 * JURY)
    chance = expit(odds[prompt] + POSITION * np.tile([1, -1], prompts * JURY))
    preferences = (generator.random(len(prompt)) < chance).astype(float)
    preferences[generator.random(len(prompt)) < TIES] = 0.5
    preferences[generator.random(len(prompt)) < 0.02] = np.nan
    return preferences, difference[prompt], prompt


def true_win_rate(quality):
    """Of verdicts on equally long responses, in both orders: by quadrature over prompts."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    odds = quality + EASE * nodes[:, None] + POSITION * np.array([1, -1])
    chance = (weights @ expit(odds)).mean() / weights.sum()
    return TIES / 2 + (1 - TIES) * chance


@pytest.fixture(scope="module")
def simulated():
    runs = [length_controlled_win_rate(*judged(seed, 100)) for seed in range(200)]
    naive = [length_controlled_win_rate(*judged(seed, 100)[:2]) for seed in range(200)]
    return runs, naive


def coverage(runs, truth):
    return np.mean([run.low <= truth <= run.high for run in runs])


def test_the_interval_holds_the_truth_as_often_as_it_says(simulated):
    runs, _ = simulated
    truth = true_win_rate(0.4)
    assert 0.92 <= coverage(runs, truth) <= 0.98
    means = np.array([run.mean for run in runs])
    assert means.mean() == pytest.approx(truth, abs=0.008)
    assert np.mean([run.standard_error for run in runs]) == pytest.approx(means.std(), rel=0.12)
    assert np.mean([bool(run.warnings) for run in runs]) < 0.05  # nothing is wrong with these data


def test_rows_taken_for_independent_promise_too_much(simulated):
    runs, naive = simulated
    truth = true_win_rate(0.4)
    assert coverage(naive, truth) < coverage(runs, truth) - 0.1
    assert [run.mean for run in naive] == [run.mean for run in runs]


def test_the_uncontrolled_win_rate_misses_what_length_control_removes(simulated):
    runs, _ = simulated
    # First is longer by 0.4 standard deviations, and longer wins.
    assert np.mean([run.uncontrolled.mean for run in runs]) > true_win_rate(0.4) + 0.025
    assert np.mean([run.length.low > 0 for run in runs]) > 0.9


def test_a_planted_effect_of_length_is_found_and_removed():
    generator = np.random.default_rng(1)
    difference = generator.normal(200, 300, 60_000)
    scale = np.sqrt(np.mean(difference**2))
    wins = generator.random(60_000) < expit(-0.5 + 1.5 * np.tanh(difference / scale))
    found = length_controlled_win_rate(wins, difference)
    assert found.mean == pytest.approx(expit(-0.5), abs=0.01)
    assert found.length.value == pytest.approx(1.5, abs=0.06)
    assert found.length.scale == pytest.approx(scale)
    assert found.low < found.mean < found.high
    assert found.near_equal.mean == pytest.approx(expit(-0.5), abs=0.02)
    assert found.warnings == ()


def test_changing_sides_mirrors_everything():
    preferences, difference, prompts = judged(3, 80)
    hard = np.random.default_rng(0).normal(size=80)[prompts]
    headers = np.random.default_rng(1).integers(-3, 4, len(prompts))
    one = length_controlled_win_rate(preferences, difference, prompts, {"headers": headers}, hard)
    other = length_controlled_win_rate(1 - preferences, -difference, prompts, {"headers": -headers}, hard)
    assert other.mean == pytest.approx(1 - one.mean, abs=1e-9)
    assert (other.low, other.high) == pytest.approx((1 - one.high, 1 - one.low), abs=1e-9)
    assert other.length.value == pytest.approx(one.length.value, abs=1e-8)
    assert other.covariates["headers"].value == pytest.approx(one.covariates["headers"].value, abs=1e-8)
    assert other.equal_length_inside == one.equal_length_inside


def test_the_unit_of_length_does_not_matter():
    preferences, difference, prompts = judged(3, 80)
    characters = length_controlled_win_rate(preferences, difference, prompts)
    words = length_controlled_win_rate(preferences, difference / 6, prompts)
    assert words.mean == pytest.approx(characters.mean, abs=1e-9)
    assert words.length.value == pytest.approx(characters.length.value, abs=1e-8)
    assert words.length.scale == pytest.approx(characters.length.scale / 6)


def test_copies_of_every_verdict_tell_nothing_new():
    preferences, difference, prompts = judged(4, 60)
    once = length_controlled_win_rate(preferences, difference, prompts)
    thrice = length_controlled_win_rate(
        *(np.repeat(column, 3) for column in (preferences, difference, prompts))
    )
    assert thrice.mean == pytest.approx(once.mean, abs=1e-9)
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high), abs=1e-9)
    assert (thrice.n, thrice.prompts) == (3 * once.n, once.prompts)


def test_where_all_are_equally_long_it_is_the_plain_win_rate():
    preferences, _, prompts = judged(5, 90)
    found = length_controlled_win_rate(preferences, np.zeros(len(prompts)), prompts)
    assert found.length is None
    assert found.equal_length_inside
    assert found.mean == pytest.approx(found.uncontrolled.mean, abs=1e-9)
    assert found.standard_error == pytest.approx(found.uncontrolled.standard_error, rel=0.03)
    assert found.near_equal == found.uncontrolled or found.near_equal.mean == found.uncontrolled.mean


def test_missing_verdicts_are_counted_and_have_no_part():
    preferences, difference, prompts = judged(6, 60)
    gone = np.isnan(preferences)
    assert gone.any()
    found = length_controlled_win_rate(preferences, np.where(gone, np.nan, difference), prompts)
    without = length_controlled_win_rate(preferences[~gone], difference[~gone], prompts[~gone])
    assert (found.mean, found.low, found.high) == (without.mean, without.low, without.high)
    assert (found.n, found.missing) == (int((~gone).sum()), int(gone.sum()))
    assert found.uncontrolled == win_rate(preferences, prompts)


def test_labels_of_prompts_may_be_texts():
    preferences, difference, prompts = judged(6, 60)
    named = np.array([f"prompt {number}" for number in prompts])
    found = length_controlled_win_rate(preferences, difference, named)
    assert found.low == pytest.approx(
        length_controlled_win_rate(preferences, difference, prompts).low, abs=1e-12
    )


def test_equal_length_outside_the_data_is_flagged():
    generator = np.random.default_rng(0)
    difference = generator.normal(500, 200, 400)
    wins = generator.random(400) < 0.6
    found = length_controlled_win_rate(wins, difference)
    assert not found.equal_length_inside
    assert found.length.share_below < 0.02
    assert "equal length lies at the edge of the data" in found.warnings[0]
    assert "below it" in found.warnings[0]
    inside = length_controlled_win_rate(wins, difference - 500)
    assert inside.equal_length_inside
    assert inside.warnings == ()
    assert found.high - found.low > 2 * (inside.high - inside.low)  # and the interval knows


def test_a_figure_of_0_or_1_by_extrapolation_alone_is_no_figure():
    generator = np.random.default_rng(0)
    difference = generator.normal(500, 1, 400)
    wins = generator.random(400) < expit(difference - 500)
    with pytest.raises(NotEstimableError, match="too far from the data"):
        length_controlled_win_rate(wins, difference)


def test_an_effect_of_another_shape_is_told_from_nearly_equal_lengths():
    generator = np.random.default_rng(0)
    difference = generator.normal(0, 300, 4000)
    # Even at equal length, but lost as soon as lengths differ, to either side: no slope can follow.
    wins = generator.random(4000) < np.where(np.abs(difference) < 75, 0.5, 0.1)
    found = length_controlled_win_rate(wins, difference)
    assert len(found.warnings) == 1
    assert "nearly equal length" in found.warnings[0]


def test_a_style_covariate_is_controlled_at_zero_too():
    generator = np.random.default_rng(2)
    difference, lists = generator.normal(0, 300, 40_000), generator.poisson(2, 40_000) - 1.0
    odds = 0.3 + np.tanh(difference / 300) + 1.4 * np.tanh(lists / np.sqrt(np.mean(lists**2)))
    wins = generator.random(40_000) < expit(odds)
    found = length_controlled_win_rate(
        wins, difference, covariates={"lists": lists, "bold": np.zeros(40_000)}
    )
    assert found.mean == pytest.approx(expit(0.3), abs=0.015)
    assert found.covariates["lists"].value == pytest.approx(1.4, abs=0.08)
    assert set(found.covariates) == {"lists"}  # a difference that is 0 throughout has no coefficient
    assert length_controlled_win_rate(wins, difference).mean > expit(0.3) + 0.05


def test_difficulty_mends_lengths_that_go_with_it():
    generator = np.random.default_rng(8)
    hard = generator.normal(size=(3000, 1)) + np.zeros((3000, 4))
    difference = 150 * hard + generator.normal(0, 300, (3000, 4))  # first writes more where it is worse
    wins = generator.random((3000, 4)) < expit(0.5 - 1.2 * hard)
    systems, prompts = np.tile(np.arange(4), 3000), np.repeat(np.arange(3000), 4)
    known = prompt_difficulty(wins.ravel(), systems, prompts)
    own = systems == 0
    plain = length_controlled_win_rate(wins[:, 0], difference[:, 0])
    mended = length_controlled_win_rate(wins[:, 0], difference[:, 0], difficulty=known[own])
    # Length has no effect of its own; what it seems to have is difficulty's.
    assert plain.length.high < 0
    assert abs(mended.length.value) < abs(plain.length.value) / 1.5
    assert mended.mean == pytest.approx(wins[:, 0].mean(), abs=0.02)


def test_which_prompts_were_drawn_is_part_of_the_error():
    generator = np.random.default_rng(4)
    hard, difference = generator.normal(size=500), generator.normal(0, 300, 500)
    chances = expit(0.5 - 2 * hard)  # without noise: every coefficient is certain
    found = length_controlled_win_rate(chances, difference, difficulty=hard)
    assert found.mean == pytest.approx(chances.mean(), abs=1e-9)
    assert found.standard_error == pytest.approx(chances.std(ddof=1) / np.sqrt(500), rel=0.01)


def test_difficulty_says_nothing_of_a_systems_own_verdict():
    # Two prompts, three systems: means 0.5, 1, 0.5; the third's verdict on the second prompt is missing.
    preferences = [1, 0, 1, 1, 0.5, np.nan]
    systems = ["a", "a", "b", "b", "c", "c"]
    prompts = [0, 1, 0, 1, 0, 1]
    found = prompt_difficulty(preferences, systems, prompts, prior=1.0)
    # Short of their means: a -0.5, 0.5; b 0, 0; c 0.
    assert found == pytest.approx([0, 0, -0.5 / 3, 0.5 / 2, -0.5 / 3, 0.5 / 3])
    other = prompt_difficulty([0, 1, 1, 1, 0.5, np.nan], systems, prompts, prior=1.0)
    assert other[:2] == pytest.approx(found[:2])  # a's verdicts turned: its own difficulties stay
    with pytest.raises(ConfigError, match="needs a system"):
        prompt_difficulty([1, 0], ["a"], [0, 1])


def test_a_penalty_pulls_towards_the_plain_win_rate_and_makes_separated_data_fit():
    preferences, difference, prompts = judged(7, 120, shift=1.0)
    free, heavy = (
        length_controlled_win_rate(preferences, difference, prompts, penalty=penalty)
        for penalty in (0.0, 1e7)
    )
    assert heavy.mean == pytest.approx(free.uncontrolled.mean, abs=1e-3)
    assert abs(free.mean - free.uncontrolled.mean) > 0.02
    assert heavy.penalty == 1e7
    lengths = np.array([-3.0, -2, -1, 1, 2, 3])
    found = length_controlled_win_rate(lengths > 0, lengths, penalty=1.0)
    assert found.mean == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize(
    ("preferences", "lengths", "options", "words"),
    [
        ([1, 1, 1, 1], [1, -2, 3, -4], {}, "first wins every one of 4 verdicts"),
        ([0, 0, 0, np.nan], [1, -2, 3, -4], {}, "first loses every one of 3 verdicts"),
        ([1, 0, 1, 0], [1, -2, 3, -4], {}, "told from losses by length without exception"),
        ([1, 0, 1, 0], [5, 5, 5, 5], {}, "every difference of length is 5"),
        (
            [1, 0, 1, 0],
            [1, 2, 3, 4],
            {"covariates": {"words": [2, 4, 6, 8]}},
            "words hardly varies or follows",
        ),
        ([1, 0, 1, 0, 1], [0, 0, 0, 3, 3], {"prompts": [0, 1, 2, 3, 3]}, "one prompt alone"),
    ],
)
def test_where_there_is_no_estimate_there_is_a_reason(preferences, lengths, options, words):
    with pytest.raises(NotEstimableError, match=words):
        length_controlled_win_rate(preferences, lengths, **options)


def test_one_prompt_or_only_ties_give_no_interval():
    one = length_controlled_win_rate([1, 0, 1, 0], [1, 2, -1, -2], ["p"] * 4)
    assert (one.low, one.high, one.standard_error, one.length.low) == (None, None, None, None)
    ties = length_controlled_win_rate([0.5] * 40, np.arange(-20, 20))
    assert ties.mean == pytest.approx(0.5, abs=1e-12)
    assert (ties.low, ties.high, ties.standard_error) == (None, None, None)


def test_few_prompts_are_warned_of():
    found = length_controlled_win_rate(*judged(9, 25))
    assert "rests on 25 prompts" in found.warnings[-1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"preferences": [1, 0, 2]}, "in \\[0, 1\\]"),
        ({"preferences": [np.nan] * 3}, "needs a verdict"),
        ({"length_difference": [1, 2]}, "length has the shape"),
        ({"length_difference": [1, np.nan, 2]}, "got nan in row 1"),
        ({"prompts": [1, 2]}, "one prompt a value"),
        ({"covariates": {"lists": [1, 2]}}, "lists has the shape"),
        ({"covariates": {"length": [1, 2, 3]}}, "is taken"),
        ({"difficulty": [np.inf, 2, 3]}, "difficulty is a number"),
        ({"level": 1.0}, "level"),
        ({"penalty": -1.0}, "penalty is 0 or more"),
    ],
)
def test_wrong_arguments_are_named(changes, words):
    arguments = {"preferences": [1, 0, 0.5], "length_difference": [1, 2, -4], **changes}
    with pytest.raises(ConfigError, match=words):
        length_controlled_win_rate(**arguments)


# The regression below it.


def problem(seed, n=120, k=3):
    generator = np.random.default_rng(seed)
    features = np.column_stack([np.ones(n), generator.normal(size=(n, k - 1))])
    labels = generator.choice([0, 0.3, 0.5, 1], n)
    return features, labels, generator.uniform(0, 3, n)


@pytest.mark.parametrize("ridge", [0.0, 2.5])
def test_coefficients_are_scikit_learns(ridge):
    sklearn = pytest.importorskip("sklearn.linear_model")
    features, labels, weights = problem(0)
    model = sklearn.LogisticRegression(
        C=1 / ridge if ridge else np.inf, fit_intercept=False, tol=1e-12, max_iter=5000
    )
    twice = np.concatenate([weights * labels, weights * (1 - labels)])
    model.fit(np.concatenate([features, features]), np.repeat([1, 0], 120), twice)
    assert fit_logistic(features, labels, weights, ridge).coefficients == pytest.approx(
        model.coef_[0], abs=1e-5
    )


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_gradient_is_zero_at_the_fit(seed):
    features, labels, weights = problem(seed)
    ridge = np.array([0.0, 1.0, 3.0])
    fit = fit_logistic(features, labels, weights, ridge)
    gradient = features.T @ (weights * (fit.fitted - labels)) + ridge * fit.coefficients
    assert np.abs(gradient).max() < 1e-8
    assert fit.fitted == pytest.approx(expit(features @ fit.coefficients))


def test_an_intercept_alone_is_the_log_odds_of_the_weighted_mean():
    fit = fit_logistic(np.ones((4, 1)), [1, 0, 0.5, 1], [1, 2, 3, 4])
    assert fit.fitted == pytest.approx([6.5 / 10] * 4)
    assert fit.information == pytest.approx(np.array([[10 * 0.65 * 0.35]]))


def test_leaving_out_a_group_is_refitting_without_it():
    features, labels, _ = problem(1, n=600)
    groups = np.arange(600) // 3
    fit = fit_logistic(features, labels)
    moves = leave_one_out(fit, features, labels, groups)
    for group in (0, 77, 199):
        kept = groups != group
        refit = fit_logistic(features[kept], labels[kept]).coefficients - fit.coefficients
        assert moves[group] == pytest.approx(refit, abs=0.03 * np.abs(moves).max())


@given(st.integers(0, 10_000), st.floats(0.05, 5))
@settings(max_examples=30, deadline=None)
def test_the_lasso_meets_its_conditions(seed, cost):
    features, labels, weights = problem(seed)
    weights = weights / 10
    found = fit_lasso(features, features.T @ (weights * labels), weights, cost)
    pull = cost * features.T @ (weights * (labels - expit(features @ found)))
    zero = found == 0
    assert pull[~zero] == pytest.approx(np.sign(found[~zero]), abs=1e-6)
    assert (np.abs(pull[zero]) <= 1 + 1e-6).all()


def test_a_lasso_of_little_cost_is_nothing_and_of_great_cost_no_lasso():
    features, labels, weights = problem(2)
    statistic = features.T @ (weights * labels)
    assert (fit_lasso(features, statistic, weights, 1e-4) == 0).all()
    free = fit_logistic(features, labels, weights).coefficients
    assert fit_lasso(features, statistic, weights, 1e7) == pytest.approx(free, abs=1e-5)


def test_separation_is_told_from_a_steep_but_finite_fit():
    line = np.column_stack([np.ones(6), np.arange(6.0)])
    none = np.zeros(2)
    assert separates(line, np.array([0.0, 0, 0, 1, 1, 1]), none)
    assert separates(line, np.array([0.0, 0, 0.5, 1, 1, 1]), none)  # all but the tie, on which it pivots
    assert not separates(line, np.array([0.0, 0, 1, 0, 1, 1]), none)
    assert not separates(line, np.array([0.0, 0.5, 0.5, 1, 1, 1]), none)
    assert not separates(line, np.array([0.0, 0, 0, 1, 1, 1]), np.ones(2))
    with pytest.raises(NotEstimableError, match="infinite"):
        fit_logistic(line, [0, 0, 0, 1, 1, 1])
    steep = np.full(6, 1e-9)
    steep[3:] = 1 - 1e-9
    assert np.abs(fit_logistic(line, steep).coefficients).max() > 10  # no label is exactly 0 or 1


def test_columns_that_follow_from_others_are_found():
    features, _, weights = problem(3)
    double = np.column_stack([features, features[:, 1] * 2 - 1])
    assert redundant_column(features, weights, np.zeros(3)) is None
    assert redundant_column(double, weights, np.zeros(4)) == 3
    assert redundant_column(double, weights, np.array([0, 1.0, 1.0, 1.0])) is None
    with pytest.raises(NotEstimableError, match="column 3"):
        fit_logistic(double, np.full(120, 0.5))


@pytest.mark.parametrize(
    ("features", "labels", "weights", "words"),
    [
        (np.ones((2, 1)), [1], None, "features"),
        (np.ones(2), [1, 0], None, "features"),
        (np.ones((2, 1)), [1, 0], [1], "weights"),
        (np.ones((2, 1)), [1, 0], [1, -1], "no weight is negative"),
        (np.full((2, 1), np.nan), [1, 0], None, "finite"),
        (np.ones((2, 1)), [1, np.nan], None, "between 0 and 1"),
    ],
)
def test_a_fit_says_what_is_wrong_with_its_arguments(features, labels, weights, words):
    with pytest.raises(ConfigError, match=words):
        fit_logistic(features, labels, weights)
    with pytest.raises(ConfigError, match="ridge"):
        fit_logistic(np.ones((2, 1)), [1, 0], ridge=-1.0)
