"""Models of aspects: which token reads each piece, what is learnt there, and what a score is made of."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForTokenClassification

from rewards.config import AspectsConfig, AspectsTrainingConfig, ScoringConfig, TrainingConfig
from rewards.encoding.encoder import Encoder
from rewards.encoding.segments import cut
from rewards.encoding.span_encoder import SpanEncoder
from rewards.errors import ConfigError, DataError
from rewards.models.sidecar import AspectFacts
from rewards.models.tokens import TokenModel
from rewards.records import Generation, Message, Span, SpanLabels
from rewards.scorer import AspectWeighted
from rewards.scorers.aspects import SpanScorer
from rewards.training import Labelled, fit_aspects
from rewards.training.aspects import aspect_names, encode_aspects

FACTS = (
    AspectFacts("tone", "sub-sentence", 2.0, 0.5, 3.0),
    AspectFacts("fact", "sentence", -1.0, -1.0, 0.5),
    AspectFacts("all", "whole", 0.25),
)
PROMPT = "What is the capital?"
RESPONSE = " One two three four five, six. Seven! é漢🙂"


@pytest.fixture(scope="module")
def span_scorer(make_tokenizer):
    config = AutoConfig.for_model(
        "llama",
        **{"vocab_size": 400, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
        **{"intermediate_size": 32, "max_position_embeddings": 128, "pad_token_id": 2, "num_labels": 3},
    )
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = AutoModelForTokenClassification.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.25)

    def make(objective="regression", facts=FACTS, chat=False, **changes):
        encoder = Encoder(make_tokenizer(chat=chat), False, 128)
        return SpanScorer(TokenModel(model), encoder, ScoringConfig(**changes), facts, objective)

    return make


def raw_outputs(scorer, text):
    ids = scorer.encoder.tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
    with torch.no_grad():
        return ids["offset_mapping"][0].numpy(), scorer.model.inner(ids["input_ids"]).logits[0].numpy()


def test_spans_are_read_where_they_end_and_sum_to_the_score(span_scorer):
    scorer = span_scorer()
    (score,) = scorer.score([Generation(PROMPT, RESPONSE)])
    offsets, raw = raw_outputs(scorer, PROMPT + RESPONSE)
    expected = []
    for head, facts in enumerate(FACTS):
        for start, end in cut(RESPONSE, facts.density):
            # The last of the tokens that hold the piece's last character.
            last = len(PROMPT) + end - 1
            token = max(n for n, (first, past) in enumerate(offsets) if first <= last < past)
            expected.append((start, end, facts.name, raw[token, head] * facts.sd + facts.mean))
    assert [(span.start, span.end, span.aspect) for span in score.spans] == [one[:3] for one in expected]
    assert [span.label for span in score.spans] == pytest.approx([one[3] for one in expected], abs=1e-4)
    for facts in FACTS:
        own = [span.label for span in score.spans if span.aspect == facts.name]
        assert score.aspects[facts.name] == pytest.approx(sum(own))
    weights = {"tone": 2.0, "fact": -1.0, "all": 0.25}
    assert isinstance(scorer, AspectWeighted)
    assert scorer.aspect_weights == weights
    assert score.value == pytest.approx(sum(weights[name] * x for name, x in score.aspects.items()))


def test_faults_are_scored_by_probabilities(span_scorer):
    scorer = span_scorer("error")
    (score,) = scorer.score([Generation(PROMPT, "One.")])
    _, raw = raw_outputs(scorer, PROMPT + "One.")
    chances = 1 / (1 + np.exp(-raw[-1].astype(float)))
    assert [span.label for span in score.spans] == pytest.approx((2 * chances - 1).tolist(), abs=1e-5)


@settings(max_examples=25)
@given(
    st.lists(
        st.text(alphabet="ab. !\n,é漢🙂", min_size=1, max_size=25).filter(str.strip), min_size=1, max_size=5
    )
)
def test_no_score_depends_on_what_else_is_scored_on_any_text(span_scorer, responses):
    generations = [Generation(PROMPT, response) for response in responses]
    together = span_scorer(batch_tokens=64).score(generations)
    alone = span_scorer(share_prefixes=False)
    for generation, score in zip(generations, together, strict=True):
        (other,) = alone.score([generation])
        assert [span.label for span in score.spans] == pytest.approx(
            [span.label for span in other.spans], abs=1e-4
        )
        for facts in FACTS:
            own = tuple((span.start, span.end) for span in score.spans if span.aspect == facts.name)
            assert own == cut(generation.response, facts.density)


def encode(make_tokenizer, records, aspects, chat=False, length=128, over_long="error"):
    encoder = Encoder(make_tokenizer(chat=chat), False, length)
    named = dataclasses.replace(aspects, names=list(aspect_names(records, aspects)))
    return encode_aspects(records, encoder, named, over_long, 2)


def test_pieces_that_end_at_one_token_are_learnt_as_one():
    """A tokenizer of whole words reads `aa. bb. ` as one token, in which two sentences end."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "<pad>": 2, "?": 3}, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Split("|", "removed")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="</s>", pad_token="<pad>", unk_token="?"
    )
    record = SpanLabels(
        "p|", "aa. bb. |cc.", (Span(0, 3, "x", 2.0), Span(4, 7, "x", 3.0), Span(8, 12, "x", 4.0))
    )
    for objective, learnt in (("regression", [5.0, 4.0]), ("error", [1.0, 1.0])):
        aspects = AspectsConfig(["x"], level="span", objective=objective)
        encoded = encode_aspects([record], Encoder(tokenizer, False, 9), aspects, "truncate_left", 2)
        (example,) = encoded.examples
        assert (len(example.row), example.positions) == (3, (1, 2))
        assert [label for (label,) in example.labels] == learnt
        assert encoded.counts["labels x"] == 2
    (pieces,) = SpanEncoder(Encoder(tokenizer, False, 9), ["sentence"]).encode(
        ["p|"], ["aa. bb. |cc."], ["r"]
    )
    assert pieces.reads == ((0, 0, 1),)
    config = AutoConfig.for_model(
        "llama",
        **{"vocab_size": 4, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2},
        **{"intermediate_size": 8, "max_position_embeddings": 16, "pad_token_id": 2, "num_labels": 1},
    )
    model = TokenModel(AutoModelForTokenClassification.from_config(config))
    facts = (AspectFacts("x", "sentence", mean=6.0, sd=0.0),)
    (score,) = SpanScorer(model, Encoder(tokenizer, False, 9), ScoringConfig(), facts, "regression").score(
        [Generation("p|", "aa. bb. |cc.")]
    )
    assert [span.label for span in score.spans] == [3.0, 3.0, 6.0]  # the first two share one output
    assert score.aspects == {"x": 12.0}


