import gzip
import json
import os
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import ConfigError, DataError, MissingFileError, OutputExistsError
from rewards.files import generations, group_by_prompt, read_rows, to_row, write_rows
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
def test_rows_come_back_as_they_were_written(tmp_path, kind):
    path = tmp_path / f"rows{kind}"
    assert write_rows(path, iter(ROWS)) == 3
    assert values(path) == ROWS
    assert values(str(path)) == ROWS


@pytest.mark.parametrize("kind", KINDS)
def test_text_of_any_characters_survives(tmp_path_factory, kind):
    path = tmp_path_factory.mktemp("any") / f"rows{kind}"

    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
    def check(texts):
        write_rows(path, ({"text": text} for text in texts), overwrite=True)
        assert [row["text"] for row in values(path)] == texts

    check()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_starting_later_gives_the_tail_with_the_same_places(tmp_path, kind, start):
    path = tmp_path / f"rows{kind}"
    write_rows(path, ROWS)
    assert list(read_rows(path, start=start)) == list(read_rows(path))[start:]


def test_starting_in_a_later_row_group_gives_the_tail(tmp_path):
    path = tmp_path / "rows.parquet"
    write_rows(path, ({"n": n} for n in range(20_000)))
    rows = list(read_rows(path, start=17_001))
    assert [row.values["n"] for row in rows] == list(range(17_001, 20_000))
    assert rows[0].where == f"{path} row 17002"


def test_all_spellings_of_json_hold_the_same_rows(tmp_path):
    lines = "\n".join(json.dumps(row) for row in ROWS)
    spellings = {
        "array.json": json.dumps(ROWS),
        "pretty.json": "\n" + json.dumps(ROWS, indent=2, ensure_ascii=False) + "\n",
        "lines.json": lines,
        "windows.jsonl": "\ufeff" + lines.replace("\n", "\r\n") + "\r\n\r\n",
        "blank.jsonl": "\n" + lines.replace("\n", "\n\n"),
    }
    for name, text in spellings.items():
        path = tmp_path / name
        path.write_bytes(text.encode())
        assert values(path) == ROWS, name
        packed = tmp_path / f"{name}.gz"
        packed.write_bytes(gzip.compress(text.encode()))
        assert values(packed) == ROWS, name
        assert values(packed, start=2) == ROWS[2:], name


def test_places_name_the_line_where_a_row_begins(tmp_path):
    lines = tmp_path / "lines.jsonl"
    lines.write_text('{"a": 1}\n\n\n{"a": 2}\n')
    assert [row.where for row in read_rows(lines)] == [f"{lines}:1", f"{lines}:4"]
    array = tmp_path / "array.json"
    array.write_text('[\n{"a":\n 1},\n{"a": 2}, {"a": 3}]')
    assert [row.number for row in read_rows(array)] == [2, 4, 4]


