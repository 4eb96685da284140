"""Comparisons in both orders, in a process that a test may kill (`python -m`)."""

import json
import sys
import time
from collections.abc import Iterator

import psutil

from judges.asking.asker import Questioning
from judges.asking.backoff import Backoff
from judges.asking.config import AskingConfig
from judges.asking.session import Session
from judges.judge import Comparison, load_judge
from judges.questions.question import Question

SPEC = "openai:scripted"


def comparisons(count: int) -> Iterator[Comparison]:
    for number in range(count):
        yield Comparison(
            f"Explain item {number}.", f"Item {number} is so.", f"It is {number}, as such.", str(number)
        )


def judge(url: str, ledger: str, concurrency: int) -> Questioning:
    config = AskingConfig(ledger=ledger, base_url=url, concurrency=concurrency, tries=40, timeout=1.0)
    loaded = load_judge(SPEC, Session.open(config))
    assert isinstance(loaded, Questioning)
    loaded.asker._pace.backoff = Backoff(0.02, 0.5)
    return loaded


def questions(loaded: Questioning, count: int) -> Iterator[Question]:
    for one in comparisons(count):
        yield from loaded.questions(one)
        yield from loaded.questions(one.swap())


def main(url: str, ledger: str, count: str, concurrency: str) -> None:
    loaded = judge(url, ledger, int(concurrency))
    wall, processor = time.perf_counter(), time.process_time()
    loaded.asker.ask(questions(loaded, int(count)))
    told = {
        "wall": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
        "memory_mib": psutil.Process().memory_info().rss / 2**20,
        "calls": loaded.asker.tally.calls,
        "asked": loaded.asker.tally.asked,
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
