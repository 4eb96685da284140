import os
import signal
import subprocess
import sys

import pytest

from rewards.errors import ConfigError, DataError, OutputExistsError
from rewards.files import generations, read_rows, to_row, write_rows
from rewards.records import Generation, Message

KINDS = [".jsonl", ".jsonl.gz", ".parquet"]
ROWS = [
    {"prompt": "one\u2028two\n", "response": "ä\r\n\x85", "score": 0.5, "tags": ["a", "b"], "more": {"k": 1}},
    {"prompt": "", "response": "日本 🙂", "score": -1.0, "tags": [], "more": {"k": None}},
    {"prompt": 'quote "', "response": "\\", "score": 1e300, "tags": ["\t"], "more": {"k": 2}},
]


def values(source, **options):
    return [row.values for row in read_rows(source, **options)]


@pytest.mark.parametrize("kind", KINDS)
def test_writing_holds_no_more_than_a_row_group(tmp_path, kind):
    alive, most = 0, 0

    class Counted(dict):
        def __init__(self, number):
            nonlocal alive, most
            super().__init__(n=number)
            alive += 1
            most = max(most, alive)

        def __del__(self):
            nonlocal alive
            alive -= 1

    assert write_rows(tmp_path / f"rows{kind}", (Counted(n) for n in range(40_000))) == 40_000
    assert most < 20_000


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_give_the_same_bytes(tmp_path, kind):
    write_rows(tmp_path / f"a{kind}", ROWS)
    write_rows(tmp_path / f"b{kind}", ROWS)
    assert (tmp_path / f"a{kind}").read_bytes() == (tmp_path / f"b{kind}").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [float("nan"), {"deep": [float("inf")]}, "\ud800"])
def test_a_value_that_is_no_number_or_no_text_is_named_and_nothing_is_left(tmp_path, kind, value):
    path = tmp_path / f"rows{kind}"
    with pytest.raises(DataError, match=r"row 2: field 'bad'"):
        write_rows(path, [{"good": 1, "bad": None}, {"good": 1, "bad": value}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_leaves_what_was_there(tmp_path, kind):
    def rows():
        yield from ROWS
        raise KeyboardInterrupt

    path = tmp_path / f"rows{kind}"
    write_rows(path, ROWS[:1])
    with pytest.raises(KeyboardInterrupt):
        write_rows(path, rows(), overwrite=True)
    assert values(path) == ROWS[:1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_nothing_under_the_final_name(tmp_path):
    path = tmp_path / "rows.jsonl"
    code = (
        "import sys, time\nfrom rewards.files import write_rows\n"
        "def rows():\n    for n in range(10_000): yield {'n': n}\n"
        "    print('written', flush=True)\n    time.sleep(60)\n"
        "write_rows(sys.argv[1], rows())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout.readline() == "written\n"
        writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL
    assert not path.exists()
    assert write_rows(path, ROWS) == 3


def test_a_file_that_is_there_is_refused_without_overwrite_and_its_rows_never_asked_for(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, ROWS)
    asked = []
    with pytest.raises(OutputExistsError, match=r"rows.jsonl is there already; --overwrite"):
        write_rows(path, (asked.append(row) or row for row in ROWS))
    assert not asked
    assert write_rows(path, ROWS[:2], overwrite=True) == 2


def test_a_file_may_be_rewritten_from_its_own_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, ROWS)
    write_rows(path, ({**row.values, "n": row.number} for row in read_rows(path)), overwrite=True)
    assert values(path) == [{**row, "n": n} for n, row in enumerate(ROWS, 1)]


def test_rows_are_written_to_known_kinds_and_into_new_folders(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in .jsonl, .jsonl.gz, .parquet"):
        write_rows(tmp_path / "rows.json", ROWS)
    write_rows(tmp_path / "new" / "folder" / "rows.jsonl", ROWS)
    assert os.listdir(tmp_path) == ["new"]  # noqa: PTH208 - names alone


@pytest.mark.parametrize(
    ("first", "later", "said"),
    [
        ({"a": 1}, {"a": "x"}, "row 8196: field 'a': 'x' does not fit the int64"),
        ({"a": 1}, {"a": 1.5}, "row 8196: field 'a': 1.5 does not fit the int64"),
        ({"a": 1}, {"a": 1, "b": 2}, "row 8196: field 'b': none of the first 8192 rows has this column"),
        ({"a": {"x": 1}}, {"a": {"y": 1}}, "row 8196: field 'a': {'y': 1} does not fit"),
        ({"a": [{"x": 1}]}, {"a": [{"x": 1, "y": 1}]}, "row 8196: field 'a': .* it is list<"),
        ({"a": [1]}, {"a": [1, 1.5]}, "row 8196: field 'a': .* does not fit the list<"),
        ({"a": None}, {"a": 1}, "row 8196: field 'a': 1 does not fit the null"),
    ],
)
def test_a_later_row_that_does_not_fit_parquet_is_named(tmp_path, first, later, said):
    rows = [first] * 8195 + [later] + [first] * 3
    with pytest.raises(DataError, match=said):
        write_rows(tmp_path / "rows.parquet", rows)
    assert list(tmp_path.iterdir()) == []


def test_parquet_takes_columns_that_only_some_of_the_first_rows_have(tmp_path):
    path = tmp_path / "rows.parquet"
    write_rows(path, [{"a": 1}, {"b": "x"}])
    assert values(path) == [{"a": 1, "b": None}, {"a": None, "b": "x"}]
    with pytest.raises(DataError, match=r"row 2: field 'a': 'x' does not fit the type of the rows before"):
        write_rows(path, [{"a": 1}, {"a": "x"}], overwrite=True)
    with pytest.raises(DataError, match=r".jsonl holds such rows"):
        write_rows(path, [{"a": {}}], overwrite=True)


@pytest.mark.parametrize("kind", KINDS)
def test_records_survive_the_disk(tmp_path, kind):
    conversation = (Message("system", "s"), Message("user", "u"))
    records = [
        Generation(conversation, "ab", ("a", "b"), "1", {"source": "web"}),
        Generation((Message("user", "q"),), "c", ("c",), "2", {"source": "\u2028"}),
    ]
    path = tmp_path / f"rows{kind}"
    write_rows(path, map(to_row, records))
    assert [made for row in read_rows(path) for made in generations(row)] == records
