"""Measures the structure of a checkout from its source, without importing it.

    python tests/structure.py [ROOT] [--json]

Imports count as they run: those under `if TYPE_CHECKING:` do not, those inside functions do.
"""

import argparse
import ast
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

PACKAGES = ("rewards", "judges", "evalkit")
MOST_PARAMETERS = 5
REPEATED = 3
"""Configurations of commands that define a field of the same name and type, from which on it is repeated."""
OPTIONAL = {"truncated", "logit_scale", "threshold", "step_encoder", "aspects", "members", "asks_people"}
"""What some scorers and judges have; asking any object for one of these is a probe."""
HOLDERS = {"scorer", "judge", "member", "policy", "facts"}
"""Variables that hold a scorer, a judge or a part of one; asking one of these for any name is a probe."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Structure:
    """The figures of a checkout; lists name what was counted, as `path:line` or a module's name."""

    modules: int
    lines: int
    at_the_top: dict[str, int]
    folders: int
    circles: list[list[str]]
    one_importer: list[str]
    longest_file: tuple[int, str]
    longest_function: tuple[int, str]
    most_statements: tuple[int, str]
    functions: int
    many_parameters: list[str]
    probes: list[str]
    readme_lines: int
    repeated_fields: dict[str, int]
    run_folder_calls: list[str]
    forget_run_calls: list[str]
    runs: list[str]
    consoles: list[str]


def measure(root: Path) -> Structure:
    """Read every module of the three packages under a checkout's root."""
    sources = {
        module_name(path.relative_to(root)): path
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
    }
    texts = {name: path.read_text(encoding="utf-8") for name, path in sources.items()}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    packages = {name for name, path in sources.items() if path.name == "__init__.py"}
    where = {name: str(path.relative_to(root)) for name, path in sources.items()}
    functions = [
        (node, f"{where[name]}:{node.lineno} {node.name}")
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, Function)
    ]
    written = {name: set(imported_names(tree, name, name in packages)) for name, tree in trees.items()}
    places = calls(trees, where)
    readme = root / "README.md"
    return Structure(
        modules=len(sources),
        lines=sum(text.count("\n") for text in texts.values()),
        at_the_top={
            package: sum(path.parent == root / package for path in sources.values()) for package in PACKAGES
        },
        folders=len(packages),
        circles=circles(imports(written)),
        one_importer=one_importer(written, packages),
        longest_file=max((text.count("\n"), where[name]) for name, text in texts.items()),
        longest_function=max(((node.end_lineno or 0) - node.lineno + 1, at) for node, at in functions),
        most_statements=max((statements(node), at) for node, at in functions),
        functions=len(functions),
        many_parameters=[at for node, at in functions if parameters(node) > MOST_PARAMETERS],
        probes=[f"{where[name]}:{line}" for name, tree in trees.items() for line in probes(tree)],
        readme_lines=readme.read_text(encoding="utf-8").count("\n") if readme.exists() else 0,
        repeated_fields=repeated_fields(
            tree for name, tree in trees.items() if name.endswith("config") and ".experiments." not in name
        ),
        run_folder_calls=places["run_folder"],
        forget_run_calls=places["forget_run"],
        runs=places["with run"],
        consoles=places["Console"],
    )


