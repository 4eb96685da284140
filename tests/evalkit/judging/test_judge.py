"""`evalkit judge` from files to verdicts, against scripted endpoints."""

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from evalkit.cli import main
from judges.asking.session import Session
from judges.judge import Verdict
from judges.panel import CHUNK, Panel
from judges.sides import Side, SideComparisons, match_sides
from judges.verdicts.reading import read_verdicts
from rewards.files import read_rows
from tests.judges.asking.batch_server import KEY, BatchServer, answered, unasked
from tests.judges.asking.batch_server import Script as BatchScript
from tests.judges.asking.chat_server import serving, statistics

COUNT, IDENTICAL = 20, 2
ASKED = COUNT - IDENTICAL
PRICES = """
currency: EUR
as_of: 2026-01-02
models:
  scripted: {input: 1000, output: 2000, batch_input: 500, batch_output: 1000}
"""
TOLD = ("tokens_in", "tokens_cached", "tokens_out", "cost", "latency")
"""Columns that say what asking took, which differs from run to run."""


@pytest.fixture(scope="module")
def url():
    with serving(odd=0.2) as address:
        yield address


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for side in ("ours", "theirs"):
        write(
            tmp_path / f"{side}.jsonl",
            [{"prompt": f"Prompt {n}?", "response": said(side, n)} for n in range(COUNT)],
        )
    (tmp_path / "prices.yaml").write_text(PRICES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return tmp_path


def said(side, number):
    return f"The same {number}." if number < IDENTICAL else f"{side} {'very ' * number}{number}."


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def run(folder, url, capsys):  # noqa: ARG001  # the command runs in that folder
    """Return a function that runs the command, and returns its rows, its calls and what it printed."""

    def judge(*options, spec="openai:scripted", out="v.jsonl", first="ours", second="theirs", base_url=url):
        before = statistics(url)["calls"]
        files = ("--first", f"{first}.jsonl", "--second", f"{second}.jsonl", "--out", out)
        address = ("--base_url", base_url) if base_url else ()
        main(["judge", "--judge", spec, *files, "--ledger", "ledger", *address, *options])
        printed = capsys.readouterr().out
        rows = [dict(row.values) for row in read_rows(out)] if Path(out).exists() else []
        return SimpleNamespace(rows=rows, calls=statistics(url)["calls"] - before, printed=printed)

    return judge


def winner_said(row):
    """The winner by the reply's own words, told from the first system."""
    if row["reason"]:
        return None
    letter = re.findall(r"\[\[([ABC])\]\]", row["reply"])[-1]
    winner = {"A": "first", "B": "second", "C": "tie"}[letter]
    return {"first": "second", "second": "first"}.get(winner, winner) if row["swapped"] else winner


def without(row, *names):
    return {name: value for name, value in row.items() if name not in names}


def mirrored(row):
    """The row as a run of the exchanged files would write it."""
    other = {"first": "second", "second": "first"}
    sides = {"first": row["second"], "second": row["first"]}
    systems = {"first_system": row["second_system"], "second_system": row["first_system"]}
    winner = other.get(row["winner"], row["winner"])
    return row | sides | systems | {"winner": winner, "swapped": not row["swapped"]}


def test_both_orders_of_every_comparison_told_from_the_first_system(run):
    done = run()
    assert done.calls == 2 * ASKED
    assert Counter((row["id"], row["swapped"]) for row in done.rows) == {
        (str(number), swapped): 1 for number in range(1, COUNT + 1) for swapped in (False, True)
    }
    asked = [row for row in done.rows if row["first"] != row["second"]]
    assert all(row["winner"] == winner_said(row) for row in asked)
    assert {row["reason"] for row in asked} >= {"", "parse_failed", "refused"}
    assert all((row["winner"] is None) == bool(row["reason"] and row["detail"]) for row in asked)
    assert {(row["first_system"], row["second_system"]) for row in done.rows} == {("ours", "theirs")}
    counts = Counter(row["winner"] for row in done.rows)
    assert (
        f"openai:scripted: ours {counts['first']}, theirs {counts['second']}, tie {counts['tie']}, "
        f"missing {counts[None]}, of {2 * COUNT} verdicts\n"
    ) in done.printed
    assert f"{2 * ASKED} calls" in done.printed
    assert "evalkit winrate --verdicts v.jsonl" in done.printed


def test_identical_responses_weigh_like_others_as_ties_that_nobody_was_asked(run):
    done = run()
    same = [row for row in done.rows if row["first"] == row["second"]]
    assert [(row["winner"], row["swapped"], row["tokens_in"]) for row in same] == [
        ("tie", False, 0),
        ("tie", True, 0),
    ] * IDENTICAL
    assert f"{2 * IDENTICAL} verdicts are ties of identical responses" in done.printed
    asked = run("--identical", "ask", out="asked.jsonl")
    assert asked.calls == IDENTICAL  # both orders are one question
    assert not any("nobody asked" in row["detail"] for row in asked.rows)


def test_one_order_depends_on_seed_and_texts_and_not_on_which_file_is_first(run):
    done = run("--order", "one")
    assert done.calls == ASKED
    assert len(done.rows) == COUNT
    turned = [row["swapped"] for row in done.rows]
    assert 0 < sum(turned) < COUNT
    assert all(row["winner"] == winner_said(row) for row in done.rows if row["first"] != row["second"])
    other = run("--order", "one", first="theirs", second="ours", out="other.jsonl")
    assert other.calls == 0
    asked = slice(IDENTICAL, None)
    assert [mirrored(row) for row in other.rows[asked]] == done.rows[asked]
    assert [row["swapped"] for row in run("--order", "one", "--seed", "1", out="seed.jsonl").rows] != turned


def test_the_given_order_always_shows_the_first_system_first(run):
    done = run("--order", "given")
    assert done.calls == ASKED
    assert not any(row["swapped"] for row in done.rows)


def test_a_second_run_and_one_with_the_files_exchanged_ask_nothing(run):
    done = run()
    again = run(out="again.jsonl")
    assert again.calls == 0
    assert again.rows == done.rows
    answers = sum(bool(row["reply"]) and not row["reason"] for row in done.rows)
    assert f"{answers} answers were there before" in again.printed
    other = run(first="theirs", second="ours", out="other.jsonl")
    assert other.calls == 0
    asked, told = ([row for row in rows if row["first"] != row["second"]] for rows in (done.rows, other.rows))
    by_order = {(row["id"], row["swapped"]): row for row in map(mirrored, told)}
    assert [by_order[row["id"], row["swapped"]] for row in asked] == asked


def test_each_repetition_and_each_axis_is_asked_and_told_by_itself(run):
    done = run("--repeats", "2", "--axes", "[helpful,honest]", "--order", "given")
    assert done.calls == 4 * ASKED
    assert Counter((row["axis"], row["repeat"]) for row in done.rows) == {
        (axis, repeat): COUNT for axis in ("helpful", "honest") for repeat in (0, 1)
    }
    for axis in ("helpful", "honest"):
        counts = Counter(row["winner"] for row in done.rows if row["axis"] == axis)
        assert f"openai:scripted, {axis}: ours {counts['first']}, theirs {counts['second']}" in done.printed
    assert run("--repeats", "3", "--axes", "[honest]", "--order", "given", out="more.jsonl").calls == ASKED


def test_what_failed_is_asked_again_only_on_request(run):
    done = run()
    failed = sum(row["winner"] is None for row in done.rows)
    assert failed
    assert "--retry-failed" in done.printed
    assert run("--retry-failed", "--overwrite").calls == failed
    assert run("--overwrite").calls == 0


def test_a_row_without_a_partner_is_left_out_and_counted(run, folder):
    write(folder / "few.jsonl", [{"prompt": f"Prompt {n}?", "response": "few"} for n in range(5)])
    done = run("--unmatched", "leave", second="few")
    assert (done.calls, len(done.rows)) == (10, 10)
    assert f"left out, without a partner: {COUNT - 5} rows of ours, 0 of few" in done.printed


def test_rows_whose_ids_do_not_meet_are_matched_by_prompt_on_request(run, folder):
    for side in ("ours", "theirs"):
        rows = [json.loads(line) for line in (folder / f"{side}.jsonl").read_text().splitlines()]
        write(folder / f"{side}.jsonl", [{**row, "id": f"{side}{n}"} for n, row in enumerate(rows)])
    done = run("--rename", '{"id": "row"}')
    assert len(done.rows) == 2 * COUNT
    assert (done.rows[0]["first_row"], done.rows[0]["second_row"]) == ("ours0", "theirs0")


def test_a_plan_says_what_will_be_asked_and_asks_nothing(run, folder):
    options = ("--prices", "prices.yaml", "--requests_per_minute", "6")
    before = sorted(folder.iterdir())
    planned = run("--plan", *options)
    assert planned.calls == 0
    assert sorted(folder.iterdir()) == before
    assert f"openai:scripted: {2 * ASKED} calls for {2 * ASKED} questions\n" in planned.printed
    sent, received = (
        int(number.replace(",", ""))
        for number in re.search(r"about ([\d,]+) sent and ([\d,]+) received", planned.printed).groups()
    )
    price, batch = re.search(
        r"about ([\d.]+) EUR live, about ([\d.]+) EUR by batch", planned.printed
    ).groups()
    assert float(price) == pytest.approx((sent * 1000 + received * 2000) / 1e6, rel=1e-3)
    assert float(batch) == pytest.approx(float(price) / 2, rel=1e-3)
    assert "time: about 6 min, set by requests_per_minute" in planned.printed
    done = run(*options[:2], "--limit", "10")
    failed = sum(row["winner"] is None for row in done.rows)
    known = 2 * (10 - IDENTICAL)
    again = run("--plan", *options).printed
    assert (
        f"{2 * ASKED - known} calls for {2 * ASKED} questions; {known - failed} answered in the ledger"
        in again
    )
    assert f"by {known - failed} answers in the ledger" in again


def test_a_plan_of_nothing_says_so(run, folder):
    (folder / "copy.jsonl").write_text((folder / "ours.jsonl").read_text())
    assert run("--plan", second="copy").printed == "There is nothing to ask.\n"
    assert "nothing costs" in run("--plan", spec="reward:rule:length").printed


def test_a_budget_is_never_exceeded_and_a_greater_one_goes_on(run):
    options = ("--prices", "prices.yaml", "--overwrite", "--concurrency", "4")
    spec = "openai:scripted?max_tokens=200"
    plenty = run(*options, "--ledger", "other", spec=spec)
    whole = sum(row["cost"] or 0 for row in plenty.rows)
    some = run(*options, "--budget", str(whole / 2), spec=spec)
    spent = sum(row["cost"] or 0 for row in some.rows)
    left = [row for row in some.rows if row["reason"] == "skipped"]
    assert 0 < spent <= whole / 2
    assert 0 < len(left) < 2 * ASKED
    assert some.calls == 2 * ASKED - len(left)
    assert f"{len(left)} verdicts remain; the same command with a greater --budget" in some.printed
    none = run(*options, "--budget", "0", spec=spec)
    assert none.calls == 0
    assert none.rows == some.rows
    rest = run(*options, "--budget", str(whole), spec=spec)
    assert rest.calls == len(left)
    assert [without(row, "latency") for row in rest.rows] == [without(row, "latency") for row in plenty.rows]


def test_a_jury_s_verdicts_come_with_its_members(run):
    spec = "jury:openai:scripted,openai:other,reward:rule:length?quorum=2"
    done = run("--order", "given", spec=spec)
    assert done.calls == 2 * ASKED
    assert Counter(row["judge"] for row in done.rows) == dict.fromkeys(
        (spec, "openai:scripted", "openai:other", "reward:rule:length"), COUNT
    )
    members = [row for row in done.rows if row["judge"] == "reward:rule:length"]
    for row in members:
        longer = len(row["first"]) - len(row["second"])
        assert row["winner"] == ("first" if longer > 0 else "second" if longer else "tie")
    whole = [row for row in done.rows if row["judge"] == "openai:scripted"]
    assert [row["winner"] for row in whole] == [
        row["winner"] for row in run("--order", "given", out="a.jsonl").rows
    ]
    assert run("--overwrite", "--order", "given", spec=spec).calls == 0


def test_a_jury_out_of_budget_says_what_remains(run):
    done = run("--budget", "0", "--prices", "prices.yaml", spec="jury:openai:scripted,reward:rule:length")
    assert done.calls == 0
    assert "the budget of 0 was reached" in done.printed
    counts = Counter((row["judge"], row["reason"]) for row in done.rows)
    assert counts["openai:scripted", "skipped"] == 2 * ASKED
    assert counts["reward:rule:length", ""] == 2 * COUNT


def test_a_reward_judge_asks_no_endpoint(run):
    done = run(spec="reward:rule:length")
    assert done.calls == 0
    for row in done.rows:
        longer = len(row["first"]) - len(row["second"])
        assert row["winner"] == ("first" if longer > 0 else "second" if longer < 0 else "tie")
    assert run(spec="reward:rule:length", out="again.jsonl").rows == done.rows


def test_a_judge_that_always_ties_is_told_as_one(run, folder):
    write(
        folder / "same.jsonl", [{"prompt": f"Prompt {n}?", "response": said("ourz", n)} for n in range(COUNT)]
    )
    done = run(spec="reward:rule:length", second="same")
    assert {row["winner"] for row in done.rows} == {"tie"}
    assert (
        "reward:rule:length: every verdict is a tie, which tells nothing apart; evalkit probe" in done.printed
    )


def test_grades_are_asked_once_for_both_orders(run):
    done = run(spec="openai:scripted?mode=pointwise")
    assert done.calls == 2 * ASKED  # two responses to each prompt
    assert {row["reason"] for row in done.rows if row["first"] != row["second"]} <= {
        "parse_failed",
        "refused",
    }
    assert run(out="given.jsonl", spec="openai:scripted?mode=pointwise").calls == 0
    assert "openai:scripted?mode=pointwise: no reply could be read; " in done.printed


def test_conversations_and_references_are_shown(run, folder):
    turns = [{"role": "user", "content": "Two?"}, {"role": "assistant", "content": "2"}]
    prompts = [[*turns, {"role": "user", "content": f"Why {number}?"}] for number in range(6)]
    for side in ("ours", "theirs"):
        write(
            folder / f"talk_{side}.jsonl",
            [{"prompt": one, "response": side, "answer": f"Because {n}."} for n, one in enumerate(prompts)],
        )
    done = run(
        "--rename.answer",
        "reference",
        spec="openai:scripted?reference=true",
        first="talk_ours",
        second="talk_theirs",
    )
    assert done.calls == 12
    assert [row["prompt"] for row in done.rows[::2]] == prompts
    assert [row["reference"] for row in done.rows[::2]] == [f"Because {n}." for n in range(6)]
    main(["ledger", "export", "--ledger", "ledger", "--out", "ledger.jsonl"])
    for line in Path("ledger.jsonl").read_text().splitlines():
        sent = json.loads(line)["question"]["messages"][-1]["content"]
        number = re.search(r"Why (\d)\?", sent)[1]
        assert f"Because {number}." in sent
        assert "MESSAGE 2 BY assistant" in sent


def test_the_verdicts_are_read_by_the_commands_that_follow(run, capsys):
    done = run()
    verdicts = list(read_verdicts("v.jsonl"))
    assert [(one.winner, one.swapped, one.reason) for one in verdicts] == [
        (row["winner"], row["swapped"], row["reason"]) for row in done.rows
    ]
    main(["winrate", "--verdicts", "v.jsonl", "--out", "rates", "--bootstrap", "50"])
    capsys.readouterr()
    (result,) = json.loads(Path("rates/winrate.json").read_text())["results"]
    values = [{"first": 1.0, "tie": 0.5, "second": 0.0}[row["winner"]] for row in done.rows if row["winner"]]
    assert result["win_rate"]["mean"] == pytest.approx(sum(values) / len(values))
    assert sum(result["missing"].values()) == len(done.rows) - len(values)
    # Identical responses, about which nobody was asked, say nothing of the judge's position bias.
    assert result["position"]["counts"]["comparisons"] == ASKED


def test_another_kind_of_file_holds_the_same(run):
    rows = run().rows
    assert run(out="v.parquet").rows == rows
    assert run(out="v.jsonl.gz").rows == rows


def test_rows_are_written_as_they_come_and_few_are_held(folder):
    many = 3 * CHUNK
    for side in ("ours", "theirs"):
        write(folder / f"{side}.jsonl", [{"prompt": f"{n}", "response": f"{side} {n}"} for n in range(many)])
    compared = []

    class Counting:
        name = "counting"

        def compare(self, comparisons):
            compared.append(len(comparisons))
            return [Verdict(one, "tie", None) for one in comparisons]

    ours, theirs = (Side(f"{name}.jsonl", name) for name in ("ours", "theirs"))
    panel = Panel(Session.open(), [Counting()])
    verdicts = panel.verdicts(SideComparisons(ours, theirs, match_sides(ours, theirs)))
    next(verdicts)
    assert compared == [2 * CHUNK]
    assert sum(1 for _ in verdicts) == 2 * many - 1
    assert compared == [2 * CHUNK] * 3


@pytest.fixture
def patient(monkeypatch):
    """Let batches be looked at without a wait."""
    monkeypatch.setattr("judges.asking.batch.time", SimpleNamespace(sleep=lambda _: None, time=time.time))


@pytest.mark.usefixtures("patient")
def test_a_batch_brings_the_verdicts_and_a_second_run_none(run):
    with BatchServer(BatchScript(looks=2)) as server:
        options = ("--batch", "--api_key", KEY, "--prices", "prices.yaml", "--overwrite")
        done = run(*options, base_url=server.url)
        assert len(set(server.asked())) == len(server.asked()) == 2 * ASKED
        assert Counter(row["winner"] for row in done.rows) == {
            "first": ASKED,
            "second": ASKED,
            "tie": 2 * IDENTICAL,
        }
        # 100 tokens sent and 10 received each, at the prices of batches
        assert f"{2 * ASKED * (100 * 500 + 10 * 1000) / 1e6:.4f} EUR by batch" in done.printed
        assert run(*options, base_url=server.url).rows == done.rows
        assert len(server.batches) == 1
        assert KEY.encode() not in Path("ledger").read_bytes()


@pytest.mark.usefixtures("patient")
def test_what_a_batch_left_is_not_asked_live_but_by_the_next_one(run):
    left = []

    def rows(key):
        if len(left) < 5 and key not in left:
            left.append(key)
            return unasked(key)
        return answered(key)

    with BatchServer(BatchScript(rows=rows)) as server:
        options = ("--batch", "--api_key", KEY, "--overwrite")
        done = run(*options, base_url=server.url)
        assert sum(row["reason"] == "skipped" for row in done.rows) == 5
        assert "5 verdicts remain unasked; the same command with --overwrite goes on" in done.printed
        done = run(*options, base_url=server.url)
        assert not any(row["reason"] for row in done.rows)
        assert [len(asked) for asked in server.requests()] == [2 * ASKED, 5]


def start(url, *options):
    line = [
        sys.executable,
        "-m",
        "evalkit.cli",
        "judge",
        "--judge",
        "openai:scripted",
        "--first",
        "ours.jsonl",
    ]
    line += [
        "--second",
        "theirs.jsonl",
        "--out",
        "v.jsonl",
        "--base_url",
        url,
        "--concurrency",
        "4",
        *options,
    ]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_goes_on_and_asks_nothing_received_again(blow, run, folder):
    log = folder / "log"
    with serving(odd=0.2, latency=0.1, log=str(log)) as slow:
        process = start(slow)
        while not log.exists() or len(log.read_text().splitlines()) < 8:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(blow)
        _, error = process.communicate(timeout=30)
        assert not Path("v.jsonl").exists()
        if blow == signal.SIGINT:
            assert process.returncode == 130
            assert error == (
                "evalkit: interrupted; what is done is kept, and the same command goes on from there\n"
            )
        received = len(log.read_text().splitlines())
        assert 8 <= received < 2 * ASKED
        with start(slow) as process:
            printed, error = process.communicate(timeout=30)
        assert (process.returncode, error) == (0, "")
        asked = Counter(json.loads(line)["question"] for line in log.read_text().splitlines())
    assert len(asked) == 2 * ASKED
    # What was received and not yet recorded when the process was killed; an interruption records it.
    assert asked.total() - len(asked) <= (4 if blow == signal.SIGKILL else 0)
    assert f"of {2 * COUNT} verdicts" in printed
    rows = [json.loads(line) for line in Path("v.jsonl").read_text().splitlines()]
    undisturbed = run(out="undisturbed.jsonl").rows
    assert [without(row, *TOLD) for row in rows] == [without(row, *TOLD) for row in undisturbed]
