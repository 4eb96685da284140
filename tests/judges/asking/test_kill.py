"""Killed five times among faults of every kind: each verdict once in the ledger, true, and paid for once."""

import json
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from judges.judge import ask_both_orders
from judges.questions.question import Question
from tests.judges.asking.chat_server import READABLE, named, serving
from tests.judges.asking.judging_run import comparisons, judge, questions

ROOT = Path(__file__).parents[3]
FAULTS = {
    "too_many": 0.005,
    "retry_after": 0.005,
    "retry_seconds": 0.02,
    "broken": 0.02,
    "slow": 0.002,
    "cut": 0.02,
    "malformed": 0.02,
    "odd": 0.3,
}
WINNERS = {"A": "first", "B": "second", "C": "tie"}


def run(url: str, ledger: Path, count: int, concurrency: int) -> subprocess.Popen:
    command = [
        sys.executable,
        "-m",
        "tests.judges.asking.judging_run",
        url,
        str(ledger),
        str(count),
        str(concurrency),
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def lines(log: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def judged_with_kills(folder: Path, count: int, kills: int, concurrency: int) -> dict[str, object]:
    """Judge, killing at even steps of the way; check all that is promised; return what the last run told."""
    log, ledger = folder / "log", folder / "ledger.db"
    with serving(log=str(log), latency=0.005, **FAULTS) as url:
        for kill in range(1, kills + 1):
            with run(url, ledger, count, concurrency) as process:
                try:
                    while log.read_bytes().count(b"\n") < 2 * count * kill / (kills + 1):
                        assert process.poll() is None, "ended before it was killed"
                        time.sleep(0.02)
                finally:
                    process.kill()
        with run(url, ledger, count, concurrency) as process:
            try:
                told = json.loads(process.communicate(timeout=400)[0])
            finally:
                process.kill()
    # The server is gone: whatever is said from here on was in the ledger.
    loaded = judge(url, str(ledger), concurrency)
    asked = list(questions(loaded, count))
    said = Counter(line["question"] for line in lines(log))
    check_ledger(ledger, asked, {line["question"]: line for line in lines(log)})
    assert set(said) == {text(question) for question in asked}
    repeated = said.total() - len(said)
    assert repeated <= kills * concurrency
    check_verdicts(loaded, count, {line["question"]: line for line in lines(log)})
    return {**told, "asked_again": repeated, "questions": len(asked)}


def text(question: Question) -> str:
    return named("\n".join(message.content for message in question.messages))


def check_ledger(path: Path, asked: list[Question], truth: dict[str, dict[str, str]]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT key, state, reply FROM questions JOIN attempts ON question = questions.id"
        ).fetchall()
    answers = Counter(key for key, state, _ in rows if state == "ok")
    assert set(answers.values()) == {1}, "an answer is there more than once"
    assert {key for key, _, _ in rows} == {question.key for question in asked}
    by_key = {question.key: truth[text(question)] for question in asked}
    for key, state, reply in rows:
        assert reply == by_key[key]["reply"]
        expected = "ok" if by_key[key]["kind"] in READABLE else "refused"
        assert state == (expected if by_key[key]["kind"] in (*READABLE, "refusal") else "parse_failed")


def check_verdicts(loaded, count: int, truth: dict[str, dict[str, str]]) -> None:
    for both in ask_both_orders(loaded, list(comparisons(count))):
        for verdict in (both.given, both.swapped.swap()):
            (question,) = loaded.questions(verdict.comparison)
            line = truth[text(question)]
            won = WINNERS[line["reply"][-3]] if line["kind"] in READABLE else None
            assert verdict.winner == won
            assert bool(verdict.reason) == (won is None)
    assert loaded.asker.tally.asked == 0


def test_five_kills_lose_nothing_and_ask_nothing_twice(tmp_path):
    told = judged_with_kills(tmp_path, 1000, 5, 16)
    assert told["questions"] == 2000
