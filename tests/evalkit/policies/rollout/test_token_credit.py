"""Where scores are paid among sampled tokens: against beginnings of the response that are decoded in full."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.policies.generation.texts import TextCodec
from evalkit.policies.rollout.token_credit import TokenCredit, Written, token_offsets
from rewards.errors import ScoringError
from rewards.records import Generation, Score, Span
from rewards.scorers.rules import Constant
from tests.evalkit.policies.ppo.ppo_models import EOS, byte_tokenizer

STORIES = Path(__file__).parents[4] / ".." / "shared" / "data" / "stories260k"
SPECIAL = ("<s>", "</s>", "<pad>", "<unk>")
LETTERS = "ab é漢🙂\n"


@pytest.fixture(scope="module")
def of_bytes():
    return TextCodec(byte_tokenizer(), "bytes", frozenset({EOS}))


@pytest.fixture(scope="module")
def of_stories():
    if not STORIES.exists():
        pytest.skip("shared/data/stories260k is absent")
    from transformers import AutoTokenizer

    return TextCodec(AutoTokenizer.from_pretrained(STORIES), "stories", frozenset({2}))


@cache
def vocabulary_of(tokenizer):
    return {word: place for word, place in tokenizer.get_vocab().items() if word not in SPECIAL}


def cut_at_random(texts, text, draw):
    """Return tokens that write a text, each any that goes on with it, mostly not as the tokenizer cuts."""
    from tokenizers import pre_tokenizers

    vocabulary = vocabulary_of(texts.tokenizer)
    if texts.name == "bytes":
        ((left, _),) = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(
            text
        )
    else:
        left = text.replace(" ", "▁")
    tokens = []
    while left:
        fits = [left[:size] for size in range(1, 9) if left[:size] in vocabulary]
        if not fits:  # sentencepiece writes what it has no piece for in bytes
            tokens += [vocabulary[f"<0x{byte:02X}>"] for byte in left[0].encode()]
            left = left[1:]
            continue
        word = draw(st.sampled_from(fits))
        tokens.append(vocabulary[word])
        left = left[len(word) :]
    return tokens


def paid_at(texts, one, end):
    """Return the first token at which the text up to a place is written, by decoding every beginning."""
    for place in range(len(one.tokens)):
        if texts.responses([one.prompt], [one.tokens[: place + 1]])[0].startswith(one.text[:end]):
            return place
    raise AssertionError(end)


def credit(texts, how="auto", scorer=None, separator="\n"):
    return TokenCredit(scorer or Constant(0), how, separator, texts, "scorer")


def written(texts, prompt, tokens):
    begun = texts.encode(prompt)
    return Written(begun, tokens, texts.responses([begun], [tokens])[0])


@pytest.mark.parametrize("kind", ["of_bytes", "of_stories"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_spans_are_paid_where_they_are_written_however_the_text_was_cut(request, kind, data):
    texts = request.getfixturevalue(kind)
    text = data.draw(st.text(LETTERS, min_size=1, max_size=10))
    tokens = cut_at_random(texts, text, data.draw)
    one = written(
        texts, data.draw(st.sampled_from(["b", "Once é", "\n"])), [*tokens, texts.tokenizer.eos_token_id]
    )
    assert one.text == text
    ends = data.draw(st.lists(st.integers(1, len(text)), min_size=1, max_size=4))
    spans = [Span(end - 1, end, "x", 2.0**n) for n, end in enumerate(ends)]
    wanted = np.zeros(len(one.tokens))
    for span in spans:
        wanted[paid_at(texts, one, span.end)] += span.label
    total = sum(span.label for span in spans)
    (rewards,) = credit(texts).rewards([one], [Score(total, spans=tuple(spans))], ["p"])
    assert rewards == pytest.approx(wanted)
    (rewards,) = credit(texts).rewards([one], [Score(total + 3, spans=tuple(spans))], ["p"])
    assert rewards.sum() == pytest.approx(total + 3)
    assert rewards[:-1] == pytest.approx(wanted[:-1]), "what spans do not hold is paid at the end"


@pytest.mark.parametrize("kind", ["of_bytes", "of_stories"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_offsets_go_on_from_each_other_over_the_whole_text(request, kind, data):
    texts = request.getfixturevalue(kind)
    vocabulary = len(texts.tokenizer)
    # Any tokens at all: halves of characters, the beginning's token in the middle.
    tokens = data.draw(st.lists(st.integers(0, vocabulary - 1), min_size=1, max_size=12))
    one = written(texts, "b", tokens)
    (offsets,) = token_offsets(texts, [one])
    assert offsets.shape == (len(tokens), 2)
    assert (offsets[:, 0] <= offsets[:, 1]).all()
    assert offsets[0, 0] == 0
    assert (offsets[1:, 0] == offsets[:-1, 1]).all()
    assert offsets[-1, 1] <= len(one.text)


def test_a_character_of_several_tokens_is_written_by_its_last(of_bytes):
    halves = [of_bytes.tokenizer.get_vocab()[letter] for letter in "ĠðŁĻĤ"]  # a space and four bytes
    one = written(of_bytes, "a", [*halves, EOS])
    assert one.text == " 🙂"
    (offsets,) = token_offsets(of_bytes, [one])
    assert offsets.tolist() == [[0, 1], [1, 1], [1, 1], [1, 1], [1, 2], [2, 2]]
    (rewards,) = credit(of_bytes).rewards([one], [Score(5.0, spans=(Span(0, 2, "x", 5.0),))], ["p"])
    assert rewards.tolist() == [0, 0, 0, 0, 5, 0]


def test_one_token_may_write_several_spans_and_many_responses_keep_apart(of_bytes):
    vocabulary = of_bytes.tokenizer.get_vocab()
    first = written(of_bytes, "b", [vocabulary["aba"], vocabulary["b"]])
    other = written(of_bytes, "longer prompt", [vocabulary["b"], EOS])
    scores = [
        Score(1.0, spans=(Span(0, 1, "x", 0.5), Span(1, 3, "y", 0.25))),
        Score(2.0, spans=(Span(0, 1, "x", 3.0),)),
    ]
    mine, theirs = credit(of_bytes).rewards([first, other], scores, ["p", "q"])
    assert mine.tolist() == [0.75, 0.25]
    assert theirs.tolist() == [3.0, -1.0]


def test_aspects_count_by_the_scorers_weights(of_bytes):
    scorer = SimpleNamespace(score=list, aspect_weights={"true": 2.0, "short": 0.0})
    one = written(of_bytes, "b", of_bytes.encode("ab\nba"))
    spans = (Span(0, 2, "true", 1.5), Span(0, 1, "short", 9.0), Span(2, 3, "other", 1.0))
    (rewards,) = credit(of_bytes, scorer=scorer).rewards([one], [Score(4.0, spans=spans)], ["p"])
    assert of_bytes.tokenizer.convert_ids_to_tokens(one.tokens) == ["ab", "Ċ", "b", "a"]
    assert rewards.tolist() == [3.0, 1.0, 0.0, 0.0]


def test_what_a_stop_text_cut_off_has_no_place(of_bytes):
    tokens = of_bytes.encode("ab\na\nb")
    one = Written(of_bytes.encode("b"), tokens, "ab")
    (offsets,) = token_offsets(of_bytes, [one])
    assert offsets.tolist() == [[0, 2]] + [[2, 2]] * (len(tokens) - 1)
    (rewards,) = credit(of_bytes).rewards([one], [Score(1.0, spans=(Span(0, 2, "x", 1.0),))], ["p"])
    assert rewards.tolist() == [1.0] + [0.0] * (len(tokens) - 1)


@pytest.mark.parametrize("how", ["auto", "response", "parts"])
def test_an_empty_response_is_paid_at_its_end(of_bytes, how):
    one = written(of_bytes, "b", [EOS])
    assert one.text == ""
    (rewards,) = credit(of_bytes, how).rewards([one], [Score(0.5)], ["p"])
    assert rewards.tolist() == [0.5]
    (rewards,) = credit(of_bytes).rewards([one], [Score(1.0, spans=(Span(0, 0, "whole", 1.0),))], ["p"])
    assert rewards.tolist() == [1.0]


def test_steps_are_paid_their_scores_and_no_aggregate(of_bytes):
    tokens = of_bytes.tokenizer.convert_tokens_to_ids(["ab", "ĊĊ", "b", "Ċ", "a"])
    one = written(of_bytes, "b", [*tokens, EOS])
    # Two line breaks in one token: an empty step ends with it, as the step before does.
    (rewards,) = credit(of_bytes).rewards([one], [Score(0.1, (0.5, 0.25, 2.0, 4.0))], ["p"])
    assert rewards.tolist() == [0, 0.75, 0, 2, 4, 0]
    (rewards,) = credit(of_bytes, "response").rewards([one], [Score(0.1, (0.5, 0.25, 2.0, 4.0))], ["p"])
    assert rewards == pytest.approx([0, 0, 0, 0, 0, 0.1])


def test_spans_come_before_steps_and_sum_to_the_value_beside_them(of_bytes):
    one = written(of_bytes, "b", of_bytes.encode("a\nb"))
    (rewards,) = credit(of_bytes).rewards([one], [Score(3.0, (9.0, 9.0), (Span(0, 1, "x", 1.0),))], ["p"])
    assert rewards.tolist() == [1.0, 0.0, 2.0]


def test_a_separator_is_the_scorers_own(of_bytes):
    scorer = SimpleNamespace(score=list, separator="b")
    own = credit(of_bytes, "parts", scorer)
    assert own.separator == "b"
    assert own.asked(Generation("p", "abab\na")).steps == ("ab", "ab", "\na")
    assert credit(of_bytes, "auto", scorer).asked(Generation("p", "abab")).steps == ()


def test_parts_that_do_not_fit_are_refused(of_bytes):
    one = written(of_bytes, "b", of_bytes.encode("a\nb"))
    with pytest.raises(ScoringError, match=r"rows:3: scorer scores 3 steps .* has 2 by the separator '\\n'"):
        credit(of_bytes).rewards([one], [Score(1.0, (1.0, 1.0, 1.0))], ["rows:3"])
    with pytest.raises(
        ScoringError, match=r"rows:3: scorer gives .*'a\\nb' neither spans nor steps; --credit"
    ):
        credit(of_bytes, "parts").rewards([one], [Score(1.0)], ["rows:3"])
