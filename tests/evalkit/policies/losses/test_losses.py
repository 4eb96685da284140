import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import tensor

from evalkit.policies.losses import (
    adapted_coefficient,
    dpo_loss,
    dpo_rewards,
    generalized_advantages,
    k_step_advantages,
    kl_estimate,
    penalised_rewards,
    ppo_clip_loss,
    ppo_penalty_loss,
    value_loss,
    whiten,
)
from rewards.errors import ConfigError

CHOSEN, REJECTED = tensor([-10.0, -20.0]), tensor([-12.0, -19.0])
REFERENCE_CHOSEN, REFERENCE_REJECTED = tensor([-11.0, -20.5]), tensor([-11.5, -18.0])
PAIRS = (CHOSEN, REJECTED, REFERENCE_CHOSEN, REFERENCE_REJECTED)
"""Both pairs' log-ratios differ by 1.5; without the reference the chosen is ahead by 2 and behind by 1."""


def double(*values):
    return tensor(values, dtype=torch.float64)


def log_sigmoid(x):
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))


class TestDpoLoss:
    @pytest.mark.parametrize(
        ("kind", "smoothing", "expected"),
        [
            # The first four are numbers that other implementations computed.
            ("sigmoid", 0.0, [0.62095708, 0.62095708]),
            ("cdpo", 0.1, [0.63595706, 0.63595706]),
            ("cdpo", 0.0, [0.62095708, 0.62095708]),
            ("ipo", 0.0, [12.25, 12.25]),
            ("hinge", 0.0, [0.85, 0.85]),
            ("slic", 0.0, [0.8, 1.1]),
            ("robust", 0.0, [0.62095708, 0.62095708]),
            # (.9 * .62095708 - .1 * .77095708) / .8
            ("robust", 0.1, [0.60220708, 0.60220708]),
        ],
    )
    def test_numbers(self, kind, smoothing, expected):
        losses = dpo_loss(*PAIRS, 0.1, kind, smoothing)
        assert losses.dtype == torch.float32
        torch.testing.assert_close(losses, tensor(expected), rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [("sigmoid", math.log(2)), ("cdpo", math.log(2)), ("robust", math.log(2)), ("hinge", 1), ("ipo", 25)],
    )
    def test_at_the_reference(self, kind, expected):
        losses = dpo_loss(CHOSEN, REJECTED, CHOSEN, REJECTED, 0.1, kind, 0.2 * (kind in ("cdpo", "robust")))
        torch.testing.assert_close(losses, torch.full((2,), float(expected)))

    @settings(deadline=None, max_examples=50)
    @given(
        st.lists(st.floats(-60, 60), min_size=4, max_size=4),
        st.floats(0.01, 2),
        st.floats(0, 0.49),
    )
    def test_robust_is_unbiased_and_cdpo_is_the_mean_over_wrong_labels(self, sums, beta, smoothing):
        pair = [double(x) for x in sums]
        turned = [pair[1], pair[0], pair[3], pair[2]]
        right, wrong = (dpo_loss(*p, beta) for p in (pair, turned))
        mean = (1 - smoothing) * right + smoothing * wrong
        torch.testing.assert_close(dpo_loss(*pair, beta, "cdpo", smoothing), mean)
        robust, robust_turned = (dpo_loss(*p, beta, "robust", smoothing) for p in (pair, turned))
        torch.testing.assert_close((1 - smoothing) * robust + smoothing * robust_turned, right)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.floats(-600, 600, width=32), min_size=4, max_size=4), st.floats(0.01, 2))
    def test_sigmoid_by_hand_wherever_the_numbers_lie(self, sums, beta):
        margin = beta * ((sums[0] - sums[2]) - (sums[1] - sums[3]))
        loss = dpo_loss(*(tensor([x]) for x in sums), beta)
        assert loss.item() == pytest.approx(-log_sigmoid(margin), rel=1e-4, abs=1e-3)

    @pytest.mark.parametrize(
        ("kind", "slope"),
        # d is 1.5, beta .1 and e .1; sigmoid(-.15) is .46257015
        [
            ("sigmoid", -0.046257015),
            ("hinge", -0.1),
            ("slic", -0.1),
            ("ipo", -7.0),  # 2 (1.5 - 5)
            ("cdpo", -0.036257015),  # .1 (.53742985 - .9)
            ("robust", -0.058757019),  # (-.9 * .046257015 - .1 * .053742985) / .8
        ],
    )
    def test_gradient_lifts_the_chosen_and_lowers_the_rejected(self, kind, slope):
        chosen, rejected = CHOSEN.double().requires_grad_(), REJECTED.double().requires_grad_()
        smoothing = 0.1 * (kind in ("cdpo", "robust"))
        references = REFERENCE_CHOSEN.double(), REFERENCE_REJECTED.double()
        dpo_loss(chosen, rejected, *references, 0.1, kind, smoothing).sum().backward()
        torch.testing.assert_close(chosen.grad, double(slope, slope), rtol=1e-6, atol=0)
        torch.testing.assert_close(rejected.grad, -chosen.grad)

    def test_a_margin_that_is_wide_enough_costs_a_hinge_nothing(self):
        wide = tensor([30.0]), tensor([10.0]), tensor([0.0]), tensor([0.0])
        assert dpo_loss(*wide, 0.1, "hinge").item() == dpo_loss(*wide, 0.1, "slic").item() == 0

    def test_slic_does_not_read_the_reference(self):
        nothing = torch.full((2,), math.nan)
        torch.testing.assert_close(
            dpo_loss(CHOSEN, REJECTED, nothing, nothing, 0.1, "slic"), tensor([0.8, 1.1])
        )

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ({"kind": "dpo"}, "'dpo'"),
            ({"beta": 0.0}, "beta is above 0, got 0.0"),
            ({"beta": math.nan}, "beta"),
            ({"kind": "cdpo", "label_smoothing": 0.5}, "got 0.5"),
            ({"kind": "robust", "label_smoothing": -0.1}, "got -0.1"),
            ({"kind": "hinge", "label_smoothing": 0.1}, "'hinge'"),
            ({"label_smoothing": 0.1}, "'sigmoid'"),
        ],
    )
    def test_refuses(self, arguments, told):
        with pytest.raises(ConfigError, match=told):
            dpo_loss(*PAIRS, **arguments)

    def test_refuses_shapes_that_would_broadcast(self):
        with pytest.raises(ConfigError, match=r"reference_rejected \[1\]"):
            dpo_loss(CHOSEN, REJECTED, REFERENCE_CHOSEN, tensor([-18.0]))
        with pytest.raises(ConfigError, match=r"policy_chosen \[2, 1\]"):
            dpo_loss(CHOSEN[:, None], *PAIRS[1:])

    def test_rewards_and_the_sigmoid_loss_say_the_same(self):
        better = dpo_rewards(CHOSEN, REFERENCE_CHOSEN, 0.1)
        worse = dpo_rewards(REJECTED, REFERENCE_REJECTED, 0.1)
        torch.testing.assert_close(better, tensor([0.1, 0.05]))
        torch.testing.assert_close(-torch.sigmoid(better - worse).log(), dpo_loss(*PAIRS))


