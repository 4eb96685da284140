import json

import pytest

from evalkit.cli import main
from judges.asking.asker import Asker
from judges.asking.config import AskingConfig
from judges.asking.session import Session
from judges.ledger.ledger import Ledger
from judges.questions.question import AnswerForm, Attempt, Question
from judges.usage import Usage
from rewards.records import Message

NOWHERE = "http://127.0.0.1:9/v1"  # whoever asks there gets an error


def question(number, text="Which is better?"):
    return Question("openai:small", NOWHERE, (Message("user", f"{text} {number}"),), AnswerForm())


def answer(one, winner="first"):
    result = {"winner": winner, "preference": 0.75}
    return Attempt(one.key, "ok", result, "[[A]]", "", Usage(10, 2, 3, 0.5, 1.5), "2026-01-02T03:04:05Z")


def failure(one, state="refused"):
    return Attempt(one.key, state, reply="no \ud83d", detail="content", time="2026-01-02T03:04:05Z")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a ledger of 700 answers, which is more than one transaction, and two failures."""
    monkeypatch.chdir(tmp_path)
    with Ledger("a.sqlite") as ledger:
        ledger.record([(one, answer(one)) for one in map(question, range(700))])
        again, never = question(700), question(701, "half \ud83d")
        ledger.record([(again, failure(again)), (never, failure(never))])
        ledger.record([(again, answer(again, "tie"))])
    return tmp_path


def refused(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_what_is_exported_and_imported_is_the_same_and_not_paid_again(capsys):
    main(["ledger", "export", "--ledger", "a.sqlite", "--out", "a.jsonl"])
    assert "703 attempts" in capsys.readouterr().out
    main(["ledger", "import", "--data", "a.jsonl", "--ledger", "b.sqlite"])
    assert "703 attempts added, 0 were there already" in capsys.readouterr().out
    asked = [*map(question, range(701)), question(701, "half \ud83d")]
    keys = [one.key for one in asked]
    with Ledger("a.sqlite") as before, Ledger("b.sqlite") as after:
        assert after.answers(keys) == before.answers(keys)
        assert len(after.answers(keys)) == 701
        assert after.failures(keys) == before.failures(keys)
        assert len(after.failures(keys)) == 1
        assert after.counts() == before.counts()
    session = Session.open(AskingConfig(ledger="b.sqlite", api_key="k", tries=1))
    asker = Asker(session, "small", NOWHERE)
    attempts = asker.answers(asked)
    assert (asker.tally.asked, asker.tally.from_ledger) == (0, 701)
    assert [one.key for one in attempts] == keys
    session.ledger.close()


@pytest.mark.usefixtures("here")
def test_importing_again_adds_nothing_and_what_was_there_stays_the_answer(capsys):
    main(["ledger", "export", "--ledger", "a.sqlite", "--out", "a.jsonl.gz"])
    with Ledger("b.sqlite") as ledger:
        ledger.record([(question(0), answer(question(0), "second"))])
    for added in (703, 0):
        main(["ledger", "import", "--data", "a.jsonl.gz", "--ledger", "b.sqlite"])
        assert f"{added} attempts added, {703 - added} were there already" in capsys.readouterr().out
    with Ledger("b.sqlite") as ledger:
        assert ledger.answers([question(0).key])[question(0).key].result["winner"] == "second"
        assert ledger.counts()["ok"] == 702


def test_an_import_that_stopped_at_a_broken_row_can_be_repeated(here, capsys):
    main(["ledger", "export", "--ledger", "a.sqlite", "--out", "a.jsonl"])
    lines = (here / "a.jsonl").read_text().splitlines()
    broken = {**json.loads(lines[600]), "state": "maybe"}
    (here / "broken.jsonl").write_text("\n".join([*lines[:600], json.dumps(broken), *lines[601:]]))
    told = refused(["ledger", "import", "--data", "broken.jsonl", "--ledger", "b.sqlite"], capsys)
    assert "broken.jsonl:601: field 'state'" in told
    main(["ledger", "import", "--data", "a.jsonl", "--ledger", "b.sqlite"])
    with Ledger("b.sqlite") as ledger:
        assert sum(ledger.counts().values()) == 703


def test_an_export_holds_no_key(here):
    session = Session.open(AskingConfig(ledger="c.sqlite", api_key="sk-secret", base_url=NOWHERE))
    one = Question("openai:small", session.endpoint(), (Message("user", "?"),), AnswerForm())
    session.ledger.record([(one, answer(one))])
    session.ledger.close()
    main(["ledger", "export", "--ledger", "c.sqlite", "--out", "c.jsonl"])
    assert "sk-secret" not in (here / "c.jsonl").read_text()


def test_an_export_replaces_only_what_it_may(here, capsys):
    export = ["ledger", "export", "--ledger", "a.sqlite", "--out"]
    (here / "a.jsonl").write_text("old")
    assert "--overwrite" in refused([*export, "a.jsonl"], capsys)
    assert (here / "a.jsonl").read_text() == "old"
    main([*export, "a.jsonl", "--overwrite"])
    assert len((here / "a.jsonl").read_text().splitlines()) == 703
    assert ".jsonl" in refused([*export, "a.parquet"], capsys)
    (here / "a.sqlite").rename("l.jsonl")
    itself = ["ledger", "export", "--ledger", "l.jsonl", "--out", "./l.jsonl", "--overwrite"]
    assert "is the ledger itself" in refused(itself, capsys)


def test_what_is_not_there_is_named_and_makes_no_ledger(here, capsys):
    told = refused(["ledger", "export", "--ledger", "none.sqlite", "--out", "o.jsonl"], capsys)
    assert "none.sqlite: no such ledger" in told
    told = refused(["ledger", "import", "--data", "none.jsonl", "--ledger", "new.sqlite"], capsys)
    assert "none.jsonl: no such file" in told
    (here / "empty.jsonl").touch()
    assert "holds no rows" in refused(
        ["ledger", "import", "--data", "empty.jsonl", "--ledger", "new.sqlite"], capsys
    )
    assert sorted(path.name for path in here.glob("*.sqlite")) == ["a.sqlite"]
    Ledger("new.sqlite").close()
    assert "holds no attempts" in refused(
        ["ledger", "export", "--ledger", "new.sqlite", "--out", "o.jsonl"], capsys
    )
    assert not (here / "o.jsonl").exists()
    (here / "text.sqlite").write_text("no ledger, but a text that is long enough to be looked at\n" * 9)
    told = refused(["ledger", "export", "--ledger", "text.sqlite", "--out", "o.jsonl"], capsys)
    assert "text.sqlite" in told
