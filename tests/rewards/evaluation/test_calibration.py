import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from rewards.errors import ConfigError
from rewards.evaluation.calibration import calibrate

finite = st.floats(-30, 30)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_errors_by_hand():
    # P = 0.6, 0.6 and (wrong) 0.4: confidence 0.6, two of three right. P = 0.9: confidence 0.9, right.
    result = calibrate([logit(0.6), logit(0.6), logit(0.4), logit(0.9)], bins=2)
    assert [(each.low, each.high, each.n) for each in result.bins] == [(0.5, 0.75, 3), (0.75, 1.0, 1)]
    assert result.bins[0].confidence == pytest.approx(0.6)
    assert result.bins[0].accuracy == pytest.approx(2 / 3)
    assert result.error == pytest.approx((3 * (2 / 3 - 0.6) + 1 * (1 - 0.9)) / 4)
    assert result.brier == pytest.approx((2 * 0.4**2 + 0.6**2 + 0.1**2) / 4)
    assert result.log_loss == pytest.approx(-(2 * math.log(0.6) + math.log(0.4) + math.log(0.9)) / 4)


def test_an_edge_belongs_to_the_bin_above_and_certainty_to_the_last():
    result = calibrate([0.0, 1000.0], bins=10)
    assert [(each.low, each.n, each.accuracy) for each in result.bins] == [(0.5, 1, 0.5), (0.95, 1, 1.0)]


def test_a_constant_score_knows_that_it_knows_nothing():
    result = calibrate(np.zeros(7))
    assert (result.error, result.brier, result.log_loss) == (0, 0.25, pytest.approx(math.log(2)))
    assert result.temperature.value is None
    assert result.temperature.reason == "all pairs are tied"


@pytest.mark.parametrize(
    ("differences", "reason"),
    [([1.0, 2.0, 0.0], "no pair is wrong"), ([-1.0, 0.5], "favours the rejected"), ([1.0, -1.0], "favours")],
)
def test_a_temperature_that_does_not_exist_is_not_invented(differences, reason):
    temperature = calibrate(differences).temperature
    assert temperature.value is None
    assert temperature.error is None
    assert reason in temperature.reason


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 3.0, 5000.0])
def test_the_temperature_of_calibrated_logits_is_found(temperature):
    # At each logit, the share of right pairs is exactly its probability.
    differences = [
        sign * logit(tenths / 10)
        for tenths in (6, 7, 8, 9)
        for sign, count in ((1, tenths), (-1, 10 - tenths))
        for _ in range(count)
    ]
    result = calibrate(temperature * np.array(differences)).temperature
    assert result.value == pytest.approx(temperature, rel=1e-9)
    assert result.error == pytest.approx(0, abs=1e-9)


@given(st.lists(finite, min_size=2, max_size=30))
def test_no_other_temperature_is_likelier(differences):
    result = calibrate(differences)
    if result.temperature.value is None:
        return
    array = np.array(differences)
    best = minimize_scalar(
        lambda log_t: np.mean(np.logaddexp(0, -array / math.exp(log_t))), bounds=(-10, 12), method="bounded"
    )
    assert result.temperature.log_loss <= best.fun + 1e-9
    assert result.temperature.log_loss <= result.log_loss + 1e-12
    assert result.temperature.log_loss <= math.log(2)


@given(st.lists(finite, min_size=1, max_size=30), st.integers(1, 15))
def test_bins_partition_the_pairs_and_hold_their_confidence(differences, bins):
    result = calibrate(differences, bins)
    assert sum(each.n for each in result.bins) == len(differences)
    assert all(each.low - 1e-12 <= each.confidence <= each.high + 1e-12 for each in result.bins)
    assert 0 <= result.error <= 1
    mean = sum(each.n * each.accuracy for each in result.bins) / len(differences)
    assert mean == pytest.approx(np.mean((np.sign(differences) + 1) / 2))


@pytest.mark.parametrize("differences", [[], [float("nan")], [float("inf"), 1.0], [[1.0], [2.0]]])
def test_what_is_no_list_of_differences_is_refused(differences):
    with pytest.raises(ConfigError, match="finite differences"):
        calibrate(differences)


def test_no_bins_are_refused():
    with pytest.raises(ConfigError, match="bins"):
        calibrate([1.0], bins=0)
