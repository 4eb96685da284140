"""Settings of an experiment: checked against its existing files and recorded with its results."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from evalkit.runs.files import json_text, write_json
from evalkit.runs.provenance import provenance
from rewards.errors import ConfigError

SETTINGS, CONFIG = "settings.json", "config.json"
"""In the folder of models and samples, and in that of the results."""


def settings_of(config: object, *left_out: str) -> dict[str, object]:
    """Return a configuration's values by name, without the folders `work` and `out` and other given names."""
    values = asdict(config)  # type: ignore[call-overload]  # experiments' configurations are dataclasses
    return {name: value for name, value in values.items() if name not in ("work", "out", *left_out)}


def check_settings(folder: str | Path, settings: Mapping[str, object]) -> None:
    """Refuse a folder whose files were made with other settings; a new folder records these.

    Args:
        folder: The folder of models and samples.
        settings: The settings that its files depend on.

    Raises:
        ConfigError: The settings differ; the message names them.
    """
    path, mine = Path(folder) / SETTINGS, json.loads(json_text(settings))
    if not path.exists():
        write_json(path, mine)
        return
    begun = json.loads(path.read_text(encoding="utf-8"))
    if other := [name for name in mine if begun.get(name) != mine[name]]:
        differing = ", ".join(f"{name} {begun.get(name)}, not {mine[name]}" for name in other)
        raise ConfigError(f"{folder}: was made by other settings, {differing}; name another --work")


def write_settings(out: str | Path, settings: Mapping[str, object], **found: object) -> None:
    """Write `config.json` beside results: the settings, further facts, versions and commit."""
    write_json(Path(out) / CONFIG, {"configuration": settings, **found, **provenance()})
