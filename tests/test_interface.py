"""Nothing that a user may have written down is lost: commands, options, names, schemes, experiments.

`interface.json` was written by `interface.py` before the folders were made. What is added is no matter; what
is taken away or changed is changed there too, on purpose.
"""

import json
from pathlib import Path

import pytest

from tests.interface import interface

ROOT = Path(__file__).parents[1]
BEFORE = json.loads((ROOT / "tests" / "interface.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def now():
    return interface(ROOT)


@pytest.mark.parametrize("command", sorted(BEFORE["commands"]))
def test_every_option_is_there_with_its_type_and_default(command, now):
    options = now["commands"][command]
    assert {name: options.get(name) for name in BEFORE["commands"][command]} == BEFORE["commands"][command]


@pytest.mark.parametrize("module", sorted(BEFORE["names"]))
def test_every_name_is_where_it_was_and_takes_what_it_took(module, now):
    names = now["names"][module]
    for name, parameters in BEFORE["names"][module].items():
        assert names[name][: len(parameters)] == parameters, name


@pytest.mark.parametrize("experiment", sorted(BEFORE["experiments"]))
def test_every_experiment_runs_by_its_name_with_the_same_options(experiment, now):
    options = now["experiments"][experiment]
    known = BEFORE["experiments"][experiment]
    assert {name: options.get(name) for name in known} == known


def test_every_scheme_and_script_is_there(now):
    assert set(BEFORE["scripts"]) <= set(now["scripts"])
    for group, schemes in BEFORE["schemes"].items():
        assert set(schemes) <= set(now["schemes"][group]), group


def test_a_record_of_what_was_there_sees_a_loss(now):
    """The comparison would fail: each part of the record holds something."""
    assert BEFORE.keys() == now.keys()
    assert BEFORE["commands"]["train outcome"]["training.lora.rank"] == "int = 0"
    assert BEFORE["commands"]["score"]["data"] == "str"
    assert all(BEFORE["experiments"].values())
    assert BEFORE["names"]["rewards.records"]["Message"] == ["role", "content"]
