import pytest
import torch

from rewards.config import BodyConfig
from rewards.encoding.packs import pack
from rewards.errors import ConfigError, MissingFileError, ModelError
from rewards.models.bodies import make_classifier as make_body
from rewards.models.head import prepare_for_packing
from rewards.models.outcome import RewardModel, last_read

TEXTS = [
    "What is the capital of France? Paris.",
    "What is the capital of France? It is worse, worst, bad.",
    "Why?",
    "one two three four five six seven eight nine ten eleven twelve",
]


@pytest.mark.parametrize(
    ("tokens", "pad", "place"),
    [
        ([5, 6, 7], 2, 2),
        ([5, 6, 2], 2, 1),  # a text that ends in the padding token is read before it
        ([5, 2, 6, 2, 2], 2, 2),
        ([5, 6, 2], None, 2),
        ([2, 2, 2], 2, 0),
    ],
)
def test_scores_are_read_where_transformers_reads_them(make_classifier, tokens, pad, place):
    assert last_read(tokens, pad) == place
    classifier = make_classifier(pad=pad)
    with torch.no_grad():
        theirs = classifier(input_ids=torch.tensor([tokens])).logits[0, 0]
        ours = RewardModel(classifier)(None, [tokens[: place + 1]])[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2", "mistral", "bert"])
def test_scores_are_those_of_transformers_alone(
    tmp_path, make_tokenizer, make_classifier, plain_logits, family
):
    classifier, tokenizer = make_classifier(family), make_tokenizer()
    classifier.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    rows = [tokenizer(text + "</s>" * (family != "bert"))["input_ids"] for text in TEXTS]
    with torch.no_grad():
        ours = RewardModel(classifier).eval()(None, rows).tolist()
    alone = plain_logits(tmp_path, TEXTS, eos=family != "bert", one_by_one=True)
    assert ours == pytest.approx(alone, rel=1e-5, abs=1e-5)
    sides = ["right"] if family in ("bert", "gpt2") else ["right", "left"]  # GPT-2 counts padding as places
    for side in sides:
        together = plain_logits(tmp_path, TEXTS, eos=family != "bert", padding_side=side)
        assert ours == pytest.approx(together, rel=1e-5, abs=1e-5)


def test_a_body_in_half_precision_keeps_a_head_in_float32(make_classifier):
    exact = RewardModel(make_classifier()).eval()
    half = RewardModel(make_classifier().to(torch.bfloat16)).eval()
    assert half.inner.score.weight.dtype == torch.float32
    rows = [[0, 5, 6, 7, 1], [0, 9, 1]]
    with torch.no_grad():
        first, second = exact(None, rows), half(None, rows)
        assert prepare_for_packing(half)
        packed = half(list(pack(rows, 100, 1)), rows)
    assert second.dtype == packed.dtype == torch.float32
    # bfloat16 has 8 bits; a float32 head on its states gives numbers that bfloat16 cannot hold.
    torch.testing.assert_close(second, first, rtol=0.05, atol=0.05)
    torch.testing.assert_close(packed, first, rtol=0.05, atol=0.05)
    assert (second != second.to(torch.bfloat16).float()).any()


def test_the_order_of_packs_is_undone(make_classifier):
    model = RewardModel(make_classifier()).eval()
    assert prepare_for_packing(model)
    rows = [[9, 8, 7], [3, 4], [9, 8, 6], [3, 4, 5]]
    with torch.no_grad():
        for budget in (1, 4, 100):
            torch.testing.assert_close(
                model(list(pack(rows, budget, 1)), rows), model(None, rows), rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
def test_a_new_body_has_the_sizes_asked_for(tmp_path, make_tokenizer, family):
    make_tokenizer().save_pretrained(tmp_path)
    config = BodyConfig(
        family=family,
        tokenizer=str(tmp_path),
        hidden_size=48,
        layers=3,
        heads=4,
        context=77,
        intermediate_size=80,
    )
    model, tokenizer = make_body(config, seed=5)
    settings = model.config
    assert (settings.hidden_size, settings.num_hidden_layers, settings.num_attention_heads) == (48, 3, 4)
    assert settings.max_position_embeddings == 77
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    wide = (
        model.transformer.h[0].mlp.c_fc.nf
        if family == "gpt2"
        else model.model.layers[0].mlp.up_proj.out_features
    )
    assert wide == 80
    again, _ = make_body(config, seed=5)
    other, _ = make_body(config, seed=6)
    assert torch.equal(model.score.weight, again.score.weight)
    assert not torch.equal(model.score.weight, other.score.weight)


@pytest.mark.parametrize("pad", [None, "</s>", "<pad>"])
def test_padding_is_never_eos(tmp_path, make_tokenizer, make_classifier, pad):
    make_tokenizer(pad=pad).save_pretrained(tmp_path)
    make_classifier(pad=1).save_pretrained(tmp_path)
    model, tokenizer = make_body(BodyConfig(name=str(tmp_path)), seed=0)
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert model.get_input_embeddings().num_embeddings > tokenizer.pad_token_id


def test_a_body_that_cannot_be_made_says_why(tmp_path, make_tokenizer):
    make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"--body\.tokenizer"):
        make_body(BodyConfig(), 0)
    with pytest.raises(ConfigError, match="no such model type"):
        make_body(BodyConfig(family="lama", tokenizer=str(tmp_path)), 0)
    with pytest.raises(ConfigError, match="not a multiple"):
        make_body(BodyConfig(hidden_size=30, heads=4, tokenizer=str(tmp_path)), 0)
    with pytest.raises(ConfigError, match="cannot carry a reward head"):
        make_body(BodyConfig(family="vit", tokenizer=str(tmp_path)), 0)
    with pytest.raises(MissingFileError, match="nowhere: no such folder"):
        make_body(BodyConfig(name=str(tmp_path / "nowhere")), 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="no tokenizer there"):
        make_body(BodyConfig(name=str(tmp_path / "empty")), 0)
    tokenizer = make_tokenizer()
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path / "endless")
    with pytest.raises(ModelError, match="no EOS token"):
        make_body(BodyConfig(tokenizer=str(tmp_path / "endless")), 0)
