"""Twenty annotators at once on the real server, on both databases: every act is kept exactly once."""

import threading
import time

import pytest

from evalkit.experiments.simulated_annotators.annotators import (
    Deed,
    annotation_server,
    at_work,
    crowd,
    free_port,
    read_links,
)
from evalkit.experiments.simulated_annotators.config import Habits
from tests.evalkit.annotation.annotation_crowd import check_accounts, names, server_options, write_tasks
from tests.judges.human.label_store import DATABASES, database

PEOPLE = 20


@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.timeout(120)
def test_a_crowd_is_told_what_the_store_holds(kind, tmp_path):
    data, links = write_tasks(tmp_path / "data.jsonl", 60, checks=10), tmp_path / "links"
    with database(kind, tmp_path) as url:
        options = server_options(url, data, links, PEOPLE, 0, overlap=2, gold_every=5)
        with annotation_server(options):
            deeds = list(at_work(read_links(links), crowd(names(PEOPLE)), Habits(undo=0.1)))
        told = check_accounts(deeds, url, overlap=2)
    assert told["tried_again"] == 0
    screens = {deed.state for deed in deeds if deed.kind == "page"}
    assert screens == {"pairwise", "rest"}
    # Whoever skipped a task is no loss to it, as there are others.
    proper = {deed.prompt for deed in deeds if deed.kind == "answer"}
    assert len(proper) >= 60


@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.timeout(120)
def test_a_kill_in_the_middle_loses_and_doubles_nothing(kind, tmp_path):
    data, links = write_tasks(tmp_path / "data.jsonl", 5_000), tmp_path / "links"
    with database(kind, tmp_path) as url:
        options = server_options(url, data, links, PEOPLE, free_port(), overlap=1)
        deeds: list[Deed] = []
        with annotation_server(options) as server:
            people, addresses = crowd(names(PEOPLE)), read_links(links)
            working = threading.Thread(
                target=lambda: deeds.extend(at_work(addresses, people, Habits(seconds=3.0)))
            )
            working.start()
            time.sleep(1.0)
            server.kill()
        with annotation_server(options):
            working.join()
        told = check_accounts(deeds, url, overlap=1)
    assert told["tried_again"] >= PEOPLE // 2
    after = max(deed.time for deed in deeds if deed.tries > 1)
    assert any(deed.kind == "answer" and deed.time > after for deed in deeds)
