import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.encoding.packs import pack
from rewards.models.attention import NAME
from rewards.models.head import can_pack, prepare_for_packing
from rewards.models.outcome import RewardModel

ROWS = [
    [0, 5, 6, 7, 8, 9, 10, 11, 1],
    [0, 5, 6, 7, 8, 9, 12, 1],
    [0, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 1],
    [0, 5, 6, 7, 8, 9, 10, 11, 1],
    [40, 41],
    [0, 5, 6, 7, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 1],
]
PACKABLE = [
    ("llama", {}),
    ("llama", {"num_key_value_heads": 1}),
    ("gpt2", {}),
    ("qwen2", {}),
    ("qwen3", {"num_key_value_heads": 2, "intermediate_size": 64, "head_dim": 16}),
    ("mistral", {"sliding_window": 64}),
    ("phi3", {"num_key_value_heads": 2, "intermediate_size": 64}),
    ("gemma", {"num_key_value_heads": 1, "intermediate_size": 64, "head_dim": 8}),
    ("gpt_neox", {"intermediate_size": 64}),
]
# Bidirectional, counting positions themselves, biased or capped scores, sinks, recurrent or convolving.
NOT_PACKABLE = [
    ("bert", {}),
    ("modernbert", {"intermediate_size": 64}),
    ("bloom", {}),
    ("gemma2", {"num_key_value_heads": 2, "intermediate_size": 64, "head_dim": 8}),
    ("gpt_oss", {"num_key_value_heads": 2, "intermediate_size": 64, "head_dim": 8, "num_local_experts": 4}),
    ("jamba", {"num_key_value_heads": 2, "intermediate_size": 64, "num_experts": 4}),
    ("minimax", {"num_key_value_heads": 2, "intermediate_size": 64, "head_dim": 8, "num_local_experts": 4}),
    ("doge", {"num_key_value_heads": 2, "intermediate_size": 64}),
]


def reward_model(make_classifier, family="llama", **options):
    return RewardModel(make_classifier(family, **options)).eval()


def difference(first, second):
    """The largest difference relative to the largest number, at least 1."""
    return ((first - second).abs().max() / first.abs().max().clamp(min=1)).item()


@pytest.mark.parametrize(("family", "sizes"), PACKABLE)
def test_packed_equals_padded(make_classifier, family, sizes):
    model = reward_model(make_classifier, family, **sizes)
    assert can_pack(model.inner.config, max(map(len, ROWS)))
    assert prepare_for_packing(model)
    with torch.no_grad():
        padded = model(None, ROWS)
        alone = torch.cat([model(None, [row]) for row in ROWS])
        for budget, minimum_saving in ((1 << 20, 1), (1 << 20, 16), (12, 1), (1, 1)):
            packed = model(list(pack(ROWS, budget, minimum_saving)), ROWS)
            assert difference(packed, alone) < 1e-5
    assert difference(padded, alone) < 1e-5
    assert padded.std() > 0.05  # the comparison would see a difference


@pytest.mark.parametrize(("family", "sizes"), NOT_PACKABLE)
@pytest.mark.parametrize("spread", [0.02, 0.25])
def test_bodies_that_cannot_be_packed_are_recognised(make_classifier, family, sizes, spread):
    try:
        classifier = make_classifier(family, spread=spread, **sizes)
    except ValueError as error:
        pytest.skip(f"this Transformers has no classifier of family {family}: {str(error)[:60]}")
    model = RewardModel(classifier).eval()
    with torch.no_grad():
        before = model(None, ROWS)
        assert not prepare_for_packing(model)
        assert torch.equal(model(None, ROWS), before)  # left as it was
    assert classifier.config._attn_implementation != NAME


def test_a_window_shorter_than_the_row_is_recognised(make_classifier):
    model = reward_model(make_classifier, "mistral", sliding_window=32)
    assert can_pack(model.inner.config, 32)
    assert not can_pack(model.inner.config, 33)
    windowless = reward_model(make_classifier, "qwen2", sliding_window=4, use_sliding_window=False)
    assert can_pack(windowless.inner.config, 200)
    assert prepare_for_packing(model)
    rows = [[*range(3, 40), 1], [*range(3, 25), 1]]
    with torch.no_grad(), pytest.raises(ValueError, match="cannot be packed"):
        model(list(pack(rows, 1 << 20)), rows)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2"])
def test_gradients_equal_those_of_padded_rows(make_classifier, family):
    plain = reward_model(make_classifier, family)
    packed = copy.deepcopy(plain)
    assert prepare_for_packing(packed)
    weights = torch.linspace(-1, 2, len(ROWS))  # stands for a loss that treats each row otherwise
    (plain(None, ROWS) * weights).sum().backward()
    (packed(list(pack(ROWS, 1 << 20, 1)), ROWS) * weights).sum().backward()
    theirs = dict(packed.named_parameters())
    for name, parameter in plain.named_parameters():
        if parameter.grad is None:
            assert theirs[name].grad is None, name
            continue
        assert difference(parameter.grad, theirs[name].grad) < 1e-5, name
    assert plain.inner.get_input_embeddings().weight.grad.abs().max() > 0


@pytest.fixture(scope="module")
def tiny(make_classifier):
    model = reward_model(make_classifier, "llama", num_hidden_layers=1)
    assert prepare_for_packing(model)
    return model


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.integers(3, 6), min_size=1, max_size=10), min_size=1, max_size=8),
    st.lists(st.integers(3, 399), max_size=40),
    st.integers(1, 120),
)
def test_any_rows_in_any_packs(tiny, endings, prompt, budget):
    rows = [[*prompt, *ending] for ending in endings]
    with torch.no_grad():
        alone = torch.cat([tiny(None, [row]) for row in rows])
        assert difference(tiny(list(pack(rows, budget, 1)), rows), alone) < 1e-5


def test_without_packs_the_attention_is_that_of_transformers(make_classifier):
    plain = make_classifier()
    model = RewardModel(copy.deepcopy(plain)).eval()
    assert prepare_for_packing(model)
    ids = torch.tensor([ROWS[0], [*ROWS[4], *[2] * 7]])
    mask = (ids != 2).long()
    with torch.no_grad():
        ours, theirs = (one(input_ids=ids, attention_mask=mask).logits for one in (model.inner, plain))
    assert difference(ours, theirs) < 1e-6


def test_mixed_precision_of_the_body_leaves_the_head_in_float32(make_classifier):
    model = reward_model(make_classifier)
    assert prepare_for_packing(model)
    with torch.no_grad():
        exact = model(list(pack(ROWS, 1 << 20, 1)), ROWS)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = model(list(pack(ROWS, 1 << 20, 1)), ROWS)
    assert mixed.dtype == torch.float32
    assert 1e-5 < difference(mixed, exact) < 0.05
