"""`evalkit train dpo`: pairs and their losses by hand, both ways to have a reference, kills, wrong input."""

import copy
import json
import math
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

from evalkit.cli import main
from evalkit.policies.config import DpoConfig
from evalkit.policies.dpo import DpoObjective, PairExample, encode_pairs, fit_dpo
from evalkit.policies.fitting import PolicyFit
from evalkit.policies.language_model import LanguageModel
from evalkit.policies.reference import Reference
from evalkit.policies.reference_log_probs import reference_log_probs
from evalkit.policies.response_rows import ResponseEncoder, ResponseRow
from evalkit.training.dpo import Probed, findings, pairs_of
from rewards.config import LoraConfig, TrainingConfig
from rewards.errors import DataError, ModelError
from rewards.models.head import prepare_for_packing
from rewards.records import Preference, Ranking
from tests.evalkit.annotation.words import BOS, EOS, word_policy, word_tokenizer
from tests.evalkit.training.training_kills import digest, killed_after

WORDS = 40
KINDS = ("sigmoid", "hinge", "slic", "ipo", "cdpo", "robust")


def encoder(length=64):
    return ResponseEncoder(word_tokenizer(WORDS), length)


def held(model, packs=True):
    reference = LanguageModel(copy.deepcopy(model))
    reference.requires_grad_(False).eval()
    return Reference("start", "abc", reference, packs and prepare_for_packing(reference))


def preferences(count, long=1):
    """The word after the prompt's last is right, the one after that is wrong."""
    return [
        Preference(f"w{30 + n // 20 % 9} " * long + f"w{3 + n % 20} ", f"w{4 + n % 20}", f"w{5 + n % 20}")
        for n in range(count)
    ]


def test_pairs_share_where_their_responses_begin_and_what_cannot_be_learnt_is_counted():
    cut = {"chosen_finish_reason": "stop", "rejected_finish_reason": "length"}
    records = [
        Preference("w5 w6 ", "w7", "w8 w9"),
        Preference("w5 w6 ", "w7", "w8", extra=cut),
        Preference("w5 w6 ", "w7", "", extra=cut),
        Preference("w5 w6 ", "w7", "unknown"),  # no word of the tokenizer's: w3
        Preference("w5 w6 ", "nor this", "w3 that"),
        Preference("w5 w6 w7 w8 w9 ", "w7 w8", "w8"),
        Preference("w5 ", "w7 " * 9, "w8"),
    ]
    made = encode_pairs(records, encoder(8), "truncate_left")
    assert made.counts == {"truncated": 1, "dropped": 1, "cut": 2, "unlearnable": 1, "identical": 1}
    assert made.left_out == (
        "record 3: a response has no tokens",
        "record 5: both responses are the same tokens, of which none is better",
        "record 7: has 12 tokens and the model takes 8",
    )
    assert [
        (list(one.chosen.tokens), list(one.rejected.tokens), one.chosen.start) for one in made.examples
    ] == [
        ([BOS, 5, 6, 7, EOS], [BOS, 5, 6, 8, 9, EOS], 3),
        ([BOS, 5, 6, 7, EOS], [BOS, 5, 6, 8], 3),
        ([BOS, 5, 6, 7, EOS], [BOS, 5, 6, 3, EOS], 3),
        ([BOS, 6, 7, 8, 9, 7, 8, EOS], [BOS, 6, 7, 8, 9, 8, EOS], 5),
    ]
    with pytest.raises(DataError, match=r"^record 6: has 9 tokens and the model takes 8"):
        encode_pairs(records, encoder(8), "error")


