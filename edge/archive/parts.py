"""The files of a dataset: parts, each with some recordings and all that there is of them.

A part has the same name in each table's folder. No two parts have the same recording. A process may
be killed between any two steps, so a recording counts only where all files of its part are there
and have as many rows of it as its row in `files` says. What a kill has left is removed by `mend`;
what is damaged stays, since it may be all that is left of recordings that are gone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from edge.archive.keeping import Keeps
from edge.archive.parquet import (
    Row,
    completed,
    only,
    read_rows,
    read_table,
    read_unchecked,
    table_of,
    write_table,
)
from edge.archive.part_files import EMPTY, part_files
from edge.archive.rows import Heard
from edge.errors import UserError
from edge.files import make_folder, new_beside, placing

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Parts"]

STAGING = ".staging"
DAMAGED = "damaged"
log = logging.getLogger(__name__)


class Parts:
    """The parts below `folder`. Only one process writes them, and any may read meanwhile.

    Where they are not `checked`, any cell may be anything: for a reader who says of each recording
    what is wrong with it.
    """

    def __init__(self, folder: Path, keeps: Keeps | None = None, *, checked: bool = True) -> None:
        self._folder = folder
        self._checked = checked
        self._keeps = keeps or Keeps()
        self._tables = self._keeps.tables

    def make(self) -> None:
        """Make what is not there yet, and remove what a killed process has left half-written."""
        for name in (*self._tables, STAGING):
            make_folder(self._folder / name, durable=True)
        for left in (self._folder / STAGING).iterdir():
            left.unlink()
        for table in self._tables:
            if not (self._folder / table / EMPTY).exists():
                self._write(table, EMPTY, [])

    def names(self) -> list[str]:
        """Return the names of all parts, in the order in which they were written."""
        found = {file.name for table in self._tables for file in part_files(self._folder, table)}
        return sorted(found)

    def files(self, name: str, columns: Sequence[str] | None = None) -> list[Row]:
        """Return the rows of the recordings of a part; none where it is gone or damaged.

        A cell of a column that came later is null.
        """
        missing = dict.fromkeys(columns or self._keeps.schema("files").names)
        return [missing | row for row in self._read("files", name, columns)]

    def rows(self, table: str, name: str) -> list[Row]:
        """Return the rows of a table in a part; none where it is gone or damaged."""
        return self._read(table, name, None)

    def _read(self, table: str, name: str, columns: Sequence[str] | None) -> list[Row]:
        path = self._folder / table / name
        if self._checked:
            return read_rows(path, table, columns) or []
        found = read_unchecked(path)
        return [] if found is None else found.to_pylist()

    def mend(self) -> Iterator[tuple[str, Row, bool]]:
        """Remove what a killed process has left, and yield the recordings with their part's name,
        and whether all that there was of them is there.

        Parts whose recordings cannot be told are moved to `damaged/`. Raises `UserError` for a file
        that somebody has changed.
        """
        for name in self.names():
            files = self.files(name)
            if not files:
                self._mend_without_files(name)
                continue
            counts = self._counts(name)
            paths = {row["path"] for row in files}
            if any(of.keys() - paths for of in counts.values() if of is not None):
                self._keep(name, paths)
            for row in files:
                yield name, row, _is_whole(row, counts)

    def _mend_without_files(self, name: str) -> None:
        """Remove a part that no recording was written of yet, or set it aside."""
        path = self._folder / "files" / name
        if not path.exists():
            self._remove(name)
            return
        found = read_unchecked(path)
        if found is not None and len(found):
            reason = f"{path} cannot be what this program wrote"
            raise UserError(reason, suggestion="put it back as it was, or hear into a new dataset")
        self._set_aside(name)

    def _set_aside(self, name: str) -> None:
        """Move a part to where nobody takes it for one; its row of files goes last."""
        place = _new_folder(self._folder / DAMAGED / name.removesuffix(".parquet"))
        for table in self._tables:
            file = self._folder / table / name
            if file.exists():
                file.replace(place / f"{table}.parquet")
        log.warning("%s: its recordings cannot be told; what there is of it is in %s", name, place)

    def add(self, heard: Sequence[Heard]) -> str:
        """Write a new part, whole and on the disk, and return its name."""
        name = f"part-{self._next():07}.parquet"
        for table in self._tables:
            self._write(table, name, self._of(heard, table))
        return name

    def drop(self, name: str, paths: Collection[str]) -> None:
        """Remove recordings, and what was detected in them, from a part."""
        self._keep(name, {row["path"] for row in self.files(name, ["path"])} - set(paths))

    def _keep(self, name: str, paths: Collection[str]) -> None:
        """Leave nothing of a part but these recordings; a file that is damaged stays as it is."""
        if not paths:
            self._remove(name)
            return
        for table in reversed(self._tables):
            found = read_table(self._folder / table / name, table)
            if found is not None:
                kept = completed(only(found, paths), {}, self._keeps.schema(table))
                self._write(table, name, [kept])

    def _remove(self, name: str) -> None:
        for table in reversed(self._tables):
            (self._folder / table / name).unlink(missing_ok=True)

    def _next(self) -> int:
        names = self.names()
        return 1 + int(names[-1].removeprefix("part-").partition(".")[0]) if names else 1

    def _counts(self, name: str) -> dict[str, Counter[str] | None]:
        """Return how many rows of each recording are in a part's tables but for `files`; None where
        one is gone or damaged.
        """
        counts: dict[str, Counter[str] | None] = {}
        for table in self._tables:
            if table != "files":
                rows = read_rows(self._folder / table / name, table, ["path"])
                counts[table] = None if rows is None else Counter(row["path"] for row in rows)
        return counts

    def _of(self, heard: Sequence[Heard], table: str) -> list[pa.Table]:
        schema = self._keeps.schema(table)
        if table == "files":
            return [table_of([one.file for one in heard], schema)]
        if table == "detections":
            return [table_of([row for one in heard for row in one.detections], schema)]
        found = ((one.tables[table], one.file) for one in heard if table in one.tables)
        return [completed(rows, file, schema) for rows, file in found]

    def _write(self, table: str, name: str, tables: Sequence[pa.Table]) -> None:
        staging = new_beside(self._folder / STAGING / name)
        with placing(staging, self._folder / table / name, durable=True):
            write_table(staging, tables, self._keeps.schema(table))


def _new_folder(like: Path) -> Path:
    """Make a folder that is called `like`, with the next number behind it."""
    place = next(
        place for n in count(1) if not (place := like.with_name(f"{like.name}.{n}")).exists()
    )
    make_folder(place, durable=True)
    return place


def _is_whole(file: Row, counts: Mapping[str, Counter[str] | None]) -> bool:
    """Return whether all tables have as many rows of a recording as its row says."""
    return all(
        found is not None and found[file["path"]] == (file[table] or 0)
        for table, found in counts.items()
    )
