"""`evalkit annotate` as people start it: a process with links, a port, a store, and an end at any moment."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest

from evalkit.cli import main
from judges.human.store import Store

PAGE = re.compile(r'<script type="application/json" id="page">(.*?)</script>', re.DOTALL)
LINK = re.compile(r"^  (\w+): (http://127\.0\.0\.1:\d+/sign-in/\S+)$", re.MULTILINE)


def write_pairs(path, count=6, **columns):
    rows = [
        {"id": f"row-{n}", "prompt": f"question {n}", "first": f"one {n}", "second": f"other {n}", **columns}
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@contextmanager
def annotate(folder, *options):
    """Start the command, and yield its process and what it said until the page was there."""
    command = [sys.executable, "-m", "evalkit.cli", "annotate", *options]
    with (folder / "stderr.txt").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        lines = []
        while "The page is at" not in "".join(lines[-1:]):
            lines.append(process.stdout.readline())
            assert lines[-1], (folder / "stderr.txt").read_text()
        yield process, "".join(lines)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Browser:
    """What an annotator's browser does."""

    def __init__(self, link):
        self.base = link.partition("/sign-in/")[0]
        # A connection for each request: those to a server that is killed would be found dead.
        headers = {"Connection": "close"}
        self.client = httpx2.Client(base_url=self.base, follow_redirects=True, headers=headers)
        self.look(self.client.get(link))

    def look(self, response=None):
        response = response or self.client.get("/")
        assert response.status_code == 200
        self.page = json.loads(PAGE.search(response.text)[1])
        return response.text

    def post(self, nonce, kind="answer", **changes):
        body = {"handle": self.page["handle"], "nonce": nonce, "answer": {"winner": "first"}} | changes
        headers = {"Origin": self.base, "X-CSRF-Token": self.page["csrf"]}
        return self.client.post(f"/{kind}", json=body, headers=headers)


def labels(path):
    with Store(str(path)) as store:
        return list(store.labels())


def serving_nothing(monkeypatch):
    """Let the command end where it would serve; returns what it would have served."""
    served = []
    monkeypatch.setattr("evalkit.annotation.serving.serve", lambda *given: served.append(given))
    return served


def refused(capsys, *options):
    """Return the one line that the command ends with."""
    with pytest.raises(SystemExit) as ended:
        main(["annotate", *options])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_a_killed_server_loses_and_doubles_nothing(tmp_path):
    data, db = write_pairs(tmp_path / "pairs.jsonl"), tmp_path / "study.db"
    options = ("--data", data, "--db", str(db), "--annotators", "[ann,bo]", "--overlap", "2")
    with annotate(tmp_path, *options, "--port", "0") as (process, said):
        links = dict(LINK.findall(said))
        assert list(links) == ["ann", "bo"]
        assert "6 tasks added, 0 were there already" in said
        ann, bo = Browser(links["ann"]), Browser(links["bo"])
        assert ann.post("a-1").json() == {"state": "recorded"}
        ann.look()
        assert ann.post("a-2", "draft", comment="begun").json() == {"state": "recorded"}
        assert bo.post("b-1").json() == {"state": "recorded"}
        process.send_signal(signal.SIGKILL)
        process.wait()
        port = re.search(r"127\.0\.0\.1:(\d+)", said)[1]
    with annotate(tmp_path, *options, "--port", port) as (process, said):
        # The same port at once, the same links, and the page where it was.
        assert "0 tasks added, 6 were there already" in said
        assert "Have a link: ann, bo" in said
        assert LINK.findall(said) == []
        handle = ann.page["handle"]
        ann.look()
        assert ann.page["handle"] == handle
        assert ann.page["draft"]["comment"] == "begun"
        assert bo.post("b-1").json() == {"state": "repeated"}  # sent again, as a page does that heard nothing
        assert ann.post("a-3").json() == {"state": "recorded"}
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(10) == 0
        assert "the same command goes on from there" in rest
    kept = [(label.annotator, label.nonce) for label in labels(db)]
    assert sorted(kept) == [("ann", "a-1"), ("ann", "a-3"), ("bo", "b-1")]