def test_where_letters_join_across_the_seam_both_responses_are_read_from_the_earlier_token():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "c": 4, "ab": 5}
    inner = Tokenizer(models.BPE(vocab=words, merges=[("a", "b")]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    (one,) = encode_pairs([Preference("ca", "b", "c")], ResponseEncoder(tokenizer, 9), "error").examples
    assert (one.chosen.tokens, one.rejected.tokens) == ((4, 5, 1), (4, 2, 4, 1))
    assert (one.chosen.start, one.rejected.start) == (1, 1)


def summed(model, row: ResponseRow):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row.tokens])).logits[0].double()
    picked = logits.log_softmax(-1)[range(row.start - 1, len(row.tokens) - 1), list(row.tokens[row.start :])]
    return float(picked.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_a_batch_is_that_of_the_plain_models(kind, tmp_path):
    start, policy = word_policy(WORDS), word_policy(WORDS, seed=1)
    dpo = DpoConfig(beta=0.3, kind=kind, label_smoothing=0.2 if kind in ("cdpo", "robust") else 0.0)
    records = [Preference("w5 w6 w7 w8 " * 6, "w7 w9", "w8"), Preference("w4 ", "w8", "w3 w9 w6")]
    examples = list(encode_pairs(records, encoder(), "error").examples)
    expected, margins, changes = [], [], []
    for one in examples:
        up, down = (summed(policy, row) - summed(start, row) for row in (one.chosen, one.rejected))
        alone = summed(policy, one.chosen) - summed(policy, one.rejected)
        right, wrong = (math.log1p(math.exp(-sign * 0.3 * (up - down))) for sign in (1, -1))
        expected.append(
            {
                "sigmoid": right,
                "hinge": max(0, 1 - 0.3 * (up - down)),
                "slic": max(0, 1 - 0.3 * alone),
                "ipo": (up - down - 1 / 0.6) ** 2,
                "cdpo": 0.8 * right + 0.2 * wrong,
                "robust": (0.8 * right - 0.2 * wrong) / 0.6,
            }[kind]
        )
        margins.append(0.3 * (up - down))
        changes.append((up, down))
    for packed in (False, True):
        reference, model = held(start, packed), LanguageModel(copy.deepcopy(policy)).requires_grad_(False)
        assert not packed or prepare_for_packing(model)
        known = reference_log_probs(reference, examples, TrainingConfig(), tmp_path)
        done = [
            PairExample(one.chosen, one.rejected, one.prompt, both)
            for one, both in zip(examples, known, strict=True)
        ]
        for objective, given in ((DpoObjective(dpo), done), (DpoObjective(dpo, reference), examples)):
            batch = objective.collate(given, packed)
            losses, outputs = objective.losses(model, batch)
            torch.testing.assert_close(losses, torch.tensor(expected), atol=1e-4, rtol=1e-4)
            found = objective.metrics(objective.tally(batch, outputs))
            assert found["eval_margin"] == pytest.approx(sum(margins) / 2, abs=1e-4)
            assert found["eval_accuracy"] == sum(one > 0 for one in margins) / 2
            assert found["eval_chosen_change"] == pytest.approx(sum(up for up, _ in changes) / 2, abs=1e-4)
            rejected = sum(down for _, down in changes)
            assert found["eval_rejected_change_per_token"] == pytest.approx(rejected / 6, abs=1e-4)
            assert found["eval_both_fall"] == sum(up < 0 and down < 0 for up, down in changes) / 2


def test_a_pairs_prompt_stands_once():
    examples = encode_pairs([Preference("w5 w6 w7 w8 " * 10, "w3", "w4")], encoder(), "error").examples
    (part,) = DpoObjective(DpoConfig()).collate(
        [PairExample(one.chosen, one.rejected, one.prompt, (0.0, 0.0)) for one in examples], True
    )["packs"]
    assert len(part.tokens) == 41 + 2 * 2


def fitted(out, dpo, start=None, **settings):
    torch.set_num_threads(1)
    model = start or word_policy(WORDS)
    training = TrainingConfig(**{"learning_rate": 3e-3, "batch_prompts": 10, "tensorboard": False} | settings)
    held_out = [Preference(f"w39 {one.prompt}", one.chosen, one.rejected) for one in preferences(20)]
    reference = held(model)
    policy = LanguageModel(model)
    result = fit_dpo(
        policy, encoder(), preferences(100), held_out, training, out, dpo=dpo, reference=reference
    )
    return result, reference


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_both_ways_to_have_the_reference_give_the_same_weights(tmp_path):
    folders = {}
    for how in ("precomputed", "live"):
        folders[how] = tmp_path / how
        folders[how].mkdir()
        fitted(folders[how], DpoConfig(reference_log_probs=how))
    weights = [AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in folders.values()]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], atol=2e-5, rtol=0)
    assert len(list(folders["precomputed"].glob("reference_log_probs-*.jsonl"))) == 1
    assert not list(folders["live"].glob("reference_log_probs*"))


