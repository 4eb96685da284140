import pytest

from rewards.encoding.encoder import Encoder
from rewards.errors import DataError, ModelError, ScoringError
from rewards.records import Message

BOS, EOS = 0, 1
TALK = (Message("system", "be brief"), Message("user", "Why is the sky blue?"))


def encoder(make_tokenizer, append_eos=True, max_length=100, **options):
    return Encoder(make_tokenizer(**options), append_eos, max_length)


def test_prompt_and_response_are_tokenised_jointly(make_tokenizer):
    subject = encoder(make_tokenizer, append_eos=False, add_bos=False)
    (row,) = subject.encode(["The capital of Fra"], ["nce is Paris."])
    whole = subject.tokenizer("The capital of France is Paris.")["input_ids"]
    apart = [
        *subject.tokenizer("The capital of Fra")["input_ids"],
        *subject.tokenizer("nce is Paris.")["input_ids"],
    ]
    assert row == whole
    assert row != apart  # a merge runs across the boundary


def test_eos_is_appended_once_and_only_where_asked(make_tokenizer):
    with_eos, without = (encoder(make_tokenizer, append_eos=asked) for asked in (True, False))
    assert with_eos.encode(["What"], [" is it"])[0] == [*without.encode(["What"], [" is it"])[0], EOS]
    assert with_eos.encode(["What"], [" is it</s>"]) == with_eos.encode(["What"], [" is it"])
    adds_itself = encoder(make_tokenizer, add_eos=True)
    assert adds_itself.encode(["What"], [" is it"])[0].count(EOS) == 1


def test_bos_stands_once_though_the_text_brings_its_own(make_tokenizer):
    subject = encoder(make_tokenizer)
    assert subject.encode(["<s>What"], [" is it"]) == subject.encode(["What"], [" is it"])
    assert subject.encode(["What"], [" is it"])[0].count(BOS) == 1
    assert BOS not in encoder(make_tokenizer, add_bos=False).encode(["What"], [" is it"])[0]


def test_messages_are_rendered_by_the_chat_template(make_tokenizer):
    subject = encoder(make_tokenizer, append_eos=False, chat=True)
    (row,) = subject.encode([TALK], ["Light is scattered."])
    turns = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "Why is the sky blue?"},
        {"role": "assistant", "content": "Light is scattered."},
    ]
    assert row == subject.tokenizer.apply_chat_template(turns, return_dict=False)
    assert row.count(BOS) == 1
    assert row.count(EOS) == 3


def test_texts_and_messages_mixed_keep_their_order(make_tokenizer):
    subject = encoder(make_tokenizer, chat=True)
    prompts, responses = ["What", TALK, "Why", TALK], [" is", "red", " not", "blue"]
    together = subject.encode(prompts, responses)
    assert together == [
        subject.encode([prompt], [response])[0] for prompt, response in zip(prompts, responses, strict=True)
    ]
    assert subject.encode([], []) == []


def test_messages_without_a_template_are_refused(make_tokenizer):
    with pytest.raises(ModelError, match="no chat template"):
        encoder(make_tokenizer).encode([TALK], ["blue"])


def test_a_row_without_tokens_has_no_score(make_tokenizer):
    with pytest.raises(ScoringError, match="no tokens"):
        encoder(make_tokenizer, append_eos=False, add_bos=False).encode([""], [""])


def test_eos_without_an_eos_token_is_refused(make_tokenizer):
    tokenizer = make_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no EOS"):
        Encoder(tokenizer, True, 10)


@pytest.mark.parametrize("prompt", ["Why is the sky blue? one two three", TALK])
def test_cutting_keeps_the_opening_the_prompts_end_and_the_whole_response(make_tokenizer, prompt):
    subject = encoder(make_tokenizer, chat=True)
    (row,) = subject.encode([prompt], [" Light is scattered by the air."])
    room = subject.cuttable(row, prompt)
    assert room > 5
    for by in (1, 5, room):
        cut = subject.shorten(row, prompt, by, "row 1")
        assert cut == [BOS, *row[1 + by :]]
        assert "Light is scattered by the air." in subject.tokenizer.decode(cut)
    with pytest.raises(DataError, match="row 1: without its prompt the row still has"):
        subject.shorten(row, prompt, room + 1, "row 1")


def test_an_empty_response_does_not_lend_its_eos_to_the_prompt(make_tokenizer):
    subject = encoder(make_tokenizer)
    (row,) = subject.encode(["one two three"], [""])
    assert subject.shorten(row, "one two three", subject.cuttable(row, "one two three"), "row") == [BOS, EOS]


def test_a_token_that_spans_the_boundary_belongs_to_the_response(make_tokenizer):
    subject = encoder(make_tokenizer, append_eos=False)
    prompt = "The capital of Fra"
    (row,) = subject.encode([prompt], ["nce is Paris."])
    cut = subject.shorten(row, prompt, subject.cuttable(row, prompt), "row")
    assert subject.tokenizer.decode(cut[1:]).strip() == "France is Paris."


def test_cutting_keeps_the_class_token_of_an_encoder(make_tokenizer):
    tokenizer = make_tokenizer()
    tokenizer.bos_token, tokenizer.cls_token = None, "<s>"
    subject = Encoder(tokenizer, False, 10)
    (row,) = subject.encode(["one two three"], [" four"])
    assert subject.shorten(row, "one two three", 2, "row") == [row[0], *row[3:]]
