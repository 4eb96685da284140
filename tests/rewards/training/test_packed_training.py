"""What is learnt from packed rows is what is learnt from padded ones: losses, gradients, updates, order."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoModelForTokenClassification

from rewards.config import LoraConfig, TrainingConfig
from rewards.encoding.packs import pack
from rewards.models.head import prepare_for_packing
from rewards.models.outcome import AspectModel
from rewards.models.tokens import TokenModel
from rewards.training.correctness import ResponseTokens
from rewards.training.examples import TokenExample, TrainingSplit
from rewards.training.fitting import fit_examples
from rewards.training.objectives import AspectObjective, CorrectnessObjective, StepObjective

FAMILIES = ("llama", "gpt2", "qwen2")
NAN = float("nan")


def classifier(family="llama", labels=2, by_token=True, spread=0.25, **settings):
    sizes = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    known = {"max_position_embeddings": 64, "pad_token_id": 2, "num_labels": labels}
    grouped = {"num_key_value_heads": 1, "intermediate_size": 32} if family != "gpt2" else {}
    config = AutoConfig.for_model(family, **{**sizes, **known, **grouped, **settings})
    auto = AutoModelForTokenClassification if by_token else AutoModelForSequenceClassification
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = auto.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0, spread)
    return model


def rows(count, rng):
    """Rows of three prompts, whose answers share beginnings."""
    prompts = [rng.integers(3, 60, size).tolist() for size in (20, 9, 24)]
    stems = [rng.integers(3, 60, 6).tolist() for _ in range(3)]
    return [
        tuple(prompts[n % 3] + stems[n % 2] * (n % 4 > 0) + rng.integers(3, 60, 1 + n % 5).tolist())
        for n in range(count)
    ]


def examples(kind, count=12, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for number, row in enumerate(rows(count, rng)):
        places = sorted(rng.choice(len(row), 1 + number % 4, replace=False).tolist())
        if kind == "aspects":
            places = [len(row) - 1]
        if kind == "correctness":
            places = list(range(places[0], len(row)))
        labels = rng.integers(0, 2, (len(places), 1 if kind in ("steps", "correctness") else 3)).astype(float)
        if kind == "correctness":
            labels[:] = labels[0]
        if kind in ("aspects", "spans"):
            labels[:, number % 3] = NAN
        made.append(TokenExample(row, tuple(places), tuple(map(tuple, labels.tolist())), str(number)))
    return made


KINDS = {
    "steps": (StepObjective(2.5, 0.1), lambda family: TokenModel(classifier(family))),
    "correctness": (
        CorrectnessObjective(),
        lambda family: ResponseTokens(classifier(family, 1, by_token=False)),
    ),
    "aspects": (AspectObjective(tuple("abc")), lambda family: AspectModel(classifier(family, 3, False))),
    "spans": (
        AspectObjective(tuple("abc"), error=True, by_token=True, label_smoothing=0.1),
        lambda family: TokenModel(classifier(family, 3)),
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradients_are_those_of_padded_rows(family, kind):
    objective, make = KINDS[kind]
    model = make(family).eval()
    assert prepare_for_packing(model)
    found = {}
    for packed in (True, False):
        model.zero_grad()
        batch = objective.collate(examples(kind), packed)
        losses, outputs = objective.losses(model, batch)
        (losses.sum() / batch["items"]).backward()
        gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}
        found[packed] = losses.detach(), outputs.detach(), gradients
        assert objective.metrics(objective.tally(batch, outputs.detach()))
    torch.testing.assert_close(found[True][0], found[False][0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[True][1], found[False][1], atol=1e-5, rtol=1e-5)
    for name, gradient in found[True][2].items():
        torch.testing.assert_close(gradient, found[False][2][name], atol=2e-5, rtol=1e-3, msg=name)
    assert any(gradient.abs().max() > 1e-3 for gradient in found[True][2].values())


def test_rows_in_many_packs_come_back_in_their_order_whatever_is_read():
    rng = np.random.default_rng(1)
    made = rows(9, rng)
    made += [made[0], made[3]]
    read = [
        rng.integers(0, len(row), size)
        for row, size in zip(made, (0, 3, 1, 2, 0, 5, 1, 1, 2, 4, 0), strict=True)
    ]
    read[1] = np.array([7, 7, 2])  # in any order, and twice
    model = TokenModel(classifier()).eval()
    assert prepare_for_packing(model)
    with torch.no_grad():
        padded = model(None, made, read)
        for budget in (1, 40, 10_000):
            packs = list(pack(made, budget))
            torch.testing.assert_close(model(packs, made, read), padded, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(
                model.logits(packs, made), model.logits(None, made), atol=1e-5, rtol=1e-5
            )
    ends = np.cumsum([len(one) for one in read])
    alone = model(None, [made[5]], [read[5]])
    torch.testing.assert_close(padded[ends[4] : ends[5]], alone, atol=1e-5, rtol=1e-5)


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=12), st.integers(1, 60)
)
def test_every_token_of_a_row_has_its_place_in_its_pack(made, budget):
    for part in pack(made, budget, minimum_saving=1):
        own = [made[row] for row in part.rows.tolist()]
        members = np.repeat(np.arange(len(own)), [len(row) for row in own])
        positions = np.concatenate([np.arange(len(row)) for row in own])
        found = part.places(members, positions)
        assert part.tokens[found].tolist() == [token for row in own for token in row]
        assert part.positions[found].tolist() == positions.tolist()
        assert found[np.cumsum([len(row) for row in own]) - 1].tolist() == part.last.tolist()


def test_nothing_read_gives_no_output():
    model = TokenModel(classifier()).eval()
    assert prepare_for_packing(model)
    made = rows(3, np.random.default_rng(2))
    read = [np.zeros(0, dtype=np.int64)] * 3
    assert model(list(pack(made, 100)), made, read).shape == model(None, made, read).shape == (0, 2)


@pytest.mark.parametrize("packed", [True, False])
def test_dropout_before_the_head_is_a_token_classifiers_own(packed):
    """Llama's token classifier drops a tenth before its head unless told otherwise."""
    model = TokenModel(classifier()).train()
    assert model.inner.dropout.p == 0.1
    model.inner.dropout.p = 0.5
    assert prepare_for_packing(model)
    made = rows(6, np.random.default_rng(3))
    read = [np.array([len(row) - 1, 3]) for row in made]
    packs = list(pack(made, 1000)) if packed else None
    first, second = model(packs, made, read), model(packs, made, read)
    assert not torch.allclose(first, second)
    model.inner.dropout.p = 0.0
    assert torch.equal(model(packs, made, read), model(packs, made, read))


