"""Parquet by pyarrow, which only an archive needs: imported late, and explained where missing."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import UserError
from edge.extras import how_to_install

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Row", "check_installed", "read_rows", "write_rows"]

Row = dict[str, Any]
log = logging.getLogger(__name__)


def check_installed() -> None:
    """Raise `UserError`, which says how to install it, where there is no pyarrow."""
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError as exc:
        raise UserError(f"edge archive needs pyarrow ({how_to_install('archive')})") from exc


def write_rows(path: Path, rows: Sequence[Row], schema: pa.Schema) -> None:
    """Write a file with `rows` of `schema`; raises OSError, and what stands there is then not
    whole.
    """
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pylist(list(rows), schema=schema)
    parquet.write_table(table, path, compression="zstd")


def read_rows(path: Path, columns: Sequence[str] | None = None) -> list[Row] | None:
    """Return the rows of a file, of some `columns`; None where it is gone or damaged."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with path.open("rb") as file:  # pyarrow's own opening takes a name for a partition
            table = parquet.read_table(file, columns=None if columns is None else list(columns))
            return table.to_pylist()
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError) as exc:
        if isinstance(exc, OSError) and exc.errno is not None:
            raise  # of the system: pyarrow's own, about what it has read, have no number
        log.warning("%s is damaged and counts as missing: %s", path, exc)
        return None
