"""The critic's values against plain Transformers, with the policy's tokenizer and with another one."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from evalkit.policies.generation.texts import TextCodec
from evalkit.policies.ppo.critic import CriticRow, critic_name, load_critic
from evalkit.policies.rollout.token_credit import Written
from rewards.errors import ConfigError, DataError, ModelError
from rewards.records import Generation, Message
from rewards.scorer import load_scorer
from tests.evalkit.policies.ppo.ppo_models import (
    CHAT,
    EOS,
    OTHER,
    byte_tokenizer,
    policy_folder,
    reward_folder,
    small_model,
)

PROMPTS = ["ab", "b é", "\n"]
RESPONSES = [" ab\nba", "", "é🙂aba b", "bababa\n\nabab"]
ASKED = [(prompt, response) for prompt in PROMPTS for response in RESPONSES]


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("ppo")


@pytest.fixture(scope="module")
def texts():
    return TextCodec(byte_tokenizer(), "policy", frozenset({EOS}))


def written(texts, prompt, response, cut=False):
    begun = texts.encode(prompt)
    whole = texts.tokenizer(response, add_special_tokens=False)["input_ids"]
    return Written(begun, [*whole, EOS][: len(whole) if cut and whole else None], response)


def names(number):
    return [f"rows:{place}" for place in range(number)]


def critic_of(folder, texts):
    return load_critic(folder, folder, texts.tokenizer, torch.device("cpu"), 0)


def states(folder, tokens):
    """Return plain Transformers' head output at every token."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        hidden = model.base_model(torch.tensor([list(tokens)])).last_hidden_state[0]
        return (hidden @ model.score.weight[0]).numpy()


def values_of(critic, rows, at_once=5):
    return [one.numpy() for one in critic.row_values(rows, at_once)]


@pytest.mark.parametrize("packs", [True, False])
def test_values_are_read_before_each_token_of_the_policy(root, texts, packs):
    folder = reward_folder(root / "same", texts.tokenizer, (0.5, 2.0), True)
    critic = critic_of(folder, texts)
    assert critic.packs
    assert critic.encoder is None
    critic.packs = packs
    # Twice as the policy may write them: not as the tokenizer would cut the text.
    odd = Written(texts.encode("ab"), texts.tokenizer.convert_tokens_to_ids(["a", "b", "a"]), "aba")
    asked = [*(written(texts, *one) for one in ASKED), odd]
    rows = critic.rows([p for p, _ in ASKED] + ["ab"], asked, texts, names(len(asked)))
    for one, row, found in zip(asked, rows, values_of(critic, rows), strict=True):
        assert row.tokens == [*one.prompt, *one.tokens]
        before = len(one.prompt) - 1
        wanted = (states(folder, row.tokens)[before : before + len(one.tokens)] - 0.5) / 2
        assert found == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("around", ["$A", "<s> $A", "<s> $A </s>"])
@pytest.mark.parametrize("cut", [True, False])
def test_another_tokenizer_is_read_within_what_was_written_before(root, texts, around, cut):
    tokenizer = byte_tokenizer(OTHER, around)
    folder = reward_folder(root / f"other{around.count('<')}{cut}", tokenizer, (-1.0, 0.5), False)
    critic = critic_of(folder, texts)
    assert critic.encoder is not None
    asked = [written(texts, *one, cut=cut) for one in ASKED]
    rows = critic.rows([p for p, _ in ASKED], asked, texts, names(len(asked)))
    for (prompt, response), one, row, found in zip(ASKED, asked, rows, values_of(critic, rows), strict=True):
        told = tokenizer(prompt + response, return_offsets_mapping=True)
        assert row.tokens == told["input_ids"]
        ends = [end for _, end in told["offset_mapping"]]
        there = states(folder, row.tokens)
        for place, value in enumerate(found):
            # The text that the policy's tokens before this one are known to have written.
            (before,) = texts.responses([one.prompt], [one.tokens[:place]]) if place else ("",)
            agreed = len(before) if response.startswith(before) else before.index("�")
            within = [n for n, end in enumerate(ends) if end <= len(prompt) + agreed and row.tokens[n] != EOS]
            assert row.places[place] == within[-1]
            assert value == pytest.approx((there[within[-1]] + 1) / 0.5, abs=1e-5)