def test_no_token_is_told_but_in_the_links_and_ctrl_c_ends_in_one_line(tmp_path):
    data, db, links = write_pairs(tmp_path / "pairs.jsonl"), tmp_path / "study.db", tmp_path / "links.txt"
    options = ("--data", data, "--db", str(db), "--annotators", "[ann,bo]", "--links", str(links))
    with annotate(tmp_path, *options, "--port", "0") as (process, said):
        lines = dict(line.split("\t") for line in links.read_text().splitlines())
        assert list(lines) == ["ann", "bo"]
        assert stat.S_IMODE(links.stat().st_mode) == 0o600
        admin = re.search(r"http://\S+/admin/sign-in/(\S+)", said)
        tokens = [link.rpartition(".")[2] for link in lines.values()]
        assert min(map(len, [*tokens, admin[1]])) >= 43  # 256 bits each
        ann = Browser(lines["ann"])
        assert httpx2.get(admin[0], follow_redirects=True).status_code == 200
        for path in (f"/sign-in/2.{tokens[0]}", f"/{tokens[0]}", f"/static/{tokens[0]}", f"/?x={tokens[0]}"):
            ann.client.get(path)
        ann.post(tokens[0], answer={"winner": tokens[0]})
        with closing(socket.create_connection(("127.0.0.1", int(ann.base.rpartition(":")[2])))) as connection:
            connection.sendall(f"{tokens[0]}\r\n\r\n".encode())  # not even HTTP
            assert b"400" in connection.recv(1000)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(10) == 130
    errors = (tmp_path / "stderr.txt").read_text()
    assert errors.splitlines()[-1].startswith("evalkit: interrupted; what is done is kept")
    assert "Traceback" not in errors
    for token in tokens:
        assert token not in said + rest + errors
    assert admin[1] not in rest + errors
    assert said.count(admin[1]) == 1


def test_a_port_in_use_is_told_before_anything_is_changed(tmp_path, capsys, monkeypatch):
    data, db = write_pairs(tmp_path / "pairs.jsonl"), tmp_path / "study.db"
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refused(capsys, "--data", data, "--db", str(db), "--annotators", "[ann]", "--port", port)
        assert f"port {port}" in said
        assert "--port" in said
        assert not db.exists()
        serving_nothing(monkeypatch)
        main(["annotate", "--data", data, "--db", str(db), "--port", "0"])
        refused(capsys, "--db", str(db), "--annotators", "[ann]", "--overlap", "3", "--port", port)
    with Store(str(db)) as store:
        assert store.annotators() == []
        assert store.study().overlap == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", "192.0.2.1"), "no such address"),
        (("--host", "no.such.host.invalid"), "not known"),
        (("--port", "70000"), "65535"),
        (("--address", "labels.example.org"), "https://labels.example.org"),
        (("--overlap", "0"), "overlap"),
        (("--lease", "0"), "lease"),
        (("--instructions", "missing.md"), "missing.md"),
        (("--data", "missing.jsonl"), "missing.jsonl"),
        (("--annotators", '["  "]'), "name"),
        (("--aspects", "[a]"), "aspects"),
        (("--verdicts", "missing.jsonl"), "missing.jsonl"),
    ],
)
def test_a_wrong_setting_is_one_line_and_changes_nothing(tmp_path, capsys, options, said):
    data, db = write_pairs(tmp_path / "pairs.jsonl"), tmp_path / "study.db"
    told = refused(capsys, "--db", str(db), "--port", "0", "--data", data, *options)
    assert said in told
    if db.exists():
        with Store(str(db)) as store:
            assert list(store.tasks()) == []
            assert store.annotators() == []


def test_data_are_read_to_their_end_before_any_of_them_is_added(tmp_path, capsys):
    data, db = tmp_path / "pairs.jsonl", tmp_path / "study.db"
    write_pairs(data, 300)
    with data.open("a") as file:
        file.write('{"id": "last", "prompt": "q", "first": "a"}\n')
    told = refused(capsys, "--data", str(data), "--db", str(db), "--port", "0")
    assert "pairs.jsonl:301" in told
    assert not db.exists()


def test_nothing_to_label_is_told(tmp_path, capsys):
    db = tmp_path / "study.db"
    assert "--data" in refused(capsys, "--db", str(db), "--port", "0") or not db.exists()
    with Store(str(db)):
        pass
    assert "--data" in refused(capsys, "--db", str(db), "--port", "0")


