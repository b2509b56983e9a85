"""The files of a dataset: parts, each with some recordings and all of their detections.

A part has the same name in `detections/` and in `files/`. No two parts have the same recording. A
process may be killed between any two steps, so a recording counts only where both files of its
part are there and have as many detections of it as its row says; `mend` removes all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from edge.archive.parquet import Row, read_rows, write_rows
from edge.archive.rows import Heard
from edge.archive.schema import TABLES, arrow_schema
from edge.files import make_folder, new_beside, placing

__all__ = ["Parts"]

EMPTY = "empty.parquet"  # so that a dataset can be opened before anything is in it
STAGING = ".staging"
PART = f"part-{'[0-9]' * 7}.parquet"  # numbered, so that names sort as they were written


class Parts:
    """The parts below `folder`. Only one process writes them, and any may read meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self) -> None:
        """Make what is not there yet, and remove what a killed process has left half-written."""
        for name in (*TABLES, STAGING):
            make_folder(self._folder / name, durable=True)
        for left in (self._folder / STAGING).iterdir():
            left.unlink()
        for table in TABLES:
            if not (self._folder / table / EMPTY).exists():
                self._write(table, EMPTY, [])

    def names(self) -> list[str]:
        """Return the names of all parts, in the order in which they were written."""
        found = {file.name for table in TABLES for file in (self._folder / table).glob(PART)}
        return sorted(found)

    def files(self, name: str, columns: Sequence[str] | None = None) -> list[Row]:
        """Return the rows of the recordings of a part; none where it is gone or damaged."""
        return read_rows(self._folder / "files" / name, columns) or []

    def mend(self) -> Iterator[tuple[str, Row]]:
        """Remove what is not whole, and yield the other recordings with their part's name."""
        for name in self.names():
            files = self.files(name)
            found = read_rows(self._folder / "detections" / name, ["path"])
            counts = Counter(row["path"] for row in found or [])
            whole = [row for row in files if (row["detections"] or 0) == counts[row["path"]]]
            if found is None:
                whole = []
            if len(whole) < len(files) or counts.keys() - {row["path"] for row in files}:
                self._keep(name, {row["path"] for row in whole})
            elif not whole:
                self._remove(name)
            for row in whole:
                yield name, row

    def add(self, heard: Sequence[Heard]) -> str:
        """Write a new part, whole and on the disk, and return its name."""
        name = f"part-{self._next():07}.parquet"
        self._write("detections", name, [row for one in heard for row in one.detections])
        self._write("files", name, [one.file for one in heard])
        return name

    def drop(self, name: str, paths: Collection[str]) -> None:
        """Remove recordings, and what was detected in them, from a part."""
        self._keep(name, {row["path"] for row in self.files(name, ["path"])} - set(paths))

    def _keep(self, name: str, paths: Collection[str]) -> None:
        if not paths:
            self._remove(name)
            return
        for table in reversed(TABLES):
            rows = read_rows(self._folder / table / name) or []
            self._write(table, name, [row for row in rows if row["path"] in paths])

    def _remove(self, name: str) -> None:
        for table in reversed(TABLES):
            (self._folder / table / name).unlink(missing_ok=True)

    def _next(self) -> int:
        names = self.names()
        return 1 + int(names[-1].removeprefix("part-").partition(".")[0]) if names else 1

    def _write(self, table: str, name: str, rows: Sequence[Row]) -> None:
        staging = new_beside(self._folder / STAGING / name)
        with placing(staging, self._folder / table / name, durable=True):
            write_rows(staging, rows, arrow_schema(table))
