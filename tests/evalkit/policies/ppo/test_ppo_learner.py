"""One update: its gradients against those of plain Transformers, what stops it, and what it leaves alone."""

import copy
import math
from itertools import chain

import numpy as np
import pytest
import torch

from evalkit.policies.generation.local import LocalPolicy
from evalkit.policies.language_model import LanguageModel, twin
from evalkit.policies.policy import SamplingConfig
from evalkit.policies.ppo.config import PpoConfig, resolve_recipe
from evalkit.policies.ppo.critic import Critic
from evalkit.policies.ppo.learner import Learner, PtxRows, mean_of
from evalkit.policies.ppo.targets import Targets
from evalkit.policies.rollout.order import minibatches
from evalkit.policies.rollout.rollout import Rollout
from evalkit.policies.rollout.token_credit import Written
from rewards.errors import TrainingError
from rewards.models.head import prepare_for_packing
from rewards.models.outcome import SequenceModel
from rewards.models.sidecar import Scale
from tests.evalkit.policies.ppo.ppo_models import byte_tokenizer, small_model

PROMPTS = ["ab", "ba b", "b"]
COUNT = 6


@pytest.fixture(scope="module")
def made():
    """A policy, another one as its reference, a critic, and what the policy wrote to three prompts."""
    tokenizer = byte_tokenizer()
    policy = small_model("policy", len(tokenizer), 0, spread=0.3)
    reference = small_model("policy", len(tokenizer), 1, spread=0.3)
    critic = small_model("reward", len(tokenizer), 2, spread=0.3)
    settings = SamplingConfig(max_new_tokens=7, seed=0, log_probs=True)
    local = LocalPolicy(policy, tokenizer)
    found = [one for group in local.generate(PROMPTS, 2, settings) for one in group]
    prompts = [local.texts.encode(one.prompt) for one in found]
    written = [Written(p, one.extra["tokens"], one.response) for p, one in zip(prompts, found, strict=True)]
    rows = [[*one.prompt, *one.tokens] for one in written]
    starts = [len(one.prompt) for one in written]
    head = Critic(SequenceModel(critic), "critic", Scale(0.5, 2.0), None, 64, False, tokenizer)
    rollout = Rollout(
        [],
        written,
        rows,
        starts,
        [torch.tensor(one.extra["log_probs"], dtype=torch.float32) for one in found],
        [log_probs(reference, row, start).detach() for row, start in zip(rows, starts, strict=True)],
        [np.zeros(len(one.tokens)) for one in written],
        [True] * COUNT,
        [0.0] * COUNT,
        [True] * COUNT,
        [0, 0, 1, 1, 2, 2],
        unscored=0,
    )
    generator = torch.Generator().manual_seed(0)
    advantages, returns = (
        [torch.randn(len(one.tokens), generator=generator) for one in written] for _ in range(2)
    )
    critic_rows = head.rows([one.prompt for one in found], written, local.texts, [""] * COUNT)
    targets = Targets(advantages, returns, head.row_values(critic_rows, 9), returns, critic_rows)
    return policy, critic, tokenizer, rollout, targets


def log_probs(model, row, start):
    """Return plain Transformers' log-probabilities of a row's response, with their gradient."""
    logits = model(torch.tensor([list(row)])).logits[0, start - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(row[start:])[:, None])[:, 0]


def entropies(model, row, start):
    found = model(torch.tensor([list(row)])).logits[0, start - 1 : -1].log_softmax(-1)
    return -(found.exp() * found).sum(-1)


def learner_of(made, updates=10, packs=True, **settings):
    policy, critic, tokenizer, *_ = made
    model = LanguageModel(copy.deepcopy(policy))
    packs = packs and prepare_for_packing(model)
    head = Critic(SequenceModel(copy.deepcopy(critic)), "critic", Scale(0.5, 2.0), None, 64, False, tokenizer)
    head.packs = packs and prepare_for_packing(head.model)
    settings = {"batch": COUNT, "buffer": COUNT, "schedule": "constant", **settings}
    return Learner(model, packs, head, resolve_recipe(PpoConfig(**settings)), updates)


