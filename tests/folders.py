"""Each package folder's docstring names what lies in it: `python tests/folders.py` writes them anew.

The line of a file is the first line of its docstring, and so is that of a folder. A test compares.
"""

import ast
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("rewards", "judges", "evalkit")
WIDTH = 106


def first_line(file: Path) -> str:
    """Return the first line of a module's docstring, without its period."""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].removesuffix(".")


def folders() -> list[Path]:
    """Return every folder of the packages that is one itself."""
    return sorted(file.parent for package in PACKAGES for file in (ROOT / package).rglob("__init__.py"))


def contents(folder: Path) -> dict[str, str]:
    """Return what lies in a folder, each with its line: files first, then folders."""
    files = {path.name: first_line(path) for path in sorted(folder.glob("*.py")) if path.stem != "__init__"}
    below = sorted(path.parent for path in folder.glob("*/__init__.py"))
    return files | {f"{path.name}/": first_line(path / "__init__.py") for path in below}


def docstring_of(folder: Path) -> str:
    """Return the docstring that a folder should have: what it says today, then its contents as a list."""
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    said = text.partition("\n- `")[0].rstrip()
    lines = [
        line
        for name, what in contents(folder).items()
        for line in textwrap.wrap(
            f"- `{name}`: {what}", WIDTH, subsequent_indent="  ", break_on_hyphens=False
        )
    ]
    return "\n".join([said, "", *lines, ""]) if lines else said


def written(folder: Path) -> str:
    """Return the text of a folder's `__init__.py` with that docstring."""
    text = (folder / "__init__.py").read_text(encoding="utf-8")
    statement = ast.parse(text).body[0]
    rest = "\n".join(text.split("\n")[statement.end_lineno :])
    return f'"""{docstring_of(folder)}"""\n{rest}'


def main() -> None:
    """Write the docstrings that are not as they should be."""
    for folder in folders():
        file, text = folder / "__init__.py", written(folder)
        if file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{file.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
