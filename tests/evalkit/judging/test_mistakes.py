"""Every mistake of a user of `evalkit judge`: exit code 2, one line with the remedy, nothing paid in vain."""

import json
import shlex
import sqlite3
from pathlib import Path

import pytest

from evalkit.cli import main
from tests.judges.asking.chat_server import serving, statistics

KEY = "sk-secret-of-the-test"
ROWS = [{"prompt": f"p{n}", "response": f"r{n}"} for n in range(3)]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


FILES = {
    "a.jsonl": lines(ROWS),
    "b.jsonl": lines([{**row, "response": "other"} for row in ROWS]),
    "short.jsonl": lines(ROWS[:2]),
    "twice.jsonl": lines([*ROWS, ROWS[0]]),
    "foreign.jsonl": lines([{"prompt": "q", "response": "r"}]),
    "ids.jsonl": lines([{**row, "id": str(n)} for n, row in enumerate(ROWS)]),
    "other_ids.jsonl": lines([{**row, "id": str(2 - n)} for n, row in enumerate(ROWS)]),
    "far_ids.jsonl": lines([{**row, "id": f"x{n}"} for n, row in enumerate(ROWS)]),
    "many.jsonl": lines([{"prompt": "p0", "responses": ["x", "y"]}]),
    "empty.jsonl": "",
    "broken.jsonl": lines(ROWS[:1]) + '{"prompt": \n',
    "half.jsonl": lines([{"prompt": "p0", "response": "half \ud800"}, *ROWS[1:]]),
    "done.jsonl": '{"precious": 1}\n',
    "notes.txt": "hello\n",
    "bad_prompt.txt": "=== user ===\n{prompt} {first} {form}\n",
    "bad_rubric.yaml": "criteria: 3\n",
    "bad_prices.yaml": "models: {scripted: {input: cheap, output: 1}}\n",
}
SIDES = "--first a.jsonl --second b.jsonl"
JUDGE = f"--judge openai:scripted {SIDES}"
REACHED = f"{JUDGE} --base_url URL"
SPEC = f"--judge 'openai:scripted?OPTIONS' {SIDES} --base_url URL"