def update(learner, made, chosen=range(COUNT), coefficient=0.0, texts=None, policy_learns=True, targets=None):
    """Make an update; return what it told, and the gradients of policy and critic that it was made by."""
    seen = [{}, {}]
    for place, (optimiser, model) in enumerate(
        zip(learner.optimisers, (learner.policy.inner, learner.critic.model.inner), strict=True)
    ):

        def keep(*_, place=place, model=model):
            seen[place] = {name: one.grad.clone() for name, one in model.named_parameters()}

        optimiser.register_step_pre_hook(keep)
    told = learner.update(made[3], targets or made[4], list(chosen), coefficient, texts, policy_learns)
    return told, *seen


def gradients(model, loss):
    """Return the gradients of a scalar that a function makes of a copy of a model."""
    model = copy.deepcopy(model)
    model.zero_grad()
    loss(model).backward()
    return {name: one.grad for name, one in model.named_parameters()}


def alike(mine, theirs, tolerance=1e-6):
    largest = max(float(one.abs().max()) for one in theirs.values())
    assert largest > 1e-4
    for name, one in theirs.items():
        torch.testing.assert_close(mine[name], one, rtol=0, atol=tolerance * max(1.0, largest))


def over_tokens(made, term):
    """Return a loss: the mean over all response tokens of a term of model, row number, row and start."""
    rollout = made[3]
    number = sum(len(row) - start for row, start in zip(rollout.rows, rollout.starts, strict=True))
    return lambda model: (
        sum(
            term(model, n, row, start).sum()
            for n, (row, start) in enumerate(zip(rollout.rows, rollout.starts, strict=True))
        )
        / number
    )


def reinforce(made):
    return over_tokens(
        made, lambda model, n, row, start: -made[4].advantages[n] * log_probs(model, row, start)
    )


@pytest.mark.parametrize("objective", ["clip", "penalty"])
@pytest.mark.parametrize("packs", [True, False])
def test_the_first_update_is_reinforce(made, objective, packs):
    learner = learner_of(made, packs=packs, objective=objective)
    assert learner.packs == packs
    told, mine, _ = update(learner, made)
    alike(mine, gradients(made[0], reinforce(made)), 1e-5)
    assert told.get("clip_fraction", 0) == 0
    assert told["old_new_kl"] == pytest.approx(0, abs=1e-6)
    # At ratio 1 the loss is the mean of the advantages, and only the gradient knows the policy.
    assert told["policy_loss"] == pytest.approx(-float(torch.cat(made[4].advantages).mean()), abs=1e-5)


def test_the_sampler_and_the_trained_model_agree_on_what_was_sampled(made):
    policy = learner_of(made).policy
    sampler = LocalPolicy(twin(policy.inner), made[2])
    settings = SamplingConfig(max_new_tokens=7, seed=0, log_probs=True)
    again = [one for group in sampler.generate(PROMPTS, 2, settings) for one in group]
    rollout = made[3]
    for one, row, start, old in zip(again, rollout.rows, rollout.starts, rollout.log_probs, strict=True):
        assert [*one.extra["tokens"]] == row[start:]
        assert one.extra["log_probs"] == pytest.approx(old.tolist(), abs=1e-5)
        assert old.tolist() == pytest.approx(log_probs(made[0], row, start).tolist(), abs=1e-5)


def test_a_second_update_of_a_large_step_clips(made):
    learner = learner_of(made, learning_rate=0.05)
    update(learner, made)
    told, *_ = update(learner, made)
    assert 0.1 < told["clip_fraction"] < 1
    assert told["old_new_kl"] > 0.01


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("objective", ["clip", "penalty"])
def test_parts_of_a_batch_add_up_to_it(made, size, objective):
    settings = {"objective": objective, "entropy_coefficient": 0.1, "kl_in": "loss", "kl_kind": "k2"}
    texts = PtxRows(made[3].rows[:3], made[3].starts[:3])
    whole, mine, critic = update(
        learner_of(made, ptx_coefficient=0.1, **settings), made, coefficient=0.3, texts=texts
    )
    parts, ours, other = update(
        learner_of(made, micro_batch=size, ptx_coefficient=0.1, **settings),
        made,
        coefficient=0.3,
        texts=texts,
    )
    alike(ours, mine, 5e-6)
    alike(other, critic, 5e-6)
    assert parts == pytest.approx(whole, abs=1e-5)


