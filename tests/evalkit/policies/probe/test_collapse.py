"""Signs of collapse: each on a hand-made history where it stands, none on noise or a healthy run."""

import numpy as np
import pytest

from evalkit.policies.probe.collapse import signs_of_collapse
from evalkit.policies.probe.panel import SampledResponse, panel

START = {
    "step": 0.0,
    "proxy": 0.0,
    "proxy_se": 0.1,
    "proxy_q05": -1.6,
    "proxy_q25": -0.7,
    "proxy_q50": 0.0,
    "proxy_q75": 0.7,
    "proxy_q95": 1.6,
    "gold": 0.0,
    "gold_se": 0.1,
    "kl": 0.0,
    "kl_se": 0.0,
    "length": 40.0,
    "length_se": 1.0,
    "perplexity": 20.0,
    "perplexity_se": 1.0,
    "entropy": 2.5,
    "entropy_se": 0.1,
    "repetition": 0.02,
    "repetition_se": 0.01,
    "finished": 0.9,
    "finished_se": 0.04,
}
HEALTHY = {
    "step": 100.0,
    "proxy": 1.2,
    "gold": 0.9,
    "kl": 8.0,
    "kl_se": 0.5,
    "length": 48.0,
    "perplexity": 14.0,
    "entropy": 1.6,
    "repetition": 0.05,
    "finished": 0.95,
}


def of(*changes):
    return signs_of_collapse([START | HEALTHY | change if change else START for change in ({}, *changes)])


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        ({"length": 78.5}, "responses grow longer: 40 to 78.5 tokens (steps 0 to 100)"),
        ({"length": 12.0}, "responses grow shorter: 40 to 12 tokens"),
        ({"perplexity": 4.0}, "perplexity under the reference falls: 20 to 4 (steps 0 to 100)"),
        ({"kl": 60.0, "kl_se": 2.0}, "KL explodes: 0 to 60 nats a response (steps 0 to 100), 1.25 a token"),
        ({"entropy": 0.3}, "entropy is gone: 2.5 to 0.3 nats a token"),
        ({"repetition": 0.5}, "responses repeat themselves: 2% to 50% of 3-grams"),
        ({"finished": 0.1}, "responses do not end by themselves: 90% to 10% do"),
    ],
)
def test_each_sign_stands_alone_where_it_is(change, sign):
    assert of({}, {}) == []
    (found,) = of({"step": 50.0}, change | {"noted": 1.0})
    assert found.startswith(sign)


def test_gold_that_falls_from_its_peak_while_the_proxy_rises():
    rising, turned = {"noted": 1.0}, {"step": 200.0, "proxy": 2.5, "gold": 0.2}
    (found,) = of(rising, turned)
    assert found.startswith("gold falls while the proxy rises: gold 0.9 to 0.2, proxy 1.2 to 2.5 (steps 100")
    assert of(rising, turned | {"proxy": 1.2}) == []  # both fall: the policy is worse, not the proxy's fault
    assert of(rising, turned | {"gold": 0.7}) == []  # within two errors of the difference
    assert of(rising, turned | {"gold": 2.0}) == []


@pytest.mark.parametrize("tail", [{"proxy_q95": 6.0}, {"proxy_q05": -6.0}])
def test_a_tail_of_the_reward_is_one_that_two_looks_have(tail):
    (found,) = of({}, tail, tail)
    assert found.startswith("the reward grows a long tail: its far end is 0.99 to 4.14 times as far")
    assert of({}, tail) == []
    assert of(tail, {}, tail) == []
    assert signs_of_collapse([START | tail, HEALTHY | START | tail, HEALTHY | START | tail]) == []


def test_kl_that_leaps_is_told_before_it_is_a_nat_a_token():
    steady = [{"kl": kl} for kl in (3.0, 6.0, 10.0, 14.0, 18.0)]
    assert of(*steady) == []
    (found,) = of(*steady[:3], {"kl": 35.0})
    assert found.startswith("KL explodes: 0 to 35 nats")
    assert found.endswith("of which 25 since the last look")
    assert of({"kl": 35.0}) == []  # a first look far from the start says nothing of how it grows
    assert of(*steady[:3], {"kl": 35.0, "kl_se": 20.0}) == []


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [("length", 70.0, 20.0), ("perplexity", 4.0, 9.0), ("entropy", 0.3, 1.5), ("repetition", 0.3, 0.2)],
)
def test_a_change_within_its_noise_is_no_sign(name, value, error):
    assert len(of({name: value})) == 1
    assert of({name: value, f"{name}_se": error}) == []


def test_what_is_missing_is_not_told():
    assert signs_of_collapse([]) == []
    assert signs_of_collapse([START]) == []
    assert signs_of_collapse([{}, {}]) == []
    assert signs_of_collapse([{"length": 10.0}, {"length": 30.0}]) == [
        "responses grow longer: 10 to 30 tokens; see whether the reward pays for length"
    ]
    without_errors = [{"gold": 1.0, "proxy": 0.0}, {"gold": 0.5, "proxy": 1.0}]
    assert signs_of_collapse(without_errors) == []  # one prompt: nothing tells a fall from noise
    assert (
        signs_of_collapse(
            [{"proxy": 1.0}, {"proxy_q05": 1.0, **{f"proxy_q{q}": 1.0 for q in (25, 50, 75, 95)}}]
        )
        == []
    )


def drawn(generator, length=20):
    """Return a panel of 64 responses that nothing happens to."""
    samples = []
    for _ in range(64):
        size = int(generator.geometric(1 / length))
        policy = -generator.exponential(2.0, size)
        tokens = tuple(generator.integers(0, 50, size).tolist())
        reference = policy - generator.normal(0.05, 0.3, size)
        finished = bool(generator.random() < 0.8)
        samples.append(SampledResponse(tokens, policy, reference, generator.exponential(2.0, size), finished))
    rewards = {name: generator.normal(size=64) for name in ("proxy", "gold")}
    return panel(samples, rewards)


def test_runs_in_which_nothing_happens_raise_no_alarm():
    generator = np.random.default_rng(0)
    alarms = []
    for _ in range(30):
        run = [drawn(generator) for _ in range(8)]
        alarms += [sign for end in range(2, 9) for sign in signs_of_collapse(run[:end])]
    assert len(alarms) <= 2, alarms  # of 210 looks, each at eight signs