MISTAKES: dict[str, tuple[str, tuple[str, ...]]] = {
    # --- the endpoint
    "no key": (JUDGE, ("api.openai.com", "there is no key", "--api_key or OPENAI_API_KEY", "--base_url")),
    "no server": (f"{JUDGE} --base_url http://127.0.0.1:9/v1", ("cannot be reached", "start the server")),
    "no address": (f"{JUDGE} --base_url localhost", ("base_url", "http://localhost:8000/v1")),
    # --- the two files
    "a prompt without a partner": (
        f"{REACHED} --second short.jsonl",
        ("a.jsonl: 1 of 3 rows have no partner in short.jsonl", "the first a.jsonl:3", "--unmatched leave"),
    ),
    "nothing in common": (f"{REACHED} --second foreign.jsonl", ("no prompt stands in both", "--rename")),
    "a prompt twice": (
        f"{REACHED} --second twice.jsonl",
        ("twice.jsonl:4: the same prompt as twice.jsonl:1", "give the rows distinct ids"),
    ),
    "ids that mean something else": (
        f"{REACHED} --first ids.jsonl --second other_ids.jsonl",
        ("one id, but two prompts", "--rename"),
    ),
    "ids that do not meet": (
        f"{REACHED} --first ids.jsonl --second far_ids.jsonl",
        ("no id stands in both", "--rename", "matches by prompt"),
    ),
    "one file twice": (
        f"{REACHED} --second ./a.jsonl --second_name c",
        ("a.jsonl: is both systems", "--identical ask"),
    ),
    "one name twice": (f"{REACHED} --second_name a", ("both systems are named 'a'", "--second_name")),
    "several responses": (f"{REACHED} --first many.jsonl", ("many.jsonl:1", "evalkit select", "got 2")),
    "an empty file": (f"{REACHED} --second empty.jsonl", ("empty.jsonl: holds no rows",)),
    "a missing file": (f"{REACHED} --second nowhere.jsonl", ("nowhere.jsonl: no such file",)),
    "broken JSON": (f"{REACHED} --second broken.jsonl", ("broken.jsonl:2: not JSON",)),
    "half a character": (f"{REACHED} --second half.jsonl", ("half.jsonl:1: field 'response'", "surrogate")),
    # --- the output and the ledger
    "out is an input": (f"{REACHED} --out a.jsonl --overwrite", ("a.jsonl: is an input too", "--out")),
    "out exists": (f"{REACHED} --out done.jsonl", ("done.jsonl: exists and is finished", "--overwrite")),
    "out is no kind of file": (f"{REACHED} --out v.txt", ("v.txt: an output ends in .jsonl",)),
    "out is a folder": (f"{REACHED} --out folder.jsonl --overwrite", ("folder.jsonl: is a folder",)),
    "the ledger is the output": (f"{REACHED} --ledger v.jsonl", ("v.jsonl: is both --out and --ledger",)),
    "the ledger is an input": (f"{REACHED} --ledger b.jsonl", ("b.jsonl: is an input too", "--ledger")),
    "the ledger is a text": (f"{REACHED} --ledger notes.txt", ("notes.txt: is not a ledger", "another file")),
    "the ledger is a folder": (f"{REACHED} --ledger folder.jsonl", ("is a folder; name a file",)),
    "the ledger is of another version": (f"{REACHED} --ledger version", ("is of version 9", "export it")),
    "the ledger is another program's": (f"{REACHED} --ledger foreign", ("another program's SQLite file",)),
    "the ledger is damaged": (f"{REACHED} --ledger damaged", ("damaged", "restore a copy")),
    # --- the judge
    "a judge that names nothing": (
        f"--judge nothing:x {SIDES}",
        ("'nothing:x' names no judge", "openai:..."),
    ),
    "no model": (f"--judge openai: {SIDES}", ("name the model",)),
    "an unknown option": (SPEC.replace("OPTIONS", "temprature=1"), ("unknown option 'temprature'", "known:")),
    "no prompt file": (SPEC.replace("OPTIONS", "prompt=no.txt"), ("no.txt: no such prompt file",)),
    "a bad prompt file": (
        SPEC.replace("OPTIONS", "prompt=bad_prompt.txt"),
        ("bad_prompt.txt: placeholder {second} is missing",),
    ),
    "no rubric": (SPEC.replace("OPTIONS", "mode=pointwise&rubric=no.yaml"), ("no.yaml: no such rubric",)),
    "a bad rubric": (
        SPEC.replace("OPTIONS", "mode=pointwise&rubric=bad_rubric.yaml"),
        ("bad_rubric.yaml", "criteria"),
    ),
    "an axis that nothing describes": (f"{REACHED} --axes [kind]", ("axis 'kind'", "helpful, honest")),
    "an axis twice": (f"{REACHED} --axes [honest,honest]", ("axes are distinct names",)),
    "an axis from two sides": (
        SPEC.replace("OPTIONS", "axis=honest") + " --axes [helpful]",
        ("sets axis, and so does the command",),
    ),
    "no reference": (SPEC.replace("OPTIONS", "reference=true"), ("reference", "got None", "--rename")),
    "a jury of one": (f"--judge jury:openai:scripted {SIDES}", ("name two members or more",)),
    "a batch of no endpoint": (f"--judge reward:rule:length {SIDES} --batch", ("--batch is for judges",)),
    # --- money
    "no price file": (f"{REACHED} --prices no.yaml", ("no.yaml: no such file of prices",)),
    "a bad price file": (f"{REACHED} --prices bad_prices.yaml", ("model scripted", "'cheap'")),
    "a budget without a price": (f"{REACHED} --budget 1", ("no price of scripted", "set no budget")),
    "a budget below 0": (f"{REACHED} --budget -1", ("budget is 0 or more, got -1",)),
}