@pytest.mark.parametrize("rank", [0, 4])
def test_it_learns_what_is_preferred_and_tells_of_every_update(tmp_path, rank):
    lora = LoraConfig(rank=rank)
    result, reference = fitted(tmp_path, DpoConfig(), learning_rate=1e-2, epochs=6, lora=lora)
    assert result.packed
    assert result.evaluation["eval_accuracy"] > 0.9
    assert result.evaluation["eval_loss"] < 0.5
    lines = [line for line in metrics(tmp_path) if "loss" in line]
    assert lines[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert lines[0]["train_margin"] == pytest.approx(0, abs=1e-5)
    assert lines[-1]["train_accuracy"] >= 0.9
    assert lines[-1]["train_margin"] > 0.5
    about = json.loads((tmp_path / "policy.json").read_text())
    assert about["reference"] == {"name": "start", "hash": "abc"}
    assert (about["kind"], about["beta"], about["method"]) == ("sigmoid", 0.1, "dpo")
    # The reference stayed where it was, and the folder is a plain model.
    plain = word_policy(WORDS)
    for name, weight in reference.model.inner.state_dict().items():
        torch.testing.assert_close(weight, plain.state_dict()[name], atol=0, rtol=0)
    assert not any("lora" in name for name in AutoModelForCausalLM.from_pretrained(tmp_path).state_dict())


def test_a_policy_cannot_be_its_own_reference(tmp_path):
    model = LanguageModel(word_policy(WORDS))
    reference = Reference("itself", "abc", model, False)
    with pytest.raises(ModelError, match="the reference is the policy itself"):
        fit_dpo(model, encoder(), preferences(20), None, TrainingConfig(), tmp_path, reference=reference)


def test_log_probabilities_are_computed_once_and_those_of_others_are_others(tmp_path, monkeypatch):
    model = word_policy(WORDS)
    reference = held(model)
    examples = list(encode_pairs(preferences(600), encoder(), "error").examples)
    first = reference_log_probs(reference, examples, TrainingConfig(), tmp_path)
    asked: list[int] = []
    log_probs = Reference.log_probs

    def count(self, rows, *more):
        asked.append(len(rows))
        return log_probs(self, rows, *more)

    monkeypatch.setattr(Reference, "log_probs", count)
    assert reference_log_probs(reference, examples, TrainingConfig(), tmp_path) == first
    assert asked == []
    # A kill after the first chunk: what is done is kept, and the file becomes the same.
    (path,) = tmp_path.glob("reference_log_probs-*.jsonl")
    whole = path.read_bytes()
    path.unlink()
    with monkeypatch.context() as broken:

        def fail(self, rows, *more):
            if asked:
                raise KeyboardInterrupt
            return count(self, rows, *more)

        broken.setattr(Reference, "log_probs", fail)
        with pytest.raises(KeyboardInterrupt):
            reference_log_probs(reference, examples, TrainingConfig(), tmp_path)
    assert asked == [512]
    assert reference_log_probs(reference, examples, TrainingConfig(), tmp_path) == first
    assert asked == [512, 512, 176]
    assert path.read_bytes() == whole
    reference_log_probs(reference, examples[:9], TrainingConfig(), tmp_path)
    other = held(word_policy(WORDS, seed=1))
    reference_log_probs(Reference("other", "def", other.model, True), examples, TrainingConfig(), tmp_path)
    assert len(list(tmp_path.glob("reference_log_probs-*.jsonl"))) == 3
    expected = [(summed(model, one.chosen), summed(model, one.rejected)) for one in examples[:20]]
    torch.testing.assert_close(torch.tensor(first[:20]), torch.tensor(expected), atol=1e-4, rtol=0)


def test_a_broken_reference_is_said(tmp_path):
    model = word_policy(WORDS)
    torch.nn.init.constant_(model.model.norm.weight, float("nan"))
    examples = list(encode_pairs(preferences(4), encoder(), "error").examples)
    with pytest.raises(ModelError, match="log-probability nan; the reference's weights are broken"):
        reference_log_probs(held(model), examples, TrainingConfig(), tmp_path)


def test_rankings_become_the_pairs_that_differ_in_rank():
    ranking = Ranking("p", ("a", "b", "c"), (2, 1, 2), extra={"finish_reasons": ["stop", "length", "eos"]})
    made = list(pairs_of(ranking, "d.jsonl:3"))
    assert [(pair.chosen, pair.rejected, name) for pair, name in made] == [
        ("b", "a", "d.jsonl:3, responses 2 and 1"),
        ("b", "c", "d.jsonl:3, responses 2 and 3"),
    ]
    assert made[0][0].extra == {"chosen_finish_reason": "length", "rejected_finish_reason": "stop"}


def told(accuracy, chosen, rejected, probed=None):
    names = {"loss": 0.5, "accuracy": accuracy, "margin": 0.1 * (chosen - rejected), "both_fall": 0.75}
    changes = {"chosen_change": chosen, "rejected_change": rejected}
    changes |= {f"{name}_per_token": value / 10 for name, value in changes.items()}
    evaluation = {f"eval_{name}": value for name, value in {**names, **changes}.items()}
    result = PolicyFit(1, 9, 8, {}, {}, 1e-5, evaluation, True)
    return " ".join(findings(result, probed, "m.jsonl"))


def test_falling_log_probabilities_are_explained():
    usual = told(0.8, -4.0, -9.0)
    assert "8 held-out pairs: loss 0.5000, the implicit reward ranks 80.0% right, by 0.5 on average" in usual
    assert "chosen -4 (-0.4 a token), rejected -9 (-0.9 a token); both fell in 75% of the pairs" in usual
    assert "usual and by itself no fault" in usual
    assert "--probe.data with --probe.scorer looks at that" in usual
    assert "Warning: that is no better than chance" in told(0.4, -4.0, -3.0)
    assert "became more likely" in told(0.9, 2.0, -3.0)
    worse = told(0.8, -4.0, -9.0, Probed("gold", 0.9, 0.4))
    assert "The gold reward of what the policy writes did not rise: 0.9 at the start, 0.4 at the end" in worse
    nothing = PolicyFit(1, 9, 0, {}, {}, 1e-5, {}, True)
    assert "No pairs were held out; m.jsonl" in " ".join(findings(nothing, None, "m.jsonl"))


PAIRS = [{"prompt": f"p{n % 40} ", "chosen": f"good {n % 7}", "rejected": f"bad {n % 5}"} for n in range(60)]
QUICK = ["--training.learning_rate", "3e-3", "--training.batch_prompts", "6"]


def arguments(policy, data, out, *more):
    return ["train", "dpo", "--policy", policy, "--data", data, "--out", str(out), *QUICK, *more]


def test_a_kill_in_the_middle_changes_no_weight(policy_folder, write_rows, tmp_path):
    data = write_rows("d.jsonl", PAIRS)
    often = ["--training.max_steps", "60", "--training.checkpoint_steps", "10"]
    out, whole = tmp_path / "out", tmp_path / "whole"
    killed_after(arguments(policy_folder, data, out, *often), out, 20)
    assert not (out / "model.safetensors").exists()
    (kept,) = out.glob("reference_log_probs-*.jsonl")
    before = kept.stat().st_mtime_ns
    torch.set_num_threads(1)
    for folder in (out, whole):
        main(arguments(policy_folder, data, folder, *often))
    assert kept.stat().st_mtime_ns == before
    for name in ("model.safetensors", "policy.json", "result.json", kept.name):
        assert digest(out / name) == digest(whole / name), name


def test_the_command_trains_records_its_reference_and_explains_itself(
    policy_folder, write_rows, tmp_path, capsys
):
    rows = [*PAIRS, {"prompt": "q ", "chosen": "same", "rejected": "same"}]
    data, out = write_rows("d.jsonl", rows), tmp_path / "out"
    line = arguments(
        policy_folder, data, out, "--training.max_steps", "40", "--training.checkpoint_steps", "20"
    )
    main(line)
    said = capsys.readouterr().out
    assert "dropped: identical 1" in " ".join(said.split())
    assert "held-out pairs: loss" in said
    assert "Change of log-probability against the reference, nats: chosen" in said
    assert f"evalkit score --scorer dpo:{out}" in said
    reference = json.loads((out / "reference.json").read_text())
    assert reference["name"] == policy_folder
    about = json.loads((out / "policy.json").read_text())
    assert about["reference"] == reference
    assert about["started_from"] == reference
    result = json.loads((out / "result.json").read_text())
    assert result["evaluation"]["eval_accuracy"] > 0.9
    assert not (out / "checkpoints").exists()
    with pytest.raises(SystemExit):
        main(line)
    assert "exists and is finished; --overwrite" in capsys.readouterr().err
    # A run that goes on with another reference under the old name is refused.
    (out / "result.json").unlink()
    (out / "reference.json").write_text(json.dumps({"name": "old", "hash": "0" * 16}))
    with pytest.raises(SystemExit) as stop:
        main(line)
    error = capsys.readouterr().err
    assert (stop.value.code, error.count("\n")) == (2, 1)
    assert "the run began with reference old of 0000000000000000" in error
    assert (out / "policy.json").exists()


def test_wrong_input_is_one_line(policy_folder, write_model, write_rows, tmp_path, capsys):
    data = write_rows("d.jsonl", PAIRS)
    same = write_rows("same.jsonl", [{"prompt": "p", "chosen": "a", "rejected": "a"}] * 3)
    tied = write_rows("tied.jsonl", [{"prompt": "p", "responses": ["a", "b"], "ranks": [1, 1]}])
    other = tmp_path / "other"
    shutil.copytree(write_model("policy", template="{{ messages }}"), other)
    capsys.readouterr()
    for more, said in (
        (["--dpo.reference", str(other)], "its tokenizer is not the policy's"),
        (["--dpo.reference", "nowhere/at all"], "nowhere/at all"),
        (["--dpo.beta", "0"], "dpo.beta is above 0, got 0"),
        (["--dpo.label_smoothing", "0.1"], "dpo.label_smoothing is of cdpo and robust"),
        (["--training.lora.rank", "2", "--training.lora.merge", "false"], "training.lora.merge false"),
        (["--data", same], "no pair is left in which one response is preferred to the other"),
        (["--data", same, "--screening.identical", "keep"], "3 left out; the first is"),
        (["--data", same, "--screening.identical", "error"], "all responses are the same text"),
        (["--data", tied], "no pair is left in which one response is preferred to the other"),
        (["--evaluation_data", data], "held-out prompts are also trained on"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments(policy_folder, data, tmp_path / "out", *more))
        error = capsys.readouterr().err
        assert (stop.value.code, error.count("\n")) == (2, 1), error
        assert said in error
        assert not (tmp_path / "out").exists(), more
