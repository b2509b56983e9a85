"""How long an MP3 really is, and a way to have libsndfile decode all of it.

libsndfile takes an MP3's length from the encoder's tag in the first frame, or, without a tag,
guesses it from the first frame's bit rate, and stops there; it also gives up at a stretch of bytes
that are no frames. A recording of variable bit rate without a tag, two recordings joined with
`cat`, or one with a bad sector would silently lose its end. So the frames are counted, and they
alone go to the decoder, behind a tag with their number. Layout of frame and tag: ISO 11172-3,
2.4.1; the Xing tag is described in "MPEG Audio Frame Header", K. Windszus, 2007.
"""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass

from edge.sources.spliced import Piece, Stretch

__all__ = ["Mp3Length", "after_id3", "measure_mp3"]

KBPS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG-1
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2
    0: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2.5
}
RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
LAYER_3 = 1
TAG_INDEX = 9  # a bit rate whose frame is large enough for the tag in every version


# What a frame's header begins with: everything else need not be looked at. Bytes of 0xFF, of which
# an erased disk is full, are none.
BEGIN = re.compile(
    rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]["
    + b"".join(
        rb"\x%02x" % byte for byte in range(256) if 0 < byte >> 4 < 15 and byte >> 2 & 3 != 3
    )
    + b"]"
)


@dataclass(frozen=True, kw_only=True)
class Mp3Length:
    """The length of an MP3: `count` frames of `samples` each, in `runs` without a gap.

    `header` is that of the first frame. `tagged` is the number of frames that the encoder has
    written into a frame without sound before them, which does not count; None where there is none.
    """

    count: int
    tagged: int | None
    samples: int
    header: bytes
    runs: tuple[Stretch, ...]

    @property
    def frames(self) -> int:
        """Samples per channel."""
        return self.count * self.samples

    @property
    def announced(self) -> int | None:
        """Samples per channel by the tag."""
        return None if self.tagged is None else self.tagged * self.samples

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """All frames, behind one with a tag of their number."""
        return _tag_frame(self, sum(run.size for run in self.runs)), *self.runs


def measure_mp3(data: mmap.mmap) -> Mp3Length | None:
    """Count the frames of a file; return None when it is not MPEG audio layer III."""
    at = start = _next_frame(data, after_id3(data))
    if start < 0:
        return None
    header = data[start : start + 4]
    first = data[start : start + _frame_length(data, start)]
    tagged = _tagged(first)
    at += len(first) if tagged is not None else 0
    count, runs = 0, []
    while at >= 0:
        begin = at
        while length := _frame_length(data, at):
            count, at = count + 1, at + length
        runs.append(Stretch(start=begin, size=min(at, len(data)) - begin))
        at = _next_frame(data, at)  # behind a tag, or damage between frames
    return Mp3Length(
        count=count,
        tagged=tagged,
        samples=_samples(header),
        header=header,
        runs=tuple(runs),
    )


def _tagged(frame: bytes) -> int | None:
    """Return the number of frames by the tag in the first one, None where it has no such number."""
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or not int.from_bytes(frame[at + 4 : at + 8], "big") & 1:
        return None
    return int.from_bytes(frame[at + 8 : at + 12], "big")


def after_id3(data: mmap.mmap) -> int:
    """Return where the file begins behind its ID3 tags, of which there may be several."""
    at = 0
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        at += 10 + sum(
            (byte & 0x7F) << shift
            for byte, shift in zip(data[at + 6 : at + 10], (21, 14, 7, 0), strict=True)
        )
    return at


def _next_frame(data: mmap.mmap, at: int) -> int:
    """Return the next place where two frames follow each other, or one ends the file; else -1."""
    for match in BEGIN.finditer(data, at):
        at = match.start()
        length = _frame_length(data, at)
        end = at + length
        if length and (end <= len(data) < end + 4 or _frame_length(data, end)):
            return at
    return -1


def _frame_length(data: mmap.mmap, at: int) -> int:
    """Return the bytes of the layer III frame at `at`; 0 when no frame begins there."""
    header = data[at : at + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = (header[1] >> 3) & 3, (header[1] >> 1) & 3
    rate, bits = (header[2] >> 2) & 3, header[2] >> 4
    if version == 1 or layer != LAYER_3 or rate == 3 or bits in (0, 15):
        return 0
    padding = (header[2] >> 1) & 1
    return _unpadded(_samples(header), KBPS[version][bits], RATES_HZ[version][rate]) + padding


def _unpadded(samples: int, kbps: int, rate_hz: int) -> int:
    """Return the bytes of a frame of `samples` without padding."""
    return samples // 8 * kbps * 1000 // rate_hz


def _samples(header: bytes) -> int:
    return 1152 if (header[1] >> 3) & 3 == 3 else 576


def _tag_frame(length: Mp3Length, size: int) -> bytes:
    """Return a silent frame like the first one, with the tag in the place of its sound.

    The tag does not count its own frame.
    """
    first = length.header
    # Neither checksum nor padding.
    header = bytes([0xFF, first[1] | 1, (TAG_INDEX << 4) | (first[2] & 0x0C), first[3]])
    version, mono = (first[1] >> 3) & 3, first[3] >> 6 == 3
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    rate_hz = RATES_HZ[version][(first[2] >> 2) & 3]
    total = _unpadded(length.samples, KBPS[version][TAG_INDEX], rate_hz)
    tag = b"Xing" + struct.pack(">III", 0b11, length.count, min(total + size, 0xFFFFFFFF))
    return (header + bytes(side) + tag).ljust(total, b"\0")
