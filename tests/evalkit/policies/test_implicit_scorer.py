"""`dpo:POLICY?reference=REF`: the log-ratio of the plain models, whatever the batch, and what is refused."""

import json

import pytest
import torch

from evalkit.cli import main
from evalkit.policies.dpo import encode_pairs
from evalkit.policies.response_rows import ResponseEncoder
from rewards.errors import DataError, ModelError, ScoringError, SpecError
from rewards.models.checkpoint import weights_hash
from rewards.records import Generation, Preference
from rewards.scorer import load_scorer
from tests.evalkit.annotation.words import BOS, EOS, word_policy, word_tokenizer

WORDS = 40
CUT = {"finish_reason": "length"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A policy and its reference, which no `policy.json` links."""
    root = tmp_path_factory.mktemp("models")
    for name, seed in (("policy", 1), ("reference", 0)):
        word_policy(WORDS, seed).save_pretrained(root / name)
        word_tokenizer(WORDS).save_pretrained(root / name)
    return root


@pytest.fixture
def linked(folders):
    """Write the policy's `policy.json` for one test."""
    path = folders / "policy" / "policy.json"

    def link(**about):
        path.write_text(json.dumps(about))
        return f"dpo:{folders / 'policy'}"

    yield link
    path.unlink(missing_ok=True)


def spec(folders, more=""):
    return f"dpo:{folders / 'policy'}?reference={folders / 'reference'}{more}"


def log_prob(seed, tokens, start):
    with torch.no_grad():
        logits = word_policy(WORDS, seed)(input_ids=torch.tensor([tokens])).logits[0].double()
    return float(logits.log_softmax(-1)[range(start - 1, len(tokens) - 1), tokens[start:]].sum())


def test_a_score_is_beta_times_the_log_ratio_of_the_response_and_its_ending(folders):
    rows = [("w5 w6 ", "w7 w8", {}), ("w5 w6 ", "w7 w8", CUT), ("w9 ", "", {})]
    expected = [([BOS, 5, 6, 7, 8, EOS], 3), ([BOS, 5, 6, 7, 8], 3), ([BOS, 9, EOS], 2)]
    scores = load_scorer(spec(folders, "&beta=0.5")).score(
        [Generation(prompt, response, extra=extra) for prompt, response, extra in rows]
    )
    for score, (tokens, start) in zip(scores, expected, strict=True):
        policy, reference = (log_prob(seed, tokens, start) for seed in (1, 0))
        assert score.value == pytest.approx(0.5 * (policy - reference), abs=1e-5)
        assert score.aspects["policy_log_prob"] == pytest.approx(policy, abs=1e-4)
        assert score.aspects["reference_log_prob"] == pytest.approx(reference, abs=1e-4)
    (bare,) = load_scorer(spec(folders, "&eos=false")).score([Generation("w5 w6 ", "w7 w8")])
    assert bare.value == pytest.approx(0.1 * 2 * scores[1].value, abs=1e-5)


def test_a_policy_scores_nothing_against_itself(folders):
    one = f"dpo:{folders / 'policy'}?reference={folders / 'policy'}"
    scores = load_scorer(one).score([Generation("w5 ", "w7 w8"), Generation("w5 ", "w9")])
    assert [score.value for score in scores] == pytest.approx([0, 0], abs=1e-6)


def test_scores_do_not_depend_on_the_batch_or_its_order(folders):
    scorer = load_scorer(spec(folders))
    prompts = ["w5 w6 w7 w8 " * 8, "w9 ", "w9 w10 w11 " * 3]
    generations = [
        Generation(prompt, " ".join(f"w{3 + (n * place) % 30}" for place in range(1, 2 + n)))
        for prompt in prompts
        for n in range(12)
    ]
    together = [score.value for score in scorer.score(generations)]
    backwards = [score.value for score in scorer.score(generations[::-1])][::-1]
    alone = [scorer.score([one])[0].value for one in generations]
    assert together == pytest.approx(backwards, abs=1e-5)
    assert together == pytest.approx(alone, abs=1e-5)
    assert scorer.score([]) == []


def test_differences_of_scores_are_the_margins_that_dpo_trains(folders):
    pair = Preference("w5 w6 ", "w7", "w8 w9")
    (one,) = encode_pairs([pair], ResponseEncoder(word_tokenizer(WORDS), 64), "error").examples
    margin = sum(
        sign * 0.1 * (log_prob(1, list(row.tokens), row.start) - log_prob(0, list(row.tokens), row.start))
        for sign, row in ((1, one.chosen), (-1, one.rejected))
    )
    chosen, rejected = load_scorer(spec(folders)).score(
        [Generation(pair.prompt, pair.chosen), Generation(pair.prompt, pair.rejected)]
    )
    assert chosen.value - rejected.value == pytest.approx(margin, abs=1e-5)


def test_what_training_recorded_is_the_default_and_another_reference_is_refused(folders, linked):
    name = str(folders / "reference")
    right = weights_hash(word_policy(WORDS, 0))
    asked = [Generation("w5 ", "w7 w8")]
    (mine,) = load_scorer(spec(folders, "&beta=0.25")).score(asked)
    plain = linked(beta=0.25, reference={"name": name, "hash": right})
    assert load_scorer(plain).score(asked) == [mine]
    with pytest.raises(ModelError, match=f"the policy was trained against {name} of {right}"):
        load_scorer(f"{plain}?reference={folders / 'policy'}")
    linked(beta=0.25, reference={"name": name, "hash": "0" * 16})
    with pytest.raises(ModelError, match=f"hashes to {right}, and the policy was trained against"):
        load_scorer(plain)
    linked(reference={"name": "gone/for/good", "hash": right})
    with pytest.raises(ModelError, match=r"policy.json names it as reference; \?reference= says where it is"):
        load_scorer(plain)
    (default,) = load_scorer(f"{plain}?reference={name}").score(asked)
    assert default.value == pytest.approx(0.4 * mine.value)


def test_what_cannot_be_is_refused(folders, linked, reward_folder):
    plain = f"dpo:{folders / 'policy'}"
    for text, error, said in (
        ("dpo:", SpecError, "names no policy"),
        (plain, SpecError, "the policy says of no reference"),
        (spec(folders, "&beta=0"), SpecError, "beta is above 0"),
        (spec(folders, "&beta=x"), SpecError, "beta is a number"),
        (spec(folders, "&temperature=1"), SpecError, "unknown option 'temperature'"),
        (f"{plain}?reference={reward_folder}", ModelError, "is no trained language model"),
        (f"dpo:{reward_folder}?reference={reward_folder}", ModelError, "is no trained language model"),
    ):
        with pytest.raises(error, match=said):
            load_scorer(text)
    linked(beta=0)
    with pytest.raises(SpecError, match="beta is above 0"):
        load_scorer(spec(folders))


def test_a_tokenizer_that_differs_is_refused(folders, write_model):
    with pytest.raises(ModelError, match="its tokenizer is not the policy's"):
        load_scorer(f"dpo:{folders / 'policy'}?reference={write_model('policy')}")


def test_a_row_without_a_score_is_named(folders, tmp_path):
    scorer = load_scorer(spec(folders))
    with pytest.raises(DataError, match="row x: has 72 tokens and the model takes 64"):
        scorer.score([Generation("w5 " * 70, "", id="x")])
    broken = word_policy(WORDS)
    torch.nn.init.constant_(broken.model.norm.weight, float("nan"))
    broken.save_pretrained(tmp_path / "broken")
    word_tokenizer(WORDS).save_pretrained(tmp_path / "broken")
    scorer = load_scorer(f"dpo:{tmp_path / 'broken'}?reference={folders / 'reference'}")
    with pytest.raises(ScoringError, match="row x: the policy's log-probability is nan"):
        scorer.score([Generation("w5 ", "w6", id="x")])


def test_no_token_before_the_response_is_no_score(folders):
    from tokenizers import processors

    scorer = load_scorer(spec(folders))
    scorer.encoder.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", special_tokens=[]
    )
    with pytest.raises(ScoringError, match="there is no token before the response"):
        scorer.score([Generation("", "w5 w6")])


def test_the_command_scores_with_it(folders, write_rows, tmp_path):
    data = write_rows("d.jsonl", [{"prompt": "w5 ", "responses": ["w6", "w7 w8"]}])
    out = tmp_path / "o.jsonl"
    main(["score", "--scorer", spec(folders), "--data", data, "--out", str(out)])
    row = json.loads(out.read_text())
    asked = [Generation("w5 ", "w6"), Generation("w5 ", "w7 w8")]
    assert row["scores"] == pytest.approx([one.value for one in load_scorer(spec(folders)).score(asked)])
