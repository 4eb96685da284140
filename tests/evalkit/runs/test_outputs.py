"""Outputs: whole or absent, continued after a kill, never two writers, never replaced unasked."""

import json
import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from evalkit.runs.files import EDGE, atomic_write, configuration_hash, fingerprint, spec_fingerprint
from evalkit.runs.folder import RECORD, forget_run, run_folder
from evalkit.runs.locks import locked_folder
from evalkit.runs.outputs import ResumableRows
from rewards.errors import ConfigError, OutputExistsError
from rewards.files import read_rows

KEY = {"command": "test", "data": "d"}
CHUNKS = [[{"n": 3 * chunk + row, "text": "é" * row} for row in range(3)] for chunk in range(4)]


@dataclass(frozen=True)
class Settings:
    """A command's configuration."""

    size: int = 1
    overwrite: bool = False


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as file:
        file.write("first")
        assert not path.exists()
    with pytest.raises(UnicodeEncodeError), atomic_write(path) as file:
        file.writelines(["second", "\ud800"])
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


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


def test_a_folder_in_use_is_neither_entered_nor_replaced(tmp_path):
    folder = run_folder(tmp_path / "run", Settings(), overwrite=False, done="done")
    (folder / "work").write_text("half")
    with locked_folder(folder):
        for settings, overwrite in ((Settings(), False), (Settings(2), True)):
            with pytest.raises(OutputExistsError, match="another process is writing it"):
                run_folder(folder, settings, overwrite, done="done")
    assert (folder / "work").read_text() == "half"
    assert run_folder(folder, Settings(), overwrite=False, done="done") == folder


def test_a_run_folder_goes_on_with_its_own_configuration_alone(tmp_path):
    folder = run_folder(tmp_path / "run", Settings(), overwrite=False, done="done")
    record = json.loads((folder / RECORD).read_text())
    assert record["configuration"] == {"size": 1}
    assert {"versions", "python", "platform", "commit"} <= set(record)
    (folder / "work").write_text("half")
    run_folder(folder, Settings(overwrite=True), overwrite=True, done="done")  # the same, unfinished: goes on
    assert (folder / "work").exists()
    for settings, inputs in ((Settings(2), None), (Settings(), {"data": "changed"})):
        with pytest.raises(OutputExistsError, match="another configuration or input"):
            run_folder(folder, settings, overwrite=False, done="done", inputs=inputs)
    (folder / "done").touch()
    with pytest.raises(OutputExistsError, match="finished; --overwrite"):
        run_folder(folder, Settings(), overwrite=False, done="done")
    run_folder(folder, Settings(2), overwrite=True, done="done")
    assert [path.name for path in folder.iterdir()] == [RECORD]


@pytest.mark.parametrize("record", [None, "", "{}", "[]", '{"name": "a run of something else"}'])
def test_a_folder_of_something_else_is_never_taken_or_replaced(tmp_path, record):
    (tmp_path / "precious").write_text("precious")
    if record is not None:
        (tmp_path / RECORD).write_text(record)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    for overwrite in (False, True):
        with pytest.raises(OutputExistsError, match="something else"):
            run_folder(tmp_path, Settings(), overwrite, done="precious")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_a_failed_run_is_forgotten_only_where_it_made_nothing(tmp_path):
    folder = run_folder(tmp_path / "run", Settings(), overwrite=False, done="done")
    (folder / "work").touch()
    forget_run(folder)
    assert folder.exists()
    (folder / "work").unlink()
    forget_run(folder)
    assert not folder.exists()


def test_any_change_of_a_value_changes_the_hash_and_the_order_of_keys_does_not():
    base = {"a": 1, "b": {"c": [1, 2]}}
    assert configuration_hash(base) == configuration_hash({"b": {"c": [1, 2]}, "a": 1})
    others = [{**base, "a": 2}, {**base, "a": "1"}, {**base, "b": {"c": [2, 1]}}, {**base, "d": None}]
    assert len({configuration_hash(each) for each in [base, *others]}) == 5
    assert configuration_hash(Settings(1)) == configuration_hash({"size": 1, "overwrite": False})


def test_a_changed_input_has_another_fingerprint(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_bytes(b"a" * 1000)
    first = fingerprint(str(path))
    assert fingerprint(str(path)) == first
    path.write_bytes(b"a" * 500 + b"b" + b"a" * 499)
    assert fingerprint(str(path)) != first
    assert fingerprint("") == {"source": ""}
    assert fingerprint("hub:owner/name") == {"source": "hub:owner/name"}


def test_a_file_of_more_than_two_edges_is_read_at_both(tmp_path, monkeypatch):
    assert EDGE >= 1 << 20
    monkeypatch.setattr("evalkit.runs.files.EDGE", 4)
    prints = set()
    for number, text in enumerate(
        (b"aaaa____zzzz", b"aaab____zzzz", b"aaaa____zzzy", b"aaaa_____zzzz", b"aaaazz")
    ):
        path = tmp_path / "d"
        path.write_bytes(text)
        prints.add(json.dumps(fingerprint(str(path))))
        assert len(prints) == number + 1


def test_a_retrained_model_and_a_changed_folder_of_data_are_noticed(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("1")
    spec, before = f"ensemble:{folder},rule:length?combine=mean", {}
    before = spec_fingerprint(spec), fingerprint(str(folder))
    assert (spec_fingerprint(spec), fingerprint(str(folder))) == before
    (folder / "weights").write_text("22")
    after = spec_fingerprint(spec), fingerprint(str(folder))
    assert after[0] != before[0]
    assert after[1] != before[1]
    assert spec_fingerprint("rule:length")["files"] is None


def test_a_judge_may_be_asked_otherwise_in_the_middle_and_its_ledger_may_grow(tmp_path):
    ledger, rubric = tmp_path / "l.db", tmp_path / "r.yaml"
    rubric.write_text("criteria: []")
    judge = f"judge:openai:m?rubric={rubric}&base_url=http://h/v1"
    before = spec_fingerprint(f"{judge}&ledger={ledger}")
    ledger.write_text("grown")
    assert spec_fingerprint(f"{judge}&ledger={ledger}&budget=5&retry_failed=true") == before
    assert spec_fingerprint(f"{judge}&temperature=1") != before
    assert spec_fingerprint(judge.replace("//h", "//other")) != before
    rubric.write_text("criteria: [another]")
    assert spec_fingerprint(judge) != before  # its rubric has changed


def test_a_record_that_a_kill_left_half_written_says_nothing(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".run.json.123.partial").write_text('{"config')
    folder = run_folder(tmp_path / "run", Settings(), overwrite=False, done="done")
    assert (folder / "run.json").exists()
    assert run_folder(folder, Settings(), overwrite=False, done="done") == folder
