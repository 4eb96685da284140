"""PPO, DPO and RSO reach the policy that theory says they reach, which is known exactly."""

import numpy as np
import pytest
import torch

from evalkit.experiments.exact_tilt.methods import Workshop
from evalkit.experiments.exact_tilt.pairs import draw_preferences, preference_weights, rso_pairs
from evalkit.experiments.exact_tilt.rejection import accepted_of, accepted_of_different, simulated
from evalkit.experiments.exact_tilt.world import (
    OTHER,
    PROMPTS,
    TiltWorld,
    divergence,
    expected_distance,
    k2_rule,
    k3_rule,
    tilted,
    total_variation,
)
from evalkit.policies.config import DpoConfig
from evalkit.policies.ppo.config import PpoConfig
from rewards.records import Generation

BETA = 1.0


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Workshop(TiltWorld(0), tmp_path_factory.mktemp("tilt"), steps=60)
    torch.set_num_threads(threads)


def distance_to(shop, policy, beta):
    return total_variation(policy, tilted(shop.exact, shop.world.rewards, beta))


def assert_tilted(shop, policy, bound):
    """The policy is near the tilt by BETA, and no other beta would have been near it."""
    assert distance_to(shop, policy, BETA) < bound
    assert distance_to(shop, policy, BETA / 2) > bound
    assert distance_to(shop, policy, 2 * BETA) > bound
    assert total_variation(policy, shop.exact) > 2 * bound


def test_all_that_can_be_written_sums_to_one_and_is_what_was_taught(shop):
    assert shop.exact.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert total_variation(shop.exact[:, :OTHER], shop.world.taught) < 0.01
    assert (shop.exact[:, OTHER] < 0.01).all()


def test_what_is_sampled_is_what_is_enumerated(shop):
    found = np.stack([np.bincount(own, minlength=OTHER + 1) / 2000 for own in shop.sample(2000, 5)])
    assert total_variation(found, shop.exact) < 2 * expected_distance(shop.exact, 2000)


def test_the_tilt_worked_by_hand():
    reference, rewards = np.array([[0.5, 0.3, 0.2]]), np.log([[1.0, 2.0, 4.0]])
    assert tilted(reference, rewards, 1.0) == pytest.approx(np.array([[5, 6, 8]]) / 19)
    assert tilted(reference, rewards, 0.5) == pytest.approx(np.array([[5, 12, 32]]) / 49)


def test_ppo_reaches_the_tilt(shop):
    config = PpoConfig(
        kl_coefficient=BETA, episodes=384 * 20, buffer=384, samples=128, batch=128, epochs=2, lam=1.0,
        learning_rate=2e-3, max_new_tokens=3,
    )  # fmt: skip
    seen = []
    policy = shop.policy(shop.ppo(config, lambda episodes, _: seen.append(episodes)))
    assert seen[-1] == 384 * 20
    assert_tilted(shop, policy, 0.1)


def test_dpo_on_endless_pairs_reaches_the_tilt(shop):
    weights = preference_weights(shop.exact, shop.world.rewards)
    assert_tilted(shop, shop.policy(shop.dpo(weights, DpoConfig(beta=BETA))), 0.08)


def test_preferences_are_drawn_as_often_as_they_weigh(shop):
    rng = np.random.default_rng(0)
    samples = np.stack([rng.choice(OTHER + 1, 40000, p=own / own.sum()) for own in shop.exact])
    counts = draw_preferences(samples, shop.world.rewards, rng)
    weights = preference_weights(shop.exact, shop.world.rewards)
    found, right = (one.reshape(-1) / one.sum() for one in (counts, weights))
    assert total_variation(found, right) < 2 * expected_distance(right, int(counts.sum()))


