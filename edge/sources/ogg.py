"""The streams of an Ogg file, found page by page without decoding.

Decoders read the first of several streams that were joined, and no page tells them of what is
missing at the end. Layout: RFC 3533, section 6.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass

from edge.sources.spliced import Piece, Stretch

__all__ = ["OggStream", "ogg_streams"]

MARK = b"OggS"
HEAD = 27
BEGINS, ENDS = 2, 4  # flags of a page
NO_PACKET = (1 << 64) - 1  # the position of a page on which no packet ends
LONGEST_PAGE = 255 * 8192  # samples: a page has at most so many packets, a packet so many samples


@dataclass(kw_only=True)
class OggStream:
    """One stream, or several that run side by side, from byte `start` to `end`.

    `ended` says that its last page is marked as such. `cut` is the number of samples that the
    header of a page promises which is not whole, 0 where all are whole or none says so; `partial`
    says that there is such a page.
    """

    start: int
    end: int
    ended: bool = False
    partial: bool = False
    cut: int = 0

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The stream alone."""
        return (Stretch(start=self.start, size=self.end - self.start),)


def ogg_streams(data: mmap.mmap) -> list[OggStream]:
    """Return the streams of a file, in order; bytes between pages belong to none."""
    streams: list[OggStream] = []
    at, beginning, position = data.find(MARK), False, 0
    while 0 <= at <= len(data) - HEAD:
        size, flags = _size(data, at), data[at + 5]
        granule = int.from_bytes(data[at + 6 : at + 14], "little")
        if not size:
            at = data.find(MARK, at + 1)
            continue
        begins = bool(flags & BEGINS)
        if begins and not beginning:
            streams.append(OggStream(start=at, end=at))
            position = 0
        beginning = begins
        if streams:
            stream = streams[-1]
            stream.end, stream.ended = min(at + size, len(data)), bool(flags & ENDS)
            if at + size > len(data):
                stream.partial, stream.ended = True, False
                promised = granule - position
                stream.cut = promised if 0 < promised <= LONGEST_PAGE else 0
        position = granule if granule != NO_PACKET else position
        at = data.find(MARK, at + size)
    return streams


def _size(data: mmap.mmap, at: int) -> int:
    """Return the bytes of the page at `at`, as its header says; 0 when none begins there."""
    if data[at + 4]:  # the version
        return 0
    segments = data[at + 26]
    return HEAD + segments + sum(data[at + HEAD : at + HEAD + segments])
