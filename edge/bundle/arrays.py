"""The one reader of files of named arrays (.npz), whoever wrote them."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from edge.errors import one_line, shown

__all__ = ["NotArraysError", "read_arrays", "small_arrays"]

# What NumPy and zipfile raise for cut and flipped bytes, unknown compressions, passwords, and
# headers that ask for more memory than there is.
DAMAGE = (
    *(OSError, ValueError, TypeError, EOFError, KeyError, RuntimeError, MemoryError),
    *(OverflowError, SyntaxError, IndexError, zipfile.BadZipFile, zlib.error),
)
# Bounds of a stranger's file.
MOST_ARRAYS = 128
MOST_DIRECTORY_BYTES = 32_768  # of the names of its members
LONGEST_REASON = 150  # characters of what a library says
LONGEST_HEADER = 1_000  # characters that describe an array
MOST_AXES = 4
LARGEST_ITEM_BYTES = 256  # a word of text; numbers have 8 at most
NUMBERS_AND_TEXT = "biufU"
END, END_SIZE, END_64_SIZE = b"PK\x05\x06", 22, 20  # of a zip file


class NotArraysError(ValueError):
    """A file that is not one of named arrays; says why in one line, without the file's name."""


def read_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """Return all arrays of `file`, of whatever shapes and types, but no Python objects.

    Raises `FileNotFoundError`, and `NotArraysError` for whatever else is not such a file.
    """
    try:
        with file.open("rb") as opened:
            arrays = np.load(opened, allow_pickle=False)
            if not isinstance(arrays, NpzFile):
                raise ValueError("it is a single array")
            return dict(arrays)
    except FileNotFoundError:
        raise
    except DAMAGE as exc:
        raise NotArraysError(one_line(str(exc)) or type(exc).__name__) from exc


def small_arrays(content: bytes, *, most_bytes: int) -> dict[str, NDArray[Any]]:
    """Return all arrays in the `content` of a file that a stranger has made.

    They are numbers and words, and have `most_bytes` at most in all; nothing is unpacked before
    that is known. Raises `NotArraysError`.
    """
    try:
        _refuse_large_directory(content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _refuse_large_members(archive.infolist(), most_bytes)
            return dict(_member(archive, member) for member in archive.infolist())
    except (*DAMAGE, RecursionError) as exc:
        raise NotArraysError(one_line(str(exc))[:LONGEST_REASON] or type(exc).__name__) from exc


def _refuse_large_directory(content: bytes) -> None:
    """Refuse what zipfile would read thousands of names from, or not read as it is seen here."""
    end = content[-END_SIZE:]
    if len(end) < END_SIZE or not end.startswith(END) or not end.endswith(b"\0\0"):
        raise ValueError("it has no end")
    if content[-END_SIZE - END_64_SIZE :].startswith(b"PK\x06\x07"):
        raise ValueError("it is made for more than 4 GB")
    size = int.from_bytes(end[12:16], "little")
    if size > MOST_DIRECTORY_BYTES:
        raise ValueError(f"the names in it have {size} bytes, more than {MOST_DIRECTORY_BYTES}")


def _refuse_large_members(members: list[zipfile.ZipInfo], most_bytes: int) -> None:
    if len(members) > MOST_ARRAYS:
        raise ValueError(f"it holds {len(members)} arrays, more than {MOST_ARRAYS}")
    if len({member.filename for member in members}) < len(members):
        raise ValueError("a name is there twice")
    # zipfile unpacks no more of a member than its directory says.
    size = sum(member.file_size for member in members)
    if size > most_bytes:
        raise ValueError(f"it holds {size} bytes, more than {most_bytes}")
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("it has another compression than deflate")


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[str, NDArray[Any]]:
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as opened:
        shape, dtype, header_bytes = _described(opened)
        _refuse_strange(name, shape, dtype)
        size = math.prod(shape) * dtype.itemsize
        if header_bytes + size != member.file_size:
            raise ValueError(f"{shown(name)}: has not the {size} bytes that its header says")
    with archive.open(member) as opened:
        array = npy.read_array(opened, allow_pickle=False, max_header_size=LONGEST_HEADER)
    return name, array


def _described(opened: Any) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape and type of the array that `opened` begins with, and the bytes of its header."""
    version = npy.read_magic(opened)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(opened, max_header_size=LONGEST_HEADER)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(opened, max_header_size=LONGEST_HEADER)
    else:
        raise ValueError(f"version {version} of NumPy's format is not read")
    return shape, dtype, opened.tell()


def _refuse_strange(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise ValueError(f"{shown(name)}: Python objects are refused (allow_pickle=False)")
    largest = LARGEST_ITEM_BYTES if dtype.kind == "U" else 8
    if dtype.kind not in NUMBERS_AND_TEXT or dtype.itemsize > largest or dtype.shape:
        raise ValueError(f"{shown(name)}: is not of numbers or short words")
    if len(shape) > MOST_AXES or not all(1 <= length < 1 << 31 for length in shape):
        raise ValueError(f"{shown(name)}: has shape {shown(shape)}")
