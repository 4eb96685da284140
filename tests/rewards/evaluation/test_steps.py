"""ROC and calibration of step scores against pairs counted singly, scikit-learn and hand-worked numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import ConfigError
from rewards.evaluation.steps import calibrate_steps, step_roc
from rewards.intervals import Resampling

FEW = Resampling(resamples=20)
STEPS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.2, 0.5, 1.0])), min_size=1, max_size=30)


@given(STEPS)
def test_auc_is_the_share_of_pairs_in_the_right_order_ties_half(steps):
    right = [score for score, label in steps if label >= 0.5]
    wrong = [score for score, label in steps if label < 0.5]
    roc = step_roc(*zip(*steps, strict=True), np.arange(len(steps)), FEW)
    assert (roc.right, roc.wrong) == (len(right), len(wrong))
    if not right or not wrong:
        assert roc.auc is None
        return
    pairs = [(good > bad) + 0.5 * (good == bad) for good in right for bad in wrong]
    assert roc.auc == pytest.approx(np.mean(pairs), abs=1e-12)
    # The curve's area is the same; its ends are none and all.
    assert (roc.false_alarms[0], roc.detections[0], roc.false_alarms[-1], roc.detections[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(roc.detections, roc.false_alarms) == pytest.approx(roc.auc)
    for threshold, alarms, detections in zip(roc.thresholds, roc.false_alarms, roc.detections, strict=True):
        limit = math.inf if threshold is None else threshold
        assert alarms == pytest.approx(np.mean([score < limit for score in right]))
        assert detections == pytest.approx(np.mean([score < limit for score in wrong]))


def test_auc_agrees_with_scikit_learn_and_lies_in_its_interval():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    labels = (rng.random(2000) < 0.8).astype(float)
    scores = np.round(rng.normal(labels, 1.0), 2)
    roc = step_roc(scores, labels, np.arange(2000) // 5, Resampling(resamples=200))
    assert roc.auc == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    assert roc.low < roc.auc < roc.high
    assert roc.high - roc.low < 0.08
    assert len(roc.thresholds) <= 201


def test_the_interval_is_over_prompts_and_counts_resamples_without_a_kind():
    scores, labels = [0.1, 0.9, 0.4, 0.8], [0, 1, 0, 1]
    assert step_roc(scores, labels, ["a"] * 4, FEW).low is None
    # Prompt "a" holds the wrong steps, "b" the right ones: half of the resamples draw one of them alone.
    apart = step_roc(scores, labels, ["a", "b", "a", "b"], Resampling(resamples=400))
    assert apart.undefined == pytest.approx(200, abs=50)


def test_calibration_by_hand():
    # Bins [0, 0.5) and [0.5, 1]: mean scores 0.3 and 0.8, mean labels 0.5 and 0.75; 2 and 2 steps.
    found = calibrate_steps([0.2, 0.4, 0.7, 0.9], [0, 1, 0.5, 1], bins=2)
    assert [(each.n, each.confidence, each.accuracy) for each in found.bins] == [
        (2, pytest.approx(0.3), 0.5),
        (2, pytest.approx(0.8), 0.75),
    ]
    assert found.error == pytest.approx((2 * 0.2 + 2 * 0.05) / 4)
    assert found.brier == pytest.approx((0.04 + 0.36 + 0.04 + 0.01) / 4)
    losses = [-math.log(0.8), -math.log(0.4), -(math.log(0.7) + math.log(0.3)) / 2, -math.log(0.9)]
    assert found.log_loss == pytest.approx(np.mean(losses))


def test_a_certain_and_wrong_step_makes_the_log_loss_infinite_which_is_no_number():
    found = calibrate_steps([0.0, 1.0, 1.0, 0.0], [0, 1, 0, 0.5])
    assert (found.log_loss, found.impossible) == (None, 2)
    certain = calibrate_steps([0.0, 1.0], [0, 1])
    assert (certain.log_loss, certain.error, certain.brier) == (0, 0, 0)


def test_scores_that_are_no_probabilities_have_no_calibration():
    assert calibrate_steps([0.5, 1.5], [0, 1]) is None
    assert calibrate_steps([], []) is None


def test_what_is_no_score_or_label_is_refused():
    for scores, labels in (([0.5], [0.5, 1]), ([math.nan], [1]), ([0.5], [1.5])):
        with pytest.raises(ConfigError):
            step_roc(scores, labels, ["a"], FEW)
    with pytest.raises(ConfigError, match="bins"):
        calibrate_steps([0.5], [1], bins=0)
