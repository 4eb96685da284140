"""The table of commands."""

import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from pkgutil import resolve_name
from typing import Any, get_type_hints

from jsonargparse import auto_cli, set_parsing_settings

from evalkit import config
from rewards.errors import EvalkitError

COMMANDS: dict[str, tuple[type, str]] = {  # name: (what it needs, where it runs; imported only then)
    "quickstart": (config.Quickstart, "evalkit.quickstart:run"),
    "train outcome": (config.TrainOutcome, "evalkit.training:run"),
    "generate": (config.Generate, "evalkit.generating:run"),
    "score": (config.ScoreFile, "evalkit.scoring:run"),
    "select": (config.Select, "evalkit.selecting:run"),
    "evaluate": (config.Evaluate, "evalkit.evaluating:run"),
    "overopt": (config.Overopt, "evalkit.overoptimization.best_of_n:run"),
    "fit": (config.Fit, "evalkit.overoptimization.table:run"),
}
DESCRIPTION = "Score and rank generations, train reward models, and see where optimising them goes wrong."


def main(arguments: list[str] | None = None) -> None:
    """Parse one command and its configuration, then run it.

    Exits with 0 when done, 2 on the user's mistake (one line, no traceback), 130 when interrupted.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    arguments = spell_flags(sys.argv[1:] if arguments is None else arguments)
    try:
        chosen = auto_cli(
            _tree(), args=arguments, as_positional=False, description=DESCRIPTION, prog="evalkit"
        )
        runners = dict(COMMANDS.values())
        resolve_name(runners[type(chosen)])(chosen)
    except EvalkitError as error:
        _stop(2, str(error))
    except KeyboardInterrupt:
        _stop(130, "interrupted; what is done is kept, and the same command goes on from there")


def spell_flags(arguments: list[str]) -> list[str]:
    """Give a bare `--overwrite`, or any other yes-or-no option, the value true that the parser asks for."""
    flags = {f"--{name}" for kind, _ in COMMANDS.values() for name in _yes_or_no(kind)}
    spelled = []
    for place, argument in enumerate(arguments):
        spelled.append(argument)
        following = arguments[place + 1] if place + 1 < len(arguments) else "--"
        if argument in flags and following.startswith("--"):
            spelled.append("true")
    return spelled


def _yes_or_no(kind: type, prefix: str = "") -> Iterator[str]:
    for name, annotation in get_type_hints(kind).items():
        if annotation is bool:
            yield prefix + name
        elif isinstance(annotation, type) and is_dataclass(annotation):
            yield from _yes_or_no(annotation, f"{prefix}{name}.")


def _tree() -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, (kind, _) in COMMANDS.items():
        *path, last = name.split()
        branch = tree
        for word in path:
            branch = branch.setdefault(word, {"_help": f"{word} a model"})
        branch[last] = kind
    return tree


def _stop(code: int, message: str) -> None:
    sys.stderr.write(f"evalkit: {' '.join(message.split())}\n")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
