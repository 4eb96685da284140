import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.ledger.ledger import Batch, Ledger, MeasuredUsage
from judges.questions.question import AnswerForm, Attempt, Question
from judges.usage import Usage
from rewards.errors import ConfigError, DataError
from rewards.files import read_rows, write_rows
from rewards.records import Message

ROOT = Path(__file__).parents[3]


def question(text="Which?", judge="openai:small", **fields):
    fields = {"endpoint": "http://127.0.0.1/v1", "form": AnswerForm(), "parameters": {"seed": 1}} | fields
    return Question(judge, fields.pop("endpoint"), (Message("user", text),), fields.pop("form"), **fields)


def ok(asked, winner="first", **fields):
    return Attempt(asked.key, "ok", {"winner": winner}, **fields)


def failed(asked, state="api_failed", **fields):
    return Attempt(asked.key, state, **fields)


def rows_of(path):
    with Ledger(path) as ledger:
        return list(ledger.export_rows())


def test_only_the_first_ok_is_an_answer_and_a_failure_never_is(tmp_path):
    asked, refused, never = question("a"), question("b"), question("c")
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.record([(asked, failed(asked)), (refused, failed(refused, "parse_failed", reply="Both!"))])
        assert ledger.answers([asked.key]) == {}
        assert set(ledger.failures([asked.key, refused.key, never.key])) == {asked.key, refused.key}
        ledger.record([(asked, ok(asked, "second", reply="[[B]]")), (refused, failed(refused, "refused"))])
        ledger.record([(asked, ok(asked, "first")), (asked, failed(asked))])
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        keys = [asked.key, refused.key, never.key, asked.key]
        assert ledger.answers(keys) == {asked.key: ok(asked, "second", reply="[[B]]")}
        assert ledger.failures(keys) == {refused.key: failed(refused, "refused")}
        assert ledger.counts() == Counter(ok=2, api_failed=2, parse_failed=1, refused=1)
        assert ledger.counts()["skipped"] == 0


texts = st.text(st.characters(), max_size=20)  # every code point, halves of surrogate pairs too
usages = st.builds(
    Usage,
    st.integers(0, 2**60),
    st.integers(0, 9),
    st.integers(0, 9),
    st.none() | st.floats(0, 1e9),
    st.none() | st.floats(0, 1e9),
)


@settings(max_examples=40, deadline=None)
@given(texts, texts, texts, usages, st.dictionaries(st.text(max_size=4), st.floats(1, 10), min_size=1))
def test_what_is_recorded_comes_back_exactly_from_the_file_and_from_its_export(
    tmp_path_factory, prompt, reply, detail, usage, grades
):
    folder = tmp_path_factory.mktemp("ledger")
    asked = question(prompt, form=AnswerForm("grade", "schema", criteria=("a", "b")), repeat=3)
    attempt = Attempt(asked.key, "ok", {"grades": grades}, reply, detail, usage, "2026-01-02T03:04:05Z")
    with Ledger(folder / "a") as ledger:
        ledger.record([(asked, attempt)])
        assert ledger.answers([asked.key]) == {asked.key: attempt}
        assert ledger.answers([asked.key])[asked.key].result == attempt.result
        assert ledger.questions([asked.key, "none"]) == {asked.key: asked}
        write_rows(folder / "rows.jsonl", ledger.export_rows())
    with Ledger(folder / "b") as ledger:
        assert ledger.import_rows(read_rows(folder / "rows.jsonl")) == 1
        assert ledger.answers([asked.key])[asked.key].result == attempt.result
        assert ledger.questions([asked.key]) == {asked.key: asked}
    assert rows_of(folder / "a") == rows_of(folder / "b")


