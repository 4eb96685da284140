import dataclasses
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.config import ScoringConfig
from rewards.encoding.encoder import Encoder
from rewards.errors import ConfigError, DataError, ScoringError, SpecError
from rewards.models.checkpoint import save
from rewards.models.outcome import RewardModel
from rewards.models.sidecar import Scale, Sidecar, tokenizer_hash
from rewards.records import Generation, Message
from rewards.scorers.loading import context_length, load_model_scorer
from rewards.scorers.outcome import ModelScorer
from rewards.specs import parse_spec

PROMPTS = ["What is the capital of France?", "Why is the sky blue? one two three four five six", "Why"]
ENDINGS = [
    " Paris.",
    " Paris. A longer word wins over a short one.",
    " bad",
    "",
    " Light is scattered by the air.",
]
GENERATIONS = [Generation(prompt, ending) for prompt in PROMPTS for ending in ENDINGS]


def make_scorer(make_classifier, make_tokenizer, family="llama", eos=True, config=None, **sizes):
    encoder = Encoder(make_tokenizer(chat=True), eos and family != "bert", 256)
    return ModelScorer(
        RewardModel(make_classifier(family, **sizes)), encoder, config or ScoringConfig(device="cpu")
    )


def close(numbers):
    return pytest.approx(numbers, rel=1e-5, abs=1e-5)


def load(text):
    return load_model_scorer(parse_spec(str(text), []))


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2", "mistral", "bert"])
def test_a_score_depends_on_its_row_alone(make_classifier, make_tokenizer, family):
    scorer = make_scorer(make_classifier, make_tokenizer, family)
    assert scorer.packs == (family not in ("bert", "mistral"))  # mistral's window here is 16 tokens
    alone = [scorer.logits([one])[0] for one in GENERATIONS]
    assert len({round(number, 4) for number in alone}) == len(alone)
    order = list(range(len(GENERATIONS))) * 2  # each twice
    random.Random(0).shuffle(order)
    for batch_tokens in (1, 40, 8192):
        for share in (True, False):
            scorer.config = dataclasses.replace(
                scorer.config, batch_tokens=batch_tokens, share_prefixes=share
            )
            scorer.packs = scorer.packs and share
            together = scorer.logits([GENERATIONS[number] for number in order])
            assert together == close([alone[number] for number in order])


def test_a_wide_window_packs_what_fits_it_and_pads_the_rest(make_classifier, make_tokenizer):
    scorer = make_scorer(make_classifier, make_tokenizer, "mistral", sliding_window=24)
    assert scorer.packs
    lengths = [
        len(row)
        for row in scorer.encoder.encode([g.prompt for g in GENERATIONS], [g.response for g in GENERATIONS])
    ]
    assert min(lengths) <= 24 < max(lengths)
    alone = [scorer.logits([one])[0] for one in GENERATIONS]
    scorer.packs = False
    assert scorer.logits(GENERATIONS) == close(alone)


@pytest.fixture(scope="module")
def shared(make_classifier, make_tokenizer):
    scorer = make_scorer(make_classifier, make_tokenizer)
    plain = make_scorer(
        make_classifier, make_tokenizer, config=ScoringConfig(device="cpu", share_prefixes=False)
    )
    assert scorer.packs
    assert not plain.packs
    return scorer, plain


@settings(max_examples=25)
@given(
    st.lists(
        st.builds(Generation, st.sampled_from(["", "one", "one two"]), st.text("ab ", max_size=12)),
        max_size=8,
    )
)
def test_shared_prefixes_change_nothing(shared, generations):
    scorer, plain = shared
    assert scorer.logits(generations) == close(plain.logits(generations))


def test_copies_are_computed_once(shared, monkeypatch):
    scorer, _ = shared
    computed = []
    compute = scorer._compute
    monkeypatch.setattr(
        scorer, "_compute", lambda rows, places: computed.extend(rows) or compute(rows, places)
    )
    assert len(scorer.score(GENERATIONS * 3)) == 3 * len(GENERATIONS)
    assert len(computed) == len(set(computed)) == len(GENERATIONS)


