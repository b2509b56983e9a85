"""A file as a decoder should see it: some of its bytes, and others in the place of the rest.

The file on the disk is never changed. A header that does not tell the truth is replaced on the way
to the decoder.
"""

from __future__ import annotations

import bisect
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Piece", "SplicedFile", "Stretch"]


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """`size` bytes of the file from the byte `start` on."""

    start: int
    size: int


# Bytes as they are, or where they stand in the file.
Piece = bytes | Stretch


class SplicedFile(io.RawIOBase):
    """The `pieces` of the file at `path`, one behind the other, as a file to read."""

    def __init__(self, path: str | bytes, pieces: Sequence[Piece]) -> None:
        super().__init__()
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115  # closed in close()
        self._pieces = tuple(piece for piece in pieces if _size(piece))
        self._starts = [0, *accumulate(_size(piece) for piece in self._pieces)]
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase.seek`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        """See `io.RawIOBase.readinto`; reads on until `buffer` is full or the pieces end."""
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and (data := self._next(len(view) - filled)):
            view[filled : filled + len(data)] = data
            filled += len(data)
            self._at += len(data)
        return filled

    def close(self) -> None:
        """Close the stream and the file that it reads."""
        self._file.close()
        super().close()

    def _next(self, most: int) -> bytes:
        """Return at most so many bytes from where we are, all of them of one piece."""
        index = bisect.bisect_right(self._starts, self._at) - 1
        if index >= len(self._pieces):
            return b""
        piece, skip = self._pieces[index], self._at - self._starts[index]
        if isinstance(piece, bytes):
            return piece[skip : skip + most]
        self._file.seek(piece.start + skip)
        return self._file.read(min(most, piece.size - skip))


def _size(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.size
