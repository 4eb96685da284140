import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

from rewards.config import ProcessConfig, ProcessTrainingConfig, ScoringConfig, TrainingConfig
from rewards.encoding.encoder import Encoder
from rewards.encoding.step_encoder import StepEncoder, separator_token
from rewards.errors import ConfigError, DataError, ModelError, ScoringError
from rewards.losses import step_loss
from rewards.models.head import prepare_for_packing
from rewards.models.sidecar import read_sidecar
from rewards.models.tokens import STEP_CLASSES, TokenModel
from rewards.records import Generation, Message, StepLabels
from rewards.scorer import StepScorer, Thresholded, truncated
from rewards.scorers.loading import load_model_scorer
from rewards.scorers.process import ProcessScorer
from rewards.solutions.steps import AGGREGATIONS, aggregate, until_first_error
from rewards.specs import parse_spec
from rewards.training import Labelled, fit_process
from rewards.training.process import encode_steps

QUICK = TrainingConfig(
    learning_rate=1e-2,
    batch_prompts=8,
    evaluation_share=0.25,
    evaluation_steps=1000,
    checkpoint_steps=1000,
    tensorboard=False,
)
PROMPT = "one two three?\n"


def scorer(folder, options=""):
    return load_model_scorer(parse_spec(f"{folder}{options}", []))


@pytest.fixture(scope="module")
def token_classifier():
    """Return a token classifier whose weights are large enough that every token matters."""

    def make(family="llama", labels=2, **settings):
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
        grouped = {"num_key_value_heads": 2} if family in ("llama", "qwen2") else {}
        known = {"vocab_size": 400, "max_position_embeddings": 256, "pad_token_id": 2, "num_labels": labels}
        config = AutoConfig.for_model(
            family, **{**sizes, **grouped, **known, "classifier_dropout": 0.0, **settings}
        )
        torch.manual_seed(0)
        model = AutoModelForTokenClassification.from_config(config).eval()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim > 1:
                    weight.normal_(0, 0.25)
        return model

    return make


@pytest.fixture(scope="module")
def process_scorer(token_classifier, make_tokenizer):
    def make(family="llama", how="product", **config):
        encoder = Encoder(make_tokenizer(), append_eos=False, max_length=256)
        model = TokenModel(token_classifier(family))
        return ProcessScorer(model, StepEncoder(encoder, "\n"), ScoringConfig(**config), how)

    return make


SOLUTIONS = [
    ("one plus two\n", "is three\n", "so three\n"),
    ("one plus two\n", "is three\n", "so four"),
    ("one plus two\n", "is twelve\n"),
    ("nothing\n",),
]


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2", "bert"])
@pytest.mark.parametrize("share", [True, False])
def test_one_pass_gives_each_step_the_score_of_its_prefix_alone(process_scorer, family, share):
    """Bidirectional bodies see later steps, so that there only whole solutions agree."""
    scores = process_scorer(family, share_prefixes=share).score(
        [Generation(PROMPT, "".join(steps), steps) for steps in SOLUTIONS]
    )
    alone = process_scorer(family, share_prefixes=False)
    for steps, score in zip(SOLUTIONS, scores, strict=True):
        assert len(score.steps) == len(steps)
        assert score.value == pytest.approx(np.prod(score.steps))
        assert score.aspects == {"product": score.value}
        for size in [len(steps)] if family == "bert" else range(1, len(steps) + 1):
            (prefix,) = alone.score([Generation(PROMPT, "".join(steps[:size]), steps[:size])])
            assert prefix.steps[-1] == pytest.approx(score.steps[size - 1], abs=1e-5)


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_a_bidirectional_body_is_told_from_a_causal_one(token_classifier, family):
    one_layer = TokenModel(token_classifier(family, num_hidden_layers=1)).eval()
    assert prepare_for_packing(one_layer) == (family == "llama")


def test_the_probabilities_are_those_of_plain_transformers(process_scorer, tmp_path):
    ours = process_scorer()
    ours.model.inner.save_pretrained(tmp_path)
    ours.encoder.tokenizer.save_pretrained(tmp_path)
    model = AutoModelForTokenClassification.from_pretrained(tmp_path).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    (score,) = ours.score([Generation(PROMPT, "".join(SOLUTIONS[0]))])
    ids = tokenizer(PROMPT + "".join(SOLUTIONS[0]), return_tensors="pt")["input_ids"]
    with torch.no_grad():
        chances = model(ids).logits[0].softmax(-1)[:, 1]
    ends = [place for place, token in enumerate(ids[0].tolist()) if token == ours.step_encoder.token]
    assert score.steps == pytest.approx(chances[ends[1:]].tolist(), abs=1e-5)  # the prompt ends in one too
    foreign = scorer(tmp_path, "?separator=%0A&aggregation=min")
    (other,) = foreign.score([Generation(PROMPT, "".join(SOLUTIONS[0]))])
    assert other.steps == pytest.approx(score.steps, abs=1e-6)
    assert (other.value, dict(other.aspects)) == (min(other.steps), {"min": min(other.steps)})
    with pytest.raises(ConfigError, match=r"which token its steps end.*separator=%0A"):
        scorer(tmp_path)