def test_messages_are_rendered_by_the_critics_own_template(root, texts):
    tokenizer = byte_tokenizer(OTHER, chat="{% for m in messages %}<{{ m['content'] }}>{% endfor %}")
    critic = critic_of(reward_folder(root / "chat", tokenizer, (0.0, 1.0), False), texts)
    prompt = (Message("user", "ab"),)
    talks = TextCodec(byte_tokenizer(chat=CHAT), "policy", frozenset({EOS}))
    one = written(talks, prompt, "baba")
    (row,) = critic.rows([prompt], [one], talks, ["r"])
    assert tokenizer.decode(row.tokens) == "<ab><baba>"
    # Before "baba" stands "<ab><"; the critic has one token for the response, written when it is whole.
    before = [tokenizer.decode(row.tokens[: place + 1]) for place in row.places]
    assert before == ["<ab><"] * (len(one.tokens) - 1) + ["<ab><baba"]


def test_a_critic_that_starts_from_the_policy_tells_nothing_yet(root, texts):
    folder = policy_folder(root)
    critic = critic_of(folder, texts)
    asked = [written(texts, *one) for one in ASKED]
    rows = critic.rows([p for p, _ in ASKED], asked, texts, names(len(asked)))
    assert all((found == 0).all() for found in values_of(critic, rows))
    assert [len(found) for found in values_of(critic, rows)] == [len(one.tokens) for one in asked]
    own = AutoTokenizer.from_pretrained(folder)
    assert critic.encoder is None
    assert len(own) == critic.model.inner.config.vocab_size


@pytest.mark.parametrize("eos", [True, False])
def test_from_a_reward_model_the_last_value_is_its_score(root, texts, eos):
    folder = reward_folder(root / f"scores{eos}", texts.tokenizer, (0.25, 4.0), eos)
    critic = critic_of(folder, texts)
    generations = [Generation(prompt, response) for prompt, response in ASKED if response]
    scores = [score.value for score in load_scorer(folder).score(generations)]
    rows = []
    for one in generations:
        tokens = [*texts.tokenizer(one.prompt + one.response)["input_ids"], *[EOS] * eos]
        rows.append(CriticRow(tokens, np.array([len(tokens) - 1])))
    assert np.concatenate(values_of(critic, rows)) == pytest.approx(scores, abs=1e-5)


def test_a_row_longer_than_the_critics_context_is_named(root, texts):
    for name, tokenizer in (("short", texts.tokenizer), ("short other", byte_tokenizer(OTHER))):
        folder = reward_folder(root / name, tokenizer, (0.0, 1.0), False, context=8)
        critic = critic_of(folder, texts)
        fits, long = written(texts, "ab", "ba"), written(texts, "ab", "b b b b b b b")
        assert len(critic.rows(["ab"], [fits], texts, ["rows:1"])) == 1
        with pytest.raises(DataError, match=r"rows:2: has \d+ tokens .*takes 8; .*--ppo\.max_new_tokens"):
            critic.rows(["ab", "ab"], [fits, long], texts, ["rows:1", "rows:2"])


def test_a_model_that_is_read_otherwise_is_refused(root, texts):
    from transformers import AutoModelForSequenceClassification, BertConfig

    config = BertConfig(
        vocab_size=300, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(root / "bert")
    texts.tokenizer.save_pretrained(root / "bert")
    with pytest.raises(ModelError, match="no linear head that could be read at every token"):
        critic_of(str(root / "bert"), texts)


def test_a_foreign_reward_model_is_kept_as_it_is(root, texts):
    folder = root / "foreign"
    small_model("reward", len(texts.tokenizer), 5, spread=0.4).save_pretrained(folder)
    texts.tokenizer.save_pretrained(folder)
    critic = critic_of(str(folder), texts)
    one = written(texts, "ab", "ba")
    rows = critic.rows(["ab"], [one], texts, ["r"])
    (found,) = values_of(critic, rows)
    before = len(one.prompt) - 1
    assert found == pytest.approx(states(folder, rows[0].tokens)[before:-1], abs=1e-5)


def test_the_words_policy_and_scorer_name_folders(tmp_path):
    assert critic_name("policy", "P", "S") == "P"
    assert critic_name("C", "P", "S") == "C"
    assert critic_name("scorer", "P", f"{tmp_path}?eos=true") == str(tmp_path)
    with pytest.raises(ConfigError, match=r"critic scorer .* rule:length is none"):
        critic_name("scorer", "P", "rule:length")
