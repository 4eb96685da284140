"""Provenance of a result: versions, platform and commit."""

import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

VERSIONED = ("evalkit-rm", "torch", "transformers", "datasets", "accelerate", "peft", "numpy", "scipy")
"""Packages whose versions a run records."""


def provenance() -> dict[str, object]:
    """Return versions, platform and commit, to reproduce a result."""
    versions = {}
    for package in VERSIONED:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    """Return the commit of this source tree, marked if modified; None outside a checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
