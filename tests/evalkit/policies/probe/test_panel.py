"""The panel against hand-worked numbers, exact KL by enumeration and the textbook's standard errors."""

import numpy as np
import pytest

from evalkit.policies.probe.panel import SampledResponse, panel, repetition
from rewards.errors import DataError, ModelError


def sampled(policy, reference, tokens=None, entropies=(), finished=True):
    policy, reference = np.array(policy, dtype=float), np.array(reference, dtype=float)
    tokens = tuple(range(len(policy))) if tokens is None else tuple(tokens)
    return SampledResponse(tokens, policy, reference, np.array(entropies, dtype=float), finished)


def test_hand_worked_numbers():
    two = sampled([-1.0, -0.5], [-1.2, -0.1], entropies=[0.4, 0.2])
    one = sampled([-2.0], [-1.0], entropies=[0.9], finished=False)
    found = panel([two, one], {"proxy": [1.0, 4.0]})
    # k1 a response: 0.2 - 0.4 = -0.2 and -1; k3 a token: exp(-k1) - 1 + k1.
    assert found["kl"] == pytest.approx(-0.6)
    assert found["kl_se"] == pytest.approx(0.4)
    k3 = (np.exp(-0.2) - 1 + 0.2) + (np.exp(0.4) - 1 - 0.4), np.exp(1.0) - 1 - 1.0
    assert found["kl_k3"] == pytest.approx(np.mean(k3))
    assert found["kl_k3_se"] == pytest.approx(abs(k3[0] - k3[1]) / 2)
    assert found["length"] == 1.5
    assert found["length_q95"] == pytest.approx(1.95)
    assert found["perplexity"] == pytest.approx(np.exp(2.3 / 3))
    assert found["policy_perplexity"] == pytest.approx(np.exp(3.5 / 3))
    assert found["entropy"] == pytest.approx(0.5)
    assert found["finished"] == 0.5
    assert (found["proxy"], found["proxy_se"], found["proxy_q50"]) == (2.5, 1.5, 2.5)
    assert [found[f"proxy_q{q}"] for q in ("05", "25", "75", "95")] == pytest.approx([1.15, 1.75, 3.25, 3.85])


def test_repetition_counts_three_tokens_that_stood_before():
    assert repetition([1, 2]) == 0
    assert repetition([1, 2, 3, 4, 5]) == 0
    assert repetition([7] * 6) == pytest.approx(3 / 4)
    assert repetition([1, 2, 3, 1, 2, 3]) == pytest.approx(1 / 4)
    assert panel([sampled([-1] * 6, [-1] * 6, [7] * 6), sampled([-1], [-1])], {})["repetition"] == 0.375


def test_both_estimators_are_the_exact_kl_of_a_one_token_policy():
    generator = np.random.default_rng(0)
    policy = np.array([0.5, 0.3, 0.15, 0.05])
    reference = np.array([0.2, 0.3, 0.1, 0.4])
    exact = float((policy * np.log(policy / reference)).sum())
    drawn = generator.choice(4, size=20000, p=policy)
    found = panel([sampled([np.log(policy[i])], [np.log(reference[i])], [i]) for i in drawn], {})
    for name in ("kl", "kl_k3"):
        assert abs(found[name] - exact) < 4 * found[f"{name}_se"]
        assert found[f"{name}_se"] < 0.02


def test_standard_errors_count_prompts():
    generator = np.random.default_rng(1)
    means = generator.normal(size=50)
    values = np.repeat(means, 4)  # samples of a prompt tell the same: 50 figures, not 200
    samples = [sampled([-1.0], [-1.0]) for _ in values]
    found = panel(samples, {"gold": values}, np.repeat(np.arange(50), 4).tolist())
    assert found["gold_se"] == pytest.approx(means.std(ddof=1) / np.sqrt(50))
    alone = panel(samples, {"gold": values})
    assert alone["gold_se"] == pytest.approx(values.std(ddof=1) / np.sqrt(200))


def test_the_error_of_perplexity_is_that_of_repeated_draws():
    generator = np.random.default_rng(2)

    def draw():
        lengths = generator.integers(1, 12, size=100)
        return panel([sampled(p := generator.exponential(size=n) * -1, p) for n in lengths], {})

    many = [draw() for _ in range(250)]
    spread = np.std([one["perplexity"] for one in many])
    assert np.mean([one["perplexity_se"] for one in many]) == pytest.approx(spread, rel=0.15)


def test_no_number_where_there_is_none():
    assert panel([], {}) == {}
    one = panel([sampled([-1.0], [-2.0])], {"gold": [1.0]})
    assert not any(name.endswith("_se") for name in one)  # one prompt tells nothing of the others
    assert "entropy" not in one
    assert "proxy" not in one
    blind = panel([sampled([-1.0], [-1.0], entropies=[0.3]), sampled([-1.0], [-1.0])], {})
    assert "entropy" not in blind
    assert not {"perplexity", "entropy"} & panel([sampled([], [])] * 2, {}).keys()
    far = panel([sampled([-1000.0], [-1.0]), sampled([-1.0], [-1.0])], {})
    assert "kl_k3" not in far
    assert far["kl"] == pytest.approx(-499.5)


@pytest.mark.parametrize(
    ("samples", "rewards", "prompts", "message"),
    [
        ([sampled([-1], [-1])], {"proxy": [1.0, 2.0]}, None, "proxy: 2 of 1"),
        ([sampled([-1], [-1])], {}, [0, 1], "prompts: 2 of 1"),
        ([sampled([-1], [-1, -2])], {}, None, "response 1: 1 tokens"),
        ([sampled([-1], [-1], entropies=[1, 2])], {}, None, "response 1: 1 tokens"),
    ],
)
def test_figures_that_do_not_match_are_refused(samples, rewards, prompts, message):
    with pytest.raises(DataError, match=message):
        panel(samples, rewards, prompts)


def test_log_probs_that_are_no_numbers_are_refused():
    with pytest.raises(ModelError, match="response 2: a log-probability is NaN"):
        panel([sampled([-1], [-1]), sampled([np.nan], [-1])], {})
