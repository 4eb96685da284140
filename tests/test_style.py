"""The house rules that no linter knows, checked on the source and on what importing it loads."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from importlib.metadata import files
from pathlib import Path

import pytest
import yaml

from evalkit.cli import COMMANDS
from tests.folders import folders, written

ROOT = Path(__file__).parents[1]
PACKAGES = ("rewards", "judges", "evalkit")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
HEAVY = (
    "torch", "transformers", "datasets", "pandas", "matplotlib", "scipy", "accelerate", "peft", "openai",
    "sqlalchemy", "fastapi", "uvicorn", "jinja2", "markdown_it",
)  # fmt: skip
LINTED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
LIGHT = LINTED["contracts"][-1]["source_modules"]
FORBIDDEN = (r"nan_to_num", r"errstate\(all=")
BROAD = r"\b(Base)?Exception\b"


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def loaded_by(*steps: str) -> dict[str, set[str]]:
    """Run steps of code one after another in a new process; the heavy packages loaded when each has ended."""
    code = f"""
import sys
for step in {steps!r}:
    try:
        exec(step)
    except SystemExit as stop:
        assert not stop.code, step
    print(["loaded", step, [name for name in {HEAVY!r} if name in sys.modules]])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    told = [ast.literal_eval(line) for line in run.stdout.splitlines() if line.startswith("['loaded', ")]
    return {step: set(names) for _, step, names in told}


def test_a_file_is_short_and_says_first_what_it_is():
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 400, named(path)
        description = ast.get_docstring(ast.parse(text))
        assert description, f"{named(path)} has no docstring"
        assert description.splitlines()[0].endswith("."), named(path)


def test_nothing_hides_an_error_or_a_missing_number():
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert [words for words in FORBIDDEN if re.search(words, text)] == [], named(path)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ExceptHandler) and (
                not node.type or re.search(BROAD, ast.unparse(node.type))
            ):
                assert ast.unparse(node.body[-1]) == "raise", f"{named(path)}:{node.lineno} hides every error"


def configurations() -> set[type]:
    """Every dataclass reached from a command's configuration."""
    found: set[type] = set()
    waiting = [command.config for command in COMMANDS.values()]
    while waiting:
        kind = waiting.pop()
        if kind not in found:
            found.add(kind)
            waiting += [item.type for item in fields(kind) if is_dataclass(item.type)]
    return found


@dataclass
class Reads:
    """What a piece of source reads."""

    attributes: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    computed: bool = False
    """It reads an attribute by a name that is computed."""


@cache
def reads(path: Path) -> dict[str, Reads]:
    """What a file's classes read, by their names, and under "" what it reads outside of them."""
    found: dict[str, Reads] = defaultdict(Reads)
    waiting: list[tuple[ast.AST, str]] = [(ast.parse(path.read_text(encoding="utf-8")), "")]
    while waiting:
        node, owner = waiting.pop()
        if isinstance(node, ast.ClassDef):
            owner = owner or node.name
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            found[owner].attributes.add(node.attr)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found[owner].texts.add(node.value)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            found[owner].computed |= not isinstance(node.args[1], ast.Constant)
        waiting += [(child, owner) for child in ast.iter_child_nodes(node)]
    return found


def read_by(kind: type) -> set[str]:
    """Every attribute read in the source, but for reads in the bodies of the configuration and its bases.

    Where a module reads attributes by a name that is computed, the texts it holds count as names.
    """
    own = {base.__name__ for base in kind.__mro__}
    names: set[str] = set()
    for path in SOURCES:
        parts = [part for owner, part in reads(path).items() if owner not in own]
        names = names.union(*(part.attributes for part in parts))
        if any(part.computed for part in parts):
            names = names.union(*(part.texts for part in parts))
    return names


