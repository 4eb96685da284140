"""What a store of labels cannot be, or cannot do now: one line with the remedy, and nothing half-written."""

import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from judges.human.database import connection as store_database
from judges.human.labels import Annotator, Given
from judges.human.store import Store, StoreUnavailableError
from judges.human.study import Study
from rewards.errors import ConfigError, DataError, EvalkitError
from tests.judges.human.label_store import DATABASES, annotating, answer, database, execute, pairs, people


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    with database("postgres", tmp_path) as url:
        yield url


def begun(store: Store) -> tuple[Annotator, Given]:
    """Put a task in somebody's hands."""
    store.add_tasks(pairs(3))
    (ann,) = people(store, "ann")
    given = store.next_task(ann)
    assert given is not None
    return ann, given


def one_line(error: BaseException) -> str:
    assert isinstance(error, EvalkitError)
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.parametrize("table", ["label_events", "label_study"])
@pytest.mark.parametrize("act", ["UPDATE {} SET time = 0", "DELETE FROM {}"])
def test_nobody_changes_or_deletes_what_was_said(url: str, table: str, act: str) -> None:
    with Store(url) as store:
        ann, given = begun(store)
        store.set_study(Study(overlap=3))
        store.record(ann, given.handle, answer(given, "n"))
        before = list(store.events())
        with pytest.raises(DBAPIError, match="only ever added to"):
            execute(url, act.format(table))
        assert list(store.events()) == before
        assert store.study().overlap == 3


def test_nobody_empties_a_table_of_events_at_once(postgres: str) -> None:
    with Store(postgres) as store:
        ann, given = begun(store)
        store.record(ann, given.handle, answer(given, "n"))
        with pytest.raises(DBAPIError, match="only ever added to"):
            execute(postgres, "TRUNCATE label_events CASCADE")
        assert store.last_event() == 1


def test_a_store_of_another_version_is_left_alone(url: str) -> None:
    Store(url).close()
    execute(url, "UPDATE label_store SET version = 99")
    with pytest.raises(DataError, match="version 99") as caught:
        Store(url)
    assert "export" in one_line(caught.value)


def test_a_store_that_has_lost_tables_is_refused(url: str) -> None:
    Store(url).close()
    execute(url, "DROP TABLE label_standing", "DROP TABLE label_store")
    with pytest.raises(DataError, match="other tables"):
        Store(url)


def test_a_file_that_is_no_store_is_left_alone(tmp_path: Path) -> None:
    prose, other = tmp_path / "rows.jsonl", tmp_path / "ledger.db"
    prose.write_text('{"prompt": "p"}\n' * 100)
    with pytest.raises(DataError, match="no SQLite database") as caught:
        Store(str(prose))
    assert str(prose) in one_line(caught.value)
    assert prose.read_text() == '{"prompt": "p"}\n' * 100
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE verdicts (id)")
    with pytest.raises(DataError, match="verdicts"):
        Store(str(other))


@pytest.mark.parametrize(
    "url",
    [
        "", ":memory:", "sqlite://", "sqlite:///:memory:", "mysql://me:secret@host/db", "postgresql//x://secret",
        "postgresql://me:sec@ret@host:nonsense/db", "nonsense://me:secret@host/db",
        "sqlite+aiosqlite:///labels.db", "postgresql://127.0.0.1:1/db?sectional=yes",
    ],
)  # fmt: skip
def test_a_url_that_leads_nowhere_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Store(url)
    assert "secret" not in one_line(caught.value)
    assert "sec@ret" not in str(caught.value)


def test_whichever_driver_is_named_the_one_that_the_extra_installs_is_used(postgres: str) -> None:
    with Store(postgres.replace("+psycopg", "+psycopg2")) as store:
        assert store.last_event() == 0


def test_a_file_that_cannot_be_made_or_written_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "no" / "folder" / "labels.db"):
        with pytest.raises(ConfigError, match="cannot be opened"):
            Store(str(place))
    file = tmp_path / "labels.db"
    Store(str(file)).close()
    with pytest.raises(ConfigError, match="read-only") as caught:
        Store(f"sqlite:///file:{file}?mode=ro&uri=true")
    one_line(caught.value)


