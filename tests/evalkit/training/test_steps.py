"""`evalkit train process` and `train correctness`: folders, scores, what is said, and what is refused."""

import json
from pathlib import Path

import pytest

from evalkit.cli import main
from rewards.records import Generation
from rewards.scorer import load_scorer

SIZES = ["--body.hidden_size", "16", "--body.heads", "2", "--body.layers", "1", "--body.context", "48"]
FAST = [
    "--training.learning_rate",
    "1e-2",
    "--training.batch_prompts",
    "16",
    "--training.tensorboard",
    "false",
]
ONCE = ["--training.max_steps", "1", "--training.checkpoint_steps", "9", "--training.evaluation_steps", "9"]


def solution(number: int) -> dict[str, object]:
    """Steps of two letters; one with an x is wrong, and labels stop there."""
    steps = ["ab"[number % 2] + "cde"[number % 3], ("x" if number % 5 == 0 else "y") + "fg"[number % 2], "hh"]
    labels = [1, 0, None] if number % 5 == 0 else [1, 1, 1]
    return {"id": f"s{number}", "prompt": f"p{number % 30}:\n", "completions": steps, "labels": labels}


def graded(number: int) -> dict[str, object]:
    right, wrong = f"{'abc'[number % 3]}good", f"{'cab'[number % 3]}bad"
    return {
        "id": f"g{number}",
        "prompt": f"p{number % 30}:",
        "responses": [right, wrong],
        "corrects": [True, 0],
    }


def arguments(kind: str, data: str, tokenizer: str, out: object, *more: str) -> list[str]:
    return [
        *("train", kind, "--data", data, "--out", str(out), "--body.tokenizer", tokenizer),
        *SIZES,
        *FAST,
        *more,
    ]