@settings(max_examples=15)
@given(st.data())
def test_no_score_depends_on_what_else_is_scored(process_scorer, data):
    words = st.sampled_from(["one ", "two ", "three ", "good ", "bad "])
    step = st.lists(words, min_size=1, max_size=4).map(lambda parts: "".join(parts) + "\n")
    drawn = data.draw(st.lists(st.lists(step, min_size=1, max_size=4).map(tuple), min_size=1, max_size=6))
    rows = [Generation(PROMPT, "".join(steps), steps) for steps in drawn]
    together = process_scorer(batch_tokens=data.draw(st.sampled_from([8, 64, 4096]))).score(rows)
    alone = process_scorer(share_prefixes=False)
    for row, score in zip(rows, together, strict=True):
        assert score.steps == pytest.approx(alone.score([row])[0].steps, abs=1e-5)


@pytest.mark.parametrize("how", AGGREGATIONS)
def test_the_aggregate_is_recorded_in_the_score(process_scorer, how):
    (score,) = process_scorer(how=how).score([Generation(PROMPT, "".join(SOLUTIONS[0]))])
    assert score.aspects == {how: score.value}
    assert score.value == pytest.approx(aggregate(score.steps, how), rel=1e-6)


def test_steps_without_separators_are_given_them(process_scorer):
    with_them, without = process_scorer().score(
        [Generation(PROMPT, "a\nb\n", ("a\n", "b\n")), Generation(PROMPT, "ab", ("a", "b"))]
    )
    assert with_them.steps == pytest.approx(without.steps, abs=1e-6)


def test_a_response_without_steps_has_no_score(process_scorer):
    with pytest.raises(ScoringError, match="row r7: an empty response has no steps"):
        process_scorer().score([Generation(PROMPT, "", id="r7")])


def test_a_solution_longer_than_the_model_is_named(token_classifier, make_tokenizer):
    encoder = Encoder(make_tokenizer(), append_eos=False, max_length=12)
    strict = ProcessScorer(TokenModel(token_classifier()), StepEncoder(encoder, "\n"), ScoringConfig())
    with pytest.raises(DataError, match=r"row long: has \d+ tokens and the model takes 12"):
        strict.score([Generation(PROMPT, "x" * 40 + "\n", id="long")])
    prompt = "one two three one two three\n"
    cut = ScoringConfig(over_long="truncate_left")
    lenient = ProcessScorer(TokenModel(token_classifier()), StepEncoder(encoder, "\n"), cut)
    (score,) = lenient.score([Generation(prompt, "good\nbad\n")])
    assert (len(score.steps), truncated(lenient)) == (2, 1)
    assert isinstance(lenient, StepScorer)
    assert isinstance(lenient, Thresholded)
    assert (lenient.separator, lenient.threshold) == ("\n", None)
    ids = encoder.tokenizer(prompt + "good\nbad\n")["input_ids"]
    kept = torch.tensor([ids[:1] + ids[len(ids) - 11 :]])
    with torch.no_grad():
        chances = lenient.model.inner(kept).logits[0].softmax(-1)[:, 1]
    ends = [place for place, token in enumerate(kept[0].tolist()) if token == lenient.step_encoder.token]
    assert score.steps == pytest.approx(chances[ends[-2:]].tolist(), abs=1e-5)


