"""`evalkit train sft`: rows and their endings, the loss against plain Transformers, kills, wrong input."""

import json
import math

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evalkit.cli import main
from evalkit.policies.language_model import LanguageModel
from evalkit.policies.response_rows import ResponseEncoder
from evalkit.policies.sft import SftObjective, encode_demonstrations, fit_sft
from rewards.config import LoraConfig, TrainingConfig
from rewards.errors import DataError, ModelError
from rewards.models.head import prepare_for_packing
from rewards.records import Generation, Message
from rewards.training.labelled import Labelled
from rewards.training.trainer import PackedTrainer
from tests.evalkit.annotation.words import BOS, EOS, word_policy, word_tokenizer
from tests.evalkit.training.training_kills import digest

WORDS = 40
TEMPLATE = (
    "{% for message in messages %}w3 {{ message['content'] }} </s> w4 {% endfor %}"
    "{% if add_generation_prompt %}w3 {% endif %}"
)
BREAKING = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{{ eos_token }}\n{% endfor %}" + (
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def encoder(length=64, **settings):
    return ResponseEncoder(word_tokenizer(WORDS), length, **settings)


def row(prompt, response, cut=False, **settings):
    (made,) = encoder(**settings).encode([prompt], [response], [cut])
    return list(made.tokens), made.start


def test_a_response_ends_with_eos_unless_it_was_cut():
    assert row("w5 w6 ", "w7 w8") == ([BOS, 5, 6, 7, 8, EOS], 3)
    assert row("w5 w6 ", "w7 w8", cut=True) == ([BOS, 5, 6, 7, 8], 3)
    assert row("w5 w6 ", "") == ([BOS, 5, 6, EOS], 3)
    assert row("w5 w6 ", "", cut=True) == ([BOS, 5, 6], 3)
    assert row("w5 w6 ", "w7 </s>") == ([BOS, 5, 6, 7, EOS], 3)
    assert row("w5 w6 ", "w7", eos=False) == ([BOS, 5, 6, 7], 3)
    # A model may end its turns otherwise than its tokenizer's texts.
    assert row("w5 ", "w7 w9", end_tokens=frozenset({9})) == ([BOS, 5, 7, 9], 2)


def test_a_tokenizer_that_ends_every_text_changes_nothing():
    from tokenizers import processors

    tokenizer = word_tokenizer(WORDS)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    made = ResponseEncoder(tokenizer, 64).encode(
        ["w5 "] * 4, ["w7", "", "w7", ""], [False, False, True, True]
    )
    assert [(list(one.tokens), one.start) for one in made] == [
        ([BOS, 5, 7, EOS], 2),
        ([BOS, 5, EOS], 2),
        ([BOS, 5, 7], 2),
        ([BOS, 5], 2),
    ]


def test_a_templates_own_end_of_turn_is_the_ending_and_nothing_behind_it(write_model):
    tokenizer = AutoTokenizer.from_pretrained(write_model("policy", template=BREAKING))
    prompt = (Message("user", "hi"),)
    made = ResponseEncoder(tokenizer, 64).encode([prompt] * 2, ["yes", "yes"], [False, True])
    assert tokenizer.decode(made[0].tokens) == "[user]hi</s>\n[assistant]yes</s>"
    assert tokenizer.decode(made[1].tokens) == "[user]hi</s>\n[assistant]yes"
    assert [tokenizer.decode(one.tokens[one.start :]) for one in made] == ["yes</s>", "yes"]


def test_what_follows_the_end_of_a_turn_but_white_space_is_no_ending():
    tokenizer = word_tokenizer(WORDS, TEMPLATE)
    (made,) = ResponseEncoder(tokenizer, 64).encode([(Message("user", "w9"),)], ["w8"], [False])
    assert list(made.tokens[-4:]) == [8, EOS, 4, EOS]


def test_no_eos_token_is_refused():
    tokenizer = word_tokenizer(WORDS)
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no EOS token, from which a policy learns where a response ends"):
        ResponseEncoder(tokenizer, 64)


