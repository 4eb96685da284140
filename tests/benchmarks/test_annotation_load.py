"""A hundred annotators on one server for a minute, on SQLite and PostgreSQL: every act once, and how fast."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest

from evalkit.experiments.simulated_annotators.annotators import Deed, annotation_server
from rewards.files import read_rows
from tests.benchmarks.conftest import write_results
from tests.evalkit.annotation.annotation_crowd import check_accounts, server_options, write_tasks
from tests.judges.human.label_store import DATABASES, database

PEOPLE = 100
SECONDS = 60
TASKS = 20_000
THINKING = (0.0, 2.0)
"""Mean seconds between a page and its answer: none, each as fast as they can; and those of a quick person."""


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_a_hundred_annotators_at_once_for_a_minute(tmp_path):
    rows = []
    for kind in DATABASES:
        for think in THINKING:
            folder = tmp_path / f"{kind}-{think:g}"
            folder.mkdir()
            with database(kind, folder) as url:
                rows.append({"database": kind, "think_s": think, **measured(folder, url, think)})
            sys.stdout.write(f"{rows[-1]}\n")
    write_results("annotation_load", rows)
    # Latencies depend on what else the machine does; what a request takes of the processor hardly does.
    assert max(row["server_processor_ms_per_request"] for row in rows) < 10


def measured(folder: Path, url: str, think: float) -> dict[str, object]:
    """Let the crowd work in a process of its own, and hold what it was told against the store."""
    data = write_tasks(folder / "data.jsonl", TASKS, checks=200)
    links, out = folder / "links", folder / "told.jsonl"
    options = server_options(url, data, links, PEOPLE, 0)
    crowd = [sys.executable, "-m", "evalkit.experiments.simulated_annotators"]
    habits = {"links": links, "out": out, "seconds": SECONDS, "think": think}
    crowd += [part for name, value in habits.items() for part in (f"--{name}", str(value))]
    with annotation_server(options) as server:
        process, before = psutil.Process(server.pid), _processor(server.pid)
        load = os.getloadavg()[0]
        subprocess.run(crowd, check=True)
        used, memory = _processor(server.pid) - before, process.memory_info().rss / 2**20
    deeds = [Deed(**row.values) for row in read_rows(str(out))]
    counts = check_accounts(deeds, url, overlap=1)
    took = max(deed.time for deed in deeds) - min(deed.time - deed.seconds for deed in deeds)
    return {
        "people": PEOPLE,
        "seconds": round(took, 1),
        **counts,
        "posts_per_s": round(counts["acts"] / took, 1),
        **_percentiles("page", [deed for deed in deeds if deed.kind == "page"]),
        **_percentiles("post", [deed for deed in deeds if deed.kind != "page"]),
        "server_processor_ms_per_request": round(1000 * used / len(deeds), 2),
        "server_mib": round(memory, 1),
        "load_before": round(load, 1),
    }


def _processor(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def _percentiles(name: str, deeds: Sequence[Deed]) -> dict[str, float]:
    found = np.percentile([deed.seconds for deed in deeds], [50, 95, 99])
    return {
        f"{name}_p{p}_ms": round(1000 * float(value), 1) for p, value in zip((50, 95, 99), found, strict=True)
    }
