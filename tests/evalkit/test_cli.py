"""The command line: options from arguments and files, exit codes, interruption, and what help costs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from evalkit import cli
from evalkit.cli import COMMANDS, main
from evalkit.evaluation.config import Evaluate
from evalkit.runs.parsing import parse_configuration
from evalkit.training.config import TrainOutcome
from rewards.config import BodyConfig

ROWS = [{"prompt": "p", "response": "x" * n} for n in range(5)]


@pytest.fixture
def here(tmp_path, monkeypatch, write_rows):
    monkeypatch.chdir(tmp_path)
    write_rows("rows.jsonl", ROWS)
    return tmp_path


def scores(path: Path, column: str = "score") -> list[float]:
    return [json.loads(line)[column] for line in path.read_text(encoding="utf-8").splitlines()]


SCORE = ["score", "--scorer", "rule:length", "--data", "rows.jsonl", "--out", "o.jsonl"]


def test_a_finished_output_is_replaced_by_overwrite_bare_or_true_and_by_nothing_else(here):
    main(SCORE)
    assert scores(here / "o.jsonl") == [0, 1, 2, 3, 4]
    longer = [*SCORE, "--scorer", "rule:length?weight=-1"]
    for refused in ([], ["--overwrite", "false"], ["--overwrite=false"]):
        with pytest.raises(SystemExit) as stop:
            main([*longer, *refused])
        assert stop.value.code == 2
        assert scores(here / "o.jsonl") == [0, 1, 2, 3, 4]
    for number, replaced in enumerate((["--overwrite"], ["--overwrite", "true"], ["--overwrite=true"]), 2):
        main([*SCORE, "--scorer", f"rule:length?weight={number}", *replaced])
        assert scores(here / "o.jsonl") == [0, number, 2 * number, 3 * number, 4 * number]


def test_a_bare_flag_may_stand_before_other_options(here):
    (here / "o.jsonl").write_text("old")
    main(["score", "--overwrite", *SCORE[1:]])
    assert len(scores(here / "o.jsonl")) == 5


def test_arguments_win_over_the_file_and_the_file_over_defaults(here):
    (here / "c.yaml").write_text("scorer: rule:constant?value=7\ndata: rows.jsonl\nout: o.jsonl\ncolumn: c\n")
    main(["score", "--config", "c.yaml", "--out", "p.jsonl"])
    assert not (here / "o.jsonl").exists()
    assert scores(here / "p.jsonl", "c") == [7.0] * 5


def test_parts_of_a_configuration_are_set_one_by_one(tmp_path):
    (tmp_path / "c.yaml").write_text("data: d\nout: o\ntraining:\n  epochs: 2\n  lora:\n    rank: 4\n")
    made = parse_configuration(
        TrainOutcome,
        "train outcome",
        ["--config", str(tmp_path / "c.yaml"), "--training.lora.alpha", "8", "--training.margin"],
    )
    assert (made.training.epochs, made.training.lora.rank, made.training.lora.alpha) == (2, 4, 8)
    assert made.training.margin is True
    assert made.body == BodyConfig()


FILLED = {
    "accuracy": ["--data", "d", "--out", "o", "--score", "[prm,orm]", "--n", "[1,8]"],
    "aspect-card": ["--scorer", "s", "--data", "d", "--out", "o", "--columns", "[tone,truth]"],
    "combine": ["--data", "d", "--out", "o", "--weights", '{"a": 0.5}', "--at_most", '{"b": 2}', "--pareto"],
    "label-steps": ["--policy", "p", "--data", "d", "--out", "o", "--separator", "\n\n", "--stop", "[Q]"],
    "process-eval": ["--scorer", "s", "--data", "d", "--threshold", "0.4", "--neutral", "wrong"],
    "search": ["--policy", "p", "--scorer", "s", "--data", "d", "--out", "o", "--method", "dvts"],
    "train aspects": [
        *("--data", "d", "--out", "o", "--aspects.level", "span", "--aspects.names", "[a,b]"),
        *("--aspects.density", '{"a": "whole"}', "--aspects.weights", '{"b": 0.3}'),
    ],
    "compare": [
        *("--policies", '{"DPO": "p", "PPO": "q"}', "--baseline", "b", "--data", "d", "--out", "o"),
        *("--scorers", '{"gold": "testbed:facts"}', "--judges", '{"RM": "reward:r"}'),
        *("--samples", "4", "--budget", "2.5", "--drawing.stop", "[Q]"),
    ],
    "train best-of-n": [
        *("--policy", "p", "--data", "d", "--scorer", "s", "--out", "o", "--rounds", "5", "--keep", "all"),
        *("--drawing.top_k", "40"),
    ],
    "train dpo": [
        *("--policy", "p", "--data", "d", "--out", "o", "--dpo.kind", "cdpo", "--dpo.label_smoothing", "0.1"),
        *("--dpo.reference", "r", "--probe.gold", "testbed:facts"),
    ],
    "train ppo": [
        *("--policy", "p", "--data", "d", "--scorer", "s", "--out", "o", "--ppo.recipe", "ppo-max"),
        *("--ptx_data", "t", "--ppo.value_clip", "0", "--ppo.lora.rank", "4", "--credit", "parts"),
    ],
    "train rso": [
        *("--policy", "p", "--data", "d", "--out", "o", "--scorer", "s", "--source", "sft-sample-rank"),
        *("--drawing.stop", '["\\n\\n"]'),
    ],
    "train sft": [
        "--policy",
        "p",
        "--data",
        "d",
        "--out",
        "o",
        "--training.epochs",
        "2",
        "--probe.every",
        "5",
    ],
    "train correctness": ["--data", "d", "--out", "o", "--label", "right", "--tokens", "last"],
    "train process": ["--data", "d", "--out", "o", "--process.separator", "ки", "--process.add_token"],
    "annotate": ["--db", "d", "--data", "o", "--aspects", "[irrelevant,+insightful]", "--overlap", "2"],
    "labels export": ["--db", "d", "--out", "o", "--form", "steps", "--neutral", "half"],
    "labels import": ["--data", "d", "--db", "o"],
    "labels invite": ["--db", "d", "--annotators", "[ann,bob]", "--renew", "true"],
    "labels status": ["--db", "d", "--out", "o", "--width", "0.05"],
    "quickstart": ["--seed", "3"],
    "train outcome": [
        "--data",
        "d",
        "--out",
        "o",
        "--training.lora.rank",
        "4",
        "--rename",
        '{"q": "prompt"}',
    ],
    "generate": ["--policy", "p", "--data", "d", "--out", "o", "--stop", '["\\n\\n", "a,b"]', "--log_probs"],
    "score": ["--scorer", "ensemble:a,b?combine=uwo", "--data", "d", "--out", "o"],
    "select": ["--data", "d", "--out", "o", "--method", "rejection", "--beta", "1e-3", "--k", "4"],
    "evaluate": ["--scorer", "column:score", "--data", "d", "--out", "o", "--prompt_blind", "false"],
    "overopt": ["--data", "d", "--proxy", "[a,b]", "--gold", "g", "--out", "o", "--n", "[1,2,4]"],
    "fit": ["--data", "d", "--out", "o", "--form", "rl", "--group", "size"],
    "judge": [
        "--judge",
        "j",
        "--first",
        "f",
        "--second",
        "s",
        "--out",
        "o",
        "--axes",
        "[a,b]",
        "--budget",
        "2.5",
    ],
    "winrate": ["--verdicts", "d", "--out", "o", "--ties", "drop", "--human", "h"],
    "rank": ["--verdicts", "[a,b]", "--out", "o", "--style", "[length,bold]", "--elo"],
    "agreement": ["--verdicts", "[a,b]", "--out", "o", "--level", "0.9"],
    "probe": ["--judge", "j", "--data", "d", "--out", "o", "--limit", "7", "--base_url", "http://h/v1"],
    "pairs": ["--verdicts", "d", "--out", "o", "--margin", "logit", "--axis", "overall"],
    "ledger export": ["--ledger", "l", "--out", "o", "--overwrite"],
    "ledger import": ["--data", "d", "--ledger", "l"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_printed_configuration_reads_back_as_the_same(name, tmp_path, capsys):
    kind = COMMANDS[name].config
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), *FILLED[name], "--print_config"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)
    path = tmp_path / "printed.yaml"
    path.write_text(printed, encoding="utf-8")
    meant = parse_configuration(kind, name, FILLED[name])
    assert parse_configuration(kind, name, ["--config", str(path)]) == meant
    # The arguments were not simply ignored.
    required = [word for word in FILLED[name] if word in ("d", "o", "p", "g")]
    assert required or meant != kind()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_option_and_the_overview_every_command(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    assert stop.value.code == 0
    told = capsys.readouterr().out
    assert all(f"--{field}" in told for field in COMMANDS[name].config.__dataclass_fields__)
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert f"  {name}" in capsys.readouterr().out


def test_help_on_a_group_names_its_commands_alone(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    told = capsys.readouterr().out
    assert "train outcome" in told
    assert "overopt" not in told


@pytest.mark.usefixtures("here")
def test_an_option_is_not_abbreviated(capsys):
    with pytest.raises(SystemExit) as stop:
        main([*SCORE, "--chunk_row", "2"])
    assert stop.value.code == 2
    assert "--chunk_row" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_what_the_system_refuses_is_one_line_and_a_bug_is_a_traceback(monkeypatch, capsys):
    def full(_: object) -> None:
        raise OSError(28, "No space left on device", "o.jsonl")

    def bug(_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "ours")

    monkeypatch.setattr(cli, "resolve_name", lambda _: full)
    with pytest.raises(SystemExit) as stop:
        main(SCORE)
    assert stop.value.code == 2
    expected = "evalkit: o.jsonl: No space left on device; make room, and the same command goes on\n"
    assert capsys.readouterr().err == expected
    monkeypatch.setattr(cli, "resolve_name", lambda _: bug)
    with pytest.raises(FileNotFoundError):
        main(SCORE)


def run_module(arguments: list[str], folder: Path, code: str = "") -> subprocess.CompletedProcess[str]:
    start = f"{code}\nfrom evalkit.cli import main\nmain({arguments!r})"
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-c", start],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
    )


def test_exit_codes_of_the_process(here):
    done = run_module(SCORE, here)
    assert (done.returncode, done.stderr) == (0, "")
    assert "o.jsonl" in done.stdout
    mistake = run_module(SCORE, here)
    assert mistake.returncode == 2
    assert mistake.stderr.count("\n") == 1
    bug = (
        "import evalkit.pipeline.score as s\n"
        "def broken(*_): raise RuntimeError('ours')\n"
        "s.score_rows = broken"
    )
    failed = run_module([*SCORE, "--overwrite"], here, bug)
    assert failed.returncode == 1
    assert "Traceback" in failed.stderr
    assert "RuntimeError: ours" in failed.stderr


SLOW_SCORE = """
import time
from rewards.scorers.rules import Length
score = Length.score
def slowly(self, generations):
    time.sleep(0.02)
    return score(self, generations)