class TestSeparators:
    def test_a_byte_level_line_break_is_one_token(self, make_tokenizer):
        tokenizer = make_tokenizer()
        assert tokenizer.convert_ids_to_tokens(separator_token(tokenizer, "\n")) == "Ċ"

    @pytest.mark.parametrize(
        ("separator", "why"),
        [("ки", "tokens"), (" and so", "tokens"), ("<|none|>", "tokens")],
    )
    def test_what_is_several_tokens_is_refused_with_a_remedy(self, make_tokenizer, separator, why):
        with pytest.raises(ModelError, match=rf"not one token that is the same.*{why}.*add_token"):
            separator_token(make_tokenizer(), separator)

    def test_what_merges_with_its_neighbours_is_refused(self):
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        words = {letter: place for place, letter in enumerate(alphabet)} | {".Ċ": 256}
        inner = Tokenizer(models.BPE(vocab=words, merges=[(".", "Ċ")]))
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="!")
        with pytest.raises(ModelError, match=r"'8\.\\nStep' it is part of the token '\.Ċ'"):
            separator_token(tokenizer, "\n")

    def test_a_tokenizer_without_offsets_is_refused(self):
        class Slow:
            is_fast = False
            name_or_path = "folder"

        with pytest.raises(ModelError, match="'folder' is not of the fast kind"):
            separator_token(Slow(), "\n")

    def test_a_separator_added_to_the_vocabulary_is_one_token(self, make_tokenizer):
        tokenizer = make_tokenizer()
        tokenizer.add_tokens(["ки"])
        assert separator_token(tokenizer, "ки") == len(tokenizer) - 1

    def test_the_chat_template_stands_around_the_steps(self, make_tokenizer):
        encoder = StepEncoder(Encoder(make_tokenizer(chat=True), False, 256), "\n")
        messages = (Message("user", "one\ntwo?"),)
        (solution,) = encoder.encode([messages], [("good", "bad\n")], ["row"])
        text = encoder.encoder.tokenizer.decode(solution.tokens)
        assert text == "<s>[user]one\ntwo?</s>\n[assistant]good\nbad\n"
        assert [solution.tokens[place] for place in solution.places] == [encoder.token] * 2
        assert solution.places[-1] == len(solution.tokens) - 1

    def test_a_template_that_changes_the_steps_is_refused(self, make_tokenizer):
        tokenizer = make_tokenizer(chat=True)
        tokenizer.chat_template = tokenizer.chat_template.replace("['content']", "['content'] | trim")
        encoder = StepEncoder(Encoder(tokenizer, False, 256), "\n")
        with pytest.raises(DataError, match=r"steps\.jsonl:3: the chat template changes the response"):
            encoder.encode([(Message("user", "one?"),)], [("good", "bad\n")], ["steps.jsonl:3"])


def labelled(steps, labels, prompt=PROMPT, name=""):
    return StepLabels(prompt, tuple(steps), tuple(labels), name)


def test_the_loss_is_token_classification_on_the_separators_alone(token_classifier, make_tokenizer):
    classifier = token_classifier()
    encoder = StepEncoder(Encoder(make_tokenizer(), False, 256), "\n")
    records = [labelled(("one", "two", "bad"), (1, 1, 0)), labelled(("good", "bad", "bad"), (1, 0, None))]
    examples = encode_steps(records, encoder, "error").examples
    losses, logits, labels = [], [], []
    for example in examples:
        ids = torch.tensor([example.row])
        target = torch.full_like(ids, -100)
        target[0, list(example.positions)] = torch.tensor([int(label) for (label,) in example.labels])
        with torch.no_grad():
            output = classifier(ids, labels=target)
        losses.append(float(output.loss) * len(example.positions))
        logits.append(output.logits[0, list(example.positions)])
        labels += [label for (label,) in example.labels]
    ours = step_loss(torch.cat(logits), labels)
    assert float(ours) == pytest.approx(sum(losses) / 5, abs=1e-6)


def test_encoding_counts_what_it_reads_and_leaves_out(make_tokenizer):
    encoder = StepEncoder(Encoder(make_tokenizer(), False, 20), "\n")
    records = [
        labelled(("one", "two"), (1, 0)),
        labelled(("one", "two"), (None, None)),
        labelled(("x" * 60,), (1,)),
        labelled(("one", "two"), (1, None), f"{'one two three four five six seven eight nine ' * 2}?\n"),
    ]
    encoded = encode_steps(Labelled(records, list("abcd")), encoder, "truncate_left")
    assert dict(encoded.counts) == {
        "truncated": 1, "dropped": 1, "unlabelled": 3, "right": 2, "wrong": 1, "unlabelled solutions": 1,
    }  # fmt: skip
    first, last = encoded.examples
    assert (first.first_error, last.first_error) == (1, None)
    assert len(last.row) <= 20
    assert last.row[last.positions[-1]] == encoder.token
    with pytest.raises(DataError, match=r"c: has \d+ tokens and the model takes 20"):
        encode_steps(Labelled(records[2:3], ["c"]), encoder, "error")
    with pytest.raises(DataError, match="e: a solution without steps"):
        encode_steps(Labelled([labelled((), ())], ["e"]), encoder, "error")


WORDS = ("one", "two", "three", "four", "five", "six")


