"""Files of a run: whole or absent, and a change of an input is noticed."""

import json
from dataclasses import dataclass

import pytest

from evalkit.runs.files import (
    EDGE,
    atomic_write,
    configuration_hash,
    fingerprint,
    spec_fingerprint,
    write_json,
)


@dataclass(frozen=True)
class Settings:
    """A command's configuration."""

    size: int


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as file:
        file.write("first")
        assert not path.exists()
    with pytest.raises(UnicodeEncodeError), atomic_write(path) as file:
        file.writelines(["second", "\ud800"])
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_json_is_indented_whole_and_never_holds_a_nan(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_json(path, {"text": "é", "numbers": [1.5, None], "place": tmp_path})
    assert path.read_text(encoding="utf-8").endswith("\n}\n")
    assert '\n  "text": "é",\n' in path.read_text(encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "text": "é",
        "numbers": [1.5, None],
        "place": str(tmp_path),
    }
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"mean": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8"))["text"] == "é"
    assert list(path.parent.iterdir()) == [path]


def test_any_change_of_a_value_changes_the_hash_and_the_order_of_keys_does_not():
    base = {"a": 1, "b": {"c": [1, 2]}}
    assert configuration_hash(base) == configuration_hash({"b": {"c": [1, 2]}, "a": 1})
    others = [{**base, "a": 2}, {**base, "a": "1"}, {**base, "b": {"c": [2, 1]}}, {**base, "d": None}]
    assert len({configuration_hash(each) for each in [base, *others]}) == 5
    assert configuration_hash(Settings(1)) == configuration_hash({"size": 1})


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
