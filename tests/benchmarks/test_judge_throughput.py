"""How fast one core asks an endpoint, against the plain openai client; 10,000 comparisons with five kills."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import psutil
import pytest

from judges.asking.asker import Asker
from judges.asking.config import AskingConfig
from judges.asking.session import Session
from judges.asking.tally import Tally
from judges.questions.question import AnswerForm, Question
from judges.questions.reply import request_body
from rewards.records import Message
from tests.benchmarks.conftest import clock, write_results
from tests.judges.asking.chat_server import serving
from tests.judges.asking.test_kill import judged_with_kills

CONCURRENCY = 64
LATENCY = 0.2
CALLS = 4000
REPEATS = 2
WORDS = "word " * 400


def questions(url: str, count: int, name: str) -> list[Question]:
    return [
        Question(
            "openai:m", url, (Message("user", f"{name} {number} {WORDS}"),), AnswerForm(), {"max_tokens": 9}
        )
        for number in range(count)
    ]


async def gathered(url: str, asked: list[Question]) -> None:
    """What most scripts do: all calls at once behind a semaphore, and the SDK's typed method."""
    semaphore = asyncio.Semaphore(CONCURRENCY)
    async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:

        async def one(question: Question) -> None:
            async with semaphore:
                await client.chat.completions.create(**request_body(question, "m"))

        await asyncio.gather(*(one(question) for question in asked))


def ours(url: str, ledger: Path, asked: list[Question]) -> None:
    config = AskingConfig(ledger=str(ledger), base_url=url, concurrency=CONCURRENCY)
    session = Session.open(config)
    Asker(session, "m").ask(iter(asked))
    assert session.ledger.counts()["ok"] == len(asked)
    session.ledger.close()


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_calls_a_second_against_the_plain_client(tmp_path):
    rows = []
    for latency in (LATENCY, 0.0):
        with serving(latency=latency) as url:
            for repeat in range(REPEATS):
                for way in (
                    "ours, each reply committed to a ledger on disk",
                    "AsyncOpenAI, gather and semaphore",
                ):
                    asked = questions(url, CALLS, f"{way} {repeat}")
                    load = os.getloadavg()[0]
                    with clock() as measured:
                        if way.startswith("ours"):
                            ours(url, tmp_path / f"{latency}-{repeat}.db", asked)
                        else:
                            asyncio.run(gathered(url, asked))
                    ideal = CONCURRENCY / latency if latency else None
                    rate = CALLS / measured.wall
                    rows.append(
                        {
                            "way": way,
                            "latency_s": latency,
                            "concurrency": CONCURRENCY,
                            "calls": CALLS,
                            "calls_per_s": round(rate, 1),
                            "of_ideal": round(rate / ideal, 3) if ideal else "",
                            "processor_ms_per_call": round(1000 * measured.processor / CALLS, 3),
                            "calls_per_processor_s": round(CALLS / measured.processor, 1),
                            "load_before": round(load, 1),
                        }
                    )
                    sys.stdout.write(f"{rows[-1]}\n")
    write_results("judging", rows)
    best = max(row["of_ideal"] for row in rows if row["of_ideal"] and row["way"].startswith("ours"))
    assert best >= 0.85


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_ten_thousand_comparisons_among_faults_and_kills(tmp_path):
    began = time.perf_counter()
    few = judged_with_kills(tmp_path, 1_000, 0, CONCURRENCY)
    (tmp_path / "many").mkdir()
    told = judged_with_kills(tmp_path / "many", 10_000, 5, CONCURRENCY)
    row = {
        "comparisons": 10_000,
        "questions": told["questions"],
        "kills": 5,
        "received_and_asked_again": told["asked_again"],
        "allowed": 5 * CONCURRENCY,
        "memory_mib_after_1000_comparisons": round(few["memory_mib"], 1),
        "memory_mib_after_10000": round(told["memory_mib"], 1),
        "seconds": round(time.perf_counter() - began, 1),
    }
    sys.stdout.write(f"{row}\n")
    write_results("judging_kills", [row])
    # The ledger keeps up to 64 MiB of its file in memory; nothing else may grow.
    assert told["memory_mib"] < few["memory_mib"] + 64 + 8


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_memory_is_flat(tmp_path):
    """20,000 questions asked, then a million taken, looked up and left, as no budget remains for them."""
    prices = tmp_path / "prices.yaml"
    prices.write_text("models:\n  m: {input: 1, output: 1}\n")
    seen: list[tuple[int, float]] = []

    def look(tally: Tally) -> None:
        seen.append((tally.received + tally.skipped, psutil.Process().memory_info().rss / 2**20))

    with serving() as url:
        settings = {"base_url": url, "prices": str(prices), "budget": 1000.0}
        session = Session.open(AskingConfig(ledger=str(tmp_path / "l.db"), **settings))
        asker = Asker(session, "m", progress=look)
        asker.ask(short(url, 20_000))
        session.spending.reserve(session.spending.remaining)
        asker.ask(short(url, 1_000_000))
    look(asker.tally)
    assert asker.tally.skipped == 980_000
    early = max(mib for done, mib in seen if done <= 4_000)
    asked = max(mib for done, mib in seen if done <= 20_000)
    row = {"after_4000_asked_mib": early, "after_20000_asked_mib": asked, "after_a_million_mib": seen[-1][1]}
    sys.stdout.write(f"{row}\n")
    write_results("judging_memory", [{name: round(mib, 1) for name, mib in row.items()}])
    # The ledger keeps up to 64 MiB of its file in memory; nothing else may grow.
    assert seen[-1][1] < early + 64 + 8


def short(url: str, count: int) -> Iterator[Question]:
    for number in range(count):
        yield Question(
            "openai:m", url, (Message("user", f"number {number}"),), AnswerForm(), {"max_tokens": 9}
        )
