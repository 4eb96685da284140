"""How `python -m evalkit.experiments.NAME` begins: it parses, and only then imports what computes."""

import sys
from pkgutil import resolve_name

from evalkit.runs.parsing import parse_configuration
from evalkit.runs.terminal import warn
from rewards.errors import EvalkitError


def start(name: str, kind: type) -> None:
    """Run `evalkit.experiments.NAME.experiment:run` with a configuration made of the command line.

    Exits with 2 on the user's mistake (one line, no traceback).

    Args:
        name: The experiment's folder.
        kind: Its configuration, a dataclass.
    """
    module = f"evalkit.experiments.{name}"
    try:
        config: object = parse_configuration(kind, name, sys.argv[1:], program=f"python -m {module}")
        resolve_name(f"{module}.experiment:run")(config)
    except EvalkitError as error:
        warn(f"evalkit: {error}")
        raise SystemExit(2) from None