def test_labels_stand_at_the_ends_of_their_own_densities(make_tokenizer):
    response = "one two. three"
    spans = (Span(0, 8, "fact", -1.0), Span(9, 14, "tone", 2.0))
    aspects = AspectsConfig(level="span", density={"tone": "whole"})
    (example,) = encode(make_tokenizer, [SpanLabels(PROMPT, response, spans)], aspects).examples
    labels = np.array(example.labels)
    assert np.array_equal(labels, [[-1.0, np.nan], [0.0, 2.0]], equal_nan=True)  # fact, tone
    assert example.positions[-1] == len(example.row) - 1


def test_a_response_that_its_template_holds_too_is_found(make_tokenizer):
    """The response `s` stands again in the `</s>` that the template writes behind it."""
    prompt = (Message("user", "is?"),)
    for response in ("s", "assistant", "</s>", "]"):
        encoder = Encoder(make_tokenizer(chat=True), False, 128)
        (located,) = encoder.locate([prompt], [response], ["row"])
        inside = (located.offsets[:, 1] > 0) & (located.offsets[:, 0] < len(response))
        text = encoder.tokenizer.decode(np.array(located.tokens)[: int(np.argmax(inside))])
        assert text == "<s>[user]is?</s>\n[assistant]"


def test_prompts_of_messages_and_prompts_that_are_cut(make_tokenizer):
    prompt = (Message("user", "one two three four five six seven eight?"),)
    record = SpanLabels(prompt, "good. bad.", (Span(6, 10, "x", -1.0),), id="r1")
    aspects = AspectsConfig(level="span")
    (whole,) = encode(make_tokenizer, [record], aspects, chat=True).examples
    length = len(whole.row) - 3
    cut_short = encode(make_tokenizer, [record], aspects, chat=True, length=length, over_long="truncate_left")
    (example,) = cut_short.examples
    assert cut_short.counts["truncated"] == 1
    assert [example.row[place] for place in example.positions] == [
        whole.row[place] for place in whole.positions
    ]
    assert [place + 3 for place in example.positions] == list(whole.positions)
    assert example.row[0] == whole.row[0]  # BOS stays
    with pytest.raises(DataError, match=r"record 1, id 'r1': has \d+ tokens"):
        encode(make_tokenizer, [record], aspects, chat=True, length=length)