class TestKlEstimate:
    @pytest.mark.parametrize(
        ("kind", "expected"),
        [("k1", [0.5, -0.2]), ("k2", [0.125, 0.02]), ("k3", [0.10653067, 0.02140272])],
    )
    def test_numbers_of_another_implementation(self, kind, expected):
        found = kl_estimate(tensor([-1.0, -2.0]), tensor([-1.5, -1.8]), kind)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, tensor(expected), rtol=1e-5, atol=1e-7)

    def test_means_are_the_kl_but_for_k2(self):
        policy, reference = double(0.5, 0.3, 0.2), double(0.25, 0.25, 0.5)
        exact = double(0.5 * math.log(2) + 0.3 * math.log(1.2) + 0.2 * math.log(0.4))
        means = {
            kind: (policy * kl_estimate(policy.log(), reference.log(), kind)).sum(0, keepdim=True)
            for kind in ("k1", "k2", "k3")
        }
        torch.testing.assert_close(means["k1"], exact)
        torch.testing.assert_close(means["k3"], exact)
        # (.5 ln^2 2 + .3 ln^2 1.2 + .2 ln^2 .4) / 2
        torch.testing.assert_close(means["k2"], double(0.20905843), rtol=1e-6, atol=0)
        assert abs(means["k2"] - exact) > 0.005

    def test_gradients_in_the_loss_and_in_the_reward(self):
        logits = double(0.9, -0.4, 0.1, 0.6).requires_grad_()
        reference = double(-0.3, 0.8, 0.2, 0.0).log_softmax(0)

        def gradient(scalar):
            return torch.autograd.grad(scalar, logits)[0]

        def policy():
            return logits.log_softmax(0)

        reverse = gradient((policy().exp() * (policy() - reference)).sum())
        forward = gradient((reference.exp() * (reference - policy())).sum())
        weights = policy().exp().detach()  # samples of the policy: the gradient does not see how often

        def in_loss(kind):
            return gradient((weights * kl_estimate(policy(), reference, kind)).sum())

        def in_reward(kind):
            return gradient((weights * kl_estimate(policy(), reference, kind).detach() * policy()).sum())

        torch.testing.assert_close(in_loss("k1"), torch.zeros(4).double())
        torch.testing.assert_close(in_loss("k2"), reverse)
        torch.testing.assert_close(in_loss("k3"), forward)
        assert (forward - reverse).abs().max() > 0.05
        torch.testing.assert_close(in_reward("k1"), reverse)
        torch.testing.assert_close(in_reward("k3"), reverse - forward)

    @settings(deadline=None, max_examples=50)
    @given(st.floats(-30, 0, width=32), st.floats(-30, 0, width=32))
    def test_k2_and_k3_are_not_negative(self, one, other):
        for kind in ("k2", "k3"):
            assert kl_estimate(tensor(one), tensor(other), kind) >= 0
            assert kl_estimate(tensor(one), tensor(one), kind) == 0

    def test_refuses(self):
        with pytest.raises(ConfigError, match="'k4'"):
            kl_estimate(CHOSEN, REJECTED, "k4")
        with pytest.raises(ConfigError, match=r"log_probs \[2\], reference_log_probs \[1\]"):
            kl_estimate(CHOSEN, REJECTED[:1])


