import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from judges.statistics.bradley_terry import NotIdentifiedError, bradley_terry
from judges.statistics.style import StyleControlled, style_controlled, style_differences, style_of
from rewards.errors import ConfigError

MARKDOWN = """# Answer

Some **bold words** and __more__ of them, 2 * 3 * 4.

## Steps
- one
  * two
1. three
2) four

```python
# no header
- no list, **not bold**
```
"""


def test_style_by_hand():
    style = style_of(MARKDOWN)
    assert style.headers == 2
    assert style.lists == 4
    assert style.bold == 2
    assert style.characters == len(MARKDOWN)
    assert style.words == len(MARKDOWN.split())


@pytest.mark.parametrize(
    "text", ["", "#hashtag", "####### seven", "-dash", "1.5 is a number", "** not bold **", "a ****"]
)
def test_what_only_looks_like_markdown(text):
    assert style_of(text)[2:] == (0, 0, 0)


def test_an_unclosed_fence_hides_the_rest():
    assert style_of("# One\n```\n# Two\n- three")[2:] == (1, 0, 0)


def test_differences_by_hand():
    # 6 words (the marks are words, too), 1 header, 1 list item and 1 bold span, against 2 plain words.
    found = style_differences(["# a\n- **b** c d", "", "same"], ["e f", "", "same"])
    assert found["length"][0] == pytest.approx((6 - 2) / (6 + 2))
    for name in ("headers", "lists", "bold"):
        assert found[name][0] == pytest.approx((1 / 7) / (1 / 7 + 1))
    assert list(found) == ["length", "headers", "lists", "bold"]
    for column in found.values():
        assert column[1:] == pytest.approx([0, 0])


@given(st.lists(st.tuples(st.text("#-*_ ab1.\n`"), st.text("#-*_ ab1.\n`")), max_size=5))
def test_differences_are_antisymmetric_and_bounded(pairs):
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    there, back = style_differences(first, second), style_differences(second, first)
    for name, column in there.items():
        np.testing.assert_allclose(column, -back[name], atol=1e-12)
        assert (np.abs(column) <= 1).all()


STRENGTHS = np.array([-0.6, 0.1, 0.0, 0.5])
VERBOSITY = np.array([1.0, 0.0, -0.5, -0.5])
EFFECT = 1.2


def judged(rng: np.random.Generator, n: int, prompts: int):
    """Verdicts of a judge that likes length; the weakest system is the longest."""
    first = rng.integers(0, 4, n)
    second = (first + rng.integers(1, 4, n)) % 4
    length = VERBOSITY[first] - VERBOSITY[second] + rng.normal(size=n)
    outcome = (rng.random(n) < expit(STRENGTHS[first] - STRENGTHS[second] + EFFECT * length)) * 1.0
    return first, second, outcome, length, rng.integers(0, prompts, n)


def test_a_planted_effect_is_recovered_and_strengths_are_biased_without_control():
    first, second, outcome, length, prompts = judged(np.random.default_rng(2), 6000, 500)
    found = style_controlled(first, second, outcome, {"length": length}, prompts)
    assert found.prompts == 500
    effect = found.coefficients[0] / found.scales[0]
    assert abs(effect - EFFECT) < 3 * found.coefficient_errors[0] / found.scales[0]
    assert (np.abs(found.strengths - STRENGTHS) < 3.5 * found.standard_errors).all()
    raw = bradley_terry(first, second, outcome, prompts, resamples=0)
    assert raw.strengths[0] > raw.strengths[3], "the longest system leads"
    assert found.strengths[0] < found.strengths[3]
    assert abs(raw.strengths[0] - STRENGTHS[0]) > 10 * raw.standard_errors[0]


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(7)
    inside = []
    for _ in range(120):
        first, second, outcome, length, prompts = judged(rng, 400, 60)
        found = style_controlled(first, second, outcome, {"length": length}, prompts)
        truth = EFFECT * found.scales[0]
        inside.append(
            [
                found.coefficient_low[0] <= truth <= found.coefficient_high[0],
                *((found.low <= STRENGTHS) & (found.high >= STRENGTHS)),
            ]
        )
    # 600 intervals, those of a fit dependent: three standard errors of 240 independent ones.
    assert np.mean(inside) == pytest.approx(0.95, abs=0.042)


def test_a_covariate_without_effect_leaves_the_strengths():
    rng = np.random.default_rng(3)
    first, second, outcome, _, prompts = judged(rng, 3000, 300)
    noise = rng.normal(size=3000)
    found = style_controlled(first, second, outcome, {"noise": noise}, prompts)
    plain = bradley_terry(first, second, outcome, prompts, resamples=0)
    assert found.coefficient_low[0] < 0 < found.coefficient_high[0]
    np.testing.assert_allclose(found.strengths, plain.strengths, atol=0.02)
    np.testing.assert_allclose(found.standard_errors, plain.standard_errors, rtol=0.05)
    assert found.strengths.sum() == pytest.approx(0, abs=1e-10)