def test_the_critic_goes_to_its_returns(made):
    told, _, mine = update(learner_of(made), made)
    rows = made[4].critic_rows

    def loss(model):
        errors = []
        for row, returns in zip(rows, made[4].returns, strict=True):
            hidden = model.model(torch.tensor([row.tokens])).last_hidden_state[0, torch.tensor(row.places)]
            errors.append((model.score(hidden)[:, 0] - 0.5) / 2 - returns)
        return 0.5 * (torch.cat(errors) ** 2).mean()

    alike(mine, gradients(made[1], loss), 1e-5)
    assert told["value_loss"] == pytest.approx(float(loss(made[1]).detach()), rel=1e-5)


def extra(made, base, **settings):
    """Return what a setting adds to the policy's gradient, divided by its weight 0.5."""
    _, with_it, _ = update(learner_of(made, **settings), made, coefficient=0.5)
    return {name: (one - base[name]) / 0.5 for name, one in with_it.items()}


def test_entropy_and_k2_and_k3_come_with_their_gradients(made):
    theirs = made[3].reference_log_probs
    _, base, _ = update(learner_of(made), made)
    entropy = extra(made, base, entropy_coefficient=0.5)
    alike(entropy, gradients(made[0], over_tokens(made, lambda m, _, *row: -entropies(m, *row))), 1e-5)
    k2 = over_tokens(made, lambda m, n, *row: (log_probs(m, *row) - theirs[n]) ** 2 / 2)
    alike(extra(made, base, kl_in="loss", kl_kind="k2"), gradients(made[0], k2), 1e-5)
    k3 = over_tokens(made, lambda m, n, *row: torch.exp(theirs[n] - log_probs(m, *row)) + log_probs(m, *row))
    found = gradients(made[0], k3)
    alike(extra(made, base, kl_in="loss", kl_kind="k3"), found, 1e-4)
    _, same, _ = update(learner_of(made, kl_in="reward"), made, coefficient=0.5)
    alike(same, base, 1e-7)  # taken off the rewards, it is no part of the loss


def test_texts_are_read_beside_by_their_weight(made):
    rows, starts = [list(range(4, 12)), [9, 8, 7]], [1, 2]
    texts = PtxRows(rows, starts)
    _, base, _ = update(learner_of(made, ptx_coefficient=0.5), made)
    told, with_it, _ = update(learner_of(made, ptx_coefficient=0.5), made, texts=texts)

    def loss(model):
        found = [log_probs(model, row, start) for row, start in zip(rows, starts, strict=True)]
        return -torch.cat(found).mean()

    ours = {name: (one - base[name]) / 0.5 for name, one in with_it.items()}
    alike(ours, gradients(made[0], loss), 1e-5)
    assert told["ptx_loss"] == pytest.approx(float(loss(made[0]).detach()), rel=1e-5)
    told, _, _ = update(learner_of(made, ptx_coefficient=0.5), made, texts=texts, policy_learns=False)
    assert "ptx_loss" not in told


def weights(learner):
    models = (learner.policy, learner.critic.model)
    return [{name: one.clone() for name, one in model.state_dict().items()} for model in models]


def unchanged(mine, other):
    return all(torch.equal(mine[name], other[name]) for name in mine)


def test_while_the_critic_learns_alone_the_policy_stays(made):
    learner = learner_of(made, updates=4, schedule="linear")
    before = weights(learner)
    told, *_ = update(learner, made, policy_learns=False)
    policy, critic = weights(learner)
    assert unchanged(policy, before[0])
    assert not unchanged(critic, before[1])
    assert learner.done == 0
    assert "policy_loss" not in told