def test_an_import_adds_each_attempt_once_and_keeps_the_answer_that_was_there(tmp_path):
    asked, other = question("a"), question("b")
    with Ledger(tmp_path / "source") as source, Ledger(tmp_path / "target") as target:
        source.record([(asked, failed(asked)), (asked, failed(asked)), (asked, ok(asked, "tie"))])
        source.record([(other, ok(other, "first"))])
        target.record([(asked, ok(asked, "second"))])
        rows = list(source.export_rows())
        assert target.import_rows(rows) == 4  # two equal failures are two attempts
        assert target.import_rows(rows) == 0
        assert target.answers([asked.key, other.key]) == {
            asked.key: ok(asked, "second"),
            other.key: ok(other, "first"),
        }
        assert source.import_rows(target.export_rows()) == 1
        assert source.counts() == target.counts() == Counter(ok=3, api_failed=2)
        assert source.answers([asked.key]) == {asked.key: ok(asked, "tie")}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": "7"}, "field 'id': expected 32 hexadecimal digits, got '7'"),
        ({"state": "fine"}, "field 'state': expected one of ok, parse_failed, refused"),
        ({"question": {"judge": "x"}}, "field 'question': expected a question"),
        ({"question": None}, "field 'question': expected a text, got null"),
        ({"result": "A"}, "field 'result': expected an object, got 'A'"),
        ({"reply": 3}, "field 'reply': expected a text, got 3"),
        ({"detail": {"json": "no"}}, "field 'detail': expected a text in JSON"),
        ({"tokens_in": -1}, "field 'tokens_in': expected a whole number from 0, got -1"),
        ({"cost": "1"}, "field 'cost': expected a number from 0 or null, got '1'"),
        ({"result": {}}, "has a result where it is ok and only there"),
    ],
)
def test_a_row_that_was_not_exported_names_file_line_and_field(tmp_path, change, problem):
    asked = question()
    path = tmp_path / "rows.jsonl"
    with Ledger() as ledger:
        ledger.record([(asked, ok(asked)), (asked, ok(asked))])
        good, bad = ledger.export_rows()
    path.write_text("\n".join(json.dumps(row) for row in (good, bad | change)))
    with Ledger() as ledger, pytest.raises(DataError) as said:
        ledger.import_rows(read_rows(path))
    assert str(said.value).startswith(f"{path}:2: ")
    assert problem in str(said.value) or change == {"question": None}


def test_a_row_without_a_column_says_which(tmp_path):
    write_rows(tmp_path / "rows.jsonl", [{"prompt": "p", "response": "r"}])
    with Ledger() as ledger, pytest.raises(DataError, match=r"rows.jsonl:1: no column 'id', only prompt"):
        ledger.import_rows(read_rows(tmp_path / "rows.jsonl"))


def test_an_attempt_with_another_question_is_refused_and_nothing_of_the_call_is_kept():
    asked, other = question("a"), question("b")
    with Ledger() as ledger:
        with pytest.raises(ConfigError, match="given with another question"):
            ledger.record([(asked, ok(asked)), (asked, ok(other))])
        assert ledger.counts() == {}


def test_many_keys_at_once_and_the_same_ones_twice():
    asked = [question(str(number)) for number in range(2345)]
    with Ledger() as ledger:
        ledger.record([(one, ok(one, reply=str(index))) for index, one in enumerate(asked)])
        ledger.record([])
        found = ledger.answers(one.key for one in [*asked, *asked])
        assert [found[one.key].reply for one in asked] == [str(index) for index in range(2345)]
        assert len(list(ledger.export_rows())) == 2345


def test_nothing_recorded_can_be_changed_or_deleted(tmp_path):
    asked = question()
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.record([(asked, ok(asked))])
        ledger.add_batch("batch_1", asked.endpoint, asked.judge, [asked.key])
        ledger.close_batch("batch_1", "completed")
    connection = sqlite3.connect(tmp_path / "ledger")
    for table in ("questions", "attempts", "batches", "batch_keys", "batch_ends"):
        column = connection.execute(f"SELECT name FROM pragma_table_info('{table}') LIMIT 1").fetchone()[0]
        for change in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
                connection.execute(change)
    connection.close()
    assert len(rows_of(tmp_path / "ledger")) == 1