def test_the_advantage_of_the_first_place_by_hand():
    # First place wins 30 of 40 between equals in both orders: log-odds 3.
    first, second = ["a"] * 20 + ["b"] * 20, ["b"] * 20 + ["a"] * 20
    outcome = ([1] * 15 + [0] * 5) * 2
    found = style_controlled(first, second, outcome, {"first place": np.ones(40)})
    assert found.coefficients[0] == pytest.approx(math.log(3))
    assert found.strengths == pytest.approx([0, 0])
    # Scores are 1/4 or -3/4: variance of the estimate = 40/39 * sum of squares / (40 * 3/16)^2.
    squares = 30 / 16 + 10 * 9 / 16
    assert found.coefficient_errors[0] == pytest.approx(math.sqrt(40 / 39 * squares) / (40 * 3 / 16))


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_exchanging_the_sides_changes_nothing(seed):
    first, second, outcome, length, prompts = judged(np.random.default_rng(seed), 120, 20)
    outcome[:5] = [math.nan, 0.5, 0.5, 0.3, 0.9]
    there = style_controlled(first, second, outcome, {"length": length}, prompts)
    back = style_controlled(second, first, 1 - outcome, {"length": -length}, prompts)
    np.testing.assert_allclose(there.strengths, back.strengths, atol=1e-8)
    np.testing.assert_allclose(there.covariance, back.covariance, atol=1e-8)
    assert (there.n, there.missing) == (119, 1)
    units = style_controlled(first, second, outcome, {"length": 1000 * length}, prompts)
    np.testing.assert_allclose(units.coefficients, there.coefficients, atol=1e-8)


def test_statsmodels_with_clustered_errors():
    regression = pytest.importorskip("statsmodels.api")
    first, second, outcome, length, prompts = judged(np.random.default_rng(4), 500, 70)
    sides = np.zeros((500, 4))
    sides[np.arange(500), first], sides[np.arange(500), second] = 1, -1
    features = np.column_stack([sides[:, 1:], length])
    model = regression.GLM(outcome, features, family=regression.families.Binomial())
    theirs = model.fit(cov_type="cluster", cov_kwds={"groups": prompts, "use_correction": False}, tol=1e-12)
    ours = style_controlled(first, second, outcome, {"length": length}, prompts)
    np.testing.assert_allclose(ours.strengths[1:] - ours.strengths[0], theirs.params[:3], atol=1e-7)
    assert ours.coefficients[0] / ours.scales[0] == pytest.approx(theirs.params[3])
    count = len(np.unique(prompts))
    error = theirs.bse[3] * math.sqrt(count / (count - 1))
    assert ours.coefficient_errors[0] / ours.scales[0] == pytest.approx(error, rel=1e-6)


def test_priors_pull_together_and_identify():
    first, second, outcome, length, prompts = judged(np.random.default_rng(5), 200, 40)
    free = style_controlled(first, second, outcome, {"length": length}, prompts)
    pulled = style_controlled(
        first, second, outcome, {"length": length}, prompts, prior=0.3, covariate_prior=0.2
    )
    assert np.abs(pulled.strengths).max() < np.abs(free.strengths).max()
    assert abs(pulled.coefficients[0]) < abs(free.coefficients[0])
    assert pulled.strengths.sum() == pytest.approx(0, abs=1e-9)
    wide = style_controlled(
        first, second, outcome, {"length": length}, prompts, prior=1e4, covariate_prior=1e4
    )
    np.testing.assert_allclose(wide.strengths, free.strengths, atol=1e-5)
    np.testing.assert_allclose(wide.covariance, free.covariance, atol=1e-5)
    alone: StyleControlled = style_controlled(
        ["a"] * 3, ["b"] * 3, [1] * 3, {"x": [1.0, -1.0, 0.5]}, prior=1.0, covariate_prior=1.0
    )
    assert alone.strengths[0] > 0


def test_one_prompt_has_no_interval():
    found = style_controlled(["a"] * 4, ["b"] * 4, [1, 0, 0.5, 0.4], {"x": [1.0, -1.0, 0.5, 2.0]}, ["p"] * 4)
    assert np.isnan([*found.standard_errors, *found.low, *found.coefficient_high]).all()
    assert np.isfinite(found.strengths).all()


@pytest.mark.parametrize(
    ("covariates", "words"),
    [
        ({}, "no covariates"),
        ({"x": [0.0] * 6}, "'x' is 0 in every row"),
        ({"x": [1.0, 2.0]}, r"'x' has the shape \(2,\)"),
        ({"x": [1, 2, math.nan, 3, 1, 2]}, "'x' is nan in row 2"),
        ({"x": [1, 3, -2, 1, 2, 3], "twice": [2, 6, -4, 2, 4, 6]}, "'twice' follows from"),
        ({"own": [1, -1, 2, -2, 1, -1]}, "'own' follows from the systems"),
    ],
)
def test_bad_covariates(covariates, words):
    first, second = ["a", "b", "a", "c", "b", "c"], ["b", "a", "c", "a", "c", "b"]
    with pytest.raises(ConfigError, match=words):
        style_controlled(first, second, [1, 1, 0, 1, 0, 0.5], covariates)


def test_what_is_not_identified():
    with pytest.raises(NotIdentifiedError, match="a never loses"):
        style_controlled(["a", "a"], ["b", "b"], [1, 1], {"x": [1.0, 2.0]})
    # The longer always wins.
    with pytest.raises(NotIdentifiedError, match="without exception"):
        style_controlled(["a", "a", "a", "b"], ["b"] * 3 + ["a"], [1, 0, 1, 1], {"x": [1.0, -2.0, 3.0, 4.0]})


def test_style_is_compared_text_by_text():
    with pytest.raises(ConfigError, match="2 and 1 texts"):
        style_differences(["a", "b"], ["c"])
