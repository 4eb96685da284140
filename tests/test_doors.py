"""The doors of the packages: what they offer is there, is typed, and costs nothing until it is used."""

import ast
import importlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("rewards", "judges", "evalkit")
DOORS = (
    *PACKAGES,
    "rewards.data",
    "rewards.evaluation",
    "rewards.training",
    "evalkit.overoptimization",
    "evalkit.policies",
)
HEAVY = (
    "torch",
    "transformers",
    "datasets",
    "pandas",
    "scipy",
    "numpy",
    "matplotlib",
    "openai",
    "sqlalchemy",
)

CONTRACT = {
    "rewards.records": "Message Generation Preference Ranking StepLabels SpanLabels Span Score",
    "rewards.scorer": "Scorer load_scorer",
    "judges.judge": "Judge Comparison Verdict load_judge",
    "evalkit.policies.policy": "Policy load_policy",
    "rewards.selection": (
        "expected_best_of_n best_of_n_kl best_of_n rejection_sample RejectionSample majority_vote "
        "weighted_vote"
    ),
    "rewards.losses": "ranking_loss",
    "rewards.training": "fit_outcome fit_process fit_correctness fit_aspects FitResult",
    "rewards.errors": "ScoringError",
    "evalkit.overoptimization.fits": "fit_best_of_n fit_rl ScalingFit",
    "evalkit.policies.losses": "dpo_loss generalized_advantages kl_estimate",
    "judges.statistics.win_rate": "win_rate WinRate",
    "judges.statistics.bradley_terry": "bradley_terry BradleyTerry NotIdentifiedError",
    "judges.statistics.agreement": "cohen_kappa fleiss_kappa krippendorff_alpha",
    "judges.statistics.correction": "human_corrected_win_rate",
}
"""What others build on, and where it is imported from."""


@pytest.mark.parametrize("door", DOORS)
def test_every_name_at_a_door_is_there(door):
    package = importlib.import_module(door)
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert dir(package) == sorted(package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


@pytest.mark.parametrize("door", DOORS)
def test_a_door_says_the_same_to_type_checkers_and_at_run_time(door):
    """Names stand in `__all__`, in the imports for type checkers, and by module for the first use."""
    package = importlib.import_module(door)
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {name.name: node.module for node in typed.body for name in node.names}
    assert set(package.__all__) == {*imported, *(["__version__"] if door in PACKAGES else [])}
    for name, module in imported.items():
        assert getattr(package, name) is getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("door", DOORS)
def test_opening_a_door_loads_nothing_heavy(door):
    code = f"import sys, {door}; print(*({{*{HEAVY!r}}} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.split() == []


def test_there_is_one_version():
    assert {importlib.import_module(door).__version__ for door in PACKAGES} == {version("evalkit-rm")}


@pytest.mark.parametrize("module", CONTRACT)
def test_contract_names_are_where_the_contract_says(module):
    names = CONTRACT[module].split()
    assert [name for name in names if not hasattr(importlib.import_module(module), name)] == []


def test_the_doors_work_together():
    from judges import Comparison, ask_both_orders, load_judge, win_rate
    from rewards import Generation, best_of_n, load_scorer

    texts = ["Blue.", "Deep blue.", "A very deep blue."]
    scores = load_scorer("rule:length").score([Generation("Name a colour.", text) for text in texts])
    (chosen,) = best_of_n([score.value for score in scores])
    assert texts[chosen] == "A very deep blue."
    comparisons = [Comparison("Name a colour.", texts[chosen], text) for text in texts[:2]]
    both = ask_both_orders(load_judge("reward:rule:length"), comparisons)
    assert win_rate([verdict.outcome() for pair in both for verdict in pair]).mean == 1
