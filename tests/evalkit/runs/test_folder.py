"""A run's folder: recorded, locked, continued by its own command, forgotten where nothing was made."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from evalkit.runs.files import configuration_hash
from evalkit.runs.folder import RECORD, run
from rewards.errors import DataError, OutputExistsError


@dataclass(frozen=True)
class Optimiser:
    """A group of options."""

    rate: float = 1e-3
    limit: float = 10.0


@dataclass(frozen=True)
class Settings:
    """A command's configuration."""

    out: str
    size: int = 1
    optimiser: Optimiser = field(default_factory=Optimiser)
    overwrite: bool = False


@pytest.fixture
def out(tmp_path):
    """Return the name of a folder that is not there yet."""
    return str(tmp_path / "runs" / "one")


def begin(out, **options):
    """Begin a run, and make half of it."""
    with run(Settings(out, **options), done="done") as folder:
        (folder / "work").write_text("half")
    return folder


def test_configuration_versions_and_inputs_are_recorded(out):
    with run(Settings(out, overwrite=True), {"data": "d"}, done="done") as folder:
        assert str(folder) == out
        record = json.loads((folder / RECORD).read_text())
    values = {"out": out, "size": 1, "optimiser": {"rate": 1e-3, "limit": 10.0}}
    assert record["configuration"] == values  # --overwrite is no part of a run
    assert record["configuration_hash"] == configuration_hash({**values, "inputs": {"data": "d"}})
    assert {"versions", "python", "platform", "commit"} <= set(record)


def test_a_run_goes_on_with_its_own_configuration_and_inputs_alone(out):
    folder = begin(out)
    with run(Settings(out, overwrite=True), done="done"):  # the same, unfinished: goes on
        assert (folder / "work").exists()
    for settings, inputs in ((Settings(out, 2), None), (Settings(out), {"data": "changed"})):
        with (
            pytest.raises(OutputExistsError, match="another configuration or input"),
            run(settings, inputs, done="done"),
        ):
            pass
    assert (folder / "work").read_text() == "half"


def test_a_finished_run_is_refused_and_replaced_only_when_asked(out):
    folder = begin(out)
    (folder / "done").touch()
    with pytest.raises(OutputExistsError, match="finished; --overwrite"), run(Settings(out), done="done"):
        pass
    assert (folder / "work").exists()
    with run(Settings(out, 2, overwrite=True), done="done"):
        assert [path.name for path in folder.iterdir()] == [RECORD]


def test_a_neutral_field_may_change_and_what_it_was_is_kept(out):
    neutral = ("optimiser.limit",)

    def reopened(**options):
        with run(Settings(out, optimiser=Optimiser(**options)), done="done", neutral=neutral) as folder:
            (folder / "work").touch()
        return json.loads((folder / RECORD).read_text())

    first = reopened()
    assert reopened() == first
    second = reopened(limit=20.0)
    assert second["configuration"]["optimiser"] == {"rate": 1e-3, "limit": 20.0}
    assert second["configurations_before"] == [first["configuration"]]
    third = reopened(limit=30.0)
    assert third["configurations_before"] == [first["configuration"], second["configuration"]]
    with pytest.raises(OutputExistsError, match="another configuration"):
        reopened(rate=1.0)


@pytest.mark.parametrize("record", [None, "", "{}", "[]", '{"name": "a run of something else"}'])
def test_a_folder_of_something_else_is_never_taken_or_replaced(tmp_path, record):
    (tmp_path / "precious").write_text("precious")
    if record is not None:
        (tmp_path / RECORD).write_text(record)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    for overwrite in (False, True):
        settings = Settings(str(tmp_path), overwrite=overwrite)
        with pytest.raises(OutputExistsError, match="something else"), run(settings, done="precious"):
            pass
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "one").write_text("precious")
    with (
        pytest.raises(OutputExistsError, match="is a file"),
        run(Settings(str(tmp_path / "one")), done="done"),
    ):
        pass
    assert (tmp_path / "one").read_text() == "precious"


def test_another_process_is_kept_out_while_a_run_is_going(out):
    with run(Settings(out), done="done") as folder:
        (folder / "work").write_text("half")
        for settings in (Settings(out), Settings(out, 2, overwrite=True)):
            with (
                pytest.raises(OutputExistsError, match="another process is writing it"),
                run(settings, done="done"),
            ):
                pass
    with run(Settings(out), done="done"):
        assert (folder / "work").read_text() == "half"


ENDS = (DataError, KeyboardInterrupt, ZeroDivisionError)


def fail(out, error, *made):
    """Begin a run, make empty files in its folder, and end with an error."""
    with run(Settings(out), done="done", preliminary=("inputs.json",)) as folder:
        for name in made:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
        (folder / "empty").mkdir()
        raise error


@pytest.mark.parametrize("error", ENDS)
def test_a_run_that_ends_before_anything_is_made_leaves_no_trace(out, error):
    with pytest.raises(error):
        fail(out, error, "inputs.json")
    assert not Path(out).exists()
    assert Path(out).parent.exists()


@pytest.mark.parametrize("error", ENDS)
@pytest.mark.parametrize("made", ["work", "inputs.json.partial", "samples/a.jsonl"])
def test_what_was_made_is_kept_however_a_run_ends(out, error, made):
    with pytest.raises(error):
        fail(out, error, "inputs.json", made)
    assert {RECORD, "inputs.json", "empty"} <= {path.name for path in Path(out).iterdir()}
    with run(Settings(out), done="done") as folder:
        assert (folder / made).exists()


@pytest.mark.parametrize("linked", [False, True])
def test_a_folder_that_was_there_and_empty_stays_so(tmp_path, linked):
    folder = tmp_path / "mine"
    folder.mkdir()
    out = tmp_path / "link" if linked else folder
    if linked:
        out.symlink_to(folder, target_is_directory=True)
    with pytest.raises(DataError, match="broken"), run(Settings(str(out)), done="done"):
        raise DataError("broken")
    assert folder.is_dir()
    assert out.exists()
    assert [*folder.iterdir()] == []


def test_a_run_that_made_nothing_and_ends_well_stays(out):
    with run(Settings(out), done="done") as folder:
        pass
    assert (folder / RECORD).exists()


def test_a_record_that_a_kill_left_half_written_says_nothing(tmp_path):
    left = tmp_path / "run" / ".run.json.123.partial"
    left.parent.mkdir()
    left.write_text('{"config')
    with run(Settings(str(left.parent)), done="done") as folder:
        assert (folder / RECORD).exists()
    with pytest.raises(DataError), run(Settings(str(folder)), done="done"):
        raise DataError
    assert not folder.exists()