def test_what_answers_took_is_measured_by_judge():
    first, second, uncounted = question("abcd"), question("ef"), question("g")
    other = question("h", judge="openai:other")
    with Ledger() as ledger:
        assert ledger.measured("openai:small") is None
        ledger.record([(uncounted, ok(uncounted, usage=Usage(latency=9.0)))])
        assert ledger.measured("openai:small") is None
        ledger.record(
            [
                (first, ok(first, usage=Usage(10, 4, 3, 0.5, 2.0))),
                (second, ok(second, usage=Usage(6, 0, 1))),
                (second, failed(second, "refused", usage=Usage(100, 0, 1))),
                (other, ok(other, usage=Usage(100, 0, 1))),
            ]
        )
        assert ledger.measured("openai:small") == MeasuredUsage(2, 6, 16, 4, 4, 2.0, 1)


def test_a_batch_is_open_until_it_is_closed(tmp_path):
    asked = [question(str(number)) for number in range(3)]
    keys = tuple(one.key for one in asked)
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.add_questions(asked)
        ledger.add_batch("b1", "http://one", "openai:small", keys)
        ledger.add_batch("b2", "http://one", "openai:small", keys[:1])
        ledger.add_batch("b3", "http://two", "openai:small", keys[:1])
        with pytest.raises(ConfigError, match="there is a batch 'b1' already"):
            ledger.add_batch("b1", "http://one", "openai:small", keys)
    with Ledger(tmp_path / "ledger") as ledger:
        first, second = ledger.open_batches("http://one", "openai:small")
        assert first == Batch("b1", "openai:small", "http://one", keys, first.time)
        assert (second.name, second.keys) == ("b2", keys[:1])
        assert ledger.questions(first.keys) == {one.key: one for one in asked}
        ledger.close_batch("b1", "completed")
        ledger.close_batch("b1", "expired")
        assert [batch.name for batch in ledger.open_batches("http://one", "openai:small")] == ["b2"]
        assert ledger.answers(keys) == ledger.failures(keys) == ledger.counts() == {}
        with pytest.raises(ConfigError, match="there is no batch 'b9'"):
            ledger.close_batch("b9", "failed")


