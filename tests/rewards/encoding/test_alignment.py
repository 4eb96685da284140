"""Where a span ends among tokens: by hand, and on any text with tokenizers of every kind."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewards.encoding.alignment import end_tokens, response_offsets, token_rewards
from rewards.encoding.segments import cut
from rewards.errors import DataError, ModelError
from rewards.records import Message, Span

STORIES = Path(__file__).parents[3] / ".." / "shared" / "data" / "stories260k"
CORPUS = [
    "The quick brown fox jumps over the lazy dog; it does so, again and again.",
    "size low . surely age high . glad . thanks .",
    "naïve café, 今天很好。 שלום עולם",
]


def test_the_end_is_the_token_with_the_spans_last_character():
    #           ab      cd      ef       (a token between each two of them is missing: white space)
    offsets = [(0, 2), (3, 5), (5, 6), (7, 9)]
    assert end_tokens(offsets, [1, 2, 3, 4, 5, 6, 7, 8, 9, 50]).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 3]
    assert end_tokens(offsets, []).tolist() == []
    assert end_tokens(offsets, [0]).tolist() == [0]


def test_bytes_of_one_character_end_with_the_last_of_them():
    offsets = [(0, 1), (1, 2), (1, 2), (1, 2), (2, 3)]
    assert end_tokens(offsets, [1, 2, 3]).tolist() == [0, 3, 4]


def test_tokens_without_width_and_of_the_prompt_are_passed_over():
    offsets = [(-4, -4), (-4, -1), (-1, 0), (0, 3), (3, 3), (4, 6), (-4, -4)]
    assert end_tokens(offsets, [0, 2, 3, 4, 5, 6]).tolist() == [3, 3, 3, 3, 5, 5]
    straddling = [(-4, -1), (-1, 2), (2, 3)]
    assert end_tokens(straddling, [1, 2, 3]).tolist() == [1, 1, 2]


def test_an_empty_response_pays_at_the_last_token():
    assert end_tokens([(-4, -4), (-4, 0)], [0]).tolist() == [1]
    assert end_tokens([(0, 0), (0, 0)], [0, 0]).tolist() == [1, 1]


def test_characters_out_of_order_are_found():
    # A normaliser moved the second character behind the third.
    assert end_tokens([(0, 1), (2, 3), (1, 2), (3, 4)], [1, 2, 3, 4]).tolist() == [0, 2, 2, 3]


def test_rewards_stand_where_spans_end_and_add_up():
    offsets = [(0, 2), (3, 5), (5, 6)]
    spans = [Span(0, 2, "x", 0.5), Span(0, 6, "y", -2.0), Span(3, 6, "x", 1.0), Span(0, 2, "y", 0.25)]
    assert token_rewards(offsets, spans).tolist() == [0.75, 0.0, -1.0]
    assert token_rewards(offsets, spans, length=5).tolist() == [0.75, 0.0, -1.0, 0.0, 0.0]
    assert token_rewards(offsets, []).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        (np.empty((0, 2)), "a token or more"),
        ([1, 2], "shape"),
        ([(2, 1)], r"got \[2, 1\] at 0"),
    ],
)
def test_offsets_that_are_none_are_refused(offsets, message):
    with pytest.raises(DataError, match=message):
        end_tokens(offsets, [1])


def test_an_end_or_a_length_that_cannot_be_is_refused():
    with pytest.raises(DataError, match="0 or more, got -1"):
        end_tokens([(0, 1)], [-1])
    with pytest.raises(DataError, match="2 tokens have offsets"):
        token_rewards([(0, 1), (1, 2)], [], length=1)


@pytest.fixture(scope="session")
def tokenizers(make_tokenizer):
    """Tokenizers of every kind, by name."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    wordpiece.normalizer = normalizers.BertNormalizer()
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"]
    wordpiece.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=150, special_tokens=special, show_progress=False)
    )
    unigram = Tokenizer(models.Unigram())
    unigram.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.train_from_iterator(
        CORPUS,
        trainers.UnigramTrainer(
            vocab_size=120, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
        ),
    )
    made = {
        "byte-level": make_tokenizer(),
        "wordpiece": PreTrainedTokenizerFast(tokenizer_object=wordpiece, unk_token="[UNK]"),
        "unigram": PreTrainedTokenizerFast(tokenizer_object=unigram, unk_token="<unk>"),
    }
    if STORIES.exists():
        made["llama"] = AutoTokenizer.from_pretrained(STORIES)
    return made


KINDS = ("byte-level", "wordpiece", "unigram", "llama")


@pytest.fixture(params=KINDS)
def tokenizer(request, tokenizers):
    if request.param not in tokenizers:
        pytest.skip(f"no {STORIES}")
    return tokenizers[request.param]


