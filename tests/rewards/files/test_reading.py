import gzip
import json
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.errors import ConfigError, DataError, MissingFileError
from rewards.files import read_rows, write_rows

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
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 99, mtime=0)[:-9], "a.jsonl.gz: not a whole gzip file"),
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


def test_a_name_that_does_not_say_its_kind_may_be_told_it(tmp_path):
    path = tmp_path / "scored.jsonl.partial"
    path.write_text('{"n": 1}\n{"n": 2}\n')
    assert values(path, form="jsonl", start=1) == [{"n": 2}]
    assert next(read_rows(path, form="jsonl")).where == f"{path}:1"
    with pytest.raises(ConfigError, match="kind of file not known"):
        read_rows(path)
    with pytest.raises(ConfigError, match="kind of file not known"):
        read_rows(path, form="xml")


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
