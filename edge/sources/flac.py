"""The streams of a FLAC file and the frames in them, found without decoding.

The header's total may be wrong, and a bad sector costs the frames in it, not the rest of the file:
each frame says which samples it holds, so that decoding can go on behind the damage and the gap is
known. Layout: RFC 9639, sections 8 and 9.
"""

from __future__ import annotations

import mmap
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from edge.sources.filler import FILLER, end_without
from edge.sources.mpeg import after_id3
from edge.sources.spliced import Piece, Stretch

__all__ = ["FlacFrame", "FlacStream", "flac_frames", "flac_streams", "is_flac"]

MARK = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
STREAMINFO = 8  # where its 34 bytes begin
TOTAL = 13  # of them, where the half byte and four bytes with the total begin
SYNC = re.compile(rb"\xff[\xf8\xf9]")
LONGEST_HEADER = 16
FIRST_FRAMES = 16  # by which the usual ones are known
TAIL = 1 << 20  # in which the last frame is looked for
RESERVED_BLOCK, BLOCK_8_BITS, BLOCK_16_BITS = 0, 6, 7
POLYNOMIAL = 0x07


@dataclass(frozen=True, kw_only=True)
class FlacStream:
    """One stream from byte `start` to `end`, whose frames begin at `first`.

    Most frames are of one `kind` and have `block_samples`, where their header counts frames and not
    samples. `announced` samples are in its header, None where it says nothing; by its last frame
    there are `samples`, None where no frame can be found.
    """

    start: int
    first: int
    end: int
    kind: bytes
    block_samples: int
    announced: int | None
    samples: int | None

    def pieces(self, header: bytes, frame: int | None = None) -> tuple[Piece, ...]:
        """Return the stream without a total, whole or from the byte `frame` on.

        `header` are the bytes from `start` to `first`.
        """
        at = STREAMINFO + TOTAL
        unknown = bytes([header[at] & 0xF0]) + bytes(4)
        begin = self.first if frame is None else frame
        opened = header[:at] + unknown + header[at + 5 :]
        return opened, Stretch(start=begin, size=self.end - begin)


@dataclass(frozen=True, kw_only=True)
class FlacFrame:
    """A frame at byte `at`, with `size` samples from sample `sample` of its stream on."""

    at: int
    sample: int
    size: int


def is_flac(data: mmap.mmap) -> bool:
    """Return whether the file is a FLAC, perhaps behind a tag for MP3s."""
    start = after_id3(data)
    return data[start : start + 4] == b"fLaC"


def flac_streams(data: mmap.mmap) -> list[FlacStream]:
    """Return the streams of a file: one, or several that were joined with `cat`."""
    starts = [match.start() for match in MARK.finditer(data)]
    if not starts:
        return []
    streams = []
    for start, following in zip(starts, [*starts[1:], len(data)], strict=True):
        first = _first_frame(data, start, following)
        if first is not None:
            streams.append(_stream(data, start, first, _without_filler(data, first, following)))
    return streams


def flac_frames(data: mmap.mmap, stream: FlacStream, start: int) -> Iterator[FlacFrame]:
    """Yield the frames of a stream that begin at byte `start` or later, in order."""
    for match in SYNC.finditer(data, start, stream.end):
        frame = _frame(data, match.start(), stream.block_samples)
        if frame is not None and _kind(data, frame.at) == stream.kind:
            yield frame


def _stream(data: mmap.mmap, start: int, first: int, end: int) -> FlacStream:
    info = data[start + STREAMINFO : start + STREAMINFO + 34]
    total = int.from_bytes(info[TOTAL : TOTAL + 5], "big") & 0xF_FFFF_FFFF
    kind, block_samples = _usual(data, first, end)
    opened = FlacStream(
        start=start,
        first=first,
        end=end,
        kind=kind,
        block_samples=block_samples,
        announced=total or None,
        samples=None,
    )
    last = _last_frame(data, opened)
    return opened if last is None else replace(opened, samples=last.sample + last.size)