def advantages_by_definition(rewards, values, mask, gamma, lam, k=None):
    """One row, token by token, in Python's float64: sums of temporal differences, or k rewards."""
    places = [t for t, there in enumerate(mask) if there]
    r, v = [rewards[t] for t in places], [values[t] for t in places] + [0.0]
    found = [0.0] * len(mask)
    for here, place in enumerate(places):
        ahead = range(here, len(places))
        if k is None:
            found[place] = sum((gamma * lam) ** (s - here) * (r[s] + gamma * v[s + 1] - v[s]) for s in ahead)
        else:
            end = min(here + k, len(places))
            earned = sum(gamma ** (s - here) * r[s] for s in range(here, end))
            found[place] = earned + (gamma**k * v[end] if here + k < len(places) else 0.0) - v[here]
    return found


sizes = st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(0, 10**6))
shares = st.floats(0, 1)


class TestAdvantages:
    rewards = tensor([[0.0, 0.0, 1.0], [0.5, -1.0, 0.0]])
    values = tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.0]])
    mask = tensor([[1, 1, 1], [1, 1, 0]])

    def test_numbers_of_another_implementation(self):
        found = generalized_advantages(self.rewards, self.values, self.mask)
        expected = tensor([[0.82675, 0.765, 0.7], [-0.825, -1.5, 0.0]])
        torch.testing.assert_close(found.advantages, expected, rtol=1e-6, atol=1e-7)
        returns = tensor([[0.92675, 0.965, 1.0], [-0.425, -1.0, 0.0]])
        torch.testing.assert_close(found.returns, returns, rtol=1e-6, atol=1e-7)
        assert found.advantages.dtype == found.returns.dtype == torch.float32

    @settings(deadline=None, max_examples=60)
    @given(sizes, shares, shares, st.integers(1, 9))
    def test_equal_their_definitions_wherever_the_tokens_stand(self, size, gamma, lam, k):
        rows, width, seed = size
        random = torch.Generator().manual_seed(seed)
        rewards, values = torch.randn(2, rows, width, generator=random, dtype=torch.float64)
        mask = torch.rand(rows, width, generator=random) < 0.6
        spoilt = [torch.where(mask, x, math.nan) for x in (rewards, values)]
        for found, step in (
            (generalized_advantages(*spoilt, mask, gamma, lam), None),
            (k_step_advantages(*spoilt, mask, k, gamma), k),
        ):
            expected = tensor(
                [
                    advantages_by_definition(*row, gamma, lam, step)
                    for row in zip(rewards.tolist(), values.tolist(), mask.tolist(), strict=True)
                ],
                dtype=torch.float64,
            )
            torch.testing.assert_close(found.advantages, expected, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(
                found.returns, torch.where(mask, expected + values, 0.0), rtol=1e-10, atol=1e-10
            )

    def test_lambda_0_and_one_step_are_the_temporal_difference(self):
        expected = tensor([[0.1, 0.1, 0.7], [0.6, -1.5, 0.0]])  # r + V' - V, by hand
        for found in (
            generalized_advantages(self.rewards, self.values, self.mask, lam=0),
            k_step_advantages(self.rewards, self.values, self.mask, 1),
        ):
            torch.testing.assert_close(found.advantages, expected)

    @pytest.mark.parametrize("k", [3, 50])
    def test_lambda_1_and_all_steps_are_the_return(self, k):
        returns = tensor([[0.25, 0.5, 1.0], [0.0, -1.0, 0.0]])  # gamma 1/2, by hand
        for found in (
            generalized_advantages(self.rewards, self.values, self.mask, 0.5, 1.0),
            k_step_advantages(self.rewards, self.values, self.mask, k, 0.5),
        ):
            torch.testing.assert_close(found.returns, returns)
            torch.testing.assert_close(found.advantages, (returns - self.values) * self.mask)

    def test_two_steps_by_hand(self):
        found = k_step_advantages(self.rewards, self.values, self.mask, 2, 0.5)
        # .25 * .3 - .1; 1 / 2 - .2; 1 - .3; .5 - .5 - .4; -1 - .5
        torch.testing.assert_close(found.advantages, tensor([[-0.025, 0.3, 0.7], [-0.4, -1.5, 0.0]]))

    def test_padding_on_either_side_changes_nothing(self):
        plain = generalized_advantages(self.rewards[:1], self.values[:1], self.mask[:1])
        room = torch.full((1, 2), 7.0)
        for sides in ((0, 1), (1, 0), (1, 1)):
            padded = [
                torch.cat([room] * sides[0] + [part] + [room] * sides[1], 1)
                for part in (self.rewards[:1], self.values[:1])
            ]
            mask = torch.zeros(1, padded[0].shape[1], dtype=torch.bool)
            start = 2 * sides[0]
            mask[:, start : start + 3] = True
            found = generalized_advantages(*padded, mask)
            torch.testing.assert_close(found.advantages[:, start : start + 3], plain.advantages)
            assert found.advantages[~mask].eq(0).all()
            assert found.returns[~mask].eq(0).all()

    def test_they_are_constants(self):
        values = self.values.clone().requires_grad_()
        for found in (
            generalized_advantages(self.rewards, values, self.mask),
            k_step_advantages(self.rewards, values, self.mask, 2),
        ):
            assert not found.advantages.requires_grad
            assert not found.returns.requires_grad

    def test_rows_without_tokens_and_batches_without_width(self):
        none = torch.zeros(2, 3, dtype=torch.bool)
        assert generalized_advantages(self.rewards, self.values, none).advantages.eq(0).all()
        empty = torch.zeros(2, 0)
        assert generalized_advantages(empty, empty, empty).returns.shape == (2, 0)
        assert k_step_advantages(empty, empty, empty, 2).returns.shape == (2, 0)

    def test_refuses(self):
        arguments = self.rewards, self.values, self.mask
        for wrong in ({"gamma": 1.1}, {"gamma": -0.1}, {"lam": 1.1}, {"lam": math.nan}):
            with pytest.raises(ConfigError, match=next(iter(wrong))):
                generalized_advantages(*arguments, **wrong)
        with pytest.raises(ConfigError, match="got 0"):
            k_step_advantages(*arguments, 0)
        with pytest.raises(ConfigError, match=r"mask \[1, 3\]"):
            generalized_advantages(self.rewards, self.values, self.mask[:1])
        with pytest.raises(ConfigError, match=r"\[B, T\], got \[3\]"):
            k_step_advantages(*(x[0] for x in arguments), 1)


class TestClipLoss:
    old = tensor([[-1.0, -2.0, -0.5, -3.0]])
    advantages = tensor([[1.0, -1.0, 2.0, -2.0]])
    mask = tensor([[True, True, True, True]])

    def new(self, *ratios):
        return (self.old + tensor([ratios]).log()).requires_grad_()

    def test_by_hand(self):
        # min(1.5, 1.2), min(-1.5, -1.2), min(1, 1.6), min(-1, -1.6)
        new = self.new(1.5, 1.5, 0.5, 0.5)
        found = ppo_clip_loss(new, self.old, self.advantages, self.mask)
        assert found.loss.item() == pytest.approx(-(1.2 - 1.5 + 1.0 - 1.6) / 4, rel=1e-6)
        assert found.clip_fraction.item() == 0.5
        found.loss.backward()
        # -A times the ratio where it is not clipped, over 4 tokens
        torch.testing.assert_close(new.grad, tensor([[0.0, 1.5, -1.0, 0.0]]) / 4)
        assert not found.clip_fraction.requires_grad

    def test_at_the_old_policy_it_is_the_policy_gradient(self):
        new = self.new(1, 1, 1, 1)
        found = ppo_clip_loss(new, new, self.advantages, self.mask)  # the old one is a constant all the same
        found.loss.backward()
        assert found.clip_fraction == 0
        assert found.loss.item() == pytest.approx(-self.advantages.mean().item())
        torch.testing.assert_close(new.grad, -self.advantages / 4)

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(st.tuples(st.floats(0.3, 3), st.floats(-3, 3)), min_size=1, max_size=6),
        st.floats(0.05, 1.5),
    )
    def test_is_the_smaller_of_the_two_products(self, tokens, clip):
        ratios, advantages = (double(*x) for x in zip(*tokens, strict=True))
        ones = torch.ones(len(tokens))
        found = ppo_clip_loss(ratios.log(), torch.zeros_like(ratios), advantages, ones, clip)
        smaller = [min(r * a, min(max(r, 1 - clip), 1 + clip) * a) for r, a in tokens]
        assert found.loss.item() == pytest.approx(-sum(smaller) / len(tokens), rel=1e-9, abs=1e-9)

    def test_a_ratio_beyond_floats_that_is_clipped_harms_nothing(self):
        new = (self.old + tensor([[500.0, 0.0, 500.0, -500.0]])).requires_grad_()
        advantages = tensor([[1.0, 1.0, 0.0, -1.0]])
        found = ppo_clip_loss(new, self.old, advantages, self.mask)
        found.loss.backward()
        assert found.loss.item() == pytest.approx(-(1.2 + 1.0 + 0.0 - 0.8) / 4)
        torch.testing.assert_close(new.grad, tensor([[0.0, -0.25, 0.0, 0.0]]))

    def test_what_is_masked_is_not_read(self):
        mask = tensor([[1, 1, 0, 0]])
        junk = tensor([[0.0, 0.0, math.nan, math.inf]])
        new = (self.new(1.5, 1.5, 1, 1).detach() + junk).requires_grad_()
        for objective, loss in (
            (ppo_clip_loss(new, self.old, self.advantages + junk, mask), (-1.2 + 1.5) / 2),
            (ppo_penalty_loss(new, self.old, self.advantages + junk, mask, 0.0), 0.0),
            (value_loss(new, new.detach() + junk, new.detach() + 1, mask), 0.5),
        ):
            assert objective.loss.item() == pytest.approx(loss, abs=1e-6)
            (gradient,) = torch.autograd.grad(objective.loss, new)
            assert gradient[0, 2:].eq(0).all()
            assert gradient.isfinite().all()

    def test_refuses(self):
        with pytest.raises(ConfigError, match="clip is above 0, got 0"):
            ppo_clip_loss(self.old, self.old, self.advantages, self.mask, 0)
        with pytest.raises(ConfigError, match=r"advantages \[1\]"):
            ppo_clip_loss(self.old, self.old, self.advantages[0, :1], self.mask)
        with pytest.raises(ConfigError, match="no token"):
            ppo_clip_loss(self.old, self.old, self.advantages, ~self.mask)
        with pytest.raises(ConfigError, match="penalty is 0 or more"):
            ppo_penalty_loss(self.old, self.old, self.advantages, self.mask, -1)
        with pytest.raises(ConfigError, match="clip is 0 or more"):
            value_loss(self.old, self.old, self.advantages, self.mask, -1)


