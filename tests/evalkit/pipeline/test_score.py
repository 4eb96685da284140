"""`evalkit score`: what is written beside a row, kills at any moment, the memory of a large file."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from evalkit.cli import main
from evalkit.pipeline.config import ScoreFile
from evalkit.pipeline.score import run, score_rows
from rewards.errors import ConfigError, DataError, ScoringError
from rewards.files import read_rows
from rewards.records import Score, Span
from rewards.scorers.rules import Column, Constant, Length
from tests.processes import Forked, command_code

ROOT = str(Path(__file__).parents[3])
ENVIRONMENT = {**os.environ, "PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def read(path: str | Path) -> list[dict[str, object]]:
    return [row.values for row in read_rows(path)]


@pytest.fixture
def score(write_rows, tmp_path):
    def call(rows, **settings):
        data = write_rows("data.jsonl", rows)
        out = tmp_path / "out.jsonl"
        run(ScoreFile(**{"scorer": "rule:length", "data": data, "out": str(out), **settings}))
        return read(out)

    return call


def test_a_row_keeps_its_columns_and_gains_its_score(score):
    rows = [
        {"prompt": "p", "response": "four", "id": 7, "source": {"a": [1, None]}},
        {"id": "x", "response": "", "prompt": "p", "score_of_others": 2},
    ]
    assert score(rows) == [{**rows[0], "score": 4.0}, {**rows[1], "score": 0.0}]


def test_several_responses_gain_a_list_in_their_order(score):
    rows = [{"prompt": "p", "responses": ["ccc", "a", "ccc"]}, {"prompt": "q", "response": "bb"}]
    assert score(rows) == [{**rows[0], "scores": [3.0, 1.0, 3.0]}, {**rows[1], "score": 2.0}]


def test_a_null_response_beside_responses_is_no_response(score):
    rows = [{"prompt": "p", "response": None, "responses": ["a", "bb"]}]
    assert score(rows)[0]["scores"] == [1.0, 2.0]


def test_step_scores_of_several_responses_are_kept(score):
    rows = [{"prompt": "p", "responses": ["a", "bb"], "steps": [["a"], ["b", "b"]]}]
    assert score(rows, scorer="rule:constant?value=0.9")[0]["scores_steps"] == [[0.9], [0.9, 0.9]]


def test_dates_of_a_parquet_file_are_written_as_text(tmp_path):
    import pyarrow
    import pyarrow.parquet

    data, out = tmp_path / "data.parquet", tmp_path / "out.jsonl"
    day = datetime(2026, 1, 2, 3, 4, 5)
    pyarrow.parquet.write_table(pyarrow.table({"prompt": ["p"], "response": ["a"], "made": [day]}), data)
    run(ScoreFile(scorer="rule:length", data=str(data), out=str(out)))
    assert read(out) == [{"prompt": "p", "response": "a", "made": "2026-01-02T03:04:05", "score": 1.0}]


def test_what_json_cannot_say_names_row_and_field_and_leaves_nothing(tmp_path, capsys):
    data = tmp_path / "data.jsonl"
    data.write_text('{"prompt": "p", "response": "a"}\n{"prompt": "p", "response": "a", "loss": NaN}\n')
    with pytest.raises(SystemExit) as stop:
        main(["score", "--scorer", "rule:length", "--data", str(data), "--out", str(tmp_path / "out.jsonl")])
    assert stop.value.code == 2
    assert "row 2: field 'loss'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [data]


def test_an_output_that_is_the_input_is_refused(write_rows):
    data = write_rows("data.jsonl", [{"prompt": "p", "response": "a"}])
    before = Path(data).read_bytes()
    with pytest.raises(ConfigError, match="is the input too"):
        run(ScoreFile(scorer="rule:length", data=data, out=data, overwrite=True))
    assert Path(data).read_bytes() == before


def test_numbers_that_a_csv_file_spells_are_scores(tmp_path):
    data, out = tmp_path / "data.csv", tmp_path / "out.jsonl"
    data.write_text("prompt,response,quality\np,a,0.5\n")
    run(ScoreFile(scorer="column:quality", data=str(data), out=str(out)))
    assert read(out)[0]["score"] == 0.5


def test_a_second_score_takes_another_column(score, tmp_path):
    once = score([{"prompt": "p", "responses": ["a", "bb"]}])
    with pytest.raises(DataError, match=r"data.jsonl:1: field 'scores': .*--column NAME"):
        score(once, overwrite=True)
    assert read(tmp_path / "out.jsonl") == once
    twice = score(once, scorer="rule:length?weight=-1", column="shortness", overwrite=True)
    assert twice == [{**once[0], "shortnesss": [-1.0, -2.0]}]


def test_renamed_columns_are_scored_and_written_by_our_names(score):
    rows = [{"question": "q", "answer": "long"}]
    assert score(rows, rename={"question": "prompt", "answer": "response"}) == [
        {"prompt": "q", "response": "long", "score": 4.0}
    ]


def test_steps_have_their_own_scores(score):
    rows = [{"prompt": "p", "response": "ab", "steps": ["a", "b"]}, {"prompt": "p", "response": "ab"}]
    written = score(rows, scorer="rule:constant?value=0.5")
    assert written == [{**rows[0], "score": 0.5, "score_steps": [0.5, 0.5]}, {**rows[1], "score": 0.5}]


class Parts:
    """A scorer with parts."""

    def score(self, generations):
        return [Score(1.0, spans=(Span(0, 1, "fact", -1.0),), aspects={"clear": 2.0}) for _ in generations]


def test_aspects_and_spans_stand_beside_the_score(write_rows):
    data = write_rows(
        "d.jsonl", [{"prompt": "p", "response": "ab"}, {"prompt": "p", "responses": ["a", "b"]}]
    )
    one, several = score_rows(list(read_rows(data)), Parts())
    span = {"start": 0, "end": 1, "aspect": "fact", "label": -1.0}
    assert one["score_aspects"] == {"clear": 2.0}
    assert one["score_spans"] == [span]
    assert several["scores_aspects"] == [{"clear": 2.0}, {"clear": 2.0}]
    assert several["scores_spans"] == [[span], [span]]


def test_a_row_without_a_score_is_named_by_its_place(write_rows):
    rows = [{"prompt": "p", "responses": ["a", "b"], "c": [1, 2]}, {"prompt": "p", "response": "a", "c": "x"}]
    with pytest.raises(ScoringError, match=r"d\.jsonl:2"):
        list(score_rows(list(read_rows(write_rows("d.jsonl", rows))), Column("c")))


def test_all_rows_of_a_chunk_are_scored_together(write_rows, monkeypatch):
    asked = []
    monkeypatch.setattr(
        Length, "score", lambda _, all_of: asked.append(len(all_of)) or Constant(0).score(all_of)
    )
    data = write_rows("d.jsonl", [{"prompt": "p", "responses": ["a", "b"]}] * 7)
    run(ScoreFile("rule:length", data, f"{data}.out.jsonl", chunk_rows=3))
    assert asked == [6, 6, 2]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_chunks_do_not_show_in_the_output(write_rows, tmp_path, suffix):
    data = write_rows("d.jsonl", [{"prompt": "p", "response": "x" * n} for n in range(20)])
    outs = [tmp_path / f"{size}{suffix}" for size in (1, 7, 20, 4096)]
    for out, size in zip(outs, (1, 7, 20, 4096), strict=True):
        run(ScoreFile("rule:length", data, str(out), chunk_rows=size))
    assert [row["score"] for row in read(outs[0])] == list(range(20))
    assert len({out.read_bytes() for out in outs}) == 1


SLOW = """
import time
from rewards.scorers.rules import Length
quickly = Length.score
def slowly(self, generations):
    time.sleep(0.01)
    return quickly(self, generations)
