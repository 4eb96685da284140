"""Steps are made once, logged and timed; settings of a folder are those it was begun with."""

import json
from dataclasses import dataclass

import pytest

from evalkit.runs.settings import check_settings, settings_of, write_settings
from evalkit.runs.steps import LOG, SECONDS, Step, run_steps
from evalkit.runs.terminal import say
from rewards.errors import ConfigError


def test_a_step_is_made_once_and_checked_when_it_is_passed_over(tmp_path, capsys):
    made, checked = tmp_path / "made", []

    def make():
        say("from within")
        made.touch()

    step = Step("make it", made, make, "evalkit make", lambda: checked.append(1))
    folder = tmp_path / "run"
    run_steps([step], folder)
    assert capsys.readouterr().out == f"{folder}: make it\n"
    assert checked == []
    run_steps([step], folder)
    assert capsys.readouterr().out == ""
    assert checked == [1]
    assert (folder / LOG).read_text(encoding="utf-8") == "\n# make it\n$ evalkit make\nfrom within\n"
    (line,) = (folder / SECONDS).read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["step"] == "make it"


def test_a_killed_step_is_made_again_and_those_after_it_wait(tmp_path):
    made = [tmp_path / name for name in ("first", "second", "third")]

    def kill():
        raise KeyboardInterrupt

    first, third = (Step(path.name, path, path.touch) for path in (made[0], made[2]))
    with pytest.raises(KeyboardInterrupt):
        run_steps([first, Step("second", made[1], kill), third], tmp_path)
    assert [path.exists() for path in made] == [True, False, False]
    run_steps([Step("first", made[0], kill), Step("second", made[1], made[1].touch), third], tmp_path)
    assert all(path.exists() for path in made)
    assert (tmp_path / SECONDS).read_text(encoding="utf-8").count("\n") == 3


@dataclass(frozen=True)
class Config:
    work: str = "here"
    out: str = "there"
    seeds: tuple[int, ...] = (1, 2)
    rate: float = 0.5


def test_a_folder_keeps_the_settings_it_was_begun_with(tmp_path):
    check_settings(tmp_path, settings_of(Config(), "seeds"))
    check_settings(tmp_path, settings_of(Config(work="elsewhere", seeds=(3,)), "seeds"))
    with pytest.raises(ConfigError, match=r"rate 0\.5, not 0\.25; name another --work"):
        check_settings(tmp_path, settings_of(Config(rate=0.25), "seeds"))


def test_results_say_how_they_were_made_but_not_where(tmp_path):
    write_settings(tmp_path, settings_of(Config()), world="abc")
    told = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert told["configuration"] == {"seeds": [1, 2], "rate": 0.5}
    assert {"world", "versions", "commit", "python"} <= set(told)