def test_csv_gives_texts_that_may_be_read_as_numbers(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('kl,gold,name\n0.5,1e-3,"a\nb"\n\n2,-1,c\n')
    rows = list(read_rows(path))
    assert [row.values for row in rows] == [
        {"kl": "0.5", "gold": "1e-3", "name": "a\nb"},
        {"kl": "2", "gold": "-1", "name": "c"},
    ]
    assert rows[0].number_in("gold") == 0.001
    with pytest.raises(DataError, match=r"table.csv:5: field 'name': expected a number, got 'c'"):
        rows[1].number_in("name")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": }\n', "a.jsonl:2: not JSON: Expecting value, column 7"),
        ("a.jsonl", b'{"a": 1}\n[1]\n', "a.jsonl:2: expected an object of columns, got [1]"),
        ("a.jsonl", b'{"a": "\xff"}', "a.jsonl:1: not JSON: 'utf-8'"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl:1: not JSON: maximum recursion"),
        (
            "a.jsonl",
            b'{"a": 1}\n{"b": {"c": "\\uD83d"}}',
            "a.jsonl:2: field 'b': holds half of a surrogate pair",
        ),
        ("a.jsonl", b"", "a.jsonl: holds no rows"),
        ("a.jsonl", b"\n \n", "a.jsonl: holds no rows"),
        ("a.json", b"", "a.json: holds no rows"),
        ("a.json", b"[]", "a.json: holds no rows"),
        ("a.json", b'[{"a": 1},\n {"a" 2}]', "a.json:2: not JSON: Expecting ':' delimiter, column 7"),
        ("a.json", b'[{"a": 1},]', "a.json:1: not JSON: Expecting value"),
        ("a.json", b'[{"a": 1}', "a.json:1: not JSON: Expecting ',' or ']', column 10"),
        ("a.json", b'[{"a": 1},\n\n "b"]', "a.json:3: expected an object of columns, got 'b'"),
        ("a.json", b'[{"a": "\\ud800"}]', "a.json:1: field 'a': holds half of a surrogate pair"),
        ("a.json", b'{\n"a": 1}', "a.json:1: not JSON"),
        ("a.jsonl.gz", b"plain", "a.jsonl.gz: not a whole gzip file"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 99)[:-9], "a.jsonl.gz: not a whole gzip file"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "a.csv:3: expected 2 fields, got 3"),
        ("a.csv", b"a,a\n1,2\n", "a.csv:1: two columns have one name"),
        ("a.csv", b'a,b\n1,"2\n', "a.csv:2: not csv"),
        ("a.csv", b"a,b\n", "a.csv: holds no rows"),
        ("a.parquet", b"", "a.parquet: not Parquet"),
        ("a.parquet", b"plain text", "a.parquet: not Parquet"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, monkeypatch, name, content, said):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read_rows(name))
    assert str(caught.value).startswith(said)