class TestPenaltyLoss:
    def test_by_hand(self):
        log_probs = double(math.log(0.5), math.log(0.5))
        old = double(math.log(0.25), math.log(0.5))
        found = ppo_penalty_loss(log_probs, old, double(1.0, 3.0), double(1, 1), 0.5)
        kl = (2 - 1 - math.log(2)) / 2
        assert found.kl.item() == pytest.approx(kl)
        assert found.loss.item() == pytest.approx(-(2 * 1 + 1 * 3) / 2 + 0.5 * kl)

    def test_the_penalty_has_the_gradient_of_the_kl_from_old_to_new(self):
        logits = double(0.9, -0.4, 0.1).requires_grad_()
        old = double(0.2, 0.3, -0.6).log_softmax(0)
        exact = (old.exp() * (old - logits.log_softmax(0))).sum()
        expected = torch.autograd.grad(exact, logits)[0]
        # The mean over the old policy's samples, by a weight of each token in turn.
        total, kl = torch.zeros(3).double(), 0.0
        for token in range(3):
            new = logits.log_softmax(0)[token : token + 1]
            found = ppo_penalty_loss(new, old[token : token + 1], double(0.0), double(1.0), 1.0)
            total += old[token].exp() * torch.autograd.grad(found.loss, logits)[0]
            kl += (old[token].exp() * found.kl).item()
        torch.testing.assert_close(total, expected)
        assert kl == pytest.approx(exact.item())

    def test_nothing_is_penalised_at_the_old_policy(self):
        new = double(-1.0, -2.0).requires_grad_()
        found = ppo_penalty_loss(new, new, double(0.0, 0.0), double(1.0, 1.0), 10.0)
        assert torch.autograd.grad(found.loss, new)[0].eq(0).all()
        assert found.kl == 0
        assert not found.kl.requires_grad


