import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.cli import COMMANDS, _command
from evalkit.experiments.stories import experiment
from evalkit.experiments.stories.commands import (
    KINDNESS,
    CommandLine,
    StoriesTrial,
    commands,
    tale,
    write_prompts,
)
from evalkit.experiments.stories.config import Stories
from evalkit.runs.parsing import parse_configuration
from evalkit.runs.steps import run_steps
from rewards.errors import ConfigError
from rewards.records import Generation
from rewards.scorer import load_scorer

MODEL = Path(__file__).parents[3] / ".." / "shared" / "data" / "stories260k"


@pytest.fixture(scope="module")
def trial():
    return StoriesTrial(Stories(model="stories260k", work="work"))


def points(scorer, story):
    (score,) = load_scorer(scorer).score([Generation(prompt="One day,", response=story)])
    return score.value


def test_every_line_of_the_shell_is_a_command(trial):
    names = []
    for command in commands(trial):
        program, *words = shlex.split(command.line)
        assert program == "evalkit"
        name, options = _command(words)
        parse_configuration(COMMANDS[name].config, name, options)
        names.append(name)
    assert {"train dpo", "train rso", "train ppo", "train best-of-n", "train outcome"} <= set(names)
    assert names.count("compare") == 2


def test_commands_have_names_of_their_own_and_read_what_was_made_before(trial):
    every = list(commands(trial))
    assert len({command.name for command in every}) == len(every)
    there = {"held-out.jsonl", "reward-prompts.jsonl", "prompts.jsonl"}
    for command in every:
        options = dict(zip(command.arguments, command.arguments[1:], strict=False))
        assert Path(options["--data"]).name in there
        there.add(Path(options["--out"]).name)


def test_prompts_are_different_and_those_held_out_do_not_depend_on_the_rest(trial):
    parts = write_prompts(trial.config)
    every = [prompt for prompts in parts.values() for prompt in prompts]
    assert len(every) == len(set(every)) == 352
    assert not any(prompt != prompt.strip() for prompt in every)
    assert all(re.search(r"[A-Z][a-z]+", prompt) for prompt in every)
    assert write_prompts(replace(trial.config, seed=1)) != parts
    smaller = write_prompts(replace(trial.config, prompts=3))
    assert smaller == {**parts, "prompts": parts["prompts"][:3]}


def test_more_prompts_than_there_are_are_refused(trial):
    with pytest.raises(ConfigError, match=r"400 beginnings of stories, and 1192 are asked"):
        write_prompts(replace(trial.config, prompts=1000))


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (" They were happy. He helped a friend.", 3),
        (" happy happy happy", 1),
        (" Shy Tom was unhappy.", 0),
        (" She laughed.\nThey shared. She laughed.", 2),
    ],
)
def test_a_kind_word_counts_once(story, expected):
    assert points(KINDNESS, story) == expected


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (' She said, "Hello, Tom!"', 2),
        (' She said, "Hello, T', 0),
        (" They went home.", 1),
        (" go" * 25, 1),
        (" go" * 24, 0),
        (" go" * 25 + ' and "Yes." He slept.', 3),
    ],
)
def test_a_tale_has_points_for_speech_an_end_and_words(story, expected):
    assert points(tale(), story) == expected
    assert expected <= points(tale(7), story) < expected + 1.5
    assert points(tale(7), story) != points(tale(8), story)


@pytest.mark.skipif(not MODEL.exists(), reason="the stories model is not beside this checkout")
def test_commands_are_called_once_and_leave_what_they_say(tmp_path, monkeypatch, capsys):
    work = tmp_path / "work"
    config = Stories(
        str(MODEL), str(work), str(tmp_path / "out"), reward_prompts=2, held_out=2, samples=4, tokens=8
    )
    first = list(commands(StoriesTrial(config)))[:3]
    monkeypatch.setattr(experiment, "commands", lambda _: first)
    monkeypatch.setattr(experiment, "_report", lambda *_: None)
    experiment.run(config)
    assert {"reward-samples.jsonl", "reward-scored.jsonl", "reward-labels.jsonl"} <= {
        path.name for path in work.iterdir()
    }
    assert (work / "done" / first[2].name).read_text(encoding="utf-8") == first[2].line
    assert f"$ {first[0].line}" in (work / "log.txt").read_text(encoding="utf-8")
    capsys.readouterr()

    monkeypatch.setattr(experiment, "evalkit", lambda _: pytest.fail("called again"))
    experiment.run(config)
    assert capsys.readouterr().out == ""

    monkeypatch.setattr(experiment, "commands", lambda _: [replace(first[0], arguments=("generate",))])
    with pytest.raises(ConfigError, match="done with other settings"):
        experiment.run(config)


def test_a_command_that_stops_says_where_the_reason_is(trial, tmp_path, capsys):
    wrong = CommandLine("wrong", "does not exist", ("no-such-command",))
    trial = StoriesTrial(replace(trial.config, work=str(tmp_path)))
    with pytest.raises(SystemExit, match="2"):
        run_steps(experiment.steps(trial, [wrong]), tmp_path)
    assert f"{tmp_path / 'log.txt'} ends with the reason" in capsys.readouterr().err
    assert "no command 'no-such-command'" in (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert not (tmp_path / "done").exists()
