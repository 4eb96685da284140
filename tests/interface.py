"""Writes what a checkout offers to its users: commands and options, names, schemes and experiments.

    PYTHONPATH=ROOT python tests/interface.py ROOT > tests/interface.json

What a user may have typed is recorded here once; `test_interface.py` sees that it is still there.
"""

import importlib
import inspect
import io
import json
import runpy
import sys
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints
from unittest import mock

import yaml

NAMES = {
    "rewards.records": "Message Generation Preference Ranking StepLabels Span SpanLabels Score",
    "rewards.scorer": "Scorer load_scorer",
    "rewards.errors": "EvalkitError ConfigError DataError ScoringError",
    "rewards.files": "read_rows write_rows",
    "rewards.selection": (
        "expected_best_of_n best_of_n_kl best_of_n rejection_sample RejectionSample "
        "majority_vote weighted_vote"
    ),
    "rewards.losses": "ranking_loss",
    "judges.judge": "Comparison Verdict Judge ask_both_orders load_judge",
    "judges.statistics.win_rate": "win_rate WinRate",
    "judges.statistics.bradley_terry": "bradley_terry BradleyTerry NotIdentifiedError",
    "judges.statistics.agreement": "cohen_kappa fleiss_kappa krippendorff_alpha",
    "judges.statistics.correction": "human_corrected_win_rate",
    "evalkit.cli": "COMMANDS main",
    "evalkit.policies.policy": "Policy load_policy",
    "evalkit.policies.losses": "dpo_loss generalized_advantages kl_estimate",
    "evalkit.overoptimization.fits": "fit_best_of_n fit_rl ScalingFit",
}
"""The names that may be imported, by module."""


def interface(root: Path) -> dict[str, Any]:
    """Everything of a checkout that users may have written down; its packages are those that are imported."""
    from evalkit.cli import COMMANDS

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "commands": {
            name: dict(options(getattr(command, "config", None) or command[0]))
            for name, command in COMMANDS.items()
        },
        "names": {
            module: {
                name: signature(getattr(importlib.import_module(module), name))
                for name in names.split()
                if hasattr(importlib.import_module(module), name)
            }
            for module, names in NAMES.items()
        },
        "scripts": [*project["scripts"]],
        "schemes": {group: [*schemes] for group, schemes in project["entry-points"].items()},
        "experiments": {name: experiment(name) for name in experiments(root)},
    }


def options(kind: type, prefix: str = "", given: object = None) -> Iterator[tuple[str, str]]:
    """Yield a configuration's options: the name on the command line, its type and its default.

    Args:
        kind: The configuration, a dataclass.
        prefix: What stands before the names.
        given: An instance that holds the defaults, where it is not the class that does.
    """
    types = get_type_hints(kind)
    for item in fields(kind):
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        if given is not None:
            default = getattr(given, item.name)
        inner = types[item.name]
        if isinstance(inner, type) and is_dataclass(inner):
            yield from options(inner, f"{prefix}{item.name}.", None if default is MISSING else default)
        else:
            named = inner.__name__ if isinstance(inner, type) else str(inner)
            yield prefix + item.name, named if default is MISSING else f"{named} = {default!r}"


def signature(value: object) -> list[str]:
    """The parameters of a function, or of a record's constructor, in order; none of anything else."""
    if inspect.isfunction(value) or is_dataclass(value):
        return [*inspect.signature(value).parameters]  # type: ignore[arg-type]  # it is callable
    return []


def experiments(root: Path) -> list[str]:
    """The names after `python -m evalkit.experiments.`, from the source."""
    folder = root / "evalkit" / "experiments"
    files = {path.stem: path for path in folder.glob("*.py")}
    files |= {path.parent.name: path for path in folder.glob("*/__main__.py")}
    return sorted(name for name, path in files.items() if '__name__ == "__main__"' in path.read_text("utf-8"))


def experiment(name: str) -> dict[str, str]:
    """An experiment's options with their defaults, as `--print_config` shows them."""
    shown = io.StringIO()
    module = f"evalkit.experiments.{name}"
    names = (module, f"{module}.__main__")  # it may have been imported before, as a part of another
    loaded = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    with redirect_stdout(shown), mock.patch.object(sys, "argv", [name, "--print_config"]):
        try:
            runpy.run_module(module, run_name="__main__")
        except SystemExit as stop:
            if stop.code:
                raise
        finally:
            sys.modules.update(loaded)
    return {option: json.dumps(default) for option, default in yaml.safe_load(shown.getvalue()).items()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(interface(Path(sys.argv[1])), indent=1) + "\n")
