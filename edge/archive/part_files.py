"""Which files of a dataset are read: its parts, by their names, and nothing else that lies there.

A sync program puts a copy beside a file that it could not merge; taken for a part, all in it would
count twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from edge.terminal import printable

__all__ = ["EMPTY", "part_files", "say_what_is_not_read", "strange_files"]

EMPTY = "empty.parquet"  # so that a dataset can be opened before anything is in it
PART = f"part-{'[0-9]' * 7}.parquet"  # numbered, so that names sort as they were written
log = logging.getLogger(__name__)


def part_files(folder: Path, table: str) -> list[Path]:
    """Return the parts of a table in the dataset at `folder`, in the order of their names."""
    return sorted((folder / table).glob(PART))


def strange_files(folder: Path, tables: Iterable[str]) -> list[Path]:
    """Return the other files below the folders of `tables` that a reader might take for parts."""
    return [file for table in tables for file in _strange(folder, table)]


def _strange(folder: Path, table: str) -> list[Path]:
    place = folder / table
    found = (file for file in place.rglob("*.parquet") if not file.name.startswith("."))
    return sorted(f for f in found if f.parent != place or not (f.match(PART) or f.name == EMPTY))


def say_what_is_not_read(folder: Path, tables: Iterable[str]) -> None:
    """Log what lies among the parts of some tables and is none."""
    for file in strange_files(folder, tables):
        _say(file)


@lru_cache(maxsize=1024)  # once, although a question reads a table several times
def _say(file: Path) -> None:
    log.warning("%s is no part of the dataset, and is not read", printable(str(file)))
