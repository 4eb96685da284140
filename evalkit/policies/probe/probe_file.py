"""The probe's JSON lines by step: appended whole, truncated after a kill, read on resume."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rewards.errors import DataError
from rewards.files.writing import json_line


class ProbeFile:
    """JSON lines by step. Only whole lines count; the half line of a killed run is cut off.

    Args:
        path: The file, which need not exist.

    Raises:
        DataError: A whole line is not a probe's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        if not path.exists():
            return
        whole = path.read_bytes()
        whole = whole[: whole.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                one = json.loads(line)
                int(one["step"])
            except (ValueError, KeyError, TypeError):
                raise DataError(f"{path}:{number}: is no line of a probe; it was changed by hand") from None
            self.lines.append(one)
        os.truncate(path, len(whole))

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add lines; they are on disk when this returns."""
        new = [dict(row) for row in rows]
        with self.path.open("ab") as file:
            file.write(b"".join(json_line(row, str(self.path)) for row in new))
            file.flush()
            os.fsync(file.fileno())
        self.lines += new

    def keep(self, steps: Iterable[int]) -> None:
        """Cut the lines after the first whose step is not among these."""
        known = set(steps)
        count = next(
            (place for place, line in enumerate(self.lines) if line["step"] not in known), len(self.lines)
        )
        if count == len(self.lines):
            return
        self.lines = self.lines[:count]
        os.truncate(self.path, sum(len(line) for line in self._first(count)))

    def _first(self, count: int) -> list[bytes]:
        return self.path.read_bytes().splitlines(keepends=True)[:count]