@pytest.mark.parametrize(
    "kind", sorted(configurations(), key=lambda kind: kind.__name__), ids=lambda k: k.__name__
)
def test_every_field_of_a_configuration_is_read_and_documented(kind):
    read = read_by(kind)
    assert [item.name for item in fields(kind) if item.name not in read] == []
    undocumented = {item.name for item in fields(kind)}
    for base in filter(is_dataclass, kind.__mro__):
        module = ast.parse(Path(sys.modules[base.__module__].__file__).read_text(encoding="utf-8"))
        (body,) = (n.body for n in module.body if isinstance(n, ast.ClassDef) and n.name == base.__name__)
        for node, following in zip(body, [*body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign):
                assert isinstance(following, ast.Expr), f"{ast.unparse(node.target)} has no docstring"
                assert isinstance(following.value, ast.Constant)
                undocumented.discard(ast.unparse(node.target))
    assert undocumented == set()


def test_configurations_of_the_parts_are_found():
    assert {"ScoreFile", "TrainingConfig", "LoraConfig"} <= {kind.__name__ for kind in configurations()}


def light_modules() -> list[str]:
    """Every module that the import contract calls light: those it names, and all below them."""
    names = {named(path).removesuffix(".py").replace("/", "."): path for path in SOURCES}
    forms = [re.escape(form).replace(r"\*\*", r"[\w.]+") for form in LIGHT]
    light = [name for name in names if any(re.fullmatch(rf"{form}(\.[\w.]+)?", name) for form in forms)]
    return [name.removesuffix(".__init__") for name in light]


def test_importing_the_light_parts_loads_no_torch():
    """All at once: what any of them loads is loaded."""
    modules = light_modules()
    assert {"rewards.records", "judges.statistics.win_rate", "evalkit.training.policy_config"} <= set(modules)
    code = "\n".join(f"import {name}" for name in modules)
    # judges' statistics and pages stand on these
    assert loaded_by(code)[code] <= {
        "scipy", "openai", "sqlalchemy", "fastapi", "uvicorn", "jinja2", "markdown_it"
    }  # fmt: skip


def test_the_doors_and_help_load_nothing_heavy():
    """In one process: the first step that shows a package has loaded it."""
    doors = ["evalkit.cli", "rewards", "rewards.files", "judges", "judges.judge", "evalkit"]
    asked = [[*command.split(), "--help"] for command in ["", *COMMANDS]]
    steps = [f"import {door}" for door in doors]
    steps += [f"evalkit.cli.main({arguments!r})" for arguments in asked]
    assert loaded_by(*steps) == {step: set() for step in steps}


def test_the_imported_packages_are_ours():
    owned = {str(file) for file in files("evalkit-rm") or ()}
    assert owned, "evalkit-rm is not installed"
    editable = any(name.endswith(".pth") for name in owned)
    for package in PACKAGES:
        folder = Path(importlib.import_module(package).__file__).parent
        assert folder == ROOT / package or f"{package}/__init__.py" in owned
        assert editable or f"{package}/__init__.py" in owned


def test_every_module_can_be_imported():
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES]
    modules = [name.removesuffix(".__init__") for name in modules]
    for name in modules:
        importlib.import_module(name)


def test_every_command_runs_from_a_module_that_is_there():
    for command in COMMANDS.values():
        module, _, name = command.runner.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def shipped_yaml() -> list[Path]:
    tracked = subprocess.run(
        ["git", "ls-files", "*.yaml", "*.yml"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    return [ROOT / name for name in tracked.stdout.splitlines()]


def test_every_shipped_yaml_loads():
    for path in shipped_yaml():
        assert yaml.safe_load(path.read_text(encoding="utf-8")) is not None, named(path)


@pytest.mark.parametrize("folder", folders(), ids=named)
def test_the_docstring_of_a_folder_names_its_files(folder):
    said = (folder / "__init__.py").read_text(encoding="utf-8")
    assert said == written(folder), "python tests/folders.py writes it anew"


def readme_tree() -> dict[str, str]:
    """The folders that README's tree names, each with its description.

    The tree is the first ```text block with a line `rewards/`. A folder's line ends in a slash, as its first
    word; files and folders below stand two spaces deeper. What follows the first word is the description.
    """
    blocks = re.findall(r"```text\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    block = next((block for block in blocks if re.search(r"^rewards/", block, re.MULTILINE)), "")
    described: dict[str, str] = {}
    path: list[str] = []
    for line in block.splitlines():
        if not line.strip():
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        name, _, description = line.strip().partition(" ")
        path = [*path[:depth], name.rstrip("/")]
        described["/".join(path)] = description.strip()
    return described


def test_the_tree_in_readme_is_true():
    described = readme_tree()
    assert described, "README.md has no ```text block with a line rewards/"
    folders = {named(path.parent): path for path in SOURCES if path.name == "__init__.py"}
    ours = {name for name in described if name.split("/")[0] in PACKAGES}
    assert ours >= {name for name in folders if name.count("/") <= 1}
    assert ours <= set(folders)
    for name in ours:
        first = (ast.get_docstring(ast.parse(folders[name].read_text(encoding="utf-8"))) or "").splitlines()[
            0
        ]
        assert described[name] == first.removesuffix("."), name
    assert [name for name in described if not (ROOT / name).exists()] == []