def test_a_server_that_takes_no_writes_is_refused(postgres: str) -> None:
    Store(postgres).close()
    with pytest.raises(ConfigError, match="read-only"):
        Store(f"{postgres}%20-cdefault_transaction_read_only%3Don")


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(ConfigError, match="cannot be reached") as caught:
        Store("postgresql://me:hush%40hush@127.0.0.1:1/labels?sslpassword=hush")
    assert "me:***@127.0.0.1:1/labels" in one_line(caught.value)
    assert "hush" not in str(caught.value)


def test_a_database_that_is_not_there_and_a_refused_name_are_told(postgres: str) -> None:
    server = postgres.partition("?")[0]
    with pytest.raises(ConfigError, match="createdb"):
        Store(f"{server.rpartition('/')[0]}/nowhere")
    with pytest.raises(ConfigError, match="name or password"):
        Store(server.replace("postgres@", "nobody:hush@"))


def test_the_name_of_a_store_holds_no_password(postgres: str) -> None:
    told = postgres.replace("postgres@", "postgres:hush@")
    with Store(told) as store:
        assert "hush" not in store.name
        assert "postgres:***@" in store.name
        assert store.last_event() == 0


def test_a_full_disk_keeps_what_was_confirmed(tmp_path: Path) -> None:
    url = str(tmp_path / "labels.db")
    with Store(url) as store:
        store.add_tasks(pairs(2000))
        people(store, "ann")
        execute(url, "PRAGMA wal_checkpoint(TRUNCATE)")
    with annotating(url, "ann", limit=600_000) as process:
        lines = process.communicate()[0].splitlines()
    confirmed, refused = lines[:-1], lines[-1]
    assert refused.startswith(f"refused: {url}: the disk")
    assert "make room" in refused
    with Store(url) as store:
        assert [event["nonce"] for event in store.events()] == confirmed
        assert confirmed
        (ann,) = store.annotators()
        given = store.next_task(ann)
        assert given is not None
        assert store.record(ann, given.handle, answer(given, "more")) == "recorded"


@pytest.mark.parametrize("act", ["moved", "replaced"])
def test_nothing_is_told_as_kept_in_a_file_that_is_gone(tmp_path: Path, act: str) -> None:
    url, beside = tmp_path / "labels.db", tmp_path / "beside.db"
    with Store(str(url)) as store:
        ann, given = begun(store)
        url.rename(beside)
        if act == "replaced":
            Store(str(url)).close()
        for doing in (lambda: store.record(ann, given.handle, answer(given, "n")), store.study):
            with pytest.raises(StoreUnavailableError, match="deleted, moved or replaced") as caught:
                doing()
            one_line(caught.value)
        if act == "moved":
            assert not url.exists()  # no empty one was made in its place
            beside.rename(url)
            assert store.record(ann, given.handle, answer(given, "n")) == "recorded"


def test_a_server_whose_disk_is_full_keeps_nothing_by_halves(postgres: str) -> None:
    with Store(postgres) as store:
        ann, given = begun(store)
        # The last write of a post fails, after its event.
        full = "RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'"
        failing(postgres, "label_store", full)
        with pytest.raises(StoreUnavailableError, match="make room") as caught:
            store.record(ann, given.handle, answer(given, "n"))
        one_line(caught.value)
        assert store.last_event() == 0
        assert store.next_task(ann) == given
        execute(postgres, "DROP TRIGGER fails ON label_store")
        assert store.record(ann, given.handle, answer(given, "n")) == "recorded"


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_what_met_another_transaction_is_done_again(postgres: str, state: str) -> None:
    with Store(postgres) as store:
        ann, given = begun(store)
        execute(postgres, "CREATE SEQUENCE tries")  # which no rollback turns back
        failing(
            postgres,
            "label_store",
            f"IF nextval('tries') <= 3 THEN RAISE EXCEPTION 'again' USING ERRCODE = '{state}'; END IF",
        )
        assert store.record(ann, given.handle, answer(given, "n")) == "recorded"
        assert execute(postgres, "SELECT last_value FROM tries") == [(4,)]
        assert [label.nonce for label in store.labels()] == ["n"]