@pytest.mark.parametrize("kind", ["advantages", "returns"])
def test_what_is_not_finite_changes_nothing(made, kind):
    learner = learner_of(made, micro_batch=2)
    before = weights(learner)
    values = getattr(made[4], kind)
    wrong = Targets(**{**vars(made[4]), kind: [values[0] * float("inf"), *values[1:]]})
    with pytest.raises(TrainingError, match=r"update 1 has no finite result \(.*\), and was not made"):
        update(learner, made, targets=wrong)
    assert all(unchanged(mine, other) for mine, other in zip(weights(learner), before, strict=True))
    assert learner.done == 0
    # Nor is anything of it left for the next one.
    _, mine, _ = update(learner, made)
    _, other, _ = update(learner_of(made), made)
    alike(mine, other)


def test_gradients_are_scaled_down_to_the_norm_and_told_as_they_were(made):
    plain, mine, _ = update(learner_of(made), made)
    told, clipped, critic = update(learner_of(made, max_gradient_norm=0.01), made)
    assert told["gradient_norm"] == pytest.approx(plain["gradient_norm"], rel=1e-5)
    for found in (clipped, critic):
        assert math.sqrt(sum(float((one**2).sum()) for one in found.values())) == pytest.approx(
            0.01, rel=1e-3
        )
    scale = 0.01 / plain["gradient_norm"]
    for name, one in mine.items():
        torch.testing.assert_close(clipped[name], one * scale, rtol=1e-3, atol=1e-6)


def test_bfloat16_is_near_float32(made):
    told, mine, critic = update(learner_of(made, dtype="bfloat16"), made)
    plain, other, theirs = update(learner_of(made), made)
    for ours, exact in ((mine, other), (critic, theirs)):
        a, b = (torch.cat([one.flatten() for one in found.values()]) for found in (ours, exact))
        assert torch.cosine_similarity(a, b, dim=0) > 0.99
    assert told["value_loss"] == pytest.approx(plain["value_loss"], rel=0.05)


def test_the_penalty_halves_and_doubles_about_its_target(made):
    learner = learner_of(made, objective="penalty", penalty=1.0, penalty_target=0.03)
    for kl, wanted in ((0.019, 0.5), (0.021, 0.5), (0.044, 0.5), (0.046, 1.0), (0.1, 2.0)):
        learner.adapt_penalty(kl)
        assert learner.penalty == wanted


def test_rates_rise_and_fall_over_the_run(made):
    learner = learner_of(made, updates=10, schedule="linear", warmup_ratio=0.4)
    factors = []
    for learner.done in range(10):
        factors.append(learner.rate_factor())
    assert factors == pytest.approx([0.25, 0.5, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    constant = learner_of(made, updates=10)
    constant.done = 9
    assert constant.rate_factor() == 1
    learner = learner_of(made, updates=2, schedule="linear", learning_rate=0.01, critic_learning_rate=0.04)
    for wanted in (1.0, 0.5):
        update(learner, made)
        found = [group["lr"] for optimiser in learner.optimisers for group in optimiser.param_groups]
        assert found == pytest.approx([0.01 * wanted, 0.04 * wanted])


def test_each_pass_takes_every_response_once():
    found = list(minibatches(10, 4, 3, 1, np.random.default_rng(0)))
    assert [len(one) for one in found] == [4, 4, 2] * 3
    passes = [sorted(chain(*found[start : start + 3])) for start in (0, 3, 6)]
    assert passes == [list(range(10))] * 3
    assert found[:3] != found[3:6]
    together = list(chain(*minibatches(12, 6, 2, 3, np.random.default_rng(0))))
    assert sorted(together[:12]) == sorted(together[12:]) == list(range(12))
    assert all(one % 3 == place % 3 for place, one in enumerate(together))  # answers to a prompt side by side
    assert mean_of([{"a": 1.0, "b": 2.0}, {"a": 3.0}]) == {"a": 2.0, "b": 2.0}