def module_name(path: Path) -> str:
    """The name by which a file is imported."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below one, but for what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in child.orelse:
                yield from running(other)
            continue
        yield child
        yield from running(child)


def imported_names(tree: ast.AST, name: str, is_package: bool) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of each import as it is written; the name is empty where all of it is imported."""
    for node in running(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                kept = parts[: len(parts) - node.level + is_package]
                base = ".".join([*kept, base] if base else kept)
            yield from ((base, alias.name) for alias in node.names)


def imports(written: Mapping[str, set[tuple[str, str]]]) -> dict[str, set[str]]:
    """The modules of ours that each module imports."""
    return {
        name: {f"{base}.{part}" if f"{base}.{part}" in written else base for base, part in pairs}
        & written.keys() - {name}
        for name, pairs in written.items()
    }


def circles(imported: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of siblings, files or folders of one folder, that import each other round in a circle."""
    between: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for importer, modules in imported.items():
        for module in modules:
            ours, theirs = importer.split("."), module.split(".")
            same = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
            if same is not None:
                siblings = between[".".join(ours[:same])]
                siblings[".".join(ours[: same + 1])].add(".".join(theirs[: same + 1]))
    return sorted(group for siblings in between.values() for group in _knots(siblings))


def _knots(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """The largest groups in which every node reaches every other, of two nodes or more."""
    reach: dict[str, set[str]] = {}
    for start in arrows:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = arrows.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        reach[start] = seen
    knots = {
        tuple(sorted(other for other in reach[one] if one in reach.get(other, ()))) for one in arrows
    } - {()}
    return [[*knot] for knot in knots]


def one_importer(written: Mapping[str, set[tuple[str, str]]], packages: set[str]) -> list[str]:
    """The modules that exactly one other imports.

    An import from a folder's door counts for the module that the door has the name from; the door itself, its
    `__init__`, is no importer.
    """
    doors = {(name, part): base for name in packages for base, part in written[name]}
    importers: dict[str, set[str]] = defaultdict(set)
    for name in written.keys() - packages:
        for base, part in written[name]:
            source = f"{base}.{part}" if f"{base}.{part}" in written else base
            while (source, part) in doors:
                home = doors[source, part]
                source = f"{home}.{part}" if f"{home}.{part}" in written else home
            if source in written and source != name:
                importers[source].add(name)
    return sorted(name for name in written.keys() - packages if len(importers[name]) == 1)


def statements(function: Function) -> int:
    """Statements of a function with those nested in it, its docstring left out."""
    found = sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 1
    return found - (ast.get_docstring(function) is not None)


def parameters(function: Function) -> int:
    """Parameters of a function, but for self and cls."""
    given = function.args
    named = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return (
        len([name for name in named if name not in ("self", "cls")]) + bool(given.vararg) + bool(given.kwarg)
    )


def probes(tree: ast.AST) -> Iterator[int]:
    """Yield the lines where `getattr` or `hasattr` ask whether a scorer or a judge has something."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and called(node) in ("getattr", "hasattr")):
            continue
        asked, name = node.args[0], node.args[1]
        if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
            continue
        holder = re.findall(r"\w+", ast.unparse(asked))[-1]
        if name.value in OPTIONAL or holder in HOLDERS:
            yield node.lineno


def repeated_fields(configurations: Iterator[ast.Module]) -> dict[str, int]:
    """Fields by name and type, with the number of classes that define them, the most repeated first."""
    count = Counter(
        f"{ast.unparse(line.target)}: {ast.unparse(line.annotation)}"
        for tree in configurations
        for kind in tree.body
        if isinstance(kind, ast.ClassDef)
        for line in kind.body
        if isinstance(line, ast.AnnAssign)
    )
    return {name: number for name, number in count.most_common() if number >= REPEATED}


def called(call: ast.Call) -> str:
    """The last word of what is called."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def calls(trees: Mapping[str, ast.AST], where: Mapping[str, str]) -> dict[str, list[str]]:
    """The places of calls by the name of what is called; `with NAME` are those of a `with` statement."""
    found: dict[str, list[str]] = defaultdict(list)
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                found[called(node)].append(f"{where[module]}:{node.lineno}")
            if isinstance(node, ast.With):
                for item in node.items:
                    if isinstance(item.context_expr, ast.Call):
                        found[f"with {called(item.context_expr)}"].append(f"{where[module]}:{node.lineno}")
    return found


def table(structure: Structure) -> str:
    """The figures as lines of text."""
    many, repeated = len(structure.many_parameters), structure.repeated_fields
    most = ", ".join(f"{name} x {count}" for name, count in [*repeated.items()][:3])
    rows = {
        "modules": structure.modules,
        "lines": structure.lines,
        "folders": structure.folders,
        **{f"modules at the top of {name}": count for name, count in structure.at_the_top.items()},
        "circles between siblings": _listed(map(" - ".join, structure.circles)),
        "modules with one importer": len(structure.one_importer),
        "longest file, lines": "{} ({})".format(*structure.longest_file),
        "longest function, lines": "{} ({})".format(*structure.longest_function),
        "longest function, statements": "{} ({})".format(*structure.most_statements),
        "functions": structure.functions,
        f"functions of more than {MOST_PARAMETERS} parameters": f"{many} ({many / structure.functions:.1%})",
        "getattr probes of scorers and judges": len(structure.probes),
        "lines of README": structure.readme_lines,
        f"fields that {REPEATED} configurations or more define": len(repeated),
        "definitions of such fields": f"{sum(repeated.values())} ({most})",
        "calls of run_folder": len(structure.run_folder_calls),
        "calls of forget_run": len(structure.forget_run_calls),
        "with run(...)": len(structure.runs),
        "calls of Console": len(structure.consoles),
    }
    return "".join(f"{name:<42} {value}\n" for name, value in rows.items())


def _listed(names: Iterator[str]) -> str:
    found = [*names]
    return "\n".join([str(len(found)), *(f"    {name}" for name in found)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--json", action="store_true", help="print JSON, with the places of what was counted")
    given = parser.parse_args()
    measured = measure(given.root)
    sys.stdout.write(json.dumps(asdict(measured), indent=2) + "\n" if given.json else table(measured))
