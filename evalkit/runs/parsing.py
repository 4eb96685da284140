"""Parses arguments into a configuration; a parse error is one line that says what was expected."""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, NoReturn, TypeVar, cast, get_type_hints

from jsonargparse import ArgumentParser, auto_cli, set_parsing_settings

T = TypeVar("T")

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "list": "a list, such as [a,b]",
    "dict": 'a mapping, such as {"theirs": "ours"}',
}
"""What a value of each type is called."""

REWORDED: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r'^Parser key "([^"]+)":\s*', r"--\1: "),
    (r"Expected a <class '(\w+)'>\. Got value: ", lambda found: f"expected {KINDS[found[1]]}, got "),
    (r"Expected a typing\.Literal\[(.*?)\]\. Got value: ", r"expected one of \1, got "),
    (
        r"the following arguments are required: (.*)",
        lambda found: "required, and not given: " + ", ".join(f"--{name}" for name in found[1].split(", ")),
    ),
    (r"Unexpected config: .*", "--config: expected a file of options, one `name: value` to a line"),
    (r"^Problems parsing config: ", "--config: not YAML: "),
    (r'"<unicode string>"', "the file"),
)
"""What the parser says, and what we say."""


class OneLineParser(ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:  # noqa: ARG002  # its parent's name
        """Print the error and where to find help, and exit with 2."""
        for theirs, ours in REWORDED:
            message = re.sub(theirs, ours, message)
        self.exit(2, f"evalkit: {' '.join(message.split())}; {self.prog} --help lists the options\n")


def parse_configuration(kind: type[T], name: str, arguments: Sequence[str], program: str = "") -> T:
    """Make a command's configuration of its arguments and `--config` files; `--help` prints and exits.

    Args:
        kind: The configuration, a dataclass.
        name: The command, such as `train outcome`.
        arguments: The arguments after it.
        program: The program's name in help texts, if not `evalkit NAME`.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    made = auto_cli(
        kind,
        args=spell_flags(kind, arguments),
        as_positional=False,
        prog=program or f"evalkit {name}",
        parser_class=OneLineParser,
        allow_abbrev=False,
    )
    return cast(T, made)


def spell_flags(kind: type, arguments: Sequence[str]) -> list[str]:
    """Add the value true, which the parser needs, to a bare `--overwrite` or any other boolean option.

    An option may be written with hyphens, as `--retry-failed`.
    """
    flags = {f"--{name}" for name in _yes_or_no(kind)}
    spelled = []
    for place, given in enumerate(arguments):
        argument = _underscored(given) if given.startswith("--") else given
        spelled.append(argument)
        if argument in flags and (place + 1 == len(arguments) or arguments[place + 1].startswith("-")):
            spelled.append("true")
    return spelled


def _underscored(option: str) -> str:
    name, equals, value = option[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def _yes_or_no(kind: type, prefix: str = "") -> Iterator[str]:
    annotations: dict[str, Any] = get_type_hints(kind)
    for name, annotation in annotations.items():
        if annotation is bool:
            yield prefix + name
        elif isinstance(annotation, type) and is_dataclass(annotation):
            yield from _yes_or_no(annotation, f"{prefix}{name}.")


def command_line(name: str, config: object) -> str:
    """Return `evalkit NAME --field value ...` with the fields that differ from their defaults.

    Args:
        name: The command, such as `train outcome`.
        config: Its configuration, a dataclass whose fields may be dataclasses.
    """
    return " ".join(["evalkit", name, *_options(config, "")])


def _options(config: object, prefix: str) -> Iterator[str]:
    items = fields(config)  # type: ignore[arg-type]  # commands' configurations are dataclasses
    for item in sorted(items, key=lambda each: bool(each.kw_only)):  # shared options last, as in --help
        value = getattr(config, item.name)
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        if value == default:
            continue
        if is_dataclass(value):
            yield from _options(value, f"{prefix}{item.name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            yield f"--{prefix}{item.name} {shlex.quote(text)}"