REFUSALS: dict[str, tuple[dict[str, object], str, tuple[str, ...]]] = {
    "a wrong key": (
        {
            "status": 401,
            "error": {"message": f"Incorrect API key provided: {KEY}.", "code": "invalid_api_key"},
        },
        "",
        ("the key is refused", "Incorrect API key provided: (key)", "--api_key or OPENAI_API_KEY"),
    ),
    "an unknown model": (
        {
            "status": 404,
            "error": {"message": "The model `scripted` does not exist", "code": "model_not_found"},
        },
        "",
        ("no such model or address", "does not exist", "/models"),
    ),
    "a schema that is not taken": (
        {"status": 400, "error": {"message": "'response_format' is not supported", "code": None}},
        "?answer=schema",
        ("the request is refused", "'response_format' is not supported", "answer="),
    ),
    "log-probabilities that are not given": (
        {"status": 400, "error": {"message": "no logprobs here", "code": "unsupported_parameter"}},
        "?logprobs=true",
        ("the request is refused", "no logprobs here", "logprobs="),
    ),
}


@pytest.fixture(scope="module")
def url():
    with serving() as address:
        yield address


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "folder.jsonl").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write_ledgers(url):
    """Write a ledger of another version, a damaged one, and another program's file."""
    main(shlex.split(f"judge {JUDGE} --base_url {url} --out first.jsonl --ledger version"))
    whole = bytearray(Path("version").read_bytes())
    whole[4096:] = bytes(7 * byte % 251 for byte in whole[4096:])
    Path("damaged").write_bytes(whole)
    for name, statement in (("version", "PRAGMA user_version = 9"), ("foreign", "CREATE TABLE t (x)")):
        connection = sqlite3.connect(name)
        connection.execute(statement)
        connection.close()


def contents(folder):
    """What every file holds, but for a new ledger, which may be there and hold nothing."""
    return {path: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "new"}


def stopped(line, capsys):
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(shlex.split(line))
    said = capsys.readouterr()
    assert stop.value.code == 2, said.err
    assert said.err.startswith("evalkit: ")
    assert said.err.count("\n") == 1, said.err
    assert not said.out
    return said.err


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_asked(mistake, folder, url, capsys):
    line, said = MISTAKES[mistake]
    if {"version", "foreign", "damaged"} & set(line.split()):
        write_ledgers(url)
    before, asked = contents(folder), statistics(url)["calls"]
    defaults = "" if "--ledger" in line else "--ledger new"
    error = stopped(f"judge --out v.jsonl {defaults} {line.replace('URL', url)}", capsys)
    for words in said:
        assert words in error
    assert contents(folder) == before
    assert statistics(url)["calls"] == asked


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_of_the_endpoint_is_one_line_without_the_key(refusal, folder, capsys):
    script, options, said = REFUSALS[refusal]
    with serving(**{**script, "error": json.dumps({"error": script["error"]})}) as url:
        line = f"judge --judge 'openai:scripted{options}' {SIDES} --base_url {url} --api_key {KEY}"
        error = stopped(f"{line} --out v.jsonl --ledger new", capsys)
    for words in said:
        assert words in error
    assert KEY not in error
    assert not any(KEY.encode() in held for held in contents(folder).values())
    assert KEY.encode() not in Path("new").read_bytes()
    assert not Path("v.jsonl").exists()


@pytest.mark.usefixtures("folder")
def test_what_was_answered_before_a_fault_of_the_data_is_not_asked_again(url, capsys):
    rows = [{**row, "reference": "it is so"} for row in ROWS]
    Path("a.jsonl").write_text(lines([*rows[:2], {**rows[2], "reference": ""}]))
    line = (
        f"judge --judge 'openai:scripted?reference=true' {SIDES} --base_url {url} --out v.jsonl --ledger new"
    )
    before = statistics(url)["calls"]
    stopped(line, capsys)
    Path("a.jsonl").write_text(lines(rows))
    main(shlex.split(line))
    assert statistics(url)["calls"] == before + 6
    assert len(Path("v.jsonl").read_text().splitlines()) == 6
