"""`evalkit labels status`: what it prints and writes, and its mistakes."""

import json

import pytest

from evalkit.cli import main
from judges.human.answers import PairwiseAnswer
from judges.human.labels import Label
from judges.human.study import Study
from tests.judges.human.figures.test_study_numbers import judged, pair


@pytest.fixture
def database(tmp_path):
    store_module = pytest.importorskip("judges.human.store")
    path = tmp_path / "labels.db"
    tasks = [pair(number) for number in range(6)]
    with store_module.Store(str(path)) as store:
        store.set_study(Study(overlap=2, title="Which is better?"))
        store.import_labels(
            Label(0, task, name, PairwiseAnswer(winner), (0, 1), "", 4.0, 1e9, f"{name}-{task.id}")
            for task in tasks
            for name, winner in (("ann", "first"), ("bob", "first" if int(task.id) % 2 else "second"))
        )
    return path


def test_the_command_prints_and_writes_the_figures(database, tmp_path, capsys):
    source = judged(tmp_path, [pair(number) for number in range(6)], [1.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    out = tmp_path / "status.json"
    main(
        [
            "labels",
            "status",
            "--db",
            str(database),
            "--verdicts",
            source,
            "--out",
            str(out),
            "--bootstrap",
            "50",
        ]
    )
    printed = capsys.readouterr().out
    for words in (
        "6 tasks: 6 done",
        "12 of 12 answers wanted",
        "75.0%",
        "openai:m",
        "People disagree on 3 tasks",
    ):
        assert words in printed
    told = json.loads(out.read_text(encoding="utf-8"))
    assert told["compared"][0]["rate"]["mean"] == 0.75
    assert told["compared"][0]["judges"][0]["corrected"]["human"] == 6
    assert told["compared"][0]["judges"][0]["gain"] > 0
    assert [one["name"] for one in told["annotators"]] == ["ann", "bob"]
    assert len(told["splits"]) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--db", "none.db"], "none.db"),
        (["--db", "labels.db", "--width", "0.7"], "width is between 0 and 0.5"),
        (["--db", "labels.db", "--out", "labels.db"], "holds the labels themselves"),
        (["--db", "labels.db", "--out", "there.json"], "--overwrite replaces it"),
        (["--db", "labels.db", "--out", "."], "is a folder"),
        (["--db", "labels.db", "--verdicts", "none.jsonl"], "none.jsonl"),
    ],
)
def test_a_mistake_is_one_line(database, tmp_path, monkeypatch, capsys, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.json").write_text("{}", encoding="utf-8")
    before = database.read_bytes()
    with pytest.raises(SystemExit) as stopped:
        main(["labels", "status", *options])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert database.read_bytes() == before
    assert not (tmp_path / "none.db").exists()
