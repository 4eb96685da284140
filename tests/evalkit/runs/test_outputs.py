"""Outputs: whole or absent, continued after a kill, never two writers, never replaced unasked."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from evalkit.runs.outputs import ResumableRows
from rewards.errors import ConfigError, OutputExistsError
from rewards.files import read_rows

KEY = {"command": "test", "data": "d"}
CHUNKS = [[{"n": 3 * chunk + row, "text": "é" * row} for row in range(3)] for chunk in range(4)]


def write_all(out: Path, overwrite: bool = False, key: dict[str, str] = KEY) -> int:
    """Write the chunks that are not there yet, and return how many rows were there."""
    with ResumableRows(out, key, overwrite) as rows:
        there = rows.rows_done
        for chunk in CHUNKS[there // 3 :]:
            rows.append(chunk, len(chunk))
        rows.finish()
    return there


def begin(out: Path, chunks: int, key: dict[str, str] = KEY) -> None:
    """Write the first chunks and stop, as an interruption does."""
    with ResumableRows(out, key, overwrite=False) as rows:
        for chunk in CHUNKS[:chunks]:
            rows.append(chunk, len(chunk))


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_an_output_continued_anywhere_has_the_bytes_of_an_undisturbed_one(tmp_path, suffix):
    whole = tmp_path / f"whole{suffix}"
    write_all(whole)
    assert [row.values for row in read_rows(whole)] == [row for chunk in CHUNKS for row in chunk]
    for chunks in range(5):
        out = tmp_path / f"{chunks}{suffix}"
        begin(out, chunks)
        assert write_all(out) == 3 * chunks
        assert out.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob("*partial*"))


@pytest.mark.parametrize("left", [b'{"n": 6, "te', b'{"n": 6}\n{"n": 7}\n{"n": 8}\n', b"\0" * 5000])
def test_what_a_kill_left_after_the_last_state_is_cut_off(tmp_path, left):
    write_all(tmp_path / "whole.jsonl")
    out = tmp_path / "o.jsonl"
    begin(out, 2)
    with Path(f"{out}.partial").open("ab") as file:
        file.write(left)
    assert write_all(out) == 6
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_partial_whose_state_was_never_written_begins_anew(tmp_path):
    out = tmp_path / "o.jsonl"
    Path(f"{out}.partial").write_text('{"n": 0}\n')
    assert write_all(out) == 0
    assert len(list(read_rows(out))) == 12


def test_a_state_whose_rows_are_gone_begins_anew_or_refuses_but_invents_no_bytes(tmp_path):
    out = tmp_path / "o.jsonl"
    begin(out, 2)
    Path(f"{out}.partial").unlink()
    assert write_all(out) == 0
    out = tmp_path / "p.jsonl"
    begin(out, 2)
    Path(f"{out}.partial").write_text("{}\n")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write_all(out)
    assert write_all(out, overwrite=True) == 0


@pytest.mark.parametrize("state", ["", "{", "[]", "{}", '{"configuration": "x", "rows": "many", "bytes": 1}'])
def test_a_state_that_is_not_ours_is_refused(tmp_path, state):
    out = tmp_path / "o.jsonl"
    begin(out, 1)
    Path(f"{out}.partial.json").write_text(state)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write_all(out)
    assert write_all(out, overwrite=True) == 0


def test_another_configuration_is_refused_and_overwrite_starts_anew(tmp_path):
    out = tmp_path / "o.jsonl"
    begin(out, 2)
    with pytest.raises(OutputExistsError, match=r"begun with another configuration or input.*--overwrite"):
        write_all(out, key={**KEY, "data": "e"})
    assert write_all(out) == 6  # the refusal harmed nothing
    with pytest.raises(OutputExistsError, match="finished; --overwrite"):
        write_all(out)
    begin(tmp_path / "p.jsonl", 2)
    assert write_all(tmp_path / "p.jsonl", overwrite=True, key={**KEY, "data": "e"}) == 0


def test_an_overwriting_run_that_was_killed_goes_on_and_the_old_output_stays_until_then(tmp_path):
    out = tmp_path / "o.jsonl"
    out.write_text("old")
    with ResumableRows(out, KEY, overwrite=True) as rows:
        rows.append(CHUNKS[0], 3)
    assert out.read_text() == "old"
    assert write_all(out, overwrite=True) == 3


def test_nothing_is_left_where_nothing_was_written(tmp_path):
    with pytest.raises(ZeroDivisionError), ResumableRows(tmp_path / "o.jsonl", KEY, overwrite=False):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_an_output_is_checked_before_anything_is_made(tmp_path):
    with pytest.raises(ConfigError, match=r"\.parquet"):
        ResumableRows(tmp_path / "new" / "o.csv", KEY, overwrite=False)
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(OutputExistsError, match="is a folder"):
        ResumableRows(tmp_path / "folder.jsonl", KEY, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.jsonl"]


def hold(out: str, ready: object, leave: object) -> None:
    """Write a chunk in another process, and stay until told to leave; then die without a word."""
    rows = ResumableRows(out, KEY, overwrite=False)
    rows.append(CHUNKS[0], 3)
    ready.set()
    leave.wait(60)
    os._exit(1)


def test_a_second_process_is_refused_while_the_first_writes_and_goes_on_when_it_died(tmp_path):
    out = tmp_path / "o.jsonl"
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    first = context.Process(target=hold, args=(str(out), ready, leave))
    first.start()
    assert ready.wait(60)
    for overwrite in (False, True):
        with pytest.raises(OutputExistsError, match="another process is writing it"):
            write_all(out, overwrite)
    assert json.loads(Path(f"{out}.partial.json").read_text())["rows"] == 3
    leave.set()
    first.join(60)
    assert write_all(out) == 3
    assert len(list(read_rows(out))) == 12
