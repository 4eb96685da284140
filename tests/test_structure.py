"""The structure of the code stays within its bounds; `python tests/structure.py` prints the figures."""

import ast
from pathlib import Path

import pytest

from tests.structure import circles, imported_names, imports, measure, one_importer, probes, statements

ROOT = Path(__file__).parents[1]
MOST = {"longest_file": 400, "most_statements": 40}
README_LINES = 199


@pytest.fixture(scope="module")
def structure():
    return measure(ROOT)


def test_nothing_stands_in_a_circle(structure):
    assert structure.circles == []


def test_no_scorer_or_judge_is_probed_for_what_a_protocol_could_say(structure):
    assert structure.probes == []


def test_the_readme_is_short(structure):
    assert structure.readme_lines <= README_LINES


@pytest.mark.parametrize("figure", MOST)
def test_nothing_is_too_long(figure, structure):
    assert getattr(structure, figure)[0] <= MOST[figure], getattr(structure, figure)


def written(**sources):
    trees = {name.replace("_", "."): ast.parse(text) for name, text in sources.items()}
    return {name: set(imported_names(tree, name, name in ("a", "b"))) for name, tree in trees.items()}


def test_a_circle_of_folders_is_seen_through_their_files():
    found = written(a="", a_x="import b.y", b="", b_y="def f():\n    from a import z", a_z="")
    assert circles(imports(found)) == [["a", "b"]]
    assert circles(imports(written(a="", a_x="from b import y", b="", b_y="import a.z" * 0))) == []


def test_what_only_type_checkers_import_makes_no_circle():
    found = written(a="", a_x="import a.z", a_z="if TYPE_CHECKING:\n    import a.x\nelse:\n    x = 1")
    assert circles(imports(found)) == []


def test_an_import_from_a_door_counts_for_the_module_behind_it():
    found = written(a="from a.x import f", a_x="", b="", b_y="from a import f", b_z="from a.x import f")
    assert one_importer(found, {"a", "b"}) == []
    assert one_importer(found | {"b.z": set()}, {"a", "b"}) == ["a.x"]


def test_a_probe_is_asked_of_a_scorer_or_for_what_some_scorers_have():
    text = (
        "getattr(self.scorer, 'x', 0)\nhasattr(it, 'logit_scale')\ngetattr(row, 'id', '')\ngetattr(judge, x)"
    )
    assert [*probes(ast.parse(text))] == [1, 2]


def test_statements_are_counted_with_those_inside():
    (function,) = ast.parse("def f(x):\n    'Says.'\n    if x:\n        y = 1\n    return x").body
    assert statements(function) == 3