def test_fine_tuning_on_accepted_samples_reaches_the_tilt(shop):
    rng = np.random.default_rng(1)
    pairs = zip(shop.exact, shop.world.rewards, strict=True)
    shares = [simulated(own / own.sum(), worth, BETA, 64, 1, False, 2000, rng)[0] for own, worth in pairs]
    assert_tilted(shop, shop.policy(shop.sft(np.stack(shares)[:, :OTHER])), 0.08)


def test_rso_reaches_the_tilt_by_a_raters_labels_and_passes_it_by_hard_ones(shop):
    rng = np.random.default_rng(2)
    samples = np.stack([rng.choice(OTHER + 1, 40000, p=own / own.sum()) for own in shop.exact])
    pairs = (
        rso_pairs(drawn, shop.world.rewards, 16, 4, BETA, labels, rng)
        for drawn, labels in ((samples, "bradley-terry"), (samples[:, :8000], "reward"))
    )
    rated, hard = (shop.policy(shop.dpo(counts, DpoConfig(beta=BETA))) for counts in pairs)
    assert_tilted(shop, rated, 0.1)
    assert distance_to(shop, hard, BETA) > 0.3
    assert divergence(hard, shop.exact) > 3 * divergence(rated, shop.exact)


def test_a_penalty_in_the_loss_rests_elsewhere(shop):
    # Of one token, k2 rests at the tilt and k3, whose KL is the other way round, does not.
    target = tilted(np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 2.0]), BETA)
    assert k2_rule(BETA)(np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 2.0])) == pytest.approx(target)
    policy = k3_rule(BETA)(np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 2.0]))
    gain = policy * (np.array([0.0, 1.0, 2.0]) - policy @ np.array([0.0, 1.0, 2.0]))
    assert gain == pytest.approx(BETA * (policy - np.array([0.5, 0.3, 0.2])), abs=1e-9)
    assert total_variation(policy, target) > 0.01
    base, rewards = shop.reference.model, shop.world.rewards
    rests = shop.enumeration.stationary(base, rewards, k2_rule(BETA))
    assert rests.sum(axis=1) == pytest.approx(1)
    assert distance_to(shop, rests, BETA) > 0.02
    # Without reward to gain, both rest at the reference.
    same = shop.enumeration.stationary(base, np.zeros_like(rewards), k3_rule(BETA))
    assert divergence(same, shop.exact / shop.exact.sum(axis=1, keepdims=True)) < 1e-5


def test_what_is_accepted_is_told_exactly():
    rng = np.random.default_rng(3)
    policy = np.array([0.4, 0.3, 0.2, 0.1])
    rewards = np.array([0.3, -0.5, 1.0, 2.0])
    for n in (1, 3, 20):
        exact = accepted_of(policy, rewards, BETA, n)
        found, number = simulated(policy, rewards, BETA, n, 1, False, 4000, rng)
        assert exact.sum() == pytest.approx(1)
        assert number == 1
        assert total_variation(found, exact) < 3 * expected_distance(exact, 4000)
    assert accepted_of(policy, rewards, BETA, 1) == pytest.approx(policy)
    assert accepted_of(policy, rewards, BETA, 500) == pytest.approx(tilted(policy, rewards, BETA))
    merged = accepted_of_different(policy, rewards, BETA)
    found, _ = simulated(policy, rewards, BETA, 300, 1, True, 4000, rng)
    assert merged.sum() == pytest.approx(1)
    assert total_variation(found, merged) < 3 * expected_distance(merged, 4000)
    assert total_variation(merged, tilted(policy, rewards, BETA)) > 0.05
    # As many as there are texts are accepted whatever they are worth.
    found, _ = simulated(policy, rewards, BETA, 300, 4, True, 50, rng)
    assert found == pytest.approx(np.full(4, 0.25))


def test_the_world_scores_answers_by_their_words(shop):
    scores = shop.world.score([Generation(PROMPTS[1], " red blue"), Generation(PROMPTS[1], " red red")])
    assert [one.value for one in scores] == [shop.world.rewards[1, 4], -1.0]