def test_too_long_rows_lose_the_prompts_left_or_are_left_out_and_counted():
    records = [
        [Generation("w5 w6 w7 w8 ", "w9 w10")],  # 8 tokens with BOS and EOS: fits
        [Generation("w5 w6 w7 w8 w9 ", "w10 w11"), Generation("w5 w6 w7 w8 w9 ", "w10")],
        [Generation("w5 ", " ".join(["w6"] * 8))],  # too long even without its prompt
        [Generation("w5 ", "w6", extra={"finish_reason": "length"})],
        [Generation("w5 ", "", extra={"finish_reason": "length"})],
    ]
    made = encode_demonstrations(records, encoder(8), "truncate_left")
    assert made.counts == {"truncated": 1, "dropped": 1, "cut": 2, "unlearnable": 1}
    assert [list(one.tokens) for one in made.examples[1].rows] == [
        [BOS, 6, 7, 8, 9, 10, 11, EOS],
        [BOS, 5, 6, 7, 8, 9, 10, EOS],
    ]
    assert [one.start for one in made.examples[1].rows] == [5, 6]
    assert made.left_out == (
        "record 3: has 11 tokens and the model takes 8",
        "record 5: the response has no tokens",
    )
    assert made.longest == 8
    dropped = encode_demonstrations(records, encoder(8), "drop")
    assert (dropped.counts["truncated"], dropped.counts["dropped"]) == (0, 2)
    assert [len(example.rows) for example in dropped.examples] == [1, 1, 1]
    with pytest.raises(DataError, match=r"^d.jsonl:2, response 1: has 9 tokens and the model takes 8"):
        encode_demonstrations(Labelled(records, [f"d.jsonl:{n}" for n in range(1, 6)]), encoder(8), "error")


def test_the_loss_is_the_mean_over_response_tokens_as_transformers_computes_it():
    model = word_policy(WORDS)
    records = [
        [Generation("w5 w6 w9 w9 " * 5, "w7 w8"), Generation("w5 w6 w9 w9 " * 5, "w9")],
        [Generation("w3 ", "w4 w5 w6 w7")],
    ]
    examples = encode_demonstrations(records, encoder(), "error").examples
    total, count = 0.0, 0
    with torch.no_grad():
        for example in examples:
            for one in example.rows:
                labels = torch.tensor([[-100] * one.start + list(one.tokens[one.start :])])
                loss = model(input_ids=torch.tensor([one.tokens]), labels=labels).loss
                total += float(loss) * one.length
                count += one.length
    objective, policy = SftObjective(), LanguageModel(model).requires_grad_(False)
    for packed in (False, prepare_for_packing(policy)):
        batch = objective.collate(examples, packed)
        losses, outputs = objective.losses(policy, batch)
        assert int(batch["items"]) == count == 10
        assert float(losses.sum() / batch["items"]) == pytest.approx(total / count, abs=1e-5)
        metrics = objective.metrics(objective.tally(batch, outputs))
        assert metrics["eval_perplexity"] == pytest.approx(math.exp(total / count), abs=1e-3)
    assert packed


def test_a_prompt_stands_once_for_its_responses():
    prompt = "w5 w6 w7 w8 " * 10
    records = [[Generation(prompt, f"w{n}") for n in range(3, 11)]]
    batch = SftObjective().collate(encode_demonstrations(records, encoder(), "error").examples, True)
    assert sum(len(part.tokens) for part in batch["packs"]) == 41 + 8 * 2


def lessons(*before):
    """Each word is answered by the next two, whatever stands before it."""
    return [[Generation(f"w{first} w{n} ", f"w{n + 1} w{n + 2}")] for first in before for n in range(3, 23)]


