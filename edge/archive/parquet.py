"""Parquet by pyarrow, which only an archive needs: imported late, and explained where missing."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edge.archive.checking import checked, readable
from edge.archive.schema import VECTORS
from edge.errors import UserError
from edge.extras import how_to_install

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Row",
    "check_installed",
    "completed",
    "concatenated",
    "damage_said",
    "only",
    "opened",
    "read_raw",
    "read_rows",
    "read_table",
    "read_unchecked",
    "row_count",
    "table_of",
    "write_table",
]

Row = dict[str, Any]
Codec = Literal["zstd", "snappy", "none"]
PARTITION = ("month", "site")
MANY = 1000  # rows of a group
log = logging.getLogger(__name__)


def check_installed() -> None:
    """Raise `UserError`, which says how to install it, where there is no pyarrow."""
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError as exc:
        raise UserError(f"edge archive needs pyarrow ({how_to_install('archive')})") from exc


def table_of(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """Return rows as a table of `schema`."""
    import pyarrow as pa

    return pa.Table.from_pylist(list(rows), schema=schema)


def completed(table: pa.Table, shared: Row, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns of `schema` that it lacks, of one value each in `shared`."""
    import pyarrow as pa

    missing = [field for field in schema if field.name not in table.column_names]
    for field in missing:
        column = pa.repeat(pa.scalar(shared.get(field.name), field.type), len(table))
        table = table.append_column(field, column)
    return table.select(schema.names).cast(schema)


def concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """Return tables of one schema as one."""
    import pyarrow as pa

    return pa.concat_tables(tables)


def write_table(path: Path, tables: Sequence[pa.Table], schema: pa.Schema) -> None:
    """Write a file with all `tables` of `schema`, a row group for each month and site.

    Raises OSError, and what stands there is then not whole.
    """
    import pyarrow as pa
    from pyarrow import parquet

    whole, lengths = _grouped(pa.concat_tables([schema.empty_table(), *tables]))
    # No two vectors are alike, and of their bytes little is to be saved: to unpack them takes four
    # times as long as to read them.
    others = [name for name in schema.names if name not in VECTORS]
    codec = {**dict.fromkeys(VECTORS, "none"), **dict.fromkeys(others, _codec(lengths))}
    # The names of columns are what both take; the types of pyarrow know of bool only.
    chosen: dict[str, Any] = {
        "compression": codec,
        "use_dictionary": others,
        "write_statistics": others,
    }
    with parquet.ParquetWriter(path, schema, **chosen) as writer:
        start = 0
        for length in lengths:
            writer.write_table(whole.slice(start, length))
            start += length


def _codec(lengths: Sequence[int]) -> Codec:
    """Return how to compress row groups of so many rows.

    Zstandard begins anew with each column of each, which takes four times as long as a few rows.
    """
    return "zstd" if sum(lengths) >= MANY * len(lengths) else "snappy"


def _grouped(table: pa.Table) -> tuple[pa.Table, list[int]]:
    """Return the rows by month and site, else in their order, and how many each of these has."""
    rows: dict[tuple[str | None, ...], list[int]] = {}
    for i, key in enumerate(zip(*(table[name].to_pylist() for name in PARTITION), strict=True)):
        rows.setdefault(key, []).append(i)
    keys = sorted(rows, key=lambda key: tuple(part or "" for part in key))
    order = [i for key in keys for i in rows[key]]
    if order != list(range(len(order))):
        table = table.combine_chunks().take(order)
    return table, [len(rows[key]) for key in keys]


def only(table: pa.Table, paths: Iterable[str]) -> pa.Table:
    """Return the rows of a table that are of recordings at these paths."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(paths), pa.string())
    return table.filter(pc.is_in(table["path"], value_set=wanted))


def opened(path: Path) -> pa.NativeFile:
    """Open a file to be read by pyarrow's threads; raises OSError.

    Those would read a file of Python's through an interpreter that may be about to end: then the
    process aborts. Nor is the name taken for one of a partition.
    """
    import pyarrow as pa

    return pa.OSFile(os.fsencode(path), "rb")  # type: ignore[arg-type]  # it takes any name


def read_rows(path: Path, table: str, columns: Sequence[str] | None = None) -> list[Row] | None:
    """Return the rows of a file of `table`, of some `columns`; None where it is gone or damaged."""
    found = read_table(path, table, columns)
    return None if found is None else found.to_pylist()


def read_unchecked(path: Path) -> pa.Table | None:
    """Return a file as a table, whatever is in it; None where it is gone or cannot be read."""
    from pyarrow import parquet

    with suppress(FileNotFoundError), damage_said(path), opened(path) as file:
        return parquet.ParquetFile(file).read()
    return None


def read_table(path: Path, table: str, columns: Sequence[str] | None = None) -> pa.Table | None:
    """Return a file of `table`, with some `columns`; None where it is gone or damaged.

    A column that came later is null.
    """
    with suppress(FileNotFoundError), damage_said(path):
        return checked(table, read_raw(path, table, columns), columns)
    return None


def read_raw(path: Path, table: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Return what a file of `table` has of some `columns`, whatever is in them.

    Raises `pa.ArrowException`, as for a file without a column that was always there, and OSError.
    """
    from pyarrow import parquet

    with opened(path) as file:
        whole = parquet.ParquetFile(file)
        return whole.read(readable(table, whole.schema_arrow, columns))


def row_count(path: Path) -> int | None:
    """Return how many rows a file has by its footer; None where it is gone or damaged."""
    import pyarrow as pa
    from pyarrow import parquet

    with suppress(pa.ArrowException, OSError), opened(path) as file:
        count: int = parquet.ParquetFile(file).metadata.num_rows
        return count
    return None


@contextmanager
def damage_said(path: Path) -> Iterator[None]:
    """Say that a file which is read here is damaged; the rest of it counts as missing."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as exc:
        if isinstance(exc, OSError) and exc.errno is not None:
            raise  # of the system: pyarrow's own, about what it has read, have no number
        log.warning("%s is damaged and counts as missing: %s", path, exc)
