"""The one reader of files of named arrays (.npz), whoever wrote them."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from edge.errors import one_line

__all__ = ["NotArraysError", "read_arrays"]

# What NumPy and zipfile raise for cut and flipped bytes, unknown compressions, passwords, and
# headers that ask for more memory than there is.
DAMAGE = (
    *(OSError, ValueError, TypeError, EOFError, KeyError, RuntimeError, MemoryError),
    *(OverflowError, zipfile.BadZipFile, zlib.error),
)


class NotArraysError(ValueError):
    """A file that is not one of named arrays; says why in one line, without the file's name."""


def read_arrays(file: Path, *, most_bytes: int | None = None) -> dict[str, NDArray[Any]]:
    """Return all arrays of `file`, of whatever shapes and types, but no Python objects.

    Raises `FileNotFoundError`, and `NotArraysError` for whatever else is not such a file or, with
    `most_bytes`, would take more memory than that.
    """
    try:
        with file.open("rb") as opened:
            arrays = np.load(opened, allow_pickle=False)
            if not isinstance(arrays, NpzFile):
                raise ValueError("it is a single array")
            _refuse_large(arrays, most_bytes)
            return dict(arrays)
    except FileNotFoundError:
        raise
    except DAMAGE as exc:
        raise NotArraysError(one_line(str(exc)) or type(exc).__name__) from exc


def _refuse_large(arrays: NpzFile[Any], most_bytes: int | None) -> None:
    # zipfile unpacks no more of a member than its directory says.
    size = sum(member.file_size for member in arrays.zip.infolist()) if arrays.zip else 0
    if most_bytes is not None and size > most_bytes:
        raise ValueError(f"it holds {size} bytes, more than {most_bytes}")