@pytest.mark.parametrize(("rank", "most"), [(0, 2), (4, 8)])
def test_a_policy_learns_what_it_is_shown_and_loads_as_a_plain_model(tmp_path, rank, most):
    model = word_policy(WORDS)
    model.save_pretrained(tmp_path / "start")
    start = AutoModelForCausalLM.from_pretrained(tmp_path / "start")
    training = TrainingConfig(
        learning_rate=1e-2, batch_prompts=10, max_steps=60, tensorboard=False, lora=LoraConfig(rank=rank)
    )
    train, held_out, out = (
        Labelled(lessons(30, 31, 32), origin={"name": "lessons"}),
        lessons(33),
        tmp_path / "out",
    )
    result = fit_sft(LanguageModel(start), encoder(), train, held_out, training, out)
    assert result.packed
    assert (result.steps, result.train, result.held_out) == (60, 60, 20)
    assert result.evaluation["eval_perplexity"] == pytest.approx(math.exp(result.evaluation["eval_loss"]))
    assert result.evaluation["eval_perplexity"] < most
    loaded = AutoModelForCausalLM.from_pretrained(out)
    assert not any("lora" in name for name in loaded.state_dict())
    tokens = torch.tensor([[BOS, 31, 7]])
    written = loaded.generate(
        tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=5
    )
    assert written[0, 3:].tolist() == [8, 9, EOS] or rank
    about = json.loads((out / "policy.json").read_text())
    assert (about["method"], about["data"], about["trained_on"]) == ("sft", {"name": "lessons"}, 60)
    assert about["training"]["learning_rate"] == 1e-2


def test_without_a_learning_rate_it_is_that_of_tuning(tmp_path):
    training = TrainingConfig(batch_prompts=30, max_steps=1, tensorboard=False)
    result = fit_sft(LanguageModel(word_policy(WORDS)), encoder(), lessons(30, 31), None, training, tmp_path)
    assert result.learning_rate == 1e-5


SHOWN = [{"prompt": f"p{n} ", "responses": [f"good {n % 7}", "good"], "id": f"r{n}"} for n in range(30)]
QUICK = ["--training.learning_rate", "1e-2", "--training.batch_prompts", "6"]


def arguments(policy, data, out, *more):
    return ["train", "sft", "--policy", policy, "--data", data, "--out", str(out), *QUICK, *more]


def test_the_command_leaves_a_policy_that_generates_and_says_what_was_done(
    policy_folder, write_rows, tmp_path, capsys
):
    rows = [
        *SHOWN,
        {"prompt": "q1 ", "responses": ["good", "go"], "finish_reasons": ["eos", "length"]},
        {"prompt": "q2 ", "response": "x" * 90},
        {"prompt": "q3 ", "response": "good", "finish_reason": "stop"},
    ]
    data, out = write_rows("d.jsonl", rows), tmp_path / "out"
    prompts = write_rows("p.jsonl", [{"prompt": "p3 "}, {"prompt": "zz "}])
    probe = ["--probe.data", prompts, "--probe.scorer", "rule:length", "--probe.max_new_tokens", "8"]
    main(arguments(policy_folder, data, out, "--training.max_steps", "40", *probe))
    said = capsys.readouterr().out
    assert "64 rows, 64 kept" in " ".join(said.split())
    assert f"{data}: 1 left out as too long; 1 cut by length, at whose cut no ending is taught" in said
    assert f"{data}:32: has 94 tokens and the model takes 48" in said
    assert "Held out: " in said
    assert f"evalkit generate --policy {out}" in said
    result = json.loads((out / "result.json").read_text())
    assert (result["steps"], result["train"] + result["held_out"]) == (40, 32)
    assert result["evaluation"]["eval_perplexity"] < 6
    about = json.loads((out / "policy.json").read_text())
    assert about["started_from"]["name"] == policy_folder
    assert len(about["started_from"]["hash"]) == 16
    assert about["data"]["source"] == data
    assert not (out / "checkpoints").exists()
    assert (out / "probe.jsonl").exists()
    main(["generate", "--policy", str(out), "--data", prompts, "--out", str(tmp_path / "g.jsonl"),
          "--temperature", "0", "--max_new_tokens", "12"])  # fmt: skip
    first = json.loads((tmp_path / "g.jsonl").read_text().splitlines()[0])
    assert first["responses"][0].startswith("good")