def _last_frame(data: mmap.mmap, stream: FlacStream) -> FlacFrame | None:
    """Return the last frame that follows another one, or is the first."""
    reach = TAIL
    while True:
        begin = max(stream.first, stream.end - reach)
        last = _last_in_order(stream, flac_frames(data, stream, begin))
        if last is not None or begin == stream.first:
            return last
        reach *= 4  # what is behind the frames may be long


def _last_in_order(stream: FlacStream, frames: Iterator[FlacFrame]) -> FlacFrame | None:
    last, before = None, None
    for frame in frames:
        if frame.at == stream.first or (before and before.sample + before.size == frame.sample):
            last = frame
        before = frame
    return last


def _first_frame(data: mmap.mmap, start: int, end: int) -> int | None:
    """Return where the frames begin, behind the metadata blocks."""
    at = start + 4
    while at + 4 <= end:
        last, size = data[at] & 0x80, int.from_bytes(data[at + 1 : at + 4], "big")
        at += 4 + size
        if last:
            return at if at < end else None
    return None


def _usual(data: mmap.mmap, start: int, end: int) -> tuple[bytes, int]:
    """Return kind and size of most of the first frames; any of them may be damaged."""
    found: Counter[tuple[bytes, int]] = Counter()
    for match in SYNC.finditer(data, start, end):
        frame = _frame(data, match.start(), 0)
        if frame is not None:
            found[_kind(data, frame.at), frame.size] += 1
        if found.total() == FIRST_FRAMES:
            break
    return found.most_common(1)[0][0] if found else (b"", 0)


def _kind(data: mmap.mmap, at: int) -> bytes:
    """Return what all frames of a stream share: how they are counted, and the size of samples."""
    return bytes([data[at + 1], data[at + 3] & 0x0F])


def _without_filler(data: mmap.mmap, start: int, end: int) -> int:
    """Return the end without the zeros, or the 0xFF of an erased disk, that are behind it."""
    last = data[end - 1 : end]
    if last not in FILLER:
        return end
    return end_without(last, lambda begin, until: data[begin:until], start, end)


def _frame(data: mmap.mmap, at: int, block_samples: int) -> FlacFrame | None:
    """Return the frame at byte `at`, None where none begins there."""
    head = data[at : at + LONGEST_HEADER]
    if len(head) < 6 or head[3] & 1:
        return None
    number, used = _number(head[4:])
    size_code, rate_code = head[2] >> 4, head[2] & 0x0F
    if number is None or size_code == RESERVED_BLOCK or rate_code == 0x0F:
        return None
    at_size = 4 + used
    further = {BLOCK_8_BITS: 1, BLOCK_16_BITS: 2}.get(size_code, 0)
    end = at_size + further + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if end >= len(head) or _crc8(head[:end]) != head[end]:
        return None
    size = _block_size(size_code, int.from_bytes(head[at_size : at_size + further], "big"))
    variable = head[1] & 1
    return FlacFrame(at=at, sample=number if variable else number * block_samples, size=size)


def _block_size(code: int, further: int) -> int:
    if code in (BLOCK_8_BITS, BLOCK_16_BITS):
        return further + 1
    if code == 1:
        return 192
    return 576 << (code - 2) if code < BLOCK_8_BITS else 256 << (code - 8)


def _number(coded: bytes) -> tuple[int | None, int]:
    """Decode a number written as UTF-8 writes characters, up to 36 bits; return its length too."""
    first = coded[0]
    if first < 0x80:
        return first, 1
    length = 8 - (first ^ 0xFF).bit_length()
    if not 2 <= length <= 7 or len(coded) < length:
        return None, 1
    number = first & (0x7F >> length)
    for byte in coded[1:length]:
        if byte >> 6 != 0b10:
            return None, 1
        number = number << 6 | byte & 0x3F
    return number, length


def _crc8(content: bytes) -> int:
    crc = 0
    for byte in content:
        crc = CRC8[crc ^ byte]
    return crc


def _crc8_entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte << 1 ^ (POLYNOMIAL if byte & 0x80 else 0)) & 0xFF
    return byte


CRC8 = [_crc8_entry(byte) for byte in range(256)]