def test_the_score_is_the_logit_on_the_folders_scale(make_classifier, make_tokenizer, tmp_path):
    tokenizer = make_tokenizer()
    sidecar = Sidecar(tokenizer_hash=tokenizer_hash(tokenizer), scale=Scale(0.5, 2.0))
    save(RewardModel(make_classifier()), tokenizer, tmp_path, sidecar)
    scorer = load(f"{tmp_path}?device=cpu")
    assert scorer.logit_scale == 2.0
    logits = scorer.logits(GENERATIONS)
    assert [score.value for score in scorer.score(GENERATIONS)] == [(logit - 0.5) / 2.0 for logit in logits]
    assert scorer.score([]) == []


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_folder_of_ours_gives_transformers_own_logits(
    tmp_path, make_classifier, make_tokenizer, plain_logits, side
):
    tokenizer = make_tokenizer(padding_side=side)
    save(
        RewardModel(make_classifier()), tokenizer, tmp_path, Sidecar(tokenizer_hash=tokenizer_hash(tokenizer))
    )
    texts = [one.prompt + one.response for one in GENERATIONS]
    ours = load(tmp_path).logits(GENERATIONS)
    assert ours == close(plain_logits(tmp_path, texts, eos=True, padding_side=side))
    assert ours == close(plain_logits(tmp_path, texts, eos=True, one_by_one=True))


def test_where_padding_is_eos_scores_are_read_before_it(
    tmp_path, make_classifier, make_tokenizer, plain_logits
):
    make_classifier(pad=1).save_pretrained(tmp_path)
    make_tokenizer(pad="</s>").save_pretrained(tmp_path)
    texts = [one.prompt + one.response for one in GENERATIONS]
    with_eos = load(f"{tmp_path}?eos=true").logits(GENERATIONS)
    assert with_eos == close(plain_logits(tmp_path, texts, eos=True))
    assert with_eos == close(load(tmp_path).logits(GENERATIONS))  # a foreign folder gets no EOS unasked
    odd = [Generation("", "one</s> two</s></s>"), Generation("", "</s></s>")]
    assert load(tmp_path).logits(odd) == close(plain_logits(tmp_path, [one.response for one in odd]))


def test_half_precision_scores_are_near(tmp_path, make_classifier, make_tokenizer):
    make_classifier().save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    exact, half = (load(f"{tmp_path}?dtype={name}").logits(GENERATIONS) for name in ("float32", "bfloat16"))
    assert half == pytest.approx(exact, abs=0.15)
    assert half != exact


def test_messages_are_scored_by_the_template(shared):
    scorer, _ = shared
    talk = Generation((Message("user", "Why?"),), "blue")
    text = scorer.encoder.tokenizer.apply_chat_template(
        [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "blue"}], tokenize=False
    )
    assert scorer.logits([talk]) == close(scorer.logits([Generation("", text)]))


def test_over_long_rows_are_refused_or_cut_and_counted(make_classifier, make_tokenizer):
    scorer = make_scorer(make_classifier, make_tokenizer)
    scorer.encoder.max_length = 20
    long = Generation("one two three four five six seven eight nine ten " * 3, " Paris.", id="q7")
    with pytest.raises(DataError, match=r"row q7: has \d+ tokens and the model takes 20"):
        scorer.score([long])
    scorer.config = dataclasses.replace(scorer.config, over_long="truncate_left")
    shortened = scorer.shorten(scorer.encoder.encode([long.prompt], [long.response])[0], long)
    assert len(shortened) == 20
    assert scorer.truncated == 1
    assert scorer.logits([long, GENERATIONS[2]])[1] == close(scorer.logits([GENERATIONS[2]])[0])
    with pytest.raises(DataError, match="row q8: without its prompt"):
        scorer.score([Generation("Why", " Light is scattered by the air." * 9, id="q8")])


def test_a_logit_that_is_no_number_is_an_error_that_names_the_row(make_classifier, make_tokenizer):
    scorer = make_scorer(make_classifier, make_tokenizer)
    with torch.no_grad():
        scorer.model.inner.score.weight[0, 0] = float("nan")
    with pytest.raises(ScoringError, match="row x1: the model's logit is nan"):
        scorer.score([Generation("Why", "not", id="x1")])


def test_options_that_nothing_reads_are_refused(tmp_path):
    with pytest.raises(SpecError, match="unknown option 'eoss'"):
        load(f"{tmp_path}?eoss=true")
    for option in ("dtype=int8", "over_long=drop"):
        with pytest.raises(ConfigError, match="is one of"):
            load(f"{tmp_path}?{option}")
    with pytest.raises(ConfigError, match="batch_tokens"):
        load(f"{tmp_path}?batch_tokens=0")


def test_the_context_is_the_positions_of_the_body(make_classifier, make_tokenizer):
    assert context_length(make_classifier("gpt2", max_position_embeddings=99).config, make_tokenizer()) == 99
    assert context_length(make_classifier().config, make_tokenizer()) == 256