def test_what_has_no_piece_or_label_is_left_out_with_the_reason(make_tokenizer):
    records = [
        SpanLabels(PROMPT, " \n", (), "blank"),
        SpanLabels(PROMPT, "", (), "empty"),
        SpanLabels(PROMPT, "good.", (Span(0, 5, "x", 1.0),), "kept"),
    ]
    encoded = encode(make_tokenizer, records, AspectsConfig(level="span"))
    assert len(encoded.examples) == 1
    assert encoded.left_out == (
        r"record 1, id 'blank': the response ' \n' has no piece to be scored",
        "record 2, id 'empty': the response '' has no piece to be scored",
    )
    whole = AspectsConfig(level="span", density={"x": "whole"})
    assert len(encode(make_tokenizer, records, whole).examples) == 3  # a whole is there even if empty
    sequence = encode(make_tokenizer, records, AspectsConfig())
    assert sequence.left_out[0] == "record 1, id 'blank': no aspect has a label"


def test_an_empty_response_has_a_whole_but_no_sentences_to_add_up(span_scorer):
    scorer = span_scorer()
    full, empty = scorer.score([Generation(PROMPT, "ok."), Generation(PROMPT, "", id="r3")])
    assert full.spans
    wholes = [facts.name for facts in scorer.aspects if facts.density == "whole"]
    assert [(span.aspect, span.start, span.end) for span in empty.spans] == [(name, 0, 0) for name in wholes]
    assert all(value == 0 for name, value in empty.aspects.items() if name not in wholes)
    sentences = span_scorer(facts=tuple(dataclasses.replace(facts, density="sentence") for facts in FACTS))
    (nothing,) = sentences.score([Generation(PROMPT, " \n")])
    assert (nothing.value, nothing.spans, set(nothing.aspects.values())) == (0.0, (), {0.0})


def test_unknown_aspects_and_settings_are_refused(make_tokenizer, tmp_path):
    record = SpanLabels(PROMPT, "good.", (Span(0, 5, "x", 1.0),), "r")
    with pytest.raises(DataError, match="record 1, id 'r': aspect 'x' is none of y"):
        aspect_names([record], AspectsConfig(names=["y"]))
    with pytest.raises(DataError, match=r"f\.jsonl:7: aspect 'x' is none of y"):
        aspect_names(Labelled([record], ["f.jsonl:7"]), AspectsConfig(names=["y"]))
    with pytest.raises(DataError, match="no span of any aspect"):
        aspect_names([dataclasses.replace(record, spans=())], AspectsConfig())
    with pytest.raises(ConfigError, match="no aspect 'z'"):
        aspect_names([record], AspectsConfig(weights={"z": 1.0}))
    smooth = AspectsTrainingConfig(training=TrainingConfig(label_smoothing=0.1))
    encoder = Encoder(make_tokenizer(), False, 64)
    with pytest.raises(ConfigError, match="regression has none"):
        fit_aspects(None, encoder, [record], None, smooth, tmp_path)