class TestValueLoss:
    values, old = tensor([1.0, 2.0, 0.0, 0.7]), tensor([0.0, 2.0, 0.0, 0.1])
    returns, mask = tensor([2.0, 1.0, 1.0, 0.5]), tensor([1, 1, 1, 1])

    def test_without_a_clip(self):
        found = value_loss(self.values, self.old, self.returns, self.mask)
        assert found.loss.item() == pytest.approx(0.5 * (1 + 1 + 1 + 0.04) / 4)
        assert found.clip_fraction == 0

    def test_with_a_clip(self):
        values = self.values.clone().requires_grad_()
        found = value_loss(values, self.old, self.returns, self.mask, 0.2)
        # clipped values .2, 2, 0, .3: errors 3.24 > 1, 1, 1, .04 = .04 but for rounding
        assert found.loss.item() == pytest.approx(0.5 * (3.24 + 1 + 1 + 0.04) / 4)
        found.loss.backward()
        torch.testing.assert_close(values.grad[:3], tensor([0.0, 1.0, -1.0]) / 4)

    def test_the_clipped_share(self):
        values, old = tensor([1.0, 1.0, 0.1]), tensor([0.0, 0.0, 0.0])
        found = value_loss(values, old, tensor([2.0, -2.0, 5.0]), torch.ones(3), 0.5)
        assert found.clip_fraction.item() == pytest.approx(
            1 / 3
        )  # away from its return, a value still learns

    def test_values_that_did_not_move_are_not_clipped(self):
        values = torch.randn(1000, generator=torch.Generator().manual_seed(0))
        returns = values.flip(0)
        found = value_loss(values, values + 0.01, returns, torch.ones(1000), 0.2)
        assert found.clip_fraction == 0
        assert found.loss.item() == pytest.approx(0.5 * ((values - returns) ** 2).mean().item(), rel=1e-5)