def test_a_lost_connection_is_told_and_the_next_try_goes_through(postgres: str) -> None:
    with Store(f"{postgres}&application_name=ended") as store:
        ann, given = begun(store)
        failing(postgres, "label_store", "PERFORM pg_terminate_backend(pg_backend_pid())")
        with pytest.raises(StoreUnavailableError) as caught:
            store.record(ann, given.handle, answer(given, "n"))
        one_line(caught.value)
        execute(postgres, "DROP TRIGGER fails ON label_store")
        # All connections that wait in the pool are ended too, as by a server that starts anew.
        execute(
            postgres,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ended'",
        )
        assert store.record(ann, given.handle, answer(given, "n")) == "recorded"
        assert [event["nonce"] for event in store.events()] == ["n"]


def test_what_was_kept_as_the_connection_was_lost_is_told_as_repeated(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    psycopg = pytest.importorskip("psycopg")  # as only PostgreSQL needs it
    with Store(postgres) as store:
        ann, given = begun(store)
        commit = psycopg.Connection.commit

        def lost(connection: object) -> None:
            commit(connection)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(psycopg.Connection, "commit", lost)
        with pytest.raises(StoreUnavailableError):
            store.record(ann, given.handle, answer(given, "n"))
        monkeypatch.undo()
        assert store.record(ann, given.handle, answer(given, "n")) == "repeated"
        assert [label.nonce for label in store.labels()] == ["n"]


def test_a_store_that_another_holds_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(url) as store:
        ann, given = begun(store)
        monkeypatch.setattr(store_database, "PATIENCE", 0.1)
        held, go_on = threading.Event(), threading.Event()

        def hold(_: object) -> None:
            held.set()
            assert go_on.wait(60)

        with Store(url) as other, ThreadPoolExecutor(1) as pool:
            monkeypatch.undo()
            holding = pool.submit(store._database.write, hold)
            assert held.wait(60)
            with pytest.raises(StoreUnavailableError, match="another program holds it") as caught:
                other.record(ann, given.handle, answer(given, "n"))
            one_line(caught.value)
            go_on.set()
            holding.result()
            assert other.record(ann, given.handle, answer(given, "n")) == "recorded"


def test_a_process_that_hangs_while_it_writes_is_given_up(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(postgres) as store, Store(postgres) as hung:
        ann, given = begun(store)
        monkeypatch.setattr(store_database, "PATIENCE", 0.05)
        held, told = threading.Event(), threading.Event()

        def hang(_: object) -> None:
            held.set()
            assert told.wait(60)

        with ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(hung._database.write, hang)
            assert held.wait(60)
            monkeypatch.undo()
            # It goes through although the other never ends its transaction.
            assert store.record(ann, given.handle, answer(given, "n")) == "recorded"
            told.set()
            error = hanging.exception()
        assert isinstance(error, StoreUnavailableError)
        one_line(error)


def test_a_mistake_in_this_package_is_not_told_as_the_database_s(url: str) -> None:
    with Store(url) as store, pytest.raises(DBAPIError) as caught:
        store._database.write(lambda connection: connection.execute(text("SELECT nothing FROM nowhere")))
    assert "nowhere" in str(caught.value)


def test_the_script_that_starts_a_server_says_how_it_is_used() -> None:
    script = Path(__file__).parents[4] / ".ci" / "postgres"
    for wrong in (["stop", "postgresql+psycopg://postgres@127.0.0.1:1/postgres"], ["stop"], ["begin"]):
        ran = subprocess.run([script, *wrong], capture_output=True, text=True, check=False)
        assert ran.returncode == 2
        assert len(ran.stderr.splitlines()) == 1


def failing(url: str, table: str, act: str) -> None:
    """Let every change to a table first do something that fails."""
    execute(
        url,
        f"CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {act}; RETURN NEW; END $$",
        f"CREATE TRIGGER fails BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION fail()",
    )
