"""Each experiment is started by `python -m`, as its results say, and loads what computes only then."""

import ast
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NAMES = (
    "annotation_coverage", "annotation_screens", "annotation_study", "exact_tilt", "facts_overoptimization",
    "fine_grained", "fine_grained_ppo", "gsm8k_outcome", "llmbar_judges", "ppo_max", "process_vs_outcome",
    "simulated_annotators", "stories",
)  # fmt: skip
TYPED = re.compile(r"python -m evalkit\.experiments\.(\w+)(.*)")


def start(name, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["", *arguments])
        runpy.run_module(f"evalkit.experiments.{name}", run_name="__main__", alter_sys=False)


def typed():
    """The command lines of experiments in the reports and in the experiments themselves."""
    files = [*ROOT.glob("results/**/*.md"), *ROOT.glob("evalkit/experiments/*/__main__.py")]
    lines = {found for path in files for found in TYPED.findall(path.read_text(encoding="utf-8"))}
    return sorted(lines)


def test_every_experiment_has_a_folder_with_the_same_files():
    folders = {path.parent.name for path in ROOT.glob("evalkit/experiments/*/__init__.py")}
    assert folders == set(NAMES)
    for name in NAMES:
        held = {path.name for path in (ROOT / "evalkit" / "experiments" / name).iterdir()}
        assert {"__main__.py", "config.py", "experiment.py"} <= held


@pytest.mark.parametrize(("name", "options"), typed())
def test_what_is_typed_is_understood(name, options, capsys):
    with pytest.raises(SystemExit) as ended:
        start(name, "--help")
    assert ended.value.code == 0
    listed = set(re.findall(r"--\w+", capsys.readouterr().out))
    given = {word for word in shlex.split(options, comments=True) if word.startswith("--")}
    assert given <= listed


@pytest.mark.parametrize("name", NAMES)
def test_each_says_how_it_is_started_and_what_to_expect(name):
    path = ROOT / "evalkit" / "experiments" / name / "__main__.py"
    told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert f"python -m evalkit.experiments.{name}" in told
    assert "Expected" in told or name == "annotation_screens"  # which measures nothing


def test_nothing_heavy_is_loaded_for_help():
    entries = [f"evalkit.experiments.{name}.__main__" for name in NAMES]
    code = f"import importlib, sys; [importlib.import_module(name) for name in {entries}]"
    heavy = "[name for name in ('torch', 'transformers', 'matplotlib', 'scipy') if name in sys.modules]"
    run = subprocess.run(
        [sys.executable, "-c", f"{code}; print({heavy})"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert ast.literal_eval(run.stdout) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--looks", "7"), "evalkit: episodes are a multiple of 512"),
        (("--loks", "7"), "evalkit: unrecognized arguments: --loks 7; python -m evalkit.experiments.ppo_max"),
        (("--looks", "few"), "evalkit: --looks: expected a whole number, got few"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        start("ppo_max", *arguments)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(said)
    assert told.count("\n") == 1
