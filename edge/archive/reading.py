"""Tables of a dataset read for questions: whole columns, and what its network said, in batches.

Only what rests is read whole: a recording that is being heard meanwhile may be missing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.archive.checking import checked
from edge.archive.halves import widened
from edge.archive.manifest import chosen_bundle
from edge.archive.parquet import read_raw, read_table
from edge.archive.part_files import EMPTY, part_files, say_what_is_not_read
from edge.archive.schema import VECTORS, arrow_schema, dtype_in
from edge.errors import ConfigError
from edge.types import Array

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "StoredVectors",
    "Vectors",
    "column_files",
    "detections_of",
    "heard_files",
    "read_columns",
    "refuse_without_embeddings",
    "stored_vectors",
    "vectors_of",
    "whole_files",
]

THREADS = 4  # that wait for the disk
log = logging.getLogger(__name__)


def column_files(folder: Path, table: str) -> list[Path]:
    """Return the files of a table in the dataset at `folder`, in the order of their names.

    Other files that lie there are not read, which is logged.
    """
    say_what_is_not_read(folder, [table])
    empty = folder / table / EMPTY  # an index names all files that it is of, this one as well
    return [*([empty] if empty.exists() else []), *part_files(folder, table)]


def read_columns(
    folder: Path, table: str, columns: Sequence[str], *, bundle: str | None = None
) -> pa.Table:
    """Return columns of a table of the dataset at `folder`; what is damaged counts as missing.

    The rows are those of one bundle: raises `ConfigError` where several have heard the dataset and
    none is named.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    chosen = chosen_bundle(folder, bundle)
    names = [*columns] if chosen is None else [*columns, "bundle"]
    files = column_files(folder, table)
    with ThreadPoolExecutor(THREADS) as pool:
        whole = None if {*names} & {*VECTORS} else _at_once(pool, files, table, names)
        if whole is None:
            read = partial(read_table, table=table, columns=names)
            found = [one for one in pool.map(read, files) if one is not None]
            whole = pa.concat_tables([_nothing(table, names), *found])
    return whole if chosen is None else whole.filter(pc.field("bundle") == chosen)


def _at_once(
    pool: ThreadPoolExecutor, files: Sequence[Path], table: str, columns: Sequence[str]
) -> pa.Table | None:
    """Return columns of all files, checked together; None where one of them is not as it should be.

    Where files are many and short, to check each takes as long as to read it. Vectors are never
    read so: of what type they are is said by each file.
    """
    import pyarrow as pa

    with suppress(pa.ArrowException, OSError):
        found = pool.map(partial(read_raw, table=table, columns=columns), files)
        whole = pa.concat_tables([_nothing(table, columns), *found], promote_options="default")
        return checked(table, whole, columns)
    return None


def _nothing(table: str, columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    known = arrow_schema(table)
    return pa.schema([known.field(name) for name in columns]).empty_table()


def heard_files(folder: Path, columns: Sequence[str], *, bundle: str | None = None) -> pa.Table:
    """Return columns of `files` of all recordings that were heard; see `read_columns`."""
    import pyarrow.compute as pc

    files = read_columns(folder, "files", [*columns, "status"], bundle=bundle)
    return files.filter(pc.field("status") == "heard")


def whole_files(folder: Path, columns: Sequence[str], *, bundle: str | None = None) -> pa.Table:
    """Return what `heard_files` does of the recordings whose detections are all there.

    That nothing is detected in another one would be no absence.
    """
    import pyarrow as pa

    files = heard_files(folder, [*columns, "detections"], bundle=bundle)
    paths: Any = read_columns(folder, "detections", ["path"], bundle=bundle)["path"]
    there = {pair["values"]: pair["counts"] for pair in paths.value_counts().to_pylist()}
    pairs = zip(files["path"].to_pylist(), files["detections"].to_pylist(), strict=True)
    are_whole = [there.get(path, 0) == (count or 0) for path, count in pairs]
    if not all(are_whole):
        left_out = are_whole.count(False)
        log.warning("%s: %d recordings left out, with damaged detections", folder, left_out)
    return files.filter(pa.array(are_whole, pa.bool_())).select(list(columns))


def detections_of(
    folder: Path, files: pa.Table, columns: Sequence[str], *, bundle: str | None = None
) -> pa.Table:
    """Return columns of the detections in recordings whose paths are in `files`."""
    import pyarrow.compute as pc

    found = read_columns(folder, "detections", ["path", *columns], bundle=bundle)
    # A killed job leaves detections without their recording.
    return found.filter(pc.is_in(found["path"], value_set=files["path"].combine_chunks()))


@dataclass(frozen=True)
class Vectors:
    """Rows of a column of vectors: `of` (N, D) float32 of those `rows` (N,) that have one."""

    rows: NDArray[np.int64]
    of: Array


def vectors_of(table: pa.Table | pa.RecordBatch, column: str) -> Vectors:
    """Return a column of vectors of equal length; of `embedding`, with its scale in it."""
    stored = stored_vectors(table, column)
    of = np.empty(stored.of.shape, np.float32)
    stored.into(of)
    return Vectors(rows=stored.rows, of=of)


@dataclass(frozen=True)
class StoredVectors:
    """Vectors `of` (N, D) as they are stored, of those `rows` (N,) that have one. A number is that
    times `scale` (N,), where there is one.
    """

    rows: NDArray[np.int64]
    of: NDArray[Any]
    scale: Array | None

    def into(self, place: Array) -> None:
        """Write the numbers into an array (N, D)."""
        if self.of.dtype == np.float16:
            widened(self.of, place)
        else:
            place[:] = self.of
        if self.scale is not None:
            place *= self.scale[:, np.newaxis]


def stored_vectors(table: pa.Table | pa.RecordBatch, column: str) -> StoredVectors:
    """Return a column of vectors of equal length as they are stored."""
    import pyarrow as pa

    cells: Any = table[column]
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    rows = np.flatnonzero(np.asarray(cells.is_valid()))
    numbers = _numbers(cells, dtype_in(table.schema.field(column)))
    of = numbers.reshape(len(rows), -1) if len(rows) else np.empty((0, 0), np.float32)
    scale = None
    if column == "embedding":
        scales: Any = table["embedding_scale"].to_numpy(zero_copy_only=False)
        scale = np.asarray(scales, np.float32)[rows]
    return StoredVectors(
        rows, of, scale if scale is not None and np.isfinite(scale).any() else None
    )


def _numbers(cells: Any, dtype: np.dtype[Any] | None) -> NDArray[Any]:
    """Return all numbers in an array of cells, one after the other; those of version 1 are lists.

    A cell that is null has none.
    """
    if dtype is None:
        numbers: NDArray[Any] = cells.flatten().to_numpy(zero_copy_only=False)
        return numbers
    _, offsets, content = cells.buffers()
    if content is None:
        return np.empty(0, dtype)
    edges = np.frombuffer(offsets, np.int32)[cells.offset : cells.offset + len(cells) + 1]
    return np.frombuffer(content, np.uint8)[edges[0] : edges[-1]].view(dtype)


def refuse_without_embeddings(folder: Path, kept: str | None, *, key: str) -> None:
    """Raise `ConfigError` of `key` for a dataset that has no embeddings."""
    if kept is None:
        raise ConfigError(
            "has no embeddings",
            key=key,
            value=folder,
            suggestion="hear it into a new dataset with --embeddings float16",
        )