@pytest.mark.parametrize("cuts", [(0, 1, 6), (0, 2, 3, 6), (0, 1, 2, 3, 4, 5, 6)])
def test_parts_of_a_batch_add_up_to_it(cuts):
    random = torch.Generator().manual_seed(0)
    new, old, advantages = torch.randn(3, 6, 5, generator=random, dtype=torch.float64)
    mask = torch.rand(6, 5, generator=random) < 0.6
    mask[1] = False  # a part without tokens adds nothing
    tensors = new, old, advantages, mask
    for function, more in (
        (ppo_clip_loss, {}),
        (ppo_penalty_loss, {"penalty": 0.5}),
        (value_loss, {"clip": 0.2}),
    ):
        whole = function(*tensors, **more)
        parts = [
            function(*(x[start:end] for x in tensors), **more, items=int(mask.sum()))
            for start, end in pairwise(cuts)
        ]
        for total, pieces in zip(whole, zip(*parts, strict=True), strict=True):
            torch.testing.assert_close(sum(pieces), total, rtol=1e-12, atol=1e-12)
    with pytest.raises(ConfigError, match="1 or more"):
        value_loss(*tensors, items=0)


class TestWhiten:
    x = tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    mask = tensor([[1, 1, 0, 0], [1, 1, 1, 0]])

    def test_by_hand(self):
        # 1, 2, 5, 6, 7: mean 4.2, unbiased variance 6.7
        expected = (self.x - 4.2) / math.sqrt(6.7) * self.mask
        found = whiten(self.x, self.mask)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(whiten(self.x, self.mask, centred=False), expected + 4.2 * self.mask)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=30, unique=True))
    def test_mean_0_and_deviation_1(self, items):
        found = whiten(tensor(items), torch.ones(len(items)))
        if found.any():
            assert found.double().mean().item() == pytest.approx(0, abs=1e-5)
            assert found.double().std().item() == pytest.approx(1, abs=1e-5)
        else:
            assert max(items) - min(items) < 1e-5 * max(map(abs, items))

    @pytest.mark.parametrize("value", [0.1, -3.7e5, 0.0])
    @pytest.mark.parametrize("count", [0, 1, 2, 7])
    def test_without_spread(self, value, count):
        x = torch.full((8,), value)
        x[count:] = math.nan
        mask = torch.arange(8) < count
        assert whiten(x, mask).eq(0).all()
        torch.testing.assert_close(whiten(x, mask, centred=False), torch.where(mask, x, 0.0))

    def test_noise_of_rounding_is_no_spread(self):
        x = tensor([0.3, 0.1 + 0.2, 1.0 / 3 - 0.1 / 3]) + tensor([0.0, 3e-8, 6e-8])
        assert whiten(x, torch.ones(3)).eq(0).all()

    def test_refuses_shapes_that_differ(self):
        with pytest.raises(ConfigError, match=r"x \[2, 4\], mask \[4\]"):
            whiten(self.x, self.mask[0])