@pytest.mark.parametrize("packed", [True, False])
def test_the_head_of_a_half_precision_body_stays_in_single(packed):
    model = TokenModel(classifier().to(torch.bfloat16)).eval()
    assert model.inner.score.weight.dtype == torch.float32
    assert prepare_for_packing(model)
    made = rows(4, np.random.default_rng(4))
    read = [np.array([len(row) - 1]) for row in made]
    with torch.no_grad():
        found = model(list(pack(made, 1000)) if packed else None, made, read)
        exact = TokenModel(classifier()).eval()(None, made, read)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()
    assert (found - exact).abs().max() < 0.2 * exact.abs().max()


QUICK = TrainingConfig(
    learning_rate=1e-2,
    batch_prompts=12,
    max_steps=2,
    evaluation_share=0,
    checkpoint_steps=9,
    tensorboard=False,
)


def fitted(kind, out, **changes):
    objective, make = KINDS[kind]
    config = dataclasses.replace(QUICK, **changes)
    return fit_examples(
        make("llama"), objective, TrainingSplit(examples(kind), longest=40), config, out
    ).model


@pytest.mark.parametrize("kind", ["steps", "spans"])
def test_small_parts_of_a_batch_add_up_to_its_update(kind, tmp_path):
    """Items are labels, and of steps their weights: parts with few of them must not count for more."""
    whole = fitted(kind, tmp_path / "whole").state_dict()
    parts = fitted(kind, tmp_path / "parts", micro_batch_prompts=4).state_dict()
    start = KINDS[kind][1]("llama").state_dict()
    for name, weight in whole.items():
        torch.testing.assert_close(parts[name], weight, atol=1e-4, rtol=1e-3, msg=name)
    assert any((whole[name] - start[name]).abs().max() > 1e-3 for name in whole)


def test_training_removes_dropout_unless_it_is_to_be_kept(tmp_path):
    model = fitted("steps", tmp_path / "off")
    assert model.inner.dropout.p == 0.0
    again = fitted("steps", tmp_path / "again")
    assert torch.equal(model.inner.score.weight, again.inner.score.weight)
    kept = fitted("steps", tmp_path / "on", dropout=True)
    assert kept.inner.dropout.p == 0.1
    assert not torch.equal(model.inner.score.weight, kept.inner.score.weight)


@pytest.mark.parametrize("kind", ["steps", "correctness"])
def test_adapters_train_the_head_and_leave_the_body(kind, tmp_path):
    pytest.importorskip("peft")
    model = fitted(kind, tmp_path, lora=LoraConfig(rank=2))
    start = KINDS[kind][1]("llama").inner.state_dict()
    state = model.inner.state_dict()
    body = [name for name in state if name.endswith("q_proj.base_layer.weight")]
    assert body
    for name in body:
        assert torch.equal(state[name], start[name.replace(".base_layer", "")])
    heads = [name for name in state if name.startswith("score.modules_to_save") and name.endswith("weight")]
    assert len(heads) == 1
    assert not torch.equal(state[heads[0]], start["score.weight"])