@pytest.fixture
def powerless():
    """A folder in which nothing can be written, as root could everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
        Path(folder).chmod(0o755)


@contextmanager
def nobody():
    """Give up root's rights for a while, where this is root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_database_that_is_read_only_is_told(capsys, monkeypatch, powerless):
    data, db = write_pairs(powerless / "pairs.jsonl"), powerless / "study.db"
    served = serving_nothing(monkeypatch)
    main(["annotate", "--data", data, "--db", str(db), "--port", "0"])
    capsys.readouterr()
    db.chmod(0o444)
    powerless.chmod(0o555)
    with nobody():
        said = refused(capsys, "--db", str(db), "--annotators", "[ann]", "--port", "0")
        assert "read-only" in said
        new = refused(capsys, "--data", data, "--db", str(powerless / "new.db"), "--port", "0")
        assert "new.db" in new
    assert len(served) == 1


def test_a_file_that_is_no_store_is_told(tmp_path, capsys):
    data = write_pairs(tmp_path / "pairs.jsonl")
    assert "no SQLite database" in refused(capsys, "--db", data, "--data", data, "--port", "0")


def test_links_of_others_are_never_written_over(tmp_path, capsys, monkeypatch):
    data, db, links = write_pairs(tmp_path / "pairs.jsonl"), tmp_path / "study.db", tmp_path / "links.txt"
    serving_nothing(monkeypatch)
    command = ["--data", data, "--db", str(db), "--links", str(links), "--port", "0"]
    main(["annotate", *command, "--annotators", "[ann]"])
    before = links.read_text()
    capsys.readouterr()
    main(["annotate", *command, "--annotators", "[ann]"])  # nobody is new: the same command goes on
    capsys.readouterr()
    assert str(links) in refused(capsys, *command, "--annotators", "[ann,bo]", "--overlap", "4")
    assert links.read_text() == before
    with Store(str(db)) as store:
        assert [annotator.name for annotator in store.annotators()] == ["ann"]
        assert store.study().overlap == 1


def test_nobody_is_invited_whose_link_cannot_be_written(tmp_path, capsys):
    data, db = write_pairs(tmp_path / "pairs.jsonl"), tmp_path / "study.db"
    told = refused(
        capsys, "--data", data, "--db", str(db), "--annotators", "[ann]", "--links", f"{data}/l.txt"
    )
    assert "a part of this path is a file" in told
    with Store(str(db)) as store:
        assert store.annotators() == []


@pytest.mark.parametrize(
    ("before", "after", "unlike"),
    [({}, "first", 3), ({"gold": "first"}, "second", 3), ({"gold": "first"}, "first", 0), ({}, None, 0)],
)
def test_a_check_that_the_store_knows_otherwise_is_told(tmp_path, capsys, monkeypatch, before, after, unlike):
    db = str(tmp_path / "study.db")
    serving_nothing(monkeypatch)
    old = write_pairs(tmp_path / "old.jsonl", 3, **before)
    main(["annotate", "--data", old, "--db", db, "--port", "0"])
    new = write_pairs(tmp_path / "new.jsonl", 5, **({"gold": after} if after else {}))
    capsys.readouterr()
    main(["annotate", "--data", new, "--db", db, "--port", "0"])
    said = capsys.readouterr().out
    assert f"{unlike} checks were there before" in said if unlike else "were there before" not in said


def test_a_check_told_the_other_way_round_is_the_same(tmp_path, capsys, monkeypatch):
    db, data = str(tmp_path / "study.db"), tmp_path / "pairs.jsonl"
    serving_nothing(monkeypatch)
    for first, second, gold in (("a", "b", "first"), ("b", "a", "second")):
        row = {"prompt": "q", "first": first, "second": second, "gold": gold}
        data.write_text(json.dumps(row) + "\n")
        main(["annotate", "--data", str(data), "--db", db, "--port", "0"])
    said = capsys.readouterr().out
    assert "1 were there already, 1 of them checks" in said
    assert "were there before" not in said


