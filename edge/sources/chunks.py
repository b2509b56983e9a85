"""The chunks of a file, whichever of the containers that are made of chunks it is.

Every walk is bounded by what can be a chunk: its name is written in letters, and there are not many
of them. Millions of bytes that only look like chunks, such as zeros, end it at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

__all__ = ["AIFF", "CAF", "RIFF", "RIFX", "WAVE64", "Chunk", "ChunkStyle", "chunks", "style_of"]

MOST_CHUNKS = 4096


@dataclass(frozen=True, kw_only=True)
class ChunkStyle:
    """How the container `called` so writes its chunks.

    A name of `name_bytes`, of which the first four are letters, then a size of `size_bytes`; the
    size is that of the content, or `inclusive` of name and size. Chunks begin at multiples of
    `align` bytes. The first one stands at byte `first`.
    """

    called: str
    name_bytes: int
    size_bytes: int
    order: Literal["little", "big"]
    inclusive: bool
    align: int
    first: int

    @property
    def head_bytes(self) -> int:
        """Bytes of name and size."""
        return self.name_bytes + self.size_bytes

    def size_field(self, content_bytes: int) -> bytes:
        """Return the size field of a chunk with so many bytes of content."""
        size = content_bytes + (self.head_bytes if self.inclusive else 0)
        return size.to_bytes(self.size_bytes, self.order)


def _style(called: str, order: Literal["little", "big"], **others: int) -> ChunkStyle:
    fields = {"name_bytes": 4, "size_bytes": 4, "align": 2, "first": 12, **others}
    return ChunkStyle(called=called, order=order, inclusive=fields["name_bytes"] == 16, **fields)


RIFF = _style("RIFF", "little")
RIFX = _style("RIFX", "big")
AIFF = _style("AIFF", "big")
WAVE64 = _style("Wave64", "little", name_bytes=16, size_bytes=8, align=8, first=40)
CAF = _style("CAF", "big", size_bytes=8, align=1, first=8)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A chunk whose content begins at byte `start`; `size` is what its header says."""

    name: bytes
    start: int
    size: int
    style: ChunkStyle

    @property
    def next(self) -> int:
        """Where the next chunk begins if the size is right."""
        end = self.start + self.size
        return end + -end % self.style.align


def style_of(head: bytes) -> ChunkStyle | None:
    """Return how the file that begins with `head`, 40 bytes, writes its chunks, if it has any."""
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return RIFF
    if head[:4] == b"RIFX" and head[8:12] == b"WAVE":
        return RIFX
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return AIFF
    if head[:4] == b"riff" and head[24:28] == b"wave":
        return WAVE64
    return CAF if head[:4] == b"caff" else None


def chunks(file: BinaryIO, style: ChunkStyle, start: int) -> Iterator[Chunk]:
    """Yield the chunks from byte `start` on, up to one that does not end within the file.

    The position of `file` may be moved between two chunks.
    """
    end = file.seek(0, 2)
    for _ in range(MOST_CHUNKS):
        if start + style.head_bytes > end:
            return
        file.seek(start)
        head = file.read(style.head_bytes)
        name = head[: style.name_bytes]
        size = int.from_bytes(head[style.name_bytes :], style.order)
        size = max(0, size - style.head_bytes) if style.inclusive else size
        if not all(32 <= byte < 127 for byte in name[:4]):
            return
        chunk = Chunk(name=name[:4], start=start + style.head_bytes, size=size, style=style)
        yield chunk
        start = chunk.next
