"""How long an MP3 really is, and a way to have libsndfile decode all of it.

libsndfile takes an MP3's length from the encoder's tag in the first frame, or, without a tag,
guesses it from the first frame's bit rate, and stops there. A recording of variable bit rate
without a tag, or two recordings joined with `cat`, would silently lose its end. So the frames are
counted, and a tag with their number is put before them on the way to the decoder. Layout of frame
and tag: ISO 11172-3, 2.4.1; the Xing tag is described in "MPEG Audio Frame Header", K. Windszus,
2007.
"""

from __future__ import annotations

import io
import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Mp3Length", "TaggedMp3", "measure_mp3"]

KBPS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG-1
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2
    0: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2.5
}
RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
LAYER_3 = 1
TAG_INDEX = 9  # a bit rate whose frame is large enough for the tag in every version


@dataclass(frozen=True, kw_only=True)
class Mp3Length:
    """The length of an MP3: `count` frames of `samples` each.

    `header` is that of the first frame, which begins at byte `start`. `tagged` says that the
    encoder has written a length, too.
    """

    count: int
    tagged: bool
    samples: int
    header: bytes
    start: int

    @property
    def frames(self) -> int:
        """Samples per channel."""
        return self.count * self.samples


def measure_mp3(path: str) -> Mp3Length | None:
    """Count the frames of the file at `path`; return None when it is not MPEG audio layer III."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = start = _next_frame(data, _after_id3(data))
        if start < 0:
            return None
        header = data[start : start + 4]
        count = 0
        first = data[start : start + _frame_length(data, start)]
        while at >= 0:
            length = _frame_length(data, at)
            if length:
                count, at = count + 1, at + length
            else:
                at = _next_frame(data, at + 1)  # a tag or damage between frames
    tagged = b"Xing" in first or b"Info" in first
    return Mp3Length(
        count=count, tagged=tagged, samples=_samples(header), header=header, start=start
    )


class TaggedMp3(io.RawIOBase):
    """The file at `path` from its first frame on, behind a frame with a tag of its true length."""

    def __init__(self, path: str | bytes, length: Mp3Length) -> None:
        super().__init__()
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115  # closed in close()
        size = self._file.seek(0, io.SEEK_END) - length.start
        self._tag = _tag_frame(length, size)
        self._start = length.start
        self._size = len(self._tag) + size
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
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        """See `io.RawIOBase.readinto`."""
        view = memoryview(buffer).cast("B")
        data = self._tag[self._at : self._at + len(view)]
        if not data:
            self._file.seek(self._start + self._at - len(self._tag))
            data = self._file.read(len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Close the stream and the file that it reads."""
        self._file.close()
        super().close()


def _after_id3(data: mmap.mmap) -> int:
    at = 0
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        at += 10 + sum(
            (byte & 0x7F) << shift
            for byte, shift in zip(data[at + 6 : at + 10], (21, 14, 7, 0), strict=True)
        )
    return at


def _next_frame(data: mmap.mmap, at: int) -> int:
    """Return the next place where two frames follow each other, or one ends the file; else -1."""
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 4:
        length = _frame_length(data, at)
        end = at + length
        if length and (end <= len(data) < end + 4 or _frame_length(data, end)):
            return at
        at += 1
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
