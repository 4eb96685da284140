"""Models, data and result files that the benchmarks share."""

import csv
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
DATA = ROOT / ".." / "shared" / "data"
RESULTS = ROOT / "results" / "benchmarks"


class Clock:
    """Wall and processor seconds of a block."""

    wall: float
    processor: float


@contextmanager
def clock() -> Iterator[Clock]:
    measured = Clock()
    wall, processor = time.perf_counter(), time.process_time()
    yield measured
    measured.wall = time.perf_counter() - wall
    measured.processor = time.process_time() - processor


def write_results(name: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a benchmark's table, with what it ran on."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    machine = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    with (RESULTS / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], *machine])
        writer.writeheader()
        writer.writerows({**row, **machine} for row in rows)


@pytest.fixture
def hh() -> Path:
    path = DATA / "hh" / "helpful-base" / "test.jsonl.gz"
    if not path.exists():
        pytest.skip("needs the HH test split in ../shared/data/hh")
    return path


@pytest.fixture
def stories_tokenizer() -> str:
    path = DATA / "stories260k"
    if not path.exists():
        pytest.skip("needs the tokenizer in ../shared/data/stories260k")
    return str(path)
