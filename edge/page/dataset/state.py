"""In which state the files of a dataset are, without reading them."""

from __future__ import annotations

from pathlib import Path

from edge.archive.parts import Parts

__all__ = ["KEY", "part_states"]

KEY = "--dataset"
TABLES = ("files", "detections")


def part_states(dataset: Path) -> dict[str, str]:
    """Return the state of each part: it is another one where a file of it was written anew.

    Raises OSError where the dataset cannot be read.
    """
    names = Parts(dataset).names()
    return {name: " ".join(_state(dataset / table / name) for table in TABLES) for name in names}


def _state(file: Path) -> str:
    try:
        status = file.stat()
    except FileNotFoundError:
        return "-"
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
