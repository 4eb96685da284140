"""A critic on the policy's own body: its gradients by plain Transformers, and the folder that it leaves."""

import copy
import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from evalkit.cli import main
from evalkit.policies.generation.local import LocalPolicy
from evalkit.policies.language_model import LanguageModel
from evalkit.policies.policy import SamplingConfig
from evalkit.policies.ppo.config import PpoConfig, resolve_recipe
from evalkit.policies.ppo.critic import load_critic
from evalkit.policies.ppo.learner import Learner
from evalkit.policies.ppo.shared_critic import SharedCritic
from evalkit.policies.ppo.targets import Targets
from evalkit.policies.rollout.rollout import Rollout
from evalkit.policies.rollout.token_credit import Written
from rewards.models.head import prepare_for_packing
from tests.evalkit.policies.ppo.ppo_models import byte_tokenizer, policy_folder, small_model

PROMPTS = ["ab", "ba b", "b"]


@pytest.fixture
def learner_and_round():
    tokenizer = byte_tokenizer()
    policy = small_model("policy", len(tokenizer), 0, spread=0.3)
    local = LocalPolicy(copy.deepcopy(policy), tokenizer)
    found = local.generate(PROMPTS, 1, SamplingConfig(max_new_tokens=7, seed=0, log_probs=True))
    made = [one for (one,) in found]
    written = [Written(local.texts.encode(one.prompt), one.extra["tokens"], one.response) for one in made]
    model = LanguageModel(policy)
    packs = prepare_for_packing(model)
    assert packs
    critic = SharedCritic(model, packs, "critic", 64, tokenizer)
    settings = {"batch": 3, "buffer": 3, "schedule": "constant", "value_coefficient": 0.25}
    learner = Learner(model, packs, critic, resolve_recipe(PpoConfig(**settings)), 10)
    old = [torch.tensor(one.extra["log_probs"], dtype=torch.float32) for one in made]
    rollout = Rollout(
        records=[],
        written=written,
        rows=[[*one.prompt, *one.tokens] for one in written],
        starts=[len(one.prompt) for one in written],
        log_probs=old,
        reference_log_probs=old,
        rewards=[],
        whole=[],
        values=[],
        finished=[],
        prompts=[0, 1, 2],
        unscored=0,
    )
    generator = torch.Generator().manual_seed(0)
    drawn = [[torch.randn(len(one), generator=generator) for one in old] for _ in range(2)]
    critic_rows = critic.rows(PROMPTS, written, local.texts, PROMPTS)
    targets = Targets(drawn[0], drawn[1], critic.row_values(critic_rows, 2), drawn[1], critic_rows)
    return learner, rollout, targets


def by_hand(learner, rollout, targets):
    """The loss by plain Transformers: surrogate of ratio 1, and 0.25 times half the squared error."""
    model, head = copy.deepcopy(learner.policy.inner), copy.deepcopy(learner.critic.model)
    model.set_attn_implementation("sdpa")
    policy, value, tokens = 0.0, 0.0, 0
    for number, (row, start) in enumerate(zip(rollout.rows, rollout.starts, strict=True)):
        output = model(torch.tensor([row]), output_hidden_states=True)
        told = output.logits[0, start - 1 : -1].log_softmax(-1)
        new = told.gather(1, torch.tensor(row[start:])[:, None])[:, 0]
        policy -= ((new - rollout.log_probs[number]).exp() * targets.advantages[number]).sum()
        values = head(output.hidden_states[-1][0, start - 1 : -1])[:, 0]
        value += ((values - targets.returns[number]) ** 2).sum() / 2
        tokens += len(row) - start
    ((policy + 0.25 * value) / tokens).backward()
    return model, head


def test_policy_and_values_are_learnt_in_one_body(learner_and_round):
    learner, rollout, targets = learner_and_round
    assert all((one == 0).all() for one in targets.values)
    with torch.no_grad():
        learner.critic.model.weight.normal_(generator=torch.Generator().manual_seed(3))
    model, head = by_hand(*learner_and_round)
    seen = {}
    keep = learner.optimisers[0].register_step_pre_hook(
        lambda *_: seen.update(
            {name: one.grad.clone() for name, one in learner.policy.inner.named_parameters()}
        )
    )
    of_head = []
    learner.optimisers[1].register_step_pre_hook(
        lambda *_: of_head.append(learner.critic.model.weight.grad.clone())
    )
    told = learner.update(rollout, targets, [0, 1, 2], 0.0, None, True)
    keep.remove()
    for name, one in model.named_parameters():
        torch.testing.assert_close(seen[name], one.grad, rtol=1e-4, atol=2e-6)
    torch.testing.assert_close(of_head[0], head.weight.grad, rtol=1e-4, atol=2e-6)
    assert told["clip_fraction"] == 0
    assert told["value_loss"] > 0


def test_while_the_critic_is_trained_alone_the_body_stays(learner_and_round):
    learner, rollout, targets = learner_and_round
    before = copy.deepcopy(learner.policy.state_dict())
    losses = [learner.update(rollout, targets, [0, 1, 2], 0.0, None, False)["value_loss"] for _ in range(5)]
    assert losses[-1] < losses[0]
    assert all(torch.equal(one, before[name]) for name, one in learner.policy.state_dict().items())
    assert learner.done == 0


@pytest.mark.parametrize("adapters", [0, 2])
def test_the_command_learns_with_it_and_leaves_a_critic_that_goes_on(tmp_path, adapters):
    policy = policy_folder(tmp_path)
    data = tmp_path / "prompts.jsonl"
    data.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    settings = {
        **{"episodes": 640, "buffer": 64, "batch": 32, "epochs": 4, "max_new_tokens": 6},
        "learning_rate": 3e-2 if adapters else 1e-2,
        "lora.rank": adapters,
    }
    options = [f"--ppo.{name}={value}" for name, value in settings.items()]
    options += ["--critic=shared", "--tensorboard=false", "--scorer=rule:pattern?pattern=[a-z]&count=true"]
    main(["train", "ppo", f"--policy={policy}", f"--data={data}", f"--out={tmp_path / 'out'}", *options])
    lines = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    if adapters:  # of rank 2 on so small a body they learn but little, though they leave the reference
        assert lines[0]["rollout_kl"] < 0.1 < lines[-1]["rollout_kl"] - 3 * lines[-1]["rollout_kl_se"]
    else:
        assert lines[-1]["rollout_proxy"] > lines[0]["rollout_proxy"] + 0.5
    assert lines[-1]["rollout_kl"] > 0.5
    tokenizer = byte_tokenizer()
    again = load_critic(str(tmp_path / "out/critic"), "critic", tokenizer, torch.device("cpu"), 0)
    written = [Written([5, 6], [7, 8, 9], "")]
    rows = again.rows(["x"], written, None, ["x"])
    (told,) = again.row_values(rows, 1)
    assert told.abs().max() > 0
    body = AutoModelForCausalLM.from_pretrained(tmp_path / "out").base_model.state_dict()
    for name, one in again.model.inner.base_model.state_dict().items():
        torch.testing.assert_close(one, body[name])
