"""Recordings as arrays: decode, mix down, resample, loop what is shorter than a window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

__all__ = ["loop_to", "parts_of", "read_audio", "windows_at"]

Array = NDArray[np.float32]
BLOCK_S = 60  # of a recording that is read as a stream


def read_audio(path: Path, sample_rate_hz: int, *, max_s: float | None = None) -> Array:
    """Return the recording as mono float32 (n,) at `sample_rate_hz`.

    With `max_s`, only its first seconds are read.
    """
    with soundfile.SoundFile(path) as file:
        frames = -1 if max_s is None else round(max_s * file.samplerate)
        samples = file.read(frames, dtype="float32", always_2d=True).mean(axis=1)
        resampled = soxr.resample(samples, file.samplerate, sample_rate_hz)
    mono: Array = resampled.astype(np.float32)
    return mono


def loop_to(samples: Array, length: int) -> Array:
    """Repeat samples from the beginning to `length` of them (Thakur et al. 2019).

    A longer recording is returned as it is.
    """
    if len(samples) >= length:
        return samples
    return np.tile(samples, -(-length // len(samples)))[:length]


def parts_of(path: Path, sample_rate_hz: int, length: int, overlap: int) -> Iterator[Array]:
    """Yield a recording in parts that begin every `length` samples and are `overlap` longer.

    The last has what is left, and there is none that has no more than the overlap of the one
    before.
    """
    buffer, first = np.zeros(0, np.float32), True
    for block in _blocks(path, sample_rate_hz):
        buffer = np.concatenate([buffer, block])
        while len(buffer) >= length + overlap:
            yield buffer[: length + overlap]
            buffer, first = buffer[length:], False
    if first or len(buffer) > overlap:
        yield buffer


def windows_at(
    path: Path, sample_rate_hz: int, starts: NDArray[np.int64], length: int
) -> Iterator[Array]:
    """Yield windows (length,) of a recording, however long it is, from `starts` (W,), ascending.

    Only what they need is in memory. A recording shorter than a window is repeated to fill one;
    what a window lacks at the end of a longer one is silence.
    """
    buffer, begin, i = np.zeros(0, np.float32), 0, 0
    for block in _blocks(path, sample_rate_hz):
        buffer = np.concatenate([buffer, block])
        while i < len(starts) and starts[i] + length <= begin + len(buffer):
            yield buffer[starts[i] - begin :][:length]
            i += 1
        passed = len(buffer) if i == len(starts) else min(starts[i] - begin, len(buffer))
        buffer, begin = buffer[passed:], begin + passed
    for start in starts[i:]:
        rest = buffer[max(start - begin, 0) :]
        if not begin and 0 < len(buffer) < length:
            yield loop_to(buffer, length)
        else:
            yield np.pad(rest, (0, length - len(rest)))


def _blocks(path: Path, sample_rate_hz: int) -> Iterator[Array]:
    """Yield a recording as mono float32 blocks at `sample_rate_hz`."""
    with soundfile.SoundFile(path) as file:
        rate_hz = file.samplerate
        stream = soxr.ResampleStream(rate_hz, sample_rate_hz, 1, dtype="float32")
        is_last = False
        while not is_last:
            block = file.read(BLOCK_S * rate_hz, dtype="float32", always_2d=True).mean(axis=1)
            is_last = len(block) < BLOCK_S * rate_hz
            yield block if rate_hz == sample_rate_hz else stream.resample_chunk(block, is_last)