Length.score = slowly
"""


def test_an_interrupted_score_says_how_to_go_on_and_goes_on_to_the_same_bytes(here, write_rows):
    write_rows("many.jsonl", [{"prompt": "p", "response": "x" * (n % 97)} for n in range(2000)])
    command = ["score", "--scorer", "rule:length", "--data", "many.jsonl", "--chunk_rows", "10"]
    main([*command, "--out", "undisturbed.jsonl"])
    start = f"{SLOW_SCORE}\nfrom evalkit.cli import main\nmain({[*command, '--out', 'o.jsonl']!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", start],
        cwd=here,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    wait_for(here / "o.jsonl.partial.json", process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == "evalkit: interrupted; what is done is kept, and the same command goes on from there\n"
    assert not (here / "o.jsonl").exists()
    assert 0 < json.loads((here / "o.jsonl.partial.json").read_text())["rows"] < 2000
    again = run_module([*command, "--out", "o.jsonl"], here)
    assert again.returncode == 0
    assert "going on after row" in again.stderr
    assert (here / "o.jsonl").read_bytes() == (here / "undisturbed.jsonl").read_bytes()
    assert [path.name for path in here.glob("*partial*")] == []


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_an_interruption_says_of_each_command_what_it_keeps(command, monkeypatch, capsys):
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "parse_configuration", lambda *_: None)
    monkeypatch.setattr(cli, "resolve_name", interrupted)
    with pytest.raises(SystemExit) as stopped:
        main(command.split())
    assert stopped.value.code == 130
    anew = command in (
        "accuracy", "combine", "select", "fit", "winrate", "rank", "agreement", "pairs", "ledger export",
        "labels export", "labels status",
    )  # fmt: skip
    assert ("starts anew" in capsys.readouterr().err) is anew


@pytest.mark.parametrize(
    ("command", "own"),
    [
        ("generate --policy model --data rows.jsonl", ["rows.jsonl", "./rows.jsonl", "model"]),
        ("select --data rows.jsonl", ["rows.jsonl"]),
        ("select --data shards", ["shards/new.jsonl"]),
        ("evaluate --scorer model --data run/rows.jsonl", ["run", "run/rows.jsonl", "model", "."]),
        ("evaluate --scorer ensemble:rule:length,model?combine=mean --data rows.jsonl", ["model"]),
        ("overopt --proxy [rule:length,model] --gold column:g --data run/rows.jsonl", ["run", "model"]),
        ("overopt --proxy rule:length --gold model?batch_tokens=9 --data rows.jsonl", ["model"]),
        ("fit --data run/rows.jsonl", ["run"]),
    ],
)
def test_no_output_replaces_its_own_input(here, command, own, capsys):
    for folder in ("run", "shards", "model"):
        (here / folder).mkdir()
        (here / folder / "run.json").write_text('{"configuration_hash": "another"}', encoding="utf-8")
        (here / folder / "rows.jsonl").write_text('{"prompt": "p", "chosen": "a"}', encoding="utf-8")
    before = {path: path.is_file() and path.read_bytes() for path in here.rglob("*")}
    for out in own:
        with pytest.raises(SystemExit) as stopped:
            main([*command.split(), "--out", out, "--overwrite"])
        assert stopped.value.code == 2
        assert "is an input and would be changed" in capsys.readouterr().err
    assert {path: path.is_file() and path.read_bytes() for path in here.rglob("*")} == before


def test_an_output_may_have_the_name_of_a_rule_or_lie_beside_a_models_weights():
    Evaluate(scorer="rule:length", data="rows.jsonl", out="length")
    Evaluate(scorer=str(Path(__file__).parent), data="rows.jsonl", out=str(Path(__file__).parent / "o"))


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a process has written a file; what takes too long is ended by the test's timeout."""
    while not path.exists():
        assert process.poll() is None, "the process ended before it wrote anything"
        time.sleep(0.01)
