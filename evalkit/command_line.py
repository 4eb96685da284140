"""A command's configuration as the line that a user would type."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass


def command_line(name: str, config: object) -> str:
    """Return `evalkit NAME --field value ...` with the fields that differ from their defaults.

    Args:
        name: The command, such as `train outcome`.
        config: Its configuration, a dataclass whose fields may be dataclasses.
    """
    return " ".join(["evalkit", name, *_options(config, "")])


def _options(config: object, prefix: str) -> Iterator[str]:
    for item in fields(config):  # type: ignore[arg-type]  # commands' configurations are dataclasses
        value = getattr(config, item.name)
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        if value == default:
            continue
        if is_dataclass(value):
            yield from _options(value, f"{prefix}{item.name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            yield f"--{prefix}{item.name} {shlex.quote(text)}"
