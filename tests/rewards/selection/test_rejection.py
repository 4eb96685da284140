"""Rejection sampling against the algorithm as printed, its closed forms and its limits; pairing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import ConfigError
from rewards.selection import (
    acceptance_probabilities,
    all_pairs,
    best_of_n,
    first_round_pairs,
    rejection_sample,
    tournament_pairs,
)


def literal_algorithm_1(rewards, k, beta, uniforms):
    """RSO's Algorithm 1 as printed, one draw at a time; also how many passes and draws it took."""
    remaining = dict(enumerate(rewards))
    accepted, passes, tried = [], 0, 0
    while len(accepted) < k:
        passes += 1
        highest = max(remaining.values())
        popped = []
        draws = uniforms(len(remaining))
        for (candidate, reward), u in zip(remaining.items(), draws, strict=True):
            tried += 1
            if u < math.exp((reward - highest) / beta):
                accepted.append(candidate)
                popped.append(candidate)
                if len(accepted) == k:
                    break
        for candidate in popped:
            remaining.pop(candidate)
    return accepted, passes, tried


candidate_rewards = st.lists(st.integers(-40, 40).map(lambda x: x / 8), min_size=1, max_size=30)


@given(candidate_rewards, st.data(), st.sampled_from([0.05, 0.5, 3.0]), st.integers(0, 2**32))
def test_every_draw_is_the_algorithm_as_printed(rewards, data, beta, seed):
    k = data.draw(st.integers(1, len(rewards)))
    sample = rejection_sample(rewards, k, beta, np.random.default_rng(seed))
    accepted, passes, tried = literal_algorithm_1(rewards, k, beta, np.random.default_rng(seed).random)
    assert sample.indices.tolist() == accepted
    assert (sample.passes, sample.tried) == (passes, tried)


@given(candidate_rewards, st.data(), st.floats(1e-6, 1e6), st.booleans())
def test_exactly_k_different_candidates_in_at_most_k_passes(rewards, data, beta, shuffle):
    k = data.draw(st.integers(1, len(rewards)))
    sample = rejection_sample(rewards, k, beta, np.random.default_rng(0), shuffle=shuffle)
    assert len(set(sample.indices.tolist())) == len(sample.indices) == k
    assert 1 <= sample.passes <= k
    assert k <= sample.tried <= k * len(rewards)
    assert 1 / len(rewards) <= sample.expected_acceptance <= 1
    assert 0 < sample.acceptance <= 1
    assert 1 - 1e-9 <= sample.effective_sample_size <= len(rewards) + 1e-9


@pytest.mark.parametrize("beta", [1e-3, 1e-300, 5e-324])
def test_beta_towards_0_is_the_k_best(beta):
    rewards = np.random.default_rng(0).normal(size=64)
    sample = rejection_sample(rewards, 8, beta, np.random.default_rng(1))
    assert sample.indices.tolist() == best_of_n(rewards, 8).tolist()  # one in each pass, so in order too
    assert sample.passes == 8
    assert sample.acceptance == sample.expected_acceptance == pytest.approx(1 / 64)
    assert sample.effective_sample_size == pytest.approx(1)


@pytest.mark.parametrize("beta", [1e9, 1e308, math.inf])
def test_beta_towards_infinity_is_the_first_k(beta):
    rewards = np.random.default_rng(0).normal(size=64)
    sample = rejection_sample(rewards, 8, beta, np.random.default_rng(1))
    assert sample.indices.tolist() == list(range(8))
    assert (sample.passes, sample.tried, sample.acceptance) == (1, 8, 1.0)
    assert sample.effective_sample_size == pytest.approx(64)


def test_shuffling_removes_the_advantage_of_the_first():
    rewards = [0.0] * 10
    chosen = [
        rejection_sample(rewards, 1, 1.0, np.random.default_rng(seed), shuffle=True).indices[0]
        for seed in range(2000)
    ]
    # Binomial(2000, 1/10): sd 13.4
    assert (abs(np.bincount(chosen, minlength=10) - 200) < 60).all()


def test_mean_acceptance_is_the_closed_form_whenever_the_pass_is_stopped():
    # Three kinds of response with known weights: (10 * 1 + 20 * e^-1 + 30 * e^-2) / 60.
    rewards = np.repeat([0.0, 1.0, 2.0], [30, 20, 10])
    exact = (10 + 20 * math.exp(-0.5 * 2) + 30 * math.exp(-1 * 2)) / 60
    for k in (1, 8, 60):
        rng = np.random.default_rng(k)
        samples = [rejection_sample(rewards, k, 1.0, rng) for _ in range(1500)]
        assert samples[0].expected_acceptance == pytest.approx(exact)
        # The sd of one sample's acceptance is at most sqrt(1/4/60) = 0.065; 4 standard errors of the mean.
        assert np.mean([sample.acceptance for sample in samples]) == pytest.approx(exact, abs=0.007)


def test_what_is_accepted_follows_the_tilted_distribution():
    # Candidates drawn from pi = (.5, .3, .2); the target is pi(y) exp(r/beta) / Z.
    pi, reward, beta = np.array([0.5, 0.3, 0.2]), np.array([0.0, 0.7, 1.5]), 0.8
    target = pi * np.exp(reward / beta)
    target /= target.sum()
    rng = np.random.default_rng(7)
    counts = np.zeros(3)
    for _ in range(400):
        kinds = rng.choice(3, size=100, p=pi)
        # k far below what one pass accepts: no candidate is reached a second time.
        counts += np.bincount(kinds[rejection_sample(reward[kinds], 10, beta, rng).indices], minlength=3)
    # 4000 draws: standard error below 0.008
    assert counts / counts.sum() == pytest.approx(target, abs=0.025)
    assert (counts / counts.sum()) @ reward == pytest.approx(target @ reward, abs=0.03)