def test_threads_share_a_ledger(tmp_path):
    asked = [question(str(number)) for number in range(200)]
    with Ledger(tmp_path / "ledger") as ledger:

        def write(some):
            for one in some:
                ledger.record([(one, ok(one))])
                assert one.key in ledger.answers([one.key])

        threads = [threading.Thread(target=write, args=(asked[start::4],)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ledger.answers(one.key for one in asked)) == 200


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests_questions import question, ok
from judges.ledger.ledger import Ledger
with Ledger(sys.argv[1]) as ledger:
    for number in range(int(sys.argv[2]), int(sys.argv[2]) + int(sys.argv[4])):
        asked = question(str(number))
        ledger.record([(asked, ok(asked, reply="x" * 2000))])
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
"""


@pytest.fixture
def writer(tmp_path):
    """Start processes that each write questions of their own numbers, and say each when it is recorded."""
    source = Path(__file__).read_text(encoding="utf-8")
    start, end = source.index("def question("), source.index("def failed(")
    head = (
        "from judges.questions.question import AnswerForm, Attempt, Question\n"
        "from rewards.records import Message\n"
    )
    (tmp_path / "tests_questions.py").write_text(head + source[start:end])
    started = []

    def start_one(ledger, first, count):
        command = [sys.executable, "-c", WRITER, str(ledger), str(first), str(tmp_path), str(count)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.stdout.close()
        process.wait()


def test_several_processes_create_and_write_one_ledger(tmp_path, writer):
    path = tmp_path / "ledger"
    # Numbers overlap by half, so that two processes answer the same questions.
    processes = [writer(path, first, 100) for first in (0, 50, 100, 150)]
    said = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert [len(numbers) for numbers in said] == [100] * 4
    with Ledger(path) as ledger:
        assert ledger.counts() == {"ok": 400}
        assert len(ledger.answers(question(str(number)).key for number in range(250))) == 250


def open_at_once(path, barrier):
    barrier.wait()
    with Ledger(path) as ledger:
        asked = question()
        ledger.record([(asked, ok(asked))])


def test_processes_that_open_a_new_ledger_at_the_same_moment_share_it(tmp_path):
    processes = multiprocessing.get_context("fork")
    for round_ in range(8):
        barrier = processes.Barrier(6)
        path = tmp_path / f"ledger{round_}"
        started = [processes.Process(target=open_at_once, args=(path, barrier)) for _ in range(6)]
        for process in started:
            process.start()
        for process in started:
            process.join()
        assert [process.exitcode for process in started] == [0] * 6
        with Ledger(path) as ledger:
            assert ledger.counts() == {"ok": 6}


def test_a_killed_writer_leaves_a_whole_ledger_with_all_that_it_recorded(tmp_path, writer):
    path = tmp_path / "ledger"
    recorded = set()
    for first in range(0, 30_000, 10_000):
        process = writer(path, first, 10_000)
        for _ in range(40):
            recorded.add(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
        recorded.update(process.stdout.read().split("\n")[:-1])
        process.wait()
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
    assert len(recorded) >= 120
    with Ledger(path) as ledger:
        found = ledger.answers(question(number).key for number in recorded)
        assert len(found) == len(recorded)
        assert len(recorded) <= ledger.counts()["ok"] <= len(recorded) + 3  # one in hand at each kill


def test_no_key_of_an_account_is_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-account")
    asked = question()
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.record([(asked, ok(asked, reply="[[A]]"))])
        held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert b"[[A]]" in held
        assert b"sk-secret" not in held


def sqlite_file(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_what_is_no_ledger_is_refused_with_the_remedy_and_left_as_it_was(tmp_path):
    sqlite_file(tmp_path / "other", "CREATE TABLE t (x)")
    with Ledger(tmp_path / "newer") as ledger:
        ledger.record([(question(), ok(question()))])
    sqlite_file(tmp_path / "newer", "PRAGMA user_version = 7")
    (tmp_path / "text").write_text("{}\n" * 500)
    (tmp_path / "file").write_text("")
    for name, problem in [
        ("other", "is another program's SQLite file; name another file"),
        ("newer", "is of version 7, and version 1 is read here; export it"),
        ("text", "is not a ledger"),
        ("", "is a folder; name a file"),
        ("file/ledger", "its folder cannot be made"),
    ]:
        path = tmp_path / name
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(DataError, match=problem) as said:
            Ledger(path)
        assert str(said.value).startswith(f"ledger {path}: ")
        assert "\n" not in str(said.value)
        assert before is None or path.read_bytes() == before


def test_a_damaged_ledger_says_so(tmp_path):
    path = tmp_path / "ledger"
    asked = [question(str(number)) for number in range(300)]
    with Ledger(path) as ledger:
        ledger.record([(one, ok(one, reply="x" * 500)) for one in asked])
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:8192] + b"\x55" * 65536 + whole[73728:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="is damaged; restore a copy"), Ledger(path) as ledger:
            list(ledger.export_rows())


def test_a_folder_without_the_right_to_write_says_so(tmp_path):
    tmp_path.chmod(0o500)
    closed = Path("/proc") if os.geteuid() == 0 else tmp_path  # root may write in any folder of a disk
    with pytest.raises(DataError, match="name a file in a folder where you may write"):
        Ledger(closed / "ledger")
    tmp_path.chmod(0o700)


def test_a_ledger_that_cannot_be_written_says_so_and_keeps_what_it_has(tmp_path):
    asked = question()
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.record([(asked, ok(asked))])
        ledger._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(DataError, match="cannot be written; name a file"):
            ledger.record([(replace(asked, repeat=1), ok(replace(asked, repeat=1)))])
        ledger._connection.execute("PRAGMA query_only = OFF")
        ledger.record([(asked, ok(asked))])
        assert ledger.counts() == {"ok": 2}


def test_a_writer_that_holds_on_too_long_is_named(tmp_path):
    asked = question()
    with Ledger(tmp_path / "ledger") as ledger:
        other = sqlite3.connect(tmp_path / "ledger", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        ledger._connection.execute("PRAGMA busy_timeout = 50")
        with pytest.raises(DataError, match="is held by another process"):
            ledger.record([(asked, ok(asked))])
        other.execute("COMMIT")
        other.close()
        ledger.record([(asked, ok(asked))])
        assert ledger.counts() == {"ok": 1}
