import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from evalkit.policies.losses import dpo_loss, dpo_rewards

PAIRS = [("What is it?", " good", " bad light"), ("Why", " blue sky", " red"), ("One", " two", " ten")]
COLUMNS = ("prompt", "chosen", "rejected")


@pytest.fixture(scope="module")
def models(policy_folder):
    """A policy and the reference that it has moved away from."""
    torch.set_num_threads(1)
    policy, reference = (AutoModelForCausalLM.from_pretrained(policy_folder).eval() for _ in range(2))
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for model, spread in ((reference, 0.2), (policy, 0.25)):
            for weight in model.parameters():
                weight += spread * torch.randn(weight.shape, generator=random)
    return policy, reference


def response_sums(model, batch):
    """Each response's summed log-probability and number of tokens, chosen ones before rejected ones."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    of_next = logits[:, :-1].log_softmax(-1).gather(2, batch["input_ids"][:, 1:, None])[..., 0]
    own = batch["completion_mask"][:, 1:]
    return (of_next * own).sum(1), own.sum(1)


@pytest.mark.parametrize(
    ("kind", "smoothing"), [("sigmoid", 0.0), ("hinge", 0.0), ("ipo", 0.0), ("robust", 0.1), ("robust", 0.3)]
)
def test_losses_gradients_and_rewards_equal_those_of_trl(tmp_path, policy_folder, models, kind, smoothing):
    trl = pytest.importorskip("trl")
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    tokenizer = AutoTokenizer.from_pretrained(policy_folder)
    policy, reference = models
    trainer = trl.DPOTrainer(
        model=policy,
        ref_model=reference,
        args=trl.DPOConfig(
            output_dir=str(tmp_path),
            bf16=False,
            use_cpu=True,
            report_to=[],
            logging_strategy="no",
            disable_tqdm=True,
            activation_checkpointing=False,
            loss_type=[kind],
            label_smoothing=smoothing,
            beta=0.1,
        ),
        train_dataset=Dataset.from_dict(dict(zip(COLUMNS, map(list, zip(*PAIRS, strict=True)), strict=True))),
        processing_class=tokenizer,
    )
    batch = DataCollatorForPreference(tokenizer.pad_token_id)([dict(row) for row in trainer.train_dataset])
    policy.eval()
    theirs = trainer.compute_loss(policy, dict(batch))
    sums, lengths = response_sums(policy, batch)
    with torch.no_grad():
        reference_sums, _ = response_sums(reference, batch)
    if kind == "ipo":  # theirs is of the means over tokens, ours of what it is given
        sums, reference_sums = sums / lengths, reference_sums / lengths
    parts = [half for whole in (sums, reference_sums) for half in whole.chunk(2)]
    ours = dpo_loss(*parts, 0.1, kind, smoothing).mean()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    weights = [weight for weight in policy.parameters() if weight.requires_grad]
    for mine, other in zip(
        torch.autograd.grad(ours, weights), torch.autograd.grad(theirs, weights), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
    if kind != "ipo":
        rewards = dpo_rewards(sums, reference_sums, 0.1).chunk(2)
        logged = trainer._metrics["eval"]
        for side, reward in zip(("chosen", "rejected"), rewards, strict=True):
            assert logged[f"rewards/{side}"][0] == pytest.approx(reward.mean().item(), abs=1e-5)