def test_surrogate_pairs_are_one_character_and_no_error(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": "\\ud83d\\ude42"}')
    assert values(path) == [{"a": "🙂"}]


def test_what_is_not_there_or_not_known_is_refused_before_the_first_row(tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere.jsonl: no such file"):
        read_rows(tmp_path / "nowhere.jsonl")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ConfigError, match=r"notes.txt: kind of file not known; read are .jsonl"):
        read_rows(tmp_path / "notes.txt")
    with pytest.raises(ConfigError, match="found no files that are read"):
        read_rows(tmp_path)
    with pytest.raises(ConfigError, match="from 0; got -1"):
        read_rows(tmp_path / "notes.txt", start=-1)


def test_more_rows_to_skip_than_there_are_is_an_error(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, ROWS)
    with pytest.raises(DataError, match="holds 3 rows, fewer than the 4 to skip"):
        list(read_rows(path, start=4))


def test_columns_are_renamed(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{"question": "q", "answer": "a"}])
    assert values(path, rename={"question": "prompt", "answer": "response"}) == [
        {"prompt": "q", "response": "a"}
    ]
    assert values(path, rename={"question": "answer", "answer": "question"}) == [
        {"answer": "q", "question": "a"}
    ]
    with pytest.raises(DataError, match=r"rows.jsonl:1: no column 'query' to rename, only question, answer"):
        values(path, rename={"query": "prompt"})
    with pytest.raises(DataError, match=r"rows.jsonl:1: renaming 'question' to 'answer' gives two columns"):
        values(path, rename={"question": "answer"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_of_shards_is_read_in_the_order_of_their_names(tmp_path, kind):
    rows = [{"n": n} for n in range(10)]
    for shard, first in (("b", 4), ("a", 0), ("c", 7)):
        write_rows(tmp_path / f"{shard}{kind}", rows[first : {0: 4, 4: 7, 7: 10}[first]])
    assert values(tmp_path) == rows
    for start in range(11):
        assert values(tmp_path, start=start) == rows[start:]


def test_a_folder_of_mixed_kinds_is_refused(tmp_path):
    write_rows(tmp_path / "a.jsonl", ROWS)
    write_rows(tmp_path / "a.parquet", ROWS)
    with pytest.raises(ConfigError, match=r"found .jsonl and .parquet"):
        read_rows(tmp_path)


def test_a_folder_saved_by_datasets_is_read(tmp_path):
    from datasets import Dataset, DatasetDict

    train = Dataset.from_list([{"n": n, "m": [{"role": "user", "content": str(n)}]} for n in range(3000)])
    DatasetDict({"train": train, "test": train.select(range(2))}).save_to_disk(str(tmp_path / "both"))
    DatasetDict({"train": train}).save_to_disk(str(tmp_path / "one"))
    expected = list(train)
    assert values(tmp_path / "one") == expected
    assert values(tmp_path / "both" / "train", start=2999) == expected[2999:]
    assert next(read_rows(tmp_path / "one", start=5)).where == f"{tmp_path / 'one'} row 6"
    with pytest.raises(DataError, match=r"holds several splits; name one of .*both/train, .*both/test"):
        values(tmp_path / "both")


def test_a_hub_data_set_is_streamed_with_the_options_of_its_name(monkeypatch):
    from datasets import Dataset

    asked = []

    def load_dataset(path, **options):
        asked.append((path, options))
        return Dataset.from_list([{"n": n} for n in range(5)]).to_iterable_dataset()

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    source = "hub:owner/name?split=train&name=config&revision=refs%2Fconvert%2Fparquet"
    assert values(source, start=3) == [{"n": 3}, {"n": 4}]
    options = {"split": "train", "name": "config", "revision": "refs/convert/parquet", "streaming": True}
    assert asked == [("owner/name", options)]
    with pytest.raises(ConfigError, match="with the options split, name, revision"):
        values("hub:owner/name?spilt=train")


def test_a_local_data_set_goes_the_way_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write_rows(tmp_path / "train.jsonl", [{"n": n} for n in range(5)])
    write_rows(tmp_path / "test.jsonl", [{"n": 9}])
    assert values(f"hub:{tmp_path}?split=train", start=2) == [{"n": 2}, {"n": 3}, {"n": 4}]
    with pytest.raises(ConfigError, match=r"name one of its splits: \?split=t"):
        values(f"hub:{tmp_path}")
    with pytest.raises(MissingFileError, match="hub:/nowhere/at-all"):
        values("hub:/nowhere/at-all")


@pytest.mark.parametrize("kind", [".jsonl", ".parquet"])
def test_reading_is_lazy(tmp_path, kind):
    path = tmp_path / f"rows{kind}"
    write_rows(path, ({"n": n} for n in range(30_000)))
    if kind == ".jsonl":
        with path.open("a") as file:
            file.write("broken")
    assert [row.values["n"] for row in islice(read_rows(path), 3)] == [0, 1, 2]


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


@given(st.lists(st.sampled_from("abcd")), st.integers(0, 6))
def test_grouping_within_a_window_agrees_with_the_whole_or_refuses(prompts, window):
    items = list(enumerate(prompts))
    whole = [[item for item in items if item[1] == key] for key in dict.fromkeys(prompts)]
    fits = all(group[-1][0] - group[0][0] < window for group in whole)
    if window == 0 or fits:
        assert list(group_by_prompt(items, lambda item: item[1], window)) == whole
    else:
        with pytest.raises(DataError, match=f"window of {window} rows ago; raise --window"):
            list(group_by_prompt(items, lambda item: item[1], window))


def test_grouping_within_a_window_reads_no_further_than_it():
    taken = []
    items = (taken.append(n) or n for n in range(1000))
    groups = group_by_prompt(items, lambda n: str(n // 4), window=8)
    assert next(groups) == [0, 1, 2, 3]
    assert len(taken) == 9
    assert next(groups) == [4, 5, 6, 7]
    assert len(taken) == 13


def test_a_negative_window_is_refused():
    with pytest.raises(ConfigError, match="got -1"):
        group_by_prompt([], str, -1)