class TestRewards:
    def test_numbers_of_another_implementation(self):
        rewards = tensor([[0.0, 0.0, 2.0], [0.0, 3.0, 0.0]])
        kl = tensor([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]])
        expected = tensor([[-0.01, -0.02, 1.97], [-0.01, 2.48, -0.03]])
        torch.testing.assert_close(penalised_rewards(rewards, kl, 0.1, 2.5), expected)

    def test_clip_is_of_the_reward_alone_and_of_both_sides(self):
        found = penalised_rewards(tensor([[-9.0, 9.0]]), tensor([[100.0, -100.0]]), 0.5, 1.0)
        torch.testing.assert_close(found, tensor([[-51.0, 51.0]]))
        unclipped = penalised_rewards(tensor([[-9.0, 9.0]]), tensor([[0.0, 0.0]]), 0.5)
        torch.testing.assert_close(unclipped, tensor([[-9.0, 9.0]]))

    def test_refuses(self):
        with pytest.raises(ConfigError, match=r"rewards \[1, 2\], kl \[2\]"):
            penalised_rewards(torch.zeros(1, 2), torch.zeros(2), 0.1)
        with pytest.raises(ConfigError, match="clip"):
            penalised_rewards(torch.zeros(1, 2), torch.zeros(1, 2), 0.1, -1)

    @pytest.mark.parametrize(
        ("kl", "expected"),
        [(6.0, 0.2), (6.6, 0.201024), (60.0, 0.202048), (3.0, 0.197952), (-1.0, 0.197952)],
    )
    def test_the_coefficient_follows_the_kl(self, kl, expected):
        # .2 * (1 + clip * 512 / 10000), clip of 0, .1, .2, -.2, -.2
        found = adapted_coefficient(0.2, kl, 6.0, 512, 10_000)
        assert found == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize(
        ("kl", "target", "n", "horizon"),
        [(math.nan, 6.0, 1, 10), (1.0, 0.0, 1, 10), (1.0, 6.0, 50, 10), (1.0, 6.0, 1, 0)],
    )
    def test_the_coefficient_refuses(self, kl, target, n, horizon):
        with pytest.raises(ConfigError, match=f"target {target}, n {n}, horizon {horizon}"):
            adapted_coefficient(0.2, kl, target, n, horizon)