Length.score = slowly
"""


def start(arguments: list[str], folder: Path, code: str = "") -> Forked:
    return Forked(f"{code}\n{command_code(arguments)}", cwd=folder)


def rows_done(state: Path) -> int:
    try:
        return int(json.loads(state.read_text())["rows"])
    except FileNotFoundError:
        return 0


def kill_after(process: Forked, state: Path, rows: int) -> bool:
    """Kill a command once that many rows are done; return whether it was still at work."""
    while process.poll() is None and rows_done(state) < rows:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def test_a_score_killed_again_and_again_ends_with_the_bytes_of_an_undisturbed_one(write_rows, tmp_path):
    write_rows("d.jsonl", [{"prompt": "p", "response": "x" * (n % 89)} for n in range(600)])
    command = ["score", "--scorer", "rule:length", "--data", "d.jsonl", "--chunk_rows", "5", "--out"]
    assert start([*command, "whole.jsonl"], tmp_path).wait() == 0
    state, kills = tmp_path / "o.jsonl.partial.json", 0
    for target in (1, 100, 101, 250, 400):
        before = rows_done(state)
        kills += kill_after(start([*command, "o.jsonl"], tmp_path, SLOW), state, max(target, before + 1))
        assert before <= rows_done(state) < 600
    assert kills == 5
    assert start([*command, "o.jsonl"], tmp_path).wait() == 0
    assert (tmp_path / "o.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not list(tmp_path.glob("*partial*"))


def test_a_model_killed_in_the_middle_gives_the_rows_of_an_undisturbed_run(
    write_rows, tmp_path, reward_folder
):
    rows = [
        {"prompt": f"p{n // 4}", "response": "".join(chr(97 + n * k % 26) for k in range(n % 30))}
        for n in range(600)
    ]
    write_rows("d.jsonl", rows)
    command = ["score", "--scorer", reward_folder, "--data", "d.jsonl", "--chunk_rows", "8", "--out"]
    undisturbed = start([*command, "whole.jsonl"], tmp_path)
    state = tmp_path / "o.jsonl.partial.json"
    assert kill_after(start([*command, "o.jsonl"], tmp_path), state, 40)
    assert 40 <= rows_done(state) < 600
    assert start([*command, "o.jsonl"], tmp_path).wait() == 0
    assert undisturbed.wait() == 0
    assert (tmp_path / "o.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert len({row["score"] for row in read(tmp_path / "o.jsonl")}) > 100


def test_a_changed_file_or_scorer_does_not_go_on_from_another_run(write_rows, tmp_path, capsys, monkeypatch):
    rows = [{"prompt": "p", "response": "x" * n} for n in range(20)]
    data = write_rows("d.jsonl", rows)
    monkeypatch.setattr(Length, "score", failing_after(3, Length.score))
    config = {"scorer": "rule:length", "data": data, "out": str(tmp_path / "o.jsonl"), "chunk_rows": 2}
    with pytest.raises(RuntimeError):
        run(ScoreFile(**config))
    monkeypatch.undo()
    command = ["score", "--data", data, "--out", config["out"], "--chunk_rows", "2", "--scorer"]
    write_rows("d.jsonl", [*rows[:10], {"prompt": "q", "response": "x" * 10}, *rows[11:]])
    for changed in ("rule:length", "rule:length?weight=2"):
        with pytest.raises(SystemExit) as stop:
            main([*command, changed])
        assert stop.value.code == 2
        assert "another configuration or input" in capsys.readouterr().err
        write_rows("d.jsonl", rows)
    main([*command, "rule:length"])
    assert "going on after row 6" in capsys.readouterr().err
    assert [row["score"] for row in read(config["out"])] == list(range(20))


def failing_after(calls: int, score):
    left = iter(range(calls))

    def fail(self, generations):
        if next(left, None) is None:
            raise RuntimeError
        return score(self, generations)

    return fail


# Linux counts the parent's memory before exec into ru_maxrss; VmHWM begins anew.
PEAK = """
import resource, sys
from pathlib import Path
usage, status = resource.getrusage(resource.RUSAGE_SELF), Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else []
peak = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
print(*(peak or [usage.ru_maxrss / 1024**2]), usage.ru_utime)
"""


def test_many_rows_take_little_memory(tmp_path):
    """Some 60 MiB; all of the rows held at once would take 90 more."""
    data, many = tmp_path / "many.jsonl", 250_000
    with data.open("w") as file:
        for n in range(many):
            file.write(f'{{"prompt": "question {n % 1000}", "response": "{"x" * (n % 50)}"}}\n')
    arguments = ["score", "--scorer", "rule:length", "--data", str(data), "--out", str(tmp_path / "o.jsonl")]
    script = f"from evalkit.cli import main\nmain({arguments!r})\n{PEAK}"
    done = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    mebibytes, seconds = map(float, done.stdout.splitlines()[-1].split())
    sys.stdout.write(f"{mebibytes:.0f} MiB, {seconds:.1f} s of user CPU\n")
    assert mebibytes < 110
    with (tmp_path / "o.jsonl").open() as file:
        total, count = 0.0, 0
        for line in file:
            total += float(line.rpartition(": ")[2].rstrip("}\n"))
            count += 1
    assert (count, total) == (many, many // 50 * sum(range(50)))