def test_effective_sample_size_by_hand():
    # Weights 1, 1/2, 1/4: (7/4)^2 / (21/16) = 49 / 21
    rewards = [0.0, -math.log(2), -math.log(4)]
    assert acceptance_probabilities(rewards, 1.0) == pytest.approx([1, 0.5, 0.25])
    assert rejection_sample(rewards, 1, 1.0, np.random.default_rng(0)).effective_sample_size == pytest.approx(
        49 / 21
    )


def test_adding_a_constant_to_all_rewards_changes_nothing():
    rewards = np.round(np.random.default_rng(0).normal(size=32), 3)
    plain = rejection_sample(rewards, 5, 0.5, np.random.default_rng(1))
    moved = rejection_sample(rewards + 1024, 5, 0.5, np.random.default_rng(1))
    assert plain.indices.tolist() == moved.indices.tolist()


def test_copies_are_accepted_side_by_side_so_the_caller_removes_them():
    rewards = [2.0, 2.0, 2.0, 0.0]
    assert rejection_sample(rewards, 3, 1e-6, np.random.default_rng(0)).indices.tolist() == [0, 1, 2]


def test_all_candidates_can_be_asked_for():
    sample = rejection_sample([3.0, 1.0, 2.0], 3, 0.1, np.random.default_rng(0))
    assert sorted(sample.indices.tolist()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("rewards", "k", "beta", "said"),
    [
        ([1.0], 1, 0.0, "beta is above 0, got 0.0"),
        ([1.0], 1, -1.0, "got -1.0"),
        ([1.0], 1, math.nan, "got nan"),
        ([1.0, math.nan], 1, 0.5, "finite, got nan at 1"),
        ([math.inf], 1, 0.5, "finite, got inf at 0"),
        ([1.0], 0, 0.5, "got 0"),
        ([1.0], 1.5, 0.5, "whole number, got 1.5"),
        ([1.0, 2.0], 3, 0.5, r"\[1, 2\].*got 3"),
        ([], 1, 0.5, "N of 1 or more"),
    ],
)
def test_rejection_sampling_refuses_and_names_the_value(rewards, k, beta, said):
    with pytest.raises(ConfigError, match=said):
        rejection_sample(rewards, k, beta, np.random.default_rng(0))


# ------------------------------------------------------------------------------------------ pairing


def played(pairing):
    return [
        tuple(sorted(pair)) for pair in zip(pairing.chosen.tolist(), pairing.rejected.tolist(), strict=True)
    ]


@given(st.lists(st.integers(0, 4).map(float), max_size=17), st.integers(0, 100))
def test_the_better_is_chosen_and_every_match_is_a_pair_or_counted(rewards, seed):
    n = len(rewards)
    rng = np.random.default_rng(seed)
    for pairing, matches in (
        (first_round_pairs(rewards, rng), n // 2),
        (tournament_pairs(rewards, rng), max(n - 1, 0)),
        (all_pairs(rewards), n * (n - 1) // 2),
    ):
        assert len(pairing.chosen) == len(pairing.rejected) == matches - pairing.equal
        values = np.array(rewards)
        assert (values[pairing.chosen] > values[pairing.rejected]).all()


def test_a_first_round_uses_nobody_twice():
    pairing = first_round_pairs(np.arange(9.0), np.random.default_rng(0))
    used = pairing.chosen.tolist() + pairing.rejected.tolist()
    assert len(set(used)) == len(used) == 8


def test_in_a_tournament_everyone_but_the_best_loses_once():
    rewards = np.random.default_rng(0).normal(size=11)
    pairing = tournament_pairs(rewards, np.random.default_rng(1))
    assert sorted(pairing.rejected.tolist()) == sorted(set(range(11)) - {int(rewards.argmax())})
    # Of 11 the best meets at most ceil(log2 11) = 4 opponents, and at least 3 with byes.
    assert 3 <= pairing.chosen.tolist().count(int(rewards.argmax())) <= 4


def test_all_pairs_are_all_pairs():
    assert sorted(played(all_pairs([3.0, 1.0, 1.0, 2.0]))) == [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)]
    assert all_pairs([3.0, 1.0, 1.0, 2.0]).equal == 1


@pytest.mark.parametrize("pair", [first_round_pairs, tournament_pairs])
def test_the_matching_is_random_and_repeats_with_its_seed(pair):
    rewards = np.arange(10.0)
    first = played(pair(rewards, np.random.default_rng(0)))
    assert first == played(pair(rewards, np.random.default_rng(0)))
    assert first != played(pair(rewards, np.random.default_rng(1)))


def test_every_opponent_is_equally_likely():
    rng = np.random.default_rng(0)
    met = np.zeros(4)
    for _ in range(3000):
        for low, high in played(first_round_pairs(np.arange(4.0), rng)):
            if low == 0:
                met[high] += 1
    # Binomial(3000, 1/3): sd 25.8
    assert (abs(met[1:] - 1000) < 104).all()


def test_pairing_refuses_a_reward_that_is_not_finite():
    with pytest.raises(ConfigError, match="got nan at 1"):
        all_pairs([1.0, math.nan])