PIECES = [
    "a",
    "Word",
    " ",
    "  ",
    "\n",
    ".",
    ",",
    "é",
    "e\u0301",
    "👩‍👩‍👧",
    "😀",
    "你好",
    "。",
    "שלום",
    "عَ",
    "ﬁ",
    "①",
    "\u200b",
    "½",
]
MIXED = st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(
    alphabet=st.characters(exclude_categories=("Cs",)), max_size=20
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=st.sampled_from(["", "Q: why?\n", "你"]), response=MIXED, data=st.data())
def test_on_any_text_the_token_holds_the_end_and_the_one_before_does_not(tokenizer, prompt, response, data):
    offsets = response_offsets(tokenizer, prompt, response)
    if not len(offsets):  # nothing that this tokenizer keeps
        with pytest.raises(DataError):
            end_tokens(offsets, [0])
        return
    place = st.integers(0, len(response))
    drawn = data.draw(st.lists(st.tuples(place, place, st.integers(-16, 16)), max_size=5))
    spans = [Span(min(a, b), max(a, b), "x", label / 8) for a, b, label in drawn]
    real = [t for t, (start, end) in enumerate(offsets) if end > max(start, 0)]
    for span, token in zip(spans, end_tokens(offsets, [span.end for span in spans]), strict=True):
        start, end = offsets[token]
        if not real:
            assert token == len(offsets) - 1
            continue
        assert token in real
        character = span.end - 1
        if any(offsets[t][0] <= character < offsets[t][1] for t in real):
            assert start <= character < end
            # All that stands before the token lacks the span's last character, or the last of its bytes.
            assert not any(offsets[t][0] <= character < offsets[t][1] for t in real if t > token)
        else:
            assert start < max(span.end, 1) or token == real[0]
            assert not any(start < offsets[t][0] < span.end for t in real if t > token)
    rewards = token_rewards(offsets, spans)
    assert len(rewards) == len(offsets)
    assert math.fsum(rewards) == math.fsum(span.label for span in spans)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(response=MIXED)
def test_what_is_decoded_up_to_the_token_holds_the_piece_and_up_to_the_one_before_does_not(
    make_tokenizer, response
):
    tokenizer = make_tokenizer(add_bos=False)
    ids = tokenizer(response)["input_ids"]
    if not ids:
        return
    offsets = response_offsets(tokenizer, "", response)
    ends = [end for _, end in cut(response, "sub-sentence")]
    for end, token in zip(ends, end_tokens(offsets, ends), strict=True):
        # errors="replace" of a character whose bytes are not all there is no part of the response.
        assert tokenizer.decode(ids[: token + 1]).startswith(response[:end])
        assert not tokenizer.decode(ids[:token]).startswith(response[:end])


def test_pieces_of_facts_end_at_their_full_stops(tokenizer):
    response = "size low . surely age high . glad ."
    offsets = response_offsets(tokenizer, "Q city oslo size ? A\n", response)
    ends = [end for _, end in cut(response, "sentence")]
    chosen = offsets[end_tokens(offsets, ends)]
    assert chosen[:, 1].tolist() == ends
    assert [response[start:end].strip() for start, end in chosen.tolist()] == [".", ".", "."]


def test_a_normaliser_does_not_move_the_ends(tokenizers):
    # NFKC makes two letters of the ligature, and one of e with its accent, which then no token covers.
    response = "ﬁne cafe\u0301 ①."
    offsets = response_offsets(tokenizers["unigram"], "", response)
    for word in ("ﬁne", "cafe\u0301", "①."):
        end = response.index(word) + len(word)
        (token,) = end_tokens(offsets, [end])
        assert offsets[token][0] < end <= offsets[token][1] + (word == "cafe\u0301")
        assert (offsets[token + 1 :, 0] >= end).all()


def test_messages_are_rendered_and_the_response_is_found_in_the_conversation(make_tokenizer):
    tokenizer = make_tokenizer(chat=True)
    prompt = (Message("user", "good"), Message("assistant", "good"), Message("user", "better?"))
    offsets = response_offsets(tokenizer, prompt, "good better")
    text = tokenizer.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in (*prompt, Message("assistant", "good better"))],
        tokenize=False,
    )
    assert len(offsets) == len(tokenizer(text, add_special_tokens=False)["input_ids"])
    begin = text.rindex("good better")
    assert (offsets >= -begin).all()
    (token,) = end_tokens(offsets, [4])
    assert text[slice(*(offsets[token] + begin))].endswith("d")


def test_an_empty_response_to_messages_pays_at_the_end_of_the_turn(make_tokenizer):
    tokenizer = make_tokenizer(chat=True)
    offsets = response_offsets(tokenizer, (Message("user", "good"),), "")
    (token,) = end_tokens(offsets, [0])
    assert offsets[token].tolist() == [0, len(tokenizer.eos_token)]


def test_a_bos_in_the_text_is_not_doubled(make_tokenizer):
    tokenizer = make_tokenizer()
    plain, written = (response_offsets(tokenizer, text, "good") for text in ("why ", "<s>why "))
    assert len(plain) == len(written)


def test_a_tokenizer_without_template_or_offsets_is_refused(make_tokenizer):
    with pytest.raises(ModelError, match="no chat template"):
        response_offsets(make_tokenizer(), (Message("user", "a"),), "b")

    class Slow:
        is_fast = False
        name_or_path = "slow"

    with pytest.raises(ModelError, match="fast"):
        response_offsets(Slow(), "a", "b")


def test_a_template_that_changes_the_response_is_refused(make_tokenizer):
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] | upper }}{% endfor %}"
    with pytest.raises(DataError, match="the response 'b': the chat template changes the response"):
        response_offsets(tokenizer, (Message("user", "a"),), "b")
