"""Local sampling against `model.generate`, teacher-forced passes and exact next-token distributions."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModelForCausalLM as CausalLM
from transformers import (
    AutoTokenizer,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
)

from evalkit.policies.generation.decoding import draw, likeliest, token_weights
from evalkit.policies.generation.local import LocalPolicy
from evalkit.policies.generation.randomness import sample_keys, uniforms
from evalkit.policies.generation.texts import TextCodec
from evalkit.policies.policy import SamplingConfig, load_policy
from rewards.errors import ConfigError, DataError, ModelError, SpecError
from rewards.records import Message

STORIES = Path(__file__).parents[4] / ".." / "shared" / "data" / "stories260k"
PROMPTS = ["Once upon a time", "Lily and Tom went to the park. They", "The dog", "", "Mom said: \u20ac5?"]
WORDS = 17
PAD, BOS, EOS = 0, 1, 2


def word_tokenizer(begin=True, template=None, end=False):
    names = ["<pad>", "<s>", "</s>", *(f"w{i}" for i in range(3, WORDS))]
    tokenizer = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="w3"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if begin:
        single = "<s> $A </s>" if end else "<s> $A"
        tokenizer.post_processor = processors.TemplateProcessing(
            single=single, special_tokens=[("<s>", BOS), ("</s>", EOS)]
        )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    wrapped.chat_template = template
    return wrapped


def tiny_model(config_class=LlamaConfig, **changes):
    settings = {
        "vocab_size": WORDS,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
    }
    torch.manual_seed(0)
    return CausalLM.from_config(config_class(**(settings | changes)))


@pytest.fixture(scope="module")
def words():
    return LocalPolicy(tiny_model(), word_tokenizer())


@pytest.fixture(scope="module")
def stories():
    if not STORIES.exists():
        pytest.skip("shared/data/stories260k is absent")
    return load_policy(str(STORIES))


def texts_of(generations):
    return [[sample.response for sample in samples] for samples in generations]


def tokens_of(generations):
    return [[sample.extra["tokens"] for sample in samples] for samples in generations]


@torch.no_grad()
def next_logits(policy, prompt):
    return policy.model(torch.tensor([policy.tokenizer(prompt)["input_ids"]])).logits[0, -1].double().numpy()


@torch.no_grad()
def teacher_forced(policy, prompt, tokens):
    ids = policy.tokenizer(prompt)["input_ids"]
    logits = policy.model(torch.tensor([ids + tokens])).logits[0, len(ids) - 1 : -1]
    return logits.log_softmax(-1).gather(-1, torch.tensor(tokens)[:, None])[:, 0].numpy()


def greedy_reference(policy, prompt, length):
    ids = policy.tokenizer(prompt, return_tensors="pt")
    written = policy.model.generate(**ids, do_sample=False, max_new_tokens=length)
    return written[0, ids["input_ids"].shape[1] :].tolist()


def test_greedy_is_what_generate_writes_and_log_probs_are_the_models(stories):
    settings = SamplingConfig(temperature=0, max_new_tokens=50, log_probs=True)
    for prompt, (sample,) in zip(PROMPTS, stories.generate(PROMPTS, 1, settings), strict=True):
        assert sample.extra["tokens"] == greedy_reference(stories, prompt, 50)
        expected = teacher_forced(stories, prompt, sample.extra["tokens"])
        np.testing.assert_allclose(sample.extra["log_probs"], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("config_class", "changes"),
    [
        (GPT2Config, {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
        (MistralConfig, {"sliding_window": 5}),
        (MambaConfig, {"state_size": 4}),
    ],
)
def test_other_architectures_write_what_generate_writes(config_class, changes):
    # Prompts of three lengths: padded together where the body allows it, apart where it is recurrent.
    policy = LocalPolicy(tiny_model(config_class, **changes), word_tokenizer())
    prompts = ["w4 w5 w6 w7 w8 w9 w10 w11", "w4", "w5 w6 w7", "w9 w9 w4"]
    settings = SamplingConfig(temperature=0, max_new_tokens=12, log_probs=True)
    written = [samples[0].extra["tokens"] for samples in policy.generate(prompts, 1, settings)]
    assert written == [greedy_reference(policy, prompt, 12) for prompt in prompts]


def test_log_probs_hold_while_rows_end_at_different_times_beside_longer_prompts(words):
    prompts = ["w4 w5 w6 w7 w8 w9", "w7", "w5 w5"]
    settings = SamplingConfig(max_new_tokens=40, log_probs=True, temperature=1.3, top_k=9)
    generations = words.generate(prompts, 40, settings)
    lengths = set()
    for prompt, samples in zip(prompts, generations, strict=True):
        for sample in samples:
            tokens = sample.extra["tokens"]
            lengths.add(len(tokens))
            np.testing.assert_allclose(
                sample.extra["log_probs"], teacher_forced(words, prompt, tokens), atol=1e-4
            )
            assert (tokens[-1] == EOS) == (sample.extra["finish_reason"] == "eos")
            assert EOS not in tokens[:-1]
            assert len(tokens) == sample.extra["token_count"] <= 40
            assert sample.response == "".join(f" w{token}" for token in tokens if token > EOS)
    assert len(lengths) > 10


def test_samples_do_not_depend_on_batch_order_or_number(stories):
    prompts = PROMPTS[:4]
    base = texts_of(stories.generate(prompts, 8, SamplingConfig(max_new_tokens=12, seed=3, batch_size=64)))
    for batch_size in (1, 5, 0):
        settings = SamplingConfig(max_new_tokens=12, seed=3, batch_size=batch_size)
        assert texts_of(stories.generate(prompts, 8, settings)) == base
    settings = SamplingConfig(max_new_tokens=12, seed=3)
    assert texts_of(stories.generate(prompts[::-1], 8, settings)) == base[::-1]
    assert texts_of(stories.generate(prompts[1:2], 4, settings)) == [base[1][:4]]
    other_seed = texts_of(stories.generate(prompts, 8, SamplingConfig(max_new_tokens=12, seed=4)))
    assert all(set(mine) != set(other) for mine, other in zip(base, other_seed, strict=True))


def test_repeated_prompts_get_samples_of_their_own(words):
    settings = SamplingConfig(max_new_tokens=8)
    first, other, second = texts_of(words.generate(["w4", "w5", "w4"], 8, settings))
    assert first != second
    assert texts_of(words.generate(["w4"], 8, settings, occurrences=[1])) == [second]
    assert texts_of(words.generate(["w4"], 8, settings)) == [first]
    assert other != first


def exact_distribution(logits, temperature, top_k, top_p):
    """Written from the definition, token by token."""
    weights = np.exp((logits - logits.max()) / temperature)
    order = sorted(range(len(weights)), key=lambda token: (-weights[token], token))
    order = order[:top_k] if top_k else order
    total = sum(weights[token] for token in order)
    kept, reached = [], 0.0
    for token in order:
        if reached >= top_p and top_p < 1:
            break
        kept.append(token)
        reached += weights[token] / total
    chosen = np.zeros(len(weights))
    chosen[kept] = weights[kept] / weights[kept].sum()
    return chosen


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, 0, 1.0), (0.7, 0, 1.0), (1.5, 4, 1.0), (1.0, 0, 0.8), (1.2, 6, 0.7)],
)
def test_frequencies_are_the_exact_distribution(words, temperature, top_k, top_p):
    settings = SamplingConfig(temperature, top_p, top_k, max_new_tokens=1, seed=11, log_probs=True)
    draws = 8000
    tokens = [tokens[0] for tokens in tokens_of(words.generate(["w9 w4"], draws, settings))[0]]
    expected = exact_distribution(next_logits(words, "w9 w4"), temperature, top_k, top_p)
    observed = np.bincount(tokens, minlength=WORDS)
    assert observed[expected == 0].sum() == 0
    assert (expected > 0).sum() >= 3
    common = expected * draws >= 5
    merged = [np.append(counts[common], counts[~common].sum()) for counts in (observed, expected * draws)]
    if merged[1][-1] == 0:
        merged = [counts[:-1] for counts in merged]
    assert stats.chisquare(*merged).pvalue > 1e-3


def test_top_k_and_top_p_break_ties_by_token_number():
    logits = torch.tensor([[0.0, 1.0, 1.0, 0.0, 1.0]])
    assert token_weights(logits, 1.0, top_k=2).nonzero()[:, 1].tolist() == [1, 2]
    assert token_weights(logits, 1.0, top_k=4).nonzero()[:, 1].tolist() == [0, 1, 2, 4]
    assert token_weights(logits, 1.0, top_k=99).count_nonzero() == 5
    four = torch.log(torch.tensor([[0.25, 0.25, 0.25, 0.25]]))
    assert token_weights(four, 1.0, top_p=0.5).nonzero()[:, 1].tolist() == [0, 1]
    assert token_weights(four, 1.0, top_p=0.51).nonzero()[:, 1].tolist() == [0, 1, 2]
    assert token_weights(four, 1.0, top_p=1e-9).nonzero()[:, 1].tolist() == [0]
    assert likeliest(logits).tolist() == [1]


def test_top_p_counts_what_top_k_left():
    # Of .4 .3 .2 .1 the first two are left, .571 and .429: the first alone reaches .55.
    logits = torch.log(torch.tensor([[0.1, 0.3, 0.4, 0.2]]))
    assert token_weights(logits, 1.0, top_k=2, top_p=0.55).nonzero()[:, 1].tolist() == [2]
    assert token_weights(logits, 1.0, top_p=0.55).nonzero()[:, 1].tolist() == [1, 2]


def test_a_token_without_weight_is_never_drawn():
    weights = torch.tensor([[0.0, 0.3, 0.0, 0.7, 0.0]], dtype=torch.float64)
    numbers = torch.tensor([0.0, 0.29, 0.31, 1 - 2.0**-52], dtype=torch.float64)
    assert draw(weights.expand(4, -1), numbers).tolist() == [1, 1, 3, 3]


def test_random_numbers_are_uniform_and_unrelated():
    keys = np.concatenate([sample_keys(0, f"prompt {i}", 0, 64) for i in range(64)])
    table = np.stack([uniforms(keys, step) for step in range(16)])
    assert table.min() >= 0
    assert table.max() < 1
    assert stats.kstest(table.ravel(), "uniform").pvalue > 1e-3
    assert len(np.unique(table)) == table.size
    pairs = {
        "next step": (table[:-1], table[1:]),
        "next sample": (table[:, :-1], table[:, 1:]),
        "next prompt": (table[:, :-64], table[:, 64:]),
    }
    for a, b in pairs.values():
        # The correlation of m independent pairs has standard deviation 1 / sqrt(m).
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)
        counts = np.histogram2d(a.ravel(), b.ravel(), bins=8, range=[[0, 1], [0, 1]])[0]
        assert stats.chisquare(counts.ravel()).pvalue > 1e-4


def test_keys_follow_from_seed_text_and_occurrence_only():
    base = sample_keys(5, "a prompt", 0, 8)
    assert (sample_keys(5, "a prompt", 0, 3) == base[:3]).all()
    assert (sample_keys(5, (Message("user", "hi"),), 0, 3) != base[:3]).all()
    for other in (sample_keys(6, "a prompt", 0, 8), sample_keys(5, "a prompt", 1, 8)):
        assert not set(other.tolist()) & set(base.tolist())


@pytest.mark.parametrize("stop", [" the", "e,", ".\n", ". S", "\u20ac"])
def test_a_stop_text_ends_the_response_where_it_first_is_whole(stories, stop):
    free = SamplingConfig(max_new_tokens=40, log_probs=True, seed=1)
    bound = SamplingConfig(max_new_tokens=40, log_probs=True, seed=1, stop=(stop, "never\u00e9 said"))
    prompts = PROMPTS[:3]
    for prompt, whole, cut in zip(
        prompts, stories.generate(prompts, 24, free), stories.generate(prompts, 24, bound), strict=True
    ):
        for a, b in zip(whole, cut, strict=True):
            tokens = b.extra["tokens"]
            assert tokens == a.extra["tokens"][: len(tokens)]
            assert b.response == a.response.partition(stop)[0]
            assert (b.extra["finish_reason"] == "stop") == (stop in a.response)
            if stop in a.response:
                ids = stories.tokenizer(prompt)["input_ids"]
                assert (
                    stop
                    not in TextCodec(stories.tokenizer, "", frozenset()).responses([ids], [tokens[:-1]])[0]
                )


def test_responses_are_what_the_text_has_beyond_the_prompt():
    if not STORIES.exists():
        pytest.skip("shared/data/stories260k is absent")
    tokenizer = AutoTokenizer.from_pretrained(STORIES)
    texts = TextCodec(tokenizer, "", frozenset({1, 2}))
    text = "Caf\u00e9 \u20ac5 \U0001f600 he said  twice ,ok"
    checked = 0
    for cut in range(len(text)):
        ids, whole = tokenizer(text[:cut])["input_ids"], tokenizer(text)["input_ids"]
        if whole[: len(ids)] == ids:
            assert texts.responses([ids], [[*whole[len(ids) :], 2]]) == [text[cut:]]
            checked += 1
    assert checked > 8
    # A character that the response leaves half-written costs nothing of what came before it.
    emoji = tokenizer("\U0001f600", add_special_tokens=False)["input_ids"]
    assert texts.responses([tokenizer("a\u20ac")["input_ids"]], [emoji[1:3]])[0].strip("\ufffd") == ""


def test_no_responses_are_no_texts(words):
    assert words.texts.responses([], []) == []


def test_every_end_token_of_a_list_ends_a_response():
    model = tiny_model()
    model.generation_config.eos_token_id = [EOS, 5]
    settings = SamplingConfig(temperature=2.0, max_new_tokens=30, log_probs=True)
    samples = LocalPolicy(model, word_tokenizer()).generate(["w4"], 64, settings)[0]
    assert {sample.extra["tokens"][-1] for sample in samples} >= {EOS, 5}
    for sample in samples:
        assert "w5" not in sample.response.split()  # an end token is no text even if it is a word elsewhere


def test_a_prompt_too_long_is_named_before_anything_is_sampled(words, monkeypatch):
    monkeypatch.setattr(words.model, "forward", None)
    long = " ".join(["w4"] * 63)
    with pytest.raises(DataError, match=r"^prompt 2 .*64 tokens.*holds 64"):
        words.generate(["w4", long], 2)
    with pytest.raises(DataError, match=r"^p\.jsonl:7: the prompt has 64 tokens"):
        words.check([long], ["p.jsonl:7"])


def test_the_context_ends_a_response(words):
    prompt = " ".join(["w4"] * 59)
    samples = words.generate([prompt, "w4"], 16, SamplingConfig(max_new_tokens=9, temperature=3.0))
    assert max(sample.extra["token_count"] for sample in samples[0]) == 4
    assert max(sample.extra["token_count"] for sample in samples[1]) == 9


TEMPLATE = (
    "{{ '<s> ' }}{% for m in messages %}{{ m['content'] + ' w3 ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'w6' }}{% endif %}"
)


def test_messages_go_through_the_chat_template_with_one_bos(words):
    policy = LocalPolicy(words.model, word_tokenizer(template=TEMPLATE))
    texts = TextCodec(policy.tokenizer, "", frozenset({EOS}))
    messages = (Message("user", "w4 w5"),)
    assert texts.encode(messages) == [BOS, 4, 5, 3, 6]
    assert texts.encode("<s> w4 w5") == [BOS, 4, 5]
    assert texts.encode("") == [BOS]
    chat = policy.generate([messages], 3, SamplingConfig(temperature=0, max_new_tokens=6))[0]
    text = policy.generate(["w4 w5 w3 w6"], 1, SamplingConfig(temperature=0, max_new_tokens=6))[0]
    assert [sample.response for sample in chat] == [text[0].response] * 3
    assert chat[0].prompt == messages


def test_messages_without_a_template_say_what_to_do(words):
    with pytest.raises(ModelError, match=r"no chat template.*chat_template\.jinja"):
        words.generate([(Message("user", "w4"),)], 1)
    refusing = LocalPolicy(words.model, word_tokenizer(template="{{ raise_exception('no system') }}"))
    with pytest.raises(DataError, match=r"prompt 1 .*refuses the messages: no system"):
        refusing.generate([(Message("system", "w4"),)], 1)


def test_an_end_token_that_the_tokenizer_puts_after_texts_is_left_out():
    texts = TextCodec(word_tokenizer(end=True), "", frozenset({EOS}))
    assert texts.encode("w4 w5") == [BOS, 4, 5]
    assert texts.encode("w4 </s>") == [BOS, 4, EOS]
    assert texts.encode("") == [BOS]


def test_a_prompt_without_tokens_is_refused():
    policy = LocalPolicy(tiny_model(), word_tokenizer(begin=False))
    with pytest.raises(DataError, match=r"prompt 1.*has no tokens"):
        policy.generate([""], 1)


def test_logits_that_are_not_numbers_are_refused():
    model = tiny_model()
    torch.nn.init.constant_(model.lm_head.weight, float("nan"))
    with pytest.raises(ModelError, match="not numbers"):
        LocalPolicy(model, word_tokenizer()).generate(["w4"], 2)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"stop": ("",)}, "stop"),
    ],
)
def test_settings_outside_what_is_allowed_are_refused(changes, name):
    with pytest.raises(ConfigError, match=name):
        SamplingConfig(**changes)


def test_specifications_that_name_no_policy(tmp_path, words):
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_policy(str(tmp_path))
    words.model.save_pretrained(tmp_path)
    words.tokenizer.save_pretrained(tmp_path)
    for options in ("dtype=float3", "device=abacus", "speed=high"):
        with pytest.raises(SpecError, match=options.partition("=")[0]):
            load_policy(f"{tmp_path}?{options}")
    loaded = load_policy(f"{tmp_path}?dtype=bfloat16")
    assert loaded.model.dtype == torch.bfloat16
    assert len(loaded.generate(["w4"], 2, SamplingConfig(max_new_tokens=3))[0]) == 2


@pytest.mark.parametrize("tied", [False, True])
def test_a_saved_language_model_keeps_its_head_tied_or_not(tmp_path, tied):
    model = tiny_model(tie_word_embeddings=tied)
    model.save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    loaded = load_policy(f"{tmp_path}?device=cpu")
    assert torch.equal(loaded.model.lm_head.weight, model.lm_head.weight)


def test_weights_that_are_not_in_the_checkpoint_are_refused(tmp_path, reward_folder):
    with pytest.raises(ModelError, match=r"no trained language model: lm_head\.weight.* a scorer"):
        load_policy(reward_folder)
    tiny_model().save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, "intermediate_size": 40}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"mlp\."):
        load_policy(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"half a file")
    with pytest.raises(ModelError, match="no causal language model"):
        load_policy(str(tmp_path))


def test_the_protocol_costs_no_torch():
    code = "import sys, evalkit.policies.policy; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
