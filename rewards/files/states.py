"""Sizes and modification times of files, by which a change is noticed without reading them."""

from pathlib import Path


def file_states(path: Path) -> list[tuple[str, int, int]]:
    """Return name, size and modification time in ns of a file, or of all files in a folder, by name.

    Nothing where there is neither.
    """
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    states = [(str(file), file.stat()) for file in files if file.is_file()]
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states]