def solutions(count, seed=0):
    """Solutions whose step is right unless it says `bad`; labels stop at the first error."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        steps, labels = [], []
        for _ in range(rng.integers(1, 5)):
            wrong = rng.random() < 0.25
            steps.append(f"{WORDS[rng.integers(6)]} {'bad' if wrong else 'good'}")
            labels.append(None if 0 in labels else int(not wrong))
        made.append(labelled(steps, labels, f"{number} {WORDS[rng.integers(6)]}?\n", f"s{number}"))
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory, make_tokenizer):
    out = tmp_path_factory.mktemp("process") / "prm"
    encoder = Encoder(make_tokenizer(), False, 256)
    config = dataclasses.replace(QUICK, epochs=6)
    torch.manual_seed(0)
    small = AutoConfig.for_model(
        "llama",
        **{"vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
        **{"intermediate_size": 64, "max_position_embeddings": 256, "pad_token_id": 2},
        id2label=dict(enumerate(STEP_CLASSES)),
    )
    model = TokenModel(AutoModelForTokenClassification.from_config(small))
    result = fit_process(model, encoder, solutions(160), None, ProcessTrainingConfig(training=config), out)
    return out, result


def test_training_tells_right_from_wrong_steps(trained):
    out, result = trained
    assert result.packed
    assert result.evaluation["eval_accuracy"] > 0.95
    assert set(result.labels) == {"right", "wrong", "unlabelled", "unlabelled solutions"}
    sidecar = read_sidecar(str(out))
    assert (sidecar.kind, sidecar.separator, sidecar.aggregation) == ("process", "\n", "product")
    assert sidecar.threshold == result.threshold
    assert AutoModelForTokenClassification.from_pretrained(out).config.id2label == {0: "wrong", 1: "right"}
    good, bad = scorer(out).score(
        [Generation("7 two?\n", "one good\ntwo good\n"), Generation("7 two?\n", "one good\ntwo bad\n")]
    )
    assert good.value > 0.8 > 0.2 > bad.value
    assert bad.steps[0] == pytest.approx(good.steps[0], abs=1e-6)


def test_the_same_seed_gives_the_same_bytes(tmp_path, make_tokenizer, token_classifier):
    for name in "ab":
        encoder = Encoder(make_tokenizer(), False, 256)
        model = TokenModel(token_classifier())
        fit_process(
            model, encoder, solutions(24), None, ProcessTrainingConfig(training=QUICK), tmp_path / name
        )
    for file in ("model.safetensors", "evalkit.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_settings_of_pairs_and_impossible_balances_are_refused(tmp_path, make_tokenizer, token_classifier):
    encoder = Encoder(make_tokenizer(), False, 256)
    model = TokenModel(token_classifier())
    for setting in ("centering", "margin"):
        config = ProcessTrainingConfig(training=dataclasses.replace(QUICK, **{setting: 1}))
        with pytest.raises(ConfigError, match=f"training.{setting} is of pairs"):
            fit_process(model, encoder, solutions(8), None, config, tmp_path)
    right = [labelled(("one",), (1,), f"{number}\n") for number in range(8)]
    balanced = ProcessTrainingConfig(ProcessConfig(wrong_weight=0), QUICK)
    with pytest.raises(ConfigError, match="balances right and wrong steps; there are 6 and 0"):
        fit_process(model, encoder, right, None, balanced, tmp_path)
    unlabelled = [labelled(("one",), (None,), f"{number}\n", f"u{number}") for number in range(8)]
    with pytest.raises(DataError, match=r"nothing to train on.*8 left out; the first is record 1, id 'u0'"):
        fit_process(model, encoder, unlabelled, None, balanced, tmp_path)


def test_without_solutions_of_both_kinds_the_threshold_stays(tmp_path, make_tokenizer, token_classifier):
    """An F1 of first errors needs erroneous and correct held-out solutions whose first error is known."""
    encoder = Encoder(make_tokenizer(), False, 256)
    right = [labelled(("one",), (1,), f"{number}\n") for number in range(8)]
    model = TokenModel(token_classifier(num_hidden_layers=1))
    result = fit_process(model, encoder, right, None, ProcessTrainingConfig(training=QUICK), tmp_path)
    assert result.threshold is None
    assert read_sidecar(str(tmp_path)).threshold == 0.5


def test_labels_behind_the_first_wrong_step_can_be_left_unlearnt(tmp_path, make_tokenizer, token_classifier):
    every = [labelled(("one", "two", "three"), (1, number % 2, 1), f"{number}\n") for number in range(8)]
    assert until_first_error((1, 0, 1)) == (1, 0, None)
    assert until_first_error((1, None, 1)) == (1, None, 1)
    assert until_first_error((None, 0.4, 0.9)) == (None, 0.4, None)
    encoder = Encoder(make_tokenizer(), False, 256)
    model = TokenModel(token_classifier(num_hidden_layers=1))
    training = dataclasses.replace(QUICK, evaluation_share=0, max_steps=1)
    config = ProcessTrainingConfig(ProcessConfig(until_error=True), training)
    result = fit_process(model, encoder, every, None, config, tmp_path)
    assert (result.labels["right"], result.labels["wrong"]) == (8 + 4 + 4, 4)  # 4 behind an error are left
