"""Stores of labels to test on: each test's own, in SQLite and in PostgreSQL; and a process that annotates."""

import os
import resource
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from judges.human.labels import Annotator, Given, Posted
from judges.human.store import Store, StoreUnavailableError
from judges.human.tasks import Task

ROOT = Path(__file__).parents[3]
DATABASES = ("sqlite", "postgres")


class Clock:
    """Tells the time that a test sets."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Give the URL of an empty database; a schema of its own on EVALKIT_TEST_POSTGRES."""
    if kind == "sqlite":
        yield str(folder / "labels.db")
        return
    server = os.environ.get("EVALKIT_TEST_POSTGRES", "")
    if not server:
        reason = "EVALKIT_TEST_POSTGRES names no server; .ci/postgres starts one and prints its URL"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    schema = f"test_{secrets.token_hex(6)}"
    execute(server, f"CREATE SCHEMA {schema}")
    try:
        yield f"{server}?options=-csearch_path%3D{schema}"
    finally:
        execute(server, f"DROP SCHEMA {schema} CASCADE")


def execute(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Run SQL beside the store, and return the rows of the last statement."""
    engine = create_engine(url if "://" in url else f"sqlite:///{url}")
    rows: list[tuple[object, ...]] = []
    try:
        with engine.begin() as connection:
            for statement in statements:
                result = connection.execute(text(statement.replace(":", r"\:")))
                rows = [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()
    return rows


def pairs(count: int, **settings: object) -> list[Task]:
    """Return tasks of two answers."""
    return [
        Task("pairwise", f"question {n}", (f"one {n}", f"two {n}"), id=str(n), **settings)  # type: ignore[arg-type] # settings of a task
        for n in range(count)
    ]


def people(store: Store, *names: str) -> list[Annotator]:
    """Invite annotators."""
    return [store.invite(name).annotator for name in names]


def answer(given: Given, nonce: str, winner: str = "first", seconds: float = 1.0) -> Posted:
    """Return a post that says which of two is better, told as the task is, not as it is shown."""
    shown = winner if given.shown == (0, 1) else {"first": "second", "second": "first"}.get(winner, winner)
    return Posted("answer", nonce, {"winner": shown}, "why", seconds)


def annotate(store: Store, annotator: Annotator, most: int = 10**9) -> Iterator[str]:
    """Answer what comes until nothing does; give each nonce once the store has confirmed it."""
    for _ in range(most):
        given = store.next_task(annotator)
        if given is None:
            return
        nonce = secrets.token_hex(8)
        assert store.record(annotator, given.handle, answer(given, nonce)) == "recorded"
        yield nonce


def annotating(url: str, name: str, limit: int = 0) -> "subprocess.Popen[str]":
    """Start a process that annotates under a name; it writes a line for each confirmed answer.

    Args:
        url: Of the store.
        name: Of an annotator, who may be new.
        limit: Bytes that a file may grow to, so that the disk is full for that process; 0 sets none.
    """
    command = [sys.executable, "-m", "tests.judges.human.label_store", url, name, str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def main(url: str, name: str, limit: str) -> None:
    """Annotate until nothing is left, or the store refuses."""
    with Store(url) as store:
        annotator = store.invite(name).annotator
        if int(limit):
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
        try:
            for nonce in annotate(store, annotator):
                sys.stdout.write(f"{nonce}\n")
                sys.stdout.flush()
        except StoreUnavailableError as error:
            sys.stdout.write(f"refused: {error}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
