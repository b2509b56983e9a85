"""Folders of files that can be made again, the oldest of which go when they are too many."""

from __future__ import annotations

from pathlib import Path

__all__ = ["make_room"]


def make_room(folder: Path, size: int, *, most_bytes: int, pattern: str) -> None:
    """Remove the oldest files of a folder, so that `size` bytes more are no more than `most_bytes`.

    Raises OSError.
    """
    if not folder.is_dir():
        return
    files = [(file.stat(), file) for file in folder.glob(pattern)]
    files.sort(key=lambda entry: entry[0].st_mtime)
    total = size + sum(status.st_size for status, _ in files)
    for status, file in files:
        if total <= most_bytes:
            return
        file.unlink(missing_ok=True)
        total -= status.st_size
