"""A run of a command: its arguments, folder, files, locks and printed output."""

from evalkit.runs.files import atomic_write, fingerprint, json_text, spec_fingerprint, write_json
from evalkit.runs.folder import run
from evalkit.runs.outputs import ResumableRows
from evalkit.runs.terminal import progress, say, show, terminal, warn

__all__ = [
    "ResumableRows",
    "atomic_write",
    "fingerprint",
    "json_text",
    "progress",
    "run",
    "say",
    "show",
    "spec_fingerprint",
    "terminal",
    "warn",
    "write_json",
]