def test_an_end_in_the_middle_changes_no_weight_tied_ones_included(write_rows, tmp_path, monkeypatch):
    policy = str(tmp_path / "tied")
    word_policy(WORDS, tie_word_embeddings=True).save_pretrained(policy)
    word_tokenizer(WORDS).save_pretrained(policy)
    rows = [{"prompt": one.prompt, "response": one.response} for (one,) in lessons(30, 31)]
    data = write_rows("d.jsonl", rows)
    often = [f"--training.{name}" for name in ("max_steps=40", "checkpoint_steps=10", "evaluation_steps=10")]
    often += ["--training.early_stopping", "9"]
    out, whole = tmp_path / "out", tmp_path / "whole"
    save = PackedTrainer._save_checkpoint

    def save_and_die(self, *more):
        save(self, *more)
        if self.state.global_step == 20:
            raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(PackedTrainer, "_save_checkpoint", save_and_die)
        with pytest.raises(SystemExit) as stop:
            main(arguments(policy, data, out, *often))
    assert stop.value.code == 130
    assert not (out / "model.safetensors").exists()
    for folder in (out, whole):
        main(arguments(policy, data, folder, *often))
    for name in ("model.safetensors", "policy.json", "result.json"):
        assert digest(out / name) == digest(whole / name), name


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--training.lora.rank", "4", "--training.lora.merge", "false"], "training.lora.merge false"),
        (["--training.margin"], "training.margin is of reward models"),
        (["--training.max_length", "4000"], "training.max_length 4000: the model takes 48 tokens"),
        (["--training.over_long", "error"], "d.jsonl:31: has 94 tokens and the model takes 48"),
        (["--policy", "nowhere/at all"], "nowhere/at all"),
        (["--evaluation_data", "none.jsonl"], "none.jsonl: no such file"),
        (["--rename", '{"a": "prompt"}'], "no column 'a' to rename"),
    ],
)
def test_wrong_input_is_one_line(policy_folder, write_rows, tmp_path, capsys, more, said):
    data = write_rows("d.jsonl", [*SHOWN, {"prompt": "q2 ", "response": "x" * 90}])
    with pytest.raises(SystemExit) as stop:
        main(arguments(policy_folder, data, tmp_path / "out", *more))
    error = capsys.readouterr().err
    assert (stop.value.code, error.count("\n")) == (2, 1)
    assert said in error
    assert not (tmp_path / "out").exists()


def test_a_reward_model_is_no_policy_and_nothing_to_learn_is_said(
    reward_folder, policy_folder, write_rows, tmp_path, capsys
):
    data = write_rows("d.jsonl", SHOWN)
    empty = write_rows("e.jsonl", [{"prompt": "p", "response": "", "finish_reason": "length"}])
    for policy, rows, said in (
        (reward_folder, data, "is no trained language model"),
        (policy_folder, empty, "nothing to train on: no record is left"),
    ):
        with pytest.raises(SystemExit):
            main(arguments(policy, rows, tmp_path / "out"))
        assert said in capsys.readouterr().err


def test_a_loss_that_is_no_number_stops_the_run_with_its_checkpoint_whole(
    policy_folder, write_rows, tmp_path, capsys
):
    data, out = write_rows("d.jsonl", SHOWN), tmp_path / "out"
    line = arguments(
        policy_folder, data, out, "--training.max_steps", "30", "--training.checkpoint_steps", "1"
    )
    with pytest.raises(SystemExit) as stop:
        main([*line, "--training.learning_rate", "1e18", "--training.max_gradient_norm", "0"])
    error = capsys.readouterr().err
    assert (stop.value.code, error.count("\n")) == (2, 1)
    assert "so that training ends here; the last checkpoint is kept" in error
    assert list((out / "checkpoints").glob("checkpoint-*/trainer_state.json"))