def test_settings_that_are_not_given_stay(tmp_path, monkeypatch):
    data, db, text = write_pairs(tmp_path / "pairs.jsonl"), tmp_path / "study.db", tmp_path / "how.md"
    text.write_text("# How\nRead *both*.")
    serving_nothing(monkeypatch)
    given = (
        "--overlap",
        "3",
        "--gold_every",
        "0",
        "--lease",
        "60",
        "--seed",
        "7",
        "--instructions",
        str(text),
    )
    main(["annotate", "--data", data, "--db", str(db), "--port", "0", *given, "--instructions", str(text)])
    main(["annotate", "--db", str(db), "--port", "0", "--tiebreak", "1", "--title", "Which is kinder?"])
    main(["annotate", "--db", str(db), "--port", "0"])
    with Store(str(db)) as store:
        study = store.study()
    assert (study.overlap, study.gold_every, study.lease, study.seed) == (3, 0, 60.0, 7)
    assert (study.tiebreak, study.title, study.instructions) == (1, "Which is kinder?", text.read_text())


def test_the_heading_fits_the_screen_unless_one_is_given(tmp_path, monkeypatch):
    data, db = tmp_path / "steps.jsonl", tmp_path / "study.db"
    data.write_text(
        json.dumps({"prompt": "1 + 1", "steps": ["One. ", "Two."], "response": "One. Two."}) + "\n"
    )
    serving_nothing(monkeypatch)
    main(["annotate", "--data", str(data), "--db", str(db), "--port", "0"])
    with Store(str(db)) as store:
        assert "solution" in store.study().title


def test_comparisons_on_which_judges_disagree_come_first(tmp_path, monkeypatch):
    data, db = write_pairs(tmp_path / "pairs.jsonl", 3), tmp_path / "study.db"
    rows = []
    for number, winners in enumerate((["first", "first"], ["first", "second"], ["tie"])):
        for judge, winner in enumerate(winners):
            texts = {"prompt": f"question {number}", "first": f"one {number}", "second": f"other {number}"}
            rows.append(texts | {"winner": winner, "judge": f"judge-{judge}"})
    verdicts = tmp_path / "verdicts.jsonl"
    verdicts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    serving_nothing(monkeypatch)
    command = ["annotate", "--data", data, "--db", str(db), "--port", "0"]

    def priorities():
        with Store(str(db)) as store:
            names = {number: task.id for number, task in store.tasks()}
            return {names[state.id]: state.priority for state in store.task_states()}

    main(command)
    assert set(priorities().values()) == {0}
    main([*command, "--verdicts", str(verdicts)])  # of tasks that were there before the judges
    assert priorities() == {"row-0": 0, "row-1": 1, "row-2": 1}


def test_who_lets_other_machines_in_is_warned(tmp_path, capsys, monkeypatch):
    data, db = write_pairs(tmp_path / "pairs.jsonl"), tmp_path / "study.db"
    served = serving_nothing(monkeypatch)
    command = ["annotate", "--data", data, "--db", str(db), "--port", "0", "--annotators"]
    main([*command, "[a]"])
    assert "unencrypted" not in "".join(capsys.readouterr())
    main([*command, "[b]", "--host", "0.0.0.0"])
    said = capsys.readouterr()
    assert "unencrypted" in said.err
    assert f"http://{socket.gethostname()}:" in said.out
    main([*command, "[c]", "--host", "0.0.0.0", "--address", "https://labels.example.org/"])
    said = capsys.readouterr()
    assert "unencrypted" not in said.err
    assert "c: https://labels.example.org/sign-in/3." in said.out
    assert len(served) == 3


def test_a_missing_extra_is_told_with_its_pip_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    data, db = write_pairs(tmp_path / "pairs.jsonl"), tmp_path / "study.db"
    assert "pip install 'evalkit-rm[web]'" in refused(capsys, "--data", data, "--db", str(db))
    assert not db.exists()


def test_the_command_listens_on_loopback_unless_told_otherwise(tmp_path, monkeypatch):
    places = []
    monkeypatch.setattr(
        "evalkit.annotation.serving.serve", lambda *given: places.append(given[1].getsockname())
    )
    data, db = write_pairs(tmp_path / "pairs.jsonl"), str(tmp_path / "study.db")
    main(["annotate", "--data", data, "--db", db, "--port", "0"])
    assert places[0][0] == "127.0.0.1"