def refused(line: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which a command is refused; nothing of its run is left."""
    with pytest.raises(SystemExit) as stop:
        main(line)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert not Path(line[line.index("--out") + 1]).exists()
    return said


@pytest.fixture(scope="module")
def process(tmp_path_factory, reward_folder):
    folder = tmp_path_factory.mktemp("process")
    data = folder / "steps.jsonl"
    data.write_text("".join(json.dumps(solution(number)) + "\n" for number in range(90)))
    main(arguments("process", str(data), reward_folder, folder / "prm", "--training.max_steps", "30"))
    return folder / "prm", data


@pytest.fixture(scope="module")
def correctness(tmp_path_factory, reward_folder):
    folder = tmp_path_factory.mktemp("correctness")
    data = folder / "graded.jsonl"
    data.write_text("".join(json.dumps(graded(number)) + "\n" for number in range(60)))
    main(arguments("correctness", str(data), reward_folder, folder / "orm", "--training.max_steps", "30"))
    return folder / "orm", data


def test_the_folder_of_a_process_model_says_what_was_done(process):
    from transformers import AutoModelForTokenClassification

    folder, data = process
    result = json.loads((folder / "result.json").read_text())
    assert (result["train_prompts"], result["held_out_prompts"]) == (81, 9)
    assert result["labels"] == {"right": 234, "wrong": 18, "unlabelled": 18, "unlabelled solutions": 0}
    assert result["evaluation"]["eval_accuracy"] == 1.0
    assert (result["left_out"], result["packed"]) == ([], True)
    sidecar = json.loads((folder / "evalkit.json").read_text())
    assert (sidecar["kind"], sidecar["separator"], sidecar["append_eos"]) == ("process", "\n", False)
    assert (sidecar["threshold"], result["threshold"]) == (0.5, None)  # no erroneous one is held out
    assert sidecar["trained_on"]["source"] == str(data)
    assert AutoModelForTokenClassification.from_pretrained(folder).config.id2label == {0: "wrong", 1: "right"}


def test_rows_without_steps_are_cut_and_scored(process, write_rows, tmp_path):
    folder, _ = process
    rows = [{"prompt": "new:\n", "responses": ["ac\nyf\nhh\n", "ac\nxf\nhh"], "id": "r"}]
    out = tmp_path / "scored.jsonl"
    main(["score", "--scorer", str(folder), "--data", write_rows("d.jsonl", rows), "--out", str(out)])
    row = json.loads(out.read_text())
    assert [len(steps) for steps in row["scores_steps"]] == [3, 3]
    good, bad = row["scores"]
    assert good > 0.5 > bad
    assert row["scores_aspects"] == [{"product": good}, {"product": bad}]
    weakest = load_scorer(f"{folder}?aggregation=min").score([Generation("new:\n", "ac\nxf\nhh")])[0]
    assert weakest.value == min(weakest.steps) == pytest.approx(min(row["scores_steps"][1]), abs=1e-6)


def test_an_empty_response_is_named_and_ensembles_take_process_models(process, write_rows, tmp_path, capsys):
    folder, _ = process
    data = write_rows(
        "d.jsonl", [{"prompt": "p", "response": "ac\n"}, {"prompt": "p", "response": "", "id": "e"}]
    )
    line = ["score", "--scorer", str(folder), "--data", data, "--out", str(tmp_path / "o.jsonl")]
    with pytest.raises(SystemExit) as stop:
        main(line)
    assert stop.value.code == 2
    assert "d.jsonl:2, id 'e': an empty response has no steps" in capsys.readouterr().err
    one = Generation("new:\n", "ac\nxf\n")
    (alone,) = load_scorer(str(folder)).score([one])
    (both,) = load_scorer(f"ensemble:{folder},{folder}?combine=mean").score([one])
    assert both.value == pytest.approx(alone.value)


def test_a_changed_tokenizer_is_refused(process, tmp_path):
    import shutil

    from rewards.errors import ModelError

    folder = tmp_path / "prm"
    shutil.copytree(process[0], folder)
    sidecar = json.loads((folder / "evalkit.json").read_text())
    moved = {**sidecar, "separator_token": sidecar["separator_token"] + 1}
    (folder / "evalkit.json").write_text(json.dumps(moved))
    with pytest.raises(ModelError, match=r"the separator '\\n' was token \d+ and is \d+"):
        load_scorer(str(folder))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    words["a"], words["e"] = words["e"], words["a"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match="is not the one it was trained with"):
        load_scorer(str(folder))
    (folder / "evalkit.json").write_text(json.dumps({**sidecar, "kind": "steps"}))
    with pytest.raises(ModelError, match="kind is one of outcome, process, aspects, spans; got 'steps'"):
        load_scorer(str(folder))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": [1, 1]}, ["steps.jsonl:3", "s2", "3 steps but 2 labels"]),
        ({"labels": [1, 1, 2]}, ["steps.jsonl:3", "s2", "[0, 1]"]),
        ({"response": "bd\nyf\n"}, ["steps.jsonl:3", "s2", "steps that join to the response"]),
        ({"completions": ["a" * 60] * 3}, ["steps.jsonl:3", "s2", "has ", " tokens and the model takes 48"]),
        ({"completions": [], "labels": []}, ["steps.jsonl:3", "s2", "a solution without steps"]),
    ],
)
def test_a_broken_solution_is_named_by_file_line_and_id(
    change, words, reward_folder, write_rows, tmp_path, capsys
):
    rows = [solution(number) for number in range(20)]
    rows[2] |= change
    line = arguments("process", write_rows("steps.jsonl", rows), reward_folder, tmp_path / "prm", *ONCE)
    said = refused([*line, "--training.over_long", "error"], capsys)
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--process.separator", "ки"], "not one token that is the same wherever it stands"),
        (["--process.separator", ""], "process.separator is a text"),
        (["--training.margin", "true"], "training.margin is of pairs"),
        (["--training.centering", "0.1"], "training.centering is of pairs"),
        (["--training.early_stopping", "1", "--training.evaluation_share", "0"], "needs held-out prompts"),
        (["--training.max_length", "49"], "the model takes 48 tokens"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, words, process, reward_folder, tmp_path, capsys):
    line = arguments("process", str(process[1]), reward_folder, tmp_path / "prm", *ONCE, *options)
    assert words in refused(line, capsys)


def test_what_is_left_out_is_counted_and_named(reward_folder, write_rows, tmp_path, capsys):
    rows = [solution(number) for number in range(20)]
    rows[4] |= {"completions": ["a" * 30] * 3}
    rows[7] |= {"labels": [None] * 3}
    # What stands behind the last label is not read, so that it may be as long as it likes.
    rows[10] = {"id": "s10", "prompt": "p:\n", "completions": ["ab", "x" * 60], "labels": [0, None]}
    rows[11] |= {"prompt": "q" * 60 + "\n"}
    data = write_rows("steps.jsonl", rows)
    main(arguments("process", data, reward_folder, tmp_path / "prm", *ONCE))
    result = json.loads((tmp_path / "prm" / "result.json").read_text())
    assert (result["truncated"], result["dropped"], result["train_prompts"]) == (1, 1, 16)
    assert result["held_out_prompts"] == 2
    assert result["labels"]["unlabelled solutions"] == 1
    assert result["left_out"] == [
        f"{data}:5: id 's4': has 97 tokens and the model takes 48",
        f"{data}:8: id 's7': no step has a label",
    ]
    said = " ".join(capsys.readouterr().out.split())
    assert "1 with a shortened prompt, 1 left out as too long" in said
    assert "Left out: 2 solutions, all told in" in said
    assert "1 solutions have none" in said


def test_nothing_to_train_on_says_why(reward_folder, write_rows, tmp_path, capsys):
    data = write_rows("long.jsonl", [{**solution(n), "completions": ["a" * 60] * 3} for n in range(5)])
    said = refused(arguments("process", data, reward_folder, tmp_path / "prm", *ONCE), capsys)
    assert "nothing to train on" in said
    assert "5 left out; the first is" in said
    assert f"{data}:1: id 's0': has" in said
    good = write_rows("steps.jsonl", [solution(n) for n in range(10)])
    line = arguments("process", good, reward_folder, tmp_path / "prm", "--evaluation_data", data, *ONCE)
    assert "nothing to evaluate on" in refused(line, capsys)


def test_held_out_prompts_that_are_trained_on_are_refused(process, reward_folder, tmp_path, capsys):
    data = str(process[1])
    line = arguments("process", data, reward_folder, tmp_path / "prm", "--evaluation_data", data, *ONCE)
    assert "30 held-out prompts are also trained on" in refused(line, capsys)


def test_a_separator_that_is_new_becomes_a_token(process, reward_folder, tmp_path):
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    options = ["--process.separator", " ки", "--process.add_token", "true", "--process.aggregation", "mean"]
    # A body that is read has its embeddings enlarged; one that is new is made with them.
    line = [*arguments("process", str(process[1]), reward_folder, tmp_path / "prm", *ONCE), *options]
    at = line.index("--body.tokenizer")
    main([*line[:at], "--body.name", reward_folder, *line[at + 2 :], "--process.wrong_weight", "0"])
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "prm").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "prm")
    assert model.get_input_embeddings().num_embeddings == len(tokenizer) == 260
    ids = tokenizer("p:ac kи ки b ки".replace("kи", "k"), return_tensors="pt")["input_ids"]
    with torch.no_grad():
        chances = model(ids).logits[0].softmax(-1)[:, 1]
    ends = (ids[0] == 259).nonzero()[:, 0]
    (score,) = load_scorer(str(tmp_path / "prm")).score([Generation("p:", "ac k ки b")])
    assert score.steps == pytest.approx(chances[ends].tolist(), abs=1e-5)
    assert dict(score.aspects) == {"mean": pytest.approx(sum(score.steps) / 2)}


def test_a_separator_that_is_a_token_is_not_added_again(process, reward_folder, tmp_path):
    line = arguments("process", str(process[1]), reward_folder, tmp_path / "prm", *ONCE)
    main([*line, "--process.add_token", "true"])
    assert json.loads((tmp_path / "prm" / "config.json").read_text())["vocab_size"] == 259


@pytest.mark.parametrize("add", ["true", "false"])
def test_adapters_kept_apart_score_as_merged_ones(process, reward_folder, tmp_path, add):
    pytest.importorskip("peft")
    line = arguments("process", str(process[1]), reward_folder, tmp_path / "unused", *ONCE)
    at, out = line.index("--body.tokenizer"), line.index("--out")
    line = [*line[:at], "--body.name", reward_folder, *line[at + 2 :], "--training.lora.rank", "2"]
    if add == "true":
        line += ["--process.add_token", "true", "--process.separator", " ки"]
    scores = []
    for merge in ("true", "false"):
        line[out + 1] = str(tmp_path / merge)
        main([*line, "--training.lora.merge", merge])
        scores.append(load_scorer(str(tmp_path / merge)).score([Generation("p:", "ac\nxf\n")])[0])
    assert (tmp_path / "false" / "adapter_config.json").exists()
    assert scores[0].steps == pytest.approx(scores[1].steps, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "packed"),
    [
        (["--body.family", "gpt2"], True),  # whose BOS is token 50256 unless told otherwise
        (["--body.family", "modernbert"], False),  # whose head is more than a layer
        (["--training.dtype", "bfloat16", "--training.gradient_checkpointing", "true"], True),
    ],
)
def test_other_bodies_and_formats_train_and_score(process, reward_folder, tmp_path, capsys, options, packed):
    main(arguments("process", str(process[1]), reward_folder, tmp_path / "prm", *ONCE, *options))
    assert json.loads((tmp_path / "prm" / "result.json").read_text())["packed"] == packed
    (score,) = load_scorer(str(tmp_path / "prm")).score([Generation("p:\n", "ac\nyf\n")])
    assert all(0 < step < 1 for step in score.steps)
    assert "transformers" not in capsys.readouterr().err


def test_a_model_of_graded_solutions_tells_them_apart(correctness, write_rows, capsys):
    from transformers import AutoModelForSequenceClassification

    folder, _ = correctness
    result = json.loads((folder / "result.json").read_text())
    assert (result["train_prompts"], result["held_out_prompts"]) == (108, 12)
    assert result["labels"] == {"right": 60, "wrong": 60}
    assert result["evaluation"]["eval_accuracy"] == 1.0
    trained_on = json.loads((folder / "evalkit.json").read_text())["trained_on"]
    assert trained_on["tokens"] == "all"
    assert trained_on["screening"]["found"] == {"duplicates": 60}  # the two responses of a row share its id
    assert AutoModelForSequenceClassification.from_pretrained(folder).config.num_labels == 1
    good, bad, empty = load_scorer(str(folder)).score(
        [Generation("new:", text) for text in ("agood", "abad", "")]
    )
    assert good.value > bad.value
    assert empty.steps == ()
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "score",
                "--scorer",
                f"{folder}?weights=a:1",
                "--data",
                write_rows("d.jsonl", [{}]),
                "--out",
                "o.jsonl",
            ]
        )
    assert stop.value.code == 2
    assert "unknown option 'weights'; known: eos, dtype" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"corrects": None}, ["graded.jsonl:3"]),
        ({"corrects": [True]}, ["graded.jsonl:3", "corrects"]),
        ({"corrects": [True, "perhaps"]}, ["graded.jsonl:3", "g2", "true, false or a number in [0, 1]"]),
        ({"corrects": [True, 3]}, ["graded.jsonl:3", "g2", "true, false or a number in [0, 1]"]),
        ({"responses": ["a" * 60, "b"]}, ["graded.jsonl:3", "g2", " tokens and the model takes 48"]),
    ],
)
def test_a_broken_graded_row_is_named(change, words, reward_folder, write_rows, tmp_path, capsys):
    rows = [graded(number) for number in range(20)]
    rows[2] |= change
    line = arguments("correctness", write_rows("graded.jsonl", rows), reward_folder, tmp_path / "orm", *ONCE)
    said = refused([*line, "--training.over_long", "error"], capsys)
    for word in words:
        assert word in said


def test_graded_solutions_need_a_body_that_is_read_at_its_tokens(
    correctness, reward_folder, tmp_path, capsys
):
    line = arguments("correctness", str(correctness[1]), reward_folder, tmp_path / "orm", *ONCE)
    said = refused([*line, "--body.family", "bert"], capsys)
    assert "BertForSequenceClassification scores a response in a way of its own" in said


@pytest.mark.parametrize("column", ["correct", "label"])
def test_one_response_a_row_and_the_last_token_alone(reward_folder, write_rows, tmp_path, column):
    rows = [{"prompt": f"p{n}", "response": "good" if n % 2 else "bad", column: n % 2} for n in range(20)]
    line = arguments("correctness", write_rows("g.jsonl", rows), reward_folder, tmp_path / "orm", *ONCE)
    main([*line, "--label", column, "--tokens", "last"])
    result = json.loads((tmp_path / "orm" / "result.json").read_text())
    assert result["labels"] == {"right": 10, "wrong": 10}
