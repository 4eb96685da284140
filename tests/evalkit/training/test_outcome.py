"""`evalkit train outcome`: the folder it leaves, what it prints, and a kill in the middle."""

import json
import signal
import time
from pathlib import Path

import pytest

from evalkit.cli import main
from tests.evalkit.training.training_kills import digest
from tests.processes import Forked, command_code

SIZES = ["--body.hidden_size", "16", "--body.heads", "2", "--body.layers", "1", "--body.context", "48"]
PAIRS = [
    {"prompt": f"p{n % 40}", "chosen": "good " + "abcdefgh"[n % 8], "rejected": "bad " + "hgfedcba"[n % 8]}
    for n in range(120)
]


def arguments(data: str, tokenizer: str, out: Path, *more: str) -> list[str]:
    training = ["--training.learning_rate", "1e-2", "--training.batch_prompts", "8"]
    required = ["--data", data, "--out", str(out), "--body.tokenizer", tokenizer]
    return ["train", "outcome", *required, *SIZES, *training, *more]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, reward_folder):
    """A model trained on pairs in which the good answer says so, its data, and its arguments."""
    folder = tmp_path_factory.mktemp("trained")
    data = folder / "pairs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    line = arguments(str(data), reward_folder, folder / "model", "--training.max_steps", "60")
    main(line)
    return folder / "model", str(data), line


def test_the_folder_says_what_was_done(trained):
    model, data, _ = trained
    result = json.loads((model / "result.json").read_text())
    assert result["steps"] == 60
    assert (result["train_prompts"], result["held_out_prompts"]) == (
        108,
        12,
    )  # of 40 prompts with 3 pairs each, 4
    assert result["evaluation"]["eval_accuracy"] == 1.0
    sidecar = json.loads((model / "evalkit.json").read_text())
    assert sidecar["kind"] == "outcome"
    assert sidecar["scale"] == result["scale"]
    assert sidecar["trained_on"]["source"] == data
    record = json.loads((model / "run.json").read_text())
    assert record["configuration"]["training"]["max_steps"] == 60
    assert not (model / "checkpoints").exists()


def test_the_model_scores_by_command_and_tells_good_from_bad(trained, tmp_path):
    model, _, _ = trained
    data, out = tmp_path / "d.jsonl", tmp_path / "o.jsonl"
    data.write_text(json.dumps({"prompt": "new", "responses": ["bad x", "good x", "bad y", "good y"]}) + "\n")
    main(["score", "--scorer", str(model), "--data", str(data), "--out", str(out)])
    scores = json.loads(out.read_text())["scores"]
    assert min(scores[1], scores[3]) > max(scores[0], scores[2])


def test_a_finished_model_is_not_trained_again_unasked(trained, capsys):
    model, _, line = trained
    before = {path.name: path.stat().st_mtime_ns for path in model.iterdir()}
    with pytest.raises(SystemExit) as stop:
        main(line)
    assert stop.value.code == 2
    assert "exists and is finished; --overwrite" in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in model.iterdir()} == before


def test_a_held_out_file_is_what_is_measured(trained, reward_folder, tmp_path, capsys):
    _, data, _ = trained
    held_out = tmp_path / "held_out.jsonl"
    rows = [{"prompt": f"new {n}", "chosen": "bad", "rejected": "good"} for n in range(5)]
    rows.append({"prompt": "new", "chosen": "bad " * 50, "rejected": "good"})
    held_out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = arguments(data, reward_folder, tmp_path / "model", "--training.max_steps", "30")
    main([*line, "--evaluation_data", str(held_out)])
    result = json.loads((tmp_path / "model" / "result.json").read_text())
    assert (result["train_prompts"], result["held_out_prompts"]) == (120, 5)
    assert result["evaluation"]["eval_accuracy"] == 0.0  # its labels are the other way round
    said = " ".join(capsys.readouterr().out.split())
    assert "ranks 0.0% of their pairs right Warning: that is no better than chance" in said
    assert "held_out.jsonl: 0 with a shortened prompt, 1 left out as too long" in said
    assert "learning rate 0.01" in said


def test_a_limit_and_other_column_names_are_respected(reward_folder, tmp_path):
    data = tmp_path / "d.jsonl"
    rows = [{"question": f"q{n}", "better": "good", "worse": "bad"} for n in range(30)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = {"question": "prompt", "better": "chosen", "worse": "rejected"}
    options = ["--limit", "20", "--rename", json.dumps(names), "--training.max_steps", "2"]
    main(arguments(str(data), reward_folder, tmp_path / "model", *options))
    result = json.loads((tmp_path / "model" / "result.json").read_text())
    assert (result["train_prompts"], result["held_out_prompts"]) == (18, 2)


def test_a_kill_in_the_middle_changes_no_weight_and_no_result(trained, reward_folder, tmp_path):
    _, data, _ = trained
    often = ["--training.max_steps", "200", "--training.checkpoint_steps", "20"]
    whole, out = tmp_path / "whole", tmp_path / "out"
    undisturbed = Forked(command_code(arguments(data, reward_folder, whole, *often)))
    line = arguments(data, reward_folder, out, *often)
    killed = Forked(command_code(line))
    state = out / "checkpoints" / "checkpoint-60" / "trainer_state.json"
    while killed.poll() is None and not state.exists():
        time.sleep(0.002)
    killed.send_signal(signal.SIGSTOP)
    try:
        beside = Forked(command_code(line)).completed()
    finally:
        killed.send_signal(signal.SIGKILL)
    assert (beside.returncode, beside.stderr.count("\n")) == (2, 1)
    assert "another process is writing it" in beside.stderr
    assert killed.wait() == -signal.SIGKILL
    assert not (out / "model.safetensors").exists()
    again = Forked(command_code(line)).completed()
    assert again.returncode == 0, again.stderr
    assert undisturbed.wait() == 0
    for name in ("model.safetensors", "evalkit.json", "result.json"):
        assert digest(out / name) == digest(whole / name), name


def test_a_begun_run_refuses_changed_data(trained, reward_folder, tmp_path, capsys):
    _, data, _ = trained
    mine = tmp_path / "pairs.jsonl"
    mine.write_text(Path(data).read_text())
    line = arguments(str(mine), reward_folder, tmp_path / "model", "--training.max_steps", "2")
    main(line)
    (tmp_path / "model" / "result.json").unlink()  # the last file to be written: it is unfinished now
    mine.write_text(Path(data).read_text().replace("good", "fine"))
    with pytest.raises(SystemExit) as stop:
        main(line)
    assert stop.value.code == 2
    assert "another configuration or input" in capsys.readouterr().err
