"""Spectrograms of clips as PNG, drawn once and kept in a bounded folder.

A picture has a column for each of `WIDTH` parts of the clip, the loudest of some frames in it, so
that a minute at 384 kHz takes no more memory than a second. Its palette is the one of matplotlib's
magma at nine places, with straight lines between.
"""

from __future__ import annotations

import contextlib
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge.bundle.transform import framed, taper
from edge.errors import AudioError
from edge.files import write_whole
from edge.page.bounded import make_room

__all__ = ["HEIGHT", "WIDTH", "Pictures", "picture"]

WIDTH, HEIGHT = 800, 256
N_FFT = 1024
FRAMES = 4  # of each column at most
MOST_DB, LEAST_DB = 60.0, 20.0  # from black to white
MOST_BYTES = 64_000_000
VERSION = "2"  # of how they are drawn
MAGMA = (
    *((0, 0, 4), (28, 16, 68), (79, 18, 123), (129, 37, 129), (181, 54, 122)),
    *((229, 80, 100), (251, 135, 97), (254, 194, 135), (252, 253, 191)),
)


class Pictures:
    """The pictures in `folder`, the oldest of which go when they are too many. Any thread.

    One is drawn at a time, which bounds the memory.
    """

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._drawing = threading.Lock()

    def of(self, name: str, clip: Path) -> bytes:
        """Return the picture of a clip, which is kept as `name`; raises `AudioError`."""
        kept = self._folder / f"{name}.{VERSION}.png"
        with contextlib.suppress(OSError):
            return kept.read_bytes()
        with self._drawing:
            content = picture(clip)
            with contextlib.suppress(OSError):  # then it is drawn again the next time
                size = len(content)
                make_room(self._folder, size, most_bytes=self._most_bytes, pattern="*.png")
                write_whole(kept, content)
        return content


def picture(clip: Path) -> bytes:
    """Return the spectrogram of a clip as PNG, `WIDTH` x `HEIGHT`; raises `AudioError`."""
    try:
        with soundfile.SoundFile(clip) as file:
            levels = _levels(file)
    except (soundfile.LibsndfileError, OSError) as exc:
        raise AudioError(f"{clip.name}: cannot be read: {exc}") from exc
    # The usual level is nearly black, whatever the noise of the place.
    usual, top = (float(np.percentile(levels, share)) for share in (55, 99.8))
    bottom = max(usual, top - MOST_DB)
    scaled = np.clip((levels - bottom) / max(top - bottom, LEAST_DB), 0, 1)
    return _png((255 * scaled).astype(np.uint8).T[::-1])


def _levels(file: soundfile.SoundFile) -> NDArray[np.float32]:
    """Return levels (WIDTH, HEIGHT) in dB, from 0 Hz to half of the rate."""
    window = taper("hann", N_FFT)
    levels = np.full((WIDTH, HEIGHT), -200.0, np.float32)
    for column in range(WIDTH):
        first = column * file.frames // WIDTH
        length = max(1, (column + 1) * file.frames // WIDTH - first)
        file.seek(max(0, min(first, file.frames - N_FFT)))
        read = max(N_FFT, min(length, FRAMES * N_FFT))
        samples = file.read(read, dtype="float32", always_2d=True).mean(axis=1)
        frames = framed(samples, n_fft=N_FFT, hop_length=N_FFT // 2, centred=False)[:FRAMES]
        power = np.abs(np.fft.rfft(frames * window, axis=1)[:, 1:]).max(axis=0) ** 2
        # Neighbours together: half as many rows as bins.
        rows = power.reshape(HEIGHT, -1).max(axis=1)
        levels[column] = 10 * np.log10(rows + 1e-12)
    return levels


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG of pixels (height, width), each a place in the palette (W3C, PNG, 11)."""
    height, width = pixels.shape
    places = np.linspace(0, len(MAGMA) - 1, 256)
    colours = np.array(MAGMA, np.float64)
    palette = np.stack([np.interp(places, range(len(MAGMA)), part) for part in colours.T], axis=1)
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"PLTE", palette.round().astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 6)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)
