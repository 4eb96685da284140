"""A run of a command: its arguments, folder, files, locks and printed output.

- `config.py`: Options that many commands share; a command's configuration inherits these and adds its own
- `files.py`: Files of a run: atomic writes, fingerprints of inputs, and no input is overwritten
- `folder.py`: A run in its folder: recorded, locked, resumed after a kill, overwritten only with
  `overwrite`
- `locks.py`: File locks: one process at a time in an output; a lock ends with its process
- `outputs.py`: Output rows of a command: resumed after a kill, overwritten only with `overwrite`
- `parsing.py`: Parses arguments into a configuration; a parse error is one line that says what was
  expected
- `provenance.py`: Provenance of a result: versions, platform and commit
- `settings.py`: Settings of an experiment: checked against its existing files and recorded with its
  results
- `steps.py`: Steps of a longer run: each makes a file, and is skipped once the file exists
- `terminal.py`: Printing for all commands: results on standard output, progress and warnings on standard
  error
"""

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
