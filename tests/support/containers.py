"""Recordings in the states in which recorders, cards and converters leave them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import soundfile

from edge.types import Array
from tests.support.audio import noise

__all__ = [
    "CONTAINERS",
    "RATE_HZ",
    "SECONDS",
    "audiomoth_blocks",
    "encoded",
    "flac_total",
    "mp3_in_wav",
    "with_data_size",
]

RATE_HZ = 32_000
SECONDS = 6.0
# Where the size of the sound stands: from the chunk's name on, and how it is written; what of the
# size is not sound.
CONTAINERS: dict[str, tuple[bytes, int, str, int]] = {
    "WAV": (b"data", 4, "<I", 0),
    "RF64": (b"ds64", 16, "<Q", 0),
    "W64": (b"data", 16, "<Q", 24),
    "AIFF": (b"SSND", 4, ">I", 8),
    "CAF": (b"data", 4, ">Q", 4),
    "AU": (b".snd", 8, ">I", 0),
}


def encoded(
    container: str,
    samples: Array | None = None,
    subtype: str = "PCM_16",
    *,
    rate_hz: int = RATE_HZ,
) -> bytes:
    """Return samples (n,) or (n, channels) as a file; without them, noise."""
    samples = noise(SECONDS, rate_hz) if samples is None else samples
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, format=container, subtype=subtype)
    return stream.getvalue()


def mp3_in_wav(samples: Array, frames: int) -> bytes:
    """Return an MP3 in a WAV at RATE_HZ whose `fact` chunk says that it has `frames`."""
    mp3 = encoded("MP3", samples, "MPEG_LAYER_III")
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, RATE_HZ, 8000, 1, 0, 12, 1, 2, 1152, 1, 1393)
    chunks = [(b"fmt ", form), (b"fact", struct.pack("<I", frames)), (b"data", mp3)]
    body = b"".join(
        name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
        for name, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def with_data_size(content: bytes, container: str, size: int) -> bytes:
    """Return a file whose header says that its sound has `size` bytes."""
    name, offset, form, extra = CONTAINERS[container]
    at = content.index(name) + offset
    field = struct.pack(form, min(size + extra, (1 << 8 * struct.calcsize(form)) - 1))
    return content[:at] + field + content[at + len(field) :]


def flac_total(content: bytes, total: int) -> bytes:
    """Return a FLAC whose header says that it has `total` samples; 0 means that it is not known."""
    at = 8 + 10  # behind the mark, the block's header, and the sizes of blocks and frames
    field = int.from_bytes(content[at : at + 8], "big")
    field = field >> 36 << 36 | total
    return content[:at] + field.to_bytes(8, "big") + content[at + 8 :]


def audiomoth_blocks(*pauses: int) -> Callable[[Array], Array]:
    """Return what puts blocks of an AudioMoth between equal parts of samples.

    Each says how many blocks of 256 samples were left out there.
    """

    def insert(samples: Array) -> Array:
        parts = np.split(samples, len(pauses) + 1)
        blocks = [_block(count) for count in pauses]
        pieces = [
            piece for pair in zip(parts, [*blocks, parts[0][:0]], strict=True) for piece in pair
        ]
        return np.concatenate(pieces)

    return insert


def _block(count: int) -> Array:
    bits = [1 if count >> i & 1 else -1 for i in range(32)]
    return (np.array(bits + [0] * 224) / 32_768).astype(np.float32)
