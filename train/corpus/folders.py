"""The files below a folder of recordings, as its owner sees them."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

import soundfile

from edge.errors import UserError

__all__ = ["AUDIO", "files_below"]

AUDIO = {f".{name.lower()}" for name in soundfile.available_formats()} | {
    ".mp3",
    ".opus",
    ".oga",
    ".aif",
}
LOST = "lost+found"  # of a disk, which only root may enter


def files_below(folder: Path, suffixes: Container[str]) -> list[Path]:
    """Return the files below a folder that have one of the `suffixes`, sorted.

    Links are followed, but for those that lead back to where they stand. What is hidden is passed
    over. Raises `UserError` for a folder that cannot be read.
    """
    found: list[Path] = []
    waiting: list[tuple[Path, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    while waiting:
        here, above = waiting.pop()
        try:
            status = os.stat(here)
            identity = (status.st_dev, status.st_ino)
            entries = [] if identity in above else list(os.scandir(here))
        except OSError as exc:
            raise UserError(f"{here}: cannot be read ({exc.strerror})") from exc
        for entry in entries:
            if entry.name.startswith(".") or entry.name == LOST:
                continue
            path = here / entry.name
            if os.path.isdir(path):  # False for a link that leads to itself
                waiting.append((path, above | {identity}))
            elif path.suffix.lower() in suffixes and os.path.isfile(path):
                found.append(path)
    return sorted(found)
