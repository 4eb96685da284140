"""Running moments against numpy over everything at once, and the scaled rewards by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.policies.rollout.reward_scale import RunningMoments, scaled_rewards

numbers = st.floats(-1e6, 1e6)
NORMAL = RunningMoments(4, 2.0, 4 * 9.0)
"""Mean 2, standard deviation 3."""


@given(st.lists(st.lists(numbers, max_size=6), min_size=1, max_size=6))
def test_batch_by_batch_is_as_all_at_once(batches):
    moments = RunningMoments()
    for batch in batches:
        moments = moments.with_rewards(np.array(batch))
    everything = np.concatenate([np.array(batch) for batch in batches])
    assert moments.count == len(everything)
    if not len(everything):
        assert moments == RunningMoments()
        return
    largest = np.abs(everything).max()
    assert moments.mean == pytest.approx(everything.mean(), abs=1e-12 * largest)
    spread = everything.std()
    if spread > 1e-6 * largest:
        assert moments.deviation == pytest.approx(spread, rel=1e-6)


@given(numbers, st.integers(1, 12), st.integers(1, 3))
def test_equal_rewards_have_no_deviation_to_divide_by(value, number, batches):
    moments = RunningMoments()
    for _ in range(batches):
        moments = moments.with_rewards(np.full(number, value))
    assert moments.deviation == 1  # however their mean was rounded


def test_a_reward_at_the_end_is_normalised_then_clipped():
    rewards = [np.array([0.0, 0.0, 8.0]), np.array([0.5]), np.array([0.0, 2.0])]
    plain = scaled_rewards(rewards, NORMAL, False, 0, [True] * 3)
    assert [one.tolist() for one in plain] == [one.tolist() for one in rewards]
    normal = scaled_rewards(rewards, NORMAL, True, 0, [True] * 3)
    assert [one.tolist() for one in normal] == [[0, 0, 2], [-0.5], [0, 0]]
    both = scaled_rewards(rewards, NORMAL, True, 0.8, [True] * 3)
    assert [one.tolist() for one in both] == [[0, 0, 0.8], [-0.5], [0, 0]]
    clipped = scaled_rewards(rewards, NORMAL, False, 0.8, [True] * 3)
    assert [one.tolist() for one in clipped] == [[0, 0, 0.8], [0.5], [0, 0.8]]
    assert rewards[0].tolist() == [0, 0, 8], "what was given stays"


def test_parts_are_divided_and_nothing_is_paid_where_nothing_was():
    rewards = [np.array([3.0, 0.0, -6.0, 0.0]), np.array([0.0, 0.0])]
    normal = scaled_rewards(rewards, NORMAL, True, 1.5, [False, False])
    assert [one.tolist() for one in normal] == [[1, 0, -1.5, 0], [0, 0]]
    # A reward of 0 that is paid at once is one below the mean.
    assert scaled_rewards(rewards[1:], NORMAL, True, 0, [True])[0].tolist() == [0, pytest.approx(-2 / 3)]


def test_a_round_is_scaled_in_one_way(monkeypatch):
    from types import SimpleNamespace

    import torch

    from evalkit.policies.ppo import targets as ppo_batch
    from evalkit.policies.ppo.config import PpoConfig, resolve_recipe

    seen = []
    monkeypatch.setattr(ppo_batch, "scaled_rewards", lambda *told: seen.append(told[-1]) or list(told[0]))
    estimates = SimpleNamespace(rows=[], values=[torch.zeros(2)] * 2)
    for whole, wanted in (([True, True], [True, True]), ([True, False], [False, False])):
        rollout = SimpleNamespace(
            rewards=[[0.0, 1.0]] * 2, whole=whole, log_probs=[torch.zeros(2)] * 2,
            reference_log_probs=[torch.zeros(2)] * 2,
        )  # fmt: skip
        ppo_batch.make_targets(rollout, estimates, RunningMoments(), 0.0, resolve_recipe(PpoConfig()))
        assert seen.pop() == wanted
