"""`evalkit judge` with a small model behind a real OpenAI-compatible endpoint, `transformers serve`."""

import json
import os
import random
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from evalkit.cli import main
from judges.questions.question import AnswerForm
from judges.questions.templates import Template, form_text
from tests.judges.tiny_judge import answers, teach

pytest.importorskip("fastapi", reason="transformers serve needs fastapi")
pytest.importorskip("uvicorn", reason="transformers serve needs uvicorn")

COUNT = 12
PROMPT = """For a model that knows few words; the others are all one to it.
=== user ===
{prompt} {form} Which answer is better ? first
{first}
second
{second}
end Verdict :
"""
OPTIONS = "ties=false&max_tokens=8"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with the model, its prompt and two systems' responses, and the address of its server."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "prompt.txt").write_text(PROMPT)
    template = Template.load("pairwise", str(folder / "prompt.txt"))
    said = {"form": form_text(AnswerForm(ties=False)), "quality": ""}

    def asked(first, second):
        (message,) = template.messages("Say something .", {"first": first, "second": second}, said)
        return message.content

    assert teach(folder / "model", asked, steps=120) == 1.0
    generator = random.Random(1)
    pairs = [answers(generator) for _ in range(COUNT)]
    for side, name in enumerate(("ours", "theirs")):
        rows = [{"prompt": f"Say item {n} .", "response": pair[side]} for n, pair in enumerate(pairs)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log, transformers = folder / "serve.log", Path(sys.executable).with_name("transformers")
    with log.open("w") as output:
        process = subprocess.Popen(
            [transformers, "serve", "--host=127.0.0.1", f"--port={port}", "--device=cpu", "--dtype=float32"],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield folder, f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=10)


def wait_for(address, process, log):
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture
def judge(world, monkeypatch, capsys):
    """Return a function that runs the command and returns its rows and what it printed."""
    folder, url = world
    monkeypatch.chdir(folder)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def run(spec, *options):
        files = ("--first", "ours.jsonl", "--second", "theirs.jsonl", "--out", "v.jsonl", "--overwrite")
        main(["judge", "--judge", spec, *files, "--base_url", url, "--concurrency", "4", *options])
        return [
            json.loads(line) for line in Path("v.jsonl").read_text().splitlines()
        ], capsys.readouterr().out

    return run


def right(row):
    return "first" if "right" in row["first"].split() else "second"


def test_every_verdict_is_right_in_both_orders_and_a_second_run_asks_nothing(world, judge):
    spec = f"openai:{world[0]}/model?prompt=prompt.txt&{OPTIONS}"
    rows, printed = judge(spec)
    assert Counter((row["id"], row["swapped"]) for row in rows) == {
        (str(n), swapped): 1 for n in range(1, COUNT + 1) for swapped in (False, True)
    }
    assert [row["winner"] for row in rows] == [right(row) for row in rows]
    assert {row["winner"] for row in rows} == {"first", "second"}
    # The server's own count of tokens: the verdict and the end.
    assert {row["tokens_out"] for row in rows} == {2}
    assert all(row["tokens_in"] > 50 and row["latency"] > 0 for row in rows)
    assert f"{2 * COUNT} calls" in printed
    again, printed = judge(spec)
    assert again == rows
    assert f"{2 * COUNT} answers were there before" in printed
    assert "calls" not in printed


def test_log_probabilities_that_the_server_does_not_give_are_told(world, judge):
    rows, printed = judge(
        f"openai:{world[0]}/model?prompt=prompt.txt&{OPTIONS}&logprobs=true", "--limit", "2", "--order", "one"
    )
    assert [row["winner"] for row in rows] == [right(row) for row in rows]
    assert "no reply came with log-probabilities" in printed


def test_a_model_that_the_server_cannot_load_is_one_line(world, judge, capsys):
    with pytest.raises(SystemExit) as stop:
        judge(f"openai:{world[0]}/nothing", "--tries", "1")
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{world[0]}/nothing: " in error
    # 500, or the end of the connection on which the one before was said
    assert re.search(r"the last 20 questions all failed, the last of them: (500|connection cut)", error)
    assert "see its log, and whether it serves this model" in error
